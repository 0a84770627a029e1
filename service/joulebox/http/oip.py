"""The Open Inference Protocol, version 2, over REST, with Triton's extensions.

https://github.com/open-inference/open-inference-protocol/blob/main/specification/protocol/inference_rest.md
https://github.com/triton-inference-server/server/tree/main/docs/protocol
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, cast

from joulebox.access.control import Control
from joulebox.http.codec import Codec
from joulebox.http.compression import compress
from joulebox.http.energy import energy_headers, energy_parameters
from joulebox.http.exchange import JSON, Reply, Request, json_reply, need, server_timing
from joulebox.http.pages import refuse_script
from joulebox.oip.call import Answer, Call
from joulebox.oip.dataplane import Dataplane
from joulebox.oip.timed import Timed
from joulebox.runtime.errors import BadRequest, NotFound
from joulebox.runtime.settings import Settings

HEADER_LENGTH = b"inference-header-content-length"
TIMEOUT = b"x-request-timeout-ms"
CODEC = "codec of REST"
OCTETS = b"application/octet-stream"

Later = asyncio.Task[Reply]
"""An answer that is not there yet; cancelling it drops the work."""


class Oip:
    """What is below `/v2`."""

    def __init__(self, dataplane: Dataplane, settings: Settings, *, keyed: bool) -> None:
        self._dataplane = dataplane
        self._control = Control(settings.repository_control, keyed=keyed)
        self._settings = settings

    def begin(self, request: Request) -> Reply | Later:
        """Answers a request, or begins to. On the event loop.

        Raises:
            ServeError: it is refused.
        """
        match request.target.parts[1:]:
            case ("repository", *rest):
                return self._repository(request, rest)
            case ("systemsharedmemory", *rest):
                need(request, "POST" if rest and rest[-1] != "status" else "GET")
                return json_reply(self._shared_memory(request, rest))
            case rest:
                need(request, "GET")
                return self._tell(request, list(rest))

    def _tell(self, request: Request, rest: list[str]) -> Reply:
        dataplane = self._dataplane
        match rest:
            case []:
                return json_reply(dataplane.server_metadata())
            case ["health", ("live" | "ready") as what]:
                fine = what == "live" or dataplane.ready
                return json_reply({what: fine}, 200 if fine else 503)
            case ["models", "stats"]:
                return json_reply(dataplane.statistics())
            case ["models", name, "versions", version, *what] if len(what) <= 1:
                return self._tell_model(request, name, version, *what)
            case ["models", name, *what] if len(what) <= 1:
                return self._tell_model(request, name, None, *what)
            case _:
                raise _nothing(request)

    def _tell_model(self, request: Request, name: str, version: str | None, what: str = "") -> Reply:
        match what:
            case "":
                return json_reply(self._dataplane.model_metadata(name, version))
            case "ready":
                ready = self._dataplane.model_ready(name, version)
                return json_reply({"name": name, "ready": ready}, 200 if ready else 503)
            case "config":
                return json_reply(self._dataplane.model_config(name, version))
            case "stats":
                return json_reply(self._dataplane.statistics(name, version))
            case _:
                raise _nothing(request)

    def infer(self, request: Request, name: str, version: str | None) -> Reply | Later:
        """Answers a request for inference, or begins to. On the event loop.

        Raises:
            ServeError: it is refused.
        """
        need(request, "POST")
        model = self._dataplane.repository.get(name, version)
        codec = model.kept.get(CODEC)
        if codec is None:
            codec = model.kept[CODEC] = Codec(model, self._dataplane.regions)
        timed = Timed(model, "oip")
        try:
            call = codec.decode(request.body, _header_length(request))
            if TIMEOUT in request.headers:
                call.timeout_s = _sooner(call.timeout_s, timeout_of_header(request))
            timed.decoded()
            answer = self._dataplane.infer_now(model, call, alone=request.alone)
            if answer is None:
                return timed.later(self._compute(request, codec, call, timed))
            return self._reply(request, codec, call, answer, timed)
        except BaseException as error:
            timed.failed(error)
            raise

    async def _compute(self, request: Request, codec: Codec, call: Call, timed: Timed) -> Reply:
        answer = await self._dataplane.infer(timed.model, call)
        return self._reply(request, codec, call, answer, timed)

    def _reply(self, request: Request, codec: Codec, call: Call, answer: Answer, timed: Timed) -> Reply:
        shown = request.local or self._settings.expose_energy
        body, header_bytes = codec.encode(call, answer, energy_parameters(answer.energy, shown=shown))
        reply = Reply(200, body, JSON if header_bytes is None else OCTETS)
        if header_bytes is not None:
            reply.headers.append((HEADER_LENGTH, str(header_bytes).encode()))
        compress(request, reply)
        reply.headers += energy_headers(answer.energy, shown=shown)
        reply.headers.append(server_timing(answer.inference, timed.done(answer.inference)))
        if request.span is not None:
            request.span.inferred(answer.model, answer.inference, answer.energy)
        return reply

    def _repository(self, request: Request, rest: list[str]) -> Later:
        need(request, "POST")
        self._control.check_open()
        match rest:
            case ["index"]:
                ready = request.json().get("ready", False) if request.body else False
                if not isinstance(ready, bool):
                    raise BadRequest(f"ready is {str(ready)[:80]!r}; expected true or false")
                return asyncio.create_task(self._index(ready))
            case ["models", name, ("load" | "unload") as what]:
                self._control.check_repository(local=request.local)
                self._refuse_script(request)
                work = self._load(request, name) if what == "load" else self._dataplane.unload(name)
                return asyncio.create_task(_done(work))
            case _:
                raise _nothing(request)

    def _refuse_script(self, request: Request) -> None:
        if not self._control.keyed:
            refuse_script(request)

    def _load(self, request: Request, name: str) -> Coroutine[Any, Any, None]:
        parameters: Any = (request.json() if request.body else {}).get("parameters")
        parameters = {} if parameters is None else parameters
        if not isinstance(parameters, dict):
            raise BadRequest(f"parameters is {str(parameters)[:80]!r}; expected an object")
        return self._dataplane.load(name, cast("dict[str, Any]", parameters))

    async def _index(self, ready: bool) -> Reply:
        return json_reply(await self._dataplane.index(ready=ready))

    def _shared_memory(self, request: Request, rest: list[str]) -> Any:
        regions = self._dataplane.regions
        self._control.check_local("shared memory", local=request.local)
        if rest[-1:] != ["status"]:
            self._refuse_script(request)
        match rest:
            case ["status"]:
                return regions.status()
            case ["region", name, "status"]:
                return regions.status(name)
            case ["region", name, "register"]:
                content = request.json()
                regions.register(name, content.get("key", ""), content.get("offset", 0), content.get("byte_size", 0))
            case ["unregister"]:
                regions.unregister()
            case ["region", name, "unregister"]:
                regions.unregister(name)
            case _:
                raise _nothing(request)
        return {}


async def _done(work: Coroutine[Any, Any, None]) -> Reply:
    await work
    return json_reply({})


def _sooner(one_s: float | None, other_s: float | None) -> float | None:
    return min((each for each in (one_s, other_s) if each is not None), default=None)


def _nothing(request: Request) -> NotFound:
    return NotFound(
        f"{request.method} {request.target.path[:80]} is not part of what this server speaks of the protocol"
    )


def _header_length(request: Request) -> int | None:
    text = request.headers.get(HEADER_LENGTH)
    if text is None:
        return None
    if not text.isdigit() or len(text) > 18:
        raise BadRequest(
            f"Inference-Header-Content-Length is {text[:40].decode('latin-1')!r}; expected a count of bytes"
        )
    return int(text)


def timeout_of_header(request: Request) -> float | None:
    """The client's own deadline, `X-Request-Timeout-Ms`, in seconds; None where it has none.

    Raises:
        BadRequest: it is no such number.
    """
    text = request.header(TIMEOUT)
    if not text:
        return None
    try:
        milliseconds = float(text)
    except ValueError:
        milliseconds = 0.0
    if not 0 < milliseconds <= 86_400_000:
        raise BadRequest(
            f"X-Request-Timeout-Ms is {text[:40].decode('latin-1')!r}; expected milliseconds, at most a day"
        )
    return milliseconds / 1e3
