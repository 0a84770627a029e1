"""Who is on this machine, and what the settings let others do."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from joulebox.access import Access
from joulebox.access.keys import Keys
from joulebox.grpc.callers import Caller, Callers, address, is_local
from joulebox.runtime.errors import Forbidden
from joulebox.runtime.settings import load_settings

KEYS = Keys(listed="camera:" + "k" * 32)
NEAR, FAR = "ipv4:127.0.0.1:4711", "ipv4:192.0.2.7:4711"


@pytest.mark.parametrize("peer", [NEAR, "ipv4:127.8.8.8:1", "ipv6:[::1]:1", "ipv6:%5B::1%5D:1", "unix:/run/x", "unix:"])
def test_local(peer: str) -> None:
    assert is_local(peer)


@pytest.mark.parametrize(
    "peer", [FAR, "ipv4:12.7.0.1:1", "ipv6:[::12]:1", "ipv6:%5B2001:db8::1%5D:1", "ipv6:[::ffff:192.0.2.7]:1", ""]
)
def test_not_local(peer: str) -> None:
    assert not is_local(peer)


def test_a_client_is_its_address_without_the_port() -> None:
    assert address(FAR) == "ipv4:192.0.2.7"
    assert address("ipv6:[::1]:4711") == "ipv6:[::1]"
    assert address("unix") == "unix"


def rules(keys: Any = None, **variables: str) -> Callers:
    settings = load_settings({f"JOULEBOX_{name}": value for name, value in variables.items()}, Path("/nowhere"))
    return Callers(settings, Access(keys))


def caller(peer: str) -> Caller:
    return Caller(SimpleNamespace(peer=lambda: peer), "/service/method", {}, b"id", 0.0, "")


def test_energy_is_told_on_this_machine_or_where_it_is_exposed() -> None:
    assert rules().may_know_energy(caller(NEAR))
    assert not rules().may_know_energy(caller(FAR))
    assert rules(EXPOSE_ENERGY="1").may_know_energy(caller(FAR))


@pytest.mark.parametrize(
    ("control", "keys", "peer", "may"),
    [
        ("local", None, NEAR, True),
        ("local", None, FAR, False),
        ("local", KEYS, FAR, False),
        ("keyed", KEYS, FAR, True),
        ("keyed", None, NEAR, False),
        ("off", KEYS, NEAR, False),
    ],
)
def test_who_may_load_and_unload(control: str, keys: Any, peer: str, may: bool) -> None:
    access = rules(keys, REPOSITORY_CONTROL=control)
    if may:
        access.control.check_repository(local=caller(peer).local)
        return
    with pytest.raises(Forbidden):
        access.control.check_repository(local=caller(peer).local)


def test_shared_memory_is_for_this_machine() -> None:
    rules().control.check_local("shared memory", local=caller(NEAR).local)
    with pytest.raises(Forbidden, match="shared memory is for clients on the server's own machine"):
        rules().control.check_local("shared memory", local=caller(FAR).local)
