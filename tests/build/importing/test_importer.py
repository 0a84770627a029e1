"""`joulebox import`: any ONNX model of tensors becomes a package that a device serves, or is refused with one line."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from onnx import helper

from joulebox.cli import main as cli
from joulebox.engine import Engine, Rung, open_engine
from joulebox.package import Package, open_package
from joulebox.runtime.golden import read_golden, sample, verify
from joulebox_build.errors import BuildError
from joulebox_build.importing import goldens
from joulebox_build.importing.importer import Given, import_onnx

ROOT = Path(__file__).resolve().parents[3]
KINDS = ["tokens", "state", "strings", "datatypes", "external"]
Run = Callable[[Sequence[object]], tuple[int, str, str]]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs `joulebox` with these arguments: its exit status, output and errors. No installation needed."""
    command = EntryPoint("import", "joulebox_build.importing.importer:import_model", "joulebox.commands")
    monkeypatch.setattr(cli, "_others", lambda: {"import": command})

    def run(arguments: Sequence[object]) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["joulebox", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return run


def served(package: Package) -> Engine:
    """Opens and verifies the package as a host does."""
    (variant,) = package.manifest.variants
    engine = open_engine(package, Rung(variant, variant.engine))
    verify(engine, variant, *read_golden(package), batched=package.manifest.batched)
    return engine


def identity(models: ModuleType, folder: Path, shape: Any, out: Any, *, kind: str = "Identity", **given: Any) -> Path:
    """A model from `x` FP32 to `y` FP32."""
    tensors = [models.tensor("x", "FP32", shape)], [models.tensor("y", "FP32", out)]
    path = folder / "made.onnx"
    path.write_bytes(models.model([helper.make_node(kind, ["x"], ["y"], **given)], *tensors).SerializeToString())
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_every_kind_are_served_from_what_is_packed(
    onnx_models: ModuleType, tmp_path: Path, kind: str
) -> None:
    package = import_onnx(getattr(onnx_models, kind)(tmp_path), kind, tmp_path / "out").package
    package.verify()
    engine = served(open_package(tmp_path / "out"))
    assert package.manifest.batched == (kind != "state")
    inputs, expected = read_golden(package)
    answer = engine.run(sample(inputs, 3, batched=package.manifest.batched))
    for name, reference in sample(expected, 3, batched=package.manifest.batched).items():
        if reference.dtype.kind == "f":
            np.testing.assert_allclose(answer[name], reference, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(answer[name], reference)


def test_shapes_are_free_where_the_file_leaves_them_free(onnx_models: ModuleType, tmp_path: Path) -> None:
    manifest = import_onnx(onnx_models.state(tmp_path), "state", tmp_path / "out").package.manifest
    shapes = {spec.name: spec.shape for spec in (*manifest.inputs, *manifest.outputs)}
    assert shapes == {"input": [-1, -1], "state": [2, -1, 4], "sr": [], "output": [-1, 1], "stateN": [2, -1, 4]}


def test_weights_beside_the_model_lie_beside_it_in_the_package(onnx_models: ModuleType, tmp_path: Path) -> None:
    package = import_onnx(onnx_models.external(tmp_path), "external", tmp_path / "out").package
    (variant,) = package.manifest.variants
    assert variant.external_data == ["variants/weights.data"]
    assert package.read("variants/weights.data") == (tmp_path / "external.data").read_bytes()


def test_weights_that_are_too_short_are_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    path = onnx_models.external(tmp_path)
    (tmp_path / "external.data").write_bytes(bytes(100))
    with pytest.raises(BuildError, match=r"cannot run it: .*out of bounds"):
        import_onnx(path, "short", tmp_path / "out")


def test_the_same_model_gives_the_same_version(onnx_models: ModuleType, tmp_path: Path) -> None:
    path = onnx_models.tokens(tmp_path)
    first, second = (import_onnx(path, "tokens", tmp_path / out).package.manifest for out in ("one", "two"))
    assert first.version == second.version
    assert first.lineage.made_of["import"].keys() == {"model"}
    assert first.lineage.made_of["libraries"].keys() == {"python", "onnx", "onnxruntime", "numpy"}


def test_goldens_come_from_the_samples_that_are_given(onnx_models: ModuleType, tmp_path: Path) -> None:
    np.savez(
        tmp_path / "samples.npz",
        input=np.full((3, 1, 512), 0.25, np.float32),
        state=np.zeros((3, 2, 1, 4), np.float32),
        sr=np.array([16000, 16000, 8000]),
    )
    given = Given(samples=tmp_path / "samples.npz")
    imported = import_onnx(onnx_models.state(tmp_path), "state", tmp_path / "out", given)
    assert (imported.samples, imported.left_out) == (3, 0)
    inputs, expected = read_golden(imported.package)
    assert inputs["sr"].tolist() == [16000, 16000, 8000]
    assert expected["output"].shape == (3, 1, 1)
    served(imported.package)


def test_samples_of_a_batched_model_may_be_one_array(onnx_models: ModuleType, tmp_path: Path) -> None:
    ids = np.arange(20).reshape(4, 5)
    np.savez(tmp_path / "samples.npz", input_ids=ids, attention_mask=np.ones_like(ids))
    imported = import_onnx(
        onnx_models.tokens(tmp_path), "tokens", tmp_path / "out", Given(samples=tmp_path / "samples.npz")
    )
    assert imported.package.manifest.batched
    np.testing.assert_array_equal(read_golden(imported.package)[0]["input_ids"], ids)


def test_a_model_for_one_image_at_a_time_takes_samples_of_one(onnx_models: ModuleType, tmp_path: Path) -> None:
    np.savez(tmp_path / "samples.npz", x=np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32))
    path = identity(onnx_models, tmp_path, [1, 4], [1, 4])
    imported = import_onnx(path, "one", tmp_path / "out", Given(samples=tmp_path / "samples.npz"))
    assert not imported.package.manifest.batched
    assert read_golden(imported.package)[0]["x"].shape == (3, 1, 4)
    served(imported.package)


def test_a_model_that_mixes_its_samples_is_not_batched_whatever_its_shapes(
    onnx_models: ModuleType, tmp_path: Path
) -> None:
    path = identity(onnx_models, tmp_path, ["N", 4], ["N", 4], kind="Softmax", axis=0)
    imported = import_onnx(path, "across", tmp_path / "out")
    assert imported.unbatched == "output y of two samples in one batch is not that of each by itself"
    assert read_golden(imported.package)[0]["x"].shape == (8, 8, 4), "and its samples are of more than one row"
    with pytest.raises(BuildError, match="--batched: output y of two samples in one batch is not that of each"):
        import_onnx(path, "across", tmp_path / "out", Given(batched=True))


def test_what_is_fixed_in_the_file_cannot_be_the_batch(onnx_models: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"--batched: input state is FP32 \[2, batch, 4\], whose first dimension"):
        import_onnx(onnx_models.state(tmp_path), "state", tmp_path / "out", Given(batched=True))


def test_a_batch_can_be_denied(onnx_models: ModuleType, tmp_path: Path) -> None:
    imported = import_onnx(onnx_models.tokens(tmp_path), "tokens", tmp_path / "out", Given(batched=False))
    assert not imported.package.manifest.batched
    served(imported.package)


def test_an_output_that_the_file_says_nothing_of_has_the_rank_that_it_comes_with(
    onnx_models: ModuleType, tmp_path: Path
) -> None:
    manifest = import_onnx(identity(onnx_models, tmp_path, ["N", 4], None), "open", tmp_path / "out").package.manifest
    assert manifest.batched
    assert manifest.outputs[0].shape == [-1, -1]


def test_an_output_that_the_file_declares_wrongly_is_left_open(onnx_models: ModuleType, tmp_path: Path) -> None:
    imported = import_onnx(identity(onnx_models, tmp_path, ["N", 4], ["N", 5]), "wrong", tmp_path / "out")
    assert imported.package.manifest.outputs[0].shape == [-1, -1]
    served(imported.package)


def test_an_output_of_another_rank_than_declared_is_refused(onnx_models: ModuleType, tmp_path: Path) -> None:
    path = identity(onnx_models, tmp_path, ["N", 4], ["N", 4, 1])
    with pytest.raises(BuildError, match=r"output y is FP32 \[N, 4, 1\] in the file, and comes with 2 dimensions"):
        import_onnx(path, "wrong", tmp_path / "out")


def test_an_input_of_any_rank_needs_samples(onnx_models: ModuleType, tmp_path: Path) -> None:
    path = identity(onnx_models, tmp_path, None, None)
    with pytest.raises(BuildError, match="nothing of the rank of input 'x': give --samples"):
        import_onnx(path, "any", tmp_path / "out")
    np.savez(tmp_path / "samples.npz", x=np.ones((2, 3, 4), np.float32))
    imported = import_onnx(path, "any", tmp_path / "out", Given(samples=tmp_path / "samples.npz"))
    assert imported.package.manifest.inputs[0].shape == [-1, -1]
    served(imported.package)


def test_outputs_that_are_not_numbers_are_goldens_too(onnx_models: ModuleType, tmp_path: Path) -> None:
    path = identity(onnx_models, tmp_path, ["N", 4], ["N", 4], kind="Log")
    package = import_onnx(path, "log", tmp_path / "out").package
    assert np.isnan(read_golden(package)[1]["y"]).any()
    served(package)


def test_answers_of_several_shapes_are_goldens_as_far_as_they_are_alike(
    onnx_models: ModuleType, tmp_path: Path
) -> None:
    made = onnx_models.model(
        [helper.make_node("NonZero", ["x"], ["y"])],
        [onnx_models.tensor("x", "FP32", [4])],
        [onnx_models.tensor("y", "INT64", [1, "found"])],
    )
    path = onnx_models.save(tmp_path / "made.onnx", made)
    np.savez(tmp_path / "samples.npz", x=np.array([[1, 1, 0, 0], [0, 1, 1, 1], [0, 0, 1, 1]], np.float32))
    imported = import_onnx(path, "found", tmp_path / "out", Given(samples=tmp_path / "samples.npz"))
    assert (imported.samples, imported.left_out) == (2, 1)
    served(imported.package)


def test_goldens_are_bounded(onnx_models: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(goldens, "BYTES_MAX", 3 * 2 * 16)
    imported = import_onnx(identity(onnx_models, tmp_path, ["N", 4], ["N", 4]), "small", tmp_path / "out")
    assert (imported.samples, imported.left_out) == (3, 5)


def test_a_model_that_draws_random_numbers_is_taken_where_the_samples_leave_them_out(
    onnx_models: ModuleType, tmp_path: Path
) -> None:
    nodes = [
        helper.make_node("RandomNormalLike", ["x"], ["noise"]),
        helper.make_node("Mul", ["noise", "scale"], ["scaled"]),
        helper.make_node("Add", ["x", "scaled"], ["y"]),
    ]
    inputs = [onnx_models.tensor("x", "FP32", ["N", 64]), onnx_models.tensor("scale", "FP32", [])]
    made = onnx_models.model(nodes, inputs, [onnx_models.tensor("y", "FP32", ["N", 64])])
    path = onnx_models.save(tmp_path / "made.onnx", made)
    x = np.ones((2, 1, 64), np.float32)
    np.savez(tmp_path / "loud.npz", x=x, scale=np.ones(2, np.float32))
    with pytest.raises(BuildError, match="the model is not deterministic: output 'y' differs"):
        import_onnx(path, "noise", tmp_path / "out", Given(samples=tmp_path / "loud.npz"))
    np.savez(tmp_path / "still.npz", x=x, scale=np.zeros(2, np.float32))
    served(import_onnx(path, "noise", tmp_path / "out", Given(samples=tmp_path / "still.npz")).package)


def test_labels_make_a_classifier_of_it(onnx_models: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("bad\nso-so\n\ngood\n", "utf-8-sig")  # as Windows writes it
    made = onnx_models.tokens(tmp_path)
    manifest = import_onnx(made, "tokens", tmp_path / "out", Given(labels=tmp_path / "labels.txt")).package.manifest
    assert manifest.labels == ["bad", "so-so", "good"]
    assert manifest.postprocess is not None
    assert manifest.postprocess.top == 3


def test_labels_give_the_number_of_classes_that_the_file_leaves_open(onnx_models: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("a\nb\nc\nd\n", "utf-8")
    path = identity(onnx_models, tmp_path, ["N", 4], ["N", "classes"])
    manifest = import_onnx(path, "open", tmp_path / "out", Given(labels=tmp_path / "labels.txt")).package.manifest
    assert manifest.outputs[0].shape == [-1, 4]


def test_the_command_shows_what_it_made(onnx_models: ModuleType, tmp_path: Path, run: Run) -> None:
    path = onnx_models.state(tmp_path)
    status, said, _ = run(["import", path, "--name", "state", "--out", tmp_path / "out"])
    assert status == 0
    for text in ("INT64", "stateN", "[2, -1, 4]", "batched: no (input state is FP32 [2, batch, 4]", "8 samples"):
        assert text in said
    assert str(open_package(tmp_path / "out").folder) in said


def test_json_is_all_there_is_on_standard_output(onnx_models: ModuleType, tmp_path: Path, run: Run) -> None:
    path = onnx_models.strings(tmp_path)
    status, said, errors = run(["import", path, "--name", "words", "--out", tmp_path / "out", "--json"])
    assert (status, errors) == (0, "")
    content = json.loads(said)
    assert content["version"] == open_package(tmp_path / "out").manifest.version
    assert (content["name"], content["batched"], content["golden"]["samples"]) == ("words", True, 8)
    assert content["outputs"][0] == {"name": "joined", "datatype": "BYTES", "shape": [-1]}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tokens.onnx", "--name", "Bad Name", "--out", "out"], "name: String should match pattern .*Bad Name"),
        (["tokens.onnx", "--name", "x", "--out", "tokens.onnx"], "--out tokens.onnx is a file; expected a folder"),
        (["tokens.onnx", "--name", "x", "--out", "tokens.onnx/out"], "cannot be written to .*: Not a directory"),
        (["absent.onnx", "--name", "x", "--out", "out"], "absent.onnx cannot be read: No such file"),
        (["labels.txt", "--name", "x", "--out", "out"], "labels.txt is no ONNX model"),
        (["tokens.onnx", "--name", "x", "--out", "out", "--labels", "labels.txt"], "2 labels need one FP32 output"),
        (["tokens.onnx", "--name", "x", "--out", "out", "--labels", "absent"], "absent cannot be read"),
        (["tokens.onnx", "--name", "x", "--out", "out", "--samples", "labels.txt"], "labels.txt holds no arrays"),
        (
            ["tokens.onnx", "--name", "x", "--out", "out", "--samples", "far.npz"],
            "refuses a sample of .*out of data bounds",
        ),
        (["random.onnx", "--name", "x", "--out", "out"], r"draws random numbers \(RandomUniformLike\)"),
    ],
)
def test_what_cannot_be_imported_is_one_line_and_status_2(
    onnx_models: ModuleType,
    tmp_path: Path,
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    onnx_models.tokens(tmp_path)
    identity(onnx_models, tmp_path, ["N", 4], ["N", 4], kind="RandomUniformLike").rename(tmp_path / "random.onnx")
    (tmp_path / "labels.txt").write_text("one\ntwo\n", "utf-8")
    np.savez(tmp_path / "far.npz", input_ids=np.full((1, 2), 30), attention_mask=np.ones((1, 2), np.int64))
    status, said, errors = run(["import", *arguments])
    assert (status, said) == (2, "")
    assert errors.startswith("error: ")
    assert errors.count("\n") == 1
    assert re.search(message, errors)
    assert not (tmp_path / "out").exists(), "nothing is half written"


def test_the_commands_of_the_page_work(
    onnx_models: ModuleType, tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (ROOT / "docs/import.md").read_text("utf-8")
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    commands = [line for block in blocks for line in block.splitlines() if line.startswith("joulebox import")]
    assert len(commands) >= 3
    monkeypatch.chdir(tmp_path)
    onnx_models.tokens(tmp_path).rename(tmp_path / "model.onnx")
    (tmp_path / "labels.txt").write_text("bad\nso-so\ngood\n", "utf-8")
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    exec(code, {})
    for command in commands:
        status, said, errors = run(shlex.split(command, comments=True)[1:])
        assert (status, errors) == (0, ""), command
        assert said
    served(open_package(tmp_path / "out/reviews"))
