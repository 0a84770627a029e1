"""One worker of a server: the service on a socket that the supervisor has bound. `python -m joulebox.http.worker FD`."""

from __future__ import annotations

import socket
import sys

import uvicorn

from joulebox.http.connection import Connection
from joulebox.http.service import InferenceService

config = uvicorn.Config(
    InferenceService.to_asgi(),
    http=Connection,
    log_config=None,
    access_log=False,
    proxy_headers=False,
    server_header=False,
    loop="uvloop",
    ws="none",
)
if __name__ == "__main__":
    uvicorn.Server(config).run(sockets=[socket.socket(fileno=int(sys.argv[1]))])
