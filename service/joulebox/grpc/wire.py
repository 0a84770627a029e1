"""As much of protobuf's wire format as a hot path needs: fields of bytes (https://protobuf.dev/programming-guides/encoding/).

Fields may come in any order, and a parser puts the repeated ones together in the order in which they came.
"""

from __future__ import annotations

RAW_INPUT, RAW_OUTPUT, RESPONSE_ID, INFER_RESPONSE = b"\x3a", b"\x32", b"\x1a", b"\x12"
"""Tags of fields 7 of a `ModelInferRequest`, 6 and 3 of its response, 2 of a `ModelStreamInferResponse`."""


def length_of(tag: bytes, size: int) -> bytes:
    """What stands before a field's content: its tag and how many bytes follow."""
    written = bytearray(tag)
    while size > 0x7F:
        written.append(size & 0x7F | 0x80)
        size >>= 7
    written.append(size)
    return bytes(written)
