"""Joulebox: small models served with the proof, and the joules."""

__version__ = "0.1.0"
