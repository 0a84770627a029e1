"""Budgets are kept over ledgers whose truth is known: a simulated server whose batches wait as the keeper says."""

from __future__ import annotations

import logging
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from prometheus_client import CollectorRegistry

from joulebox.energy import Device, ReadError, Source, Work
from joulebox.metrics import Metrics
from joulebox.runtime.book import Book
from joulebox.runtime.keeper import Keeper
from joulebox.runtime.settings import Settings

KEY = ("tiny", "v1")
TICK_S, IDLE_WATTS = 0.25, 20.0
BATCH_MAX, BATCH_S, ITEM_S = 16, 1e-3, 2e-4
TRIED_S = 240.0  # for a budget to be judged, and a trial

Cost = Callable[[int], float]
"""Joules of a batch of so many items."""


def dear_batches(items: int) -> float:
    """A GPU's: most of it is spent on the batch, whatever is in it."""
    return 0.05 + 0.005 * items


def dear_items(items: int) -> float:
    """A CPU's: nothing is saved by computing items together."""
    return 0.055 * items


class Host:
    """One model under Poisson traffic; a batch waits for more, and each costs what it does."""

    def __init__(
        self,
        budgets: str | None = None,
        *,
        saving_ms: float = 0.0,
        cost: Cost = dear_batches,
        rate: float = 100.0,
        source: Source = "measured",
        joined: bool = True,
        devices: int = 1,
    ) -> None:
        meters: list[Any] = [
            SimpleNamespace(device=Device(f"gpu-{number}", "nvml", source, "a test")) for number in range(devices)
        ]
        self.books = [Book(meter) for meter in meters]
        self.registry = CollectorRegistry()
        model = SimpleNamespace(name=KEY[0], version=KEY[1], key="/".join(KEY))
        model.could_wait = lambda seconds: joined and seconds > 0
        self.repository: Any = SimpleNamespace(models={KEY[0]: model}, settled=True)
        settings = Settings(energy_budgets=budgets, energy_saving_ms=saving_ms)
        self.keeper = Keeper(settings, self.repository, Metrics(self.registry))
        self.cost, self.rate = cost, rate
        self.now_s, self.joules, self.busy_s, self.items, self.batches = 0.0, 0.0, 0.0, 0, 0
        self.readable = devices
        self._rng = np.random.default_rng(1)
        self.runs(20, rate=0.0)  # idle power is learnt

    def runs(self, seconds: float, rate: float | None = None) -> None:
        for _ in range(round(seconds / TICK_S)):
            self.now_s += TICK_S
            self.joules += IDLE_WATTS * TICK_S
            for batch in self._formed(self.rate if rate is None else rate):
                self.joules += self.cost(batch)
                self.busy_s += BATCH_S + ITEM_S * batch
                self.items += batch
                self.batches += 1
            for number, book in enumerate(self.books):
                reading = self.joules if number < self.readable else ReadError("gone")
                book.enter(self.now_s, reading, {KEY: Work(self.busy_s, self.items)}, suspended=False)
            self.keeper.feed(self.now_s, self.books)
            self.keeper.export()

    def _formed(self, rate: float) -> list[int]:
        """The batches of one tick."""
        delay_s = self.keeper.delays.get("/".join(KEY), 0.0)
        batches: list[int] = []
        until_s = 0.0
        for at_s in np.sort(self._rng.uniform(0, TICK_S, self._rng.poisson(rate * TICK_S))):
            if at_s < until_s and batches[-1] < BATCH_MAX:
                batches[-1] += 1
            else:
                batches.append(1)
                until_s = at_s + delay_s
        return batches

    @property
    def budget(self) -> dict[str, Any]:
        (row,) = self.keeper.state["budgets"]
        return row

    @property
    def saving(self) -> dict[str, Any]:
        (row,) = self.keeper.state["savings"]
        return row

    @property
    def exceeded(self) -> float | None:
        return self.registry.get_sample_value("joulebox_energy_budget_exceeded_total", {"model": KEY[0]})


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records]


@pytest.fixture(autouse=True)
def _log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "joulebox.energy")


def test_a_budget_that_is_kept_is_shown_and_never_counted(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("tiny=60mJ")
    assert host.exceeded == 0.0, "or a rate would miss the first time"
    host.runs(120)
    row = host.budget
    assert row["figure"] == pytest.approx(0.055, rel=0.01)
    assert (row["model"], row["unit"], row["limit"], row["window_seconds"]) == (
        "tiny",
        "joules_per_inference",
        0.06,
        60,
    )
    assert (row["over"], row["source"]) == (False, "measured")
    assert row["since"].endswith("+00:00")
    assert host.exceeded == 0.0
    assert said(caplog) == []


def test_over_is_counted_once_a_window_and_said_once_with_figures_and_source(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("tiny=50mJ")
    host.runs(190)
    assert host.budget["over"] is True
    assert host.exceeded in {3, 4}
    (line,) = said(caplog)
    assert line.startswith("tiny is over its energy budget of 50 mJ per inference over 60 s: 5")
    assert line.endswith("mJ per inference (measured)")


def test_back_within_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("tiny=4W/20s")
    host.runs(60)
    assert (host.budget["over"], host.budget["unit"]) == (True, "watts")
    assert host.budget["figure"] == pytest.approx(5.5, rel=0.2)
    since = host.budget["since"]
    host.runs(60, rate=1.0)
    assert host.budget["over"] is False
    assert host.budget["since"] >= since
    assert [line.split(" its ")[0] for line in said(caplog)] == ["tiny is over", "tiny is within"]


def test_watts_that_the_host_uses_at_rest_count_for_no_budget() -> None:
    host = Host("tiny=1W")
    host.runs(120, rate=0.0)
    assert host.budget["figure"] == pytest.approx(0.0, abs=1e-6)
    assert host.budget["over"] is False


def test_what_is_not_known_is_null_and_never_within() -> None:
    host = Host("tiny=1W,tiny=1mJ")
    state = [(row["unit"], row["figure"], row["over"], row["since"]) for row in host.keeper.state["budgets"]]
    assert state == [("watts", None, None, None), ("joules_per_inference", None, None, None)], "too short"
    host.runs(60)
    assert [row["over"] for row in host.keeper.state["budgets"]] == [True, True]


def test_two_devices_add_up() -> None:
    host = Host("tiny=60mJ", devices=2)
    host.runs(60)
    assert host.budget["figure"] == pytest.approx(0.11, rel=0.02)
    assert host.budget["over"] is True


def test_a_device_that_can_not_be_read_makes_it_unknown() -> None:
    host = Host("tiny=60mJ", devices=2)
    host.readable = 1
    host.runs(90)
    assert (host.budget["figure"], host.budget["over"], host.budget["since"]) == (None, None, None)
    host.readable = 2
    host.runs(90)
    assert host.budget["over"] is True


def test_without_budgets_there_is_neither_a_row_nor_a_series() -> None:
    host = Host()
    host.runs(60)
    assert host.keeper.state == {"budgets": [], "savings": []}
    assert host.exceeded is None


def test_a_budget_for_every_model_holds_for_each_that_is_served() -> None:
    host = Host("*=50mJ")
    host.runs(60)
    assert (host.budget["model"], host.budget["over"]) == ("tiny", True)
    host.repository.models.clear()
    host.runs(1)
    assert host.keeper.state["budgets"] == []


def test_a_budget_for_what_is_not_served_is_said_once_and_holds_later(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("other=1J,tiny=1J")
    host.runs(60)
    (line,) = said(caplog)
    assert "names 'other', which is not served (served: tiny)" in line
    assert [(row["model"], row["over"]) for row in host.keeper.state["budgets"]] == [("other", None), ("tiny", False)]


def test_waiting_is_switched_on_where_batches_are_dear(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("tiny=30mJ", saving_ms=50)
    host.runs(TRIED_S)
    row = host.saving
    assert (row["model"], row["version"], row["phase"], row["delay_ms"]) == ("tiny", "v1", "on", 50.0)
    assert row["usual_joules_per_inference"] == pytest.approx(0.055, rel=0.02)
    assert row["longer_joules_per_inference"] == pytest.approx(0.05 / 6 + 0.005, rel=0.1), "six at a time"
    assert row["gain_ci95"][0] > 0.6
    assert host.keeper.delays == {"tiny/v1": 0.05}
    _, trying, found, _ = said(caplog)
    assert trying == "tiny: trying whether batches that wait up to 50 ms need less energy"
    assert found.startswith("tiny: batches wait up to 50 ms for 60 min: waiting saved 7")
    assert found.endswith("mJ per inference instead of 55 mJ per inference, measured, 6 pairs of turns)")
    batches, items = host.batches, host.items
    host.runs(120)
    assert (host.items - items) / (host.batches - batches) > 4
    assert host.budget["over"] is False, "it is kept now"


def test_waiting_is_left_where_each_item_costs_the_same(caplog: pytest.LogCaptureFixture) -> None:
    host = Host("tiny=30mJ", saving_ms=50, cost=dear_items)
    host.runs(TRIED_S)
    assert (host.saving["phase"], host.saving["delay_ms"]) == ("not_helping", 0.0)
    assert abs(host.saving["gain"]) < 0.02
    assert host.keeper.delays == {}
    assert "batches do not wait longer" in said(caplog)[-1]
    assert host.budget["over"] is True, "and nothing hides it"


def test_waiting_is_left_where_hardly_anything_comes_meanwhile() -> None:
    host = Host("tiny=1mJ", saving_ms=1, rate=5)
    host.runs(2 * TRIED_S)
    assert host.saving["phase"] == "not_helping"


@pytest.mark.parametrize(
    "changes",
    [{"saving_ms": 0.0}, {"joined": False}, {"source": "estimated"}, {"budgets": "tiny=60mJ"}],
    ids=["off", "requests are not joined", "nothing measures", "the budget is kept"],
)
def test_nothing_is_tried_where_it(changes: dict[str, Any]) -> None:
    given: dict[str, Any] = {"budgets": "tiny=30mJ", "saving_ms": 50.0, **changes}
    host = Host(**given)
    host.runs(TRIED_S)
    assert host.batches == host.items
    assert all(row["phase"] == "off" for row in host.keeper.state["savings"])


@pytest.mark.parametrize(
    ("changes", "because"),
    [
        ({"budgets": None}, "no model has an energy budget"),
        ({"source": "estimated"}, "nothing measures energy, and an estimate is no proof"),
    ],
)
def test_a_saving_that_can_not_be_is_said(
    changes: dict[str, Any], because: str, caplog: pytest.LogCaptureFixture
) -> None:
    Host(**{"budgets": "tiny=1J", "saving_ms": 50.0, **changes})
    assert said(caplog) == [f"JOULEBOX_ENERGY_SAVING_MS has no effect: {because}"]


def test_a_new_version_is_tried_for_itself() -> None:
    host = Host("tiny=30mJ", saving_ms=50)
    host.runs(TRIED_S)
    assert host.keeper.delays
    model = host.repository.models["tiny"]
    model.version, model.key = "v2", "tiny/v2"
    host.runs(TICK_S)
    assert host.keeper.delays == {}
    assert host.saving["version"] == "v2"
