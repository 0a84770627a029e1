"""A stage's key follows the code that it runs."""

import sys
from pathlib import Path

import pytest

from joulebox_build.job import STAGES
from joulebox_build.provenance import sources


def test_modules_that_are_imported_near_or_far_count() -> None:
    found = sources("joulebox_build.train.distill")
    assert {"joulebox_build.train.distill", "joulebox_build.train.fit", "joulebox_build.train.model"} <= found.keys()
    assert "joulebox_build.report.report" not in found


def test_every_stage_names_modules_that_exist() -> None:
    for modules in STAGES.values():
        names = [f"joulebox_build.{module}" for module in modules]
        assert set(names) <= sources(*names).keys()


def test_a_changed_import_changes_the_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "joulebox_build_of_test"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "far.py").write_text("X = 1\n", "utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("joulebox_build.provenance.OURS", ("joulebox_build_of_test",))
    (package / "near.py").write_text("from joulebox_build_of_test.far import X\n", "utf-8")
    before = sources.__wrapped__("joulebox_build_of_test.near")
    (package / "far.py").write_text("X = 2\n", "utf-8")
    after = sources.__wrapped__("joulebox_build_of_test.near")
    assert before.keys() == after.keys() == {"joulebox_build_of_test.near", "joulebox_build_of_test.far"}
    assert before != after
    sys.modules.pop("joulebox_build_of_test", None)
