"""The simpler methods."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from joulebox_build.data.checks import check_part
from joulebox_build.data.dataset import Split
from joulebox_build.data.encode import ModelInput
from joulebox_build.finished import MODEL, Model
from joulebox_build.job import Job
from joulebox_build.judge import boosting, linear, tfidf
from joulebox_build.judge.baseline import suitable
from joulebox_build.recipe import Baseline
from joulebox_build.steps.artifacts import HISTORY, VOCABULARY, as_json


def baselines(job: Job) -> list[tuple[Model, dict[str, Any]]]:
    """Each simpler method as ONNX, and how its solver ended."""
    chosen = suitable(job.profile.baselines, job.data.train.inputs, job.given)
    return [_baseline(job, settings) for settings in chosen]


def _baseline(job: Job, settings: Baseline) -> tuple[Model, dict[str, Any]]:
    samples = job.data.train.first(settings.samples)
    check_part(f"baselines: samples of {settings.kind}", samples.labels, job.data.labels)
    fit = {"logistic-regression": _linear, "gradient-boosting": _boosting, "tf-idf": _tfidf}[settings.kind]

    def make(_: Path) -> dict[str, bytes]:
        return fit(samples, job.given, settings.iterations)

    inputs = {"data": samples.digest(), "settings": settings.model_dump()}
    made = job.run("baseline", inputs, make, of=settings.kind)
    ended: dict[str, Any] = {"kind": settings.kind, **made.json(HISTORY)}
    given = tfidf.TfIdf(made.files[VOCABULARY]).given if VOCABULARY in made.files else job.given
    return Model(f"baseline {settings.kind}", (made,), ended["parameters"], given), ended


def _linear(samples: Split, given: ModelInput, iterations: int) -> dict[str, bytes]:
    found = linear.fit_logistic_regression(given.encode(samples.inputs), samples.labels, iterations=iterations)
    return {MODEL: linear.to_onnx(found, given), HISTORY: _ended(found)}


def _ended(found: linear.Linear) -> bytes:
    parameters = found.weights.size + found.bias.size
    return as_json({"iterations": found.iterations, "converged": found.converged, "parameters": parameters})


def _boosting(samples: Split, given: ModelInput, iterations: int) -> dict[str, bytes]:
    found = boosting.fit_boosting(given.encode(samples.inputs), samples.labels, iterations=iterations)
    ended = {"iterations": iterations, "converged": False, "parameters": boosting.parameters(found)}
    return {MODEL: boosting.to_onnx(found, given), HISTORY: as_json(ended)}


def _tfidf(samples: Split, _: ModelInput, iterations: int) -> dict[str, bytes]:
    """The model takes what TF-IDF makes of a text; its cost is without that, as the student's is without its tokens."""
    counts = tfidf.TfIdf.fit(samples.inputs)
    found = linear.fit_logistic_regression(
        counts.sparse(samples.inputs),
        samples.labels,
        iterations=iterations,
        inverse_penalty=tfidf.INVERSE_PENALTY,
    )
    return {MODEL: linear.to_onnx(found, counts.given), HISTORY: _ended(found), VOCABULARY: counts.content}
