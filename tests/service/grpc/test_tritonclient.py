"""Triton's own client, unchanged, over gRPC: sync, asyncio and streams."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Iterator
from multiprocessing.shared_memory import SharedMemory
from typing import Any

import numpy as np
import pytest

triton = pytest.importorskip("tritonclient.grpc")
triton_aio = pytest.importorskip("tritonclient.grpc.aio")
utils = pytest.importorskip("tritonclient.utils")

IMAGE = np.arange(32, dtype=np.float32).reshape(2, 1, 4, 4)
LOGITS = IMAGE.reshape(2, 16) @ np.eye(3, dtype=np.float32)[np.arange(16) % 3]


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton.InferenceServerClient(address) as client:
        yield client


def given(name: str, array: np.ndarray, module: Any = triton) -> Any:
    tensor = module.InferInput(name, list(array.shape), utils.np_to_triton_dtype(array.dtype))
    tensor.set_data_from_numpy(array)
    return tensor


def test_the_server_says_what_it_is(client: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    metadata = client.get_server_metadata()
    assert metadata.name == "joulebox"
    assert {"model_repository", "statistics", "classification"} <= set(metadata.extensions)


def test_a_model_says_what_it_takes(client: Any) -> None:
    assert client.is_model_ready("tiny")
    assert not client.is_model_ready("nothing")
    metadata = client.get_model_metadata("tiny", as_json=True)
    assert metadata["inputs"] == [{"name": "image", "datatype": "FP32", "shape": ["-1", "1", "4", "4"]}]
    config = client.get_model_config("tiny").config
    assert [tensor.name for tensor in config.input] == ["image"]
    assert list(config.output[0].dims) == [3]
    assert config.output[0].data_type == 11  # TYPE_FP32


def test_tensors_go_in_and_come_out(client: Any) -> None:
    version = client.get_model_metadata("tiny").versions[0]
    asked = client.infer("tiny", [given("image", IMAGE)], model_version=version, request_id="seven")
    np.testing.assert_allclose(asked.as_numpy("logits"), LOGITS)
    response = asked.get_response()
    assert (response.id, response.model_name, response.model_version) == ("seven", "tiny", version)
    assert response.parameters["energy_source"].string_param


def test_a_model_of_several_inputs_one_of_rank_0_with_free_dimensions(client: Any) -> None:
    inputs = [
        given("input", np.full((1, 9), 0.5, np.float32)),
        given("state", np.zeros((2, 1, 4), np.float32)),
        given("sr", np.array(16000, np.int64)),
    ]
    answer = client.infer("state", inputs, outputs=[triton.InferRequestedOutput("stateN")])
    np.testing.assert_allclose(answer.as_numpy("stateN"), np.full((2, 1, 4), 0.5))
    assert answer.as_numpy("output") is None


def test_strings_go_in_and_come_out(client: Any) -> None:
    texts = np.array(["red", "Jäger"], np.object_)
    answer = client.infer("strings", [given("text", texts), given("suffix", np.array(["!", "–Σ"], np.object_))])
    assert [text.decode() for text in answer.as_numpy("joined")] == ["red!", "Jäger–Σ"]
    assert answer.as_numpy("id").tolist() == [0, -1]


def test_the_best_classes_instead_of_the_values(client: Any) -> None:
    outputs = [triton.InferRequestedOutput("logits", class_count=2)]
    answer = client.infer("tiny", [given("image", IMAGE)], outputs=outputs)
    best = [text.decode() for text in answer.as_numpy("logits")[0]]
    assert best == [f"{LOGITS[0, 0]:f}:0:red", f"{LOGITS[0, 2]:f}:2:blue"]


def test_statistics_count_what_was_asked(client: Any) -> None:
    before = client.get_inference_statistics("strings").model_stats[0]
    texts = np.array(["red", "green", "blue"], np.object_)
    client.infer("strings", [given("text", texts), given("suffix", texts)])
    after = client.get_inference_statistics("strings").model_stats[0]
    assert after.inference_count - before.inference_count == 3
    assert after.inference_stats.success.count - before.inference_stats.success.count == 1
    assert len(client.get_inference_statistics().model_stats) == 4


def test_a_model_is_taken_out_and_brought_back(client: Any) -> None:
    client.unload_model("datatypes")
    assert not client.is_model_ready("datatypes")
    states = {model.name: model.state for model in client.get_model_repository_index().models}
    assert states["datatypes"] == "UNAVAILABLE"
    assert states["tiny"] == "READY"
    client.load_model("datatypes")
    assert client.is_model_ready("datatypes")
    with pytest.raises(utils.InferenceServerException, match=r"NOT_FOUND.*failed to load 'nothing'"):
        client.load_model("nothing")


def test_frames_are_handed_over_in_shared_memory(client: Any) -> None:
    size = IMAGE.nbytes
    memory = SharedMemory(create=True, size=size + 64)
    try:
        memory.buf[:size] = IMAGE.tobytes()
        client.register_system_shared_memory("frames", memory.name, size + 64)
        assert client.get_system_shared_memory_status("frames").regions["frames"].key == memory.name
        tensor = triton.InferInput("image", list(IMAGE.shape), "FP32")
        tensor.set_shared_memory("frames", size)
        output = triton.InferRequestedOutput("logits")
        output.set_shared_memory("frames", LOGITS.nbytes, size)
        response = client.infer("tiny", [tensor], outputs=[output]).get_response()
        assert list(response.raw_output_contents) == [b""]
        assert response.outputs[0].parameters["shared_memory_byte_size"].int64_param == LOGITS.nbytes
        assert bytes(memory.buf[size : size + LOGITS.nbytes]) == LOGITS.tobytes()
        with pytest.raises(utils.InferenceServerException, match="ALREADY_EXISTS"):
            client.register_system_shared_memory("frames", memory.name, size)
        client.unregister_system_shared_memory("frames")
        with pytest.raises(utils.InferenceServerException, match="Unable to find shared memory region: 'frames'"):
            client.infer("tiny", [tensor])
    finally:
        memory.close()
        memory.unlink()


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.get_cuda_shared_memory_status(),
        lambda client: client.get_trace_settings(),
        lambda client: client.get_log_settings(),
    ],
)
def test_what_is_not_done_says_so(client: Any, ask: Any) -> None:
    with pytest.raises(utils.InferenceServerException, match=r"UNIMPLEMENTED\].*not supported by this server"):
        ask(client)


@pytest.mark.parametrize("algorithm", ["gzip", "deflate"])
def test_requests_may_be_compressed(client: Any, algorithm: str) -> None:
    answer = client.infer("tiny", [given("image", IMAGE)], compression_algorithm=algorithm)
    np.testing.assert_allclose(answer.as_numpy("logits"), LOGITS)


def test_callbacks(client: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    for _ in range(8):
        client.async_infer("tiny", [given("image", IMAGE)], lambda result, error: answers.put((result, error)))
    for _ in range(8):
        result, error = answers.get(timeout=20)
        assert error is None
        np.testing.assert_allclose(result.as_numpy("logits"), LOGITS)


def test_a_stream_answers_in_order_and_goes_on_after_an_error(client: Any) -> None:
    answers: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: answers.put((result, error)))
    sizes = [1, 3, 2, 5, 1, 4] * 10
    for number, size in enumerate(sizes):
        batch = np.full((size, 1, 4, 4), number, np.float32)
        name = "nothing" if number == 4 else "tiny"
        client.async_stream_infer(
            name, [given("image", batch)], request_id=str(number), enable_empty_final_response=True
        )
    for number, size in enumerate(sizes):
        result, error = answers.get(timeout=20)
        if number == 4:
            assert "Request for unknown model: 'nothing'" in str(error)
            continue
        assert error is None
        response = result.get_response()
        assert response.id == str(number)
        assert response.parameters["triton_final_response"].bool_param
        np.testing.assert_allclose(result.as_numpy("logits")[:, 0], np.full(size, 6.0 * number))
    client.stop_stream()
    assert answers.empty()


def test_a_stream_of_more_than_is_held_at_once(client: Any) -> None:
    count, done = 300, threading.Event()
    answered: list[str] = []

    def note(result: Any, error: Any) -> None:
        answered.append("failed" if error else result.get_response().id)
        if len(answered) == count:
            done.set()

    client.start_stream(note)
    for number in range(count):
        client.async_stream_infer("tiny", [given("image", IMAGE)], request_id=str(number))
    assert done.wait(30)
    client.stop_stream()
    assert answered == [str(number) for number in range(count)]


def test_asyncio(address: str) -> None:
    async def ask() -> None:
        async with triton_aio.InferenceServerClient(address) as client:
            assert await client.is_model_ready("tiny")
            answers = await asyncio.gather(
                *(client.infer("tiny", [given("image", IMAGE, triton_aio)]) for _ in range(20))
            )
            for answer in answers:
                np.testing.assert_allclose(answer.as_numpy("logits"), LOGITS)

            async def requests() -> Any:
                for number in range(5):
                    inputs = [given("image", IMAGE, triton_aio)]
                    yield {"model_name": "tiny", "inputs": inputs, "request_id": str(number)}

            ids = [result.get_response().id async for result, error in client.stream_infer(requests()) if error is None]
            assert ids == ["0", "1", "2", "3", "4"]

    asyncio.run(ask())
