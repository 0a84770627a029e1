"""Training is repeatable, and one that was interrupted ends with the same weights as one that was not."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import nn

from joulebox_build.data.dataset import Split
from joulebox_build.errors import RecipeError
from joulebox_build.progress import Silent
from joulebox_build.recipe import Training
from joulebox_build.train.checkpoint import kept
from joulebox_build.train.fit import Epoch, Lesson, accuracies, as_dicts, batch_sizes, fit, seconds
from joulebox_build.train.memory import WORKSPACE, needed
from joulebox_build.train.model import logits, seeded

SETTINGS = Training(epochs=4, batch=16, learning_rate=0.1)
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
WAYS = {
    "sgd": SETTINGS,
    "adamw": Training(epochs=4, batch=16, optimizer="adamw", learning_rate=0.01),
    "averaged": Training(epochs=4, batch=16, learning_rate=0.1, average=0.5),
    "patient": Training(epochs=4, batch=16, learning_rate=0.1, average=0.5, patience=3),
}


def network() -> nn.Module:
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(64, 2))


def lesson(*, stop_at: int | None = None) -> Lesson:
    """Bright images against dark ones; batches stop coming at an epoch."""
    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 60)
    images = (random.integers(0, 100, (60, 1, 6, 6)) + 100 * labels[:, None, None, None]).astype(np.uint8)
    expected = torch.from_numpy(labels)

    def batch(epoch: int, index: NDArray[np.int64]):
        if epoch == stop_at:
            raise InterruptedError
        return images[index], lambda outputs: nn.functional.cross_entropy(outputs, expected[index].to(outputs.device))

    return Lesson(60, batch, Split(images, labels), lambda images: (images / 255).astype(np.float32), seed=1)


def weights(net: nn.Module) -> bytes:
    return safetensors.torch.save({name: value.contiguous() for name, value in net.state_dict().items()})


def trained(checkpoint: Path | None = None, settings: Training = SETTINGS) -> tuple[bytes, list[Epoch]]:
    net = seeded(network, 0)
    history = fit(net, lesson(), settings, Silent(), checkpoint)
    return weights(net), history


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert trained() == trained()


@pytest.mark.parametrize("way", WAYS)
def test_it_learns(way: str) -> None:
    _, history = trained(settings=WAYS[way])
    assert len(history) == SETTINGS.epochs
    assert history[-1].validation_accuracy > 0.9


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_interrupted_training_goes_on_to_the_same_bytes(tmp_path: Path, epoch: int, way: str) -> None:
    checkpoint, settings = tmp_path / "checkpoint.pt", WAYS[way]
    with pytest.raises(InterruptedError):
        fit(seeded(network, 0), lesson(stop_at=epoch), settings, Silent(), checkpoint)
    assert checkpoint.is_file()
    assert trained(checkpoint, settings) == trained(settings=settings)


def test_wall_time_adds_up_over_an_interruption(tmp_path: Path) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptedError):
        fit(seeded(network, 0), lesson(stop_at=2), SETTINGS, Silent(), checkpoint)
    state = kept(checkpoint)
    assert state
    before = state["history"]
    _, history = trained(checkpoint)
    assert [epoch.seconds for epoch in history[:2]] == [epoch["seconds"] for epoch in before]
    assert seconds(history) > sum(epoch["seconds"] for epoch in before) > 0
    assert all("seconds" not in epoch for epoch in as_dicts(history)), "artifacts hold no timings"


def test_it_stops_when_nothing_gets_better_and_keeps_the_best_epoch() -> None:
    settings = Training(epochs=12, batch=16, learning_rate=0.1, patience=2)
    net = seeded(network, 0)
    history = fit(net, lesson(), settings, Silent())
    found = accuracies(history)
    best = found.index(max(found))
    assert len(history) == best + 1 + 2 < 12
    kept = logits(net, lesson().validation.inputs, lesson().encode).argmax(1)
    assert (kept == lesson().validation.labels).mean() == found[best]


def test_more_memory_than_the_recipe_allows_is_refused_before_training() -> None:
    settings, given = (
        SETTINGS.model_copy(update={"memory_mib": 100}),
        replace(lesson(stop_at=0), data_bytes=200 * 2**20),
    )
    with pytest.raises(
        RecipeError,
        match=r"memory_mib: 100; training holds up to 297 MiB beside the libraries \(data 200\.0, .*: allow that",
    ):
        fit(seeded(network, 0), given, settings, Silent())


def test_what_a_batch_holds_grows_with_it() -> None:
    example = torch.zeros(2, 1, 6, 6)
    small, large = (needed(network(), example, Training(epochs=1, batch=batch), 0).batch for batch in (10_000, 20_000))
    assert large - WORKSPACE == 2 * (small - WORKSPACE)
    values = 36 + 64 + 64 + 64 + 2  # image, after the convolution, norm and ReLU, logits
    assert small - WORKSPACE >= 10_000 * 4 * values


def test_a_damaged_checkpoint_means_starting_again(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"damaged")
    assert trained(tmp_path / "checkpoint.pt") == trained()


def test_what_went_before_an_interruption_is_told_again(tmp_path: Path) -> None:
    checkpoint, told = tmp_path / "checkpoint.pt", list[Epoch]()
    with pytest.raises(InterruptedError):
        fit(seeded(network, 0), lesson(stop_at=2), SETTINGS, Silent(), checkpoint)
    history = fit(seeded(network, 0), replace(lesson(), on_epoch=told.append), SETTINGS, Silent(), checkpoint)
    assert told == history
    assert len(told) == SETTINGS.epochs


@pytest.mark.parametrize("way", ["sgd", "adamw"])
@pytest.mark.parametrize("epochs", range(1, 13))
def test_few_steps_are_enough(way: str, epochs: int) -> None:
    """One step an epoch."""
    _, history = trained(settings=WAYS[way].model_copy(update={"epochs": epochs, "batch": 60}))
    assert len(history) == epochs


def test_a_loss_that_is_no_number_stops_training_and_says_what_to_do() -> None:
    wild = SETTINGS.model_copy(update={"learning_rate": 1e30})
    with pytest.raises(
        RecipeError, match=r"^learning_rate: 1e\+30; in epoch 1 the loss was (nan|inf): make the rate smaller"
    ):
        fit(seeded(network, 0), lesson(), wild, Silent())


@given(samples=st.integers(1, 500), batch=st.integers(1, 60))
def test_no_batch_is_of_one_sample_that_could_be_in_another(samples: int, batch: int) -> None:
    sizes, usual = batch_sizes(samples, batch), [len(part) for part in torch.arange(samples).split(batch)]
    assert sum(sizes) == samples
    if samples > 1 < batch:
        assert min(sizes) > 1
    if batch == 1 or samples == 1 or samples % batch != 1:
        assert sizes == usual
    else:
        assert sizes == [*usual[:-2], batch + 1]


def test_norms_take_a_sample_that_is_left_over() -> None:
    def narrow() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))

    history = fit(seeded(narrow, 0), lesson(), SETTINGS.model_copy(update={"batch": 59}), Silent())
    assert len(history) == SETTINGS.epochs


def test_arithmetic_is_as_before_afterwards() -> None:
    trained()
    assert float(np.float32(1e-39) * np.float32(0.5)) > 0, "denormals are flushed to 0 still"


@NEEDS_CUDA
@pytest.mark.parametrize("way", WAYS)
def test_where_there_is_a_gpu_it_trains_there_and_brings_the_network_back(way: str) -> None:
    net, where = seeded(network, 0), set[str]()
    net.register_forward_hook(lambda _, inputs, output: where.update((inputs[0].device.type, output.device.type)))
    history = fit(net, lesson(), WAYS[way], Silent())
    assert where - {"cpu"} == {"cuda"}, "the CPU's turn is when memory is estimated"
    assert history[-1].validation_accuracy > 0.9
    assert {value.device.type for value in net.state_dict().values()} == {"cpu"}


@NEEDS_CUDA
@pytest.mark.parametrize("way", WAYS)
def test_what_was_interrupted_on_a_gpu_goes_on_there_to_the_same_weights(tmp_path: Path, way: str) -> None:
    """To rounding: not all of CUDA's sums have an order."""
    checkpoint, settings = tmp_path / "checkpoint.pt", WAYS[way]
    with pytest.raises(InterruptedError):
        fit(seeded(network, 0), lesson(stop_at=2), settings, Silent(), checkpoint)
    resumed, straight = seeded(network, 0), seeded(network, 0)
    history = fit(resumed, lesson(), settings, Silent(), checkpoint)
    assert len(history) == len(fit(straight, lesson(), settings, Silent()))
    for name, value in straight.state_dict().items():
        assert torch.allclose(resumed.state_dict()[name].float(), value.float(), rtol=1e-2, atol=1e-3), name
