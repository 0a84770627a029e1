"""What was kept is had again as it was, or not at all."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from joulebox_build.train.checkpoint import keep, kept

STATE = {"weights": torch.arange(60.0).reshape(6, 10), "epochs": [{"loss": 0.5}, {"loss": 0.25}]}


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("kept") / "checkpoint.pt"
    keep(path, STATE)
    return path


def test_what_was_kept_is_had_again(file: Path) -> None:
    state = kept(file)
    assert state
    assert torch.equal(state["weights"], STATE["weights"])
    assert state["epochs"] == STATE["epochs"]


def test_nothing_was_kept(tmp_path: Path) -> None:
    assert kept(tmp_path / "checkpoint.pt") is None


@given(place=st.floats(0, 1, exclude_max=True), flipped=st.integers(1, 255))
def test_any_flipped_byte_is_noticed(file: Path, place: float, flipped: int) -> None:
    content = bytearray(file.read_bytes())
    content[int(place * len(content))] ^= flipped
    damaged = file.with_name("damaged.pt")
    damaged.write_bytes(content)
    assert kept(damaged) is None


@given(part=st.floats(0, 1, exclude_max=True), more=st.binary(max_size=8))
def test_a_file_cut_short_or_gone_on_with_is_noticed(file: Path, part: float, more: bytes) -> None:
    content = file.read_bytes()
    damaged = file.with_name("damaged.pt")
    damaged.write_bytes(content[: int(part * len(content))] + more)
    assert kept(damaged) is None


@given(content=st.binary(max_size=100))
def test_any_other_content_is_noticed(file: Path, content: bytes) -> None:
    damaged = file.with_name("damaged.pt")
    damaged.write_bytes(content)
    assert kept(damaged) is None
