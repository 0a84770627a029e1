"""Who may change the server: load and unload models, and register shared memory. The same for REST and gRPC."""

from __future__ import annotations

from typing import Literal

from joulebox.runtime.errors import Forbidden


class Control:
    """The rules of one server."""

    def __init__(self, repository: Literal["local", "keyed", "off"], *, keyed: bool) -> None:
        """The rules; `keyed` is whether the server has API keys, which are checked before."""
        self._repository = repository
        self.keyed = keyed

    def check_open(self) -> None:
        """Whether the model repository may be looked at.

        Raises:
            Forbidden: it is closed.
        """
        if self._repository == "off":
            raise Forbidden("the model repository is closed (JOULEBOX_REPOSITORY_CONTROL=off)")

    def check_repository(self, *, local: bool) -> None:
        """Whether a client, on this machine or not, may load and unload.

        Raises:
            Forbidden: it may not.
        """
        self.check_open()
        if self._repository == "keyed" and not self.keyed:
            raise Forbidden("models are loaded and unloaded with an API key only, and this server has none")
        if self._repository == "local" and not local:
            raise Forbidden(
                "models are loaded and unloaded from this machine only"
                " (JOULEBOX_REPOSITORY_CONTROL=keyed lets API keys do it)"
            )

    def check_local(self, what: str, *, local: bool) -> None:
        """Whether a client is on this machine.

        Raises:
            Forbidden: it is not.
        """
        if not local:
            raise Forbidden(f"{what} is for clients on the server's own machine")
