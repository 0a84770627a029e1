"""A server of our own for a package: `joulebox serve` on a free loopback port, stopped at the end whatever happens."""

from __future__ import annotations

import ctypes
import http.client
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from joulebox.bench.errors import BenchError

READY_S = 60.0
STOP_S = 40.0  # more than the server takes for answers under way
LOG_LINES = 5
PR_SET_PDEATHSIG = 1


@contextmanager
def served(package: Path, *, grpc_port: int = 0) -> Generator[str]:
    """The server's address, once it is ready.

    Raises:
        BenchError: it does not become ready; the end of its log is in the message.
    """
    port = free_port()
    more = ["--grpc-port", str(grpc_port)] if grpc_port else []
    command = [sys.executable, "-m", "joulebox.cli.main", "serve", str(package), "--port", str(port), *more]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # a terminal's Ctrl-C ends the measurement, and then we end the server
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # this process has no other thread yet
        )
        try:
            _await_ready(process, port, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            _stop(process)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _await_ready(process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline and process.poll() is None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == http.client.OK:
                return
        except (OSError, http.client.HTTPException):
            pass  # it does not listen yet
        finally:
            connection.close()
        time.sleep(0.05)
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()[-LOG_LINES:]
    why = (
        f"ended with status {process.returncode}"
        if process.returncode is not None
        else f"is not ready after {READY_S:g} s"
    )
    raise BenchError(f"the server {why}; its log ends with: {' | '.join(said) or 'nothing'}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()  # its workers end with it
        process.wait()


def _die_with_parent() -> None:
    """Lets the kernel end the server when this process is killed (see prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
