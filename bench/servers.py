"""How each server is started, what it is asked in, and when it counts as ready."""

from __future__ import annotations

import http.client
import sys
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.environments import PEERS, UnavailableError, foreign_environment, own_environment, python_for
from bench.models import Model
from bench.process import Process, free_port, running
from bench.wire import Request, oip_binary, oip_json, raw

READY_S = 90.0
REFUSED_S = 10.0  # of answers 4xx, after which the server is taken to mean it
WARM_UP = 100  # requests
TOLERANCE = 1e-2

RAW = "raw uvicorn"
JOULEBOX = "joulebox"
JOULEBOX_JSON = "joulebox, JSON"
PEER_NAMES = ("bentoml", "mlserver", "litserve", "pytriton")


@dataclass(frozen=True)
class Server:
    """`command` takes the model and the first of three free ports; it may raise UnavailableError."""

    name: str
    wire: str
    command: Callable[[Model, int], list[str]]
    request: Callable[[Model], Request]
    own: bool = True  # runs in this environment, not in one of its own
    pauses: bool = True  # survives being stopped while others are measured
    settings: Mapping[str, str] = field(default_factory=dict)  # as environment variables


@dataclass(frozen=True)
class Running:
    """A server that has given the right answer."""

    port: int
    process: Process
    request: Request
    ready_s: float

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.request.path}"


def joulebox(model: Model, port: int) -> list[str]:
    """As it comes: validation, metrics and energy accounting are on."""
    return [sys.executable, "-m", "joulebox.cli.main", "serve", str(model.package), "--port", str(port)]


def _script(name: str, peer: str | None) -> Callable[[Model, int], list[str]]:
    def command(model: Model, port: int) -> list[str]:
        python = sys.executable if peer is None else str(python_for(peer))
        return [python, str(PEERS / name), str(model.onnx), model.name, str(port)]

    return command


SERVERS = {
    server.name: server
    for server in (
        Server(RAW, "raw bytes", _script("raw.py", None), raw("/")),
        Server(JOULEBOX, "OIP binary", joulebox, oip_binary),
        Server(JOULEBOX_JSON, "OIP JSON", joulebox, oip_json),
        Server("bentoml", "raw bytes", _script("bentoml_peer.py", "bentoml"), raw("/infer"), own=False),
        Server("mlserver", "OIP JSON", _script("mlserver_peer.py", "mlserver"), oip_json, own=False),
        Server("litserve", "raw bytes", _script("litserve_peer.py", "litserve"), raw("/predict"), own=False),
        Server("pytriton", "OIP binary", _script("pytriton_peer.py", "pytriton"), oip_binary, own=False, pauses=False),
    )
}


@contextmanager
def serving(server: Server, model: Model, folder: Path) -> Generator[Running]:
    """The server with one worker and the model, once it answers as ONNX Runtime does.

    Raises:
        UnavailableError: it cannot be installed or started, or answers something else.
    """
    port = free_port()
    request = server.request(model)
    environment = own_environment() if server.own else foreign_environment()
    quiet = {"BENTOML_HOME": str(folder), "BENTOML_DO_NOT_TRACK": "True"}
    with running(server.command(model, port), {**environment, **quiet, **server.settings}, folder) as process:
        _await_answer(process, port, request, model)
        ready_s = time.monotonic() - process.started_s
        for _ in range(WARM_UP):
            ask(port, request)
        yield Running(port, process, request, ready_s)


def _await_answer(process: Process, port: int, request: Request, model: Model) -> None:
    refused_s: float | None = None
    said = "nothing"
    while time.monotonic() < process.started_s + READY_S:
        if not process.alive:
            raise UnavailableError(f"it ended: {process.last_words}")
        try:
            status, headers, body = ask(port, request)
        except (OSError, http.client.HTTPException) as error:
            said = str(error)
        else:
            if status == http.client.OK:
                return _check(request.decode(headers, body), model)
            said = f"{status} {body[:150].decode('utf-8', 'replace')}"
            refused_s = (refused_s or time.monotonic()) if 400 <= status < 500 else None
            if refused_s is not None and time.monotonic() - refused_s > REFUSED_S:
                break
        time.sleep(0.02)
    raise UnavailableError(f"no answer to the request; the last one: {said}")


def ask(port: int, request: Request) -> tuple[int, dict[str, str], bytes]:
    """Status, headers with small letters, and body, over a connection of its own."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("POST", request.path, request.body, request.headers)
        reply = connection.getresponse()
        return reply.status, {name.lower(): value for name, value in reply.getheaders()}, reply.read()
    finally:
        connection.close()


def _check(answer: np.ndarray, model: Model) -> None:
    if not np.allclose(answer.ravel(), model.answer.ravel(), rtol=TOLERANCE, atol=TOLERANCE):
        raise UnavailableError(f"it answers {answer.ravel()[:3]}…; expected {model.answer.ravel()[:3]}…")
