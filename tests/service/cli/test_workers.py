"""Several worker processes as one server: metrics, deaths, the end."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from joulebox.package import Package
from servers import SERVE, running, wait_until


def inferences(address: str) -> float:
    families = text_string_to_metric_families(httpx.get(f"{address}/metrics").text)
    return sum(
        sample.value for family in families for sample in family.samples if sample.name == "joulebox_inferences_total"
    )


def test_metrics_add_up_once_whichever_worker_is_asked_and_after_a_death(package: Package, cli: Any) -> None:
    with running(package.folder, "--workers", 2) as server:
        before = inferences(server.address)  # of the warm-up, where that counts
        cli.infer(server, 40)
        # A worker adds up what it has counted a few times a second, so that the others see it a moment later.
        wait_until(lambda: {inferences(server.address) for _ in range(10)} == {before + 40})
        folder = server.environment("PROMETHEUS_MULTIPROC_DIR")
        files = sorted(path.name for path in folder.iterdir())
        assert {name.rpartition("_")[2] for name in files} == {"1.db", "2.db"}
        for number in (1, 2):
            worker = server.workers()[number]
            worker.kill()
            wait_until(lambda killed=worker, own=number: server.workers().get(own, killed).pid != killed.pid, 10)
        cli.infer(server, 40)
        wait_until(lambda: inferences(server.address) == before + 80)
        assert sorted(path.name for path in folder.iterdir()) == files


def test_gauges_of_a_dead_worker_are_gone(package: Package) -> None:
    with running(package.folder, "--workers", 2) as server:
        folder = server.environment("PROMETHEUS_MULTIPROC_DIR")
        (gauges,) = folder.glob("gauge_live*_1.db")
        before = gauges.stat().st_ino
        server.workers()[1].kill()
        wait_until(lambda: not gauges.exists() or gauges.stat().st_ino != before)


def test_a_worker_killed_under_load_takes_no_other_with_it(package: Package, cli: Any) -> None:
    async def load(server: Any) -> tuple[list[Any], set[int], float]:
        done = asyncio.Event()
        tallies = [cli.Tally() for _ in range(12)]
        clients = [asyncio.create_task(cli.ask(server.port, tally, done)) for tally in tallies]
        await asyncio.sleep(0.5)
        victim = server.workers()[1]
        victim.suspend()  # so that its connections don't change while they are listed
        own = {connection.raddr.port for connection in victim.net_connections() if connection.raddr}
        killed_s = time.monotonic()
        victim.kill()
        answered = [tally.answered for tally in tallies]
        await asyncio.to_thread(wait_until, lambda: server.workers().get(1, victim).pid != victim.pid)
        replaced_s = time.monotonic() - killed_s
        again = lambda: all(tally.answered > count for tally, count in zip(tallies, answered, strict=True))  # noqa: E731
        await asyncio.to_thread(wait_until, again)  # the dead worker's clients too
        done.set()
        await asyncio.gather(*clients)
        return tallies, own, replaced_s

    with running(package.folder, "--workers", 2) as server:
        tallies, own, replaced_s = asyncio.run(load(server))
    lost = [port for tally in tallies for port in tally.unanswered]
    assert set(lost) <= own, "only the dead worker's own"
    assert len(lost) == len(set(lost)), "each once: its queued connections waited for the next worker"
    assert set().union(*(tally.statuses for tally in tallies)) == {200}
    assert replaced_s < 2


@pytest.mark.parametrize(("workers", "keep"), [(1, True), (2, True), (2, False)])
def test_sigterm_under_load_answers_all_that_was_accepted(package: Package, cli: Any, workers: int, keep: bool) -> None:
    async def load(server: Any) -> tuple[list[Any], int]:
        done = asyncio.Event()
        tallies = [cli.Tally() for _ in range(24)]
        clients = [asyncio.create_task(cli.ask(server.port, tally, done, keep=keep)) for tally in tallies]
        await asyncio.sleep(1)
        server.process.send_signal(signal.SIGTERM)
        status = await asyncio.to_thread(server.process.wait, 20)
        done.set()
        await asyncio.gather(*clients)
        return tallies, status

    with running(package.folder, "--workers", workers) as server:
        home = server.environment("BENTOML_HOME")
        tallies, status = asyncio.run(load(server))
    assert [tally.unanswered for tally in tallies] == [[]] * 24
    assert set().union(*(tally.statuses for tally in tallies)) == {200}
    assert all(tally.answered for tally in tallies)
    assert status == 0
    assert not home.exists(), "no files are left"


def test_while_draining_it_is_unready_and_closes_what_it_answers(package: Package, cli: Any) -> None:
    question = b"GET /readyz HTTP/1.1\r\nhost: t\r\n\r\n"
    with (
        running(package.folder) as server,
        server.connect() as slow,
        server.connect() as asking,
        server.connect() as idle,
    ):
        slow.sendall(cli.REQUEST[:-10])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGTERM)
        answer = b""
        while b"connection: close" not in answer:
            asking.sendall(question)
            answer = asking.recv(4096).lower()
        idle.sendall(question)
        answer = idle.recv(4096).lower()
        assert answer.startswith(b"http/1.1 503")
        assert b"connection: close" in answer
        wait_until(lambda: _refuses(server))
        slow.sendall(cli.REQUEST[-10:])
        answer = slow.recv(4096).lower()
        assert answer.startswith(b"http/1.1 200")
        assert b"connection: close" in answer
        assert server.process.wait(10) == 0


def test_idle_connections_do_not_delay_the_end(package: Package, cli: Any) -> None:
    with running(package.folder) as server, server.connect(), server.connect() as kept:
        kept.sendall(cli.REQUEST)
        assert kept.recv(4096).startswith(b"HTTP/1.1 200")
        started_s = time.monotonic()
        assert server.stop() == 0
        assert time.monotonic() - started_s < 3
        assert kept.recv(10) == b""


def _refuses(server: Any) -> bool:
    try:
        server.connect().close()
    except ConnectionRefusedError:
        return True
    return False


def test_the_drain_timeout_ends_what_does_not_end(package: Package, cli: Any) -> None:
    with running(package.folder, "--drain-timeout", 1) as server, server.connect() as slow:
        slow.sendall(cli.REQUEST[:-10])
        time.sleep(0.2)
        started_s = time.monotonic()
        assert server.stop() == 1
        assert 1 <= time.monotonic() - started_s < 3
        assert "1 requests were not answered within the drain timeout of 1 s" in server.said()


def test_a_worker_that_cannot_end_is_killed(package: Package) -> None:
    with running(package.folder, "--drain-timeout", 0.2) as server:
        home = server.environment("BENTOML_HOME")
        server.workers()[1].suspend()
        assert server.stop() == 1
        assert not home.exists()


def test_a_second_signal_ends_at_once(package: Package, cli: Any) -> None:
    with running(package.folder, "--workers", 2) as server, server.connect() as slow:
        home, workers = server.environment("BENTOML_HOME"), list(server.workers().values())
        slow.sendall(cli.REQUEST[:-10])
        time.sleep(0.2)
        server.process.send_signal(signal.SIGINT)
        time.sleep(1)
        assert server.process.is_running()
        started_s = time.monotonic()
        assert server.stop() == 1
        assert time.monotonic() - started_s < 1
        assert not any(worker.is_running() for worker in workers)
        assert not home.exists()


def test_a_signal_during_the_start_is_a_clean_end(package: Package) -> None:
    with running(package.folder, "--workers", 2, ready=False) as server:
        wait_until(lambda: len(server.workers()) == 2)
        assert server.stop() == 0


def test_a_hang_up_changes_nothing(package: Package, cli: Any) -> None:
    with running(package.folder) as server:
        (worker,) = server.workers().values()
        for process in (server.process, worker):
            process.send_signal(signal.SIGHUP)
        cli.infer(server, 3)
        assert list(server.workers().values()) == [worker]
        assert server.stop() == 0


def test_a_worker_that_never_comes_up_ends_the_server(package: Package, tmp_path: Path) -> None:
    with running(
        package.folder, environment={**os.environ, "BENTOML_CONFIG": str(tmp_path / "none")}, ready=False
    ) as server:
        assert server.process.wait(90) == 1
        assert "error: worker 1 died 5 times within 10 s of its start" in server.said()


SUBREAPER = """
import ctypes, subprocess, sys
ctypes.CDLL(None).prctl(36, 1)  # PR_SET_CHILD_SUBREAPER: orphans come here, as to PID 1
subprocess.run(["sh", "-c", "sleep 1 & echo $! > " + sys.argv.pop(1)])
from joulebox.cli.main import main
main()
"""


def test_orphans_are_reaped_as_pid_1_has_to(package: Package, tmp_path: Path) -> None:
    wrapper = [sys.executable, "-c", SUBREAPER, str(tmp_path / "orphan"), "serve"]
    with running(package.folder, command=wrapper) as server:
        orphan = int((tmp_path / "orphan").read_text())
        wait_until(lambda: not psutil.pid_exists(orphan))
        assert server.stop() == 0


def _may_unshare() -> bool:
    command = ["unshare", "--user", "--pid", "--fork", "true"]
    return (
        shutil.which("unshare") is not None
        and subprocess.run(command, capture_output=True, check=False).returncode == 0
    )


@pytest.mark.skipif(not _may_unshare(), reason="this host allows no new PID namespace")
def test_it_obeys_as_pid_1_of_a_container(package: Package) -> None:
    wrapper = ["unshare", "--user", "--pid", "--fork", "--kill-child", *SERVE]
    with running(package.folder, command=wrapper) as server:
        (first,) = server.process.children()
        (worker,) = first.children()
        worker.kill()
        wait_until(lambda: [child.pid != worker.pid for child in first.children()] == [True])
        os.kill(first.pid, signal.SIGTERM)
        assert server.process.wait(20) == 0
