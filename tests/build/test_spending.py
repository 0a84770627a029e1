"""What stages take: seconds, and joules with their source, or an explicit unknown."""

import json
from pathlib import Path

import pytest

from joulebox.energy import open_sources
from joulebox.energy.reader import Device, ReadError
from joulebox_build.report.making import making
from joulebox_build.spending import Spending
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


def test_joules_are_the_difference_summed_over_devices_and_as_good_as_the_worst_source() -> None:
    with Spending([Counting(COUNTER), Counting(POWER)]).watch() as spent:
        pass
    assert (spent.joules, spent.source) == (4.0, "integrated")
    assert spent.seconds > 0


def test_a_counter_that_cannot_be_read_once_makes_the_sum_unknown() -> None:
    with Spending([Counting(COUNTER), Counting(POWER, breaks_at=2)]).watch() as spent:
        pass
    assert (spent.joules, spent.source) == (None, None)


def test_without_a_meter_energy_is_unknown_and_time_is_not() -> None:
    with Spending([]).watch() as spent:
        pass
    assert (spent.joules, spent.source) == (None, None)
    assert spent.seconds > 0


def test_an_estimate_grows_with_the_cpu_time_of_this_process(tmp_path: Path) -> None:
    meters = open_sources(
        {"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_CPU_WATTS": "5", "JOULEBOX_ENERGY_OFF": "nvml,pi"}
    )
    with Spending(meters.meters).watch() as spent:
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
    assert making(second.log)["training_joules"] == 2.0


def test_a_stage_that_went_on_after_a_kill_does_not_claim_to_know(cache: Path) -> None:
    stages = Stages(cache)
    with pytest.raises(KeyboardInterrupt):
        stages.run("distill", {}, {}, _killed)
    stages.run("distill", {}, {}, lambda _: {"file": b""})
    found = making(stages.log)
    assert stages.log[0].spent is None
    assert (found["training_seconds"], found["training_joules"]) == (None, None)


def _killed(scratch: Path) -> dict[str, bytes]:
    (scratch / "checkpoint").write_bytes(b"")
    raise KeyboardInterrupt


def test_what_a_stage_took_is_not_in_its_digest_and_an_entry_without_it_is_taken(cache: Path) -> None:
    made = Stages(cache).run("stage", {}, {}, lambda _: {"file": b""})
    (index,) = cache.glob("stage-*/stage.json")
    kept = json.loads(index.read_text())
    del kept["spent"]
    index.write_text(json.dumps(kept))
    again = Stages(cache).run("stage", {}, {}, _killed)
    assert (again.cached, again.spent, again.digest) == (True, None, made.digest)


def test_each_stage_is_listed_once_and_only_those_that_made_the_model_are_summed(cache: Path) -> None:
    stages = Stages(cache, spending=Spending([Counting(COUNTER)]))
    for name in ("distill", "answer", "distill", "measure"):
        stages.run(name, {}, {}, lambda _: {"file": b""})
    found = making(stages.log)
    assert [stage["stage"] for stage in found["stages"]] == ["distill", "answer", "measure"]
    assert (found["training_stages"], found["training_joules"]) == (["distill"], 2.0)


def test_a_stage_within_another_is_not_listed_beside_it(cache: Path) -> None:
    stages = Stages(cache)

    def outer(_: Path) -> dict[str, bytes]:
        return stages.run("answer", {}, {}, lambda _: {"file": b""}).files

    stages.run("calibrate", {}, {}, outer)
    assert [made.stage for made in stages.log] == ["answer", "calibrate"]
    assert [stage["stage"] for stage in making(stages.log)["stages"]] == ["calibrate"]
