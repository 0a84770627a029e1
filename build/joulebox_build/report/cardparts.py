"""What model cards of all kinds are made of: the headings of Mitchell et al. 2019 (arXiv:1810.03993), and what people said below them.

What only people know, such as what the model is for, stands in the README of the recipe's folder under the same headings and
is taken over from there; where it does not, the card says that nobody has said it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

HEADING = re.compile(r"#+\s+(.*?)\s*$")
FENCES = ("```", "~~~")  # around code, of which no line is a heading


def readme_of(folder: Path) -> str:
    """Empty where there is none."""
    path = folder / "README.md"
    return path.read_text("utf-8", errors="replace") if path.is_file() else ""


def card(name: str, parts: Mapping[str, str]) -> str:
    """Markdown of the model's name, and of each heading with what is below it."""
    text = "\n\n".join(f"## {heading}\n\n{part.strip()}" for heading, part in parts.items())
    return f"# Model card: {name}\n\n{text}\n"


def sections(readme: str) -> dict[str, str]:
    """The text below each heading, by its words in lower case; what stands below the title has none."""
    below: dict[str, list[str]] = {"": []}
    name, fenced = "", False
    for line in readme.splitlines():
        fenced ^= line.lstrip().startswith(FENCES)
        heading = None if fenced else HEADING.match(line)
        if heading is None:
            below[name].append(line)
        else:
            name = heading[1].lower()
            below[name] = []
    found = {name: "\n".join(lines).strip() for name, lines in below.items()}
    title = next((name for name in found if name), "")
    return {**found, "": found[title]}


def said(readme: Mapping[str, str], heading: str) -> str:
    """What stands below it in the README's sections."""
    return readme.get(heading.lower()) or f"Not said: the recipe's README.md has no section “{heading}”."


def details(readme: Mapping[str, str], rows: Mapping[str, str]) -> str:
    """The README's first paragraph, and a table."""
    first = readme.get("", "").partition("\n\n")[0]
    return f"{first}\n\n{table(('what', ''), rows.items())}"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown; no cell can end its row, or be HTML."""
    lines = [f"| {' | '.join(header)} |", f"|{' --- |' * len(header)}"]
    return "\n".join([*lines, *(f"| {' | '.join(map(_cell, row))} |" for row in rows)])


def _cell(text: str) -> str:
    """Labels are data."""
    return re.sub(r"[|<>]", lambda found: f"\\{found.group()}", " ".join(text.split()))
