"""ONNX Runtime: runs on the execution provider that the variant names, or not at all."""

from __future__ import annotations

from typing import Any

import onnxruntime
from numpy.typing import NDArray

from joulebox.engine.datatypes import ONNXRUNTIME
from joulebox.engine.engine import EngineError, Tensors
from joulebox.package import Manifest, Variant

ort: Any = onnxruntime  # its stubs are partial

DEVICES = {"CPUExecutionProvider": "cpu"}


class OnnxRuntimeEngine:
    """An inference session. ONNX Runtime lets several threads run one session at once."""

    name = "onnxruntime"

    def __init__(self, variant: Variant, model: bytes, manifest: Manifest, *, threads: int) -> None:
        """Opens a variant from the bytes of its ONNX file.

        Raises:
            EngineError: this ONNX Runtime is too old or without the provider, the file is no model, or its inputs or
                outputs are not the manifest's.
        """
        self.device = DEVICES[variant.provider]
        _check_version(variant)
        if variant.provider not in ort.get_available_providers():
            raise EngineError(
                f"{variant.provider} is not in this build of onnxruntime ({', '.join(ort.get_available_providers())})"
            )
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a spinning thread burns joules
        try:
            self._session = ort.InferenceSession(model, options, providers=[variant.provider])
        except Exception as error:  # onnxruntime raises several unrelated types
            raise EngineError(f"{variant.file} does not load: {_first_line(error)}") from error
        used = self._session.get_providers()
        if used[0] != variant.provider:
            raise EngineError(f"onnxruntime chose {used[0]} where {variant.provider} was asked for")
        _check_tensors("input", variant, self._session.get_inputs(), manifest.inputs)
        _check_tensors("output", variant, self._session.get_outputs(), manifest.outputs)
        self._outputs = [output.name for output in manifest.outputs]

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        try:
            results = self._session.run(self._outputs, dict(inputs))
        except Exception as error:
            raise EngineError(_first_line(error)) from error
        return dict(zip(self._outputs, results, strict=True))


def _check_version(variant: Variant) -> None:
    have, need = _release(ort.__version__), _release(variant.engine_version_min)
    if have < need:
        raise EngineError(
            f"onnxruntime is {ort.__version__}; {variant.name} needs {variant.engine_version_min} or later"
        )


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+", maxsplit=1)[0].split(".")[:3] if part.isdigit())


def _check_tensors(kind: str, variant: Variant, actual: Any, expected: Any) -> None:
    found = {tensor.name: (ONNXRUNTIME.get(tensor.type), len(tensor.shape)) for tensor in actual}
    wanted = {tensor.name: (tensor.datatype, len(tensor.shape)) for tensor in expected}
    if found != wanted:
        raise EngineError(f"{variant.file} has {kind}s {found}; the manifest says {wanted}")


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
