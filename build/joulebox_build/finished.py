"""A finished model: ONNX files, and what they take."""

from __future__ import annotations

from dataclasses import dataclass

from joulebox.package.digest import canonical, sha256
from joulebox_build.data.encode import ModelInput
from joulebox_build.stage import Artifact

MODEL = "model.onnx"


@dataclass(frozen=True)
class Model:
    """Of several files, as a teacher of several members has, the mean of the logits is the answer.

    `encoder` is the digest of the code that makes its input, where that is the model folder's own.
    """

    name: str
    files: tuple[Artifact, ...]
    parameters: int
    given: ModelInput
    encoder: str = ""

    @property
    def contents(self) -> list[bytes]:
        return [file.files[MODEL] for file in self.files]

    @property
    def content(self) -> bytes:
        """Of a model in one file."""
        (content,) = self.contents
        return content

    @property
    def bytes(self) -> int:
        return sum(map(len, self.contents))

    @property
    def digest(self) -> str:
        return sha256(canonical([self.encoder, *(file.digest for file in self.files)]))
