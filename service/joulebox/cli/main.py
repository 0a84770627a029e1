"""`joulebox`: the commands of this package, and those of `joulebox-build` where it is installed."""

from __future__ import annotations

import sys
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

import typer
from typer.core import TyperGroup

import joulebox
from joulebox.cli.bench import bench
from joulebox.cli.calibrate import calibrate
from joulebox.cli.doctor import doctor
from joulebox.cli.inspect import inspect, verify
from joulebox.cli.measure import measure
from joulebox.cli.serve import serve
from joulebox.cli.tune import tune
from joulebox.package import PackageError
from joulebox.runtime.settings import SettingError


class _Commands(TyperGroup):
    """Our commands, and those of other packages, which are imported only when they are asked for: torch takes seconds.

    Typer brings a Click of its own, whose types have no public name.
    """

    def list_commands(self, ctx: Any) -> list[str]:
        return sorted({*super().list_commands(ctx), *_others()})

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name in _others() and cmd_name not in self.commands:
            loaded = typer.Typer(add_completion=False)
            loaded.command(cmd_name)(_others()[cmd_name].load())
            self.add_command(typer.main.get_command(loaded), cmd_name)
        return super().get_command(ctx, cmd_name)


@cache
def _others() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group="joulebox.commands")}


app = typer.Typer(
    cls=_Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Small models, served with the proof, and the joules of each inference.",
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"joulebox {joulebox.__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version."),
) -> None:
    pass


for command in (serve, inspect, verify, doctor, bench, calibrate, measure, tune):
    app.command()(command)


def main() -> None:
    """Runs a command. Exit status: 0 done, 1 failed, 2 bad usage or input, 3 a gate failed."""
    try:
        app()
    except (PackageError, SettingError) as error:
        _fail(str(error), 2)
    except Exception as error:
        status = getattr(error, "exit_code", None)
        if not isinstance(status, int):
            raise
        _fail(str(error), status)


def _fail(message: str, status: int) -> None:
    typer.echo(f"error: {message}", err=True)
    sys.exit(status)


if __name__ == "__main__":
    main()
