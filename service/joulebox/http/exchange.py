"""Requests and answers over plain ASGI, without a framework's layers in between."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any

import orjson

from joulebox.runtime.errors import BadRequest, Overloaded, ServeError, TooLarge

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

JSON = b"application/json"
LOOPBACK = ("127.", "::ffff:127.")


class ClientGone(Exception):
    """The client closed the connection before its request was whole."""


@dataclass(frozen=True)
class Request:
    """One request, its body not yet read."""

    scope: Scope
    receive: Receive
    body_bytes_max: int

    @property
    def path(self) -> str:
        return self.scope["path"]

    @property
    def method(self) -> str:
        return self.scope["method"]

    @property
    def local(self) -> bool:
        """Whether the client is on this machine."""
        client = self.scope.get("client")
        return client is None or client[0] == "::1" or client[0].startswith(LOOPBACK)

    def header(self, name: bytes) -> bytes:
        """A header's value; empty where it is missing."""
        for key, value in self.scope["headers"]:
            if key == name:
                return value
        return b""

    async def body(self) -> bytes:
        """The whole body.

        Raises:
            TooLarge: it is longer than the limit; nothing more of it was read.
            ClientGone: the client left.
        """
        declared = self.header(b"content-length")
        if declared.isdigit() and int(declared) > self.body_bytes_max:
            raise TooLarge(f"the body has {int(declared)} bytes; at most {self.body_bytes_max} are read")
        chunks: list[bytes] = []
        size = 0
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self.body_bytes_max:
                raise TooLarge(f"the body has more than {self.body_bytes_max} bytes, which is the most that is read")
            chunks.append(chunk)
            if not message.get("more_body", False):
                return chunks[0] if len(chunks) == 1 else b"".join(chunks)

    async def json(self) -> dict[str, Any]:
        """The body as a JSON object.

        Raises:
            BadRequest: it is something else.
        """
        body = await self.body()
        try:
            content = orjson.loads(body)
        except orjson.JSONDecodeError as error:
            raise BadRequest(f"the body is not JSON: {error}") from error
        if not isinstance(content, dict):
            raise BadRequest(f"the body is a JSON {type(content).__name__}; expected an object")
        return content  # pyright: ignore[reportUnknownVariableType]  # whoever reads a key checks it


@dataclass(frozen=True)
class Reply:
    """An answer, whole."""

    status: int
    body: bytes = b""
    content_type: bytes = JSON
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def send(self, send: Send) -> None:
        headers = [
            (b"content-type", self.content_type),
            (b"content-length", str(len(self.body)).encode()),
            *self.headers,
        ]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def json_reply(content: Any, status: int = 200) -> Reply:
    return Reply(status, orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY))


def error_reply(error: ServeError) -> Reply:
    reply = json_reply({"error": str(error)}, error.status)
    if isinstance(error, Overloaded):
        return Reply(reply.status, reply.body, headers=((b"retry-after", str(error.retry_after_s).encode()),))
    return reply
