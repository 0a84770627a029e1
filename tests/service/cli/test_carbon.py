"""Grams and money as an operator meets them: set by the environment, shown by `doctor`, `/energy` and `/metrics`."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner, Result

from joulebox.cli.main import app
from joulebox.http.carbon_schemas import CarbonLedger, ModelCarbon
from joulebox.package import Package
from servers import JOULEBOX, serving, wait_until

SET = {
    "JOULEBOX_CARBON_REGION": "DE",
    "JOULEBOX_PRICE_KWH": "0.31",
    "JOULEBOX_CURRENCY": "EUR",
    "JOULEBOX_EMBODIED_KG": "1200",
    "JOULEBOX_LIFETIME_YEARS": "4",
}
SERIES = ("joulebox_inference_carbon_grams_total{", "joulebox_inference_cost_total{")


def doctor(tmp_path: Path, *options: str, **more: str) -> Result:
    environment = {"JOULEBOX_SYSFS": str(tmp_path), "JOULEBOX_PROCFS": str(tmp_path), "JOULEBOX_ENERGY_OFF": "nvml,pi"}
    return CliRunner().invoke(app, ["doctor", *options], env=environment | more)


def test_doctor_says_that_nothing_is_set(tmp_path: Path) -> None:
    assert json.loads(doctor(tmp_path, "--json").stdout)["carbon"] == dict.fromkeys(("intensity", "price", "embodied"))
    shown = doctor(tmp_path, COLUMNS="200").stdout
    assert "set JOULEBOX_CARBON_REGION or JOULEBOX_CARBON_INTENSITY" in shown
    assert "set JOULEBOX_PRICE_KWH and JOULEBOX_CURRENCY" in shown


def test_doctor_shows_what_is_set_and_where_it_is_from(tmp_path: Path) -> None:
    shown = doctor(tmp_path, COLUMNS="250", **SET).stdout
    assert "344.1 g CO2e/kWh" in shown
    assert "DE (Germany), 2024: Ember, Yearly Electricity Data, processed by Our World in Data, CC BY 4.0" in shown
    assert "0.31 EUR/kWh" in shown
    assert "1200 kg CO2e over 4 years" in shown
    configured = json.loads(doctor(tmp_path, "--json", JOULEBOX_CARBON_INTENSITY="50").stdout)["carbon"]["intensity"]
    assert (configured["grams_per_kwh"], configured["source"], configured["table"]) == (50.0, "configured", None)


@pytest.mark.parametrize("command", ["serve", "doctor"])
@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"JOULEBOX_CARBON_REGION": "UK"}, "nearest: GB (United Kingdom)"),
        ({"JOULEBOX_PRICE_KWH": "0.31"}, "says nothing without JOULEBOX_CURRENCY"),
    ],
)
def test_a_wrong_setting_is_one_line(package: Package, command: str, setting: dict[str, str], said: str) -> None:
    arguments = [command, str(package.folder)] if command == "serve" else [command]
    done = subprocess.run(
        [*JOULEBOX, *arguments], capture_output=True, text=True, timeout=60, env={**os.environ, **setting}, check=False
    )
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert said in done.stderr


def ask(server: str) -> Any:
    httpx.post(f"{server}/predict", json={"image": [[0] * 4] * 4}).raise_for_status()
    return httpx.get(f"{server}/energy").json()


def test_a_server_with_a_region_says_grams_and_cost(package: Package, tmp_path: Path) -> None:
    environment = {"JOULEBOX_CPU_WATTS": "12:65", "JOULEBOX_SYSFS": str(tmp_path), **SET}
    with serving(package.folder, environment=environment) as server:
        wait_until(lambda: any(row["sci_grams"] for row in ask(server)["carbon"]["models"]))
        energy = httpx.get(f"{server}/energy").json()
        carbon = energy["carbon"]
        assert (carbon["intensity"]["region"], carbon["intensity"]["year"]) == ("DE", 2024)
        assert carbon["price"] == {"per_kwh": 0.31, "currency": "EUR", "source": "configured"}
        (row,), (ledger,) = carbon["models"], energy["models"]
        joules = (ledger["dynamic_joules"] + ledger["idle_joules"]) / ledger["inferences"]
        assert row["energy_kwh"] == pytest.approx(joules / 3.6e6)
        assert row["sci_grams"] == pytest.approx(row["energy_kwh"] * 344.1 + row["embodied_grams"])
        assert row["cost"] == pytest.approx(row["energy_kwh"] * 0.31)
        assert (row["source"], row["idle_included"], row["functional_unit"]) == ("estimated", "all", "inference")
        CarbonLedger.model_validate(carbon)
        assert carbon.keys() == CarbonLedger.model_fields.keys()
        assert row.keys() == ModelCarbon.model_fields.keys()
        metrics = httpx.get(f"{server}/metrics").text
        assert 'joulebox_inference_carbon_grams_total{device="cpu",model="tiny"}' in metrics
        assert 'joulebox_inference_cost_total{currency="EUR",device="cpu",model="tiny"}' in metrics


def test_without_settings_there_is_neither_a_series_nor_a_figure(package: Package, tmp_path: Path) -> None:
    environment = {"JOULEBOX_CPU_WATTS": "12:65", "JOULEBOX_SYSFS": str(tmp_path)}
    with serving(package.folder, environment=environment) as server:
        wait_until(lambda: any(row["joules_per_inference"] for row in ask(server)["models"]))
        assert httpx.get(f"{server}/energy").json()["carbon"] is None
        metrics = httpx.get(f"{server}/metrics").text
        assert "joulebox_inference_energy_joules_total{" in metrics
        assert not any(series in metrics for series in SERIES)
