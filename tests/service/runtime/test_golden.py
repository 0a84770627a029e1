"""The goldens: what they hold for models of every kind, and what counts as reproduced."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from joulebox.engine import Rung, open_engine
from joulebox.package import Package, PackageError, write_package
from joulebox.runtime.golden import GoldenMismatch, distance, read_golden, sample, verify

KINDS = ["state_package", "strings_package", "external_package"]
FLOATS = arrays.arrays(np.float32, arrays.array_shapes(max_side=4), elements=st.floats(width=32))


def check(package: Package) -> None:
    variant = package.manifest.variants[0]
    engine = open_engine(package, Rung(variant, variant.engine))
    verify(engine, variant, *read_golden(package), batched=package.manifest.batched)


@pytest.mark.parametrize("kind", KINDS)
def test_models_of_other_kinds_reproduce_their_goldens(tmp_path: Path, tiny: Any, kind: str) -> None:
    check(getattr(tiny, kind)(tmp_path / kind))


def test_a_sample_of_a_batched_model_is_a_batch_of_one() -> None:
    assert sample({"x": np.arange(6).reshape(3, 2)}, 1, batched=True)["x"].tolist() == [[2, 3]]


def test_a_sample_of_another_model_is_the_tensor_itself_of_rank_0_too() -> None:
    taken = sample({"x": np.arange(6).reshape(3, 2), "rate": np.array([7, 8, 9])}, 1, batched=False)
    assert taken["x"].tolist() == [2, 3]
    assert isinstance(taken["rate"], np.ndarray)
    assert (taken["rate"].shape, int(taken["rate"])) == ((), 8)


@pytest.mark.parametrize(
    ("name", "spoil", "message"),
    [
        ("state_package", lambda golden: golden["output.output"].__iadd__(0.5), "sample 0, output: off by 0.5"),
        ("state_package", lambda golden: golden["output.stateN"].fill(np.nan), "sample 0, stateN: off by inf"),
        ("strings_package", lambda golden: golden["output.id"].__iadd__(1), "sample 0, id: 1 of 1 values differ"),
        ("strings_package", lambda golden: golden["output.joined"].fill("x"), "sample 0, joined: 1 of 1 values differ"),
    ],
)
def test_what_is_not_reproduced_is_named(
    tmp_path: Path, tiny: Any, name: str, spoil: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(GoldenMismatch, match=message):
        check(spoiled(getattr(tiny, name)(tmp_path / "right"), tmp_path / "wrong", spoil))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda golden: golden.pop("input.sr"), "has no 2 samples of sr"),
        (lambda golden: golden.update({"input.sr": np.array([1, 2, 3])}), "has no 2 samples of sr"),
        (
            lambda golden: golden.update({"input.sr": np.array([1.0, 2.0])}),
            r"sr as float64 \[2\]; expected INT64 \[2\]",
        ),
        (
            lambda golden: golden.update({"input.state": np.zeros((2, 2, 1, 5), np.float32)}),
            r"state as float32 \[2, 2, 1, 5\]; expected FP32 \[2, 2, -1, 4\]",
        ),
    ],
)
def test_goldens_that_are_not_what_the_manifest_says_are_refused(
    tmp_path: Path, tiny: Any, spoil: Callable[[Any], object], message: str
) -> None:
    with pytest.raises(PackageError, match=message):
        read_golden(spoiled(tiny.state_package(tmp_path / "right"), tmp_path / "wrong", spoil))


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(content=st.binary(max_size=200) | st.binary(max_size=50).map(lambda more: b"PK\x03\x04" + more))
def test_goldens_of_any_bytes_are_a_package_error(package: Package, content: bytes) -> None:
    broken: Any = SimpleNamespace(manifest=package.manifest, read=lambda _: content)
    with pytest.raises(PackageError):
        read_golden(broken)


@given(values=FLOATS)
def test_floats_are_at_no_distance_from_themselves_nan_and_infinity_included(values: np.ndarray) -> None:
    assert distance(values, values) == 0


@given(values=FLOATS, other=st.sampled_from([np.nan, np.inf, -np.inf]))
def test_where_the_reference_is_not_finite_nothing_else_is_near(values: np.ndarray, other: float) -> None:
    finite = np.nan_to_num(values)
    reference = finite.copy()
    reference.flat[0] = other
    assert distance(finite, reference) == np.inf
    assert distance(reference, finite) == np.inf


def spoiled(package: Package, out: Path, spoil: Callable[[Any], object]) -> Package:
    """The package with other goldens, sealed again."""
    manifest = package.manifest
    with np.load(package.folder / "golden.npz") as archive:
        golden = dict(archive)
    spoil(golden)
    path = out.with_suffix(".npz")
    np.savez(path, **golden)
    files = {file: package.read(file) for file in manifest.files} | {"golden.npz": path.read_bytes()}
    kept = manifest.model_dump(exclude={"version", "files", "evidence", "checksum"})
    return write_package(out, kept, files, {})
