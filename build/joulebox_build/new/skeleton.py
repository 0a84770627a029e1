"""The files of a new model folder."""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from joulebox_build.errors import BuildError
from joulebox_build.new.source import Source
from joulebox_build.report.datacard import Kind

BATCH_MAX = 64
STEPS = {"teacher": 600, "quick": 300, "full": 3000}  # of training, in which small networks learn what they will
OF_KIND: Mapping[Kind, Mapping[str, object]] = {  # `width` is the student's
    "images": {
        "width": 10,
        "optimizer": "learning_rate: 0.05",
        "corruptions": "{ kind: noise, severity: 2 }, { kind: blur, severity: 2 }, { kind: brightness, severity: 2 }",
    },
    "tensors": {"width": 32, "optimizer": "learning_rate: 0.05", "corruptions": "{ kind: noise, severity: 2 }"},
    "texts": {
        "width": 8,
        "optimizer": "optimizer: adamw, learning_rate: 0.005, weight_decay: 0.1",
        "corruptions": "{ kind: typos, severity: 2 }, { kind: dropped-words, severity: 2 }",
    },
}
EPOCHS = {"teacher": (4, 60), "quick": (2, 40), "full": (20, 200)}  # at least and at most


def skeleton(name: str, source: Source, seed: int) -> dict[str, str]:
    """File name to content."""
    environment = Environment(
        loader=PackageLoader("joulebox_build.new", "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,  # noqa: S701  # Python and YAML, not HTML
    )
    shape = source.data.train.inputs.shape[1:]
    values = {
        "name": name,
        "source": source,
        "seed": seed,
        "kind": source.kind,
        "shape": list(shape),
        **_training(source),
    }
    values |= {"features": int(np.prod(shape)), "classes": len(source.data.labels)}
    templates = {"model.py": f"{source.kind}.py.jinja"}
    templates |= {file: f"{file}.jinja" for file in ("data.py", "recipe.yaml", "README.md")}
    return {file: environment.get_template(template).render(values) for file, template in sorted(templates.items())}


def _training(source: Source) -> dict[str, object]:
    samples, classes = len(source.data.train), len(source.data.labels)
    batch = min(BATCH_MAX, max(8, samples // 8))
    steps = math.ceil(samples / batch)
    epochs = {what: min(max(-(-STEPS[what] // steps), EPOCHS[what][0]), EPOCHS[what][1]) for what in STEPS}
    accuracy_min = round(1 / classes + 0.2 * (1 - 1 / classes), 2)  # a fifth of the way from chance
    return {"batch": batch, "epochs": epochs, "accuracy_min": accuracy_min, **OF_KIND[source.kind]}


def write_folder(place: Path, files: dict[str, str]) -> None:
    """Makes the folder with its files, all or nothing.

    Raises:
        BuildError: it is there already, or cannot be written.
    """
    if place.exists():
        raise BuildError(f"{place} exists; choose another name, or remove it: nothing is overwritten")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        aside = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name}-"))
        try:
            for name, content in files.items():
                (aside / name).write_text(content, "utf-8")
            aside.chmod(0o755)
            aside.rename(place)
        finally:
            shutil.rmtree(aside, ignore_errors=True)
    except OSError as error:
        raise BuildError(f"{place} cannot be written: {error.strerror}") from error
