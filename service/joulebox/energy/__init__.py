"""Joules: one reader a file, the sources found on this host, and the ledger that shares them out."""

from joulebox.energy.carbon import Embodied, Intensity, Price, Rates
from joulebox.energy.idle import Idle, IdleSource
from joulebox.energy.intervals import Key, Work
from joulebox.energy.ledger import Account, Booking, Ledger, Reason, Settlement
from joulebox.energy.reader import Device, Gauge, Mark, Meter, ReadError, Source, Unavailable, weakest
from joulebox.energy.sources import Sources, check_settings, open_sources, with_calibrations, with_ticks

__all__ = [
    "Account",
    "Booking",
    "Device",
    "Embodied",
    "Gauge",
    "Idle",
    "IdleSource",
    "Intensity",
    "Key",
    "Ledger",
    "Mark",
    "Meter",
    "Price",
    "Rates",
    "ReadError",
    "Reason",
    "Settlement",
    "Source",
    "Sources",
    "Unavailable",
    "Work",
    "check_settings",
    "open_sources",
    "weakest",
    "with_calibrations",
    "with_ticks",
]
