"""`joulebox`: the commands of this package, and those of `joulebox-build` where it is installed."""

from __future__ import annotations

import sys
from importlib.metadata import entry_points

import click
import typer

import joulebox
from joulebox.cli.doctor import doctor
from joulebox.cli.inspect import inspect, verify
from joulebox.cli.serve import serve
from joulebox.package import PackageError
from joulebox.runtime.settings import SettingError

app = typer.Typer(
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


for command in (serve, inspect, verify, doctor):
    app.command()(command)
for entry in sorted(entry_points(group="joulebox.commands"), key=lambda entry: entry.name):
    app.command(entry.name)(entry.load())


def main() -> None:
    """Runs a command. Exit status: 0 done, 1 failed, 2 bad usage or input, 3 a gate failed."""
    try:
        app()
    except (PackageError, SettingError) as error:
        _fail(str(error), 2)
    except Exception as error:
        status = getattr(error, "exit_code", None)
        if not isinstance(status, int) or isinstance(error, click.exceptions.ClickException):
            raise
        _fail(str(error), status)


def _fail(message: str, status: int) -> None:
    typer.echo(f"error: {message}", err=True)
    sys.exit(status)
