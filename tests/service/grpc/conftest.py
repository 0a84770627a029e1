"""A real server with a gRPC port, and models of several kinds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from joulebox.engine.datatypes import NUMPY
from joulebox.grpc import messages
from joulebox.package import write_package
from servers import free_port, serving

Serve = Callable[..., AbstractContextManager[str]]


def datatypes_package(tiny: Any, out: Path) -> None:
    """`datatypes.onnx`: each datatype unchanged, of shape [batch, 2]."""
    names = [name for name in NUMPY if name != "BYTES"]
    given = {f"in_{name}": np.ones((1, 2), NUMPY[name]) for name in names}
    expected = {f"out_{name}": np.ones((1, 2), NUMPY[name]) for name in names}
    given["in_BYTES"], expected["out_BYTES"] = np.array([["a", "b"]]), np.array([["a", "b"]])
    tiny.packed(
        out,
        "datatypes",
        given,
        expected,
        inputs=[tiny.spec(name, name.removeprefix("in_"), -1, 2) for name in given],
        outputs=[tiny.spec(name, name.removeprefix("out_"), -1, 2) for name in expected],
    )


@pytest.fixture(scope="session")
def packages(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("packages")
    write_package(folder / "tiny", tiny.fields(), tiny.files(), {})
    tiny.state_package(folder / "state")
    tiny.strings_package(folder / "strings")
    datatypes_package(tiny, folder / "datatypes")
    return [folder / name for name in ("tiny", "state", "strings", "datatypes")]


@pytest.fixture(scope="session")
def serve() -> Serve:
    """`with serve(package, …, VARIABLE=value) as address:` a server; the address is that of its gRPC port."""

    @contextmanager
    def serve(*packages: Path, **environment: str) -> Iterator[str]:
        port = free_port()
        named = {f"JOULEBOX_{name}": value for name, value in environment.items()}
        with serving(*packages, environment={"JOULEBOX_GRPC_PORT": str(port), **named}):
            yield f"127.0.0.1:{port}"

    return serve


@pytest.fixture(scope="session")
def address(serve: Serve, packages: list[Path]) -> Iterator[str]:
    """A server of all packages."""
    with serve(*packages, SHARED_MEMORY="1", BODY_BYTES_MAX="1048576", BODY_TIMEOUT_S="1") as address:
        yield address


class Client:
    """The protocol's methods with our own messages, for what Triton's client does not let a caller say."""

    def __init__(self, address: str) -> None:
        self.channel: Any = grpc.insecure_channel(address)

    def call(self, method: str, request: Any, answer: Any, **options: Any) -> Any:
        path = f"/{messages.INFERENCE_SERVICE}/{method}"
        done = self.channel.unary_unary(path, type(request).SerializeToString, answer.FromString)
        return done(request, **{"timeout": 20, **options})

    def infer(self, request: Any, **options: Any) -> Any:
        return self.call("ModelInfer", request, messages.ModelInferResponse, **options)

    def refused(self, request: Any, **options: Any) -> tuple[str, str]:
        """The code and the text that a request for inference is refused with."""
        with pytest.raises(grpc.RpcError) as caught:
            self.infer(request, **options)
        return caught.value.code().name, caught.value.details()


@pytest.fixture(scope="session")
def client(address: str) -> Iterator[Client]:
    client = Client(address)
    yield client
    client.channel.close()


@pytest.fixture(scope="session")
def connect() -> Callable[[str], Client]:
    return Client
