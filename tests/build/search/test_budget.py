"""A budget ends a search; one of joules needs something that says them."""

from pathlib import Path

import pytest

from joulebox_build.errors import BuildError
from joulebox_build.search.budget import Budget
from laid import LaidHost


def test_without_limits_it_never_ends() -> None:
    assert Budget(None, None).spent() is None


def test_time_runs_out() -> None:
    assert Budget(0, None).spent() == "the time budget is used up"
    assert Budget(1000, None).spent() is None


def test_joules_run_out_and_their_source_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("JOULEBOX_SYSFS", str(tmp_path))
    budget = Budget(None, 1e-9)
    sum(range(10**6))
    spent = budget.spent()
    assert spent is not None
    assert spent.startswith("the energy budget is used up: ")
    assert "(estimated)" in spent


def test_without_a_source_joules_cannot_be_limited(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    monkeypatch.setenv("JOULEBOX_SYSFS", str(tmp_path))
    monkeypatch.setenv("JOULEBOX_CPU_WATTS", "off")
    with pytest.raises(BuildError, match=r"--energy-budget 10: nothing on this host says joules .*; use --time-budget"):
        Budget(None, 10)


def test_a_counter_that_cannot_be_read_any_more_ends_the_search(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = LaidHost(tmp_path / "host")
    for name, value in host.environment.items():
        monkeypatch.setenv(name, value)
    budget = Budget(None, 1000.0)
    assert budget.spent() is None
    (host.zone / "energy_uj").unlink()
    assert "whether the energy budget is used up is unknown: " in str(budget.spent())
