"""One connection: TLS, and what is left of an answer that was given up."""

from __future__ import annotations

import asyncio
import shutil
import ssl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from joulebox.bench.connection import Address, Answer, HttpConnection, ask, exchange
from joulebox.bench.errors import BenchError


def request(address: Address) -> bytes:
    return address.request("POST", "/", b"{}")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificate")
def test_tls_and_a_certificate_that_nobody_trusts(stub: Any, tmp_path: Path) -> None:
    command = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]
    command += ["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def run() -> list[Answer]:
        async with stub().running(server) as address:
            trusting = HttpConnection(address, 5.0, ssl.create_default_context(cafile=tmp_path / "cert.pem"))
            careful = HttpConnection(address, 5.0)
            answers = [await exchange(each, request(address)) for each in (trusting, careful)]
            await trusting.close()
            await asyncio.sleep(0.05)
            return answers

    known, unknown = asyncio.run(run())
    assert known.kind == "200"
    assert unknown.kind == "connection"
    assert b"certificate" in unknown.body.lower()


def test_an_answer_that_comes_too_late_is_not_taken_for_the_next_one(stub: Any) -> None:
    """The first answer is given up after 0.1 s; it arrives on a connection that is closed by then."""
    bodies = iter((b"first", b"second"))

    async def run() -> list[Answer]:
        server = stub(lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(body := next(bodies)), body))
        async with server.running() as address:
            server.stalled = (0.0, time.perf_counter() + 0.3)
            connection = HttpConnection(address, 0.1)
            first = await exchange(connection, request(address))
            await asyncio.sleep(0.4)
            second = await exchange(connection, request(address))
            await connection.close()
            await asyncio.sleep(0.05)
            return [first, second]

    first, second = asyncio.run(run())
    assert first.kind == "timeout"
    assert (second.kind, second.body) == ("200", b"second")


def test_no_server_is_said_with_its_address() -> None:
    async def run() -> None:
        address = Address("127.0.0.1", 9, tls=False)
        await ask(HttpConnection(address, 5.0), address, "GET", "/v2")

    with pytest.raises(BenchError, match=r"http://127\.0\.0\.1:9 gives no answer: Connection refused"):
        asyncio.run(run())
