"""Plain curl, for those who have nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

CURL = shutil.which("curl")
pytestmark = pytest.mark.skipif(CURL is None, reason="curl is not installed")
IMAGE = np.arange(16, dtype=np.float32)
SUMS = [45.0, 35.0, 40.0]
SIZE = "Inference-Header-Content-Length"


@pytest.fixture(scope="module")
def request_file(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """A request with its tensor behind, and how long its JSON is."""
    tensor = {
        "name": "image",
        "shape": [1, 1, 4, 4],
        "datatype": "FP32",
        "parameters": {"binary_data_size": IMAGE.nbytes},
    }
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    file = tmp_path_factory.mktemp("curl") / "request"
    file.write_bytes(head + IMAGE.tobytes())
    return file, len(head)


def curl(*arguments: str) -> list[tuple[int, dict[str, str], bytes]]:
    """Status, headers and body of each answer, 100 included."""
    done = subprocess.run([str(CURL), "-sS", "-i", "--max-time", "20", *arguments], capture_output=True, check=True)
    answers: list[tuple[int, dict[str, str], bytes]] = []
    rest = done.stdout
    while rest:
        head, _, rest = rest.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        size = int(headers.get("content-length", 0))
        answers.append((int(first.split()[1]), headers, rest[:size]))
        rest = rest[size:]
    return answers


def check(answer: tuple[int, dict[str, str], bytes]) -> None:
    status, headers, body = answer
    assert status == 200, body
    assert headers["content-type"] == "application/octet-stream"
    size = int(headers[SIZE.lower()])
    (output,) = json.loads(body[:size])["outputs"]
    assert output["parameters"] == {"binary_data_size": 12}
    assert np.frombuffer(body[size:], np.float32).tolist() == SUMS


def test_a_binary_request(server: str, request_file: tuple[Path, int]) -> None:
    file, size = request_file
    sent = ["-H", f"{SIZE}: {size}", "--data-binary", f"@{file}", f"{server}/v2/models/tiny/infer"]
    check(curl(*sent)[0])
    check(curl("-H", "Transfer-Encoding: chunked", *sent)[0])
    check(curl("--http1.0", *sent)[0])
    check(curl("--http2", *sent)[-1])
    first, second = curl("-H", "Expect: 100-continue", *sent)
    assert first[0] == 100
    check(second)


def test_the_tensor_alone(server: str, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    raw.write_bytes(IMAGE.tobytes())
    check(curl("-H", f"{SIZE}: 0", "--data-binary", f"@{raw}", f"{server}/v2/models/tiny/infer")[0])


def test_json(server: str) -> None:
    tensor: dict[str, Any] = {"name": "image", "shape": [1, 1, 4, 4], "datatype": "FP32", "data": IMAGE.tolist()}
    ((status, headers, body),) = curl("-d", json.dumps({"inputs": [tensor]}), f"{server}/v2/models/tiny/infer")
    assert status == 200
    assert SIZE.lower() not in headers
    assert json.loads(body)["outputs"][0]["data"] == SUMS


def test_compressed(server: str, request_file: tuple[Path, int], tmp_path: Path) -> None:
    file, size = request_file
    packed = tmp_path / "packed.gz"
    packed.write_bytes(subprocess.run(["gzip", "-c", str(file)], capture_output=True, check=True).stdout)
    sent = ["-H", f"{SIZE}: {size}", "--data-binary", f"@{packed}", f"{server}/v2/models/tiny/infer"]
    check(curl("-H", "Content-Encoding: gzip", *sent)[0])
    status, _, body = curl("-H", "Content-Encoding: br", *sent)[0]
    assert (status, b"expected gzip or deflate" in body) == (415, True)


def test_head_and_health(server: str) -> None:
    assert curl(f"{server}/v2/health/ready")[0][0] == 200
    done = subprocess.run([str(CURL), "-sS", "-I", f"{server}/v2/health/live"], capture_output=True, check=True)
    assert done.stdout.startswith(b"HTTP/1.1 200 OK")
