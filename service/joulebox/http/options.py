"""What a client may set on a native request, beside its body."""

from __future__ import annotations

import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from joulebox.http.exchange import Request
from joulebox.http.oip import timeout_of_header
from joulebox.runtime.errors import BadRequest, Expired

TOP_MAX = 1_000_000
FIELDS_MAX = 16


@dataclass(frozen=True)
class Options:
    """`top`: how many classes to answer. `deadline_s`: when the answer is of no more use, on `time.perf_counter`'s clock."""

    top: int | None = None
    deadline_s: float | None = None

    def check(self) -> None:
        """Raises Expired once the deadline has passed: what nobody waits for shall cost nothing more."""
        if self.deadline_s is not None and time.perf_counter() > self.deadline_s:
            raise Expired


def read_options(request: Request) -> Options:
    """The query's `top` and the header `x-request-timeout-ms`, which counts from now.

    Raises:
        BadRequest: one is no number, or out of range.
    """
    query, timeout_s = request.target.query, timeout_of_header(request)
    return Options(_top(query) if query else None, None if timeout_s is None else time.perf_counter() + timeout_s)


def _top(query: bytes) -> int | None:
    try:
        values = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=FIELDS_MAX).get("top", [])
    except ValueError as error:
        raise BadRequest(f"the query has more than {FIELDS_MAX} fields; expected top=NUMBER or nothing") from error
    if not values:
        return None
    if len(values) > 1:
        raise BadRequest(f"top is given {len(values)} times; expected once")
    text = values[0]
    top = int(text) if text.isascii() and text.isdigit() and len(text) <= len(str(TOP_MAX)) else 0
    if not 1 <= top <= TOP_MAX:
        raise BadRequest(f"top is {text[:40]!r}; expected a whole number from 1 to {TOP_MAX}")
    return top
