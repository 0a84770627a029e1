"""A space names keys of a profile; what no profile could take is refused before anything runs."""

from typing import Any

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Profile, Search
from joulebox_build.search.space import check, distributions, with_values

PROFILE = Profile.model_validate(
    {
        "distill": {"epochs": 2, "temperature": 3.0},
        "gate": {
            "accuracy_min": 0.5,
            "teacher_drop_max": 1,
            "quantization_drop_max": 1,
            "bytes_max": 10000,
            "parameters_max": 10000,
        },
    }
)


def test_values_go_where_their_keys_say() -> None:
    made = with_values(PROFILE, {"distill.temperature": 5.0, "student.width": 12, "prune.macs": 0.5})
    assert made.distill.temperature == 5
    assert made.distill.epochs == 2
    assert made.student == {"width": 12}
    assert made.prune is not None
    assert made.prune.macs == 0.5
    assert PROFILE.prune is None


def test_ranges_and_choices_are_optunas() -> None:
    space = {
        "distill.temperature": {"low": 1, "high": 8.0, "log": True},
        "student.width": {"low": 8, "high": 24, "step": 4},
        "prune.macs": {"choices": [0.5, 1.0]},
    }
    assert distributions(Search.model_validate({"space": space})) == {
        "distill.temperature": FloatDistribution(1, 8, log=True),
        "student.width": IntDistribution(8, 24, step=4),
        "prune.macs": CategoricalDistribution((0.5, 1.0)),
    }


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ({"distill.temprature": {"low": 1, "high": 8}}, "distill.temprature: Extra inputs are not permitted"),
        ({"distill.temperature": {"low": -1.0, "high": 8.0}}, "distill.temperature: Input should be greater than 0"),
        ({"distill.epochs": {"choices": [2, "many"]}}, "distill.epochs: Input should be a valid integer"),
        (
            {"prune.ratio": {"choices": [0.5]}, "prune.macs": {"choices": [0.5]}},
            "names ratio, macs; expected exactly one",
        ),
    ],
)
def test_what_no_profile_takes_is_refused(space: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        check(PROFILE, Search.model_validate({"space": space}))


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ({"space": {}}, "at least 1 item"),
        ({"space": {"a": {"low": 2, "high": 1}}}, "low 2 must be less than high 1"),
        ({"space": {"a": {"low": 0, "high": 1, "log": True}}}, "log needs a low above 0"),
        ({"space": {"a": {"choices": []}}}, "at least 1 item"),
        ({"space": {"a": {"low": 1, "high": 2}}, "objectives": ["bytes", "bytes"]}, "expected each at most once"),
        (
            {"space": {"a": {"low": 1, "high": 2}}, "objectives": ["speed"]},
            "'accuracy', 'bytes', 'latency' or 'joules'",
        ),
    ],
)
def test_a_search_that_makes_no_sense_is_refused(search: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Search.model_validate(search)
