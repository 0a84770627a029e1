"""Multipart forms, as httpx writes them and as a hostile client might."""

from __future__ import annotations

from contextlib import suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.http.forms import PARTS_MAX, read_files
from joulebox.runtime.errors import BadRequest

KIND = b"multipart/form-data; boundary=b"
WHOLE = b'--b\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n12345\r\n--b--\r\n'


def written(files: list[tuple[str, bytes]], data: dict[str, str] | None = None) -> tuple[bytes, bytes]:
    parts = [(name, ("file", content)) for name, content in files]
    request = httpx.Request("POST", "http://here", files=parts, data=data)
    return request.headers["content-type"].encode(), request.read()


@given(st.lists(st.tuples(st.text(st.characters(codec="ascii", exclude_categories=["C"])), st.binary()), min_size=1))
def test_every_file_comes_back_as_it_was_sent(files: list[tuple[str, bytes]]) -> None:
    names = [name.replace('"', "%22").replace("\\", "-") for name, _ in files]  # as browsers write them
    files = [(name, content) for name, (_, content) in zip(names, files, strict=True)]
    assert read_files(*written(files)) == files


def test_fields_of_text_are_passed_over() -> None:
    assert read_files(*written([("image", b"1")], {"comment": "mine"})) == [("image", b"1")]


def test_a_form_that_is_not_whole_is_refused() -> None:
    assert read_files(KIND, WHOLE) == [("image", b"12345")]
    for end in range(len(WHOLE) - 3):
        with pytest.raises(BadRequest, match="form cannot be read"):
            read_files(KIND, WHOLE[:end])


@pytest.mark.parametrize(
    "kind", [b"multipart/form-data", b"multipart/form-data; boundary=", b"multipart/form-data; x=y"]
)
def test_a_form_without_a_boundary_is_refused(kind: bytes) -> None:
    with pytest.raises(BadRequest, match="names no boundary"):
        read_files(kind, WHOLE)


def test_parts_are_bounded() -> None:
    part = WHOLE[: -len(b"--b--\r\n")]
    assert len(read_files(KIND, part * PARTS_MAX + b"--b--\r\n")) == PARTS_MAX
    with pytest.raises(BadRequest, match="more than 256 parts"):
        read_files(KIND, part * (PARTS_MAX + 1) + b"--b--\r\n")


@given(st.binary(max_size=200), st.integers(0, len(WHOLE)), st.integers(0, 20))
def test_rubbish_in_a_form_is_read_or_refused(rubbish: bytes, where: int, cut: int) -> None:
    with suppress(BadRequest):
        read_files(KIND, WHOLE[:where] + rubbish + WHOLE[where + cut :])
