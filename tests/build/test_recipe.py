"""A recipe that is wrong is refused in one line that names the key, the value, and what was expected."""

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.errors import RecipeError
from joulebox_build.recipe import load_recipe
from joulebox_build.recipe.yamlfile import read_yaml
from joulebox_build.train.model import load_folder
from joulebox_build.train.teacher import load_weights


def set_key(path: str, value: Any) -> Any:
    def edit(recipe: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            recipe = recipe[parent]
        recipe[last] = value

    return edit


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("sneed", 1, r"sneed: unknown key \(value 1\); expected one of .*seed"),
        ("file", "x", r"file: unknown key"),
        ("profiles.quick.distill.epoch", 3, r"profiles\.quick\.distill\.epoch: unknown key .*epochs"),
        ("teacher.training.views", 3, r"teacher\.training\.views: unknown key .*weight_decay"),
        ("seed", "three", r"seed: 'three'; .*integer"),
        ("seed", -1, r"seed: -1; .*greater than or equal to 0"),
        ("profiles.quick.gate.accuracy_min", 92, r"accuracy_min: 92; .*less than or equal to 1"),
        ("profiles.quick.distill.epochs", 0, r"epochs: 0; .*greater than 0"),
        ("profiles.quick.baselines", [{"kind": "magic"}], r"kind: 'magic'"),
        ("profiles", {}, r"profiles: "),
        ("schema_version", 2, r"schema_version: 2"),
        ("model", "absent.py", r"model: .*absent\.py does not exist"),
        ("name", "Not A Name", r"name: 'Not A Name'"),
        ("preprocess.depth", 1, r"preprocess\.image\.depth: unknown key .*expected one of channels, height"),
        ("preprocess", {"kind": "text", "mean": []}, r"preprocess\.text\.mean: unknown key .*expected one of buckets"),
        ("preprocess.kind", "sound", r"preprocess: .*'image', 'text'"),
        ("profiles.quick.distill.learning_rate", float("inf"), r"learning_rate: inf; input should be a finite number"),
        ("profiles.quick.distill.temperature", float("nan"), r"temperature: nan; input should be a finite number"),
        ("profiles.quick.student", {"rate": float("inf")}, r"student\.rate: inf; .*, or a finite number, or a valid"),
        ("preprocess.mean", [float("nan")], r"preprocess\.image\.mean\.0: nan; input should be a finite number"),
        ("preprocess.mean", [0.1, 0.2], r"preprocess\.mean has 2 values; expected one per channel \(1\)"),
    ],
)
def test_a_wrong_value_is_named(folder: Path, write_recipe: Any, key: str, value: Any, message: str) -> None:
    path = write_recipe(folder, set_key(key, value))
    with pytest.raises(RecipeError, match=message) as caught:
        load_recipe(path)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)


def test_a_missing_key_is_named(folder: Path, write_recipe: Any) -> None:
    path = write_recipe(folder, lambda recipe: recipe.pop("teacher"))
    with pytest.raises(RecipeError, match="teacher: missing"):
        load_recipe(path)


def test_every_wrong_key_is_named_at_once(folder: Path, write_recipe: Any) -> None:
    def edit(recipe: dict[str, Any]) -> None:
        recipe["seed"] = "x"
        recipe["golden"] = {"samples": 0}

    with pytest.raises(RecipeError, match=r"seed: .*golden\.samples: "):
        load_recipe(write_recipe(folder, edit))


@pytest.mark.parametrize("text", ["- a\n- b\n", "", "just words"])
def test_a_file_that_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "recipe.yaml").write_text(text, "utf-8")
    with pytest.raises(RecipeError, match="expected a mapping of keys"):
        load_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize("content", [b"a: [", b"\xff\xfe\x00", b"a: 2020-13-45", b"a: " + b"[" * 5000])
def test_a_file_that_is_no_yaml_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "recipe.yaml").write_bytes(content)
    with pytest.raises(RecipeError, match="is not YAML"):
        load_recipe(tmp_path / "recipe.yaml")


def rewritten(folder: Path, *lines: str, old: str = "") -> Path:
    """The recipe with these lines at its end, or in the place of an old one."""
    path, new = folder / "recipe.yaml", "".join(f"{line}\n" for line in lines)
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1) if old else text + new, "utf-8")
    return path


@pytest.mark.parametrize(
    ("lines", "old", "message"),
    [
        (["seed: 7"], "", r"recipe\.yaml, line \d+, is not YAML: key 'seed' is there already, in line \d+: keep one"),
        (["golden: {samples: 4, samples: 5}"], "", r"key 'samples' is there already"),
        (
            ["profiles:", "  quick: {distill: {epochs: 9}}"],
            "profiles:\n",
            r"key 'quick' is there already, in line \d+:",
        ),
    ],
)
def test_a_key_that_is_there_twice_is_refused(folder: Path, lines: list[str], old: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        load_recipe(rewritten(folder, *lines, old=old))


def test_merged_keys_may_be_said_otherwise(tmp_path: Path) -> None:
    text = "a: &a {q: 1, r: 1}\nb: {c: &c {<<: *a, q: 2}}\nd: {<<: *c, r: 3}\n"
    (tmp_path / "x.yaml").write_text(text, "utf-8")
    assert read_yaml(tmp_path / "x.yaml") == {
        "a": {"q": 1, "r": 1},
        "b": {"c": {"q": 2, "r": 1}},
        "d": {"q": 2, "r": 3},
    }


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{:e}", "{:E}", "{:.0e}", "{!r}", "{:g}"]))
def test_a_number_is_a_number_however_it_is_written(value: float, form: str) -> None:
    written = form.format(value)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.yaml"
        path.write_text(f"a: {written}\nb: '{written}'\n", "utf-8")
        assert read_yaml(path) == {"a": float(written), "b": written}


def test_a_rate_in_scientific_notation_reaches_the_student_as_a_number(folder: Path) -> None:
    path = rewritten(folder, "    student: {rate: 1e-3, name: e5}", "    distill:", old="    distill:\n")
    assert load_recipe(path).profile("quick").student == {"rate": 0.001, "name": "e5"}


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"low": 2.0, "high": 1.0}, r"recipe\.yaml: search\.space: low 2\.0 must be less than high 1\.0"),
        ({"low": 1.0}, r"recipe\.yaml: search\.space\.x\.range\.high: missing; it has no default"),
        ({"low": "a", "high": 1}, r"x\.range\.low: 'a'; input should be a valid integer, or a valid number"),
        ({"low": 1, "high": 2, "stop": 3}, r"range\.stop: unknown key .* of high, log, low, step"),
        (
            {"choices": [1], "low": 1},
            r"recipe\.yaml: search\.space\.x\.choices\.low: unknown key .* expected one of choices",
        ),
    ],
)
def test_of_a_range_or_choices_only_what_was_meant_is_said_to_be_wrong(
    folder: Path, write_recipe: Any, space: dict[str, Any], message: str
) -> None:
    with pytest.raises(RecipeError, match=f"{message}$"):
        load_recipe(write_recipe(folder, set_key("search", {"space": {"x": space}})))


def test_a_missing_recipe_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="No such file"):
        load_recipe(tmp_path / "recipe.yaml")


def test_an_unknown_profile_is_refused(folder: Path) -> None:
    with pytest.raises(RecipeError, match="profile 'slow' is not in the recipe; it has quick"):
        load_recipe(folder / "recipe.yaml").profile("slow")


def test_missing_teacher_weights_say_how_to_make_them(folder: Path) -> None:
    (folder / "teacher.safetensors").unlink()
    recipe = load_recipe(folder / "recipe.yaml")
    with pytest.raises(RecipeError, match=r"does not exist; `joulebox teacher .*` trains it"):
        load_weights(recipe, load_folder(recipe), recipe.teacher.members[0])


def test_weights_of_another_network_are_refused(folder: Path) -> None:
    model = folder / "model.py"
    model.write_text(model.read_text("utf-8").replace("net(16)", "net(17)"), "utf-8")
    recipe = load_recipe(folder / "recipe.yaml")
    with pytest.raises(RecipeError, match="does not fit teacher"):
        load_weights(recipe, load_folder(recipe), recipe.teacher.members[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("import absent_module", "cannot be imported: ModuleNotFoundError"),
        ("def teacher(: pass", "cannot be imported: SyntaxError"),
        ("teacher = 1", r"defines no function teacher\(\)"),
    ],
)
def test_a_model_folder_that_cannot_be_used_is_refused(folder: Path, text: str, message: str) -> None:
    (folder / "model.py").write_text(text, "utf-8")
    with pytest.raises(RecipeError, match=message):
        load_folder(load_recipe(folder / "recipe.yaml"))
