"""New connections are taken in as they come, however busy the event loop is, and whatever some of them do."""

from __future__ import annotations

import asyncio
import errno
import logging
import os
import resource
import shutil
import socket
import ssl
import subprocess
from collections.abc import Coroutine, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
import uvloop

from joulebox.server import accept
from joulebox.server.accept import Acceptor

CLIENTS = 150


class Greeter(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        transport.write(b"hello")


@pytest.fixture
def listening() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0), backlog=512) as made:
        yield made


def play(scenario: Coroutine[Any, Any, None]) -> None:
    loop = uvloop.new_event_loop()
    try:
        loop.run_until_complete(scenario)
    finally:
        loop.close()


def acceptor(listening: socket.socket, tls: ssl.SSLContext | None = None, handshakes_max: int = 1000) -> Any:
    return closing(Acceptor(listening, Greeter, tls, handshake_timeout_s=0.3, handshakes_max=handshakes_max))


def connect(listening: socket.socket) -> socket.socket:
    client = socket.create_connection(listening.getsockname())
    client.setblocking(False)
    return client


async def heard(client: socket.socket, within_s: float = 5) -> bytes:
    return await asyncio.wait_for(asyncio.get_running_loop().sock_recv(client, 100), within_s)


def test_clients_that_wait_are_taken_in_together(listening: socket.socket) -> None:
    async def scenario() -> None:
        turns, made = 0, 0

        class Counted(Greeter):
            def connection_made(self, transport: Any) -> None:
                nonlocal made
                made += 1
                super().connection_made(transport)

        with ExitStack() as stack:
            clients = [stack.enter_context(connect(listening)) for _ in range(CLIENTS)]
            taking = Acceptor(listening, Counted, None, handshake_timeout_s=1, handshakes_max=1000)
            stack.enter_context(closing(taking))
            while made < CLIENTS:
                turns += 1
                await asyncio.sleep(0)
            assert turns < CLIENTS / 4, "uvloop's own server takes one a turn"
            assert {await heard(client) for client in clients} == {b"hello"}

    play(scenario())


def test_once_closed_it_accepts_nobody(listening: socket.socket) -> None:
    async def scenario() -> None:
        acceptor(listening).__exit__(None, None, None)
        with connect(listening) as client, pytest.raises(asyncio.TimeoutError):
            await heard(client, 0.1)

    play(scenario())


def test_without_a_free_file_descriptor_clients_wait_until_there_is_one(
    listening: socket.socket, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        with connect(listening) as client, acceptor(listening):
            free = os.dup(0)  # the lowest that is not in use
            os.close(free)
            resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
            try:
                await asyncio.sleep(2 * accept.PAUSE_S)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, limits)
            assert os.strerror(errno.EMFILE) in caplog.text
            assert await heard(client) == b"hello"

    with caplog.at_level(logging.WARNING, "joulebox.http"):
        play(scenario())


@pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificate")
def test_clients_that_never_finish_their_handshake_keep_others_out_for_its_time_limit_alone(
    listening: socket.socket, tmp_path: Path
) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    command = f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=localhost -keyout {key} -out {certificate}"
    subprocess.run(command.split(), check=True, capture_output=True)
    server_side = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_side.load_cert_chain(certificate, key)
    client_side = ssl.create_default_context(cafile=str(certificate))
    client_side.check_hostname = False

    async def scenario() -> None:
        with ExitStack() as stack:
            for _ in range(2):
                stack.enter_context(connect(listening))  # and no more than that
            stack.enter_context(acceptor(listening, server_side, handshakes_max=2))
            await asyncio.sleep(0.05)
            reader, writer = await asyncio.wait_for(
                asyncio.open_connection(*listening.getsockname(), ssl=client_side), 5
            )
            assert await reader.readexactly(5) == b"hello"
            writer.close()

    play(scenario())


def test_a_client_that_speaks_no_tls_is_not_connected(listening: socket.socket) -> None:
    async def scenario() -> None:
        with acceptor(listening, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)), connect(listening) as client:
            client.send(b"GET / HTTP/1.1\r\n\r\n")
            answer = await heard(client)
            assert b"hello" not in answer

    play(scenario())
