"""What all tests share."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, settings

# A machine that is shared may be slow, which says nothing of what is tested.
settings.register_profile("shared", suppress_health_check=[HealthCheck.too_slow], deadline=None)
settings.load_profile("shared")


@pytest.fixture(scope="session", autouse=True)
def _state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What this user's own hosts have learnt is not used, and nothing is added to it, in subprocesses too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JOULEBOX_STATE", str(tmp_path_factory.mktemp("state")))
        yield


@pytest.fixture(scope="session")
def onnx_models() -> ModuleType:
    """`tests/onnx_models.py`: functions that write models of many kinds. It needs `onnx`, so tests of the device read files."""
    spec = importlib.util.spec_from_file_location("onnx_models", Path(__file__).with_name("onnx_models.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
