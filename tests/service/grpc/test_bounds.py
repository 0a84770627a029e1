"""The gRPC port itself: its certificate, who else has it, and clients that connect and say nothing."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc.aio
import pytest

from joulebox.access import Access
from joulebox.grpc import messages
from joulebox.grpc.server import GrpcServer
from joulebox.runtime.settings import SettingError, load_settings

READY = messages.ServerReadyResponse(ready=True).SerializeToString()
needs_openssl = pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")


def make(host: str = "127.0.0.1", **variables: object) -> GrpcServer:
    settings = load_settings({f"JOULEBOX_{name}": str(value) for name, value in variables.items()}, Path("/nowhere"))
    dataplane: Any = SimpleNamespace(ready=True, regions=None)
    return GrpcServer(dataplane, settings, host, Access())


async def is_ready(channel: Any) -> bool:
    async with channel:
        ask = channel.unary_unary(f"/{messages.INFERENCE_SERVICE}/ServerReady")
        return await ask(b"", timeout=5) == READY


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """A certificate of its own authority for localhost, and its key."""
    certfile, keyfile = tmp_path / "cert.pem", tmp_path / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    name = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-days", "2"]
    out = ["-out", str(certfile), "-keyout", str(keyfile)]
    subprocess.run([*command, *name, *out], check=True, capture_output=True)
    return certfile, keyfile


@needs_openssl
def test_the_certificate_of_the_settings_is_shown(certificate: tuple[Path, Path]) -> None:
    certfile, keyfile = certificate

    async def main() -> None:
        server = make(SSL_CERTFILE=certfile, SSL_KEYFILE=keyfile)
        port = await server.start()
        trust = grpc.ssl_channel_credentials(certfile.read_bytes())
        assert await is_ready(grpc.aio.secure_channel(f"localhost:{port}", trust))
        with pytest.raises(grpc.aio.AioRpcError):
            await is_ready(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        await server.stop(1)

    asyncio.run(main())


@needs_openssl
def test_clients_need_a_certificate_where_authorities_are_named(certificate: tuple[Path, Path]) -> None:
    certfile, keyfile = certificate
    pem, key = certfile.read_bytes(), keyfile.read_bytes()

    async def main() -> None:
        server = make(SSL_CERTFILE=certfile, SSL_KEYFILE=keyfile, SSL_CA_CERTS=certfile)
        port = await server.start()
        own = grpc.ssl_channel_credentials(pem, key, pem)
        assert await is_ready(grpc.aio.secure_channel(f"localhost:{port}", own))
        with pytest.raises(grpc.aio.AioRpcError):
            await is_ready(grpc.aio.secure_channel(f"localhost:{port}", grpc.ssl_channel_credentials(pem)))
        await server.stop(1)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("variables", "text"),
    [
        ({"SSL_CERTFILE": "/nowhere/cert.pem"}, r"cert\.pem: No such file"),
        ({"SSL_CERTFILE": __file__, "SSL_KEYFILE_PASSWORD": "secret"}, "gRPC takes no key with a password"),
        ({"SSL_CERTFILE": __file__}, "gRPC cannot listen on"),
    ],
)
def test_a_certificate_that_cannot_be_used_is_named(variables: dict[str, str], text: str) -> None:
    async def main() -> None:
        with pytest.raises(SettingError, match=text):
            await make(**variables).start()

    asyncio.run(main())


def test_a_port_that_is_taken_is_an_error() -> None:
    async def main(port: int) -> None:
        with pytest.raises(SettingError, match=rf"gRPC cannot listen on 127\.0\.0\.1:{port}"):
            await make(GRPC_PORT=port).start()

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        asyncio.run(main(taken.getsockname()[1]))


def test_workers_listen_on_the_port_that_their_parent_holds() -> None:
    async def main(port: int) -> None:
        servers = [make(GRPC_PORT=port) for _ in range(2)]
        assert [await server.start() for server in servers] == [port, port]
        assert await is_ready(grpc.aio.insecure_channel(f"127.0.0.1:{port}"))
        for server in servers:
            await server.stop(1)

    with socket.socket() as held:
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        asyncio.run(main(held.getsockname()[1]))


@pytest.mark.parametrize("said", [b"", b"PRI * HTTP/2.0\r\n"])
def test_a_client_that_says_nothing_is_sent_away(said: bytes) -> None:
    async def main() -> None:
        server = make(HEADER_TIMEOUT_S=0.5)
        reader, writer = await asyncio.open_connection("127.0.0.1", await server.start())
        began_s = time.monotonic()
        writer.write(said)
        await asyncio.wait_for(reader.read(), 5)  # until it is closed
        assert time.monotonic() - began_s < 3
        writer.close()
        await server.stop(1)

    asyncio.run(main())


def test_an_ipv6_host() -> None:
    async def main() -> None:
        server = make("::1")
        port = await server.start()
        assert await is_ready(grpc.aio.insecure_channel(f"[::1]:{port}"))
        await server.stop(1)

    with socket.socket(socket.AF_INET6) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
    asyncio.run(main())
