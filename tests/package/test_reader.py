"""What is not exactly what was written is refused, with one clear line."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from joulebox.package import Package, PackageError, digest, open_package

Make = Callable[..., Package]
tampering = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=150)
"""The fixture's package is put back after each example."""

TEXT = {"name": "text", "datatype": "BYTES", "shape": [-1]}
VARIANT: dict[str, Any] = {
    "name": "cpu-fp32",
    "file": "variants/cpu-fp32.onnx",
    "engine": "onnxruntime",
    "provider": "CPUExecutionProvider",
    "engine_version_min": "1.20",
    "precision": "fp32",
    "golden_tolerance": 0.001,
}


def check(folder: Path) -> None:
    open_package(folder).verify()


def everything(package: Package) -> list[Path]:
    return sorted(path for path in package.folder.rglob("*") if path.is_file())


def reseal(package: Package, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes the manifest as someone would who knows how it is sealed."""
    path = package.folder / "manifest.json"
    content = json.loads(path.read_bytes())
    change(content)
    content["version"] = digest.version(content)
    content["checksum"] = digest.checksum(content)
    path.write_bytes(digest.render(content))


def test_reads_what_was_written(make: Make) -> None:
    package = make()
    assert package.read("golden.npz") == b"inputs and outputs"
    assert package.read("report.html") == b"<p>0.9</p>"
    assert package.manifest.labels == ["no", "Jäger–Σ"]
    check(package.folder)


@pytest.mark.parametrize("path", ["", "current"])
def test_opens_the_current_version(make: Make, tmp_path: Path, path: str) -> None:
    package = make()
    assert open_package(tmp_path / "toy" / path) == package


@tampering
@given(st.data())
def test_any_changed_byte_is_detected(make: Make, data: st.DataObject) -> None:
    package = make()
    path = data.draw(st.sampled_from(everything(package)))
    content = path.read_bytes()
    place = data.draw(st.integers(0, len(content) - 1))
    value = data.draw(st.integers(0, 255).filter(lambda value: value != content[place]))
    path.write_bytes(content[:place] + bytes([value]) + content[place + 1 :])
    with pytest.raises(PackageError):
        check(package.folder)
    path.write_bytes(content)


@tampering
@given(st.data())
def test_truncation_and_growth_are_detected(make: Make, data: st.DataObject) -> None:
    package = make()
    path = data.draw(st.sampled_from(everything(package)))
    content = path.read_bytes()
    shorter = st.integers(0, len(content) - 1).map(lambda size: content[:size])
    longer = st.binary(min_size=1, max_size=20).map(lambda more: content + more)
    path.write_bytes(data.draw(shorter | longer))
    with pytest.raises(PackageError):
        check(package.folder)
    path.write_bytes(content)


@settings(deadline=None)
@given(raw=st.binary(max_size=200) | st.text(alphabet='{}[]":,0123456789.eE-NaInfity', max_size=60).map(str.encode))
def test_a_manifest_of_any_bytes_is_refused_with_one_line(tmp_path_factory: pytest.TempPathFactory, raw: bytes) -> None:
    folder = tmp_path_factory.mktemp("package")
    (folder / "manifest.json").write_bytes(raw)
    with pytest.raises(PackageError) as caught:
        open_package(folder)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999", '"\\ud800"', "[" * 5000 + "]" * 5000, "9" * 5000])
def test_values_that_have_no_digest_are_refused(make: Make, value: str) -> None:
    path = make().folder / "manifest.json"
    path.write_text(path.read_text().replace('"seed": 0', f'"seed": {value}'))
    with pytest.raises(PackageError):
        open_package(path.parent)


def test_a_package_made_before_there_was_batched_is_batched(make: Make) -> None:
    manifest = make().manifest
    assert manifest.batched
    assert manifest.variants[0].external_data == []


def test_what_is_not_batched_may_have_any_shape(make: Make) -> None:
    shapes = [[], [-1, 3, -1], [2]]
    inputs = [{"name": str(number), "datatype": "INT64", "shape": shape} for number, shape in enumerate(shapes)]
    manifest = make(batched=False, inputs=inputs, preprocess=None).manifest
    assert [spec.shape for spec in manifest.inputs] == shapes


def test_a_missing_file_is_named(make: Make) -> None:
    package = make()
    (package.folder / "golden.npz").unlink()
    with pytest.raises(PackageError, match=r"golden\.npz cannot be read"):
        package.verify()


def test_an_unlisted_file_is_found_and_never_read(make: Make) -> None:
    package = make()
    (package.folder / "variants/evil.plan").write_bytes(b"code")
    with pytest.raises(PackageError, match=r"holds variants/evil\.plan, which its manifest does not list"):
        package.verify()
    with pytest.raises(PackageError, match="not listed"):
        package.read("variants/evil.plan")


def test_an_unlisted_link_to_a_folder_is_found(make: Make, tmp_path: Path) -> None:
    package = make()
    (package.folder / "more").symlink_to(tmp_path)
    with pytest.raises(PackageError, match="holds more"):
        package.verify()


@pytest.mark.parametrize(
    "name", ["../golden.npz", "/etc/passwd", "a/../../b", "./a", "", "a//b", ".hidden", "manifest.json"]
)
def test_a_listed_path_that_is_none_of_the_package_is_refused(make: Make, name: str) -> None:
    package = make()
    entry = {"sha256": digest.sha256(b"x"), "size": 1}
    reseal(package, lambda content: content["files"].update({name: entry}))
    with pytest.raises(PackageError):
        open_package(package.folder)


def test_a_link_out_of_the_package_is_refused_even_to_the_right_bytes(make: Make, tmp_path: Path) -> None:
    package = make()
    shutil.move(package.folder / "golden.npz", tmp_path / "golden.npz")
    (package.folder / "golden.npz").symlink_to(tmp_path / "golden.npz")
    with pytest.raises(PackageError, match="leads outside the package"):
        package.read("golden.npz")


def test_a_folder_that_links_out_of_the_package_is_refused(make: Make, tmp_path: Path) -> None:
    package = make()
    shutil.move(package.folder / "variants", tmp_path / "variants")
    (package.folder / "variants").symlink_to(tmp_path / "variants")
    with pytest.raises(PackageError, match="leads outside the package"):
        package.read("variants/cpu-fp32.onnx")


def test_a_manifest_that_links_out_of_the_package_is_refused(make: Make, tmp_path: Path) -> None:
    package = make()
    shutil.move(package.folder / "manifest.json", tmp_path / "manifest.json")
    (package.folder / "manifest.json").symlink_to(tmp_path / "manifest.json")
    with pytest.raises(PackageError, match="leads outside the package"):
        open_package(package.folder)


def test_a_loop_of_links_is_refused(make: Make) -> None:
    package = make()
    (package.folder / "golden.npz").unlink()
    (package.folder / "golden.npz").symlink_to("golden.npz")
    with pytest.raises(PackageError):
        package.read("golden.npz")


def test_a_pipe_is_refused_and_not_waited_for(make: Make) -> None:
    package = make()
    (package.folder / "golden.npz").unlink()
    os.mkfifo(package.folder / "golden.npz")
    with pytest.raises(PackageError, match="no regular file"):
        package.read("golden.npz")


@pytest.mark.parametrize("schema", [2, 10**9])
def test_a_newer_schema_says_upgrade(make: Make, schema: int) -> None:
    package = make()
    reseal(package, lambda content: content.update(schema_version=schema, novelty=True))
    with pytest.raises(PackageError, match=f"schema version {schema}; this joulebox reads up to 1: upgrade"):
        open_package(package.folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"novelty": 1}, "novelty"),
        ({"name": "../toy"}, "name"),
        ({"labels": ["one"]}, "1 labels need one FP32 output"),
        ({"variants": []}, "variants"),
        ({"golden": {"file": "absent.npz", "samples": 1}}, r"absent\.npz is used but not listed"),
        ({"schema_version": "1"}, "schema_version"),
        ({"batched": False}, "the model is not batched"),
        ({"inputs": [TEXT, TEXT], "preprocess": None}, "inputs have the same name: text, text"),
        ({"inputs": [{**TEXT, "shape": [1]}], "preprocess": None}, r"input text has shape \[1\]; a batched model's"),
        ({"inputs": [{**TEXT, "shape": []}], "preprocess": None}, r"input text has shape \[\]; a batched model's"),
        ({"variants": [{**VARIANT, "external_data": ["variants/w.data"]}]}, r"variants/w\.data is used but not listed"),
        ({"variants": [{**VARIANT, "external_data": ["golden.npz"]}]}, r"external data golden\.npz is not beside"),
        ({"variants": [{**VARIANT, "external_data": ["variants/../golden.npz"]}]}, "external_data"),
        ({"variants": [{**VARIANT, "external_data": [VARIANT["file"]]}]}, "is not beside or below"),
    ],
)
def test_a_sealed_but_unsound_manifest_names_the_key(make: Make, change: dict[str, Any], message: str) -> None:
    package = make()
    reseal(package, lambda content: content.update(change))
    with pytest.raises(PackageError, match=message):
        open_package(package.folder)


def test_a_forged_version_is_refused(make: Make) -> None:
    package = make()
    path = package.folder / "manifest.json"
    content = json.loads(path.read_bytes())
    content["version"] = "0" * 16
    content["checksum"] = digest.checksum(content)
    path.write_bytes(digest.render(content))
    with pytest.raises(PackageError, match="changed after it was made"):
        open_package(package.folder)


def test_no_package_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="`joulebox build` makes one"):
        open_package(tmp_path)


def test_a_copy_without_links_is_read_where_it_holds_one_version(make: Make, tmp_path: Path) -> None:
    package = make()
    (tmp_path / "toy/current").unlink()
    assert open_package(tmp_path / "toy") == package


def test_a_copy_without_links_and_with_several_versions_is_ambiguous(make: Make, tmp_path: Path) -> None:
    versions = sorted(make(name=name).manifest.version for name in ("one", "two"))
    (tmp_path / "toy/current").unlink()
    with pytest.raises(PackageError, match=", ".join(versions)):
        open_package(tmp_path / "toy")
