"""Runs the worker processes: starts them, passes signals on, replaces one that dies, and tidies up; as PID 1 of a container too."""

from __future__ import annotations

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import typer

from joulebox.cli.home import Home, server_home
from joulebox.cli.signals import Signals
from joulebox.cli.sockets import steer
from joulebox.metrics import forget_gauges

WORKER = [sys.executable, "-m", "joulebox.server.worker"]
QUICK_DEATHS_MAX = 5  # times in a row that one worker dies within QUICK_S of its start before the server gives up
QUICK_S = 10.0
KILL_AFTER_S = 2.0  # beyond the drain timeout, for a worker that cannot end
POLL_S, IDLE_S = 0.05, 1.0  # between looks at the workers while some do not listen yet, and else
STOP = {signal.SIGTERM, signal.SIGINT}
SIGNALS = STOP | {signal.SIGHUP, signal.SIGCHLD}
PR_SET_PDEATHSIG = 1


def run(listeners: list[socket.socket], settings: Mapping[str, str], drain_timeout_s: float) -> int:
    """Runs one worker for each listening socket until a signal asks to stop. Gives the exit status.

    BentoML keeps its metrics below `BENTOML_HOME` and wipes them at start, so each server has its own.

    Args:
        settings: environment variables for the workers.
        drain_timeout_s: what the workers have to answer what they have accepted; then they are killed.
    """
    with server_home(len(listeners)) as home:
        metrics, meeting = home.folder / "metrics", home.folder / "run"
        for folder in (metrics, meeting):
            folder.mkdir(mode=0o700)
        environment = {
            **os.environ,
            **settings,
            "BENTOML_HOME": str(home.folder),
            "BENTOML_DO_NOT_TRACK": "True",
            "JOULEBOX_RUN_FOLDER": str(meeting),
            "PROMETHEUS_MULTIPROC_DIR": str(metrics),
        }
        with Signals(SIGNALS) as signals:
            return _Supervisor(listeners, environment, home, drain_timeout_s, signals).run()


@dataclass
class _Worker:
    """A place that one process after another takes. Its number, from 1, outlives them."""

    number: int
    listener: socket.socket
    due_s: float = 0.0  # when to start it
    started_s: float = 0.0
    quick_deaths: int = 0
    deaths: int = 0
    process: subprocess.Popen[bytes] | None = None  # while it lives


class _Supervisor:
    def __init__(
        self,
        listeners: list[socket.socket],
        environment: dict[str, str],
        home: Home,
        drain_timeout_s: float,
        signals: Signals,
    ) -> None:
        self._workers = [_Worker(number, listener) for number, listener in enumerate(listeners, 1)]
        self._environment = environment
        self._home, self._lock = home.folder, home.lock
        self._drain_timeout_s = drain_timeout_s
        self._signals = signals
        self._clean = True
        self._steered: list[int] = []

    def run(self) -> int:
        stopping = False
        while self._clean and not stopping:
            try:
                for worker in self._workers:
                    if worker.process is None and worker.due_s <= time.monotonic():
                        self._start(worker)
            except OSError as error:  # its folder was removed, or there is no room for a process
                self._clean = False
                _say(f"error: no worker can be started: {error}; start the server again")
                break
            stopping = self._asked_to_stop(self._signals.wait(self._wait_s()))
            for worker, status in self._reap():
                self._replace(worker, status)
            self._steer()
        self._stop()
        return 0 if self._clean else 1

    def _asked_to_stop(self, received: int | None) -> bool:
        """A hang-up asks to stop where there is a terminal to hang up; elsewhere it is the custom for "read settings again"."""
        if received is None or received == signal.SIGCHLD:
            return False
        if received == signal.SIGHUP and not os.isatty(0):
            _say("SIGHUP: API keys are read again whenever their file changes; other settings need a new start")
            return False
        return True

    def _wait_s(self) -> float:
        if len(self._steered) < len(self._workers):
            return POLL_S  # until all workers listen, or are to be started
        return IDLE_S

    def _steer(self) -> None:
        """Sends new connections past workers that don't listen yet, unless none does."""
        listening = [at for at, worker in enumerate(self._workers) if self._marker(worker).exists()]
        if len(self._workers) > 1 and listening and listening != self._steered:
            steer([worker.listener for worker in self._workers], listening)
        self._steered = listening

    def _marker(self, worker: _Worker) -> Path:
        """A file that the worker makes once it listens."""
        return self._home / f"run/listening-{worker.number}"

    def _start(self, worker: _Worker) -> None:
        fd = worker.listener.fileno()
        worker.started_s = time.monotonic()
        replacement = ["--replacement"] if worker.deaths else []
        with self._signals.held():
            worker.process = subprocess.Popen(
                [*WORKER, "--fd", str(fd), "--worker-id", str(worker.number), *replacement],
                env={**self._environment, "JOULEBOX_WORKER_ID": str(worker.number)},
                cwd=self._home,  # Python puts the working folder first on sys.path: nothing of the user's may lie there
                pass_fds=[fd, self._lock],  # a worker that outlives this process keeps the folder
                preexec_fn=self._prepare,  # noqa: PLW1509  # no other thread of this process runs Python
                start_new_session=True,  # a terminal's Ctrl-C reaches this process alone, which passes it on once
            )

    def _prepare(self) -> None:
        """In the worker, before it runs: signals as they come, and an end when this process is killed, or it would go on
        serving unattended (see prctl(2))."""
        self._signals.give_up()
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)

    def _reap(self) -> list[tuple[_Worker, int]]:
        """The workers that have ended, with their status. Orphans, which PID 1 inherits, end here too."""
        ended: list[tuple[_Worker, int]] = []
        with suppress(ChildProcessError):
            while (found := os.waitpid(-1, os.WNOHANG))[0]:
                for worker in self._workers:
                    if worker.process is not None and worker.process.pid == found[0]:
                        worker.process.returncode = os.waitstatus_to_exitcode(found[1])
                        ended.append((worker, worker.process.returncode))
                        worker.process = None
                        self._forget(worker)
        return ended

    def _forget(self, worker: _Worker) -> None:
        """Removes what a dead worker has left for others to read, which is true no more."""
        forget_gauges(self._home / "metrics", worker.number)
        self._marker(worker).unlink(missing_ok=True)
        (self._marker(worker).parent / f"report-{worker.number}.json").unlink(missing_ok=True)

    def _replace(self, worker: _Worker, status: int) -> None:
        now_s = time.monotonic()
        worker.deaths += 1
        worker.quick_deaths = worker.quick_deaths + 1 if now_s - worker.started_s < QUICK_S else 0
        if worker.quick_deaths >= QUICK_DEATHS_MAX:
            self._clean = False
            _say(
                f"error: worker {worker.number} died {worker.quick_deaths} times within {QUICK_S:.0f} s of its start,"
                f" last with status {status}; its log is above"
            )
            return
        _say(f"worker {worker.number} died with status {status}; starting another")
        worker.due_s = now_s + (min(1.0, 0.1 * 2**worker.quick_deaths) if worker.quick_deaths else 0.0)

    def _stop(self) -> None:
        """Lets every worker answer what it has accepted. A second signal, or too long a wait, ends them at once."""
        self._signal(signal.SIGTERM)
        for worker in self._workers:
            worker.listener.close()
        deadline_s = time.monotonic() + self._drain_timeout_s + KILL_AFTER_S
        while any(worker.process is not None for worker in self._workers):
            received = self._signals.wait(POLL_S)  # not for long: as PID 1 an end came without SIGCHLD
            for _, status in self._reap():
                self._clean &= status in {0, -signal.SIGTERM}  # the latter, where it had not come to serving yet
            if time.monotonic() > deadline_s or (received is not None and received in STOP):
                self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        for worker in self._workers:
            if worker.process is not None:  # and thus not reaped, so that its id is no other's
                os.kill(worker.process.pid, number)


def _say(message: str) -> None:
    with suppress(OSError):  # the terminal may have gone
        typer.echo(message, err=True)
