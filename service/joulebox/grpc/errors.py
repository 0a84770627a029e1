"""How an error is answered over gRPC: the codes are Triton's (`grpc_utils.cc`), the text is the error's own."""

from __future__ import annotations

import logging
from typing import Any, NoReturn

import grpc

from joulebox.oip.timed import CLIENT_GONE
from joulebox.runtime.errors import (
    BadRequest,
    Expired,
    Forbidden,
    NotAllowed,
    NotFound,
    NotReady,
    Overloaded,
    ServeError,
    TooLarge,
    TooManyRequests,
    Unauthorized,
    Unsupported,
)
from joulebox.runtime.regions import AlreadyExists

log = logging.getLogger("joulebox.grpc")

Code = grpc.StatusCode
REQUEST_ID = "x-request-id"  # in the trailing metadata, as HTTP has it in a header
RETRY_AFTER = "retry-after"  # seconds, the same
TEXT_MAX = 2000  # characters: gRPC refuses metadata, of which the text is part, beyond some 8 kB


class Stalled(ServeError):
    """The client began a request and did not go on."""

    status = 408


CODES: dict[type[ServeError], grpc.StatusCode] = {
    ServeError: Code.INTERNAL,
    AlreadyExists: Code.ALREADY_EXISTS,
    BadRequest: Code.INVALID_ARGUMENT,
    Expired: Code.UNAVAILABLE,
    Forbidden: Code.PERMISSION_DENIED,
    NotAllowed: Code.UNIMPLEMENTED,
    NotFound: Code.NOT_FOUND,
    NotReady: Code.UNAVAILABLE,
    Overloaded: Code.UNAVAILABLE,
    Stalled: Code.DEADLINE_EXCEEDED,
    TooLarge: Code.RESOURCE_EXHAUSTED,
    TooManyRequests: Code.RESOURCE_EXHAUSTED,
    Unauthorized: Code.UNAUTHENTICATED,
    Unsupported: Code.UNIMPLEMENTED,
}


STATUSES = {code: kind.status for kind, code in reversed(CODES.items())} | {Code.OK: 200, Code.CANCELLED: CLIENT_GONE}
"""What an access log, which has HTTP's, says of a code."""


def code_of(error: ServeError) -> grpc.StatusCode:
    """The code of the error's class, or of the nearest class above it."""
    return next(CODES[kind] for kind in type(error).__mro__ if kind in CODES)


def unexpected(method: str, error: Exception) -> ServeError:
    """Logs a fault of this server, and gives what the client is told of it."""
    log.error("%s failed", method, exc_info=error)
    return ServeError("the server failed to answer; its log says why")


async def refuse(context: Any, request_id: bytes, error: ServeError) -> NoReturn:
    """Ends the call with the error.

    Raises:
        grpc.aio.AbortError: always; it ends the handler.
    """
    trailing: tuple[tuple[str, str], ...] = ((REQUEST_ID, request_id.decode()),)
    if isinstance(error, Overloaded):
        trailing += ((RETRY_AFTER, str(error.retry_after_s)),)
    await context.abort(code_of(error), str(error)[:TEXT_MAX], trailing)
    raise error
