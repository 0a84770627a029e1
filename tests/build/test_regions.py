"""The table of regions is made from its sources, and only from those."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from joulebox.energy import regions
from joulebox_build.errors import BuildError
from joulebox_build.regions import COLUMNS, EMBER, HEAD, read, table

COUNTRIES = """\
alpha-2,Year,Entity,Code,Carbon intensity of electricity (gCO2eq/kWh)
DE,2024,Germany,DEU,344.14413
EH,2009,Western Sahara,ESH,666.6666
CF,2022,Central African Republic,CAF,0.0
"""
STATES = json.dumps(
    {
        "_unit": {"emissions": "lbs/MWh", "regionCode": "2 digit state/region code"},
        "_source": {"year": 2023},
        "district of columbia": {"emissions": 1000.0, "regionCode": "DC"},
        "usa": {"emissions": 900.0, "regionCode": "usa"},
    }
)


def test_it_holds_what_the_sources_say_in_grams_per_kilowatt_hour() -> None:
    lines = table(COUNTRIES, STATES).removeprefix(HEAD).splitlines()
    assert lines == [
        ",".join(COLUMNS),
        "DE,DEU,Germany,344.1,2024,ember",
        "US-DC,,District of Columbia,453.6,2023,egrid",
    ]


def test_what_ships_begins_as_the_script_writes_it() -> None:
    shipped = Path(regions.__file__).with_name("regions.csv").read_text("utf-8")
    assert shipped.startswith(HEAD + ",".join(COLUMNS) + "\n")


def test_another_wheel_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="is not there"):
        read(tmp_path, EMBER)
    (tmp_path / EMBER.name).write_bytes(b"another")
    with pytest.raises(BuildError, match=f"expected {EMBER.sha256}"):
        read(tmp_path, EMBER)
