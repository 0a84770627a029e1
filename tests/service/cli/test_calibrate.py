"""`joulebox calibrate`: idle power of a host at rest is kept, shown and used; of one that is not at rest, it is not."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import httpx
import pytest

from joulebox.package import Package
from laid import LaidHost
from servers import serving, wait_until


def test_idle_power_is_measured_kept_and_shown_with_its_date(run: Any, package: Package, laid: LaidHost) -> None:
    done = run("calibrate", package.folder, "--seconds", 4, "--json", **laid.environment)
    assert (done.status, done.err) == (0, "")
    (device,) = done.json["devices"]
    assert (device["device"], device["reader"], device["source"]) == ("cpu-package-0", "rapl", "measured")
    assert device["idle_watts"] == pytest.approx(10.0, abs=1.0)  # and what this process computes meanwhile
    assert 0 < device["error_watts"] < 0.5
    loaded = f"tiny {package.manifest.version} (cpu-fp32)"
    assert done.json["loaded"] == [loaded]
    assert done.json["others_busy"] == pytest.approx(0.0, abs=0.02)
    assert Path(done.json["kept"]).is_relative_to(laid.state)
    (shown,) = run("doctor", "--json").json["calibrations"]
    assert (shown["device"], shown["watts"], shown["loaded"]) == ("cpu-package-0", device["idle_watts"], [loaded])
    table = run("doctor", COLUMNS="200").out
    assert shown["measured_at"] in table
    assert "calibrated" in table


def test_a_host_where_others_work_is_refused_and_nothing_is_kept(run: Any, tmp_path: Path) -> None:
    with LaidHost(tmp_path / "host", others_busy=0.6).running() as host:
        done = run("calibrate", "--seconds", 4, **host.environment)
    assert done.status == 1
    assert "cpu-package-0" in done.out
    assert done.err.startswith("error: this host was not at rest: other processes kept its cores ")
    assert "expected at most 5%" in done.err
    assert done.err.count("\n") == 1
    assert not host.state.exists()


def test_power_that_is_not_steady_is_refused(run: Any, tmp_path: Path) -> None:
    steps = iter(range(10**6))
    with LaidHost(tmp_path / "host", dynamic_joules=lambda: next(steps) ** 2 / 1e4).running() as host:
        done = run("calibrate", "--seconds", 4, **host.environment)
    assert done.status == 1
    assert "cpu-package-0 was not at rest: " in done.err
    assert not host.state.exists()


def test_a_host_that_does_not_say_whether_it_is_at_rest_is_refused(run: Any, laid: LaidHost) -> None:
    done = run("calibrate", "--seconds", 1, **{**laid.environment, "JOULEBOX_PROCFS": "/nowhere"})
    assert done.status == 1
    assert "cannot be told: /proc/stat does not say" in done.err


def test_a_counter_that_is_lost_is_said(run: Any, laid: LaidHost, monkeypatch: pytest.MonkeyPatch) -> None:
    from joulebox.cli import calibrate  # noqa: PLC0415

    watch = calibrate.watch_rest

    def lost(*arguments: Any, **named: Any) -> Any:
        (laid.zone / "energy_uj").unlink()
        return watch(*arguments, **named)

    monkeypatch.setattr(calibrate, "watch_rest", lost)
    done = run("calibrate", "--seconds", 1, "--json", **laid.environment)
    assert done.status == 1
    assert "cpu-package-0 could not be watched" in done.err
    assert done.json["devices"][0]["idle_watts"] is None
    assert "No such file" in done.json["devices"][0]["reason"]


def test_a_host_without_a_counter_says_what_was_looked_for(run: Any, tmp_path: Path) -> None:
    done = run("calibrate", JOULEBOX_SYSFS=str(tmp_path), JOULEBOX_ENERGY_OFF="nvml,pi")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("error: this host has nothing that measures energy")
    assert "rapl: " in done.err
    assert done.err.count("\n") == 1


def test_what_is_no_package_is_said_before_anything_is_watched(run: Any, laid: LaidHost, tmp_path: Path) -> None:
    done = run("calibrate", tmp_path / "nothing", **laid.environment)
    assert done.status == 2
    assert "is no model package" in done.err


def test_a_package_that_does_not_work_here_is_said(run: Any, laid: LaidHost, twofold: Package) -> None:
    (only,) = [each for each in twofold.manifest.variants if each.name == "cpu-fp32"]
    (twofold.folder / only.file).write_bytes(b"x" * twofold.manifest.files[only.file].size)
    done = run("calibrate", twofold.folder, **laid.environment)
    assert done.status == 2
    assert "changed" in done.err


def test_a_server_uses_it_until_it_has_learnt_more(run: Any, package: Package, tmp_path: Path) -> None:
    """The counter ticks slowly, so that learning takes a while."""
    with LaidHost(tmp_path / "host", dynamic_joules=lambda: 0.0).running() as host:
        assert run("calibrate", "--seconds", 2, **host.environment).status == 0
    (calibration,) = json.loads(next(host.state.rglob("calibration.json")).read_text())["devices"]
    slow = LaidHost(tmp_path / "slow", dynamic_joules=lambda: 0.0, tick_s=1.0)
    environment = {**slow.environment, "JOULEBOX_STATE": str(host.state)}
    with slow.running(), serving(package.folder, environment={**os.environ, **environment}) as address:

        def device() -> dict[str, Any]:
            found = httpx.get(f"{address}/energy").json()["devices"]
            return found[0] if found else {}

        wait_until(lambda: device().get("idle_source") is not None)
        found = device()
        assert found["idle_source"] == "calibration"
        assert found["idle_watts"] == calibration["watts"]
        wait_until(lambda: device()["idle_source"] == "learnt", 60)
