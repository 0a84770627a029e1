"""`joulebox doctor`: what this host can run, and where its joules come from."""

from __future__ import annotations

import os
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.table import Table

from joulebox.energy import open_sources
from joulebox.runtime.settings import SettingError


def doctor(
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """Show which engines and energy sources this host has, and why not where it has none."""
    import onnxruntime  # here, since the other commands start faster without it  # noqa: PLC0415

    ort: Any = onnxruntime  # its stubs are partial
    try:
        sources = open_sources(os.environ)
    except ValueError as error:
        raise SettingError(str(error)) from error
    found = [
        (meter.device.reader, meter.device.source, f"{meter.device.name}: {meter.device.note}")
        for meter in sources.meters
    ]
    missing = [(reader.reader, "none", reader.reason) for reader in sources.unavailable]
    if as_json:
        energy = [{"reader": reader, "source": source, "note": note} for reader, source, note in found + missing]
        engines = [{"engine": "onnxruntime", "version": ort.__version__, "compiled_in": ort.get_available_providers()}]
        typer.echo(orjson.dumps({"engines": engines, "energy": energy}, option=orjson.OPT_INDENT_2).decode())
        return
    console = Console()
    console.print(
        f"onnxruntime {ort.__version__}, compiled with {', '.join(ort.get_available_providers())}", highlight=False
    )
    table = Table("energy reader", "source", "what it says")
    for row in found + missing:
        table.add_row(*row)
    console.print(table)
