"""Joules: one reader a file, the sources found on this host, and the ledger that shares them out."""

from joulebox.energy.ledger import Account, Key, Ledger, Settlement, Work
from joulebox.energy.reader import Device, Gauge, Meter, ReadError, Source, Unavailable
from joulebox.energy.sources import Sources, check_settings, open_sources, with_ticks

__all__ = [
    "Account",
    "Device",
    "Gauge",
    "Key",
    "Ledger",
    "Meter",
    "ReadError",
    "Settlement",
    "Source",
    "Sources",
    "Unavailable",
    "Work",
    "check_settings",
    "open_sources",
    "with_ticks",
]
