"""Teachers are weights of a PyTorch network, somebody's own included, ONNX files, or several of both; what cannot teach is told at once."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from onnx import TensorProto, helper
from torch import nn

from joulebox.package import open_package
from joulebox_build.data.encode import ModelInput
from joulebox_build.errors import RecipeError
from joulebox_build.graph.export import export
from joulebox_build.job import Job, open_job
from joulebox_build.pipeline import build, pack
from joulebox_build.recipe import load_recipe
from joulebox_build.stage import Stages
from joulebox_build.steps import teach
from joulebox_build.steps.artifacts import LOGITS, from_npy
from joulebox_build.train.model import load_folder
from joulebox_build.train.teacher import load_weights
from stagefiles import files_of

WEIGHTS, ONNX = {"weights": "teacher.safetensors", "seed": 3}, {"onnx": "teacher.onnx"}
PAGE = Path(__file__).parents[2] / "docs/your-own-model.md"
MEAN, STD = 0.2, 0.25  # of the recipe's preprocessing


class PixelsLast(nn.Module):
    """A teacher of another framework's habits: pixels as they are, channels last."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return self.network((pixels.permute(0, 3, 1, 2) / 255 - MEAN) / STD)


def network_of(folder: Path) -> Any:
    """The trained teacher."""
    recipe = load_recipe(folder / "recipe.yaml")
    found = load_weights(recipe, load_folder(recipe), recipe.teacher.members[0])
    return found.to(memory_format=torch.contiguous_format)


def taught_by(write_recipe: Any, folder: Path, *members: dict[str, Any]) -> Path:
    return write_recipe(folder, lambda recipe: recipe["teacher"].update(members=list(members)))


def opened(recipe: Path, cache: Path) -> Job:
    return open_job(load_recipe(recipe), "quick", Stages(cache))


def logits(job: Job) -> Any:
    """What the teacher says of the first view."""
    return from_npy(teach.taught(job, teach.teacher(job), 0).files[LOGITS]).astype(np.float32)


def taught(built: Any) -> Any:
    (found,) = [each for each in built.job.stages.once() if each.stage == "teach" and each.of == "view 1"]
    return from_npy(files_of(built.job.stages, found)[LOGITS]).astype(np.float32)


def test_an_onnx_file_teaches(first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any) -> None:
    """The same network as a file: the very same student, and no `teacher()` is asked for."""
    (folder / "teacher.onnx").write_bytes(first_build.built.made.teacher.content)
    (folder / "teacher.safetensors").unlink()
    model = folder / "model.py"
    model.write_text(model.read_text("utf-8").replace("def teacher():\n    return net(16)\n", ""), "utf-8")
    assert "teacher" not in model.read_text("utf-8")
    built = build(load_recipe(taught_by(write_recipe, folder, ONNX)), "quick", Stages(tmp_path / "new"))
    package = open_package(pack(built, tmp_path / "out").folder)
    assert package.manifest.lineage.made_of["teacher"] == [built.job.digests["teacher.onnx"]]
    assert (taught(built) == taught(first_build.built)).all()
    assert built.made.int8.content == first_build.built.made.int8.content
    assert 1500 < built.made.teacher.parameters == built.report.models[0].parameters


def test_a_teacher_that_says_no_number_of_some_sample_is_refused(
    folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    """Beyond float16, in which its logits are kept, is beyond all that a soft target means."""
    network = network_of(folder)
    with torch.no_grad():
        network[-1].weight *= 1e6
    (folder / "teacher.onnx").write_bytes(export(network, ModelInput("image", "FP32", (1, 12, 12), np.asarray)))
    job = opened(taught_by(write_recipe, folder, ONNX), tmp_path / "new")
    with pytest.raises(
        RecipeError, match=r"teacher: its logits of training sample \d+ are \[.*inf.*\], and \d+ of 750"
    ):
        logits(job)


def test_an_onnx_file_that_takes_another_input_than_the_student_teaches(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    given = ModelInput("pixels", "FP32", (12, 12, 1), np.asarray)
    (folder / "teacher.onnx").write_bytes(export(PixelsLast(network_of(folder)), given))
    recipe = taught_by(write_recipe, folder, ONNX)
    with pytest.raises(RecipeError, match=r"takes 'pixels' .*12, 12, 1\]; expected .*\[N, 1, 12, 12\].*teacher_encode"):
        opened(recipe, tmp_path / "new")
    with (folder / "model.py").open("a", encoding="utf-8") as file:
        file.write("\ndef teacher_encode(images):\n    return images.transpose(0, 2, 3, 1).astype('float32')\n")
    built = build(load_recipe(recipe), "quick", Stages(tmp_path / "new"))
    assert open_package(pack(built, tmp_path / "out").folder).manifest.inputs[0].shape == [-1, 1, 12, 12]
    assert np.allclose(taught(built), taught(first_build.built), atol=0.02)
    ours, first = (each.report.models[0].quality.accuracy for each in (built, first_build.built))
    assert ours == first > 0.9


def test_of_two_members_weights_and_a_file_the_mean_teaches(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    quieter = network_of(folder)
    with torch.no_grad():
        for parameter in quieter[-1].parameters():
            parameter.mul_(0.5)
    given = ModelInput("image", "FP32", (1, 12, 12), np.asarray)
    (folder / "teacher.onnx").write_bytes(export(quieter, given))
    built = build(load_recipe(taught_by(write_recipe, folder, WEIGHTS, ONNX)), "quick", Stages(tmp_path / "new"))
    package = open_package(pack(built, tmp_path / "out").folder)
    assert np.allclose(taught(built), 0.75 * taught(first_build.built), atol=0.02)
    digests = package.manifest.lineage.made_of["teacher"]
    assert digests == [built.job.digests[name] for name in ("teacher.safetensors", "teacher.onnx")]
    one, two, alone = built.made.teacher.bytes, first_build.built.made.teacher.bytes, built.made.teacher.parameters
    assert one > 1.9 * two
    assert alone > 1.9 * first_build.built.made.teacher.parameters


def test_a_profile_may_take_the_first_members_alone(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    def edit(recipe: dict[str, Any]) -> None:
        recipe["teacher"]["members"] = [WEIGHTS, {"onnx": "absent.onnx"}]
        recipe["profiles"]["quick"]["distill"]["members"] = 1

    job = opened(write_recipe(folder, edit), tmp_path / "new")
    assert (logits(job) == taught(first_build.built)).all()


def test_weights_of_ones_own_are_put_there_as_the_page_says(
    first_build: Any, folder: Path, tmp_path: Path, write_recipe: Any
) -> None:
    torch.save(network_of(folder).state_dict(), folder / "mine.pt")
    (folder / "teacher.safetensors").unlink()
    recipe = taught_by(write_recipe, folder, WEIGHTS)
    with pytest.raises(
        RecipeError, match=r"does not exist; `joulebox teacher .*` trains it; weights of your own"
    ) as told:
        opened(recipe, tmp_path / "new")
    assert f"`safetensors.torch.save_file(network.state_dict(), '{folder}/teacher.safetensors')`" in str(told.value)
    (lines,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    subprocess.run([sys.executable, "-c", lines], cwd=folder, check=True)
    job = opened(recipe, tmp_path / "new")
    assert np.allclose(logits(job), taught(first_build.built), atol=0.02)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (
            lambda path, network: torch.save(network.state_dict(), path),
            r"is no safetensors file; weights of your own .* `safetensors\.torch\.save_file\(network\.state_dict\(\), .*",
        ),
        (
            lambda path, network: safetensors.torch.save_file({**network.state_dict(), "more": torch.zeros(1)}, path),
            r"does not fit teacher\(\) of model\.py: 'more' is \[1\], expected no such name \(1 of 15 names differ\)",
        ),
        (
            lambda path, network: safetensors.torch.save_file(network[:8].state_dict(), path),
            r"'8\.weight' is missing, expected \[3, 16\] \(2 of 14 names differ\)",
        ),
        (
            lambda path, network: safetensors.torch.save_file(
                {name: value * np.nan for name, value in network.state_dict().items()}, path
            ),
            "gives nan for training samples; expected finite logits",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused_in_one_line(
    folder: Path, tmp_path: Path, write: Callable[[Path, Any], None], message: str
) -> None:
    write(folder / "teacher.safetensors", network_of(folder))
    refused(folder / "recipe.yaml", tmp_path, "teacher.safetensors", message)


def test_a_network_that_ends_in_a_softmax_is_refused(folder: Path, tmp_path: Path) -> None:
    model = folder / "model.py"
    model.write_text(
        model.read_text("utf-8").replace("return net(16)", "return net(16).append(nn.Softmax(1))"), "utf-8"
    )
    refused(folder / "recipe.yaml", tmp_path, "teacher.safetensors", "gives probabilities; expected logits: leave out")


def model(
    *nodes: Any, takes: Any = ("n", 1, 12, 12), of: int = TensorProto.FLOAT, gives: int = TensorProto.FLOAT
) -> bytes:
    """An ONNX model of these nodes, with weights from 144 numbers to 3, and to 4."""
    graph = helper.make_graph(
        [helper.make_node(*node) for node in nodes],
        "model",
        [helper.make_tensor_value_info("x", of, takes)],
        [helper.make_tensor_value_info(nodes[-1][2][0], gives, None)],
        [
            helper.make_tensor(f"to {size}", TensorProto.FLOAT, (144, size), np.linspace(-1, 1, 144 * size))
            for size in (3, 4)
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()


FLAT = ("Flatten", ["x"], ["flat"])
LINEAR = ("MatMul", ["flat", "to 3"], ["logits"])
ZEROS = ("Sub", ["logits", "logits"], ["zeros"])


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"no model", "is no ONNX file"),
        (
            model(("Nothing", ["x"], ["y"])),
            "cannot be run by ONNX Runtime: .*expected one file with its weights inside",
        ),
        (
            model(FLAT, ("MatMul", ["flat", "to 4"], ["y"])),
            r"gives float32 \[2, 4\] for 2 samples; expected float \[2, 3\], a logit for each of the labels across",
        ),
        (model(FLAT, LINEAR, ("ArgMax", ["logits"], ["y"]), gives=TensorProto.INT64), r"gives int64 \[1, 3\] for 2"),
        (
            model(("CastLike", ["x", "to 3"], ["flat"]), LINEAR, takes=("n", 144), of=TensorProto.INT64),
            r"takes 'x' tensor\(int64\) \['n', 144\]; expected tensor\(float\) \[N, 1, 12, 12\]: take another",
        ),
        (
            model(("GlobalMaxPool", ["x"], ["most"]), ("Flatten", ["most"], ["y"]), takes=("n", 3, 12, 12)),
            r"takes 'x' tensor\(float\) \['n', 3, 12, 12\]; expected tensor\(float\) \[N, 1, 12, 12\]",
        ),
        (model(FLAT, LINEAR, takes=(1, 1, 12, 12)), r"\[1, 1, 12, 12\], always 1 at once; export it with a free first"),
        (
            model(("MatMul", ["x", "to 3"], ["y"]), takes=("n", "c", "h", "w")),
            r"takes 'x' .* and fails on \[2, 1, 12, 12\] \(.*\); expected",
        ),
        (model(FLAT, LINEAR, ("Softmax", ["logits"], ["y"])), "gives probabilities; expected logits"),
        (model(FLAT, LINEAR, ZEROS, ("Div", ["zeros", "zeros"], ["y"])), "gives nan for training samples"),
    ],
)
def test_a_file_that_cannot_teach_is_refused_in_one_line(
    folder: Path, tmp_path: Path, write_recipe: Any, content: bytes, message: str
) -> None:
    (folder / "teacher.onnx").write_bytes(content)
    refused(taught_by(write_recipe, folder, ONNX), tmp_path, "teacher.onnx", message)


def refused(recipe: Path, tmp_path: Path, file: str, message: str) -> None:
    """Before any stage has run, and with the file's name."""
    with pytest.raises(RecipeError, match=message) as caught:
        opened(recipe, tmp_path / "new")
    assert str(recipe.parent / file) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "new").exists()
