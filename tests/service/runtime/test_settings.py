"""Settings come from the environment; a wrong one is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from joulebox.runtime.settings import SettingError, Settings, load_settings


def test_packages_are_named_or_those_that_lie_beside_the_models(tmp_path: Path) -> None:
    (tmp_path / "models/fashion/package").mkdir(parents=True)
    assert load_settings({}, tmp_path).packages == (tmp_path / "models/fashion/package",)
    named = {"JOULEBOX_PACKAGES": os.pathsep.join(["/a", "/b"])}
    assert load_settings(named, tmp_path).packages == (Path("/a"), Path("/b"))


@pytest.mark.parametrize("value", ["many", "-1", "99999999999"])
def test_a_number_out_of_range_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingError, match=f"JOULEBOX_QUEUE_SIZE='{value}'"):
        load_settings({"JOULEBOX_QUEUE_SIZE": value}, tmp_path)


@pytest.mark.parametrize(
    ("threads", "tuned", "workers", "expected"),
    [
        (None, None, 1, 1),
        (None, 4, 1, 4),
        (None, 4, 4, 2),  # of eight cores
        (None, 4, 16, 1),
        (3, 4, 1, 3),
        (0, 4, 1, 0),
        (0, None, 1, 0),
    ],
)
def test_threads_are_as_set_else_as_tuned_where_all_workers_have_the_cores(
    monkeypatch: pytest.MonkeyPatch, threads: int | None, tuned: int | None, workers: int, expected: int
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 8)
    assert Settings(threads=threads, workers=workers).threads_for(tuned) == expected
