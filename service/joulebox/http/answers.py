"""What one client is answered: in the order that it asked, one write each, and no more than it takes."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import Any

from joulebox.http.exchange import Reply, Request
from joulebox.http.front import Front
from joulebox.http.oip import Later
from joulebox.runtime.errors import Overloaded

AHEAD_MAX = 16  # requests that may wait for those before them to be answered
TURN_MAX = 16  # requests of one client answered in a row, before others have their turn
UNREAD_BYTES_MAX = 256 * 1024  # of answers that the client has not taken; beyond it nothing more is read from it

STATUS = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode()) for status in HTTPStatus}
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
CLOSE, KEEP, KEEP_1_0 = b"connection: close\r\n\r\n", b"\r\n", b"connection: keep-alive\r\n\r\n"


@dataclass(slots=True)
class Asked:
    """A whole request, the bytes it holds, and how its answer ends."""

    request: Request
    size: int
    ending: bytes


class Answers:
    """The answers of one connection, and the requests that wait for theirs."""

    def __init__(self, front: Front, transport: Any, server: Any) -> None:
        self.turn = 0  # requests answered in this turn of the event loop
        self.last = False  # whether the connection ends with what is being answered
        self.ended = False  # whether what still comes is of no interest
        self.stuck = False  # whether the client does not take what was written
        self.since_s = time.monotonic()  # when the client was last answered, or got stuck or free
        self._front = front
        self._all = front.connections
        self._transport = transport
        self._server = server
        self._ahead: deque[Asked] = deque()
        self._later: Later | None = None
        transport.set_write_buffer_limits(high=UNREAD_BYTES_MAX)

    @property
    def idle(self) -> bool:
        """Whether no request waits for its answer."""
        return self._later is None and not self._ahead

    def take(self, asked: Asked) -> None:
        """Answers a request, once all before it are answered.

        Raises:
            Overloaded: too many wait; this one is let go.
        """
        if len(self._ahead) >= AHEAD_MAX:
            self._let_go(asked)
            raise Overloaded(f"{AHEAD_MAX} requests were sent ahead of their answers, which is the limit")
        self._ahead.append(asked)
        if len(self._ahead) == 1:
            self._go_on()

    def ask_for_body(self) -> None:
        """Says `100 Continue`, unless the client would take it for part of an earlier answer."""
        if self.idle:
            self._all.write(self._transport, CONTINUE)

    def end(self, reply: Reply | None) -> None:
        """Gives the last answer; without one, what was taken before is still answered, and then it is over."""
        self.ended = self.last = True
        if reply is None:
            return
        self._write(reply, CLOSE)
        self.since_s = time.monotonic()
        if self._transport.can_write_eof():
            self._transport.write_eof()

    def drop(self) -> None:
        """The client has gone."""
        self.ended = True
        for asked in self._ahead:
            self._let_go(asked)
        self._ahead.clear()
        if self._later is not None:
            self._later.cancel()

    def pause(self) -> None:
        """The client takes nothing for now, and so nothing more is read from it."""
        self.stuck, self.since_s = True, time.monotonic()
        self._transport.pause_reading()

    def resume(self) -> None:
        self.stuck, self.since_s = False, time.monotonic()
        if not self._transport.is_closing():
            self._transport.resume_reading()
            self._go_on()

    def _go_on(self) -> None:
        """Answers what waits, until something takes longer, the client does not take its answers, or others have a turn."""
        while self._ahead and self._later is None and not (self.stuck or self._transport.is_closing()):
            if self.turn >= TURN_MAX:
                self.turn = 0
                asyncio.get_running_loop().call_soon(self._go_on)
                return
            self.turn += 1
            asked = self._ahead.popleft()
            if asked.request.alone:
                self.turn = TURN_MAX  # it may take longer than others do
            begun = self._front.begin(asked.request)
            if isinstance(begun, Reply):
                self._answer(asked, begun)
            else:
                self._later = begun
                begun.add_done_callback(partial(self._finish, asked))

    def _finish(self, asked: Asked, later: Later) -> None:
        self._later = None
        reply = None if later.cancelled() else self._front.reply_of(asked.request, later)
        if reply is None or self._transport.is_closing():
            self._let_go(asked)
            self._transport.abort()
            return
        self._answer(asked, reply)
        self.turn = 0
        self._go_on()

    def _let_go(self, asked: Asked) -> None:
        self._all.release(asked.size)
        self._front.finished(asked.request, None)

    def _answer(self, asked: Asked, reply: Reply) -> None:
        self._all.release(asked.size)
        self._server.total_requests += 1
        self._front.finished(asked.request, reply)
        last = (self.last or self._front.draining) and not self._ahead
        ending = CLOSE if last else asked.ending
        self._write(reply, ending, head=asked.request.method == "HEAD")
        self.since_s = time.monotonic()
        if ending is CLOSE:
            self.ended = True
            self._transport.close()

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
