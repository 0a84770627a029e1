"""A Jetson: which one, its Linux for Tegra, and the power mode that it runs in, as files on it say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from joulebox.host.fingerprint import read_text

MODEL = "firmware/devicetree/base/model"  # below /sys
RELEASE, STATUS, MODES = "etc/nv_tegra_release", "var/lib/nvpmodel/status", "etc/nvpmodel.conf"


@dataclass(frozen=True)
class Jetson:
    model: str
    l4t: str | None
    """Such as `36.4.3`; JetPack 6 is 36, JetPack 7 is 38."""
    power_mode: str | None
    """Its number, and its name where the configuration says it."""


def find_jetson(environment: Mapping[str, str], root: Path = Path("/")) -> Jetson | None:
    """The Jetson that this is, read under `JOULEBOX_SYSFS` and `root`; None where it is none."""
    model = read_text(Path(environment.get("JOULEBOX_SYSFS") or "/sys") / MODEL)
    if model is None or not re.search(r"\bjetson\b|\btegra\b", model, re.IGNORECASE):
        return None
    return Jetson(model, _l4t(read_text(root / RELEASE) or ""), _power_mode(root))


def _l4t(text: str) -> str | None:
    """Of `# R36 (release), REVISION: 4.3, GCID: …`."""
    found = re.search(r"# R(\d+) \(release\), REVISION: ([\d.]+)", text)
    return f"{found[1]}.{found[2]}" if found else None


def _power_mode(root: Path) -> str | None:
    """Of `pmode:0002`; its name from `< POWER_MODEL ID=2 NAME=15W >`."""
    status = re.search(r"pmode:(\d+)", read_text(root / STATUS) or "")
    if status is None:
        return None
    number = int(status[1])
    name = re.search(rf"< *POWER_MODEL +ID={number} +NAME=(\S+) *>", read_text(root / MODES) or "")
    return f"{number} ({name[1]})" if name else str(number)
