"""OpenVINO: runs the ONNX files that are made for CPUs. An extra, which is tried after ONNX Runtime."""

# openvino's types are not known where the extra is not installed.
# pyright: reportMissingImports=false, reportUnknownMemberType=false, reportUnknownVariableType=false

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from joulebox.engine.datatypes import NUMPY
from joulebox.engine.engine import EngineError, Tensors
from joulebox.engine.files import lay
from joulebox.engine.tensors import Declared, check_tensors
from joulebox.package import Manifest, TensorSpec, Variant
from joulebox.package.manifest import Datatype, EngineName

CPU = "CPU"
DATATYPES: dict[np.dtype[Any], Datatype] = {dtype: name for name, dtype in NUMPY.items() if name != "BYTES"}
NARROWED: frozenset[Datatype] = frozenset({"FP64", "INT64", "UINT64", "UINT32"})
"""It computes them in 32 bits with a sign, whatever that makes of their values."""


def version() -> str | None:
    """Of what is installed, by its metadata: to import it takes a quarter of a second."""
    try:
        return metadata.version("openvino")
    except metadata.PackageNotFoundError:
        return None


class OpenVinoEngine:
    """A compiled model. Several threads may run it at once, each with a request of its own, which are kept for the next."""

    name: EngineName = "openvino"
    device = "cpu"

    def __init__(
        self, variant: Variant, model: bytes, manifest: Manifest, external: Mapping[str, bytes], *, threads: int
    ) -> None:
        """Compiles a variant from the bytes of its ONNX file.

        Args:
            external: the contents of its external data files, by their location as the ONNX file has it.

        Raises:
            EngineError: OpenVINO is not installed, cannot read the file or not compute with all bits of its tensors, or
                these are not the manifest's.
        """
        _check_datatypes(manifest)
        try:
            import openvino  # a quarter of a second, and only where it is asked for  # noqa: PLC0415
        except ImportError as error:
            raise EngineError(f"openvino cannot be imported ({error}); pip install 'joulebox[openvino]'") from error
        with _errors(f"{variant.file} does not load: "):
            self._compiled: Any = _compiled(openvino.Core(), model, external, threads)
            inputs = _declared(self._compiled.inputs, manifest.inputs)
            outputs = _declared(self._compiled.outputs, manifest.outputs)
        check_tensors(variant.file, manifest, inputs, outputs)
        self._inputs = manifest.inputs
        self._outputs: dict[str, Any] = {spec.name: self._compiled.output(spec.name) for spec in manifest.outputs}
        self._idle: list[Any] = []  # requests; as many as ran at once. `append` and `pop` are atomic

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        for spec in self._inputs:
            shape = inputs[spec.name].shape
            if len(shape) != len(spec.shape) or any(
                want not in (-1, size) for want, size in zip(spec.shape, shape, strict=True)
            ):
                raise EngineError(f"{spec.name} has shape {list(shape)}; expected {spec.shape}")  # it would take any
        with _errors():
            try:
                request = self._idle.pop()
            except IndexError:
                request = self._compiled.create_infer_request()
            # Inputs are copied: a request that waits for its next run would keep a client's, shared memory too.
            results = request.infer(dict(inputs), share_inputs=False, share_outputs=False)
        self._idle.append(request)
        return {name: results[output] for name, output in self._outputs.items()}

    def close(self) -> None:
        self._idle.clear()
        self._outputs.clear()  # they hold the model as well
        self._compiled = None


def _check_datatypes(manifest: Manifest) -> None:
    """
    Raises:
        EngineError: it would compute something else.
    """
    bounded = manifest.preprocess is not None  # a text's numbers go to 2**24 at most
    for spec in (*(() if bounded else manifest.inputs), *manifest.outputs):
        if spec.datatype == "BYTES":
            raise EngineError(f"{spec.name} is of strings, which are left to ONNX Runtime")
        if spec.datatype in NARROWED:
            raise EngineError(f"{spec.name} is {spec.datatype}, which OpenVINO computes in 32 bits on a CPU")


def _compiled(core: Any, model: bytes, external: Mapping[str, bytes], threads: int) -> Any:
    """External data are found from a file alone, which is mapped until the model goes, though its name goes at once."""
    if not external:
        return core.compile_model(core.read_model(model), CPU, _options(threads))
    with TemporaryDirectory(prefix="joulebox-") as folder:
        lay(Path(folder), {"model.onnx": model, **external})
        return core.compile_model(core.read_model(Path(folder, "model.onnx")), CPU, _options(threads))


def _options(threads: int) -> dict[str, Any]:
    """Floats of 32 bits as ONNX Runtime has them, and no core of its own, since workers share them."""
    return {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_PRECISION_HINT": "f32",  # else it computes in bf16 where the CPU can
        "INFERENCE_NUM_THREADS": threads,  # 0: as many as there are cores
        "NUM_STREAMS": 1,
        "ENABLE_CPU_PINNING": False,
    }


def _declared(ports: Any, specs: list[TensorSpec]) -> dict[str, Declared]:
    """By name; of a tensor that has several, by the manifest's."""
    wanted = {spec.name for spec in specs}
    return {min(port.get_names() & wanted or port.get_names()): _tensor(port) for port in ports}


def _tensor(port: Any) -> Declared:
    """`-1` where a dimension is free."""
    partial, element = port.get_partial_shape(), port.get_element_type()
    shape = [] if partial.rank.is_dynamic else [-1 if size.is_dynamic else size.get_length() for size in partial]
    return Declared(DATATYPES.get(np.dtype(element.to_dtype())), shape, element.get_type_name())


@contextmanager
def _errors(before: str = "") -> Generator[None]:
    """What OpenVINO raises, RuntimeError and others, in one line: its last, since it begins with where in its sources it was."""
    try:
        yield
    except Exception as error:  # of several unrelated types
        lines = [line.strip() for line in str(error).splitlines() if line.strip()]
        raise EngineError(before + (lines or [type(error).__name__])[-1][:300]) from error
