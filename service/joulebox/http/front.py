"""The outer application: it answers the inference paths itself and hands BentoML's own paths on to BentoML.

A request for inference so never passes through BentoML's layers (metrics, tracing, access log), which cost ten times
what the inference of a small model does. Anything else is refused here, since BentoML would make a metric series of
each path that it is asked for.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import orjson

from joulebox.http.counted import counted
from joulebox.http.energy import ledger_state
from joulebox.http.exchange import (
    JSON,
    App,
    ClientGone,
    Message,
    Receive,
    Reply,
    Request,
    Scope,
    Send,
    error_reply,
    json_reply,
)
from joulebox.http.oip import Oip
from joulebox.http.predict import predict
from joulebox.metrics import Metrics
from joulebox.runtime.errors import Forbidden, NotAllowed, NotFound, ServeError
from joulebox.runtime.model import Model
from joulebox.runtime.repository import Repository
from joulebox.runtime.sampler import Sampler
from joulebox.runtime.settings import Settings

log = logging.getLogger("joulebox.http")

TEXT = b"text/plain; version=0.0.4; charset=utf-8"
STATIC = ("favicon-dark-32x32.png", "favicon-light-32x32.png", "index.css", "marked.min.js")
SWAGGER = ("swagger-initializer.js", "swagger-ui-bundle.js", "swagger-ui-standalone-preset.js", "swagger-ui.css")
BENTOML_PATHS = {"/", "/livez", "/readyz", "/healthz", "/docs.json", "/schema.json"} | {
    f"/static_content/{name}" for name in STATIC + SWAGGER
}


class Front:
    """Owns `/v2`, `/predict`, `/models`, `/energy` and `/metrics`."""

    def __init__(
        self, inner: App, settings: Settings, repository: Repository, sampler: Sampler, metrics: Metrics
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._repository = repository
        self._sampler = sampler
        self._metrics = metrics
        self._oip = Oip(repository, sampler, expose_energy=settings.expose_energy)
        self._background: list[asyncio.Task[None]] = []
        self.draining = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http" and scope["path"] not in BENTOML_PATHS:
            await self._answer(Request(scope, receive, self._settings.body_bytes_max), send)
        else:
            await self._inner(scope, receive, send)

    @property
    def ready(self) -> bool:
        """Whether every model takes traffic, and the server is not about to end."""
        return self._repository.ready and not self.draining

    @property
    def settled(self) -> bool:
        """Whether each model is ready or has failed."""
        return bool(self._background) and self._background[0].done()

    def begin_drain(self) -> None:
        """What has been accepted is still answered, but nobody should send more."""
        self.draining = True

    async def predict_json(self, content: dict[str, Any]) -> Any:
        """What `POST /predict` answers to this JSON, for callers in this process."""

        async def receive() -> Message:
            return {"type": "http.request", "body": orjson.dumps(content)}

        scope = {"method": "POST", "path": "/predict", "headers": [(b"content-type", JSON)]}
        reply = await self._reply(Request(scope, receive, self._settings.body_bytes_max))
        return orjson.loads(reply.body)

    async def _answer(self, request: Request, send: Send) -> None:
        try:
            reply = await self._reply(request)
        except ServeError as error:
            reply = error_reply(error)
        except ClientGone:
            return
        except Exception:
            log.exception("%s %s failed", request.method, request.path[:200])
            reply = json_reply({"error": "the server failed to answer; its log says why"}, 500)
        await reply.send(send)

    async def _reply(self, request: Request) -> Reply:
        first, *rest = request.path[1:].split("/")
        match first, rest:
            case "v2", _:
                return await self._oip(request, rest)
            case "predict", []:
                return await self._predict(request, self._repository.only())
            case "models", [name, "predict"]:
                return await self._predict(request, self._repository.get(name))
            case "energy", []:
                return self._energy(request)
            case "metrics", []:
                return Reply(200, self._metrics.render(), TEXT)
            case _:
                raise NotFound(f"there is nothing at {request.path[:80]}; / shows what there is")

    async def _predict(self, request: Request, model: Model) -> Reply:
        if request.method != "POST":
            raise NotAllowed(f"{request.method} {request.path[:80]}: expected POST with an image")
        with counted(model, "native"):
            return json_reply(await predict(request, model, self._sampler, expose_energy=self._settings.expose_energy))

    def _energy(self, request: Request) -> Reply:
        if not (request.local or self._settings.expose_energy):
            raise Forbidden(
                "/energy answers on this machine only, unless the server runs with JOULEBOX_EXPOSE_ENERGY=1"
            )
        return json_reply(ledger_state(self._sampler))

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def watched_receive() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._stop()
            return message

        async def watched_send(message: Message) -> None:
            if message["type"] == "lifespan.startup.complete":
                self._background = [
                    asyncio.create_task(work) for work in (self._repository.load(), self._sampler.run())
                ]
            await send(message)

        await self._inner(scope, watched_receive, watched_send)

    async def _stop(self) -> None:
        await self._repository.drain()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
