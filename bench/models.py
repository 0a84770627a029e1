"""The two models, each as an ONNX file for the peers and as a package with the same file for Joulebox."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from bench.environments import cache_folder
from joulebox.package import open_package, write_package

FASHION = Path(__file__).parents[1] / "models/fashion/package"
SAMPLES = 4


@dataclass(frozen=True)
class Model:
    """A model, one input for it, float32 `[1, C, H, W]`, and what ONNX Runtime answers to that, float32 `[1, classes]`."""

    name: str
    title: str
    onnx: Path
    package: Path
    input: str
    output: str
    sample: NDArray[np.float32]
    answer: NDArray[np.float32]


def small() -> Model:
    """The shipped student, the variant that Joulebox serves first."""
    package = open_package(FASHION)
    manifest = package.manifest
    variant = manifest.variants[0]
    file = package.folder / variant.file
    with np.load(package.folder / manifest.golden.file) as golden:
        sample = golden[f"input.{manifest.inputs[0].name}"][:1]
    title = f"Fashion student, 28×28, {variant.precision}, {file.stat().st_size / 1e3:.0f} kB of ONNX"
    return _model(manifest.name, title, file, FASHION, sample)


def medium() -> Model:
    """MobileNetV2 with random weights, made the first time and kept in the cache."""
    made_by = (Path(__file__), Path(__file__).with_name("mobilenet.py"))
    definition = hashlib.sha256(b"".join(file.read_bytes() for file in made_by)).hexdigest()[:12]
    folder = cache_folder() / f"medium-{definition}"
    if not (folder / "current").exists():
        _make_medium(folder)
    package = open_package(folder)
    file = package.folder / package.manifest.variants[0].file
    with np.load(package.folder / package.manifest.golden.file) as golden:
        sample = golden["input.image"][:1]
    title = f"MobileNetV2, 224×224, random weights, fp32, {file.stat().st_size / 1e6:.0f} MB of ONNX"
    return _model("medium", title, file, folder, sample)


def _model(name: str, title: str, file: Path, package: Path, sample: NDArray[np.float32]) -> Model:
    session = session_of(file)
    first = session.get_inputs()[0].name
    answer = session.run(None, {first: sample})[0]
    return Model(name, title, file, package, first, session.get_outputs()[0].name, sample, answer)


def session_of(model: Path | bytes) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    source = model if isinstance(model, bytes) else str(model)
    return ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def _make_medium(folder: Path) -> None:
    from bench.mobilenet import SHAPE, mobilenet_v2  # noqa: PLC0415  # torch takes seconds to load
    from joulebox_build.data.encode import ModelInput  # noqa: PLC0415
    from joulebox_build.graph.export import export  # noqa: PLC0415

    content = export(mobilenet_v2(), ModelInput("image", "FP32", SHAPE, np.asarray))
    images = np.random.default_rng(0).normal(size=(SAMPLES, *SHAPE)).astype(np.float32)
    goldens = io.BytesIO()
    answers = session_of(content).run(None, {"image": images})[0]
    np.savez(goldens, **{"input.image": images, "output.logits": answers})
    fields = {
        "schema_version": 1,
        "name": "medium",
        "inputs": [{"name": "image", "datatype": "FP32", "shape": [-1, *SHAPE]}],
        "outputs": [{"name": "logits", "datatype": "FP32", "shape": [-1, 1000]}],
        "preprocess": None,
        "postprocess": None,
        "labels": [],
        "variants": [
            {
                "name": "cpu-fp32",
                "file": "variants/cpu-fp32.onnx",
                "engine": "onnxruntime",
                "provider": "CPUExecutionProvider",
                "engine_version_min": "1.17",
                "precision": "fp32",
                "golden_tolerance": 1e-2,
            }
        ],
        "golden": {"file": "golden.npz", "samples": SAMPLES},
        "gate": [],
        "lineage": {"inputs": "0" * 64, "made_of": {"by": "bench"}},
    }
    write_package(folder, fields, {"variants/cpu-fp32.onnx": content, "golden.npz": goldens.getvalue()}, {})
