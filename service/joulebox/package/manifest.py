"""The manifest of a model package: `manifest.json`, schema version 1."""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Any, Literal, cast

import numpy as np
from annotated_types import Ge, Gt, Le
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Discriminator, Field, Tag, model_validator

SCHEMA_VERSION = 1
MANIFEST = "manifest.json"

Datatype = Literal[
    "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64", "FP16", "FP32", "FP64", "BYTES"
]
EngineName = Literal["onnxruntime", "openvino"]
"""What runs variants. Each is made for ONNX Runtime; OpenVINO runs those for CPUs."""
Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
Version = Annotated[str, Field(pattern=r"^[0-9a-f]{16}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
RelativePath = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._+-]*(/[A-Za-z0-9_][A-Za-z0-9._+-]*)*$")]
"""Below the package: no part starts with a dot (so no `..`), and there is no leading slash."""
Positive = Annotated[int, Gt(0)]
Finite = Annotated[float, Field(allow_inf_nan=False)]


class Section(BaseModel):
    """A part of the manifest: immutable, and no key that this schema version does not know."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TensorSpec(Section):
    """One input or output; -1 in a shape is a free dimension, the first one the batch where the model is `batched`."""

    name: Annotated[str, Field(min_length=1, max_length=256)]
    datatype: Datatype
    shape: list[Annotated[int, Ge(-1)]]


class ImagePreprocess(Section):
    """An image file becomes float32, `(pixel / 255 - mean) / std` per channel, in the model's size and layout.

    `resize: stretch` brings each side to its size; `crop` keeps the proportions and cuts what is too long at both ends.
    """

    kind: Literal["image"] = "image"
    height: Positive
    width: Positive
    channels: Literal[1, 3]
    mean: list[Finite]
    std: list[Annotated[Finite, Gt(0)]]
    resize: Literal["stretch", "crop"] = "stretch"
    layout: Literal["NCHW", "NHWC"] = "NCHW"

    @model_validator(mode="after")
    def _one_per_channel(self) -> ImagePreprocess:
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) != self.channels:
                raise ValueError(
                    f"preprocess.{name} has {len(values)} values; expected one per channel ({self.channels})"
                )
        return self

    @property
    def datatype(self) -> Datatype:
        return "FP32"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of one image in the input tensor."""
        plane = (self.height, self.width)
        return (self.channels, *plane) if self.layout == "NCHW" else (*plane, self.channels)

    def affine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`scale, offset`, float32 `[channels]` each, so that the tensor is `pixel * scale + offset`."""
        return self._affine

    @cached_property
    def _affine(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        std, mean = np.asarray(self.std), np.asarray(self.mean)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)


Fold = Literal["urls", "mentions", "numbers"]


class TextPreprocess(Section):
    """A text becomes int64 numbers of its words and n-grams, `[length]`: CRC-32 hashes, from 1 to `buckets`, then zeros.

    `preprocess/text.py` does it. `fold` names what counts as one word, whichever it is: addresses, `@name`, and runs of digits.
    """

    kind: Literal["text"]
    buckets: Annotated[int, Gt(0), Le(2**24)]
    length: Annotated[int, Gt(0), Le(4096)]
    characters: Annotated[int, Gt(0), Le(65536)] = 1000
    """How much of a text is read; the rest is left out."""
    lowercase: bool = True
    fold: list[Fold] = []
    word_ngrams: Annotated[int, Gt(0), Le(5)] = 1
    """Of one word up to so many."""
    character_ngrams: tuple[Annotated[int, Gt(0)], Annotated[int, Le(16)]] | None = None
    """Of so many characters of a word, from and to."""

    @model_validator(mode="after")
    def _from_short_to_long(self) -> TextPreprocess:
        if self.character_ngrams is not None and self.character_ngrams[0] > self.character_ngrams[1]:
            raise ValueError(
                f"preprocess.character_ngrams is {list(self.character_ngrams)}; expected the shorter first"
            )
        return self

    @property
    def datatype(self) -> Datatype:
        return "INT64"

    @property
    def shape(self) -> tuple[int]:
        """Of one text in the input tensor."""
        return (self.length,)


def _kind(preprocess: Any) -> str:
    """Manifests of images may leave it out."""
    if isinstance(preprocess, BaseModel):
        return str(getattr(preprocess, "kind", ""))
    return str(cast("dict[str, Any]", preprocess).get("kind", "image")) if isinstance(preprocess, dict) else ""


Preprocess = Annotated[
    Annotated[ImagePreprocess, Tag("image")] | Annotated[TextPreprocess, Tag("text")], Discriminator(_kind)
]


class ClassifyPostprocess(Section):
    """Logits become probabilities by softmax at a temperature; the best `top` are answered."""

    kind: Literal["classify"] = "classify"
    temperature: Annotated[Finite, Gt(0)] = 1.0
    top: Positive = 3


class Variant(Section):
    """One runnable form of the model, what it requires of a host, and how near the reference it has to stay."""

    name: Name
    file: RelativePath
    engine: Literal["onnxruntime"]
    provider: Literal["CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"]
    engine_version_min: Annotated[str, Field(pattern=r"^\d+(\.\d+)*$")]
    precision: Literal["fp64", "fp32", "fp16", "bf16", "int8", "mixed"]
    golden_tolerance: Annotated[Finite, Gt(0)]
    """Largest absolute difference from golden outputs of floats that is let through; all others have to be equal."""
    external_data: list[RelativePath] = []
    """Files of weights beside the model. It names each by its path from the model's own folder."""

    @model_validator(mode="after")
    def _beside(self) -> Variant:
        for file in self.external_data:
            if not file.startswith(self.folder) or file == self.file:
                raise ValueError(f"external data {file} is not beside or below {self.file}")
        return self

    @property
    def folder(self) -> str:
        """Of the model's file, with the slash after it; empty at the top of the package."""
        return self.file[: self.file.rfind("/") + 1]


class Golden(Section):
    """`golden.npz`: arrays `input.NAME` and `output.NAME`; BYTES are unicode strings there.

    Sample i of a batched model is `array[i : i + 1]`. Where the model is not batched, arrays have `samples` as one
    dimension more in front, and sample i is `array[i]`.
    """

    file: RelativePath
    samples: Positive


class GateResult(Section):
    """One limit of the gate, and the figure it was held against, where that is known and the same on each run."""

    limit: str
    expected: str
    actual: Finite | None
    passed: bool
    note: str | None = None


class Lineage(Section):
    """What made the package. `inputs` is the digest of `made_of`."""

    inputs: Digest
    made_of: dict[str, Any]


class FileEntry(Section):
    sha256: Digest
    size: Annotated[int, Ge(0)]


class Manifest(Section):
    """A model package's table of contents.

    `version` is the digest of what the model is and answers; `evidence` (reports, which hold timings) lies outside it.
    `checksum` covers everything, so that no byte can change unseen.
    """

    schema_version: Literal[1]
    name: Name
    version: Version
    batched: bool = True
    """Whether the first dimension of each input and output is the batch, so that requests may be joined along it."""
    inputs: Annotated[list[TensorSpec], Field(min_length=1)]
    outputs: Annotated[list[TensorSpec], Field(min_length=1)]
    preprocess: Preprocess | None
    postprocess: ClassifyPostprocess | None
    labels: list[str]
    variants: Annotated[list[Variant], Field(min_length=1)]
    golden: Golden
    gate: list[GateResult]
    lineage: Lineage
    files: dict[RelativePath, FileEntry]
    evidence: dict[RelativePath, FileEntry]
    checksum: Digest

    def size(self, variant: Variant) -> int:
        """Bytes of a variant's files."""
        return sum(self.files[file].size for file in (variant.file, *variant.external_data))

    @model_validator(mode="after")
    def _consistent(self) -> Manifest:
        named = [file for variant in self.variants for file in (variant.file, *variant.external_data)]
        named.append(self.golden.file)
        unlisted = [file for file in named if file not in self.files]
        if unlisted:
            raise ValueError(f"{unlisted[0]} is used but not listed under files")
        if MANIFEST in self.files or MANIFEST in self.evidence:
            raise ValueError(f"{MANIFEST} lists itself; its own checksum covers it")
        twice = set(self.files) & set(self.evidence)
        if twice:
            raise ValueError(f"{min(twice)} is listed under files and evidence")
        names = [variant.name for variant in self.variants]
        if len(set(names)) != len(names):
            raise ValueError(f"variants have the same name: {', '.join(sorted(names))}")
        self._check_tensors("input", self.inputs)
        self._check_tensors("output", self.outputs)
        if self.preprocess is not None:
            self._check_input(self.preprocess)
        if self.postprocess is not None:
            self._check_classes()
        return self

    def _check_tensors(self, kind: str, specs: list[TensorSpec]) -> None:
        names = [spec.name for spec in specs]
        if len(set(names)) != len(names):
            raise ValueError(f"{kind}s have the same name: {', '.join(sorted(names))}")
        for spec in specs:
            if self.batched and spec.shape[:1] != [-1]:
                raise ValueError(
                    f"{kind} {spec.name} has shape {spec.shape}; a batched model's begin with -1, the batch"
                )

    def _check_input(self, preprocess: ImagePreprocess | TextPreprocess) -> None:
        datatype, expected = preprocess.datatype, [-1, *preprocess.shape]
        if len(self.inputs) != 1 or self.inputs[0].datatype != datatype or self.inputs[0].shape != expected:
            raise ValueError(f"preprocess makes one {datatype} input {expected}; the inputs are {self.inputs}")
        if not self.batched:
            raise ValueError(f"preprocess makes batches of {preprocess.kind}s; the model is not batched")

    def _check_classes(self) -> None:
        expected = [-1, len(self.labels)]
        if len(self.outputs) != 1 or self.outputs[0].datatype != "FP32" or self.outputs[0].shape != expected:
            raise ValueError(
                f"{len(self.labels)} labels need one FP32 output {expected}; the outputs are {self.outputs}"
            )
