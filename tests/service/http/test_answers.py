"""What is answered when, on raw sockets against a real worker: in which order, how it ends, and to clients that do not listen."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

import pytest

from joulebox.package import write_package
from rawhttp import answers, closes, get, infer, name_of, read, statuses
from servers import wait_until

MIB = 2**20
DELAY_S = 0.4  # which a batch waits to become fuller; whatever is not computed on the spot takes this long
IDLE_S = 2.0
SWEEP_S = 0.5

pytestmark = pytest.mark.usefixtures("goes_on")


@pytest.fixture(scope="module")
def worker(work: Any, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("packages")
    package, slow = write_package(folder / "tiny", tiny.fields(), tiny.files(), {}), tiny.slow_package(folder / "slow")
    limits = {"idle_timeout_s": IDLE_S, "batch_max": 64, "batch_delay_ms": 1e3 * DELAY_S}
    with work(package.folder, slow.folder, **limits) as running:
        assert running.answers()
        assert running.ask("GET", "/docs.json")[0] == 200  # BentoML opens what it needs at its first page
        yield running


def test_pipelined_requests_are_answered_in_order(worker: Any) -> None:
    sent = [f"r{number}" for number in range(10)]
    got = answers(worker, b"".join(infer(name=name) for name in sent), len(sent))
    assert [name_of(answer) for answer in got] == sent


def test_a_slow_request_holds_back_what_was_sent_after_it(worker: Any) -> None:
    started_s = time.monotonic()
    got = answers(worker, infer(model=b"slow", name="slow") + infer(name="a") + get() + infer(name="b"), 4)
    assert time.monotonic() - started_s > DELAY_S
    assert [name_of(answer) for answer in got[:2]] == ["slow", "a"]
    assert got[2][0] == 200
    assert name_of(got[3]) == "b"


def test_a_few_dozen_requests_may_be_sent_at_once_and_no_flood_of_them(worker: Any) -> None:
    assert statuses(worker, get() * 32, 32) == [200] * 32
    with worker.connect() as client:
        client.sendall(get("/metrics") * 3000)
        assert closes(client)
    assert worker.process.cpu_percent(0.3) < 90, "nobody works on them any more"


def test_too_many_requests_behind_a_slow_one_end_the_connection_after_those_that_were_taken(worker: Any) -> None:
    got = answers(worker, infer(model=b"slow", name="slow") + get() * 40, 18)
    assert name_of(got[0]) == "slow"
    assert [status for status, _, _ in got] == [200] * 17 + [0]
    assert got[16][1]["connection"] == "close"


def test_http_1_0_closes_unless_it_asks_to_keep(worker: Any) -> None:
    ((status, headers, _), after) = answers(worker, get(version=b"1.0"), 2)
    assert (status, headers["connection"], after[0]) == (200, "close", 0)
    kept = get(version=b"1.0", headers=b"Connection: keep-alive\r\n")
    got = answers(worker, kept + kept, 2)
    assert [(status, headers["connection"]) for status, headers, _ in got] == [(200, "keep-alive")] * 2


def test_connection_close_is_heeded(worker: Any) -> None:
    ((status, headers, _), after) = answers(worker, get(headers=b"Connection: close\r\n"), 2)
    assert (status, headers["connection"], after[0]) == (200, "close", 0)


def test_head_is_get_without_its_body(worker: Any) -> None:
    with worker.connect() as client, client.makefile("rb") as file:
        client.sendall(get(method=b"HEAD") + get())
        status, headers, _ = read(cast("BinaryIO", file), head=True)
        assert (status, headers["content-length"]) == (200, "13")
        assert read(cast("BinaryIO", file))[2] == b'{"live":true}'


@pytest.mark.parametrize("reset", [False, True])
def test_work_for_a_client_that_has_gone_is_dropped(worker: Any, reset: bool) -> None:
    before = worker.metric("joulebox_inferences_total", model="slow")
    with worker.connect() as client:
        client.sendall(infer(model=b"slow") * 2)
        wait_until(lambda: worker.metric("joulebox_inflight_requests") == 1)
        if reset:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(lambda: worker.metric("joulebox_inflight_requests") == 0, DELAY_S)
    time.sleep(1.2 * DELAY_S)
    assert worker.metric("joulebox_inferences_total", model="slow") == before
    assert worker.metric("joulebox_request_duration_seconds_count", code="499") >= 1


def test_answers_that_nobody_reads_pile_up_to_a_bound(worker: Any) -> None:
    before = worker.resident_bytes
    with ExitStack() as stack:
        for _ in range(8):
            client = stack.enter_context(worker.connect())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.setblocking(False)
            for _ in range(300):
                try:
                    client.send(get("/docs.json") * 4)
                except BlockingIOError:
                    time.sleep(0.005)
        assert worker.resident_bytes - before < 40 * MIB
        assert worker.answers()
        time.sleep(IDLE_S + SWEEP_S)
    assert worker.answers()


def test_a_slow_reader_of_a_last_answer_gets_all_of_it(worker: Any) -> None:
    with worker.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32768)
        client.sendall(infer(20_000, headers=b"Connection: close\r\n"))
        time.sleep(1.7)  # longer than a refused client may linger, shorter than idling may last
        content = b""
        while part := client.recv(65536):
            content += part
    head, _, body = content.partition(b"\r\n\r\n")
    assert b"content-length: %d" % len(body) in head
    assert len(body) > 20_000 * 12
