"""Who may change the server is the same whatever a client speaks."""

from __future__ import annotations

from typing import Any

import pytest

from joulebox.access.control import Control
from joulebox.runtime.errors import Forbidden


@pytest.mark.parametrize(
    ("repository", "keyed", "local", "may"),
    [
        ("local", False, True, True),
        ("local", False, False, False),
        ("local", True, False, False),
        ("keyed", True, False, True),
        ("keyed", False, True, False),
        ("off", True, True, False),
    ],
)
def test_models_are_loaded_by_whom_the_setting_names(repository: Any, keyed: bool, local: bool, may: bool) -> None:
    control = Control(repository, keyed=keyed)
    if may:
        control.check_repository(local=local)
    else:
        with pytest.raises(Forbidden, match=r"repository|models are loaded"):
            control.check_repository(local=local)


def test_shared_memory_is_for_this_machine_with_a_key_too() -> None:
    control = Control("keyed", keyed=True)
    control.check_local("shared memory", local=True)
    with pytest.raises(Forbidden, match="own machine"):
        control.check_local("shared memory", local=False)
