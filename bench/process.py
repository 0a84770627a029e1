"""A server's processes: started on free ports, watched through /proc, and ended with all their children."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

STOP_S = 10.0
PORTS = 3  # in a row: HTTP, gRPC, metrics


class Process:
    """The process that was started, and its children."""

    def __init__(self, leader: psutil.Popen, log: Path) -> None:
        self._leader = leader
        self._log = log
        self.started_s = time.monotonic()

    @property
    def alive(self) -> bool:
        return self._leader.poll() is None

    @property
    def last_words(self) -> str:
        """The last line of its log that says something, frames drawn around it left out."""
        lines = [line.strip(" │╭╮╰╯─") for line in self._log.read_text("utf-8", "replace").splitlines()]
        said = [line for line in lines if line]
        return said[-1][:200] if said else f"exit status {self._leader.poll()}, nothing logged"

    def cpu_seconds(self) -> float:
        """Of all, since their start; of children that have ended, too."""
        return sum(sum(each.cpu_times()[:4]) for each in self._family())

    def resident_mb(self) -> float:
        """Resident memory of all, summed: pages that they share count more than once."""
        return sum(each.memory_info().rss for each in self._family()) / 1e6

    def _family(self) -> list[psutil.Process]:
        family = [self._leader, *self._leader.children(recursive=True)]
        return [each for each in family if each.is_running() and each.status() != psutil.STATUS_ZOMBIE]

    def pause(self) -> None:
        """Stops them where they are; they use no CPU until they are awake again."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @contextmanager
    def awake(self) -> Generator[None]:
        """While they may run."""
        self.resume()
        try:
            yield
        finally:
            self.pause()

    def _signal(self, number: signal.Signals) -> None:
        for each in self._family():
            with suppress(psutil.NoSuchProcess):
                each.send_signal(number)

    def stop(self) -> None:
        family = self._family() if self.alive else []
        for each in family:
            with suppress(psutil.NoSuchProcess):
                each.send_signal(signal.SIGCONT)
        with suppress(psutil.NoSuchProcess):
            self._leader.terminate()
        _, left = psutil.wait_procs(family, STOP_S)
        for each in left:
            with suppress(psutil.NoSuchProcess):
                each.kill()
        self._leader.wait()


@contextmanager
def running(command: list[str], environment: Mapping[str, str], folder: Path) -> Generator[Process]:
    """Runs a server with `folder` as its working folder, its log in `folder/log`."""
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "log"
    with log.open("wb") as output:
        leader = psutil.Popen(
            command, env=dict(environment), cwd=folder, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    process = Process(leader, log)
    try:
        yield process
    finally:
        process.stop()


def free_port() -> int:
    """The first of `PORTS` free ports in a row on the loopback address."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            first = int(probe.getsockname()[1])
        if all(_is_free(port) for port in range(first, first + PORTS)):
            return first


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except (OSError, OverflowError):
            return False
    return True
