"""What log lines hold, and what no client can put into them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.access.logs import ORIGIN, RequestIds, configure_logging, log_access

LOGGERS = [
    None,
    "joulebox",
    "joulebox.access",
    "bentoml",
    "bentoml.access",
    "uvicorn.access",
    "uvicorn.error",
    "circus",
]


@contextmanager
def logged(form: Literal["text", "json"] = "json", *, access_log: bool = False) -> Iterator[io.StringIO]:
    """What is written under our configuration; logging is left as it was."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    before = [(logger.handlers[:], logger.level, logger.propagate) for logger in loggers]
    stream = io.StringIO()
    try:
        configure_logging(form, access_log=access_log, stream=stream)
        yield stream
    finally:
        logging.captureWarnings(capture=False)
        for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
            logger.handlers[:] = handlers
            logger.setLevel(level)
            logger.propagate = propagate


def objects(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_json_line_says_when_how_bad_who_and_what() -> None:
    with logged() as stream:
        logging.getLogger("joulebox.model").warning(
            "%s is %s", "fashion", "ready", extra={"model": "fashion", "ms": 1.5}
        )
    (line,) = objects(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "WARNING",
        "logger": "joulebox.model",
        "message": "fashion is ready",
        "model": "fashion",
        "ms": 1.5,
    }


def test_lines_of_a_request_carry_its_id_and_trace() -> None:
    async def answer(request_id: bytes) -> None:
        ORIGIN.set((request_id, "0af7651916cd43dd8448eb211c80319c"))
        await asyncio.sleep(0)
        logging.getLogger("joulebox").info("answered")

    async def both() -> None:
        await asyncio.gather(asyncio.create_task(answer(b"one")), asyncio.create_task(answer(b"two")))
        logging.getLogger("joulebox").info("idle")

    with logged() as stream:
        asyncio.run(both())
    lines = objects(stream)
    assert [line.get("request_id") for line in lines] == ["one", "two", None]
    assert [line.get("trace_id") for line in lines] == ["0af7651916cd43dd8448eb211c80319c"] * 2 + [None]


def test_an_exception_is_one_field_and_a_long_one_keeps_its_end() -> None:
    with logged() as stream:
        for message in ("short", "x" * 50_000 + "the end"):
            try:
                raise ValueError(message)
            except ValueError:
                logging.getLogger("joulebox").exception("failed")
    short, long = objects(stream)
    assert short["exception"].startswith("Traceback")
    assert short["exception"].endswith("ValueError: short")
    assert len(long["exception"]) < 17_000
    assert long["exception"].endswith("the end")


def test_fields_are_bounded_and_plain() -> None:
    extra = {f"field{number}": "x" * 5000 for number in range(100)}
    with logged() as stream:
        logging.getLogger("joulebox").info("y" * 10_000, extra={"nan": float("nan"), "list": [1], **extra})
    (line,) = objects(stream)
    assert len(line["message"]) == 4097
    assert line["nan"] == "nan"
    assert line["list"] == "[1]"
    assert len(line) <= 36
    assert max(len(str(value)) for value in line.values()) <= 4097


def test_a_field_cannot_pass_for_one_of_ours() -> None:
    token = ORIGIN.set((b"mine", ""))
    try:
        with logged() as stream:
            logging.getLogger("joulebox").info("real", extra={"level": "NONE", "time": "never", "request_id": "forged"})
    finally:
        ORIGIN.reset(token)
    (line,) = objects(stream)
    assert (line["level"], line["request_id"]) == ("INFO", "mine")
    assert line["time"] != "never"


ANYTHING = st.text(st.characters())  # surrogates too


@given(ANYTHING, ANYTHING)
def test_no_text_makes_a_second_line_or_steers_a_terminal(message: str, field: str) -> None:
    for form in ("json", "text"):
        with logged(form) as stream:  # type: ignore[arg-type]
            logging.getLogger("joulebox").info("%s", message, extra={"said": field})
        written = stream.getvalue()
        assert written.endswith("\n")
        assert not [letter for letter in written[:-1] if unicodedata.category(letter) in {"Cc", "Zl", "Zp"}]
        assert len(written.splitlines()) == 1


def test_a_traceback_in_text_is_indented() -> None:
    with logged("text") as stream:
        try:
            raise ValueError("bad\n2026-01-01 INFO joulebox: forged\x1b[2J")
        except ValueError:
            logging.getLogger("joulebox").exception("failed")
    first, *rest = stream.getvalue().splitlines()
    assert first.endswith("ERROR joulebox: failed")
    assert all(line.startswith("    ") for line in rest)
    assert rest[-1] == "    2026-01-01 INFO joulebox: forged\\x1b[2J"


def test_access_lines_are_off_unless_asked_for() -> None:
    with logged() as stream:
        log_access("GET", "/v2", 200, 0.0, "127.0.0.1")
    assert not stream.getvalue()
    with logged(access_log=True) as stream:
        log_access("GET", "/v2\n/x", 200, 0.0, "alice")
    (line,) = objects(stream)
    assert line["message"] == "GET /v2\n/x 200"
    assert (line["method"], line["path"], line["status"], line["client"]) == ("GET", "/v2\n/x", 200, "alice")
    with logged("text", access_log=True) as stream:
        log_access("GET", "/v2\n/x", 200, 0.0, "alice")
    assert "joulebox.access: GET /v2\\n/x 200 ms=" in stream.getvalue()
    assert stream.getvalue().endswith(" client=alice\n")


def test_ours_wins_over_what_bentoml_sets_up() -> None:
    """In a process of its own: BentoML's worker configures logging, then loads the service."""
    script = """if True:
        import logging, warnings
        warnings.simplefilter("ignore")
        from bentoml._internal.log import configure_server_logging
        configure_server_logging()
        from joulebox.access.logs import configure_logging
        configure_logging("json")
        for name in ("joulebox", "bentoml", "uvicorn.error", "circus", "other"):
            logging.getLogger(name).warning("from %s", name)
        logging.getLogger("bentoml.access").info("hidden")
        logging.getLogger("uvicorn.error").info("hidden")
        assert not logging.getLogger("uvicorn.access").hasHandlers()
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["message"] for line in lines] == [
        f"from {name}" for name in ("joulebox", "bentoml", "uvicorn.error", "circus", "other")
    ]
    assert not done.stderr


@pytest.mark.parametrize("header", [b"abc", b"3f2504e0-4f89-11d3-9a0c-0305e82c3301", b"a/b:c@d+e=f_g"])
def test_a_clients_own_id_is_kept(header: bytes) -> None:
    assert RequestIds().of(header) == header


@pytest.mark.parametrize("header", [b"", b"a b", b"a\nb", b"x" * 129, "ä".encode(), b"<script>", b"a;b"])
def test_an_odd_id_is_replaced(header: bytes) -> None:
    assert RequestIds().of(header) != header


def test_ids_made_here_are_never_the_same() -> None:
    one, two = RequestIds(), RequestIds()
    assert len({ids.of(b"") for ids in (one, two) for _ in range(1000)}) == 2000
