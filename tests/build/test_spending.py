"""What stages take: seconds, and joules with their source, or an explicit unknown."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from joulebox.energy import open_sources
from joulebox.energy.reader import Device, ReadError
from joulebox_build.report.making import making
from joulebox_build.spending import Spending, Spent
from joulebox_build.stage import Stages

COUNTER = Device("package-0", "rapl", "measured", "a counter")
POWER = Device("board", "ina", "integrated", "samples")


class Counting:
    """A meter that has 2 J more each time it is asked, until it breaks."""

    def __init__(self, device: Device, breaks_at: int = 10**6) -> None:
        self.device = device
        self._asked = 0
        self._breaks_at = breaks_at

    def joules(self) -> float:
        self._asked += 1
        if self._asked >= self._breaks_at:
            raise ReadError("gone")
        return 2.0 * self._asked

    def mark(self) -> tuple[float, ...]:
        return ()

    def resume(self, mark: tuple[float, ...]) -> None:
        raise NotImplementedError


def test_joules_are_the_difference_summed_over_devices_and_as_good_as_the_worst_source(tmp_path: Path) -> None:
    with Spending([Counting(COUNTER), Counting(POWER)]).watch(tmp_path / "spent.json") as spent:
        pass
    assert (spent.joules, spent.source) == (4.0, "integrated")
    assert spent.seconds is not None
    assert spent.seconds > 0


def test_a_counter_that_cannot_be_read_once_makes_the_sum_unknown(tmp_path: Path) -> None:
    with Spending([Counting(COUNTER), Counting(POWER, breaks_at=2)]).watch(tmp_path / "spent.json") as spent:
        pass
    assert (spent.joules, spent.source) == (None, None)


def test_without_a_meter_energy_is_unknown_and_time_is_not(tmp_path: Path) -> None:
    with Spending([]).watch(tmp_path / "spent.json") as spent:
        pass
    assert (spent.joules, spent.source) == (None, None)
    assert spent.seconds is not None
    assert spent.seconds > 0


def test_an_estimate_grows_with_the_cpu_time_of_this_process(tmp_path: Path) -> None:
    meters = open_sources(
        {"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_CPU_WATTS": "5", "JOULEBOX_ENERGY_OFF": "nvml,pi"}
    )
    with Spending(meters.meters).watch(tmp_path / "spent.json") as spent:
        sum(range(3_000_000))
    assert spent.source == "estimated"
    assert spent.joules is not None
    assert spent.joules > 0


def test_a_cached_stage_shows_what_it_took_when_it_was_made(cache: Path) -> None:
    def run(spending: Spending | None) -> Stages:
        stages = Stages(cache, spending=spending)
        stages.run("distill", {}, {}, lambda _: {"file": b""})
        return stages

    first, second = run(Spending([Counting(COUNTER)])), run(None)
    assert second.log[0].cached
    assert second.log[0].spent == first.log[0].spent
    assert making(second.log, {second.log[0].key})["training_joules"] == 2.0


def _cut_off(scratch: Path) -> dict[str, bytes]:
    (scratch / "checkpoint").write_bytes(b"")
    raise KeyboardInterrupt


@pytest.mark.parametrize("times", [0, 1, 3])
def test_a_stage_that_was_cut_off_and_went_on_says_the_sum_of_all_attempts(cache: Path, times: int) -> None:
    for device in (COUNTER, POWER, COUNTER)[:times]:
        with pytest.raises(KeyboardInterrupt):
            Stages(cache, spending=Spending([Counting(device)])).run("distill", {}, {}, _cut_off)
    stages = Stages(cache, spending=Spending([Counting(COUNTER)]))
    spent = stages.run("distill", {}, {}, lambda _: {"file": b""}).spent
    assert (spent.joules, spent.source) == (2.0 * (times + 1), "integrated" if times == 3 else "measured")
    assert Stages(cache).run("distill", {}, {}, _cut_off).spent == spent  # read again, it is not counted again


@pytest.mark.parametrize("blind", [0, 1])
def test_joules_of_which_one_attempt_is_unknown_are_unknown_and_the_time_is_not(cache: Path, blind: int) -> None:
    meters = [[Counting(COUNTER)], [Counting(COUNTER)]]
    meters[blind] = []
    with pytest.raises(KeyboardInterrupt):
        Stages(cache, spending=Spending(meters[0])).run("distill", {}, {}, _cut_off)
    spent = Stages(cache, spending=Spending(meters[1])).run("distill", {}, {}, lambda _: {"file": b""}).spent
    assert (spent.joules, spent.source) == (None, None)
    assert spent.seconds is not None


@pytest.mark.parametrize("record", [None, "", "[]", '{"seconds": 1'])
def test_a_stage_whose_record_is_lost_does_not_claim_to_know(cache: Path, record: str | None) -> None:
    with pytest.raises(KeyboardInterrupt):
        Stages(cache).run("distill", {}, {}, _cut_off)
    (kept,) = cache.glob(".scratch-*/spent.json")
    kept.unlink()
    if record is not None:
        kept.write_text(record, "utf-8")
    stages = Stages(cache, spending=Spending([Counting(COUNTER)]))
    made = stages.run("distill", {}, {}, lambda _: {"file": b""})
    found = making(stages.log, {made.key})
    assert made.spent == Spent()
    assert (found["training_seconds"], found["training_joules"]) == (None, None)


KILLED = """
import os, signal, sys, time
from pathlib import Path
from joulebox.energy import open_sources
from joulebox_build import spending, stage
spending.POLL_S, spending.KEEP_S = 0.02, 0.1

def make(scratch):
    (scratch / "checkpoint").write_bytes(b"")
    began = time.monotonic()
    while time.monotonic() - began < 1.0:  # it computes, and so the estimate grows
        pass
    os.kill(os.getpid(), signal.SIGKILL)

meters = spending.Spending(open_sources(os.environ).meters)
stage.Stages(Path(sys.argv[1]), spending=meters).run("distill", {}, {}, make)
"""


def test_a_killed_stage_that_goes_on_adds_what_was_recorded_last(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("SYSFS", str(tmp_path)), ("CPU_WATTS", "10"), ("ENERGY_OFF", "nvml,pi")):
        monkeypatch.setenv(f"JOULEBOX_{name}", value)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    began = time.monotonic()
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(cache)], env=environment, check=False, capture_output=True, timeout=120
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()
    (kept,) = cache.glob(".scratch-*/spent.json")
    before = json.loads(kept.read_text("utf-8"))
    assert 0 < before["seconds"] < time.monotonic() - began
    assert before["joules"] > 0
    with Spending(open_sources(os.environ).meters).watch(tmp_path / "alone" / "spent.json") as alone:
        spent = _made(Stages(cache, spending=Spending(open_sources(os.environ).meters)))
    assert alone.seconds is not None
    assert alone.joules is not None
    assert before["seconds"] < spent.seconds <= before["seconds"] + alone.seconds
    assert before["joules"] < spent.joules <= before["joules"] + alone.joules
    assert spent.source == "estimated"
    assert not kept.exists()


def _made(stages: Stages) -> Any:
    return stages.run("distill", {}, {}, lambda _: {"file": str(sum(range(10**6))).encode()}).spent


def test_what_a_stage_took_is_not_in_its_digest_and_an_entry_without_it_is_taken(cache: Path) -> None:
    made = Stages(cache).run("stage", {}, {}, lambda _: {"file": b""})
    (index,) = cache.glob("stage-*/stage.json")
    kept = json.loads(index.read_text())
    del kept["spent"]
    index.write_text(json.dumps(kept))
    again = Stages(cache).run("stage", {}, {}, _cut_off)
    assert (again.cached, again.spent, again.digest) == (True, Spent(), made.digest)


def test_each_stage_is_listed_once_and_what_led_to_the_shipped_files_is_summed_apart_from_the_rest(cache: Path) -> None:
    stages = Stages(cache, spending=Spending([Counting(COUNTER)]))
    for name, of in (("distill", ""), ("distill", "study"), ("answer", "test"), ("distill", "again")):
        inputs = {"of": of if of == "study" else ""}
        stages.run(name, {}, inputs, lambda _: {"file": b""}, of=of)
    found = making(stages.log, {stages.log[0].key})
    assert [(stage["stage"], stage["of"]) for stage in found["stages"]] == [
        ("distill", ""),
        ("distill", "study"),
        ("answer", "test"),
    ]
    assert (found["training_stages"], found["training_joules"]) == (["distill"], 2.0)
    assert (found["evidence_stages"], found["evidence_joules"]) == (["answer", "distill"], 4.0)


def test_joules_that_are_not_known_have_no_source(cache: Path) -> None:
    Stages(cache).run("distill", {}, {}, lambda _: {"file": b""})
    stages = Stages(cache, spending=Spending([Counting(COUNTER)]))
    for name in ("distill", "export"):
        stages.run(name, {}, {}, lambda _: {"file": b""})
    found = making(stages.log, {ran.key for ran in stages.log})
    assert [stage["joules"] for stage in found["stages"]] == [None, 2.0]
    assert (found["training_joules"], found["training_source"]) == (None, "none")
    assert (found["evidence_joules"], found["evidence_source"]) == (0, "none")
