"""The build host's commands, which `joulebox` shows where this package is installed."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from joulebox.package import Package
from joulebox_build import pipeline
from joulebox_build.errors import BuildError, GateError
from joulebox_build.given import pipeline as given_pipeline
from joulebox_build.given.report import GivenReport
from joulebox_build.judge import gate
from joulebox_build.judge.cost import energy_sources
from joulebox_build.recipe import GivenRecipe, load_any_recipe
from joulebox_build.report.report import Report
from joulebox_build.spending import Spending
from joulebox_build.stage import Ran, Stages

RecipePath = Annotated[Path, typer.Argument(help="The recipe, such as models/fashion/recipe.yaml.", metavar="RECIPE")]
Out = Annotated[
    Path, typer.Option("--out", help="Where the package goes: DIR/VERSION, with DIR/current pointing to it.")
]
ProfileName = Annotated[str, typer.Option("--profile", help="Which of the recipe's profiles to build.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON object on standard output instead of tables.")]


def build(recipe_path: RecipePath, out: Out, profile: ProfileName = "quick", as_json: Json = False) -> None:
    """Make, judge and pack the recipe's small model: distil, quantize, compare, hold against the gate, seal."""
    if out.exists() and not out.is_dir():
        raise BuildError(f"--out {out} is a file; expected a folder, which is made where there is none")
    stages = Stages(say=say, spending=Spending(energy_sources().meters))
    recipe = load_any_recipe(recipe_path)
    if isinstance(recipe, GivenRecipe):
        given = given_pipeline.build(recipe, profile, stages)
        report, pack = given.report, partial(given_pipeline.pack, given)
    else:
        built = pipeline.build(recipe, profile, stages)
        report, pack = built.report, partial(pipeline.pack, built)
    try:
        package = pack(out)
    except GateError:
        _show(report, None, stages, as_json=as_json)
        raise
    _show(report, package, stages, as_json=as_json)


def say(made: Ran) -> None:
    how = "cached" if made.cached else f"made in {made.seconds:.1f} s"
    named = f"{made.stage} ({made.of})" if made.of else made.stage
    Console(stderr=True, highlight=False).print(f"{named}: {how}")


def _show(report: Report | GivenReport, package: Package | None, stages: Stages, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(_as_json(report, package, stages), ensure_ascii=False, allow_nan=False))
        return
    console = Console()
    console.print(report.table())
    console.print(gate.table(report.gate))
    if isinstance(report, Report) and report.study is not None:
        console.print(f"study of {len(report.study.seeds)} seeds: {report.study.verdict}", markup=False)
    if package is not None:
        console.print(f"package {package.manifest.version} is at {package.folder}", soft_wrap=True, highlight=False)


def _as_json(report: Report | GivenReport, package: Package | None, stages: Stages) -> dict[str, Any]:
    return {
        "name": report.name,
        "profile": report.profile,
        "version": package.manifest.version if package else None,
        "package": str(package.folder) if package else None,
        "passed": package is not None,
        "gate": [result.model_dump() for result in report.gate],
        "models": [asdict(figures) for figures in report.models],
        "stages": [
            {
                "stage": made.stage,
                "of": made.of,
                "key": made.key,
                "cached": made.cached,
                "seconds": round(made.seconds, 3),
            }
            for made in stages.once()
        ],
    }
