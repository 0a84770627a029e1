"""HTTP/1.1 on a socket, for uvicorn: whole requests to the outer application, its answers in one write each.

uvicorn's own protocol makes a task, a scope and two events for each request, which costs as much as a small inference.
Here a request that can be answered on the spot is, within the call that read its last byte; what takes longer is a task
that is cancelled when the client goes. Every wait has a limit and every buffer a bound:

- headers, body, an answer that nobody reads, and idling each have a time limit, kept by one sweep for all connections;
- the size and number of headers, the body, and requests that are sent ahead of their answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any, cast

import httptools
from uvicorn.config import Config
from uvicorn.server import ServerState

from joulebox.http.exchange import Reply, Request, error_reply, is_local
from joulebox.http.front import Front
from joulebox.http.oip import Later
from joulebox.runtime.errors import BadRequest, Overloaded, ServeError, TooLarge

log = logging.getLogger("joulebox.http")

HEADER_BYTES_MAX = 32 * 1024
HEADERS_MAX = 128
AHEAD_MAX = 16  # requests that may wait for those before them to be answered
TURN_MAX = 16  # requests of one client answered in a row, before others have their turn
UNREAD_BYTES_MAX = 256 * 1024  # of answers that the client has not taken; beyond it nothing more is read from it
DISCARD_MAX = 64 * 1024  # a refused request's body is read up to here, to keep the connection
LINGER_S = 1.0  # a refused client may go on sending for so long: closing at once would take the refusal away from it

STATUS = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE, KEEP, KEEP_1_0 = b"connection: close\r\n\r\n", b"\r\n", b"connection: keep-alive\r\n\r\n"


class HeadersTooLarge(ServeError):
    status = 431


class TooSlow(ServeError):
    status = 408


@dataclass(slots=True)
class _Asked:
    """A whole request, the bytes it holds, and how its answer ends."""

    request: Request
    size: int
    ending: bytes


class Connection(asyncio.Protocol):
    """One client's connection. uvicorn makes it, and asks it to shut down."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],  # noqa: ARG002  # as uvicorn calls it
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        self._front: Front = cast("Front", config.loaded_app)
        self._settings = self._front.settings
        self._all = self._front.connections
        self._server: Any = server_state
        self._transport: Any = None
        self._parser: Any = httptools.HttpRequestParser(self)
        self._address, self._local = "", True
        self._ahead: deque[_Asked] = deque()
        self._turn = 0  # requests answered in this turn
        self._later: Later | None = None
        self._last = False  # whether the connection ends with what is being answered
        self._deaf = False  # whether what still comes is of no interest
        self._reading = False  # whether part of a request is there
        self._stuck = False  # whether the client does not take what was written
        self._since_s = time.monotonic()  # when the present wait began
        self._begin_message()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer: Any = transport.get_extra_info("peername")  # a string for a Unix socket
        self._address = "" if isinstance(peer, str) or not peer else str(peer[0])
        self._local = is_local(self._address)
        self._transport.set_write_buffer_limits(high=UNREAD_BYTES_MAX)
        self._server.connections.add(self)
        try:
            self._all.add(self)
        except Overloaded as error:
            self._refuse(error)
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)  # no sweep looks at this one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self)
        self._all.discard(self)
        self._all.release(self._size + sum(asked.size for asked in self._ahead))
        self._deaf, self._size = True, 0
        for asked in self._ahead:
            self._front.finished(asked.request, None)
        self._ahead.clear()
        if self._request is not None:
            self._front.finished(self._request, None)
        self._parser = None  # the parser and this refer to each other
        if self._later is not None:
            self._later.cancel()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._turn = 0
        self._unparsed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._deaf:  # else what follows the last request
                self._refuse(_reason(error))
        else:
            if self._unparsed > HEADER_BYTES_MAX and not self._deaf:
                self._refuse(HeadersTooLarge(f"a line is longer than {HEADER_BYTES_MAX} bytes"))

    def pause_writing(self) -> None:
        self._stuck, self._since_s = True, time.monotonic()
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stuck, self._since_s = False, time.monotonic()
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._go_on()

    # the server

    def drain(self) -> None:
        """The next answer is the last; until then an idle connection may still bring its request."""
        self._last = True

    def shutdown(self) -> None:
        """Closes, once what was accepted is answered."""
        self._last = True
        if self._later is None and not self._reading and not self._ahead:
            self._all.flush()  # an answer may wait to be sent
            self._transport.close()

    def abort(self) -> None:
        """Closes, whatever is under way."""
        self._transport.abort()

    # the parser

    def on_message_begin(self) -> None:
        self._begin_message()
        if not self._reading:
            self._reading, self._since_s = True, time.monotonic()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._bound_headers(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.lower()] = value
        self._bound_headers(len(name) + len(value))

    def on_headers_complete(self) -> None:
        if self._deaf or self._parser.should_upgrade():
            return
        target = self._all.targets.parse(self._url)
        self._request = Request(
            self._parser.get_method().decode("latin-1"),
            target,
            self._headers,
            local=self._local,
            alone=target.infer is not None and self._all.alone(self),
            client=self._address,
        )
        declared = int(self._headers.get(b"content-length", 0))
        try:
            self._front.admit(self._request)
        except ServeError as error:
            if declared > DISCARD_MAX or b"transfer-encoding" in self._headers:
                raise
            self._request.refusal = error
            self._front.refused(error)
        if declared > self._settings.body_bytes_max:
            raise TooLarge(f"the body has {declared} bytes; at most {self._settings.body_bytes_max} are read")
        if b"expect" in self._headers and self._later is None:
            self._all.write(self._transport, CONTINUE)

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        self._unparsed = 0
        self._size += len(body)
        self._all.hold(len(body))
        if self._size > self._settings.body_bytes_max:
            raise TooLarge(
                f"the body has more than {self._settings.body_bytes_max} bytes, which is the most that is read"
            )
        self._chunks.append(body)

    def on_message_complete(self) -> None:
        if self._deaf or self._parser.should_upgrade():
            return
        self._reading = False
        chunks, request = self._chunks, self._request
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        ending = CLOSE
        if self._parser.should_keep_alive():
            ending = KEEP if self._parser.get_http_version() == "1.1" else KEEP_1_0
        if len(self._ahead) >= AHEAD_MAX:
            raise Overloaded(f"{AHEAD_MAX} requests were sent ahead of their answers, which is the limit")
        asked, self._request, self._size = _Asked(request, self._size, ending), None, 0
        self._ahead.append(asked)
        if len(self._ahead) == 1:
            self._go_on()

    def _decline(self, rest: bytes) -> None:
        """Reads a request that offers another protocol, as Java's HttpClient and `curl --http2` do, as if it did not.

        The parser takes its body, and all that follows, for that protocol: another one gets the head without the offer.
        """
        method = self._parser.get_method()
        if method == b"CONNECT":
            self._refuse(BadRequest("CONNECT: this server is no proxy"))
            return
        offered = self._headers.pop(b"connection", b"").lower()
        kept = {name: value for name, value in self._headers.items() if name not in {b"upgrade", b"http2-settings"}}
        if b"close" in offered:
            kept[b"connection"] = b"close"
        lines = b"".join(b"%s: %s\r\n" % line for line in kept.items())
        self._parser, url = httptools.HttpRequestParser(self), self._url
        self.data_received(b"%s %s HTTP/1.1\r\n%s\r\n%s" % (method, url, lines, rest))

    # answers

    def _go_on(self) -> None:
        """Answers what waits, until something takes longer, the client does not take its answers, or others have a turn."""
        while self._ahead and self._later is None and not (self._stuck or self._transport.is_closing()):
            if self._turn >= TURN_MAX:
                self._turn = 0
                asyncio.get_running_loop().call_soon(self._go_on)
                return
            self._turn += 1
            self._begin(self._ahead.popleft())

    def _begin(self, asked: _Asked) -> None:
        if asked.request.alone:
            self._turn = TURN_MAX  # it may take longer than others do
        begun = self._front.begin(asked.request)
        if isinstance(begun, Reply):
            self._answer(asked, begun)
        else:
            self._later = begun
            begun.add_done_callback(partial(self._finish, asked))

    def _finish(self, asked: _Asked, later: Later) -> None:
        self._later = None
        reply = None if later.cancelled() else self._front.reply_of(asked.request, later)
        if reply is None or self._transport.is_closing():
            self._all.release(asked.size)
            self._front.finished(asked.request, None)
            self._transport.abort()
            return
        self._answer(asked, reply)
        self._turn = 0
        self._go_on()

    def _answer(self, asked: _Asked, reply: Reply) -> None:
        self._all.release(asked.size)
        self._server.total_requests += 1
        self._front.finished(asked.request, reply)
        last = (self._last or self._front.draining) and not self._ahead
        ending = CLOSE if last else asked.ending
        self._write(reply, ending, head=asked.request.method == "HEAD")
        self._since_s = time.monotonic()
        if ending is CLOSE:
            self._deaf = True
            self._transport.close()

    def _refuse(self, error: ServeError) -> None:
        """Answers what cannot be served, if nothing before it is unanswered, and closes: what follows is unknown."""
        self._deaf = self._last = True
        self._all.release(self._size)
        self._size = 0
        request, self._request, self._reading = self._request, None, False
        reply = None if self._later or self._ahead else error_reply(error)
        self._front.refused(error)
        if request is not None:
            self._front.finished(request, reply)
        if reply is None:
            return
        self._write(reply, CLOSE)
        self._since_s = time.monotonic()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def _write(self, reply: Reply, ending: bytes, *, head: bool = False) -> None:
        parts = [STATUS[reply.status]]
        for name, value in self._server.default_headers:
            parts += (name, b": ", value, b"\r\n")
        for name, value in reply.headers:
            parts += (name, b": ", value, b"\r\n")
        body = reply.body
        parts += (b"content-type: ", reply.content_type, b"\r\ncontent-length: %d\r\n" % len(body), ending)
        if not head:
            parts.append(body)
        content = b"".join(parts)
        if ending is CLOSE:
            self._all.flush()
            self._transport.write(content)
        else:
            self._all.write(self._transport, content)

    # bounds

    def check_time(self, now_s: float) -> None:
        """Ends the connection where it has waited for its client for too long; `now_s` is of `time.monotonic`."""
        waited_s, settings = now_s - self._since_s, self._settings
        if self._stuck or (self._deaf and self._later is None):
            unread = self._stuck or self._transport.get_write_buffer_size()
            if waited_s > (settings.idle_timeout_s if unread else LINGER_S):
                self._transport.abort()
        elif self._reading:
            what, limit_s = ("headers", settings.header_timeout_s)
            if self._request is not None:
                what, limit_s = "body", settings.body_timeout_s
            if waited_s > limit_s:
                self._refuse(TooSlow(f"the request's {what} did not come within {limit_s:g} s"))
        elif self._later is None and waited_s > settings.idle_timeout_s:
            self._transport.close()

    def _begin_message(self) -> None:
        self._url = b""
        self._headers: dict[bytes, bytes] = {}
        self._header_bytes = self._size = 0
        self._unparsed = 0  # bytes that came since something whole was found in them
        self._chunks: list[bytes] = []
        self._request: Any = None

    def _bound_headers(self, size: int) -> None:
        self._unparsed = 0
        self._header_bytes += size
        if self._header_bytes > HEADER_BYTES_MAX or len(self._headers) > HEADERS_MAX:
            raise HeadersTooLarge(
                f"the headers have more than {HEADER_BYTES_MAX} bytes, or are more than {HEADERS_MAX}"
            )


def _reason(error: Any) -> ServeError:
    """Of a parser's error: ours where one of our callbacks raised it."""
    cause = error.__context__
    if isinstance(cause, ServeError):
        return cause
    if isinstance(error, httptools.HttpParserCallbackError):
        log.error("reading a request failed", exc_info=cause)
    return BadRequest(f"the request is not HTTP: {error}")
