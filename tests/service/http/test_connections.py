"""Who else asks: only a client that has the server to itself may have the event loop compute for longer."""

from __future__ import annotations

import pytest

from joulebox.http.connections import ALONE_AFTER_S, Connections
from joulebox.runtime.settings import Settings


class Client:
    def check_time(self, now_s: float) -> None: ...


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now_s = [100.0]
    monkeypatch.setattr("joulebox.http.connections.time.monotonic", lambda: now_s[0])
    return now_s


def test_a_client_is_alone_once_no_other_has_asked_for_a_while(clock: list[float]) -> None:
    connections, one, other = Connections(Settings()), Client(), Client()
    assert not connections.alone(one), "another one may just be about to"
    clock[0] += ALONE_AFTER_S + 0.1
    assert connections.alone(one)
    assert not connections.alone(other)
    clock[0] += 0.1
    assert not connections.alone(one)
    clock[0] += ALONE_AFTER_S + 0.1
    assert connections.alone(one)


def test_a_connection_that_has_ended_leaves_nothing(clock: list[float]) -> None:
    connections, one = Connections(Settings()), Client()
    connections.alone(one)
    clock[0] += ALONE_AFTER_S + 0.1
    connections.discard(one)
    assert connections._asked_last is None
    assert not connections.alone(one), "as if it were new"


def test_beside_grpc_nobody_is_known_to_be_alone(clock: list[float]) -> None:
    connections, one = Connections(Settings(grpc_port=3001)), Client()
    connections.alone(one)
    clock[0] += ALONE_AFTER_S + 0.1
    assert not connections.alone(one)
