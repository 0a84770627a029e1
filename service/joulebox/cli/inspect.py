"""`joulebox inspect` and `joulebox verify`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from joulebox.package import open_package

PackagePath = Annotated[Path, typer.Argument(help="A model package.", metavar="PACKAGE")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")]


def inspect(package: PackagePath, as_json: AsJson = False) -> None:
    """Show what a model package holds."""
    found = open_package(package)
    manifest = found.manifest
    if as_json:
        typer.echo(manifest.model_dump_json(indent=1))
        return
    console = Console()
    console.print(f"[bold]{manifest.name}[/] {manifest.version} in {found.folder}", highlight=False)
    table = Table("variant", "engine", "provider", "precision", "bytes")
    for variant in manifest.variants:
        size = manifest.files[variant.file].size
        table.add_row(variant.name, variant.engine, variant.provider, variant.precision, f"{size:,}")
    console.print(table)
    for kind, specs in (("input", manifest.inputs), ("output", manifest.outputs)):
        for spec in specs:
            console.print(f"{kind} {spec.name}: {spec.datatype} {spec.shape}", highlight=False, markup=False)
    gate = Table("gate", "limit", "figure", "passed", "note")
    for result in manifest.gate:
        figure = "" if result.actual is None else f"{result.actual:g}"
        gate.add_row(result.limit, result.expected, figure, "yes" if result.passed else "NO", result.note)
    console.print(gate)


def verify(package: PackagePath) -> None:
    """Check every file of a model package against the digests in its manifest."""
    found = open_package(package)
    found.verify()
    count = len(found.manifest.files) + len(found.manifest.evidence)
    typer.echo(f"{found.manifest.name} {found.manifest.version}: {count} files are what the manifest says")
