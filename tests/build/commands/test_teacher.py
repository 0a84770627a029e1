"""`joulebox teacher`: what the page beside the weights says of the training."""

import re
from pathlib import Path
from typing import Any

import pytest

from joulebox_build.commands.teacher import teacher


@pytest.mark.parametrize(
    ("watts", "said"),
    [
        ("5", r"The training took \S+ \S+ \(estimated\) of this process, in \S+ (s|ms|min)\.$"),
        (
            "off",
            r"What energy the training took is unknown: nothing said joules, or an earlier attempt was not recorded\.$",
        ),
    ],
)
def test_the_page_ends_with_the_energy_of_the_training_and_its_source(
    folder: Path, write_recipe: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watts: str, said: str
) -> None:
    for name, value in (("SYSFS", str(tmp_path)), ("CPU_WATTS", watts), ("ENERGY_OFF", "nvml,pi")):
        monkeypatch.setenv(f"JOULEBOX_{name}", value)
    recipe = write_recipe(folder, lambda content: content["teacher"]["training"].update(epochs=1))
    teacher(recipe)
    page = (folder / "teacher.md").read_text("utf-8")
    assert page.startswith("# A teacher of stripes")
    last = page.strip().splitlines()[-1]
    assert re.match(said, last), last
