"""What every request passes, as far as it is configured; what is not costs a look at None."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from joulebox.access.keys import ClientLimit, Keys, open_keys
from joulebox.access.logs import RequestIds
from joulebox.access.tracing import open_tracer
from joulebox.runtime.settings import Settings

if TYPE_CHECKING:
    from joulebox.access.spans import Tracer


@dataclass(frozen=True)
class Access:
    """One worker's keys, limits, request ids and tracer."""

    keys: Keys | None = None
    limit: ClientLimit | None = None
    tracer: Tracer | None = None
    ids: RequestIds = field(default_factory=RequestIds)


def open_access(settings: Settings, environment: Mapping[str, str]) -> Access:
    """What the settings, and for traces the environment, ask for.

    Raises:
        SettingError: the API keys are not what they should be.
    """
    limit = ClientLimit(settings.client_inflight_max) if settings.client_inflight_max else None
    return Access(open_keys(settings), limit, open_tracer(environment))
