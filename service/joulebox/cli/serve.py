"""`joulebox serve`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from joulebox.access.keys import open_keys
from joulebox.cli.errors import FailedError
from joulebox.cli.sockets import listen, reserve
from joulebox.cli.supervisor import run
from joulebox.energy import check_settings
from joulebox.host.state import SETTING as STATE
from joulebox.package import PackageError, open_package
from joulebox.runtime.rates import rates_of
from joulebox.runtime.settings import SettingError, Settings, load_settings, variable
from joulebox.runtime.strict import why_not
from joulebox.server.tls import tls_context


def _option(field: str, name: str, metavar: str | None = None) -> Any:
    """An option that sets a field of the settings, which says what it is for, and checks it."""
    known = Settings.model_fields[field]
    default = "" if known.default in {None, False} else f"; {known.default} if unset"
    return typer.Option(
        name, metavar=metavar, help=f"{known.description}{default} [{variable(field)}]", show_default=False
    )


def serve(  # noqa: PLR0913, PLR0917  # one for each option; those that set a field of the settings bear its name
    packages: Annotated[
        list[Path] | None, typer.Argument(help="Model packages to serve.", metavar="PACKAGE", show_default=False)
    ] = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; 0.0.0.0 for every one of this machine.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 3000,
    repository: Annotated[Path | None, _option("repository", "--repository", "DIR")] = None,
    workers: Annotated[int | None, _option("workers", "--workers", "N")] = None,
    strict: Annotated[str | None, _option("strict", "--strict", "ENGINE")] = None,
    grpc_port: Annotated[int | None, _option("grpc_port", "--grpc-port", "PORT")] = None,
    timeout_s: Annotated[float | None, _option("timeout_s", "--timeout", "SECONDS")] = None,
    drain_timeout_s: Annotated[float | None, _option("drain_timeout_s", "--drain-timeout", "SECONDS")] = None,
    queue_size: Annotated[int | None, _option("queue_size", "--queue-size", "N")] = None,
    batch_max: Annotated[int | None, _option("batch_max", "--batch-max", "N")] = None,
    batch_delay_ms: Annotated[float | None, _option("batch_delay_ms", "--batch-delay-ms", "MS")] = None,
    body_bytes_max: Annotated[int | None, _option("body_bytes_max", "--body-bytes-max", "N")] = None,
    shared_memory: Annotated[bool, _option("shared_memory", "--shared-memory")] = False,
    repository_control: Annotated[
        str | None, _option("repository_control", "--repository-control", "local|keyed|off")
    ] = None,
    api_keys_file: Annotated[Path | None, _option("api_keys_file", "--api-keys-file", "FILE")] = None,
    ssl_certfile: Annotated[Path | None, _option("ssl_certfile", "--ssl-certfile", "FILE")] = None,
    ssl_keyfile: Annotated[Path | None, _option("ssl_keyfile", "--ssl-keyfile", "FILE")] = None,
    ssl_keyfile_password: Annotated[
        str | None, _option("ssl_keyfile_password", "--ssl-keyfile-password", "PASSWORD")
    ] = None,
    ssl_ca_certs: Annotated[Path | None, _option("ssl_ca_certs", "--ssl-ca-certs", "FILE")] = None,
    log_format: Annotated[str | None, _option("log_format", "--log-format", "text|json")] = None,
    access_log: Annotated[bool, _option("access_log", "--access-log")] = False,
    expose_energy: Annotated[bool, _option("expose_energy", "--expose-energy")] = False,
) -> None:
    """Serve model packages over HTTP, and gRPC where it has a port, until SIGTERM or Ctrl-C.

    An option overrides the environment variable that is named beside it.
    """
    settings = _settings({field: value for field, value in locals().items() if field in Settings.model_fields})
    _check(settings)
    try:
        listeners = listen(host, port, settings.workers)
    except OSError as error:
        _refuse(host, port, "--port", error)
    try:
        held = reserve(host, settings.grpc_port) if settings.grpc_port else None
    except OSError as error:
        _refuse(host, settings.grpc_port, "--grpc-port", error)
    typer.echo(f"listening on {'https' if settings.ssl_certfile else 'http'}://{_authority(host, port)}; Ctrl-C stops")
    if held is not None:
        typer.echo(f"gRPC on {_authority(host, settings.grpc_port)}")
    raise typer.Exit(run(listeners, {**_environment(settings), "JOULEBOX_HOST": host}, settings.drain_timeout_s))


def _settings(options: dict[str, Any]) -> Settings:
    """The settings, of options over environment variables.

    Raises:
        SettingError: one is malformed, or nothing is named to serve.
    """
    options = {**options, "packages": os.pathsep.join(map(str, options["packages"] or []))}
    given = {variable(field): str(value) for field, value in options.items() if _is_given(value)}
    environment = {**os.environ, **given}
    if not (environment.get(variable("packages")) or environment.get(variable("repository"))):
        raise SettingError("nothing to serve: name a PACKAGE, or a folder of packages with --repository")
    return load_settings(environment, Path.cwd())


def _is_given(value: Any) -> bool:
    return value is not None and value is not False and value != ""  # 0 is given


def _environment(settings: Settings) -> dict[str, str]:
    """The settings as variables for the workers, whose working folder is another one. Links stay links: `DIR/current` moves."""
    paths = [os.fspath(path.absolute()) for path in settings.packages]
    environment = {variable("packages"): os.pathsep.join(paths)}
    for field in Settings.model_fields:
        value = getattr(settings, field)
        if field != "packages" and value is not None:
            environment[variable(field)] = str(value.absolute() if isinstance(value, Path) else value)
    state = os.environ.get(STATE)
    return {**environment, STATE: str(Path(state).absolute())} if state else environment


def _check(settings: Settings) -> None:
    """Finds what would stop the workers, while it is still one clear line.

    Raises:
        PackageError: a package is not whole, or two have one name.
        FailedError: the engine that is asked for cannot serve one.
        SettingError: a file or folder cannot be used.
    """
    names: set[str] = set()
    for path in settings.packages:
        package = open_package(path)
        package.verify()
        why = why_not(path, {**os.environ, **_environment(settings)}) if settings.strict else None
        if why is not None:
            raise FailedError(f"--strict {settings.strict}: {package.manifest.name} cannot be served on it here: {why}")
        if package.manifest.name in names:
            raise PackageError(
                f"{path}: a model named {package.manifest.name!r} is served already; name each model once"
            )
        names.add(package.manifest.name)
        typer.echo(f"{package.manifest.name} {package.manifest.version} from {package.folder}")
    if settings.repository is not None and not os.access(settings.repository, os.R_OK | os.X_OK):
        raise SettingError(f"{settings.repository}: expected a folder of packages that can be read (--repository)")
    open_keys(settings)
    tls_context(settings)
    rates_of(settings)
    try:
        check_settings(os.environ)
    except ValueError as error:
        raise SettingError(str(error)) from error


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _refuse(host: str, port: int, option: str, error: OSError) -> NoReturn:
    address = _authority(host, port)
    typer.echo(
        f"error: cannot listen on {address}: {error.strerror}; stop what does, or choose another {option} or --host",
        err=True,
    )
    raise typer.Exit(1) from error
