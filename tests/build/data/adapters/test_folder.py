"""A folder of images by class; what is wrong with it is said in one line, with the file."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from joulebox.http.images import open_image, stack
from joulebox.package.manifest import ImagePreprocess
from joulebox_build.data.adapters import read_folder
from joulebox_build.data.adapters.folder import usual_size
from joulebox_build.data.encode import normalized
from joulebox_build.errors import DataError

PREPROCESS = ImagePreprocess(height=6, width=8, channels=3, mean=[0.4] * 3, std=[0.2] * 3, resize="crop")


def picture(seed: int, size: tuple[int, int] = (8, 6)) -> bytes:
    file, pixels = BytesIO(), np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3))
    Image.fromarray(pixels.astype(np.uint8)).save(file, "PNG")
    return file.getvalue()


def lay(place: Path, count: int = 12, *, first: int = 0) -> None:
    for number, name in enumerate(("cats", "dogs")):
        (place / name).mkdir(parents=True)
        for image in range(count):
            (place / name / f"{image}.png").write_bytes(picture(first + 100 * number + image))


@pytest.fixture
def place(tmp_path: Path) -> Path:
    lay(tmp_path / "pets")
    return tmp_path / "pets"


def test_without_parts_they_are_drawn_and_labels_are_the_folders(place: Path) -> None:
    data = read_folder(place, PREPROCESS)
    assert data.labels == ("cats", "dogs")
    assert [len(split) for split in data.splits().values()] == [16, 4, 4]
    assert not any(data.duplicates().values())


def test_parts_that_are_there_are_kept_and_only_missing_ones_are_drawn(tmp_path: Path) -> None:
    lay(tmp_path / "pets/train", 20)
    lay(tmp_path / "pets/val", 3, first=500)
    data = read_folder(tmp_path / "pets", PREPROCESS)
    assert [len(split) for split in data.splits().values()] == [34, 6, 6]


def test_two_folders_of_one_part_are_refused(tmp_path: Path) -> None:
    for part in ("train", "val", "Validation"):
        lay(tmp_path / part, 4)
    with pytest.raises(
        DataError, match=r"two folders for validation, Validation and val; put all its classes into one"
    ):
        read_folder(tmp_path, PREPROCESS)


def test_files_in_hidden_folders_are_passed_over(place: Path) -> None:
    copies = place / "cats" / ".ipynb_checkpoints"
    copies.mkdir()
    (copies / "0-checkpoint.png").write_bytes((place / "cats" / "0.png").read_bytes())
    assert sum(map(len, read_folder(place, PREPROCESS).splits().values())) == 24


@pytest.mark.parametrize(("train", "validation"), [("Train", "Val"), ("training", "VALIDATION")])
def test_parts_may_be_written_otherwise(tmp_path: Path, train: str, validation: str) -> None:
    lay(tmp_path / train, 20)
    lay(tmp_path / validation, 3, first=500)
    data = read_folder(tmp_path, PREPROCESS)
    assert data.labels == ("cats", "dogs")
    assert len(data.validation) == 6


def test_images_are_what_the_device_makes_of_the_same_files(place: Path) -> None:
    (place / "cats/0.png").write_bytes(picture(0, (31, 17)))  # of another size than the others
    data = read_folder(place, PREPROCESS)
    made = {sample.tobytes() for split in data.splits().values() for sample in normalized(split.inputs, PREPROCESS)}
    for file in place.rglob("*.png"):
        on_device = stack([open_image(file.read_bytes())], PREPROCESS)
        nearest = min(np.abs(np.frombuffer(one, np.float32) - on_device.ravel()).max() for one in made)
        assert nearest < 1e-5, file


@pytest.mark.parametrize("content", [b"", b"no image", picture(1)[:90]], ids=["empty", "text", "cut off"])
def test_a_file_that_is_no_readable_image_is_named(place: Path, content: bytes) -> None:
    (place / "cats/broken.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"cats/broken\.jpg: the .*; remove it, or let more than 0 files be"):
        read_folder(place, PREPROCESS)


def test_so_many_unreadable_files_as_are_allowed_are_left_out_and_named(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "cats/notes.txt").write_text("who took these", "utf-8")
    assert sum(len(split) for split in read_folder(place, PREPROCESS, skip_unreadable=1).splits().values()) == 24
    assert "1 of 25 files are no readable images and left out: notes.txt" in capsys.readouterr().err.replace("\n", "")
    (place / "dogs/more.txt").write_text("x", "utf-8")
    with pytest.raises(
        DataError, match=r"more\.txt: .* let more than 1 files be unreadable: by SKIP_UNREADABLE in data.py"
    ):
        read_folder(place, PREPROCESS, skip_unreadable=1)


def test_hidden_files_are_passed_over(place: Path) -> None:
    (place / "cats/.DS_Store").write_bytes(b"\0")
    assert sum(len(split) for split in read_folder(place, PREPROCESS).splits().values()) == 24


def test_images_without_a_class_lie_beside_the_classes_or_their_parts(place: Path, tmp_path: Path) -> None:
    lay(tmp_path / "parts/train", 20)
    for folder, name in ((place, "unlabelled"), (tmp_path / "parts", "Unlabeled")):
        (folder / name).mkdir()
        for number in range(5):
            (folder / name / f"{number}.png").write_bytes(picture(900 + number))
        data = read_folder(folder, PREPROCESS)
        assert data.labels == ("cats", "dogs")
        assert data.unlabelled is not None
        assert data.unlabelled.shape == (5, 3, 6, 8)
    (place / "unlabelled/notes.txt").write_text("who took these", "utf-8")
    with pytest.raises(DataError, match=r"unlabelled/notes\.txt: the .*; remove it"):
        read_folder(place, PREPROCESS)


def test_a_class_of_that_name_is_refused(tmp_path: Path) -> None:
    lay(tmp_path / "train")
    (tmp_path / "train/dogs").rename(tmp_path / "train/unlabelled")
    with pytest.raises(DataError, match=r"train has a class 'unlabelled', .*; put these into .*unlabelled, or rename"):
        read_folder(tmp_path, PREPROCESS)


def test_images_are_in_groups_by_their_brightness(place: Path) -> None:
    data = read_folder(place, PREPROCESS)
    train, groups = data.train.inputs.mean((1, 2, 3)), data.train.slices["brightness"]
    assert [int((groups == name).sum()) for name in ("dark", "medium", "bright")] == [5, 5, 6]
    assert train[groups == "dark"].max() < train[groups == "bright"].min()
    assert all(split.slices["brightness"].shape == (len(split),) for split in data.splits().values())


def test_an_empty_class_folder_is_named(place: Path) -> None:
    (place / "birds").mkdir()
    with pytest.raises(DataError, match=r"birds is empty; remove the folder"):
        read_folder(place, PREPROCESS)


@pytest.mark.parametrize(("part", "left_out"), [("val", "dogs"), ("test", "cats")])
def test_a_class_that_a_part_lacks_is_named(tmp_path: Path, part: str, left_out: str) -> None:
    lay(tmp_path / "train")
    lay(tmp_path / part, 2, first=500)
    for file in (tmp_path / part / left_out).iterdir():
        file.unlink()
    (tmp_path / part / left_out).rmdir()
    named = "validation" if part == "val" else part
    with pytest.raises(DataError, match=f"{named} has no image of class '{left_out}'"):
        read_folder(tmp_path, PREPROCESS)


def test_a_class_of_which_no_file_of_a_part_is_readable_is_named(tmp_path: Path) -> None:
    lay(tmp_path / "train")
    lay(tmp_path / "val", 1, first=500)
    (tmp_path / "val/dogs/0.png").write_bytes(b"x")
    with pytest.raises(DataError, match="validation has no readable image of class 'dogs'"):
        read_folder(tmp_path, PREPROCESS, skip_unreadable=1)


def test_a_folder_of_files_alone_or_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no folders; expected one for each class"):
        read_folder(tmp_path, PREPROCESS)
    with pytest.raises(DataError, match="missing: No such file or directory; expected a folder of images"):
        read_folder(tmp_path / "missing", PREPROCESS)


def test_more_than_memory_should_hold_is_refused_before_any_is_read(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("joulebox_build.data.adapters.folder.BYTES_MAX", 1000)
    with pytest.raises(
        DataError, match=r"24 images take 3,456 bytes of memory, at most 1,000; make preprocess smaller"
    ):
        read_folder(place, PREPROCESS)


def test_small_images_of_one_size_keep_it_and_others_become_a_square(place: Path) -> None:
    assert usual_size(place) == (3, 6, 8)
    (place / "cats/0.png").write_bytes(picture(0, (31, 17)))
    assert usual_size(place) == (3, 64, 64)
