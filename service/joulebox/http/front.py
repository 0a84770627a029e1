"""The outer application: it answers the inference paths itself and hands BentoML's own paths on to BentoML.

A request for inference so never passes through BentoML's layers (metrics, tracing, access log), which cost ten times
what the inference of a small model does. Anything else is refused here, since BentoML would make a metric series of
each path that it is asked for.

`joulebox serve` brings whole requests (`connection.py`, `answers.py`) to `begin`; under another ASGI server `__call__` does.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Any, Protocol

import orjson

from joulebox.access import Access
from joulebox.access.keys import OPEN_PATHS
from joulebox.access.logs import ORIGIN, log_access
from joulebox.access.tracing import parse_traceparent, route
from joulebox.http.asgi import App, Receive, Scope, Send, collect, read_body, request_of, send_reply, watch
from joulebox.http.compression import decompress
from joulebox.http.connections import Connections
from joulebox.http.exchange import JSON, Reply, Request, error_reply, json_reply, need, parse_target
from joulebox.http.oip import Later, Oip
from joulebox.http.pages import for_page
from joulebox.http.predict import predict
from joulebox.oip.dataplane import Dataplane
from joulebox.oip.timed import CLIENT_GONE, Timed
from joulebox.runtime.errors import (
    Forbidden,
    NotFound,
    Overloaded,
    ServeError,
    TooLarge,
    TooManyRequests,
    Unauthorized,
)
from joulebox.runtime.model import Model
from joulebox.runtime.repository import Repository
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.http")

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
STATIC = ("favicon-dark-32x32.png", "favicon-light-32x32.png", "index.css", "marked.min.js")
SWAGGER = ("swagger-initializer.js", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-ui.css")
BENTOML_PATHS = {"/", "/livez", "/readyz", "/healthz", "/docs.json", "/schema.json"} | {
    f"/static_content/{name}" for name in STATIC + SWAGGER
}


REFUSALS: dict[type[ServeError], str] = {
    Overloaded: "server_limit",
    TooManyRequests: "client_limit",
    TooLarge: "too_large",
    Unauthorized: "unauthorized",
}


class Life(Protocol):
    """What begins and ends with this application."""

    async def start(self) -> None: ...

    def begin_drain(self) -> None:
        """What has been accepted is still answered, but nobody should send more."""
        ...

    async def stop(self) -> None: ...


class Front:
    """Owns `/v2`, `/predict`, `/models`, `/energy` and `/metrics`."""

    def __init__(self, inner: App, settings: Settings, access: Access, dataplane: Dataplane, life: Life) -> None:
        self.settings = settings
        self._access = access
        self._inner = inner
        self._dataplane = dataplane
        self._repository: Repository = dataplane.repository
        self._sampler = dataplane.sampler
        self._metrics = dataplane.repository.metrics
        self._life = life
        self._oip = Oip(dataplane, settings, keyed=access.keys is not None)
        self.connections = Connections(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] != "http":
            await self._inner(scope, receive, send)
        else:
            request = request_of(scope)
            try:
                reply = await self._answer(request, receive)
            except BaseException:
                self.finished(request, None)
                raise
            self.finished(request, reply)
            await send_reply(reply, send)

    async def _answer(self, request: Request, receive: Receive) -> Reply:
        """A request that came through another ASGI server."""
        try:
            self.admit(request)
            request.body = await read_body(request, receive, self.settings.body_bytes_max)
        except ServeError as error:
            request.refusal = error
            self.refused(error)
        begun = self.begin(request)
        if isinstance(begun, Reply):
            return begun
        await watch(begun, receive)
        return self.reply_of(request, begun)

    @property
    def ready(self) -> bool:
        """Whether every worker serves all that is wanted, and this one is not about to end."""
        return self._repository.ready

    @property
    def settled(self) -> bool:
        """Whether each model of this worker is ready or has failed."""
        return self._repository.settled

    @property
    def draining(self) -> bool:
        """Whether this worker is about to end."""
        return self._repository.draining

    def begin_drain(self) -> None:
        """What has been accepted is still answered, but nobody should send more."""
        self._life.begin_drain()

    async def predict_json(self, content: dict[str, Any], path: str = "/predict") -> Any:
        """What a native path answers to this JSON, for callers in this process."""
        target = parse_target(path.encode())
        request = Request("POST", target, {b"content-type": JSON}, orjson.dumps(content))
        begun = self.begin(request)
        if not isinstance(begun, Reply):
            await asyncio.wait([begun])
            begun = self.reply_of(request, begun)
        return orjson.loads(begun.body)

    def begin(self, request: Request) -> Reply | Later:
        """Answers a request, or begins to; errors are answers too."""
        if request.refusal is not None:
            return error_reply(request.refusal)
        try:
            if b"content-encoding" in request.headers:
                self._decompress(request)
            inference = request.target.infer
            return self._route(request) if inference is None else self._oip.infer(request, *inference)
        except Exception as error:
            return _failure(request, error)

    def reply_of(self, request: Request, later: Later) -> Reply:
        """The answer that `begin` has promised, now that it is there; errors are answers too."""
        try:
            return later.result()
        except Exception as error:
            return _failure(request, error)

    def admit(self, request: Request) -> None:
        """Whether a request may go on to send its body; to be told before anything of it is read.

        Raises:
            ServeError: it may not.
        """
        access, headers = self._access, request.headers
        request.started_s = time.perf_counter()
        request.id = access.ids.of(headers.get(b"x-request-id", b""))
        parent = parse_traceparent(headers[b"traceparent"]) if b"traceparent" in headers else None
        if access.tracer is not None:
            request.span = access.tracer.begin(
                f"{request.method} {route(request.target.path)}",
                parent,
                headers.get(b"tracestate", b""),
                {"http.request.method": request.method, "url.path": request.target.path},
            )
        trace_id = parent.trace_id if parent else request.span.trace_id if request.span else ""
        ORIGIN.set((request.id, trace_id))
        if access.keys is not None and request.target.path not in OPEN_PATHS:
            request.client = access.keys.client(headers.get(b"authorization", b""), headers.get(b"x-api-key", b""))
        if access.limit is not None:
            access.limit.enter(request.client)
            request.limited = True

    def finished(self, request: Request, reply: Reply | None) -> None:
        """Ends what `admit` has begun; without an answer where the client has gone."""
        status = CLIENT_GONE if reply is None else reply.status
        if reply is not None:
            reply.headers.append((b"x-request-id", request.id))
        if request.unpacked_bytes:
            self.connections.release(request.unpacked_bytes)
            request.unpacked_bytes = 0
        if request.limited and self._access.limit is not None:
            request.limited = False
            self._access.limit.leave(request.client)
        if request.span is not None:
            request.span.finish_http(status)
        if self.settings.access_log:
            log_access(request.method, request.target.path, status, request.started_s, request.client)

    def _decompress(self, request: Request) -> None:
        packed = len(request.body)
        decompress(request, self.settings.body_bytes_max)
        request.unpacked_bytes = max(0, len(request.body) - packed)
        self.connections.hold(request.unpacked_bytes)

    def refused(self, error: ServeError) -> None:
        """A request, or a connection, was turned away before anything was computed."""
        reason = REFUSALS.get(type(error))
        if reason is not None:
            self._metrics.rejected.labels("", reason).inc()

    def _route(self, request: Request) -> Reply | Later:
        match request.target.parts:
            case ("v2", *_):
                return self._oip.begin(request)
            case ("predict",):
                return self._predict(request, self._repository.only())
            case ("models", name, "predict"):
                return self._predict(request, self._repository.get(name))
            case ("energy",):
                need(request, "GET")
                return self._energy(request)
            case ("metrics",):
                need(request, "GET")
                return self._scrape()
            case _:
                if request.target.path in BENTOML_PATHS:
                    return asyncio.get_running_loop().create_task(collect(self._page, request))
                raise NotFound(f"there is nothing at {request.target.path[:80]}; / shows what there is")

    def _predict(self, request: Request, model: Model) -> Later:
        need(request, "POST")
        timed = Timed(model, "native")
        shown = request.local or self.settings.expose_energy
        return timed.later(predict(request, model, self._sampler, timed, shown=shown))

    def _scrape(self) -> Reply:
        for model in self._repository.models.values():
            model.flush()
        return Reply(200, self._metrics.render(), TEXT)

    def _energy(self, request: Request) -> Reply:
        if not (request.local or self.settings.expose_energy):
            raise Forbidden(
                "/energy answers on this machine only, unless the server runs with JOULEBOX_EXPOSE_ENERGY=1"
            )
        return json_reply(self._sampler.state)

    async def _page(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._inner(scope, receive, for_page(send))

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched_receive() -> Any:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._life.stop()
            return message

        async def watched_send(message: Any) -> None:
            if message["type"] == "lifespan.startup.complete":
                await self._life.start()
            await send(message)

        await self._inner(scope, watched_receive, watched_send)


def _failure(request: Request, error: Exception) -> Reply:
    """What an error is answered with. A fault of this server is logged, and no client sees a stack trace."""
    if isinstance(error, ServeError):
        return error_reply(error)
    log.error("%s %s failed", request.method, request.target.path[:200], exc_info=error)
    return json_reply({"error": "the server failed to answer; its log says why"}, 500)
