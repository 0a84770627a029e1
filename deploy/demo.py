"""`make demo`: a small model is built, packed, served, asked and stopped, in a temporary folder that goes afterwards."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psutil
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from joulebox.package import Package, PackageError, open_package
from joulebox_build.data.dataset import Split
from joulebox_build.errors import BuildError
from joulebox_build.recipe import load_recipe
from joulebox_build.train.model import load_folder

BIN = Path(sys.executable).parent
CACHE = Path(__file__).resolve().parents[1] / ".cache/build"  # kept, so that a second demo trains nothing
SHOWN, ASKED = 8, 200  # test images
RIGHT_MIN = 0.8  # of them; the quick profile's gate asks for 0.85 of all
READY_S = 90.0
STOP_S = 40.0
METRICS = (
    "joulebox_engine_info{",
    "joulebox_inferences_total{",
    "joulebox_compute_duration_seconds_count{",
    "joulebox_compute_duration_seconds_sum{",
)
ENERGY_METRICS = ("joulebox_inference_energy_joules_total{", "joulebox_device_energy_joules_total{")  # where known
console = Console(highlight=False)


class DemoError(Exception):
    """The demo failed; the message is one clear line."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--recipe", type=Path, default=Path("models/fashion/recipe.yaml"))
    recipe = parser.parse_args().recipe
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # so that the server is stopped then, too
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="joulebox-demo-") as folder:
        try:
            demo(recipe, Path(folder))
        except (DemoError, BuildError, PackageError, httpx.HTTPError, OSError) as error:
            console.print(f"[bold red]the demo failed:[/] {escape(str(error))}", soft_wrap=True)
            sys.exit(1)
    console.print(
        f"\nDone in {time.monotonic() - started_s:.0f} s; the server is stopped, and nothing is left but the build's cache in .cache (`make clean` removes it)."
    )


def demo(recipe: Path, folder: Path) -> None:
    environment = {
        **os.environ,
        "BENTOML_DO_NOT_TRACK": "True",
        "BENTOML_HOME": str(folder / "bentoml"),
        "JOULEBOX_CACHE": os.environ.get("JOULEBOX_CACHE") or str(CACHE),
    }
    title("1  Build", "distil a student from the teacher, quantize it, hold it against the gate")
    joulebox("build", str(recipe), "--profile", "quick", "--out", str(folder / "package"), environment=environment)
    package = open_package(folder / "package")
    console.print(figures(package))
    title("2  Pack", "model, joulebox and exact requirements become a bento")
    bento = joulebox("pack", str(folder / "package"), environment=environment)
    console.print(f"bento {bento['tag']} holds {bento['model']} {bento['version']}")
    title("3  Serve", "the bento answers on loopback")
    data = load_folder(load_recipe(recipe)).load()
    with server(Path(bento["path"]), environment, folder / "server.log") as client:
        ask(client, data.test.first(ASKED), data.labels)
        title("4  Metrics", "what Prometheus reads")
        show_metrics(client)


def title(name: str, text: str) -> None:
    console.print(f"\n[bold]{name}[/]  [dim]{text}[/]")


def joulebox(*arguments: str, environment: dict[str, str]) -> dict[str, Any]:
    """Runs a command of `joulebox`; its progress is shown, its JSON given.

    Raises:
        DemoError: it failed, and has said why.
    """
    command = [str(BIN / "joulebox"), *arguments, "--json"]
    result = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    if result.returncode != 0:
        raise DemoError(f"`joulebox {arguments[0]}` ended with status {result.returncode}")
    return json.loads(result.stdout)


def figures(package: Package) -> Table:
    """The report's figures: the teacher, the baseline, and what is served instead."""
    table = Table("model", *(number(name) for name in ("parameters", "kB", "accuracy", "latency", "energy/inference")))
    for model in json.loads(package.read("report.json"))["models"]:
        cost = model["cost"]
        joules = cost and cost["joules_per_inference"]
        table.add_row(
            model["name"],
            f"{model['parameters']:,}",
            f"{model['bytes'] / 1000:,.0f}",
            f"{model['quality']['accuracy']:.1%}",
            f"{1000 * cost['latency_median_s']:.2f} ms" if cost else "not measured",
            "unknown" if joules is None else f"{1000 * joules:.2g} mJ ({cost['energy_source']})",
        )
    return table


def number(name: str) -> Column:
    return Column(name, justify="right")


def ask(client: httpx.Client, split: Split, labels: tuple[str, ...]) -> None:
    """Sends test images and shows the first answers.

    Raises:
        DemoError: too few answers are right.
    """
    table = Table("image", "is a", "answer", number("sure"), number("latency"), number("energy"))
    right = 0
    for index, (pixels, label) in enumerate(zip(split.inputs, split.labels, strict=True)):
        response = client.post("/predict", content=png(pixels[0]), headers={"content-type": "image/png"})
        answer = response.raise_for_status().json()
        correct = answer["label"] == labels[label]
        right += correct
        if index < SHOWN:
            table.add_row(
                str(index),
                labels[label],
                f"[{'green' if correct else 'red'}]{answer['label']}[/]",
                f"{answer['confidence']:.0%}",
                f"{answer['latency_ms']:.2f} ms",
                energy(answer["energy"]),
            )
    console.print(table)
    console.print(f"{right} of {len(split)} test images are answered right.")
    if right < RIGHT_MIN * len(split):
        raise DemoError(f"{right} of {len(split)} answers are right; expected at least {RIGHT_MIN:.0%}")


def energy(answer: dict[str, Any] | None) -> str:
    if answer is None or answer["joules"] is None:
        return "unknown"
    return f"{1000 * answer['joules']:.2g} mJ ({answer['source']})"


def png(pixels: Any) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def show_metrics(client: httpx.Client) -> None:
    """Shows the lines that say what served, how often, how long and for how many joules.

    Raises:
        DemoError: a metric that should be there is not.
    """
    lines = client.get("/metrics").raise_for_status().text.splitlines()
    for name in METRICS:
        if not any(line.startswith(name) for line in lines):
            raise DemoError(f"/metrics has no {name.rstrip('{')}")
    for line in lines:
        if line.startswith(METRICS + ENERGY_METRICS):
            console.print(line, markup=False, soft_wrap=True)


@contextmanager
def server(bento: Path, environment: dict[str, str], log: Path) -> Generator[httpx.Client]:
    """The bento, served on a free loopback port until the block ends, however it does.

    Raises:
        DemoError: it did not become ready, or did not stop.
    """
    port = free_port()
    command = [str(BIN / "bentoml"), "serve", str(bento), "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as output:  # a session of its own, so that Ctrl-C reaches the server through `stop` alone
        process = subprocess.Popen(
            command, env=environment, cwd=log.parent, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            wait(lambda: process.poll() is not None or is_ready(client), READY_S)
            if not is_ready(client):
                raise DemoError(f"the server did not become ready; the end of its log:\n{log.read_text()[-2000:]}")
            console.print(f"listening on http://127.0.0.1:{port}")
            yield client
    finally:
        stop(process)
    check_free(port)


def stop(process: subprocess.Popen[bytes]) -> None:
    """Asks the server to stop, and kills what is left of it after a while: its workers are no part of its process group."""
    if process.poll() is not None:
        return
    server = psutil.Process(process.pid)
    family = [server, *server.children(recursive=True)]
    process.terminate()
    _, left = psutil.wait_procs(family, STOP_S)
    for survivor in left:
        survivor.kill()
    process.wait()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def check_free(port: int) -> None:
    """Raises OSError where something listens still."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))


def is_ready(client: httpx.Client) -> bool:
    try:
        return client.get("/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def wait(done: Callable[[], bool], limit_s: float) -> None:
    """Until it is done, or the time is up."""
    end = time.monotonic() + limit_s
    while not done() and time.monotonic() < end:
        time.sleep(0.1)


if __name__ == "__main__":
    main()
