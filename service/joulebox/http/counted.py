"""Counts a request for inference: in flight while it lasts, then its duration by status, errors included."""

from __future__ import annotations

import time
from collections.abc import Generator
from contextlib import contextmanager

from joulebox.http.exchange import ClientGone
from joulebox.runtime.errors import ServeError
from joulebox.runtime.model import Model

CLIENT_GONE = 499  # as nginx has it


@contextmanager
def counted(model: Model, protocol: str) -> Generator[None]:
    """For what is answered with 200, or with an error's status."""
    started_s = time.perf_counter()
    code = 500
    model.enter_request()
    try:
        yield
        code = 200
    except ServeError as error:
        code = error.status
        raise
    except ClientGone:
        code = CLIENT_GONE
        raise
    finally:
        model.leave_request()
        model.observe_request(protocol, code, time.perf_counter() - started_s)
