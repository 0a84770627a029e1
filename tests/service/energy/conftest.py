"""The simulator is a module beside these tests; `make bench-energy` uses it too."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
