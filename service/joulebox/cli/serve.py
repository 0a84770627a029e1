"""`joulebox serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from joulebox.cli.supervisor import listen, run
from joulebox.energy import open_sources
from joulebox.package import PackageError, open_package
from joulebox.runtime.settings import SettingError, load_settings


def serve(
    packages: Annotated[list[Path], typer.Argument(help="Model packages to serve.", metavar="PACKAGE...")],
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    expose_energy: Annotated[
        bool, typer.Option("--expose-energy", help="Energy figures to clients beyond loopback.")
    ] = False,
) -> None:
    """Serve model packages over HTTP, until SIGTERM or Ctrl-C."""
    names: set[str] = set()
    for path in packages:
        package = open_package(path)
        package.verify()
        if package.manifest.name in names:
            raise PackageError(
                f"{path}: a model named {package.manifest.name!r} is served already; name each model once"
            )
        names.add(package.manifest.name)
        typer.echo(f"{package.manifest.name} {package.manifest.version} from {package.folder}")
    if expose_energy:
        os.environ["JOULEBOX_EXPOSE_ENERGY"] = "1"
    load_settings(os.environ, Path.cwd())  # a wrong setting is an error here, not in a worker's log
    try:
        open_sources(os.environ)
    except ValueError as error:
        raise SettingError(str(error)) from error
    try:
        listener = listen(host, port)
    except OSError as error:
        typer.echo(
            f"error: cannot listen on {host}:{port}: {error.strerror}; stop what does, or choose another --port or --host",
            err=True,
        )
        raise typer.Exit(1) from error
    typer.echo(f"listening on http://{host}:{port}; Ctrl-C stops")
    raise typer.Exit(run(listener, packages))
