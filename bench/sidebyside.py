"""Servers side by side: all are up, and stopped but for their turns, so that what a round compares is seconds apart."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from bench.environments import UnavailableError
from bench.load import Load, wrk
from bench.models import Model
from bench.process import Process
from bench.results import Compared, Gathered
from bench.servers import Running, Server, serving

Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure, and where to say what is being measured."""

    rounds: int
    seconds: int
    requests: int  # over which memory has to stay flat
    say: Say

    def turns(self, names: Sequence[str], counts: Sequence[int]) -> Generator[tuple[int, str, int]]:
        """Round by round and count by count, each name in turn, every round beginning with another one."""
        for number in range(self.rounds):
            first = number % max(1, len(names))
            for count in counts:
                for name in [*names[first:], *names[:first]]:
                    yield number + 1, name, count


@dataclass(frozen=True)
class Contender:
    """What is compared, once it is up; `measure` takes how many ask at once, and gives nothing where that makes no sense."""

    process: Process | None
    ready_s: float
    measure: Callable[[int], Load | None]
    pauses: bool = True

    def awake(self) -> AbstractContextManager[None]:
        """While it is its turn."""
        return self.process.awake() if self.process and self.pauses else nullcontext()


Contenders = dict[str, Callable[[], AbstractContextManager[Contender]]]


def side_by_side(
    plan: Plan, model: Model, contenders: Contenders, wires: dict[str, str], counts: Sequence[int]
) -> Compared:
    """All of them at each count, round by round."""
    gathered = Gathered()
    with ExitStack() as stack:
        up = dict(_bring_up(plan, contenders, stack, gathered))
        for number, name, count in plan.turns(list(up), counts):
            if name in gathered.not_run:
                continue
            plan.say(f"{model.name}: round {number} of {plan.rounds}, {count} at once, {name}")
            try:
                with up[name].awake():
                    seen = up[name].measure(count)
            except Exception as error:  # as in `_bring_up`
                gathered.not_run[name] = reason(error)
            else:
                if seen is not None:
                    gathered.loads[name, count].append(seen)
    return gathered.result(model.title, wires)


def _bring_up(
    plan: Plan, contenders: Contenders, stack: ExitStack, gathered: Gathered
) -> Generator[tuple[str, Contender]]:
    for name, start in contenders.items():
        plan.say(f"starting {name}")
        try:
            contender = stack.enter_context(start())
        except Exception as error:  # whatever is wrong with one: the others' figures stand
            gathered.not_run[name] = reason(error)
            continue
        if contender.process:
            gathered.started(name, contender.ready_s, contender.process.resident_mb())
            if contender.pauses:
                contender.process.pause()
        yield name, contender


@contextmanager
def under_wrk(plan: Plan, server: Server, model: Model) -> Generator[Contender]:
    with served(server, model) as (started, folder):
        yield Contender(
            started.process,
            started.ready_s,
            lambda count: wrk(started, count, plan.seconds, folder),
            pauses=server.pauses,
        )


def reason(error: Exception) -> str:
    return str(error) if isinstance(error, UnavailableError) else f"{type(error).__name__}: {error}"[:300]


@contextmanager
def served(server: Server, model: Model) -> Generator[tuple[Running, Path]]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder, serving(server, model, Path(folder)) as started:
        yield started, Path(folder)
