"""Files of a multipart form (RFC 7578), from a body that is in memory already: nothing is written to disk."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart.multipart import MultipartParser, parse_options_header

from joulebox.runtime.errors import BadRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks  # which exists for type checkers only

PARTS_MAX = 256


@dataclass
class _Part:
    name: str | None = None
    is_file: bool = False
    spans: list[bytes] = field(default_factory=list[bytes])


def read_files(content_type: bytes, body: bytes) -> list[tuple[str, bytes]]:
    """The form's files in their order: field name and content. Parts without a file name are text, and passed over.

    Raises:
        BadRequest: the body is no whole form, or has more than `PARTS_MAX` parts.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary", b"")
    if not boundary:
        raise BadRequest("the form cannot be read: its content-type names no boundary")
    reader = _Reader()
    try:
        MultipartParser(boundary, reader.callbacks()).write(body)
    except ValueError as error:  # FormParserError is one
        raise BadRequest(f"the form cannot be read: {str(error)[:200]}") from error
    if not reader.whole:
        raise BadRequest(f"the form cannot be read: its {len(body)} bytes end before its last boundary")
    return [(part.name or "", b"".join(part.spans)) for part in reader.parts if part.is_file]


class _Reader:
    """What the parser calls as it goes along."""

    def __init__(self) -> None:
        self.parts: list[_Part] = []
        self.whole = False
        self._header = self._value = b""

    def callbacks(self) -> MultipartCallbacks:
        return {
            "on_part_begin": self.on_part_begin,
            "on_header_field": self.on_header_field,
            "on_header_value": self.on_header_value,
            "on_header_end": self.on_header_end,
            "on_part_data": self.on_part_data,
            "on_end": self.on_end,
        }

    def on_part_begin(self) -> None:
        if len(self.parts) == PARTS_MAX:
            raise BadRequest(f"the form has more than {PARTS_MAX} parts, which is the most that are read")
        self.parts.append(_Part())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def on_header_end(self) -> None:
        if self._header.lower() == b"content-disposition":
            options = parse_options_header(self._value)[1]
            self.parts[-1].name = options.get(b"name", b"").decode("utf-8", "replace")
            self.parts[-1].is_file = b"filename" in options
        self._header = self._value = b""

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.parts[-1].spans.append(data[start:end])

    def on_end(self) -> None:
        self.whole = True
