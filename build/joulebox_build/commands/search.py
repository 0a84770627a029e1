"""`joulebox search`: tries out the profiles that a recipe's search section spans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from optuna.trial import FrozenTrial
from rich.console import Console

from joulebox_build.commands.build import RecipePath
from joulebox_build.errors import BuildError, RecipeError
from joulebox_build.job import open_job
from joulebox_build.judge.cost import energy_sources
from joulebox_build.recipe import Recipe, Search, load_recipe
from joulebox_build.search import found, picture
from joulebox_build.search.budget import Budget
from joulebox_build.search.loop import Hunt, described, hunt, without_studies
from joulebox_build.search.space import check
from joulebox_build.search.study import finished, front, open_study, smallest_that_passes
from joulebox_build.spending import Spending
from joulebox_build.stage import Stages, default_folder

ProfileName = Annotated[str, typer.Option("--profile", help="The profile that the search starts from.")]
Trials = Annotated[
    int | None, typer.Option("--trials", min=1, help="Until the study has so many; else as the recipe says.")
]
Time = Annotated[float | None, typer.Option("--time-budget", min=0, help="Seconds, of this process.", metavar="S")]
Energy = Annotated[
    float | None,
    typer.Option(
        "--energy-budget",
        min=0,
        help="Joules from now on: of this host; of this process where they are estimated.",
        metavar="J",
    ),
]
Storage = Annotated[str | None, typer.Option("--storage", help="Where the study is kept: a file, or an Optuna URL.")]
Write = Annotated[Path | None, typer.Option("--write", help="Write a recipe with the smallest that passes the gate.")]
Plot = Annotated[Path | None, typer.Option("--plot", help="Draw the first two objectives: a .png or .svg file.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output instead of tables.")]


def search(  # noqa: PLR0913, PLR0917  # a command line
    recipe_path: RecipePath,
    profile: ProfileName = "quick",
    trials: Trials = None,
    time_budget: Time = None,
    energy_budget: Energy = None,
    storage: Storage = None,
    write: Write = None,
    plot: Plot = None,
    as_json: Json = False,
) -> None:
    """Search the recipe's space for the best trade-offs, judged on validation data; go on where a study stands."""
    recipe = load_recipe(recipe_path)
    wanted = _checked(recipe, profile, write, plot)
    budget = Budget(time_budget, energy_budget)
    stages = Stages(spending=Spending(energy_sources().meters))
    job = without_studies(open_job(recipe, profile, stages))
    study = open_study(job, wanted, storage or str(default_folder() / "studies.journal"), _say)
    ended = hunt(Hunt(job, wanted, study, budget, trials or wanted.trials, _say))
    best, smallest = front(study), smallest_that_passes(finished(study))
    if plot is not None:
        picture.write(plot, wanted.objectives, finished(study), best)
    if as_json:
        typer.echo(json.dumps(found.as_json(study, ended, best, smallest), allow_nan=False))
    else:
        _show(best, smallest, ended)
    if write is not None:
        if smallest is None:
            raise BuildError(f"--write {write}: no trial passes the gate on validation data yet; nothing was written")
        found.write_recipe(recipe, profile, smallest, write)


def _say(text: str) -> None:
    Console(stderr=True, highlight=False).print(text, soft_wrap=True)


def _checked(recipe: Recipe, profile: str, write: Path | None, plot: Path | None) -> Search:
    """The recipe's search, after all that can be known to be wrong beforehand was looked for."""
    if recipe.search is None:
        raise RecipeError(f"{recipe.file}: search: missing; docs/search.md says what to write there")
    check(recipe.profile(profile), recipe.search)
    if "joules" in recipe.search.objectives:
        sources = energy_sources()
        if not sources.meters:
            why = "; ".join(f"{missing.reader}: {missing.reason}" for missing in sources.unavailable)
            raise RecipeError(f"search.objectives: joules: nothing on this host says them ({why}); leave joules out")
    if plot is not None:
        picture.check(plot, recipe.search.objectives)
    if write is not None:
        found.check_place(recipe, write)
    return recipe.search


def _show(best: Sequence[FrozenTrial], smallest: FrozenTrial | None, ended: str) -> None:
    console = Console()
    console.print(found.table(best, smallest))
    if smallest is None:
        console.print("no trial passes the gate on validation data")
    else:
        console.print(
            f"the smallest that passes the gate on validation data is trial {smallest.number}: {described(smallest.params)}",
            soft_wrap=True,
        )
    console.print(ended, highlight=False)
