"""The server's sockets on the real kernel."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from joulebox.cli.sockets import listen, reserve, steer


@pytest.fixture
def three() -> Iterator[list[socket.socket]]:
    with ExitStack() as stack:
        sockets = [stack.enter_context(one) for one in listen("127.0.0.1", 0, 3)]
        for one in sockets:
            one.setblocking(False)
        yield sockets


def accepted(sockets: list[socket.socket], count: int) -> list[int]:
    """Which socket gets how many of new connections."""
    found = []
    with ExitStack() as stack:
        for _ in range(count):
            stack.enter_context(socket.create_connection(sockets[0].getsockname()))
        for one in sockets:
            found.append(0)
            while True:
                try:
                    stack.enter_context(one.accept()[0])
                except BlockingIOError:
                    break
                found[-1] += 1
    return found


def test_all_share_the_connections(three: list[socket.socket]) -> None:
    found = accepted(three, 120)
    assert sum(found) == 120
    assert min(found) > 20


@pytest.mark.parametrize("chosen", [[0], [2], [0, 2], [1, 2], [0, 1, 2]])
def test_new_connections_are_steered(three: list[socket.socket], chosen: list[int]) -> None:
    steer(three, chosen)
    found = accepted(three, 90)
    assert sum(found) == 90
    assert {at for at, count in enumerate(found) if count} == set(chosen)


def test_a_port_is_claimed_by_one_server(three: list[socket.socket]) -> None:
    host, port = three[0].getsockname()
    for claim in (lambda: listen(host, port, 1), lambda: listen(host, port, 2), lambda: reserve(host, port)):
        with pytest.raises(OSError, match="in use"):
            claim()


def test_a_reserved_port_takes_no_connection_until_somebody_listens_there() -> None:
    with reserve("127.0.0.1", 0) as held, socket.socket() as worker:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(held.getsockname())
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        worker.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        worker.bind(held.getsockname())
        worker.listen()
        with socket.create_connection(held.getsockname()), worker.accept()[0]:
            pass
        with pytest.raises(OSError, match="in use"):
            reserve(*held.getsockname())
