"""Closed and open loops against a server whose truth is known."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from joulebox.bench.arrivals import arrivals
from joulebox.bench.connection import HttpConnection
from joulebox.bench.load import BACKOFF_S, Closed, Open
from joulebox.bench.tally import Tally

STALL_S, SLOW_S = 0.8, 0.3
Make = Callable[[Sequence[HttpConnection], Sequence[bytes], Tally], Closed | Open]


def closed(connections: Sequence[HttpConnection], requests: Sequence[bytes], tally: Tally) -> Closed:
    return Closed(connections, requests, tally)


def opened(rate: float) -> Make:
    def make(connections: Sequence[HttpConnection], requests: Sequence[bytes], tally: Tally) -> Open:
        return Open(connections, requests, tally, arrivals("uniform", rate, tally.begin_s - 0.1, seed=0))

    return make


def run(
    stub: Any, make: Make, *, connections: int = 4, seconds: float = 1.0, stall: bool = False, timeout_s: float = 5.0
) -> Tally:
    """A load of `seconds` after a tenth of a second's warm-up; the stub may stall from 0.2 s on."""

    async def load() -> Tally:
        async with stub.running() as address:
            begin_s = time.perf_counter() + 0.1
            if stall:
                stub.stalled = (begin_s + 0.2, begin_s + 0.2 + STALL_S)
            tally = Tally(begin_s, begin_s + seconds, deadline_s=SLOW_S)
            made = [HttpConnection(address, timeout_s) for _ in range(connections)]
            await make(made, [address.request("POST", "/", b"{}")], tally).run()
            for connection in made:
                await connection.close()
            await asyncio.sleep(0.01)  # the stub's connections see that they are closed
            return tally

    return asyncio.run(load())


def slow(tally: Tally) -> int:
    """Of the answers, those that took longer than SLOW_S."""
    return tally.latency.count - tally.in_time


def test_a_closed_loop_counts_what_the_server_counted(stub: Any) -> None:
    server = stub()
    tally = run(server, closed)
    assert tally.requests + tally.warmup == server.requests
    assert tally.latency.count == tally.requests
    assert tally.answered == pytest.approx(tally.requests, abs=8)  # those across the ends of the window
    assert server.connections == 4, "connections are kept alive"


def test_an_open_loop_sends_at_its_rate(stub: Any) -> None:
    server = stub()
    tally = run(server, opened(200), connections=100)
    assert tally.unsent == 0
    assert tally.requests == pytest.approx(200, abs=1)
    assert tally.answered == pytest.approx(200, rel=0.1)
    assert tally.warmup + tally.requests == server.requests
    assert server.connections < 60, "the connection that was used last is used again"


def test_an_open_loop_counts_the_wait_of_those_that_a_stall_kept_from_being_sent(stub: Any) -> None:
    """Coordinated omission: 4 connections see 4 slow answers, while 160 requests were due during the stall."""
    tally = run(stub(), opened(200), stall=True, seconds=1.5)
    assert slow(tally) >= 0.8 * (STALL_S - SLOW_S) * 200
    assert tally.latency.max_s == pytest.approx(STALL_S, rel=0.2)
    assert tally.late >= 0.8 * STALL_S * 200
    assert tally.late_max_s == pytest.approx(STALL_S, rel=0.2)
    assert tally.unsent == 0
    assert 4 <= slow(run(stub(), closed, stall=True, seconds=1.5)) <= 12, "a closed loop does not see them"


def test_what_is_due_and_never_sent_is_counted(stub: Any) -> None:
    """The stall outlasts the measurement, so that two connections are left waiting for a hundred requests."""
    tally = run(stub(), opened(200), connections=2, seconds=0.7, stall=True)
    assert tally.unsent == pytest.approx(0.5 * 200, rel=0.1)
    assert tally.requests + tally.unsent == pytest.approx(0.7 * 200, abs=1)


def test_refusals_are_told_from_errors_and_keep_their_own_latency(stub: Any) -> None:
    refusal = b'HTTP/1.1 503 No\r\ncontent-length: 16\r\n\r\n{"error":"full"}'
    tally = run(
        stub(lambda number: refusal if number % 2 else b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"),
        closed,
        seconds=0.3,
    )
    assert tally.refused.count == tally.errors["503"] == pytest.approx(tally.requests / 2, rel=0.2)
    assert tally.said == {"503": "full"}
    assert tally.latency.count + tally.refused.count == tally.requests


def test_an_answer_that_does_not_come_is_a_timeout_and_the_connection_is_opened_anew(stub: Any) -> None:
    server = stub()
    tally = run(server, closed, connections=2, stall=True, timeout_s=0.2)
    assert tally.errors["timeout"] == pytest.approx(2 * STALL_S / 0.2, abs=4)
    assert "no answer within 0.2 s" in tally.said["timeout"]
    assert server.connections == 2 + tally.errors["timeout"]


def test_a_server_that_hangs_up_is_not_hammered(stub: Any) -> None:
    server = stub(lambda _: None)
    tally = run(server, closed, connections=1, seconds=0.5)
    assert tally.errors["connection"] <= 0.6 / BACKOFF_S + 1
    assert tally.latency.count == 0


def test_an_answer_without_keep_alive_costs_a_connection_each(stub: Any) -> None:
    server = stub(lambda _: b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
    tally = run(server, closed, connections=1, seconds=0.3)
    assert not tally.errors
    assert server.connections >= tally.requests


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nab", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999\r\n\r\n", "not HTTP"),
    ],
)
def test_what_is_not_http_is_an_error(stub: Any, answer: bytes, said: str) -> None:
    tally = run(stub(lambda _: answer), closed, connections=1, seconds=0.1)
    assert said in tally.said["malformed"]


def test_server_timing_is_averaged(stub: Any) -> None:
    answer = (
        b"HTTP/1.1 200 OK\r\nserver-timing: queue;dur=0.25, compute;dur=%d, x, total;dur=?\r\ncontent-length: 0\r\n\r\n"
    )
    tally = run(stub(lambda number: answer % (1 + number % 2)), closed, connections=1, seconds=0.2)
    means_ms = tally.timings.means_ms()
    assert means_ms == {"queue": pytest.approx(0.25), "compute": pytest.approx(1.5, abs=0.1)}
