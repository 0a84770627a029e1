"""The energy figure on an answer: never a number where it is not known, and nothing for those who may not know."""

from __future__ import annotations

from joulebox.http.energy import energy_headers, energy_of, energy_parameters
from joulebox.runtime.sampler import Provisional

KNOWN, UNKNOWN = Provisional(1.23456e-5, "measured"), Provisional(None, "none")


def test_what_is_known_comes_with_its_source() -> None:
    assert energy_of(KNOWN, shown=True) == {"joules": 1.23456e-5, "source": "measured", "provisional": True}
    assert energy_headers(KNOWN, shown=True) == [(b"joulebox-energy", b"joules=1.235e-05;source=measured;provisional")]


def test_what_is_not_known_is_no_number() -> None:
    assert energy_of(UNKNOWN, shown=True) == {"joules": None, "source": "none", "provisional": True}
    assert energy_parameters(UNKNOWN, shown=True) == {"energy_source": "none", "energy_provisional": True}
    assert energy_headers(UNKNOWN, shown=True) == [(b"joulebox-energy", b"source=none;provisional")]


def test_those_who_may_not_know_see_nothing() -> None:
    """A joule is a power side channel."""
    assert energy_of(KNOWN, shown=False) is None
    assert energy_parameters(KNOWN, shown=False) is None
    assert energy_headers(KNOWN, shown=False) == []
