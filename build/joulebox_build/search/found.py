"""What a search found: the front as a table or as JSON, and a recipe with the smallest that passes the gate."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import optuna
import yaml
from optuna.study import Study
from optuna.trial import FrozenTrial
from rich.box import SIMPLE_HEAD
from rich.table import Table

from joulebox_build.errors import BuildError
from joulebox_build.files import replace_atomically
from joulebox_build.recipe import Recipe, load_recipe
from joulebox_build.recipe.yamlfile import read_yaml
from joulebox_build.search.space import put
from joulebox_build.search.study import MISSED


def table(trials: Sequence[FrozenTrial], smallest: FrozenTrial | None) -> Table:
    """The front for a terminal. Figures are of validation data."""
    keys = sorted({key for trial in trials for key in trial.params})
    timed = any(trial.user_attrs["latency"] is not None for trial in trials)
    powered = any(trial.user_attrs["joules"] is not None for trial in trials)
    shown = Table(
        "trial",
        *keys,
        "accuracy",
        "bytes",
        title="none is better in all objectives",
        title_justify="left",
        box=SIMPLE_HEAD,
        pad_edge=False,
    )
    for name in (["latency, ms"] if timed else []) + (["energy, mJ", "by"] if powered else []) + ["gate"]:
        shown.add_column(name)
    for trial in trials:
        figures = trial.user_attrs
        row = [str(trial.number), *(_short(trial.params.get(key)) for key in keys)]
        row += [f"{figures['accuracy']:.2%}", f"{figures['bytes']:,}"]
        row += [f"{1000 * figures['latency']:.3f}"] if timed else []
        row += [f"{1000 * figures['joules']:.3g}", figures["energy_source"]] if powered else []
        verdict = f"[red]{', '.join(figures[MISSED])}[/]" if figures[MISSED] else "[green]passed[/]"
        shown.add_row(*row, f"{verdict}{' (smallest)' * (trial is smallest)}")
    return shown


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def as_json(study: Study, ended: str, front: Sequence[FrozenTrial], smallest: FrozenTrial | None) -> dict[str, Any]:
    """For scripts."""
    return {
        "study": study.study_name,
        "optuna": optuna.__version__,
        "ended": ended,
        "trials": [_trial(trial) for trial in study.get_trials(deepcopy=False)],
        "front": [trial.number for trial in front],
        "smallest": None if smallest is None else smallest.number,
    }


def _trial(trial: FrozenTrial) -> dict[str, Any]:
    kept = ("accuracy", "bytes", "parameters", "latency", "joules", "energy_source", MISSED, "error")
    figures = {name: trial.user_attrs.get(name) for name in kept}
    return {"number": trial.number, "state": trial.state.name.lower(), "values": dict(trial.params), **figures}


def check_place(recipe: Recipe, path: Path) -> None:
    """
    Raises:
        BuildError: that is the recipe itself, or what it names would not be found from there.
    """
    if path.resolve() == recipe.file.resolve():
        raise BuildError(f"--write {path} is the recipe that is searched; expected a new name beside it")
    if path.resolve().parent != recipe.folder:
        raise BuildError(
            f"--write {path}: expected a file in {recipe.folder}, as the recipe names its files from there"
        )


def write_recipe(recipe: Recipe, profile: str, trial: FrozenTrial, path: Path) -> None:
    """The recipe with the trial's values in its profile, and without the search."""
    check_place(recipe, path)
    content = cast("dict[str, Any]", read_yaml(recipe.file))
    del content["search"]
    chosen = dict(content["profiles"][profile])  # an alias in the file is one object with what it stands for
    content["profiles"] = {**content["profiles"], profile: chosen}
    for key, value in trial.params.items():
        put(chosen, key, value)
    text = f"# Written by `joulebox search {recipe.file.name} --profile {profile}`, Optuna {optuna.__version__}: trial {trial.number}.\n"
    text += yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    replace_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))
    load_recipe(path)
