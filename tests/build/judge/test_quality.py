"""What a model is worth, on samples few enough to count by hand."""

import json
from dataclasses import asdict

import numpy as np
import pytest
from pydantic import TypeAdapter

from joulebox_build.judge.quality import Asked, Quality, evaluate
from joulebox_build.judge.slices import Group, groups_of, large, widest, worst

LABELS = np.asarray([0, 0, 0, 1, 1, 1])
ANSWERS = np.asarray([0, 0, 1, 1, 1, 0])
SURE = np.asarray([1.0, 1.0, 1.0, 1.0, 1.0, 9.0])  # of its answer, as a logit
LIGHT = np.asarray(["dark", "dark", "dark", "bright", "bright", "dark"])


def logits(answers: np.ndarray) -> np.ndarray:
    found = np.zeros((len(answers), 2), np.float32)
    found[np.arange(len(answers)), answers] = SURE
    return found


@pytest.fixture
def quality() -> Quality:
    asked = Asked(LABELS, ("cat", "dog"), {"light": LIGHT}, logits(np.asarray([0, 0, 1, 0, 1, 1])))
    return evaluate(logits(ANSWERS), asked, temperature=1.0, slice_samples_min=3)


def test_figures_are_what_counting_gives(quality: Quality) -> None:
    assert (quality.accuracy, quality.samples) == (pytest.approx(4 / 6), 6)
    assert quality.class_accuracy == pytest.approx([2 / 3, 2 / 3])
    assert quality.confusion == [[2, 1], [1, 2]]
    assert quality.agreement == pytest.approx(4 / 6)
    assert quality.ci95[0] < quality.accuracy < quality.ci95[1]


def test_the_surest_mistakes_come_first(quality: Quality) -> None:
    assert [(each.sample, each.label, each.answer) for each in quality.mistakes] == [(5, 1, 0), (2, 0, 1)]
    assert quality.mistakes[0].confidence > quality.mistakes[1].confidence


def test_each_class_is_a_group_beside_those_of_the_data(quality: Quality) -> None:
    found = {(group.slice, group.group): (group.samples, group.accuracy) for group in quality.groups}
    assert found == {
        ("class", "cat"): (3, pytest.approx(2 / 3)),
        ("class", "dog"): (3, pytest.approx(2 / 3)),
        ("light", "bright"): (2, 1.0),
        ("light", "dark"): (4, 0.5),
    }


def test_the_worst_group_is_one_that_is_large_enough(quality: Quality) -> None:
    assert quality.worst_group is not None
    assert quality.worst_group.group == "dark"
    few = groups_of(np.asarray([False, True, True]), {"size": np.asarray(["s", "l", "l"])})
    assert worst(large(few, 2)) == next(group for group in few if group.group == "l")
    assert worst(large(few, 3)) is None


def test_the_widest_gap_is_within_one_slice() -> None:
    found = [
        Group(name, group, 9, accuracy, [0, 1])
        for name, group, accuracy in [("a", "x", 0.9), ("a", "y", 0.8), ("b", "x", 0.5), ("b", "y", 0.55)]
    ]
    pair = widest(found)
    assert pair is not None
    assert [each.accuracy for each in pair] == [0.8, 0.9]
    assert widest([]) is None


def test_figures_survive_being_kept_as_json(quality: Quality) -> None:
    assert TypeAdapter(Quality).validate_json(json.dumps(asdict(quality))) == quality


def test_a_matrix_that_nobody_could_read_is_not_kept() -> None:
    labels = np.arange(100)
    found = np.eye(100, dtype=np.float32)
    asked = Asked(labels, tuple(f"class {number}" for number in labels), {}, found)
    assert evaluate(found, asked, temperature=1.0, slice_samples_min=1).confusion is None
