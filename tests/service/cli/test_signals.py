"""Signals wake whoever waits for them, one by one, whichever thread they reach."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from joulebox.cli.signals import Signals

ASKED = {signal.SIGTERM, signal.SIGUSR1}


def test_each_signal_is_had_once_in_the_order_they_came() -> None:
    with Signals(ASKED) as signals:
        assert signals.wait(0) is None
        for number in (signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1):
            os.kill(os.getpid(), number)
        assert [signals.wait(1) for _ in range(3)] == [signal.SIGUSR1, signal.SIGTERM, signal.SIGUSR1]
        assert signals.wait(0) is None


def test_one_that_reaches_another_thread_is_had_as_well() -> None:
    with Signals(ASKED) as signals, signals.held():  # in this thread, as if it were busy between two waits
        done = threading.Event()
        other = threading.Thread(target=lambda: (signal.pthread_sigmask(signal.SIG_UNBLOCK, ASKED), done.wait(10)))
        other.start()
        try:
            time.sleep(0.05)
            os.kill(os.getpid(), signal.SIGTERM)
            assert signals.wait(5) == signal.SIGTERM
        finally:
            done.set()
            other.join()


def test_a_wait_ends_when_a_signal_comes() -> None:
    with Signals(ASKED) as signals:
        timer = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGUSR1))
        timer.start()
        begun_s = time.monotonic()
        assert signals.wait(10) == signal.SIGUSR1
        assert time.monotonic() - begun_s < 5


def test_afterwards_all_is_as_it_was() -> None:
    before = signal.getsignal(signal.SIGUSR1)
    with Signals(ASKED):
        assert signal.getsignal(signal.SIGUSR1) is not before
    assert signal.getsignal(signal.SIGUSR1) is before


PARENT = """  # a process of its own: what other tests have loaded, such as gRPC's threads, does not always live through a fork
import signal, subprocess, sys
from joulebox.cli.signals import Signals
number = signal.Signals(int(sys.argv[1]))
with Signals((number,)) as signals:
    with signals.held():
        child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], preexec_fn=signals.give_up)
    child.send_signal(number)
    print(-child.wait(10), signals.wait(0))
"""


@pytest.mark.parametrize("number", sorted(ASKED))
def test_a_child_takes_them_as_any_process_does(number: signal.Signals) -> None:
    done = subprocess.run([sys.executable, "-c", PARENT, str(int(number))], capture_output=True, text=True, check=True)
    assert done.stdout == f"{int(number)} None\n"
