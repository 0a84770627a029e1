"""Engines: the code that runs a variant, behind one protocol, and the ladder that picks one."""

from joulebox.engine.engine import Engine, EngineError, Tensors
from joulebox.engine.ladder import open_engine, rungs

__all__ = ["Engine", "EngineError", "Tensors", "open_engine", "rungs"]
