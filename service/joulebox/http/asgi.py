"""Plain ASGI in and out, for servers other than ours, and for handing requests on to BentoML."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from joulebox.http.exchange import Reply, Request, is_local, parse_target
from joulebox.runtime.errors import TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]


def request_of(scope: Scope) -> Request:
    """The request, its body not yet read."""
    address = (scope.get("client") or (None,))[0]
    query = b"?" + scope["query_string"] if scope["query_string"] else b""
    target = parse_target(scope["raw_path"] + query)
    return Request(scope["method"], target, dict(scope["headers"]), local=is_local(address), client=address or "")


async def read_body(request: Request, receive: Receive, bytes_max: int) -> bytes:
    """The whole body.

    Raises:
        TooLarge: it is longer than the limit; nothing more of it was read.
        CancelledError: the client left.
    """
    declared = request.header(b"content-length")
    if declared.isdigit() and int(declared) > bytes_max:
        raise TooLarge(f"the body has {int(declared)} bytes; at most {bytes_max} are read")
    chunks: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise asyncio.CancelledError
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > bytes_max:
            raise TooLarge(f"the body has more than {bytes_max} bytes, which is the most that is read")
        chunks.append(chunk)
        if not message.get("more_body", False):
            return chunks[0] if len(chunks) == 1 else b"".join(chunks)


async def watch(later: asyncio.Task[Reply], receive: Receive) -> None:
    """Waits for an answer; a client that leaves before it is there takes its work with it.

    Raises:
        CancelledError: it left.
    """

    async def gone() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    watcher = asyncio.ensure_future(gone())
    try:
        await asyncio.wait({later, watcher}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        watcher.cancel()
        if not later.done():
            later.cancel()
    if later.cancelled() or not later.done():
        raise asyncio.CancelledError


async def send_reply(reply: Reply, send: Send) -> None:
    headers = [
        (b"content-type", reply.content_type),
        (b"content-length", str(len(reply.body)).encode()),
        *reply.headers,
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})


async def collect(app: App, request: Request) -> Reply:
    """What an ASGI application answers, whole; for applications whose answers are pages."""
    reply = Reply(500)
    chunks: list[bytes] = []
    unread = [request.body]

    async def receive() -> Message:
        if unread:
            return {"type": "http.request", "body": unread.pop()}
        return await asyncio.Future()

    async def send(message: Message) -> None:
        if message["type"] == "http.response.start":
            reply.status = message["status"]
            for name, value in message.get("headers", ()):
                if name.lower() == b"content-type":
                    reply.content_type = value
                elif name.lower() != b"content-length":
                    reply.headers.append((name, value))
        else:
            chunks.append(message.get("body", b""))

    target = request.target
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": request.method,
        "scheme": "http",
        "path": target.path,
        "raw_path": target.path.encode(),
        "query_string": target.query,
        "root_path": "",
        "headers": list(request.headers.items()),
        "client": None,
        "server": None,
        "state": {},
    }
    await app(scope, receive, send)
    reply.body = b"".join(chunks)
    return reply
