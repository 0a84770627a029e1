"""Bodies that clients send compressed, and answers to those who take them so. A bomb is refused as it unfolds."""

from __future__ import annotations

import zlib

from joulebox.http.exchange import Reply, Request
from joulebox.runtime.errors import BadRequest, ServeError, TooLarge

WINDOW = {b"gzip": 31, b"deflate": 15}  # as zlib takes it: with gzip's header, with zlib's
COMPRESS_MIN_BYTES = 1024
LEVEL = 1


class UnknownEncoding(ServeError):
    """A body is compressed in a way that is not known; Triton's status."""

    status = 415


def decompress(request: Request, bytes_max: int) -> None:
    """Replaces a compressed body with what it holds.

    Raises:
        BadRequest: it is not what it says.
        UnknownEncoding: it is compressed in another way.
        TooLarge: it holds more than is read.
    """
    encoding = request.header(b"content-encoding").lower()
    if encoding in {b"", b"identity"}:
        return
    if encoding not in WINDOW:
        raise UnknownEncoding(f"content-encoding {encoding[:40].decode('latin-1')!r}: expected gzip or deflate")
    inflate = zlib.decompressobj(WINDOW[encoding])
    try:
        content = inflate.decompress(request.body, bytes_max + 1)
    except zlib.error as error:
        raise BadRequest(f"the body is not {encoding.decode()}: {error}") from error
    if len(content) > bytes_max:
        raise TooLarge(f"the body holds more than {bytes_max} bytes, which is the most that is read")
    if not inflate.eof or inflate.unused_data:
        raise BadRequest(f"the body's {encoding.decode()} ends too early, or something follows it")
    request.body = content


def compress(request: Request, reply: Reply) -> None:
    """Compresses an answer that is worth it, for a client that takes it."""
    accepted = request.headers.get(b"accept-encoding")
    if accepted is None or len(reply.body) < COMPRESS_MIN_BYTES:
        return
    for encoding, window in WINDOW.items():
        if encoding in accepted:
            deflate = zlib.compressobj(LEVEL, zlib.DEFLATED, window)
            reply.body = deflate.compress(reply.body) + deflate.flush()
            reply.headers.append((b"content-encoding", encoding))
            return
