"""What a search tries: keys of a profile, and the profile that a choice of values makes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from pydantic import ValidationError

from joulebox_build.errors import RecipeError
from joulebox_build.recipe import Choices, Profile, Range, Search

Values = Mapping[str, Any]
"""A key of the profile, such as `distill.temperature`, to its value."""


def distributions(search: Search) -> dict[str, BaseDistribution]:
    """The space in Optuna's terms."""
    return {key: _distribution(each) for key, each in sorted(search.space.items())}


def _distribution(given: Range | Choices) -> BaseDistribution:
    if isinstance(given, Choices):
        return CategoricalDistribution(given.choices)
    if given.whole:
        return IntDistribution(int(given.low), int(given.high), log=given.log, step=int(given.step or 1))
    return FloatDistribution(given.low, given.high, log=given.log, step=given.step)


def with_values(profile: Profile, values: Values) -> Profile:
    """The profile with these values in it.

    Raises:
        RecipeError: a key is none of a profile's, or takes no such value.
    """
    content = profile.model_dump(mode="json", exclude_unset=True)
    for key, value in values.items():
        put(content, key, value)
    try:
        return Profile.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "the profile"
        raise RecipeError(
            f"search.space: {where}: {first['msg']}; tried {', '.join(f'{key}: {value}' for key, value in values.items())}"
        ) from error


def put(content: dict[str, Any], key: str, value: Any) -> None:
    """Into a profile as it stands in a file; sections that are missing are made, and no other holder of one is changed."""
    *sections, name = key.split(".")
    for section in sections:
        inner = content.get(section)
        content[section] = dict(cast("dict[str, Any]", inner)) if isinstance(inner, dict) else {}
        content = content[section]
    content[name] = value


def check(profile: Profile, search: Search) -> None:
    """Tries the ends of each range and each choice, before hours are spent.

    Raises:
        RecipeError: a key is none of a profile's, or takes no such value.
    """
    usual = {key: next(_ends(each)) for key, each in search.space.items()}
    for key, each in search.space.items():
        for value in _ends(each):
            with_values(profile, {**usual, key: value})


def _ends(given: Range | Choices) -> Iterator[Any]:
    yield from given.choices if isinstance(given, Choices) else (given.low, given.high)
