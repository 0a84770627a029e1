"""`joulebox new`: a model folder that works, for somebody's own data."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from joulebox_build.commands.build import Json
from joulebox_build.errors import BuildError
from joulebox_build.new.skeleton import skeleton, write_folder
from joulebox_build.new.source import Columns, open_source

NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
Name = Annotated[str, typer.Argument(help="The model's name: small letters, digits, '.', '_' and '-'.", metavar="NAME")]
From = Annotated[Path, typer.Option("--from", help="The data: a folder of images by class, a .csv or an .npz file.")]
Label = Annotated[str, typer.Option("--label", help="The column of a .csv file that says the class.")]
Text = Annotated[str | None, typer.Option("--text", help="The column of a .csv file that has texts to be classified.")]
Slices = Annotated[
    list[str] | None,
    typer.Option("--slice", help="A column of a .csv file that says a group; may be given several times."),
]
Skip = Annotated[
    int,
    typer.Option("--skip-unreadable", min=0, help="So many files of a folder may be no readable image.", metavar="N"),
]
Models = Annotated[Path, typer.Option("--models", help="Where the model's folder is made.")]


def new(  # noqa: PLR0913, PLR0917  # a command line
    name: Name,
    source: From,
    label: Label = "label",
    models: Models = Path("models"),
    text: Text = None,
    slices: Slices = None,
    skip_unreadable: Skip = 0,
    as_json: Json = False,
) -> None:
    """Make a recipe for your own data: MODELS/NAME with recipe.yaml, model.py, data.py and README.md."""
    if not NAME.fullmatch(name):
        raise BuildError(
            f"the name {name!r} is not taken; expected small letters, digits, '.', '_' and '-', 63 at most"
        )
    place = models / name
    if place.exists():
        raise BuildError(f"{place} exists; choose another name, or remove it: nothing is overwritten")
    columns = Columns(label, text, tuple(slices or ()))
    found = open_source(source, columns, seed=0, skip_unreadable=skip_unreadable)
    files = skeleton(name, found, 0)
    write_folder(place, files)
    data = found.data
    if as_json:
        said = {
            "folder": str(place),
            "files": sorted(files),
            "labels": list(data.labels),
            "samples": {part: len(split) for part, split in data.splits().items()},
            "slices": sorted(data.train.slices),
            "unlabelled": 0 if data.unlabelled is None else len(data.unlabelled),
            "input": list(data.train.inputs.shape[1:]),
        }
        typer.echo(json.dumps(said, ensure_ascii=False))
        return
    console = Console(highlight=False, soft_wrap=True)
    samples = ", ".join(f"{len(split):,} {part}" for part, split in data.splits().items())
    console.print(f"{place}: {len(data.labels)} classes; samples: {samples}", markup=False)
    if data.train.slices:
        console.print(f"groups by: {', '.join(sorted(data.train.slices))}", markup=False)
    if data.unlabelled is not None:
        console.print(f"without a class: {len(data.unlabelled):,}", markup=False)
    console.print(f"next: joulebox teacher {place}/recipe.yaml", markup=False)
    console.print(f"then: joulebox build {place}/recipe.yaml --profile quick --out out/{name}", markup=False)
