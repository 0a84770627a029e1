"""Engines: the code that runs a variant, behind one protocol, and the ladder that picks one."""

from joulebox.engine.engine import Engine, EngineError, Tensors
from joulebox.engine.ladder import TIE, Rung, library_versions, open_engine, rungs

__all__ = [
    "TIE",
    "Engine",
    "EngineError",
    "Rung",
    "Tensors",
    "library_versions",
    "open_engine",
    "rungs",
]
