"""Methods as gRPC takes them: bytes in, bytes out, with keys checked and errors answered in one place.

A method of one request is registered as one that takes a stream, which is the same on the wire: its handler then starts
before the request is whole, and so can give up on a client that never sends the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, cast

import grpc
import grpc.aio

from joulebox.grpc.callers import Caller, Callers
from joulebox.grpc.errors import Stalled, code_of, refuse, unexpected
from joulebox.runtime.errors import BadRequest, ServeError

EOF: Any = cast("Any", grpc.aio).EOF
_STREAM_UNARY: Any = grpc.stream_unary_rpc_method_handler
_STREAM_STREAM: Any = grpc.stream_stream_rpc_method_handler

Operation = Callable[[bytes, Caller], Awaitable[bytes]]
StreamOperation = Callable[[Caller], Awaitable[None]]


class Handlers:
    """Makes the handlers of one service."""

    def __init__(self, service: str, callers: Callers, body_timeout_s: float) -> None:
        self._service = service
        self._callers = callers
        self._body_timeout_s = body_timeout_s

    def unary(self, name: str, operation: Operation, *, keyed: bool) -> Any:
        """One request, one answer."""

        async def answer(caller: Caller) -> bytes:
            return await operation(await read_whole(caller.context, self._body_timeout_s), caller)

        return _STREAM_UNARY(self._handler(name, answer, keyed=keyed))

    def stream(self, name: str, operation: StreamOperation, *, keyed: bool) -> Any:
        """Requests and answers as the operation reads and writes them."""
        return _STREAM_STREAM(self._handler(name, operation, keyed=keyed))

    def _handler(self, name: str, answer: Callable[[Caller], Awaitable[Any]], *, keyed: bool) -> Any:
        callers, path = self._callers, f"/{self._service}/{name}"

        async def handle(_requests: Any, context: Any) -> Any:
            caller, code = callers.meet(path, context), grpc.StatusCode.CANCELLED
            try:
                if keyed:
                    callers.check_key(caller)
                answered = await answer(caller)
                code = grpc.StatusCode.OK
                return answered
            except ServeError as error:
                code, refusal = code_of(error), error
            except grpc.aio.BaseError:
                raise  # of the call itself, which is over
            except Exception as error:  # a fault of this server: no client shall see a stack trace
                code, refusal = grpc.StatusCode.INTERNAL, unexpected(path, error)
            finally:
                callers.finished(caller, code)
            return await refuse(context, caller.request_id, refusal)

        return handle


async def read_whole(context: Any, timeout_s: float) -> bytes:
    """The one request of a call.

    Raises:
        Stalled: it was not whole in that time.
        BadRequest: there is none.
    """
    stalled, task = False, asyncio.current_task()

    def give_up() -> None:
        nonlocal stalled
        if task is not None:
            stalled = task.cancel()

    timer = asyncio.get_running_loop().call_later(timeout_s, give_up)
    try:
        raw = await context.read()
    except asyncio.CancelledError:
        if stalled:
            raise Stalled(f"the request was not whole within {timeout_s:g} s") from None
        raise
    finally:
        timer.cancel()
    if raw is EOF:
        raise BadRequest("the call has no request; expected one message")
    return raw
