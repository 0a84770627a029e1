"""What BentoML's page needs, and what it and other pages may not do."""

from __future__ import annotations

import asyncio
import re
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from joulebox.http.exchange import Request, parse_target
from joulebox.http.pages import HEADERS, POLICY, for_page, refuse_script
from joulebox.runtime.errors import Forbidden


def installed(package: str) -> Path:
    """A package's folder, without importing it."""
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


PAGE = installed("_bentoml_impl") / "server/main-openapi.html"
STATIC = installed("bentoml") / "_internal/server/static_content"


def request(**headers: str) -> Request:
    raw = {name.encode(): value.encode() for name, value in headers.items()}
    return Request("POST", parse_target(b"/v2/repository/models/tiny/unload"), raw)


def test_headers_are_added_to_an_answer() -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def answer() -> None:
        guarded = for_page(send)
        await guarded({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/html")]})
        await guarded({"type": "http.response.body", "body": b"x"})

    asyncio.run(answer())
    assert sent[0]["headers"] == [(b"content-type", b"text/html"), *HEADERS]
    assert sent[1] == {"type": "http.response.body", "body": b"x"}


def test_the_page_loads_only_what_the_policy_lets_it() -> None:
    """If a newer BentoML changes its page, this says so."""
    loaded: list[str] = []
    inline: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found = dict(attrs)
            if tag == "script" and "src" not in found:
                inline.append("script")
            elif tag in {"script", "link", "img"}:
                loaded.append(found.get("src") or found.get("href") or "")

    Reader().feed(PAGE.read_text())
    assert loaded
    assert all(address.startswith("./static_content/") for address in loaded), "from this server alone"
    assert inline == ["script"], "Google Tag Manager's, which the policy stops"
    assert "googletagmanager" in PAGE.read_text()
    assert "'unsafe-inline'" not in POLICY.partition("style-src")[0]
    assert "unsafe-eval" not in POLICY


def test_style_sheets_take_pictures_from_nowhere_else() -> None:
    for sheet in STATIC.glob("*.css"):
        for address in re.findall(r"url\(([^)]*)\)", sheet.read_text()):
            assert address.strip("\"'").startswith("data:")


@pytest.mark.parametrize("origin", ["https://example.org", "http://127.0.0.1:3000", "null"])
def test_pages_cannot_change_the_server(origin: str) -> None:
    with pytest.raises(Forbidden, match="takes no requests from web pages"):
        refuse_script(request(origin=origin))


def test_other_clients_can() -> None:
    refuse_script(request(host="localhost", accept="*/*"))
