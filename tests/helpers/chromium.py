"""A real browser: Debian's headless Chromium, spoken to over pipes by the Chrome DevTools Protocol, so that no port is opened."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LIMIT_S = 60.0
SWITCHES = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"),
    "--remote-debugging-pipe",
]


def find() -> str | None:
    return shutil.which("chromium") or shutil.which("chromium-browser")


@contextmanager
def started(executable: str, profile: Path) -> Generator[Tab]:
    """One tab of a browser of its own, under a fresh profile."""
    to_browser, commands = os.pipe()
    answers, from_browser = os.pipe()
    home = f"--user-data-dir={profile}"
    process = subprocess.Popen(  # the protocol's pipes are 3 and 4
        ["bash", "-c", f'exec "$@" 3<&{to_browser} 4>&{from_browser}', "bash", executable, *SWITCHES, home],
        pass_fds=(to_browser, from_browser),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(to_browser)
    os.close(from_browser)
    try:
        yield Tab(commands, answers)
    finally:
        os.close(commands)
        process.terminate()
        process.wait(LIMIT_S)
        os.close(answers)


class Tab:
    """Its events since it was opened are in `events`, as (method, parameters)."""

    def __init__(self, commands: int, answers: int) -> None:
        self._commands = commands
        self._answers = answers
        self._read = b""
        self._number = 0
        self._session: str | None = None
        self.events: list[tuple[str, dict[str, Any]]] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._commands, json.dumps(message).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                return answer["result"]

    def open(self, address: str) -> None:
        self.events.clear()
        self.call("Page.navigate", url=address)
        while "Page.loadEventFired" not in [method for method, _ in self.events]:
            self._next()

    def evaluate(self, script: str) -> Any:
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in found:
            raise RuntimeError(f"{script}: {found['exceptionDetails']}")
        return found["result"].get("value")

    def _next(self) -> dict[str, Any]:
        limit_s = time.monotonic() + LIMIT_S
        while b"\0" not in self._read:
            if not select.select([self._answers], [], [], max(0.0, limit_s - time.monotonic()))[0]:
                raise TimeoutError(f"the browser said nothing for {LIMIT_S:g} s")
            received = os.read(self._answers, 1 << 16)
            if not received:
                raise RuntimeError("the browser has ended")
            self._read += received
        message, _, self._read = self._read.partition(b"\0")
        found = json.loads(message)
        if "method" in found:
            self.events.append((found["method"], found.get("params", {})))
        return found
