"""The server's sockets, bound before anything starts, so that a port in use is one clear error.

Workers don't share one listening socket: whichever wakes first takes a whole burst of connections, which for two workers
and 8 connections was 8 and 0 in most of our runs. Each has a socket of its own on the same port (`SO_REUSEPORT`), between
which the kernel spreads connections by their hash (3 to 5 of the 8). This process keeps them all open: what has been
queued on a dead worker's socket waits for the next worker, and is not refused.
"""

from __future__ import annotations

import socket

BACKLOG = 2048


def listen(host: str, port: int, count: int) -> list[socket.socket]:
    """Sockets that listen on one address, inheritable.

    Raises:
        OSError: the port is in use, or the host is no address of this machine.
    """
    first = _claim(host, port)
    sockets = [first]
    try:
        while len(sockets) < count:
            sockets.append(_join(first))
    except OSError:
        for one in sockets:
            one.close()
        raise
    for one in sockets:
        one.set_inheritable(True)
    return sockets


def reserve(host: str, port: int) -> socket.socket:
    """A socket that holds the port and doesn't listen; whoever sets `SO_REUSEPORT`, of the same user, can listen there.

    Raises:
        OSError: as for `listen`.
    """
    held = _claim(host, port)
    held.shutdown(socket.SHUT_RDWR)  # ends its listening; on Linux it stays bound
    return held


def _claim(host: str, port: int) -> socket.socket:
    """A socket that was the only one to listen there when it began to; then others may join it."""
    claimed = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    try:
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        claimed.bind((host, port))
        claimed.listen(BACKLOG)
        claimed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    except OSError:
        claimed.close()
        raise
    return claimed


def _join(first: socket.socket) -> socket.socket:
    joined = socket.socket(first.family)
    try:
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        joined.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        joined.bind(first.getsockname())
        joined.listen(BACKLOG)
    except OSError:
        joined.close()
        raise
    return joined
