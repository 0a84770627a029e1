"""The server's sockets, bound before anything starts, so that a port in use is one clear error.

Workers don't share one listening socket: whichever wakes first takes a whole burst of connections, which for two workers
and 8 connections was 8 and 0 in most of our runs. Each has a socket of its own on the same port (`SO_REUSEPORT`), between
which the kernel chooses at random, as `steer` tells it. This process keeps them all open: what has been queued on a dead
worker's socket waits for the next worker, and is not refused.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from contextlib import suppress
from ctypes import addressof, create_string_buffer

BACKLOG = 2048

SO_ATTACH_REUSEPORT_CBPF = 51  # Linux 4.5
RANDOM = (
    0x20,
    0,
    0,
    0xFFFFF038,
)  # classic BPF (linux/filter.h), as code, jump if true, jump if false, operand: load a random number


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


def steer(sockets: Sequence[socket.socket], chosen: Sequence[int]) -> None:
    """Makes the kernel give new connections to these of the sockets only, each as likely as the others.

    Without it, as on a kernel that does not know it, connections wait for a worker that is being replaced.

    Args:
        sockets: from `listen`, in their order.
        chosen: indices into `sockets`, at least one.
    """
    code = [RANDOM, (0x94, 0, 0, len(chosen))]  # modulo
    for number, index in enumerate(chosen):
        code += [(0x15, 0, 1, number), (0x06, 0, 0, index)]  # if equal, return that socket
    code.append((0x06, 0, 0, chosen[0]))  # the kernel wants every path to end
    content = b"".join(struct.pack("=HBBI", *instruction) for instruction in code)
    program = create_string_buffer(content, len(content))
    with suppress(OSError):
        sockets[0].setsockopt(
            socket.SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, struct.pack("@HP", len(code), addressof(program))
        )


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
