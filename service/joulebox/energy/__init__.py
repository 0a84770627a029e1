"""Joules: one reader a file, the sources found on this host, and the ledger that shares them out."""

from joulebox.energy.idle import IdleSource
from joulebox.energy.intervals import Key, Work
from joulebox.energy.ledger import Account, Booking, Ledger, Reason, Settlement
from joulebox.energy.reader import Device, Gauge, Meter, ReadError, Source, Unavailable, weakest
from joulebox.energy.sources import Sources, check_settings, open_sources, with_ticks

__all__ = [
    "Account",
    "Booking",
    "Device",
    "Gauge",
    "IdleSource",
    "Key",
    "Ledger",
    "Meter",
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
    "with_ticks",
]
