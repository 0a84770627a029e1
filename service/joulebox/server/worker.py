"""One worker process: `python -m joulebox.server.worker --fd FD --worker-id NUMBER`, which `joulebox serve` starts.

It does what BentoML's worker does for the same service, with what that one does not let us set: how metric files are named,
the protocol class, and an end in which whatever was accepted is answered.
"""

from __future__ import annotations

import argparse
import os
import signal
import socket
from pathlib import Path
from typing import cast

import uvicorn
from bentoml import server_context

from joulebox.http.connection import Connection
from joulebox.http.front import Front
from joulebox.metrics import identify
from joulebox.runtime.settings import Settings, load_settings
from joulebox.server.ending import Server
from joulebox.server.service import InferenceService
from joulebox.server.tls import tls_context

SETTLE_S = 5.0  # for models to be ready before a replacement takes the requests that its predecessor left queued


def main() -> None:
    arguments = _arguments()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    identify(arguments.worker_id)  # before `to_asgi`, which makes the metrics
    settings = load_settings(os.environ, Path.cwd())
    app = _application(arguments.worker_id)
    server = Server(_config(app, settings), app, settings.drain_timeout_s)
    server.settle_s = SETTLE_S if arguments.replacement else 0.0
    if settings.run_folder is not None:
        server.on_listening = (settings.run_folder / f"listening-{arguments.worker_id}").touch
    server.run(sockets=[socket.socket(fileno=arguments.fd)])


def _application(worker_id: int) -> Front:
    """The service's outer application. What it says of itself to BentoML is what BentoML's worker says (1.4.39)."""
    server_context.worker_index = worker_id
    server_context.service_type = "entry_service"
    server_context.service_name = server_context.bento_name = InferenceService.name
    server_context.service_routes = [api.route for api in InferenceService.apis.values()]
    return cast("Front", InferenceService.to_asgi())  # a FrontedService, which BentoML's types don't carry


def _config(app: Front, settings: Settings) -> uvicorn.Config:
    """uvicorn's settings; TLS is ours, since uvicorn's would ask a terminal for a key's password."""
    config = uvicorn.Config(
        app,
        interface="asgi3",
        http=Connection,  # as `Server` makes it; uvicorn would load one of its own
        loop="uvloop",
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )
    config.load()
    config.ssl = tls_context(settings)
    return config


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="joulebox.server.worker", description=__doc__)
    parser.add_argument("--fd", type=int, required=True, help="the listening socket")
    parser.add_argument("--worker-id", type=int, required=True, help="from 1, the same for whoever replaces this one")
    parser.add_argument("--replacement", action="store_true", help="the last one of this number has died")
    return parser.parse_args()


if __name__ == "__main__":
    main()
