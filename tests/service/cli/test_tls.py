"""TLS, with certificates that OpenSSL's command makes; they are as good as any for this machine."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
from pathlib import Path
from typing import Any

import httpx
import pytest

from joulebox.package import Package
from servers import SERVE, running

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="the openssl command makes the certificates")


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """ca.pem; server.pem and client.pem signed by it, with their keys; locked.key, encrypted with `secret`."""
    folder = tmp_path_factory.mktemp("pem")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=ca")
    for name, more in (("server", ["-addext", "subjectAltName=IP:127.0.0.1"]), ("client", [])):
        openssl("req", "-x509", "-CA", "ca.pem", "-CAkey", "ca.key", *key, "-keyout", f"{name}.key", "-out", f"{name}.pem",
                "-subj", f"/CN={name}", *more, "-addext", "basicConstraints=critical,CA:FALSE")  # fmt: skip
    openssl("pkey", "-in", "server.key", "-aes256", "-passout", "pass:secret", "-out", "locked.key")
    return folder


def infer(server: Any, cli: Any, context: ssl.SSLContext) -> httpx.Response:
    return httpx.post(f"https://127.0.0.1:{server.port}/v2/models/tiny/infer", content=cli.INFER, verify=context)


def test_requests_are_answered_over_tls_and_plain_ones_fail_cleanly(package: Package, cli: Any, pem: Path) -> None:
    trusting = ssl.create_default_context(cafile=pem / "ca.pem")
    options = ("--ssl-certfile", pem / "server.pem", "--ssl-keyfile", pem / "locked.key")
    password = {**os.environ, "JOULEBOX_SSL_KEYFILE_PASSWORD": "secret"}
    with running(package.folder, *options, environment=password, verify=trusting) as server:
        assert infer(server, cli, trusting).status_code == 200
        with pytest.raises(httpx.TransportError):
            httpx.get(f"http://127.0.0.1:{server.port}/v2")
        with pytest.raises(httpx.ConnectError, match="verify failed"):
            infer(server, cli, ssl.create_default_context())
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.load_verify_locations(pem / "ca.pem")
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        assert infer(server, cli, old).status_code == 200
        assert server.stop() == 0
        assert "Traceback" not in server.said()


def test_with_ca_certificates_clients_need_one(package: Package, cli: Any, pem: Path) -> None:
    known = ssl.create_default_context(cafile=pem / "ca.pem")
    known.load_cert_chain(pem / "client.pem", pem / "client.key")
    options = (
        "--ssl-certfile",
        pem / "server.pem",
        "--ssl-keyfile",
        pem / "server.key",
        "--ssl-ca-certs",
        pem / "ca.pem",
    )
    with running(package.folder, *options, verify=known) as server:
        assert infer(server, cli, known).status_code == 200
        with pytest.raises(httpx.TransportError):
            infer(server, cli, ssl.create_default_context(cafile=pem / "ca.pem"))
        assert server.stop() == 0
        assert "Traceback" not in server.said()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--ssl-keyfile", "server.key"], "JOULEBOX_SSL_CERTFILE is not"),
        (["--ssl-certfile", "none.pem"], "No such file"),
        (["--ssl-certfile", "server.pem", "--ssl-keyfile", "client.key"], "belong together"),
        (["--ssl-certfile", "server.pem", "--ssl-keyfile", "locked.key"], "password"),
        (["--ssl-certfile", "server.pem", "--ssl-keyfile", "server.key", "--ssl-ca-certs", "server.key"], "CA cert"),
    ],
)
def test_files_that_cannot_be_used_are_said_before_anything_starts(
    package: Package, pem: Path, options: list[str], said: str
) -> None:
    command = [*SERVE, str(package.folder), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, cwd=pem, check=False)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
