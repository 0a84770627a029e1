"""One HTTP/1.1 connection with one request in flight, by callbacks: a task for each request would cost more than the rest.

The clock is `time.perf_counter`, read when the request is written and when the last byte of the answer is parsed.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, Protocol, cast
from urllib.parse import urlsplit

import httptools
import orjson

from joulebox.bench.errors import BenchError, UsageError

TIMING, HEADER_LENGTH = b"server-timing", b"inference-header-content-length"
ANSWER_BYTES_MAX = 256 * 2**20
JSON = (("Content-Type", "application/json"),)
OK = "200"
TIMEOUT, LOST, MALFORMED = "timeout", "connection", "malformed"  # kinds of answer that are no HTTP status


class Answer(NamedTuple):
    """What became of a request. `kind` is the HTTP status (for gRPC, what it would be), or why there is none."""

    kind: str
    due_s: float
    sent_s: float
    ended_s: float
    timing: bytes
    """The header `Server-Timing`."""
    header: bytes
    """The header `Inference-Header-Content-Length`: where JSON ends and raw tensors begin."""
    body: bytes
    """Where it was asked for, or the answer is an error."""


Done = Callable[[Answer], None]


class Connection(Protocol):
    """What a request is sent over."""

    def send(self, request: bytes, done: Done, *, due_s: float | None = None, keep: bool = False) -> None:
        """Sends a request, while none is in flight; `done` is called later, once, whatever comes of it.

        Args:
            due_s: when it should have been sent; now, where it is not given.
            keep: whether the answer's body is wanted.
        """
        ...

    async def close(self) -> None: ...


@dataclass(frozen=True)
class Address:
    """Where a server listens."""

    host: str
    port: int
    tls: bool
    headers: tuple[tuple[str, str], ...] = ()

    def request(self, method: str, path: str, body: bytes = b"", headers: tuple[tuple[str, str], ...] = ()) -> bytes:
        """A whole request."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        fields = (
            ("Host", f"{host}:{self.port}"),
            ("Content-Length", str(len(body))),
            *headers,
            *self.headers,
        )
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields)]
        return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def parse_address(url: str, headers: tuple[tuple[str, str], ...] = ()) -> Address:
    """The server's address.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme, 0)
    except ValueError as error:
        raise UsageError(f"{url}: {error}; expected http://HOST:PORT") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/") or parts.query:
        raise UsageError(f"{url}: expected http://HOST:PORT, or the folder of a model package")
    return Address(parts.hostname, port, parts.scheme == "https", headers)


class HttpConnection:
    """Opened by the first request, kept alive, opened again by the next request where it was lost."""

    def __init__(self, address: Address, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        """`tls` says whom to trust, where the address asks for TLS; else that is OpenSSL's default (`SSL_CERT_FILE`)."""
        self._address = address
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._tls = (tls or _default_tls()) if address.tls else None
        self._wire: _Wire | None = None
        self._opening: asyncio.Task[None] | None = None
        self._done: Done | None = None
        self._timer: asyncio.TimerHandle | None = None

    def send(self, request: bytes, done: Done, *, due_s: float | None = None, keep: bool = False) -> None:
        self._done = done
        self._timer = self._loop.call_later(self._timeout_s, self._expire)
        self._sent_s = time.perf_counter()
        self._due_s = self._sent_s if due_s is None else due_s
        if self._wire is None:
            self._opening = self._loop.create_task(self._open(request, keep))
        else:
            self._wire.send(request, keep=keep)

    async def close(self) -> None:
        self._done = None
        self._hang_up()
        if self._timer is not None:
            self._timer.cancel()

    def answered(self, wire: _Wire, kind: str, *, stays_open: bool) -> None:
        """The answer is whole."""
        if not stays_open:
            self._hang_up()
        self._finish(kind, wire.timing, wire.header, b"".join(wire.body))

    def failed(self, wire: _Wire, kind: str, why: str) -> None:
        """There will be no answer. One that was given up before does not count."""
        if wire is self._wire:
            self._fail(kind, why)

    async def _open(self, request: bytes, keep: bool) -> None:
        try:
            _, wire = await self._loop.create_connection(
                lambda: _Wire(self), self._address.host, self._address.port, ssl=self._tls
            )
        except OSError as error:  # of TLS too
            self._fail(LOST, _why(error))
            return
        self._wire = wire
        wire.send(request, keep=keep)

    def _expire(self) -> None:
        self._fail(TIMEOUT, f"no answer within {self._timeout_s:g} s")

    def _fail(self, kind: str, why: str) -> None:
        self._hang_up()
        self._finish(kind, b"", b"", why.encode())

    def _hang_up(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            wire.abort()
        if self._opening is not None and not self._opening.done() and self._opening is not asyncio.current_task():
            self._opening.cancel()

    def _finish(self, kind: str, timing: bytes, header: bytes, body: bytes) -> None:
        done, self._done = self._done, None
        if self._timer is not None:
            self._timer.cancel()
        if done is not None:
            done(Answer(kind, self._due_s, self._sent_s, time.perf_counter(), timing, header, body))


def _why(error: OSError) -> str:
    """asyncio's own words name the address instead of the reason."""
    if isinstance(error, ConnectionError) and error.errno is not None:
        return os.strerror(error.errno)
    return error.strerror or str(error)


@cache
def _default_tls() -> ssl.SSLContext:
    return ssl.create_default_context()


class _Wire(asyncio.Protocol):
    """An open TCP connection, and the answer that is being read from it."""

    def __init__(self, owner: HttpConnection) -> None:
        self._owner = owner
        self._parser = httptools.HttpResponseParser(self)
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def send(self, request: bytes, *, keep: bool) -> None:
        self._busy, self._keep, self._received = True, keep, 0
        self.timing = self.header = b""
        self.body: list[bytes] = []
        self._transport.write(request)

    def abort(self) -> None:
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        if not self._busy:
            self._owner.failed(self, MALFORMED, "the server sent what was not asked for")
            return
        self._received += len(data)
        if self._received > ANSWER_BYTES_MAX:
            self._owner.failed(self, MALFORMED, f"the answer is longer than {ANSWER_BYTES_MAX} bytes")
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserCallbackError:
            raise  # ours, not the server's
        except httptools.HttpParserError as error:
            self._owner.failed(self, MALFORMED, f"the answer is not HTTP: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        self._owner.failed(self, LOST, str(exc or "the server closed the connection before it had answered"))

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(name) == len(TIMING) and name.lower() == TIMING:
            self.timing = value
        elif len(name) == len(HEADER_LENGTH) and name.lower() == HEADER_LENGTH:
            self.header = value

    def on_body(self, body: bytes) -> None:
        if self._keep or self._parser.get_status_code() != 200:
            self.body.append(body)

    def on_message_complete(self) -> None:
        self._busy = False
        self._owner.answered(self, str(self._parser.get_status_code()), stays_open=self._parser.should_keep_alive())


async def exchange(connection: Connection, request: bytes) -> Answer:
    """Sends one request, and waits for its answer with its body."""
    future: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()

    def done(answer: Answer) -> None:
        if not future.done():  # it is where the caller was cancelled
            future.set_result(answer)

    connection.send(request, done, keep=True)
    return await future


async def ask(
    connection: Connection, address: Address, method: str, path: str, content: object = None
) -> tuple[int, object]:
    """Status and JSON of an answer; the JSON is None where there is none.

    Raises:
        BenchError: there was no answer.
    """
    body = b"" if content is None else orjson.dumps(content)
    answer = await exchange(connection, address.request(method, path, body, JSON))
    if not answer.kind.isdigit():
        raise BenchError(
            f"http{'s' if address.tls else ''}://{address.host}:{address.port} gives no answer: "
            f"{answer.body.decode(errors='replace')}; is a server running there?"
        )
    try:
        return int(answer.kind), orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        return int(answer.kind), None
