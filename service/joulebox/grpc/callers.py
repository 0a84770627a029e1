"""Who calls, from its first byte to the end of its answer, and what it may do."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import grpc

from joulebox.access import Access
from joulebox.access.control import Control
from joulebox.access.logs import ORIGIN, log_access
from joulebox.access.tracing import parse_traceparent
from joulebox.grpc.errors import STATUSES
from joulebox.runtime.settings import Settings

if TYPE_CHECKING:
    from joulebox.access.spans import RequestSpan

LOCAL = ("unix:", "ipv4:127.", "ipv6:[::1]:", "ipv6:%5B::1%5D:", "ipv6:[::ffff:127.", "ipv6:%5B::ffff:127.")


@dataclass(slots=True)
class Caller:
    """The client of one call."""

    context: Any
    path: str
    metadata: Mapping[str, str | bytes]
    request_id: bytes
    started_s: float
    client: str
    """Its address, then the name of its key; empty where nothing needs it."""
    span: RequestSpan | None = None

    @property
    def local(self) -> bool:
        """Whether the client is on this machine."""
        return is_local(self.context.peer())


class Callers:
    """The rules of this server for whoever calls."""

    def __init__(self, settings: Settings, access: Access) -> None:
        self._access = access
        self._access_log = settings.access_log
        self._named = settings.access_log or access.limit is not None
        self._expose_energy = settings.expose_energy
        self.control = Control(settings.repository_control, keyed=access.keys is not None)

    def meet(self, path: str, context: Any) -> Caller:
        """A call that begins; each one is to be `finished`."""
        access = self._access
        metadata: dict[str, str | bytes] = dict(context.invocation_metadata() or ())
        request_id = access.ids.of(_bytes(metadata, "x-request-id"))
        client = address(context.peer()) if self._named else ""
        caller = Caller(context, path, metadata, request_id, time.perf_counter(), client)
        parent = parse_traceparent(_bytes(metadata, "traceparent")) if "traceparent" in metadata else None
        if access.tracer is not None:
            service, _, method = path[1:].partition("/")
            attributes = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method}
            caller.span = access.tracer.begin(path[1:], parent, _bytes(metadata, "tracestate"), attributes)
        trace_id = parent.trace_id if parent else caller.span.trace_id if caller.span else ""
        ORIGIN.set((request_id, trace_id))  # each call has a task, and so a context, of its own
        return caller

    def finished(self, caller: Caller, code: grpc.StatusCode) -> None:
        """A call ends with that code."""
        if caller.span is not None:
            caller.span.finish_grpc(code.value[0])
        if self._access_log:
            log_access("gRPC", caller.path, STATUSES[code], caller.started_s, caller.client)

    def check_key(self, caller: Caller) -> None:
        """Whether the caller may call; then it is known by its key's name.

        Raises:
            Unauthorized: it has no key that is known.
        """
        if self._access.keys is not None:
            metadata = caller.metadata
            caller.client = self._access.keys.client(_bytes(metadata, "authorization"), _bytes(metadata, "x-api-key"))

    def enter(self, caller: Caller) -> None:
        """One of the caller's requests begins; it is to `leave`.

        Raises:
            TooManyRequests: it has as many under way as it may.
        """
        if self._access.limit is not None:
            self._access.limit.enter(caller.client)

    def leave(self, caller: Caller) -> None:
        """It is answered."""
        if self._access.limit is not None:
            self._access.limit.leave(caller.client)

    def may_know_energy(self, caller: Caller) -> bool:
        """Whether the caller is told its answer's joules, which tell something of the input."""
        return self._expose_energy or caller.local


def is_local(peer: str) -> bool:
    """Whether gRPC's name of a peer, such as `ipv4:127.0.0.1:4711`, is one on this machine."""
    return peer.startswith(LOCAL)


def address(peer: str) -> str:
    """The peer without its port: one client, whichever connection it uses."""
    return peer.rpartition(":")[0] or peer


def _bytes(metadata: Mapping[str, str | bytes], name: str) -> bytes:
    value = metadata.get(name, b"")
    return value.encode() if isinstance(value, str) else value
