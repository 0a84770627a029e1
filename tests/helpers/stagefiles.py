"""What a stage made, as the build's cache has it."""

from __future__ import annotations

from joulebox_build.stage import INDEX, Ran, Stages


def files_of(stages: Stages, ran: Ran) -> dict[str, bytes]:
    """File name to content."""
    entry = stages.folder / f"{ran.stage}-{ran.key}"
    return {path.name: path.read_bytes() for path in sorted(entry.iterdir()) if path.name != INDEX}
