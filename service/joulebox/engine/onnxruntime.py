"""ONNX Runtime: runs on the execution provider that the variant names, or not at all."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from joulebox.engine.datatypes import ONNXRUNTIME
from joulebox.engine.engine import EngineError, Tensors
from joulebox.engine.files import lay
from joulebox.engine.tensors import Declared, check_tensors
from joulebox.package import Manifest, Variant
from joulebox.package.manifest import EngineName

ort: Any = onnxruntime  # its stubs are partial

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
DEVICES = {CPU: "cpu", CUDA: "gpu", TENSORRT: "gpu"}
EXTERNAL_DATA_FOLDER = "session.model_external_initializers_file_folder_path"
NOWHERE = "/dev/null"  # a folder below which there can be no file


def version() -> str:
    return str(ort.__version__)


def providers() -> list[str]:
    """What it was compiled with, which says nothing of what works here."""
    return list(ort.get_available_providers())


class OnnxRuntimeEngine:
    """An inference session. ONNX Runtime lets several threads run one session at once."""

    name: EngineName = "onnxruntime"

    def __init__(
        self, variant: Variant, model: bytes, manifest: Manifest, external: Mapping[str, bytes], *, threads: int
    ) -> None:
        """Opens a variant from the bytes of its ONNX file.

        Args:
            external: the contents of its external data files, by their location as the ONNX file has it.

        Raises:
            EngineError: this ONNX Runtime is too old or without the provider, the file is no model, or its inputs or
                outputs are not the manifest's.
        """
        self.device = DEVICES[variant.provider]
        _check_version(variant)
        if variant.provider not in providers():
            raise EngineError(f"{variant.provider} is not in this build of onnxruntime ({', '.join(providers())})")
        options = _options(manifest, threads)
        if variant.provider != CPU:
            options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")  # else it falls back silently
        try:
            with external_data(options, external):
                self._session: Any = ort.InferenceSession(model, options, providers=[_provider(variant)])
        except Exception as error:  # onnxruntime raises several unrelated types
            raise EngineError(f"{variant.file} does not load: {first_line(error)}") from error
        used = self._session.get_providers()
        if used[0] != variant.provider:
            raise EngineError(f"onnxruntime chose {used[0]} where {variant.provider} was asked for")
        inputs, outputs = _declared(self._session.get_inputs()), _declared(self._session.get_outputs())
        check_tensors(variant.file, manifest, inputs, outputs)
        self._outputs = [output.name for output in manifest.outputs]
        self._strings = [spec.name for spec in manifest.inputs if spec.datatype == "BYTES"]

    def run(self, inputs: Tensors) -> dict[str, NDArray[Any]]:
        feeds = dict(inputs)
        for name in self._strings:
            feeds[name] = _text(name, feeds[name])
        try:
            results = self._session.run(self._outputs, feeds)
        except Exception as error:
            raise EngineError(first_line(error)) from error
        return dict(zip(self._outputs, results, strict=True))

    def close(self) -> None:
        self._session = None  # gives its memory back


def _provider(variant: Variant) -> tuple[str, dict[str, str]]:
    """With its options: TensorRT rounds as a model's Q/DQ nodes say only where it is told that it may."""
    int8 = variant.provider == TENSORRT and variant.precision == "int8"
    return variant.provider, {"trt_int8_enable": "1"} if int8 else {}


def _options(manifest: Manifest, threads: int) -> Any:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = (
        4  # what goes wrong comes as an exception too; a log line would hold parts of the input
    )
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # a spinning thread burns joules
    if any(-1 in spec.shape[manifest.batched :] for spec in manifest.inputs):
        options.enable_mem_pattern = False  # it keeps a plan for each shape ever seen
    return options


@contextmanager
def external_data(options: Any, contents: Mapping[str, bytes]) -> Generator[None]:
    """While a session is made from bytes: its external data, and that ONNX Runtime looks for no more in our folder.

    Before 1.24 it took such data from files only. It maps them into memory, so they need not outlive this.
    """
    if hasattr(options, "add_external_initializers_from_files_in_memory"):
        options.add_session_config_entry(EXTERNAL_DATA_FOLDER, NOWHERE)
        if contents:
            sizes = [len(content) for content in contents.values()]
            options.add_external_initializers_from_files_in_memory(list(contents), list(contents.values()), sizes)
        yield
        return
    with TemporaryDirectory(prefix="joulebox-") as folder:
        options.add_session_config_entry(EXTERNAL_DATA_FOLDER, folder)
        lay(Path(folder), contents)
        yield


def _text(name: str, array: NDArray[Any]) -> NDArray[Any]:
    """Strings as ONNX Runtime takes them: of `bytes` it would take what Python shows of them, `b'…'`.

    Raises:
        EngineError: they are not UTF-8.
    """
    values: list[Any] = array.ravel().tolist()
    if not any(isinstance(value, bytes) for value in values):
        return array
    try:
        texts = [value.decode() if isinstance(value, bytes) else value for value in values]
    except UnicodeDecodeError as error:
        raise EngineError(f"input {name!r} holds {error.object[:40]!r}, which is not UTF-8") from error
    return np.reshape(np.array(texts, np.object_), array.shape)


def _check_version(variant: Variant) -> None:
    have, need = _release(version()), _release(variant.engine_version_min)
    if have < need:
        raise EngineError(f"onnxruntime is {version()}; {variant.name} needs {variant.engine_version_min} or later")


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("+", maxsplit=1)[0].split(".")[:3] if part.isdigit())


def _declared(tensors: Any) -> dict[str, Declared]:
    return {tensor.name: Declared(ONNXRUNTIME.get(tensor.type), tensor.shape, tensor.type) for tensor in tensors}


def first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:300]
