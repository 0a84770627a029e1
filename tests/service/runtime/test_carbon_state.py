"""`/energy`'s grams and money: the terms of ISO/IEC 21031 for each model, and null where one is not known."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from joulebox.energy import Device, Embodied, Idle, Intensity, Ledger, Price, Rates, Work
from joulebox.energy.carbon import OFF
from joulebox.metrics import Metrics
from joulebox.runtime.carbon_state import carbon_of
from joulebox.runtime.energy_metrics import export
from sampled import IDLE_WATTS, Host, varied

A, B = ("a", "1"), ("b", "1")
CPU = Device("cpu-package-0", "rapl", "measured", "a test")
GPU = Device("gpu-0", "nvml", "integrated", "a test")
RATES = Rates(Intensity(400.0), Price(0.25, "EUR"), Embodied(1262.304, 4.0))  # the last: 0.01 g/s


def at_rest(watts: float | None) -> Idle | None:
    return None if watts is None else Idle(watts, 0.05 * watts, "calibration")


def used(idle_watts: float | None, watts: float, seconds: int = 100, items: int = 10) -> Ledger:
    """A device on which one model of two runs for half of each second and finishes so many items."""
    ledger = Ledger(busy_watts=watts, tick_s=0.0, calibration=at_rest(idle_watts))
    joules_a_second = (idle_watts or 0.0) + watts / 2
    for second in range(seconds + 1):
        ledger.feed(second, second * joules_a_second, {A: Work(second / 2, second * items), B: Work(0.0, 0)})
    return ledger


def model(books: list[tuple[Device, Ledger]], rates: Rates = RATES, name: str = "a") -> dict[str, Any]:
    carbon = carbon_of(books, rates)
    assert carbon is not None
    return next(row for row in carbon["models"] if row["model"] == name)


def test_the_score_is_energy_by_intensity_and_a_part_of_the_hardware() -> None:
    row = model([(CPU, used(20.0, 60.0))])
    joules = (60.0 / 2 + 20.0 / 2) / 10  # each second: what it used itself, half the idle energy, ten inferences
    assert row["energy_kwh"] == pytest.approx(joules / 3.6e6)
    assert row["grams_per_kwh"] == 400.0
    assert row["operational_grams"] == pytest.approx(joules / 3.6e6 * 400)
    assert row["embodied_grams"] == pytest.approx(0.01 / 2 / 10), "half of the host's second, for ten inferences"
    assert row["sci_grams"] == pytest.approx(row["operational_grams"] + row["embodied_grams"])
    assert row["cost"] == pytest.approx(joules / 3.6e6 * 0.25)
    assert (row["functional_unit"], row["source"], row["idle_included"]) == ("inference", "measured", "all")


def test_energy_is_of_all_devices_and_names_the_weakest_source() -> None:
    one, two = used(20.0, 60.0), used(10.0, 30.0)
    row = model([(CPU, one), (GPU, two)])
    alone = [model([(CPU, one)]), model([(GPU, two)])]
    assert row["energy_kwh"] == pytest.approx(sum(each["energy_kwh"] for each in alone))
    assert row["embodied_grams"] == pytest.approx(alone[0]["embodied_grams"]), "the host is one, whatever is in it"
    assert row["source"] == "integrated"


def test_idle_energy_is_in_it_where_it_is_known_and_that_is_said() -> None:
    known, unknown = (CPU, used(20.0, 60.0)), (GPU, used(None, 60.0))
    assert model([unknown])["energy_kwh"] == pytest.approx(3.0 / 3.6e6)
    said = [model(books)["idle_included"] for books in ([known], [known, unknown], [unknown])]
    assert said == ["all", "some", "none"]


def test_a_model_that_has_done_nothing_has_no_figure() -> None:
    row = model([(CPU, used(20.0, 60.0))], name="b")
    figures = ("energy_kwh", "idle_included", "operational_grams", "embodied_grams", "sci_grams", "cost")
    assert [row[figure] for figure in figures] == [None] * len(figures)
    assert row["grams_per_kwh"] == 400.0


def test_energy_that_one_device_does_not_know_is_unknown_of_all() -> None:
    learning = Ledger(tick_s=0.0)
    for second in range(20):
        learning.feed(second, 50.0 * second, {A: Work(second / 2, second)})
    row = model([(CPU, used(20.0, 60.0)), (GPU, learning)])
    assert (row["energy_kwh"], row["sci_grams"], row["cost"]) == (None, None, None)


def test_what_was_not_set_is_null() -> None:
    books = [(CPU, used(20.0, 60.0))]
    assert carbon_of(books, OFF) is None
    priced = carbon_of(books, Rates(price=Price(0.25, "EUR")))
    assert priced is not None
    assert (priced["intensity"], priced["embodied"], priced["price"]["currency"]) == (None, None, "EUR")
    (row, _) = priced["models"]
    assert (row["grams_per_kwh"], row["operational_grams"], row["sci_grams"]) == (None, None, None)
    assert row["cost"] > 0
    lighter = model(books, Rates(Intensity(400.0)))
    assert lighter["operational_grams"] > 0
    assert (lighter["embodied_grams"], lighter["sci_grams"], lighter["cost"]) == (None, None, None)


def test_without_a_device_the_rates_are_shown_and_no_model() -> None:
    carbon = carbon_of([], RATES)
    assert carbon is not None
    assert carbon["models"] == []
    assert carbon["intensity"]["source"] == "configured"


THOUSANDTHS = st.integers(0, 1000).map(lambda number: number / 1000)
STEPS = st.lists(
    st.tuples(
        st.integers(0, 10**6).map(lambda millijoules: millijoules / 1000),
        THOUSANDTHS,
        THOUSANDTHS,
        st.integers(0, 9),
        st.sampled_from([(A, B), (A,), (B,), ()]),
    ),
    max_size=40,
)


@given(STEPS, st.sampled_from([(None, None), (3.0, None), (3.0, 20.0), (None, 20.0)]), st.sampled_from([0.0, 1.0]))
def test_models_cause_no_more_than_their_devices_energy_does_nor_more_of_the_host_than_its_time(
    steps: list[Any], watts: tuple[float | None, float | None], tick_s: float
) -> None:
    ledger = Ledger(busy_watts=watts[0], tick_s=tick_s, calibration=at_rest(watts[1]))
    registry = CollectorRegistry()
    metrics = Metrics(registry)
    work = {A: Work(0.0, 0), B: Work(0.0, 0)}
    total, shared_s = 0.0, 0.0
    ledger.feed(0.0, 0.0, work)
    for second, (joules, a, b, items, loaded) in enumerate(steps, 1):
        total += joules
        for key, busy_s in ((A, a), (B, b)):
            if key in loaded:
                work[key] = Work(work[key].busy_s + busy_s, work[key].items + items)
        booking = ledger.feed(float(second), total, {key: work[key] for key in loaded})
        if booking is not None:
            export(metrics, CPU, ledger, [booking], RATES)
            shared_s += sum(part.loaded_s for part in booking.models.values())
    grams = sum(
        registry.get_sample_value("joulebox_inference_carbon_grams_total", {"model": name, "device": CPU.name}) or 0.0
        for name in "ab"
    )
    assert grams <= (RATES.grams(ledger.total_joules) or 0.0) * (1 + 1e-9) + 1e-12
    assert shared_s <= len(steps) * (1 + 1e-9)


def test_the_metrics_and_the_state_agree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    host = Host(tmp_path, monkeypatch)
    host.sampler._rates = RATES
    host.runs(10)
    host.runs(60, varied)
    state = host.sampler.state
    rows = {row["model"]: row for row in state["carbon"]["models"]}
    for row in state["models"]:
        joules = row["dynamic_joules"] + row["idle_joules"]
        carbon = rows[row["model"]]
        assert carbon["energy_kwh"] * row["inferences"] == pytest.approx(joules / 3.6e6)
        labels = {"model": row["model"], "device": "cpu-package-0"}
        assert host.sample("joulebox_inference_carbon_grams_total", **labels) == pytest.approx(joules / 3.6e6 * 400)
        assert host.sample("joulebox_inference_cost_total", **labels, currency="EUR") == pytest.approx(
            joules / 3.6e6 * 0.25
        )
    host_grams = sum(rows[row["model"]]["embodied_grams"] * row["inferences"] for row in state["models"])
    booked_s = sum(row["idle_joules"] for row in state["models"]) / IDLE_WATTS
    assert host_grams == pytest.approx(0.01 * booked_s, rel=0.01), "they share the host's seconds as its idle energy"
    assert 50 < booked_s <= 70
