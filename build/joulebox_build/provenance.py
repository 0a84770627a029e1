"""Where a result comes from: the code, the libraries and the machine that it depends on."""

from __future__ import annotations

import ast
import functools
import importlib.util
import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from joulebox.package.digest import canonical, sha256

OURS = ("joulebox", "joulebox_build")
STEPS = "steps"
LIBRARIES = (
    "torch",
    "torch-pruning",
    "safetensors",
    "onnx",
    "onnxscript",
    "onnxruntime",
    "numpy",
    "scikit-learn",
    "scipy",
    "pillow",
)
HARMLESS = ("joulebox_build.errors", "joulebox_build.progress", "joulebox_build.recipe")
"""They change no result: what they hold is in a stage's inputs, or is for people."""


@functools.cache
def libraries() -> dict[str, str]:
    """The versions of what computes."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def tokenizers() -> dict[str, str]:
    """The version of what a teacher that encodes texts itself may do it with, where it is installed."""
    try:
        return {"tokenizers": version("tokenizers")}
    except PackageNotFoundError:
        return {}


@functools.cache
def machine() -> dict[str, Any]:
    """What floating-point results depend on beside the code: the processor, and how many threads share the sums."""
    return {
        "architecture": platform.machine(),
        "processor": _processor(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "threads": torch.get_num_threads(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    flags = [line for line in lines if line.startswith(("flags", "Features"))]
    return f"{named[0] if named else platform.processor()} {sha256(''.join(flags[:1]).encode())[:8]}"


@functools.cache
def sources(*modules: str) -> dict[str, str]:
    """SHA-256 of the modules' files, and of each of our modules that they import, near or far."""
    found: dict[str, str] = {}
    ahead = list(modules)
    while ahead:
        name = ahead.pop()
        path = _origin(name)
        if name in found or name.startswith(HARMLESS) or path is None:
            continue
        content = path.read_bytes()
        found[name] = sha256(content)
        ahead += _imports(content)
    return dict(sorted(found.items()))


def stage_code(*modules: str) -> dict[str, str]:
    """SHA-256 of a stage's modules: of its steps, which import what runs all stages, alone; of others as `sources` has it."""
    named = [f"{OURS[-1]}.{module}" for module in modules]
    steps = {name: path for name in named if STEPS in name.split(".") and (path := _origin(name)) is not None}
    alone = {name: sha256(path.read_bytes()) for name, path in steps.items()}
    return alone | sources(*(name for name in named if name not in steps))


def code_of(path: Path) -> str:
    """The digest of a file of a model folder, of the files beside it that it imports, and of our modules that these import."""
    found: dict[str, str] = {}
    ours: set[str] = set()
    ahead = [path]
    while ahead:
        file = ahead.pop()
        name = file.relative_to(path.parent).as_posix()
        if name in found or not file.is_file():
            continue
        content = file.read_bytes()
        found[name] = sha256(content)
        names = _imported(content, Path(name).parent.parts)
        ours.update(name for name in names if name.partition(".")[0] in OURS)
        ahead += [path.parent / f"{name.replace('.', '/')}.py" for name in names]
        ahead += [path.parent / name.replace(".", "/") / "__init__.py" for name in names]
    return sha256(canonical({"files": found, "ours": sources(*sorted(ours))}))


def _imports(content: bytes) -> list[str]:
    return [name for name in _imported(content) if name.partition(".")[0] in OURS]


def _imported(content: bytes, package: Sequence[str] = ()) -> list[str]:
    """The modules that Python source imports, and what it imports from them, which may be modules as well.

    Args:
        package: the names of the package that the source lies in, on which `from .near import x` depends.
    """
    names: list[str] = []
    for node in ast.walk(ast.parse(content)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) + 1 - node.level] if node.level else ()
            module = ".".join([*above, *filter(None, [node.module])])
            names += [module, *(f"{module}.{alias.name}".lstrip(".") for alias in node.names)]
    return [name for name in names if name]


def _origin(name: str) -> Path | None:
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:  # the name is a class or function in a module
        return None
    return Path(spec.origin) if spec and spec.origin else None
