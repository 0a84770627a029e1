"""HTTP/1.1 on a socket, for uvicorn: whole requests are read here, and answered by `Answers`.

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
from typing import Any

import httptools
from uvicorn.server import ServerState

from joulebox.http.answers import CLOSE, KEEP, KEEP_1_0, Answers, Asked
from joulebox.http.exchange import Request, error_reply, is_local
from joulebox.http.front import Front
from joulebox.runtime.errors import BadRequest, Overloaded, ServeError, TooLarge

log = logging.getLogger("joulebox.http")

HEADER_BYTES_MAX = 32 * 1024
HEADERS_MAX = 128
DISCARD_MAX = 64 * 1024  # a refused request's body is read up to here, to keep the connection
LINGER_S = 1.0  # a refused client may go on sending for so long: closing at once would take the refusal away from it


class HeadersTooLarge(ServeError):
    status = 431


class TooSlow(ServeError):
    status = 408


class Connection(asyncio.Protocol):
    """One client's connection. The server makes it, and asks it to shut down."""

    def __init__(self, front: Front, server_state: ServerState) -> None:
        self._front = front
        self._settings = front.settings
        self._all = front.connections
        self._server: Any = server_state
        self._parser: Any = httptools.HttpRequestParser(self)
        self._reading = False  # whether part of a request is there
        self._since_s = 0.0  # when that began to come
        self._begin_message()

    # asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: Any = transport
        self._answers = Answers(self._front, transport, self._server)
        peer: Any = transport.get_extra_info("peername")  # a string for a Unix socket
        self._address = "" if isinstance(peer, str) or not peer else str(peer[0])
        self._local = is_local(self._address)
        self._server.connections.add(self)
        try:
            self._all.add(self)
        except Overloaded as error:
            self._refuse(error)
            asyncio.get_running_loop().call_later(LINGER_S, self._transport.abort)  # no sweep looks at this one

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._server.connections.discard(self)
        self._all.discard(self)
        self._answers.drop()
        self._all.release(self._size)
        self._size = 0
        if self._request is not None:
            self._front.finished(self._request, None)
        self._parser = None  # the parser and this refer to each other

    def data_received(self, data: bytes) -> None:
        if self._answers.ended:
            return
        self._answers.turn = 0
        self._unparsed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline(data[upgrade.args[0] :])
        except httptools.HttpParserError as error:
            if not self._answers.ended:  # else what follows the last request
                self._refuse(_reason(error))
        else:
            if self._unparsed > HEADER_BYTES_MAX and not self._answers.ended:
                self._refuse(HeadersTooLarge(f"a line is longer than {HEADER_BYTES_MAX} bytes"))

    def pause_writing(self) -> None:
        self._answers.pause()

    def resume_writing(self) -> None:
        self._answers.resume()

    # the server

    def drain(self) -> None:
        """The next answer is the last; until then an idle connection may still bring its request."""
        self._answers.last = True

    def shutdown(self) -> None:
        """Closes, once what was accepted is answered."""
        self._answers.last = True
        if self._answers.idle and not self._reading:
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
        if self._answers.ended or self._parser.should_upgrade():
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
        if b"expect" in self._headers:
            self._answers.ask_for_body()

    def on_body(self, body: bytes) -> None:
        if self._answers.ended:
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
        if self._answers.ended or self._parser.should_upgrade():
            return
        self._reading = False
        chunks, request = self._chunks, self._request
        request.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        ending = CLOSE
        if self._parser.should_keep_alive():
            ending = KEEP if self._parser.get_http_version() == "1.1" else KEEP_1_0
        size, self._request, self._size = self._size, None, 0
        self._answers.take(Asked(request, size, ending))

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

    def _refuse(self, error: ServeError) -> None:
        """Answers what cannot be served, if nothing before it is unanswered, and closes: what follows is unknown."""
        self._all.release(self._size)
        self._size = 0
        request, self._request, self._reading = self._request, None, False
        reply = error_reply(error) if self._answers.idle else None
        self._front.refused(error)
        if request is not None:
            self._front.finished(request, reply)
        self._answers.end(reply)

    # bounds

    def check_time(self, now_s: float) -> None:
        """Ends the connection where it has waited for its client for too long; `now_s` is of `time.monotonic`."""
        answers, settings = self._answers, self._settings
        waited_s = now_s - max(self._since_s, answers.since_s)
        if answers.stuck or (answers.ended and answers.idle):
            unread = answers.stuck or self._transport.get_write_buffer_size()
            if waited_s > (settings.idle_timeout_s if unread else LINGER_S):
                self._transport.abort()
        elif self._reading:
            what, limit_s = ("headers", settings.header_timeout_s)
            if self._request is not None:
                what, limit_s = "body", settings.body_timeout_s
            if waited_s > limit_s:
                self._refuse(TooSlow(f"the request's {what} did not come within {limit_s:g} s"))
        elif answers.idle and waited_s > settings.idle_timeout_s:
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
