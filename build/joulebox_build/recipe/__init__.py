"""The recipe: what to make, from what, and under which gate."""

from joulebox_build.recipe.gate import Baseline, Gate
from joulebox_build.recipe.given import AgreementGate, GivenProfile, GivenRecipe
from joulebox_build.recipe.quantization import Quantization
from joulebox_build.recipe.recipe import Profile, Recipe, load_any_recipe, load_recipe
from joulebox_build.recipe.section import Golden, Section
from joulebox_build.recipe.training import Distillation, Member, Teacher, Training

__all__ = [
    "AgreementGate",
    "Baseline",
    "Distillation",
    "Gate",
    "GivenProfile",
    "GivenRecipe",
    "Golden",
    "Member",
    "Profile",
    "Quantization",
    "Recipe",
    "Section",
    "Teacher",
    "Training",
    "load_any_recipe",
    "load_recipe",
]
