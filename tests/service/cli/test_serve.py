"""`joulebox serve`, as an operator meets it."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from joulebox.package import Package, write_package
from servers import JOULEBOX, free_port, running, serving, wait_until


def joulebox(*arguments: object, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [*JOULEBOX, *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=60, env={**os.environ, **environment}, check=False
    )


def test_a_port_in_use_is_said_before_anything_starts(package: Package) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        done = joulebox("serve", package.folder, "--port", other.getsockname()[1])
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "in use" in done.stderr


def test_a_package_that_is_not_there_is_named(tmp_path: Path) -> None:
    done = joulebox("serve", tmp_path / "nothing")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert "is no model package" in done.stderr


def test_a_changed_package_is_refused(package: Package) -> None:
    file = package.folder / "golden.npz"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    for command in ("serve", "verify"):
        done = joulebox(command, package.folder)
        assert done.returncode == 2
        assert "changed" in done.stderr


def test_a_wrong_setting_is_refused(package: Package) -> None:
    assert "JOULEBOX_CPU_WATTS" in joulebox("serve", package.folder, JOULEBOX_CPU_WATTS="lots").stderr
    assert "JOULEBOX_QUEUE_SIZE" in joulebox("serve", package.folder, JOULEBOX_QUEUE_SIZE="lots").stderr


def test_a_wrong_energy_budget_is_one_line(package: Package) -> None:
    done = joulebox("serve", package.folder, JOULEBOX_ENERGY_BUDGETS="tiny=2mJ,tiny=lots")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(
        "error: JOULEBOX_ENERGY_BUDGETS='tiny=2mJ,tiny=lots': 'tiny=lots' is no energy budget"
    )
    assert "expected NAME=2mJ (joules per inference)" in done.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--workers", "0"], "JOULEBOX_WORKERS='0'"),
        (["--grpc-port", "70000"], "JOULEBOX_GRPC_PORT='70000'"),
        (["--repository-control", "all"], "'local', 'keyed' or 'off'"),
        (["--repository", "none"], "a folder of packages"),
        (["--api-keys-file", "none"], "cannot be read from none"),
        (["--log-format", "xml"], "'text' or 'json'"),
    ],
)
def test_a_wrong_option_is_one_line(package: Package, options: list[str], said: str) -> None:
    done = joulebox("serve", package.folder, *options)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert said in done.stderr


def test_an_engine_that_cannot_serve_is_no_reason_to_take_another_where_it_is_asked_for(
    tmp_path: Path, tiny: Any
) -> None:
    newer = {**tiny.variant("cpu-fp32", "fp32", "variants/cpu-fp32.onnx"), "engine_version_min": "99.0"}
    package = write_package(tmp_path / "newer", tiny.fields(variants=[newer]), tiny.files(), {})
    done = joulebox("serve", package.folder, "--port", free_port(), "--strict", "onnxruntime")
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "--strict onnxruntime: tiny cannot be served on it here: cpu-fp32: onnxruntime is" in done.stderr


def test_an_option_overrides_its_variable(package: Package, tmp_path: Path) -> None:
    done = joulebox("serve", package.folder, "--repository", tmp_path, "--workers", "0", JOULEBOX_WORKERS="2")
    assert "JOULEBOX_WORKERS='0'" in done.stderr
    done = joulebox("serve", package.folder, "--repository", tmp_path / "none", JOULEBOX_REPOSITORY=str(tmp_path))
    assert "none: expected a folder" in done.stderr


def test_nothing_to_serve_is_said() -> None:
    done = joulebox("serve")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert "name a PACKAGE" in done.stderr


def test_a_grpc_port_in_use_is_said_before_anything_starts(package: Package) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        done = joulebox("serve", package.folder, "--port", free_port(), "--grpc-port", port)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "--grpc-port" in done.stderr


def test_relative_paths_are_of_the_folder_that_it_starts_in(package: Package, cli: Any) -> None:
    with running("tiny/current", folder=package.folder.parent.parent) as server:
        cli.infer(server)
        given = server.workers()[1].environ()["JOULEBOX_PACKAGES"]
        assert given == str(package.folder.parent / "current"), "the link, which moves with new versions"


def test_a_killed_server_leaves_no_worker(package: Package) -> None:
    with running(package.folder) as server:
        (worker,) = server.workers().values()
        server.process.kill()
        server.process.wait(10)
        assert psutil.wait_procs([worker], timeout=20)[1] == []


def test_without_energy_source_it_is_none_and_never_zero(package: Package, tmp_path: Path) -> None:
    environment = {"JOULEBOX_CPU_WATTS": "off", "JOULEBOX_SYSFS": str(tmp_path)}
    with serving(package.folder, environment=environment) as server:
        answer = httpx.post(f"{server}/predict", json={"image": [[0] * 4] * 4}).json()
        assert answer["energy"] == {"joules": None, "source": "none", "provisional": True}
        assert "joules_total{" not in httpx.get(f"{server}/metrics").text
        assert httpx.get(f"{server}/energy").json()["devices"] == []


def test_energy_is_measured_where_rapl_can_be_read(package: Package, tmp_path: Path) -> None:
    zone = tmp_path / "class/powercap/intel-rapl:0"
    zone.mkdir(parents=True)
    for file, content in (("name", "package-0"), ("energy_uj", "0"), ("max_energy_range_uj", "262143328850")):
        (zone / file).write_text(content)
    with serving(package.folder, environment={"JOULEBOX_SYSFS": str(tmp_path)}) as server:
        wait_until(lambda: bool(httpx.get(f"{server}/energy").json()["devices"]))  # its tick is measured for a second
        for number in range(1, 30):
            httpx.post(f"{server}/predict", json={"image": [[0] * 4] * 4}).raise_for_status()
            (tmp_path / "next").write_text(str(number * 1_000_000))
            (tmp_path / "next").rename(zone / "energy_uj")  # a reader of sysfs never sees half a number
        wait_until(lambda: httpx.get(f"{server}/energy").json()["devices"][0]["joules_total"] > 28)
        device = httpx.get(f"{server}/energy").json()["devices"][0]
        assert (device["device"], device["source"], device["reader"]) == ("cpu-package-0", "measured", "rapl")
        assert device["joules_total"] <= 29
        (zone / "energy_uj").unlink()
        wait_until(lambda: httpx.get(f"{server}/energy").json()["devices"][0]["watts"] is None)
        assert (
            'joulebox_device_power_watts{device="cpu-package-0",source="measured"} NaN'
            in httpx.get(f"{server}/metrics").text
        )


def test_a_second_model_of_the_same_name_keeps_the_server_unready(package: Package, tiny: Any, tmp_path: Path) -> None:
    other = write_package(tmp_path / "other", tiny.fields(labels=["a", "b", "c"]), tiny.files(), {})
    done = joulebox("serve", package.folder, other.folder, "--port", free_port())
    assert done.returncode == 2
    assert "served already" in done.stderr
