"""The build host's commands, which `joulebox` shows where this package is installed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from joulebox_build.model import load_folder
from joulebox_build.progress import bar
from joulebox_build.recipe import load_recipe
from joulebox_build.teacher import save_weights, train_teacher, write_card

RecipePath = Annotated[Path, typer.Argument(help="The recipe, such as models/fashion/recipe.yaml.", metavar="RECIPE")]


def teacher(recipe_path: RecipePath) -> None:
    """Train the recipe's teacher and keep its weights, with a card saying how they were made."""
    recipe = load_recipe(recipe_path)
    folder = load_folder(recipe)
    data = folder.load()
    with bar("teacher", recipe.teacher.training.epochs) as progress:
        trained = train_teacher(recipe, folder, data, progress)
    save_weights(trained.network, recipe.path(recipe.teacher.weights))
    typer.echo(write_card(recipe, data, trained, folder).read_text("utf-8"))
