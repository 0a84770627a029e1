"""The recipe: what to make, from what, and under which gate."""

from joulebox_build.recipe.baseline import Baseline
from joulebox_build.recipe.corruption import Corruption
from joulebox_build.recipe.gate import Gate
from joulebox_build.recipe.quantization import Quantization
from joulebox_build.recipe.recipe import Profile, Recipe, load_recipe
from joulebox_build.recipe.section import Golden, Section
from joulebox_build.recipe.training import Distillation, Member, Teacher, Training

__all__ = [
    "Baseline",
    "Corruption",
    "Distillation",
    "Gate",
    "Golden",
    "Member",
    "Profile",
    "Quantization",
    "Recipe",
    "Section",
    "Teacher",
    "Training",
    "load_recipe",
]
