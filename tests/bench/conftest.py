"""`bench` is imported from the root, which comes last on the path, so that no folder of it hides anything installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[2]))
