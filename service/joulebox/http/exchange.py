"""One request, whole, and its answer: what every way into the server makes of the bytes on the wire."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import orjson

from joulebox.access.keys import CHALLENGE
from joulebox.runtime.batch import Inference
from joulebox.runtime.errors import BadRequest, NotAllowed, Overloaded, ServeError, Unauthorized

if TYPE_CHECKING:
    from joulebox.access.spans import RequestSpan

JSON = b"application/json"
LOOPBACK = ("127.", "::ffff:127.")
TARGETS_MAX = 512  # request lines that are kept, and each no longer than
TARGET_BYTES_MAX = 256

Header = tuple[bytes, bytes]


@dataclass(frozen=True, slots=True)
class Target:
    """What a request line asks for: the path as it was sent and as its parts, and the query."""

    path: str
    parts: tuple[str, ...]
    query: bytes
    infer: tuple[str, str | None] | None
    """Model and version, where it is the path of the protocol's inference."""


@dataclass(slots=True)
class Request:
    """A request with its body. Header names are lower case; of a header that comes twice, the last one counts."""

    method: str
    target: Target
    headers: dict[bytes, bytes]
    body: bytes = b""
    local: bool = True
    """Whether the client is on this machine."""
    alone: bool = False
    """Whether no other client asks for inferences."""
    client: str = ""
    """Whose limits apply: the name of its API key, else its address."""
    id: bytes = b""
    started_s: float = 0.0
    """On the clock of `time.perf_counter`."""
    refusal: ServeError | None = None
    """Why it was refused before its body came."""
    limited: bool = False
    """Whether it counts against its client's limit."""
    unpacked_bytes: int = 0
    """By how much its body grew when it was decompressed."""
    span: RequestSpan | None = None

    def header(self, name: bytes) -> bytes:
        """A header's value; empty where it is missing."""
        return self.headers.get(name, b"")

    def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            BadRequest: it is something else.
        """
        return json_object(self.body)


def need(request: Request, method: str) -> None:
    """Raises NotAllowed for another method; HEAD is as good as GET."""
    if request.method != method and (request.method, method) != ("HEAD", "GET"):
        raise NotAllowed(
            f"{request.method} {request.target.path[:80]}: expected {method}",
            "GET, HEAD" if method == "GET" else method,
        )


def json_object(content: bytes | memoryview) -> dict[str, Any]:
    """JSON, which has to be an object.

    Raises:
        BadRequest: it is something else.
    """
    try:
        parsed = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"failed to parse the request JSON: {error}") from error
    if not isinstance(parsed, dict):
        raise BadRequest(f"the body is a JSON {type(parsed).__name__}; expected an object")
    return parsed  # pyright: ignore[reportUnknownVariableType]  # whoever reads a key checks it


class Targets:
    """Request lines that were taken apart before; clients ask for few."""

    def __init__(self) -> None:
        self._known: dict[bytes, Target] = {}

    def parse(self, raw: bytes) -> Target:
        """Takes a request's target apart.

        Raises:
            BadRequest: it is no path.
        """
        target = self._known.get(raw)
        if target is None:
            target = parse_target(raw)
            if len(raw) > TARGET_BYTES_MAX:
                return target
            if len(self._known) >= TARGETS_MAX:
                self._known.clear()
            self._known[raw] = target
        return target


def parse_target(raw: bytes) -> Target:
    """The target of a request line, in origin form or absolute.

    Raises:
        BadRequest: it is no path.
    """
    path, _, query = raw.partition(b"?")
    if not path.startswith(b"/"):
        path = b"/" + path.partition(b"://")[2].partition(b"/")[2] if b"://" in path else path
    text = unquote(path.decode("latin-1"))
    if not text.startswith("/"):
        raise BadRequest(f"the target {text[:80]!r} is no path")
    parts = tuple(part for part in text.split("/") if part)
    return Target(text, parts, query, _inference(parts))


def _inference(parts: tuple[str, ...]) -> tuple[str, str | None] | None:
    match parts:
        case ("v2", "models", name, "infer"):
            return name, None
        case ("v2", "models", name, "versions", version, "infer"):
            return name, version
        case _:
            return None


def is_local(address: str | None) -> bool:
    """Whether a client's address is one of this machine; unknown where the socket has none, as a Unix socket."""
    return not address or address == "::1" or address.startswith(LOOPBACK)


@dataclass(slots=True)
class Reply:
    """An answer, whole."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: list[Header] = field(default_factory=list[Header])


def json_reply(content: Any, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


def error_reply(error: ServeError) -> Reply:
    """`{"error": message}` with the error's status, when to come back where the server is full, and which method there is."""
    reply = json_reply({"error": str(error)}, error.status)
    if isinstance(error, Unauthorized):
        reply.headers.append(CHALLENGE)
    if isinstance(error, Overloaded):
        reply.headers.append((b"retry-after", str(error.retry_after_s).encode()))
    if isinstance(error, NotAllowed):
        reply.headers.append((b"allow", error.allow.encode()))
    return reply


def server_timing(inference: Inference, total_s: float) -> Header:
    """Where a request's time went, in milliseconds (https://www.w3.org/TR/server-timing/)."""
    times = (1e3 * inference.queue_s, 1e3 * inference.compute_s, 1e3 * total_s)
    return b"server-timing", b"queue;dur=%.3f, compute;dur=%.3f, total;dur=%.3f" % times
