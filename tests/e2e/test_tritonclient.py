"""From a finished ONNX model to Triton's client: imported, served, asked; the shipped model too."""

from __future__ import annotations

import gzip
import subprocess
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import onnxruntime
import pytest

from servers import JOULEBOX, SERVE

http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
utils = pytest.importorskip("tritonclient.utils")

pytestmark = pytest.mark.slow
Serve = Callable[[Sequence[str]], AbstractContextManager[httpx.Client]]
KINDS = ["tokens", "state", "strings", "datatypes", "external"]
FASHION = Path("/usr/share/datasets/fashion-mnist")


def given(kind: str, items: int) -> dict[str, np.ndarray]:
    """Inputs of a model of `tests/onnx_models.py`, none of them among its goldens."""
    random = np.random.default_rng(items)
    if kind == "tokens":
        ids = random.integers(0, 30, (items, 7))
        return {"input_ids": ids, "attention_mask": (ids > 3).astype(np.int64)}
    if kind == "state":
        state = random.normal(size=(2, items, 4)).astype(np.float32)
        return {"input": random.normal(size=(items, 9)).astype(np.float32), "state": state, "sr": np.array(8000)}
    if kind == "strings":
        texts = np.array([f"Jäger {number}" for number in range(items)], object)
        return {"text": texts, "suffix": texts[::-1].copy()}
    if kind == "external":
        return {"x": random.normal(size=(items, 16)).astype(np.float32)}
    types = {"BOOL": np.bool_, "FP16": np.float16, "FP32": np.float32, "FP64": np.float64, "BYTES": np.object_}
    types |= {
        f"{sign}INT{bits}": np.dtype(f"{sign}int{bits}".lower()) for sign in ("", "U") for bits in (8, 16, 32, 64)
    }
    return {f"in_{name}": random.integers(0, 2, (items, 2)).astype(kind) for name, kind in types.items()}


def connected(server: httpx.Client) -> Any:
    return http.InferenceServerClient(f"{server.base_url.host}:{server.base_url.port}")


def tensors(arrays: dict[str, np.ndarray]) -> list[Any]:
    made: list[Any] = []
    for name, array in arrays.items():
        if array.dtype == object:
            array = np.vectorize(str, otypes=[object])(array)  # noqa: PLW2901
        made.append(http.InferInput(name, list(array.shape), utils.np_to_triton_dtype(array.dtype)))
        made[-1].set_data_from_numpy(array)
    return made


def test_imported_models_answer_as_onnx_runtime_does(onnx_models: ModuleType, serve: Serve, tmp_path: Path) -> None:
    for kind in KINDS:
        file = getattr(onnx_models, kind)(tmp_path)
        command = [*JOULEBOX, "import", str(file), "--name", kind, "--out", str(tmp_path / "packages" / kind)]
        subprocess.run(command, check=True, capture_output=True)
    command = [*SERVE, *(str(tmp_path / "packages" / kind) for kind in KINDS)]
    with serve(command) as server, connected(server) as client:
        for kind in KINDS:
            session = onnxruntime.InferenceSession(tmp_path / f"{kind}.onnx", providers=["CPUExecutionProvider"])
            names = [output.name for output in session.get_outputs()]
            for items in (1, 5):
                inputs = given(kind, items)
                if kind == "datatypes":
                    inputs["in_BYTES"] = np.vectorize(str, otypes=[object])(inputs["in_BYTES"])
                result = client.infer(kind, tensors(inputs))
                for name, expected in zip(names, session.run(names, inputs), strict=True):
                    found = result.as_numpy(name)
                    if found.dtype == object:
                        assert [each.decode() for each in found.ravel()] == expected.ravel().tolist()
                    else:
                        assert found.dtype == expected.dtype
                        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.skipif(not FASHION.is_dir(), reason="Fashion-MNIST is not installed")
def test_the_shipped_model_names_clothes(package: Path, serve: Serve) -> None:
    images = np.frombuffer(gzip.decompress((FASHION / "t10k-images-idx3-ubyte.gz").read_bytes()), np.uint8, offset=16)
    labels = np.frombuffer(gzip.decompress((FASHION / "t10k-labels-idx1-ubyte.gz").read_bytes()), np.uint8, offset=8)
    with serve([*SERVE, str(package)]) as server, connected(server) as client:
        metadata = client.get_model_metadata("fashion")
        (source,), (wanted,) = metadata["inputs"], metadata["outputs"]
        shape = [500 if size == -1 else size for size in source["shape"]]
        content = server.get("/v2/models/fashion").json()
        assert content == metadata
        scaled = images[: 500 * 784].reshape(shape).astype(np.float32) / 255
        right = []
        for mean, std in ((0.0, 1.0), (0.2860, 0.3530), (0.5, 0.5)):  # raw tensors: preparing them is the client's
            tensor = http.InferInput(source["name"], shape, source["datatype"])
            tensor.set_data_from_numpy(((scaled - mean) / std).astype(np.float32))
            result = client.infer("fashion", [tensor]).as_numpy(wanted["name"])
            right.append(float((result.argmax(axis=1) == labels[:500]).mean()))
        assert max(right) > 0.88
        output = http.InferRequestedOutput(wanted["name"], class_count=1)
        best = client.infer("fashion", [tensor], outputs=[output]).as_numpy(wanted["name"])
        assert best.shape == (500, 1)
        assert best[0, 0].decode().count(":") == 2, "value, index and name"
