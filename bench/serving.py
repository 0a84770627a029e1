"""Joulebox beside its peers and beside the limit for a Python ASGI server, in one run on one machine.

Each server has the same ONNX file and is asked in its fastest format by the same load generator, in short turns while the
others are stopped; a figure is the median over the rounds. What matters is the ratios. Run it with `make bench`, or a part
of it with `python -m bench.serving --only small --peers none`.
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson
from rich.console import Console

from bench import models, report, sections, targets
from bench.accounting import accounting as measure_accounting
from bench.sections import ECHO, IN_PROCESS
from bench.servers import JOULEBOX, JOULEBOX_JSON, PEER_NAMES, RAW
from bench.sidebyside import Plan

CONNECTIONS = (1, 8, 32)
CONNECTIONS_MEDIUM = (1, 8)
HOW = """Joulebox, as it comes (validation, metrics and energy accounting on), beside the limit for a Python ASGI server and beside its peers.
The limit is raw uvicorn and ONNX Runtime: it takes a tensor's bytes and answers with bytes, without any protocol. Every server runs
the same ONNX file with one worker and one thread of ONNX Runtime, each peer in a virtual environment of its own (`bench/peers/`) and
in its fastest format. `wrk` with one thread asks them in turns, while the others are stopped (SIGSTOP; pytriton, which does not
survive that, idles); figures are medians over the rounds, a ratio is the median of each round's own, and only good answers count.
Server CPU is that of all its processes. Before it is measured, each server has to give ONNX Runtime's own answer.
These are figures of one machine, whose cores the load generator shares: compare the ratios."""


@dataclass
class Report:
    """What was measured, as tables, against its targets, and as it goes into `--json`."""

    tables: list[report.Table] = field(default_factory=list)
    targets: list[targets.Target] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)


def small(plan: Plan, peers: tuple[str, ...], out: Report) -> None:
    measured = sections.compare(plan, models.small(), [RAW, JOULEBOX, *peers], CONNECTIONS)
    out.figures["small"] = asdict(measured)
    out.tables += [report.compared("Small model", measured, RAW), report.starts(measured)]
    out.targets += [*targets.of_models("small", measured, CONNECTIONS), targets.of_tail(measured)]
    out.targets += targets.of_peers(measured, peers, CONNECTIONS)


def medium(plan: Plan, peers: tuple[str, ...], out: Report) -> None:
    measured = sections.compare(plan, models.medium(), [IN_PROCESS, RAW, JOULEBOX, *peers], CONNECTIONS_MEDIUM)
    out.figures["medium"] = asdict(measured)
    out.tables.append(report.compared("Medium model", measured, RAW))
    out.targets += targets.of_models("medium", measured, CONNECTIONS_MEDIUM)


def as_json(plan: Plan, _peers: tuple[str, ...], out: Report) -> None:
    measured = sections.compare(plan, models.small(), [JOULEBOX, JOULEBOX_JSON], CONNECTIONS)
    out.figures["json"] = asdict(measured)
    out.tables.append(report.compared("JSON beside binary tensors", measured, JOULEBOX))
    out.targets += targets.of_json(measured, CONNECTIONS)


def grpc(plan: Plan, _peers: tuple[str, ...], out: Report) -> None:
    measured = sections.grpc_beside_echo(plan, models.small(), CONNECTIONS)
    out.figures["grpc"] = asdict(measured)
    note = "The client is Python as well, and takes a core: beside requests/s, compare the servers' CPU time."
    out.tables.append(report.compared("gRPC beside a bare echo", measured, ECHO, note, at_once="calls at once"))
    out.targets += targets.of_grpc(measured, CONNECTIONS)


def overload(plan: Plan, _peers: tuple[str, ...], out: Report) -> None:
    measured = {
        "small": sections.overloaded(plan, models.small(), 32),
        "medium": sections.overloaded(plan, models.medium(), 8),
    }
    out.figures["overload"] = {name: each if isinstance(each, str) else asdict(each) for name, each in measured.items()}
    out.tables.append(report.overloads(measured))
    out.targets += [target for name, each in measured.items() for target in targets.of_overload(name, each)]


def memory(plan: Plan, _peers: tuple[str, ...], out: Report) -> None:
    measured = sections.drift(plan, models.small())
    out.figures["memory"] = measured if isinstance(measured, str) else asdict(measured)
    out.tables.append(report.memory(measured))
    out.targets += targets.of_memory(measured)


def accounting(plan: Plan, _peers: tuple[str, ...], out: Report) -> None:
    asked = (*((1, count) for count in CONNECTIONS), (2, CONNECTIONS[-1]))
    measured = {each: measure_accounting(plan, models.small(), *each) for each in asked}
    out.figures["accounting"] = [each if isinstance(each, str) else asdict(each) for each in measured.values()]
    out.tables.append(report.accounting(measured))
    out.targets += [targets.of_accounting(*asked, each) for asked, each in measured.items()]


PARTS: dict[str, Callable[[Plan, tuple[str, ...], Report], None]] = {
    "small": small,
    "medium": medium,
    "json": as_json,
    "grpc": grpc,
    "overload": overload,
    "memory": memory,
    "accounting": accounting,
}


def named(text: str, known: tuple[str, ...]) -> tuple[str, ...]:
    """Of a list with commas, or `all`, or `none`."""
    if text in {"all", "none"}:
        return known if text == "all" else ()
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in known:
            raise argparse.ArgumentTypeError(f"{name!r} is unknown; expected all, none or some of {', '.join(known)}")
    return names


def parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.serving", description="Serving benchmarks, side by side.")
    parts, peers = tuple(PARTS), PEER_NAMES
    parser.add_argument("--only", type=lambda text: named(text, parts), default=parts, help=f"of {', '.join(parts)}")
    parser.add_argument("--peers", type=lambda text: named(text, peers), default=peers, help=f"of {', '.join(peers)}")
    parser.add_argument("--rounds", type=int, default=12, help="each server has a turn in each (default 12)")
    parser.add_argument("--seconds", type=int, default=1, help="of each measurement (default 1)")
    parser.add_argument("--requests", type=int, default=200_000, help="over which memory is watched (default 200000)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure there")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the page there")
    options = parser.parse_args(arguments)
    if min(options.rounds, options.seconds, options.requests) < 1:
        parser.error("--rounds, --seconds and --requests start at 1")
    for file in (options.json, options.markdown):
        if file and not file.parent.is_dir():
            parser.error(f"{file}: {file.parent} is no folder")
    return options


def as_command(arguments: list[str]) -> str:
    return f"make bench BENCH={shlex.quote(shlex.join(arguments))}" if arguments else "make bench"


def main(arguments: list[str]) -> int:
    options = parse(arguments)
    if shutil.which("wrk") is None:
        print("error: wrk is not installed; on Debian: apt-get install wrk", file=sys.stderr)
        return 1
    console = Console(width=None if sys.stdout.isatty() else 170)
    log = Console(stderr=True)
    plan = Plan(options.rounds, options.seconds, options.requests, log.print)
    out = Report()
    for part in options.only:
        PARTS[part](plan, options.peers, out)
        write(out, options, as_command(arguments))  # after each part: the whole takes half an hour
    report.show([*out.tables, report.targets(out.targets)], console)
    console.print(report.machine())
    return 0


def write(out: Report, options: argparse.Namespace, command: str) -> None:
    """What is measured so far, into the files that were asked for."""
    about = report.machine()
    if options.json:
        content = {
            "command": command,
            "machine": about,
            **out.figures,
            "targets": [asdict(each) for each in out.targets],
        }
        options.json.write_bytes(
            orjson.dumps(content, option=orjson.OPT_INDENT_2)
        )  # NaN, of what there was none, is null
    if options.markdown:
        tables = [*out.tables, report.targets(out.targets)]
        options.markdown.write_text(report.page(tables, command, about, HOW), "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
