"""An operator's budgets are what they say, or one clear line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from joulebox.runtime.budget import Budget, budgets_of, figure, parse_budgets


@pytest.mark.parametrize(
    ("text", "budget"),
    [
        ("fashion=2mJ", Budget("fashion", 0.002, "J", 60.0)),
        ("fashion=0.5J", Budget("fashion", 0.5, "J", 60.0)),
        ("fashion=40uJ/10s", Budget("fashion", 40e-6, "J", 10.0)),
        ("fashion=3W", Budget("fashion", 3.0, "W", 60.0)),
        ("fashion=3W/5m", Budget("fashion", 3.0, "W", 300.0)),
        ("*=250mW/1h", Budget("*", 0.25, "W", 3600.0)),
    ],
)
def test_a_budget_is_joules_per_inference_or_watts_over_a_window(text: str, budget: Budget) -> None:
    (parsed,) = parse_budgets(text)
    assert parsed == budget


def test_several_are_separated_by_commas_and_a_model_may_have_one_of_each_kind() -> None:
    assert parse_budgets(" a=1J, a=2W ,b=3J,") == (Budget("a", 1.0, "J"), Budget("a", 2.0, "W"), Budget("b", 3.0, "J"))
    assert parse_budgets("") == ()


def test_every_model_has_its_own_budgets_or_those_of_the_star() -> None:
    budgets = parse_budgets("a=1J,*=2J,*=3W")
    assert budgets_of("a", budgets) == budgets[:1]
    assert budgets_of("b", budgets) == budgets[1:]
    assert budgets_of("b", budgets[:1]) == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("fashion", "'fashion' is no energy budget; expected NAME=2mJ"),
        ("a=1J,fashion=lots", "'fashion=lots' is no energy budget; expected NAME=2mJ"),
        ("=2mJ", "'=2mJ' is no energy budget"),
        ("a=2", "'a=2' is no energy budget"),
        ("a=2kWh", "'a=2kWh' is no energy budget"),
        ("a=-2J", "'a=-2J' is no energy budget"),
        ("a=nanJ", "'a=nanJ' is no energy budget"),
        ("a=0mJ", "'a=0mJ': expected a limit above 0"),
        (f"a={'9' * 400}J", "expected a limit above 0"),
        ("a=2J/0s", "'a=2J/0s': expected a window of 1 s to 24 h"),
        ("a=2J/25h", "'a=2J/25h': expected a window of 1 s to 24 h"),
        ("a=2J,b=1J,a=3J", "'a' has two budgets in J; expected one"),
        (",".join(f"m{number}=1J" for number in range(300)), "300 budgets; expected at most 256"),
    ],
)
def test_what_is_no_budget_is_one_line_that_says_which_and_what_was_expected(text: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011  # the message is matched below
        parse_budgets(text)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


@given(st.text(max_size=40))
def test_any_text_is_budgets_or_a_value_error(text: str) -> None:
    try:
        budgets = parse_budgets(text)
    except ValueError:
        return
    assert all(budget.limit > 0 and budget.model for budget in budgets)


def test_figures_are_for_people() -> None:
    assert [figure(value, "J") for value in (0.0, 42e-6, 0.00192, 1.5)] == [
        "0 uJ per inference",
        "42 uJ per inference",
        "1.92 mJ per inference",
        "1.5 J per inference",
    ]
    assert figure(12.34, "W") == "12.3 W"
    assert str(Budget("a", 0.002, "J", 60.0)) == "2 mJ per inference over 60 s"
