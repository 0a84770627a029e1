"""Joules: one reader a file, the sources found on this host, and the ledger that shares them out."""

from joulebox.energy.idle import IdleSource
from joulebox.energy.intervals import Key, Work
from joulebox.energy.ledger import Account, Booking, Ledger, Reason, Settlement
from joulebox.energy.reader import Device, Meter, ReadError, Source, Unavailable
from joulebox.energy.sources import Sources, open_sources

__all__ = [
    "Account",
    "Booking",
    "Device",
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
    "open_sources",
]
