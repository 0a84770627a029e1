"""A model package becomes a bento: BentoML's archive of the service, its requirements and the model."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
import yaml

from joulebox.package import Package, open_package
from joulebox_build.errors import BuildError
from joulebox_build.packing.wheel import REQUIREMENTS, write_wheel

SERVICE = "joulebox.server.service:InferenceService"
PackagePath = Annotated[
    Path, typer.Argument(help="The model package, such as models/fashion/package.", metavar="PACKAGE")
]


@dataclass(frozen=True)
class Bento:
    """A bento in BentoML's store."""

    tag: str
    path: Path
    model: str
    version: str


def pack(
    package_path: PackagePath,
    as_json: Annotated[bool, typer.Option("--json", help="Say it as JSON, for scripts.")] = False,
) -> None:
    """Make a bento of a model package, for `bentoml serve` and `bentoml containerize`."""
    bento = pack_package(open_package(package_path))
    if as_json:
        typer.echo(orjson.dumps({**vars(bento), "path": str(bento.path)}).decode())
    else:
        typer.echo(f"packed {bento.model} {bento.version} as bento {bento.tag}\nserve it: bentoml serve {bento.tag}")


def pack_package(package: Package) -> Bento:
    """Checks the package, lays out a bento around it, and lets BentoML put that into its store (`$BENTOML_HOME`).

    Raises:
        PackageError: a file of the package is missing, changed or unlisted.
        BuildError: the wheel or the bento could not be made.
    """
    package.verify()
    manifest = package.manifest
    with tempfile.TemporaryDirectory(prefix="joulebox-pack-") as temporary:
        folder = Path(temporary)
        write_wheel(folder / "wheels")
        shutil.copytree(package.folder, folder / "models" / manifest.name / "package" / manifest.version)
        (folder / "bentofile.yaml").write_text(yaml.safe_dump(_bentofile(package)), "utf-8")
        tag = _bento(folder)
    path = store() / "bentos" / tag.replace(":", "/")
    return Bento(tag, path, manifest.name, manifest.version)


def store() -> Path:
    """Where BentoML keeps bentos."""
    return Path(os.environ.get("BENTOML_HOME") or Path.home() / "bentoml")


def _bentofile(package: Package) -> dict[str, Any]:
    manifest = package.manifest
    return {
        "service": SERVICE,
        "name": manifest.name,
        "description": f"{manifest.name} {manifest.version}, served by Joulebox.",
        "labels": {"joulebox.model": manifest.name, "joulebox.version": manifest.version},
        "include": ["wheels/*", "models/**"],
        "python": {"requirements_txt": f"wheels/{REQUIREMENTS}"},
        "envs": [{"name": "BENTOML_DO_NOT_TRACK", "value": "True"}],
    }


def _bento(folder: Path) -> str:
    """Runs BentoML apart from this process, since it imports from the folder that it builds; its tag for the bento."""
    result = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--output", "tag", str(folder)],
        env={**os.environ, "BENTOML_DO_NOT_TRACK": "True"},
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    tags = [line.removeprefix("__tag__:") for line in result.stdout.splitlines() if line.startswith("__tag__:")]
    if result.returncode != 0 or len(tags) != 1:
        lines = (result.stderr or result.stdout).strip().splitlines() or ["it said nothing"]
        raise BuildError(f"bentoml build failed: {lines[-1]}")
    return tags[0]
