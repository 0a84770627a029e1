"""Where `bentoml build` and `bentoml serve` start at the root: the one service, which joulebox defines. Not in the wheel."""

import sys
from pathlib import Path
from zipfile import ZipFile

from bentoml.exceptions import BentoMLException

from joulebox.server.service import InferenceService

__all__ = ["InferenceService"]


def _check_wheel(root: Path) -> None:
    """A bento installs joulebox from `wheels/`: without it, or with an old one, it would fail or run other code.

    Raises:
        BentoMLException: there is no wheel, or it differs from the sources (which a bento does not hold).
    """
    wheels = sorted(root.glob("wheels/joulebox-*.whl"))
    if len(wheels) != 1 or not (root / "wheels/requirements.txt").is_file():
        raise BentoMLException(f"{root / 'wheels'} has no wheel of joulebox for the bento: run `make wheel`")
    sources = {str(path.relative_to(root / "service")): path for path in root.glob("service/joulebox/**/*.py")}
    with ZipFile(wheels[0]) as wheel:
        packed = {name for name in wheel.namelist() if name.endswith(".py")}
        same = packed == set(sources) and all(wheel.read(name) == sources[name].read_bytes() for name in packed)
    if sources and not same:
        raise BentoMLException(f"{wheels[0]} is older than the sources: run `make wheel`")


if sys.argv[1:2] == ["build"]:  # `bentoml build`; to serve from a checkout takes no wheel
    _check_wheel(Path(__file__).resolve().parent.parent)
