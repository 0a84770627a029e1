"""`joulebox teacher`: trains a recipe's teachers and keeps their weights, with a page that says how they were made."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from joulebox_build.commands.build import RecipePath, say
from joulebox_build.errors import RecipeError
from joulebox_build.files import replace_atomically
from joulebox_build.judge.cost import energy_sources
from joulebox_build.progress import bar
from joulebox_build.provenance import code_of, sources, tokenizers
from joulebox_build.recipe import Member, Recipe, load_recipe
from joulebox_build.report import words
from joulebox_build.spending import Spending, Spent
from joulebox_build.stage import Artifact, Stages
from joulebox_build.steps.artifacts import CHECKPOINT, HISTORY, WEIGHTS
from joulebox_build.train.card import Card, write_card
from joulebox_build.train.fit import as_dicts, seconds
from joulebox_build.train.model import accuracy, load_data, load_folder, parameters
from joulebox_build.train.teacher import Course, as_weights, load_weights, train_teacher

Number = Annotated[int | None, typer.Option("--member", help="Which of teacher.members to train, from 0; else all.")]


def teacher(recipe_path: RecipePath, member: Number = None) -> None:
    """Train the recipe's teachers and keep their weights; one that was interrupted goes on where it was."""
    recipe = load_recipe(recipe_path)
    members = recipe.teacher.members
    if member is not None and not 0 <= member < len(members):
        raise RecipeError(f"--member {member}: the recipe has members 0 to {len(members) - 1}")
    chosen = members if member is None else [members[member]]
    stages = Stages(say=say, spending=Spending(energy_sources().meters))
    for one in chosen:
        if one.weights is not None:
            typer.echo(_train(recipe, one, stages).read_text("utf-8"))
        elif member is not None:
            raise RecipeError(f"--member {member} is the finished file {one.file}; only weights are trained")


def _train(recipe: Recipe, member: Member, stages: Stages) -> Path:
    training = recipe.teacher.training
    if training is None:
        raise RecipeError("teacher.training: missing; it says how to train the weights")
    folder = load_folder(recipe)
    data, given = load_data(folder, recipe)
    course = Course(folder, data, folder.teacher_input(given, data), training, member.seed)
    inputs = {
        "model": code_of(recipe.path(recipe.model)),
        "libraries": {} if folder.teacher_encode is None else tokenizers(),
        "code": code_of(recipe.path(recipe.data)),
        "preprocess": recipe.preprocess and recipe.preprocess.model_dump(),
        "data": {name: split.digest() for name, split in data.splits().items()},
        "seed": member.seed,
        "training": training.decides(),
    }

    def make(scratch: Path) -> dict[str, bytes]:
        with bar(f"teacher {member.file}", training.epochs) as progress:
            network, history = train_teacher(course, progress, scratch / CHECKPOINT)
        return {WEIGHTS: as_weights(network), HISTORY: json.dumps([as_dicts(history), seconds(history)]).encode()}

    made = stages.run("train-teacher", sources("joulebox_build.train.teacher"), inputs, make, of=str(member.file))
    replace_atomically(recipe.path(member.file), lambda temporary: temporary.write_bytes(made.files[WEIGHTS]))
    return _card(recipe, member, course, made)


def _card(recipe: Recipe, member: Member, course: Course, made: Artifact) -> Path:
    history, wall_s = made.json(HISTORY)
    network, data = load_weights(recipe, course.folder, member), course.data
    right = {
        name: (accuracy(network, split, course.given.encode), len(split))
        for name, split in (("validation", data.validation), ("test", data.test))
    }
    card = Card(right, parameters(network), len(data.train), wall_s, history)
    path = write_card(recipe, member, course.training, card)
    text = f"{path.read_text('utf-8')}\n{_taken(made.spent)}\n"
    replace_atomically(path, lambda temporary: temporary.write_text(text, "utf-8"))
    return path


def _taken(spent: Spent) -> str:
    """A sentence on what training took; it is of the stage, which has more than the epochs in it."""
    if spent.joules is None:
        why = "nothing said joules, or an earlier attempt was not recorded"
        return f"What energy the training took is unknown: {why}."
    whose = "this process" if spent.source == "estimated" else "the whole machine meanwhile"
    return (
        f"The training took {words.joules(spent.joules)} ({spent.source}) of {whose}, in {words.time(spent.seconds)}."
    )
