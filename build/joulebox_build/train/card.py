"""A page beside a teacher's weights: how they were made, and what they are worth."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from joulebox.host import describe_host
from joulebox_build.files import replace_atomically
from joulebox_build.provenance import libraries, machine
from joulebox_build.recipe import Member, Recipe, Training


@dataclass(frozen=True)
class Card:
    """Accuracy is of the weights as saved, split to a fraction of its samples; `history` has an epoch each."""

    accuracy: Mapping[str, tuple[float, int]]
    parameters: int
    samples: int
    seconds: float
    history: Sequence[Mapping[str, float]]


def write_card(recipe: Recipe, member: Member, training: Training, card: Card) -> Path:
    """Beside the weights, under their name."""
    weights = recipe.path(member.file)
    where = machine()["cuda"] or f"{machine()['threads']} threads of {describe_host(os.environ).cpu}"
    rows = [
        *((f"{split} accuracy", f"{part:.2%} of {count:,}") for split, (part, count) in card.accuracy.items()),
        ("parameters", f"{card.parameters:,}"),
        ("file", f"`{weights.name}`, {weights.stat().st_size:,} bytes"),
        ("training samples", f"{card.samples:,}, augmented one by one by `{recipe.data}`"),
        ("schedule", f"{training.describe()}, seed {member.seed}"),
        ("wall time", f"{card.seconds / 60:.0f} minutes on {where}"),
        ("made with", f"torch {libraries()['torch']}"),
    ]
    lines = [
        f"# A teacher of {recipe.name}",
        "",
        "Written by `joulebox teacher`; the weights beside this page are in half precision, and so are the figures.",
        "",
        "| what | figure |",
        "| --- | --- |",
        *(f"| {what} | {figure} |" for what, figure in rows),
        "",
        "| epoch | loss | validation accuracy |",
        "| --- | --- | --- |",
        *(
            f"| {n} | {epoch['loss']:.4f} | {epoch['validation_accuracy']:.2%} |"
            for n, epoch in enumerate(card.history, 1)
        ),
        "",
    ]
    path = weights.with_suffix(".md")
    replace_atomically(path, lambda temporary: temporary.write_text("\n".join(lines), "utf-8"))
    return path
