"""The student without the channels that it needs least, fine-tuned under its teacher, round by round."""

# torch annotates only part of itself.
# pyright: reportUnknownMemberType=false

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
import torch
from torch import Tensor, nn

from joulebox.energy import Sources
from joulebox.host import describe_host
from joulebox_build.alone import alone
from joulebox_build.compress.channels import Plan, multiply_accumulates, remove
from joulebox_build.compress.prune import Goal, choose, ranking, size
from joulebox_build.files import replace_atomically
from joulebox_build.graph.export import export
from joulebox_build.job import Job
from joulebox_build.judge.cost import measure
from joulebox_build.progress import bar
from joulebox_build.recipe import Distillation, Pruning
from joulebox_build.stage import Artifact
from joulebox_build.steps.artifacts import CHECKPOINT, HISTORY, PLAN, PRUNING, WEIGHTS, as_json
from joulebox_build.steps.student import lesson_of, network_of
from joulebox_build.steps.teach import pupils_of
from joulebox_build.train.fit import Lesson, as_dicts, fit
from joulebox_build.train.model import accuracy, as_tensor, tuned_layout

TAYLOR_BATCHES = 16  # of training data: enough for the ranking to settle


@dataclass(frozen=True)
class _Round:
    """The `number`th from 0: from the trained student `first`, of which `before` is what earlier rounds left."""

    job: Job
    settings: Pruning
    first: Artifact
    before: Artifact
    number: int

    @property
    def tuning(self) -> Distillation:
        changed = {"epochs": self.settings.epochs, "learning_rate": self.settings.learning_rate}
        return self.job.profile.distill.model_copy(update=changed)

    @property
    def part(self) -> float:
        """Of the way to the target that is gone after it."""
        return (self.number + 1) / self.settings.rounds


def pruned(job: Job, trained: Artifact, soft: Sequence[Artifact]) -> Artifact:
    """The student as the profile's `prune` asks; as it was where it asks nothing. Each round is kept by itself."""
    settings = job.profile.prune
    if settings is None:
        return trained
    smaller = trained
    for number in range(settings.rounds):
        smaller = _run(_Round(job, settings, trained, smaller, number), soft)
    return smaller


def _run(this: _Round, soft: Sequence[Artifact]) -> Artifact:
    job, before, tuning = this.job, this.before, this.tuning
    inputs = {
        "model": job.digests["model"],
        "students": [this.first.digest, before.digest],
        "logits": [artifact.digest for artifact in soft],
        "data": [pupils_of(job, tuning).digest(), job.digests["validation"]],
        "augment": job.digests["data"],
        "seed": job.recipe.seed,
        "student": dict(job.profile.student),
        "settings": [this.settings.model_dump(), tuning.decides(), this.number],
        "host": describe_host(os.environ).fingerprint if this.settings.latency else None,
    }

    def make(scratch: Path) -> dict[str, bytes]:
        network, lesson = network_of(job, before), lesson_of(job, soft, tuning)
        right = partial(accuracy, network, lesson.validation, lesson.encode)  # as it is then
        plan = _planned(this, network, lesson, scratch / PLAN)
        rounds = before.json(PRUNING) if PRUNING in before.files else [_size_and(network, job, accuracy=right())]
        remove(network, job.given, plan)
        tuned_layout(network)
        cut = _size_and(network, job, accuracy_untuned=right())
        with bar(f"pruned student, round {this.number + 1} of {this.settings.rounds}", tuning.epochs) as progress:
            history = fit(network, lesson, tuning, progress, scratch / CHECKPOINT)
        plans: list[Plan] = before.json(PLAN) if PLAN in before.files else []
        weights = {name: value.contiguous() for name, value in network.state_dict().items()}
        return {
            WEIGHTS: safetensors.torch.save(weights),
            HISTORY: as_json([*before.json(HISTORY), *as_dicts(history)]),
            PLAN: as_json([*plans, plan]),
            PRUNING: as_json([*rounds, {**cut, "accuracy": right()}]),
        }

    return job.run("prune", inputs, make, of=f"round {this.number + 1}")


def _size_and(network: nn.Module, job: Job, **figures: float) -> dict[str, Any]:
    return {"size": asdict(size(network, job.given)), **figures}


def _planned(this: _Round, network: nn.Module, lesson: Lesson, kept: Path) -> Plan:
    """What goes in this round. It is kept, as a checkpoint fits one plan alone and latency is never measured twice alike."""
    try:
        return json.loads(kept.read_bytes())
    except (OSError, ValueError):  # none yet, or a damaged one, without which the checkpoint is worth nothing
        (kept.parent / CHECKPOINT).unlink(missing_ok=True)
    given, settings = this.job.given, this.settings
    goal = _goal(this)
    cuts = ranking(network, given, settings, _losses(network, lesson, this.tuning), this.job.recipe.seed + this.number)
    plan = choose(network, given, cuts, goal)
    replace_atomically(kept, lambda temporary: temporary.write_bytes(as_json(plan)))
    return plan


def _goal(this: _Round) -> Goal:
    """So large a part of the way from the first student to the target."""
    job, settings, part, first = this.job, this.settings, this.part, network_of(this.job, this.first)

    def macs(network: nn.Module) -> float:
        return multiply_accumulates(network, job.given)[""]

    def channels(network: nn.Module) -> float:
        return sum(size(network, job.given).channels.values())

    def file_bytes(network: nn.Module) -> float:
        return len(export(network, job.given))

    def latency_s(network: nn.Module) -> float:
        sample = job.given.encode(job.train.inputs[:1])
        model = export(network, job.given)
        with alone():
            return measure([model], sample, Sources((), ())).latency_median_s

    if settings.macs is not None:
        return _towards("macs", macs, macs(first), settings.macs * macs(first), part)
    if settings.ratio is not None:
        return _towards("channels", channels, channels(first), (1 - settings.ratio) * channels(first), part)
    if settings.bytes is not None:
        return _towards("bytes", file_bytes, max(file_bytes(first), settings.bytes), settings.bytes, part)
    latency = latency_s(first)
    return _towards("latency in seconds", latency_s, latency, (settings.latency or 1.0) * latency, part)


def _towards(name: str, measured: Callable[[nn.Module], float], start: float, end: float, part: float) -> Goal:
    return Goal(name, measured, start + (end - start) * part)


def _losses(network: nn.Module, lesson: Lesson, settings: Distillation) -> Iterator[Tensor]:
    """Of batches of the training data, in the order in which they lie."""
    network.eval()
    count = min(lesson.samples, TAYLOR_BATCHES * settings.batch)
    for index in np.array_split(np.arange(count), -(-count // settings.batch)):
        inputs, loss_of = lesson.batch(0, index)
        with torch.enable_grad():
            yield loss_of(network(as_tensor(lesson.encode(inputs))))
