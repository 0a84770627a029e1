"""uvicorn's protocol with an end of its own, see `joulebox.http.server`."""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Connection(HttpToolsProtocol):
    _last = False

    def drain(self) -> None:
        """The next answer is the last; until then an idle connection may still bring its request."""
        self._last = True
        if self._busy:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """Closes, once what was accepted is answered."""
        self.drain()
        if not self._reading and not self._busy:
            self.transport.close()

    def abort(self) -> None:
        """Closes, whatever is under way."""
        self.transport.abort()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._last or self.app.draining:  # pyright: ignore  # noqa: PGH003  # the lead's protocol takes this one's place
            self.cycle.keep_alive = False

    @property
    def _busy(self) -> bool:
        cycle: Any = self.cycle
        return cycle is not None and not cycle.response_complete

    @property
    def _reading(self) -> bool:
        cycle: Any = self.cycle
        scope: Any = self.scope
        return scope is not None and (cycle is None or cycle.scope is not scope)
