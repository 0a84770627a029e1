"""From the texts of a request to the tensor that the manifest's preprocessing describes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from python_multipart.multipart import parse_options_header

from joulebox.package.manifest import TextPreprocess
from joulebox.preprocess.text import token_ids
from joulebox.runtime.errors import BadRequest, TooLarge

CHARACTERS_MAX = 1_000_000  # of a text; how much of it is read, the manifest says
CHARSETS = (b"", b"utf-8", b"utf8", b"us-ascii", b"ascii")


def decode(content_type: bytes, body: bytes) -> str:
    """A plain text's body.

    Raises:
        BadRequest: it is not UTF-8, by its content type or by its bytes.
    """
    charset = parse_options_header(content_type)[1].get(b"charset", b"")
    if charset.lower() not in CHARSETS:
        raise BadRequest(f"the text is in {charset[:40].decode('latin-1')!r}; expected charset=utf-8")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        wrong = body[error.start : error.start + 1].hex()
        raise BadRequest(f"the text is not UTF-8: byte {error.start} is 0x{wrong}; encode it as UTF-8") from error


def tokens(texts: Sequence[Any], preprocess: TextPreprocess) -> NDArray[np.int64]:
    """The texts as the model takes them, int64 `[texts, length]`.

    Raises:
        BadRequest: one is no string.
        TooLarge: one is too long.
    """
    for number, text in enumerate(texts):
        which = "the text" if len(texts) == 1 else f"text {number} of {len(texts)}"
        if not isinstance(text, str):
            raise BadRequest(f"{which} is {type(text).__name__}; expected a string")
        if len(text) > CHARACTERS_MAX:
            raise TooLarge(f"{which} has {len(text):,} characters; at most {CHARACTERS_MAX:,} are taken")
    return token_ids(texts, preprocess)
