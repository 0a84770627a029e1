"""Servers started as a user would, on a free loopback port, and ended so that nothing is left.

Any test imports this (`pythonpath` in pyproject.toml), also where only the device's packages are installed.
"""

from __future__ import annotations

import os
import signal
import socket
import ssl
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import httpx
import psutil

JOULEBOX = [sys.executable, "-m", "joulebox.cli.main"]
SERVE = [*JOULEBOX, "serve"]
READY_S = 90.0


@dataclass
class Server:
    """A server that was started, and its processes."""

    process: psutil.Popen
    port: int
    log: IO[bytes]
    verify: ssl.SSLContext | None = None
    """What its clients trust, where it speaks TLS."""

    @property
    def address(self) -> str:
        return f"{'https' if self.verify else 'http'}://127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        """Whether all its workers say so: each question comes on a connection of its own, so that each worker gets some."""
        close = {"connection": "close"}
        try:
            with httpx.Client(base_url=self.address, timeout=20, verify=self.verify or True, headers=close) as client:
                return all(client.get("/readyz").status_code == httpx.codes.OK for _ in range(10))
        except httpx.TransportError:
            return False  # it does not listen yet

    def workers(self) -> dict[int, psutil.Process]:
        """The live ones of `joulebox serve` by number."""
        found = {}
        for child in self.process.children():
            with suppress(psutil.NoSuchProcess, ValueError):
                command = child.cmdline()
                found[int(command[command.index("--worker-id") + 1])] = child
        return found

    def environment(self, name: str) -> Path:
        """A folder that the workers were given."""
        return Path(self.workers()[1].environ()[name])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def said(self) -> str:
        """What it has written."""
        return os.pread(self.log.fileno(), 2**20, 0).decode()

    def stop(self, seconds: float = 20) -> int:
        """Ends it with SIGTERM and gives its status; none of its processes may outlive it, and nobody listens then."""
        family = self.family()
        self.process.send_signal(signal.SIGTERM)
        _, left = psutil.wait_procs(family, seconds)
        assert not left, f"{left} did not end within {seconds} s"
        with socket.socket() as probe:
            assert probe.connect_ex(("127.0.0.1", self.port)) != 0, "nothing is left listening"
        return self.process.wait()

    def family(self) -> list[psutil.Process]:
        """Its own process and all below it, where it still runs."""
        with suppress(psutil.NoSuchProcess):
            return [self.process, *self.process.children(recursive=True)]
        return []


@contextmanager
def running(
    *arguments: object,
    command: Sequence[str] = SERVE,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    ready: bool = True,
    verify: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """A command with these arguments and `--port`, once it is ready; what of it still runs at the end is killed.

    `environment` is the whole of it; this process's own without one.
    """
    port = free_port()
    whole = [*command, *map(str, arguments), "--port", str(port)]
    with tempfile.TemporaryFile() as log:
        process = psutil.Popen(whole, stdout=log, stderr=log, cwd=folder, env=environment)
        server = Server(process, port, log, verify)
        try:
            if ready:
                wait_until(lambda: process.poll() is not None or server.is_ready(), READY_S)
                assert process.poll() is None, f"it has ended with status {process.poll()}"
            yield server
        finally:
            for each in server.family():
                with suppress(psutil.NoSuchProcess):
                    each.kill()
            process.wait()
            print(server.said())


@contextmanager
def serving(*packages: Path, environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """The address of `joulebox serve`; SIGTERM has to end it with status 0. `environment` comes on top of this one."""
    with running(*packages, environment={**os.environ, **(environment or {})}) as server:
        yield server.address
        assert server.stop() == 0


def wait_until(holds: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if holds():
                return
        time.sleep(0.05)
    raise TimeoutError(f"not so within {seconds} s")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
