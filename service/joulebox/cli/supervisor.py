"""Runs BentoML's worker process on a socket of ours: signals, restarts and clean-up are ours, in containers too."""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from types import FrameType

import typer

WORKER = [sys.executable, "-m", "_bentoml_impl.worker.service", "joulebox.http.service:InferenceService"]
BACKLOG = 2048
GRACE_S = 30  # for answers under way when asked to stop
QUICK_DEATHS_MAX = 5  # workers that die within QUICK_S of their start, in a row, before the server gives up
QUICK_S = 10.0
PR_SET_PDEATHSIG = 1


def listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address, so that a port in use is an error before anything starts.

    Raises:
        OSError: it is in use, or the host is no address of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    listener.set_inheritable(True)
    return listener


def run(listener: socket.socket, packages: list[Path]) -> int:
    """Runs the worker until a signal asks to stop, restarting it when it dies. Gives the exit status.

    BentoML keeps its metrics below `BENTOML_HOME` and wipes them at start, so each server has its own.
    """
    home = Path(tempfile.mkdtemp(prefix="joulebox-"))
    metrics = home / "metrics"
    metrics.mkdir()
    environment = {
        **os.environ,
        "BENTOML_HOME": str(home),
        "BENTOML_DO_NOT_TRACK": "True",
        "JOULEBOX_PACKAGES": os.pathsep.join(str(path.resolve()) for path in packages),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }
    try:
        return _Supervisor(listener, environment, home).run()
    finally:
        listener.close()
        shutil.rmtree(home, ignore_errors=True)


class _Supervisor:
    def __init__(self, listener: socket.socket, environment: dict[str, str], home: Path) -> None:
        self._listener = listener
        self._environment = environment
        self._home = home
        self._worker: subprocess.Popen[bytes] | None = None
        self._stopping = False

    def run(self) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        quick_deaths = 0
        while not self._stopping:
            started_s = time.monotonic()
            self._worker = self._start()
            if self._stopping:
                self._worker.terminate()
            status = self._worker.wait()
            if self._stopping:
                return 0
            quick_deaths = quick_deaths + 1 if time.monotonic() - started_s < QUICK_S else 0
            if quick_deaths >= QUICK_DEATHS_MAX:
                typer.echo(
                    f"error: the worker died {quick_deaths} times within {QUICK_S:.0f} s of its start; its log is above",
                    err=True,
                )
                return 1
            typer.echo(f"the worker died with status {status}; starting another", err=True)
            time.sleep(min(1.0, 0.1 * 2**quick_deaths))
        return 0

    def _start(self) -> subprocess.Popen[bytes]:
        fd = self._listener.fileno()
        arguments = ["--fd", str(fd), "--worker-id", "1", "--timeout-graceful-shutdown", str(GRACE_S)]
        return subprocess.Popen(
            [*WORKER, *arguments],
            env=self._environment,
            cwd=self._home,  # BentoML puts the working folder first on sys.path: nothing of the user's may lie there
            pass_fds=[fd],
            preexec_fn=_die_with_parent,  # noqa: PLW1509  # this process has no other thread
            start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, which passes it on once
        )

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        """The first signal lets answers finish; a second one ends at once."""
        if self._worker is not None:
            self._worker.send_signal(signal.SIGKILL if self._stopping else signal.SIGTERM)
        self._stopping = True


def _die_with_parent() -> None:
    """Lets the kernel end the worker when this process is killed, or it would go on serving unattended (see prctl(2))."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
