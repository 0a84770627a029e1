"""API keys: who gets in, how keys change while the server runs, and that they are never shown."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.access import keys as module
from joulebox.access.keys import ClientLimit, Keys
from joulebox.runtime.errors import TooManyRequests, Unauthorized
from joulebox.runtime.settings import SettingError

ALICE, BOB, CAROL = ("alice-" + "a" * 20, "bob-" + "b" * 20, "carol-" + "c" * 20)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(f"# who may\nalice:{ALICE}  # the camera\n\n{BOB}\n")
    path.chmod(0o600)
    return path


def knows(keys: Keys, key: str) -> bool:
    try:
        keys.client(b"", key.encode())
    except Unauthorized:
        return False
    return True


def passes_a_second(keys: Keys) -> None:
    keys._next_check_s = 0.0


def test_a_client_has_the_name_of_its_key(file: Path) -> None:
    keys = Keys(file)
    assert keys.client(f"Bearer {ALICE}".encode(), b"") == "alice"
    assert keys.client(f"bearer  {ALICE} ".encode(), b"") == "alice", "schemes have no case"
    assert keys.client(b"", ALICE.encode()) == "alice"
    assert keys.client(b"", BOB.encode()) == "key-4", "the line of a key without a name"


def test_a_client_without_a_key_is_told_where_it_belongs(file: Path) -> None:
    with pytest.raises(Unauthorized, match="there is no API key; expected the header"):
        Keys(file).client(b"", b"")


@given(st.binary(max_size=600), st.binary(max_size=600))
def test_nothing_else_gets_in(authorization: bytes, api_key: bytes) -> None:
    keys = Keys(listed=f"alice:{ALICE},{BOB}")
    for header in (authorization, b"Bearer " + authorization, b"Basic " + ALICE.encode()):
        with pytest.raises(Unauthorized):
            keys.client(header, api_key)


@pytest.mark.parametrize(
    "change", [lambda k: k[:-1], lambda k: k + "a", str.upper, lambda k: k + "\n", lambda k: f"alice:{k}"]
)
def test_almost_a_key_is_none(file: Path, change: Callable[[str], str]) -> None:
    assert not knows(Keys(file), change(ALICE))


def test_the_environment_and_the_file_add_up(file: Path) -> None:
    keys = Keys(file, f"carol:{CAROL}")
    assert [keys.client(b"", key.encode()) for key in (ALICE, BOB, CAROL)] == ["alice", "key-4", "carol"]


def test_a_new_key_works_before_the_old_one_is_taken_away(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    keys = Keys(file)
    file.write_text(f"alice:{ALICE}\nalice:{CAROL}\n")
    passes_a_second(keys)
    with caplog.at_level(logging.INFO):
        assert keys.client(b"", CAROL.encode()) == keys.client(b"", ALICE.encode()) == "alice"
    assert not knows(keys, BOB)
    file.write_text(f"alice:{CAROL}\n")
    passes_a_second(keys)
    assert not knows(keys, ALICE)
    assert knows(keys, CAROL)
    assert f"API keys read again from {file}: 2 keys" in caplog.text


def test_a_replaced_file_counts_within_a_second(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHECK_S", 0.05)
    keys = Keys(file)
    aside = file.with_suffix(".new")
    aside.write_text(CAROL)
    aside.chmod(0o600)
    aside.replace(file)
    time.sleep(0.06)
    assert knows(keys, CAROL)


def test_the_file_is_looked_at_once_a_second(file: Path) -> None:
    keys = Keys(file)
    file.write_text(CAROL)
    assert knows(keys, ALICE), "not looked at yet"


@pytest.mark.parametrize(
    "content", [None, "", "# all gone\n", "short\n", "two words of text\n", "käse-käse-käse-käse\n"]
)
def test_a_broken_file_keeps_the_old_keys_and_is_logged_once(
    file: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    keys = Keys(file)
    file.unlink() if content is None else file.write_text(content)
    for _ in range(3):
        passes_a_second(keys)
        assert knows(keys, ALICE)
    assert caplog.text.count("the API keys stay as they were") == 1
    file.write_text(CAROL)
    passes_a_second(keys)
    assert knows(keys, CAROL)


@pytest.mark.parametrize(
    ("listed", "said"),
    [
        ("", "holds no key"),
        (" , ,# nothing", "holds no key"),
        ("secret", "line 1: the key has 6 characters; expected 16 to 512"),
        (f"{ALICE},{'x' * 513}", "line 2: the key has 513 characters"),
        ("a key with spaces in it", "expected KEY or NAME:KEY"),
        (f"no name:{ALICE}", "expected KEY or NAME:KEY"),
        (f"alice:{ALICE},bob:{ALICE}", "line 2: the key stands there already under another name"),
    ],
)
def test_a_bad_key_stops_the_start_and_is_not_shown(listed: str, said: str) -> None:
    with pytest.raises(SettingError, match=said) as raised:
        Keys(listed=listed)
    assert ALICE not in str(raised.value)


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="No such file"):
        Keys(tmp_path / "none")
    with pytest.raises(SettingError, match="Is a directory"):
        Keys(tmp_path)
    with pytest.raises(SettingError, match="at most 10000 are kept"):
        Keys(listed=",".join(f"{number:020}" for number in range(10_001)))


def test_a_file_that_everybody_can_read_gives_a_warning(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    file.chmod(0o644)
    Keys(file)
    assert f"chmod o= {file}" in caplog.text


def test_keys_are_never_logged_or_shown(file: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    keys = Keys(file)
    file.write_text(f"alice:{ALICE}\n{CAROL} {BOB}\n")
    passes_a_second(keys)
    with pytest.raises(Unauthorized) as raised:
        keys.client(b"", CAROL.encode())
    shown = caplog.text + str(raised.value) + repr(keys) + repr(vars(keys))
    assert not any(key in shown for key in (ALICE, BOB, CAROL))


def test_a_client_has_so_many_requests_at_once() -> None:
    limit = ClientLimit(2)
    limit.enter("alice")
    limit.enter("alice")
    limit.enter("bob")
    with pytest.raises(TooManyRequests, match="2 requests under way; at most 2"):
        limit.enter("alice")
    limit.leave("alice")
    limit.enter("alice")
    for client in ("alice", "alice", "bob"):
        limit.leave(client)
    assert len(limit) == 0, "nobody is remembered"


@given(st.lists(st.integers(0, 3)))
def test_a_limit_counts_what_is_under_way(steps: list[int]) -> None:
    limit, under_way = ClientLimit(3), [0, 0]
    for step in steps:
        client = step % 2
        if step < 2 and under_way[client] < 3:
            limit.enter(str(client))
            under_way[client] += 1
        elif step >= 2 and under_way[client]:
            limit.leave(str(client))
            under_way[client] -= 1
    assert len(limit) == sum(1 for count in under_way if count)


def test_probes_need_no_key() -> None:
    assert {"/livez", "/readyz", "/healthz", "/v2/health/live", "/v2/health/ready"} == module.OPEN_PATHS
