"""What can go wrong while a model is served. Each error knows the HTTP status that it is answered with."""

from __future__ import annotations


class ServeError(Exception):
    """Answered to the client as `{"error": message}` with `status`."""

    status = 500


class BadRequest(ServeError):
    """The client's fault; the message says what, the value and what was expected."""

    status = 400


class Unauthorized(ServeError):
    """There is no API key, or not one that is known."""

    status = 401


class Forbidden(ServeError):
    """This client may not."""

    status = 403


class NotFound(ServeError):
    status = 404


class NotAllowed(ServeError):
    """The method is not the path's, which is `allow`."""

    status = 405

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class TooLarge(ServeError):
    status = 413


class Unsupported(ServeError):
    """Part of the protocol, and not done by this server."""

    status = 501


class NotReady(ServeError):
    """The model is known but does not take traffic now."""

    status = 503


class Expired(ServeError):
    """The request's deadline passed before it was computed; the text and the status are Triton's."""

    status = 503

    def __init__(self) -> None:
        super().__init__("Request timeout expired")


class Overloaded(ServeError):
    """A limit of the server is reached; the client should come back after `retry_after_s`."""

    status = 503

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooManyRequests(Overloaded):
    """A limit of this client's own is reached."""

    status = 429


class LoadError(Exception):
    """A model did not become ready; `reason` is a short word for the metric."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
