"""What the worker that reads the counters leaves behind several times a second, so that the next one goes on where it stopped.

It is pickled: it never leaves the server's own folder, which nobody else may enter, and workers of one server run one code.
"""

from __future__ import annotations

import logging
import pickle
from dataclasses import dataclass

import joulebox
from joulebox.runtime.book import Kept
from joulebox.runtime.fleet import Fleet
from joulebox.runtime.keeper import KeptBudgets
from joulebox.runtime.shared_work import SharedWork

log = logging.getLogger("joulebox.energy")

FILE = "ledgers.pickle"


@dataclass(frozen=True)
class Handover:
    """All that is needed to go on."""

    work: SharedWork
    books: dict[str, Kept]
    """By device name."""
    budgets: KeptBudgets


def leave(fleet: Fleet, handover: Handover) -> None:
    """Replaces what was left before.

    Raises:
        OSError: it cannot be written.
    """
    fleet.write(FILE, pickle.dumps((joulebox.__version__, handover), pickle.HIGHEST_PROTOCOL))


def forget(fleet: Fleet) -> None:
    """Removes what was left: what is old would be counted twice."""
    (fleet.folder / FILE).unlink(missing_ok=True)


def take_over(fleet: Fleet) -> Handover | None:
    """What was left; None where nothing was, or nothing that can be read: counting then begins anew."""
    left = fleet.read(FILE)
    if left is None:
        return None
    try:
        version, handover = pickle.loads(left)  # noqa: S301  # see above
        if version != joulebox.__version__:
            raise ValueError(f"joulebox {version} has left it, this is {joulebox.__version__}")
        return handover
    except Exception as error:  # whatever is wrong with it, energy is counted from now on
        log.warning("%s cannot be read, energy is counted anew: %s", FILE, error)
        forget(fleet)
        return None
