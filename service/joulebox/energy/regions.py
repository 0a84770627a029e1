"""Carbon intensity of electricity by country and state of the USA: the yearly means of `regions.csv`, whose head says its origin.

`build/joulebox_build/regions.py` makes that file from its sources; docs/carbon.md says what its figures are of.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cache
from importlib.resources import files

NEAR_MAX = 3  # that an error names

SOURCES = {
    "ember": "Ember, Yearly Electricity Data, processed by Our World in Data, CC BY 4.0;"
    " what is generated in the country, over its life cycle",
    "egrid": "US EPA, eGRID2023; what is generated in the state, as emitted by its power plants alone",
}


class UnknownRegion(ValueError):
    """The table has no such region."""


@dataclass(frozen=True)
class Region:
    """One line of the table."""

    code: str
    """ISO 3166: two letters of a country, or `US-` and two of a state."""
    code3: str
    """The three letters of a country, which are taken too; empty for a state."""
    name: str
    grams_per_kwh: float
    """Of CO2 equivalent, the mean of the year."""
    year: int
    source: str
    """A key of `SOURCES`."""


def find(code: str) -> Region:
    """The region of that code, in capitals or not.

    Raises:
        UnknownRegion: there is none; it names those that come near.
    """
    wanted = code.strip().upper()
    for region in table():
        if wanted and wanted in {region.code, region.code3}:
            return region
    near = ", ".join(f"{region.code} ({region.name})" for region in _near(wanted.casefold()))
    raise UnknownRegion(
        f"the table has no such region{'; nearest: ' + near if near else ''};"
        " expected the ISO 3166 code of a country, such as DE or DEU, or of a state of the USA, such as US-CA"
    )


@cache
def table() -> tuple[Region, ...]:
    """All regions, by code."""
    text = files("joulebox.energy").joinpath("regions.csv").read_text("utf-8")
    rows = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    return tuple(
        Region(row["code"], row["code3"], row["name"], float(row["grams_per_kwh"]), int(row["year"]), row["source"])
        for row in rows
    )


def _near(wanted: str) -> list[Region]:
    """Regions that somebody may have meant, by the words and initials of their names, then by likeness."""
    if not wanted:
        return []
    named: dict[str, Region] = {}
    meant: list[Region] = []
    for region in table():
        words = region.name.casefold().split()
        if wanted == "".join(word[0] for word in words):
            meant.insert(0, region)
        elif region.name.casefold().startswith(wanted) or any(word.startswith(wanted) for word in words):
            meant.append(region)
        named |= {each.casefold(): region for each in (region.code, region.code3, region.name) if each}
    meant += [named[each] for each in get_close_matches(wanted, named, NEAR_MAX, 0.65)]
    return list(dict.fromkeys(meant))[:NEAR_MAX]
