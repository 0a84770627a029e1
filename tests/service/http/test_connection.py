"""Raw sockets against a real worker: what a client may send on a connection, and what the server reads of it."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, BinaryIO, cast

import pytest

from joulebox.package import write_package
from rawhttp import closes, get, infer, name_of, read, statuses

KIB, MIB = 2**10, 2**20
MANY = 40_000  # items, of 64 bytes each
DELAY_S = 0.4  # which a batch waits to become fuller; whatever is not computed on the spot takes this long
HEADER_S, BODY_S, IDLE_S = 1.0, 1.5, 2.0
SWEEP_S = 0.5
LATE_S = 2.0  # by which a loaded machine may be late

pytestmark = pytest.mark.usefixtures("goes_on")


@pytest.fixture(scope="module")
def worker(work: Any, tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("packages")
    package = write_package(folder / "tiny", tiny.fields(), tiny.files(), {})
    slow = tiny.slow_package(folder / "slow")
    limits = {
        "header_timeout_s": HEADER_S,
        "body_timeout_s": BODY_S,
        "idle_timeout_s": IDLE_S,
        "body_bytes_max": 4 * MIB,
        "batch_max": 64,
        "batch_delay_ms": 1e3 * DELAY_S,
    }
    with work(package.folder, slow.folder, **limits) as running:
        assert running.answers()
        assert running.ask("GET", "/docs.json")[0] == 200  # BentoML opens what it needs at its first page
        before = running.resident_bytes
        yield running
        assert running.resident_bytes - before < 60 * MIB, "nothing of what was sent is kept"


# time


def test_headers_that_trickle_in_get_408_in_time(worker: Any) -> None:
    with worker.connect() as client, client.makefile("rb") as file:
        started_s = time.monotonic()
        client.settimeout(0.1)
        for letter in b"GET /v2/health/live HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 100:
            client.sendall(bytes([letter]))
            try:
                if client.recv(1, socket.MSG_PEEK):
                    break
            except TimeoutError:
                continue
        client.settimeout(5)
        status, headers, body = read(cast("BinaryIO", file))
        took_s = time.monotonic() - started_s
        assert (status, headers["connection"]) == (408, "close")
        assert "headers did not come within 1 s" in json.loads(body)["error"]
        assert HEADER_S <= took_s < HEADER_S + SWEEP_S + LATE_S
        assert closes(client)


def test_a_body_that_does_not_come_gets_408_in_time(worker: Any) -> None:
    with worker.connect() as client, client.makefile("rb") as file:
        started_s = time.monotonic()
        client.sendall(infer()[:-1])
        status, _, body = read(cast("BinaryIO", file))
        assert status == 408
        assert "body did not come within 1.5 s" in json.loads(body)["error"]
        assert BODY_S <= time.monotonic() - started_s < BODY_S + SWEEP_S + LATE_S


@pytest.mark.parametrize("first", [b"", get()])
def test_an_idle_connection_is_closed_without_a_word(worker: Any, first: bytes) -> None:
    with worker.connect() as client, client.makefile("rb") as file:
        if first:
            client.sendall(first)
            assert read(cast("BinaryIO", file))[0] == 200
        started_s = time.monotonic()
        assert file.read() == b""
        assert IDLE_S - SWEEP_S < time.monotonic() - started_s < IDLE_S + SWEEP_S + LATE_S


def test_a_refused_client_that_goes_on_sending_still_reads_why_and_is_then_cut_off(worker: Any) -> None:
    with worker.connect() as client, client.makefile("rb") as file:
        client.sendall(b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        for _ in range(20):
            client.sendall(b"x" * KIB)
            time.sleep(0.005)
        assert read(cast("BinaryIO", file))[0] == 413
        with pytest.raises(OSError, match=r"reset|Broken|timed"):  # noqa: PT012
            for _ in range(100):
                client.sendall(b"x" * KIB)
                time.sleep(0.05)


# size


@pytest.mark.parametrize(
    "lines",
    [
        b"X: " + b"y" * 33 * KIB + b"\r\n",
        b"".join(b"X-%d: y\r\n" % number for number in range(200)),
        b"".join(b"X-%d: %s\r\n" % (number, b"y" * KIB) for number in range(40)),
    ],
)
def test_headers_too_long_or_too_many_get_431(worker: Any, lines: bytes) -> None:
    assert statuses(worker, get(headers=lines), 2) == [431, 0]


def test_a_target_too_long_gets_431(worker: Any) -> None:
    assert statuses(worker, get("/" + "x" * 40 * KIB), 2) == [431, 0]


@pytest.mark.parametrize(
    "start",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nX: ",
        b"GET / HTTP/1.1\r\nX",
        b"GET /",
        b"POST /v2/models/tiny/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"POST /v2/models/tiny/infer HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX: ",
    ],
)
def test_a_line_without_an_end_is_not_collected(worker: Any, start: bytes) -> None:
    assert statuses(worker, start + b"y" * 600 * KIB, 2) == [431, 0]


def test_empty_lines_without_end_are_no_request(worker: Any) -> None:
    with worker.connect() as client:
        client.sendall(b"\r\n" * 40 * KIB)
        assert closes(client)


@pytest.mark.parametrize("number", [4 * MIB + 1, 10**15, 2**64 - 1])
def test_a_body_that_says_it_is_too_large_gets_413_before_it_is_sent(worker: Any, number: int) -> None:
    head = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % number
    assert statuses(worker, head, 2) == [413, 0]


def test_a_body_in_chunks_gets_413_once_it_is_too_large(worker: Any) -> None:
    head = b"POST /v2/models/tiny/infer HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunk = b"%x\r\n%s\r\n" % (MIB, b"x" * MIB)
    assert statuses(worker, head + 4 * chunk + b"1\r\nx\r\n", 2) == [413, 0]


def test_a_body_in_chunks_is_a_body(worker: Any) -> None:
    head, _, body = infer().partition(b"\r\n\r\n")
    lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:7], body[7:100], body[100:]))
    whole = b"\r\n".join([*lines, b"Transfer-Encoding: chunked"]) + b"\r\n\r\n" + chunks + b"0\r\n\r\n"
    assert statuses(worker, whole + get(), 2) == [200, 200]


# forms of HTTP


@pytest.mark.parametrize("tail", [b"\r\n", get(), b"garbage", b"\x00" * 100])
def test_what_follows_the_last_request_gets_no_answer(worker: Any, tail: bytes) -> None:
    assert statuses(worker, get(version=b"1.0") + tail, 2) == [200, 0]
    assert statuses(worker, infer(headers=b"Connection: close\r\n") + tail, 2) == [200, 0]


def test_100_continue_is_said_before_the_body_is_sent(worker: Any) -> None:
    head, _, body = infer(headers=b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
    with worker.connect() as client, client.makefile("rb") as file:
        client.sendall(head + b"\r\n\r\n")
        assert read(cast("BinaryIO", file)) == (100, {}, b"")
        client.sendall(body)
        assert read(cast("BinaryIO", file))[0] == 200


def test_a_body_that_is_refused_is_not_asked_for(worker: Any) -> None:
    head = b"POST /v2/models/tiny/infer HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n"
    assert statuses(worker, head, 2) == [413, 0]


@pytest.mark.parametrize("upgrade", [b"h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA", b"websocket", b"TLS/1.0"])
def test_an_upgrade_is_not_taken_and_the_request_answered_as_it_is(worker: Any, upgrade: bytes) -> None:
    lines = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: " + upgrade + b"\r\n"
    assert statuses(worker, get(headers=lines) + infer(headers=lines) + infer(), 3) == [200] * 3
    whole = infer(headers=lines.replace(b"Upgrade,", b"close, Upgrade,"))
    cut = whole.index(b"\r\n\r\n") + 9
    with worker.connect() as client, client.makefile("rb") as file:
        client.sendall(whole[:cut])
        time.sleep(0.05)
        client.sendall(whole[cut:])
        status, headers, _ = read(cast("BinaryIO", file))
        assert (status, headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    "content",
    [
        b"\x00",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 200,  # TLS
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET / HTTP/1.1\r\nno colon\r\n\r\n",
        b"GET / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
        b"POST / HTTP/1.1\r\nContent-Length: 1_0\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length:\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
        b"OPTIONS * HTTP/1.1\r\n\r\n",
        b"CONNECT example.org:443 HTTP/1.1\r\n\r\n",
    ],
)
def test_what_is_not_http_or_no_path_gets_one_4xx(worker: Any, content: bytes) -> None:
    first, *rest = statuses(worker, content, 2)
    assert first in {400, 404}
    assert rest == [0] or first == 404


def test_good_requests_before_garbage_are_answered(worker: Any) -> None:
    assert statuses(worker, get() + infer() + b"garbage\r\n\r\n", 4) == [200, 200, 400, 0]
    assert statuses(worker, infer(model=b"slow") + b"garbage\r\n\r\n", 2) == [200, 0]


def test_a_request_may_be_cut_anywhere(worker: Any) -> None:
    whole = infer(name="cut")
    with worker.connect() as client, client.makefile("rb") as file:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(1, len(whole)):
            client.sendall(whole[:at])
            time.sleep(0.0002)
            client.sendall(whole[at:])
            assert name_of(read(cast("BinaryIO", file))) == "cut", at


def test_a_request_may_come_byte_by_byte(worker: Any) -> None:
    whole = get("/v2/models/" + "x" * 300) + infer(name="bytes")
    with worker.connect() as client, client.makefile("rb") as file:
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for letter in whole:
            client.sendall(bytes([letter]))
        assert read(cast("BinaryIO", file))[0] == 404
        assert name_of(read(cast("BinaryIO", file))) == "bytes"


# clients that go


def test_a_half_closed_client_gets_what_it_asked_for_on_the_spot(worker: Any) -> None:
    with worker.connect() as client, client.makefile("rb") as file:
        client.sendall(infer(name="half"))
        client.shutdown(socket.SHUT_WR)
        assert name_of(read(cast("BinaryIO", file))) == "half"


def test_a_client_that_goes_in_its_body_leaves_nothing(worker: Any) -> None:
    for cut in (20, 60, 200, 2 * MIB):
        with worker.connect() as client:
            client.sendall(infer(MANY)[:cut])


def test_hundreds_of_connections_are_answered(worker: Any) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(worker.connect()) for _ in range(400)]
        for client in clients:
            client.sendall(infer())
        for client in clients:
            assert client.recv(12) == b"HTTP/1.1 200"
