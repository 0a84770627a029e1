"""Settings come from the environment; a wrong one is named."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from joulebox.runtime.settings import SettingError, load_settings


def test_packages_are_named_or_those_that_lie_beside_the_models(tmp_path: Path) -> None:
    (tmp_path / "models/fashion/package").mkdir(parents=True)
    assert load_settings({}, tmp_path).packages == (tmp_path / "models/fashion/package",)
    named = {"JOULEBOX_PACKAGES": os.pathsep.join(["/a", "/b"])}
    assert load_settings(named, tmp_path).packages == (Path("/a"), Path("/b"))


@pytest.mark.parametrize("value", ["many", "-1", "99999999999"])
def test_a_number_out_of_range_is_named(tmp_path: Path, value: str) -> None:
    with pytest.raises(SettingError, match=f"JOULEBOX_QUEUE_SIZE='{value}'"):
        load_settings({"JOULEBOX_QUEUE_SIZE": value}, tmp_path)
