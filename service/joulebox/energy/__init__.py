"""Joules: one reader a file, the sources found on this host, and the ledger that shares them out."""

from joulebox.energy.ledger import Account, Key, Ledger, Settlement, Work
from joulebox.energy.reader import Device, Meter, ReadError, Source, Unavailable
from joulebox.energy.sources import Sources, open_sources

__all__ = [
    "Account",
    "Device",
    "Key",
    "Ledger",
    "Meter",
    "ReadError",
    "Settlement",
    "Source",
    "Sources",
    "Unavailable",
    "Work",
    "open_sources",
]
