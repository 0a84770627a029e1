"""`tritonclient.http`, as it is, against the real server: each call, each way of sending a tensor, each text that users know."""

from __future__ import annotations

import asyncio
import sys
import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.resources import files
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from joulebox.engine.datatypes import NUMPY
from joulebox.package import write_package
from servers import serving

http = pytest.importorskip("tritonclient.http", reason="tritonclient is not installed")
utils = pytest.importorskip("tritonclient.utils")

IMAGES = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4)
SUMS = [[45.0, 35.0, 40.0], [141.0, 115.0, 120.0]]
TEXTS = np.array([["", "Jäger–Σ"]], object)


@pytest.fixture(scope="module")
def address(tiny: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a server with models of five kinds."""
    folder = tmp_path_factory.mktemp("packages")
    every = {each: np.array([[0, 1]]).astype(dtype) for each, dtype in NUMPY.items() if each != "BYTES"}
    texts = {"BYTES": TEXTS.astype("U")}
    packages = [
        write_package(folder / "tiny", tiny.fields(), tiny.files(), {}),
        tiny.state_package(folder / "state"),
        tiny.strings_package(folder / "strings"),
        tiny.external_package(folder / "external"),
        tiny.packed(
            folder / "datatypes",
            "datatypes",
            {f"in_{each}": array for each, array in (every | texts).items()},
            {f"out_{each}": array for each, array in (every | texts).items()},
            inputs=[tiny.spec(f"in_{each}", each, -1, 2) for each in every | texts],
            outputs=[tiny.spec(f"out_{each}", each, -1, 2) for each in every | texts],
        ),
    ]
    environment = {"JOULEBOX_SHARED_MEMORY": "1"}
    with serving(*(folder / package.manifest.name for package in packages), environment=environment) as url:
        yield url.removeprefix("http://")


@pytest.fixture
def client(address: str) -> Iterator[Any]:
    with http.InferenceServerClient(address, concurrency=4) as made:
        yield made


def tensor(name: str, array: np.ndarray, *, binary: bool = True) -> Any:
    made = http.InferInput(name, list(array.shape), utils.np_to_triton_dtype(array.dtype))
    made.set_data_from_numpy(array, binary_data=binary)
    return made


def image(array: np.ndarray = IMAGES, *, binary: bool = True) -> Any:
    return tensor("image", array, binary=binary)


# what there is


def test_health_and_metadata(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.get_server_metadata()["name"] == "joulebox"
    assert "system_shared_memory" in client.get_server_metadata()["extensions"]
    metadata = client.get_model_metadata("tiny")
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": [-1, 1, 4, 4]}]
    (version,) = metadata["versions"]
    assert client.get_model_metadata("tiny", version) == metadata
    assert client.is_model_ready("tiny")
    assert client.is_model_ready("tiny", version)
    assert not client.is_model_ready("none")
    assert not client.is_model_ready("tiny", "9")


def test_configuration(client: Any) -> None:
    config = client.get_model_config("tiny")
    assert config["max_batch_size"] >= 1
    assert config["input"] == [{"name": "image", "data_type": "TYPE_FP32", "dims": [1, 4, 4]}]
    config = client.get_model_config("state")
    assert config["max_batch_size"] == 0
    assert [each["dims"] for each in config["input"]] == [[-1, -1], [2, -1, 4], []]
    strings = client.get_model_config("strings")
    assert {each["data_type"] for each in strings["input"]} == {"TYPE_STRING"}


def test_statistics_count_what_was_done(client: Any) -> None:
    def stats() -> dict[str, Any]:
        (found,) = client.get_inference_statistics("tiny")["model_stats"]
        return found

    before = stats()
    for _ in range(3):
        client.infer("tiny", [image()])
    after = stats()
    assert after["inference_count"] - before["inference_count"] == 6, "items"
    assert after["execution_count"] - before["execution_count"] == 3
    success, earlier = after["inference_stats"]["success"], before["inference_stats"]["success"]
    assert success["count"] - earlier["count"] == 3
    assert success["ns"] > earlier["ns"]
    assert after["last_inference"] > 1.7e12
    with pytest.raises(utils.InferenceServerException):
        client.infer("tiny", [image(IMAGES[:, :, :3])])
    assert stats()["inference_stats"]["fail"]["count"] - after["inference_stats"]["fail"]["count"] == 1
    assert {each["name"] for each in client.get_inference_statistics()["model_stats"]} >= {"tiny", "state"}


def test_models_are_listed_unloaded_and_loaded(client: Any) -> None:
    def states() -> dict[str, str]:
        return {entry["name"]: entry["state"] for entry in client.get_model_repository_index()}

    assert states() == dict.fromkeys(["tiny", "state", "strings", "external", "datatypes"], "READY")
    client.unload_model("external")
    assert states()["external"] == "UNAVAILABLE"
    assert not client.is_model_ready("external")
    with pytest.raises(utils.InferenceServerException, match="unknown model: 'external' is not found") as caught:
        client.infer("external", [tensor("x", np.zeros((1, 16), np.float32))])
    assert caught.value.status() == "404"
    with pytest.raises(utils.InferenceServerException, match="failed to unload 'external'"):
        client.unload_model("external")
    client.load_model("external")
    client.load_model("external")
    assert states()["external"] == "READY"
    assert client.infer("external", [tensor("x", np.eye(16, dtype=np.float32))]).as_numpy("y").shape == (16, 8)
    with pytest.raises(utils.InferenceServerException, match="no package of that name is configured"):
        client.load_model("none")
    with pytest.raises(utils.InferenceServerException, match="a model package is sealed"):
        client.load_model("tiny", config="{}")


# tensors


@pytest.mark.parametrize("sent", [True, False])
@pytest.mark.parametrize("wanted", [True, False])
def test_tensors_go_either_way_as_bytes_or_json(client: Any, sent: bool, wanted: bool) -> None:
    outputs = [http.InferRequestedOutput("logits", binary_data=wanted)]
    result = client.infer("tiny", [image(binary=sent)], outputs=outputs, request_id="a-7")
    assert result.as_numpy("logits").tolist() == SUMS
    response = result.get_response()
    assert response["id"] == "a-7"
    assert response["model_name"] == "tiny"
    assert ("data" in response["outputs"][0]) is not wanted
    assert client.infer("tiny", [image(binary=sent)]).as_numpy("logits").tolist() == SUMS, "all outputs, raw"


@pytest.mark.parametrize("binary", [True, False])
def test_every_datatype_goes_through(client: Any, binary: bool) -> None:
    given = {each: np.array([[0, 1], [1, 0]]).astype(dtype) for each, dtype in NUMPY.items()}
    given["BYTES"] = np.array([["", "Jäger–Σ"], ["a", "b"]], object)
    inputs = [
        tensor(f"in_{each}", array, binary=binary or each == "FP16")  # the client takes no FP16 as JSON
        for each, array in given.items()
    ]
    outputs = [http.InferRequestedOutput(f"out_{each}", binary_data=binary or each == "FP16") for each in given]
    result = client.infer("datatypes", inputs, outputs=outputs)
    for name, array in given.items():
        found = result.as_numpy(f"out_{name}")
        if name == "BYTES":
            found = np.vectorize(lambda each: each.decode() if isinstance(each, bytes) else each, otypes=[object])(
                found
            )
        assert found.dtype == array.dtype
        assert found.tolist() == array.tolist()


def test_several_inputs_a_rank_of_zero_and_free_dimensions(client: Any) -> None:
    for batch, samples in ((1, 6), (3, 11)):
        inputs = [
            tensor("input", np.full((batch, samples), 0.5, np.float32)),
            tensor("state", np.zeros((2, batch, 4), np.float32), binary=False),
            tensor("sr", np.array(16000)),
        ]
        result = client.infer("state", inputs)
        assert result.as_numpy("output").shape == (batch, 1)
        assert result.as_numpy("stateN").shape == (2, batch, 4)
        only = client.infer("state", inputs, outputs=[http.InferRequestedOutput("stateN")])
        assert [output["name"] for output in only.get_response()["outputs"]] == ["stateN"]


def test_strings(client: Any) -> None:
    text, suffix = np.array(["red", "Jäger"], object), np.array([b"", "–Σ".encode()], object)
    for binary in (True, False):
        result = client.infer("strings", [tensor("text", text, binary=binary), tensor("suffix", suffix)])
        assert [each.decode() for each in result.as_numpy("joined")] == ["red", "Jäger–Σ"]
        assert result.as_numpy("id").tolist() == [0, -1]


def test_best_classes_instead_of_values(client: Any) -> None:
    for binary in (True, False):
        outputs = [http.InferRequestedOutput("logits", binary_data=binary, class_count=2)]
        result = client.infer("tiny", [image()], outputs=outputs)
        found = [
            [str(each, "utf-8") if isinstance(each, bytes) else each for each in row]
            for row in result.as_numpy("logits")
        ]
        assert found == [["45.000000:0:red", "40.000000:2:blue"], ["141.000000:0:red", "120.000000:2:blue"]]


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_bodies_are_compressed_either_way(client: Any, algorithm: str) -> None:
    many = np.tile(IMAGES, (200, 1, 1, 1))
    for binary in (True, False):
        result = client.infer(
            "tiny",
            [image(many, binary=binary)],
            outputs=[http.InferRequestedOutput("logits", binary_data=binary)],
            request_compression_algorithm=algorithm,
            response_compression_algorithm=algorithm,
        )
        assert result.as_numpy("logits").tolist() == SUMS * 200


def test_requests_go_out_at_once(client: Any) -> None:
    under_way = [client.async_infer("tiny", [image()], request_id=str(number)) for number in range(40)]
    results = [request.get_result() for request in under_way]
    assert [result.get_response()["id"] for result in results] == [str(number) for number in range(40)]


def test_a_deadline_is_in_microseconds(client: Any) -> None:
    assert client.infer("tiny", [image()], timeout=5_000_000).as_numpy("logits").tolist() == SUMS
    slow = np.zeros((150_000, 1, 4, 4), np.float32)
    with pytest.raises(utils.InferenceServerException, match=r"Request timeout expired|deadline"):
        client.infer("tiny", [image(slow)], timeout=1)
    with pytest.raises(utils.InferenceServerException, match="expected microseconds"):
        client.infer("tiny", [image()], timeout=-5)


# errors


def test_the_texts_that_users_know(client: Any) -> None:
    def refused(match: str, model: str = "tiny", inputs: Any = None, **more: Any) -> None:
        with pytest.raises(utils.InferenceServerException, match=match) as caught:
            client.infer(model, inputs if inputs is not None else [image()], **more)
        assert caught.value.status() in {"400", "404"}

    refused("Request for unknown model: 'none' is not found", "none")
    refused("unexpected inference input 'x' for model 'tiny'", inputs=[tensor("x", IMAGES)])
    refused("unexpected inference output 'x' for model 'tiny'", outputs=[http.InferRequestedOutput("x")])
    refused(
        r"unexpected shape for input 'image' for model 'tiny'. Expected \[-1,1,4,4\], got \[2,1,4,3\]",
        inputs=[image(IMAGES[..., :3])],
    )
    refused("data-type is 'INT64', but model 'tiny' expects 'FP32'", inputs=[image(IMAGES.astype(np.int64))])
    refused("expected 3 inputs but got 1 inputs", "state", [tensor("sr", np.array(1))])
    refused(
        "different batch sizes",
        "strings",
        [tensor("text", np.array(["a"], object)), tensor("suffix", np.array(["a", "b"], object))],
    )
    refused("holds nothing", inputs=[image(IMAGES[:0])])
    assert client.infer("tiny", [image()]).as_numpy("logits").tolist() == SUMS


# shared memory


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The client's library for shared memory, which looks itself up in what setuptools no longer has."""
    names = SimpleNamespace(resource_filename=lambda _, file: str(files("tritonclient") / "utils/shared_memory" / file))
    monkeypatch.setitem(sys.modules, "pkg_resources", names)
    return pytest.importorskip("tritonclient.utils.shared_memory")


def test_tensors_lie_in_shared_memory(client: Any, memory: Any) -> None:
    key = f"/joulebox-test-{uuid.uuid4().hex}"
    with ExitStack() as stack:
        handle = memory.create_shared_memory_region("region", key, 1024)
        stack.callback(memory.destroy_shared_memory_region, handle)
        memory.set_shared_memory_region(handle, [IMAGES])
        client.register_system_shared_memory("region", key, 1024)
        stack.callback(client.unregister_system_shared_memory)
        (status,) = client.get_system_shared_memory_status()
        assert status == {"name": "region", "key": key, "offset": 0, "byte_size": 1024}
        given = http.InferInput("image", [2, 1, 4, 4], "FP32")
        given.set_shared_memory("region", IMAGES.nbytes)
        wanted = http.InferRequestedOutput("logits")
        wanted.set_shared_memory("region", 24, offset=512)
        result = client.infer("tiny", [given], outputs=[wanted])
        assert result.get_output("logits")["parameters"]["shared_memory_region"] == "region"
        assert memory.get_contents_as_numpy(handle, np.float32, [2, 3], offset=512).tolist() == SUMS
        assert client.infer("tiny", [given]).as_numpy("logits").tolist() == SUMS
        wanted.set_shared_memory("region", 23, offset=512)
        with pytest.raises(utils.InferenceServerException, match="should be at least 24 bytes"):
            client.infer("tiny", [image()], outputs=[wanted])
        given.set_shared_memory("region", IMAGES.nbytes, offset=1000)
        with pytest.raises(utils.InferenceServerException):
            client.infer("tiny", [given])
        with pytest.raises(utils.InferenceServerException, match="already in manager"):
            client.register_system_shared_memory("region", key, 1024)
        client.unregister_system_shared_memory("region")
        assert client.get_system_shared_memory_status() == []
        with pytest.raises(utils.InferenceServerException, match="Unable to find shared memory region: 'region'"):
            client.infer("tiny", [given])


# the same with asyncio


def test_asyncio(address: str) -> None:
    aio = pytest.importorskip("tritonclient.http.aio")

    async def ask() -> None:
        async with aio.InferenceServerClient(address) as client:
            assert await client.is_server_ready()
            assert (await client.get_model_metadata("tiny"))["name"] == "tiny"
            assert len(await client.get_model_repository_index()) == 5
            asked = [client.infer("tiny", [image(binary=bool(each % 2))], request_id=str(each)) for each in range(20)]
            for each, result in enumerate(await asyncio.gather(*asked)):
                assert result.as_numpy("logits").tolist() == SUMS
                assert result.get_response()["id"] == str(each)
            many = image(np.tile(IMAGES, (200, 1, 1, 1)))
            for algorithm in ("gzip", "deflate"):  # of answers: of requests, this client fails before it sends them
                result = await client.infer("tiny", [many], response_compression_algorithm=algorithm)
                assert result.as_numpy("logits").tolist() == SUMS * 200
            with pytest.raises(utils.InferenceServerException, match="unknown model"):
                await client.infer("none", [image()])

    asyncio.run(ask())
