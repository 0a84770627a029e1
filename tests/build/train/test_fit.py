"""Training is repeatable, and one that was interrupted ends with the same weights as one that was not."""

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from joulebox_build.data.dataset import Split
from joulebox_build.progress import Silent
from joulebox_build.recipe import Training
from joulebox_build.train.fit import Epoch, Lesson, fit
from joulebox_build.train.model import seeded

SETTINGS = Training(epochs=4, batch=16, learning_rate=0.1)


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
        return images[index], lambda outputs: nn.functional.cross_entropy(outputs, expected[index])

    return Lesson(60, batch, Split(images, labels), lambda images: (images / 255).astype(np.float32), seed=1)


def weights(net: nn.Module) -> bytes:
    return safetensors.torch.save({name: value.contiguous() for name, value in net.state_dict().items()})


def trained(checkpoint: Path | None = None) -> tuple[bytes, list[Epoch]]:
    net = seeded(network, 0)
    history = fit(net, lesson(), SETTINGS, Silent(), checkpoint)
    return weights(net), history


def test_the_same_seed_gives_the_same_bytes() -> None:
    assert trained() == trained()


def test_it_learns() -> None:
    _, history = trained()
    assert len(history) == SETTINGS.epochs
    assert history[-1].validation_accuracy > 0.9


@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_interrupted_training_goes_on_to_the_same_bytes(tmp_path: Path, epoch: int) -> None:
    checkpoint = tmp_path / "checkpoint.pt"
    with pytest.raises(InterruptedError):
        fit(seeded(network, 0), lesson(stop_at=epoch), SETTINGS, Silent(), checkpoint)
    assert checkpoint.is_file()
    assert trained(checkpoint) == trained()


def test_a_damaged_checkpoint_means_starting_again(tmp_path: Path) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(b"damaged")
    assert trained(tmp_path / "checkpoint.pt") == trained()


def test_arithmetic_is_as_before_afterwards() -> None:
    trained()
    assert float(np.float32(1e-39) * np.float32(0.5)) > 0, "denormals are flushed to 0 still"
