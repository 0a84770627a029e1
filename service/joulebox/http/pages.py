"""What a browser may do with this server: headers for BentoML's page, and a refusal of requests that scripts send.

The page at `/` is BentoML's Swagger page. It holds an inline script and a frame that load Google Tag Manager; the policy below
lets neither run, so the page talks to this server alone, and works without (checked in Chromium). Its own scripts are files below `/static_content`;
styles are set inline too, and a few of its pictures lie in its style sheet as `data:`.

Answers of the API carry none of this: they are JSON, or raw tensors, which no browser shows as a page; and without `Last-Modified`
or `Cache-Control` no cache keeps the answer to a POST or guesses how long a GET's answer is good.
"""

from __future__ import annotations

from joulebox.http.asgi import Message, Send
from joulebox.http.exchange import Request
from joulebox.runtime.errors import Forbidden

POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    ]
)
HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-frame-options", b"DENY"),
)


def for_page(send: Send) -> Send:
    """An ASGI `send` that adds the headers to the answer."""

    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), *HEADERS]
        await send(message)

    return with_headers


def refuse_script(request: Request) -> None:
    """For requests that change the server, where there are no API keys.

    Any page that somebody on this machine looks at can have its browser POST to a server on loopback, and need not be able to
    read the answer to have unloaded a model. Browsers say so: `Origin` is on every POST that a script or a form makes, those of
    a name that was rebound to 127.0.0.1 included, and on no other client's.

    Raises:
        Forbidden: a browser's script or form has sent it.
    """
    origin = request.header(b"origin")
    if origin:
        raise Forbidden(
            f"{request.target.path[:80]} takes no requests from web pages (Origin: {origin[:80].decode('ascii', 'replace')})"
            " unless the server has API keys"
        )
