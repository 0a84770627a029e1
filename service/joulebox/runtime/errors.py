"""What can go wrong while a model is served. Each error knows the status that it is answered with."""

from __future__ import annotations


class ServeError(Exception):
    """Answered to the client as `{"error": message}` with `status`."""

    status = 500


class BadRequest(ServeError):
    """The client's fault; the message says what, the value and what was expected."""

    status = 400


class NotFound(ServeError):
    status = 404


class NotReady(ServeError):
    """The model is known but does not take traffic now."""

    status = 503


class TooLarge(ServeError):
    status = 413


class Overloaded(ServeError):
    """The queue is full; the client should come back after `retry_after_s`."""

    status = 503

    def __init__(self, message: str, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class LoadError(Exception):
    """A model did not become ready; `reason` is a short word for the metric."""

    def __init__(self, message: str, reason: str) -> None:
        super().__init__(message)
        self.reason = reason
