"""One worker takes over the counters from another: nothing is counted twice, and no energy is lost."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from host import full_disk
from joulebox.runtime.handover import FILE
from sampled import DEVICE, IDLE_WATTS, ITEM_S, WATTS, Host, varied

LABELS = {"device": "cpu-package-0", "source": "measured"}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return Host(tmp_path, monkeypatch)


def test_the_next_one_goes_on_with_all_that_was_learnt(host: Host) -> None:
    host.runs(10)
    host.runs(60, varied)
    before = host.sampler.state
    host.die()
    host.passes(0.5, {"big": 0.5})
    host.lead()
    host.runs(60, varied)
    (device,) = host.sampler.state["devices"]
    assert device["joules_total"] == pytest.approx(host.joules - 1000.0, rel=1e-6)
    assert (device["gaps"], device["unknown_seconds"], device["idle_source"]) == (0, 0.0, "learnt")
    assert device["idle_watts"] == pytest.approx(IDLE_WATTS, rel=1e-3)
    handover = 0.5 * IDLE_WATTS + 0.25 * WATTS["big"]
    assert device["unattributed"]["handover"] == pytest.approx(handover, rel=1e-3)
    for row, old in zip(host.sampler.state["models"], before["models"], strict=True):
        assert row["inferences"] > old["inferences"]
        assert row["joules_per_inference"] == pytest.approx(WATTS[row["model"]] * ITEM_S, rel=0.01)
        assert row["ci95"][0] <= row["joules_per_inference"] <= row["ci95"][1]


def test_a_budget_that_is_exceeded_stays_so_and_is_said_and_counted_no_more_often(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host = Host(tmp_path, monkeypatch, budgets="big=1W/20s")
    host.runs(10)
    host.runs(35, varied)
    counted = host.sample("joulebox_energy_budget_exceeded_total", model="big")
    host.die()
    host.passes(0.5, {"big": 0.5})
    host.lead()
    host.runs(4, varied)
    (row,) = host.sampler.state["budgets"]
    assert (row["over"], row["figure"]) == (True, None), "half a window has to be seen again"
    assert host.sample("joulebox_energy_budget_exceeded_total", model="big") == counted
    host.runs(10, varied)
    (row,) = host.sampler.state["budgets"]
    assert row["figure"] == pytest.approx(WATTS["big"] * 0.4, rel=0.2)
    assert caplog.text.count("big is over its energy budget of 1 W over 20 s") == 1


@given(
    deaths=st.lists(
        st.tuples(
            st.integers(0, 12),  # ticks until it dies
            st.booleans(),  # in the middle of a tick
            st.floats(0.0, 30.0),  # until the next one is there
            st.floats(0.0, 1.0),
        ),
        min_size=1,
        max_size=5,
    )
)
def test_no_joule_is_counted_twice_or_lost_however_often_one_dies(
    deaths: list[tuple[int, bool, float, float]],
) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as monkeypatch:
        host = Host(Path(folder), monkeypatch)
        host.runs(5)
        for ticks, within, away_s, part in deaths:
            host.runs(ticks / 4, varied)
            if within:
                host.passes(0.1, {"small": part})
            host.die()
            host.passes(away_s, {"big": part})
            host.lead()
        host.runs(0.25)
        (device,) = host.sampler.state["devices"]
        booked = device["idle_joules"] or 0.0
        booked += device["unattributed_joules"] + sum(row["dynamic_joules"] for row in host.sampler.state["models"])
        assert device["joules_total"] == pytest.approx(host.joules - 1000.0, abs=1e-3)
        assert booked == pytest.approx(device["joules_total"], rel=1e-9)
        assert host.sample("joulebox_device_energy_joules_total", **LABELS) == pytest.approx(device["joules_total"])


def test_what_was_booked_but_not_left_is_not_exported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """It dies between two ticks: what it had booked since is booked again by the next one."""
    host.runs(5)
    exported = host.sample("joulebox_device_energy_joules_total", **LABELS)
    host.passes(0.25, {"big": 1.0})

    def killed() -> None:
        raise SystemExit

    monkeypatch.setattr(host.sampler, "_leave", killed)
    with pytest.raises(SystemExit):
        host.ticks()
    assert host.sample("joulebox_device_energy_joules_total", **LABELS) == exported


def test_on_a_full_disk_counting_goes_on_and_an_old_file_is_not_taken_for_new(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.runs(5)
    with full_disk():
        host.runs(1)
    assert caplog.text.count("the ledgers cannot be kept") == 1
    assert not (tmp_path / FILE).exists()
    host.runs(1)
    (device,) = host.sampler.state["devices"]
    assert host.sample("joulebox_device_energy_joules_total", **LABELS) == pytest.approx(device["joules_total"])
    assert device["joules_total"] == pytest.approx(host.joules - 1000.0)


def test_a_damaged_file_is_reported_and_counting_begins_anew(
    host: Host, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    host.runs(5)
    host.die()
    (tmp_path / FILE).write_bytes(b"half a pickle")
    host.lead()
    host.runs(5)
    assert caplog.text.count("energy is counted anew") == 1
    assert host.sampler.state["devices"][0]["joules_total"] == pytest.approx(5 * IDLE_WATTS)


def test_a_meter_that_cannot_go_on_leaves_a_gap(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.runs(10)
    (book,) = host.sampler._books
    monkeypatch.setattr(book.meter, "mark", tuple)
    host.runs(0.25)
    host.die()
    host.passes(5.0, {"big": 1.0})
    host.lead()
    host.runs(5)
    (device,) = host.sampler.state["devices"]
    assert (device["gaps"], device["idle_source"]) == (1, "learnt")
    assert device["unknown_seconds"] == pytest.approx(5.0)
    assert device["joules_total"] == pytest.approx(15.25 * IDLE_WATTS)


def test_another_device_of_the_same_name_is_counted_anew(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A card that was replaced, a battery that says power now and not what is left."""
    host.runs(10)
    host.die()
    monkeypatch.setattr("sampled.DEVICE", replace(DEVICE, note="another"))
    host.lead()
    host.runs(2)
    assert "counted anew: cpu-package-0" in caplog.text
    assert host.sampler.state["devices"][0]["joules_total"] == pytest.approx(2 * IDLE_WATTS)


def test_what_another_version_left_is_not_used(
    host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    host.runs(10)
    host.die()
    monkeypatch.setattr("joulebox.__version__", "99.0")
    host.lead()
    host.runs(2)
    assert "this is 99.0" in caplog.text
    assert host.sampler.state["devices"][0]["joules_total"] == pytest.approx(2 * IDLE_WATTS)
