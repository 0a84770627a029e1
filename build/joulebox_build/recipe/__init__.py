"""The recipe: what to make, from what, and under which gate."""

from joulebox_build.recipe.baseline import Baseline
from joulebox_build.recipe.corruption import Corruption
from joulebox_build.recipe.gate import Gate
from joulebox_build.recipe.given import AgreementGate, GivenProfile, GivenRecipe
from joulebox_build.recipe.pruning import Pruning
from joulebox_build.recipe.quantization import Quantization
from joulebox_build.recipe.recipe import Profile, Recipe, load_any_recipe, load_recipe
from joulebox_build.recipe.search import Choices, Objective, Range, Search
from joulebox_build.recipe.section import Golden, Section
from joulebox_build.recipe.study import DataEfficiency, GainStudy
from joulebox_build.recipe.training import Distillation, Hint, Member, Teacher, Training

__all__ = [
    "AgreementGate",
    "Baseline",
    "Choices",
    "Corruption",
    "DataEfficiency",
    "Distillation",
    "GainStudy",
    "Gate",
    "GivenProfile",
    "GivenRecipe",
    "Golden",
    "Hint",
    "Member",
    "Objective",
    "Profile",
    "Pruning",
    "Quantization",
    "Range",
    "Recipe",
    "Search",
    "Section",
    "Teacher",
    "Training",
    "load_any_recipe",
    "load_recipe",
]
