"""Laws of augmentation: what it moves, where to, and that nothing else changes."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from scipy import ndimage
from torch import Tensor
from torch.nn.functional import pad

import latentarena
from latentarena.randomness import Draws, stream
from latentarena.train.augment import Augmentation, augment

EVERYTHING = Augmentation(shift=2, rotate=20, scale=0.2, shear=0.2, flip=True)
MIDDLE = 0.5  # of the uniform numbers: the middle of a range, which is no change


class Chosen(Draws):
    """Draws whose uniform numbers are what a test wants: (angle, scale, shear, down, right), or one for all."""

    def __init__(self, *numbers: float) -> None:
        self.numbers = numbers

    def uniform(self, *shape: int) -> Tensor:
        return torch.tensor(self.numbers).expand(shape)


def drawn(key: str = "augment") -> Draws:
    return Draws(stream(key))


def pictures(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=stream("pictures"))


def test_without_ranges_it_is_the_identity() -> None:
    images = pictures(5, 3, 9, 8)
    assert torch.equal(augment(images, drawn(), Augmentation()), images)


@pytest.mark.parametrize("shape", [(5, 1, 28, 28), (5, 3, 8, 13)])
def test_the_middle_of_every_range_changes_nothing(shape: tuple[int, ...]) -> None:
    images = pictures(*shape)
    torch.testing.assert_close(augment(images, Chosen(MIDDLE), EVERYTHING), images, rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(64, 1, 28, 28), (64, 3, 32, 32), (64, 2, 8, 17)])
def test_shape_type_and_range_are_kept(shape: tuple[int, ...]) -> None:
    again = augment(pictures(*shape), drawn(), EVERYTHING)
    assert again.shape == shape
    assert again.dtype == torch.float32
    assert 0 <= float(again.min()) < float(again.max()) <= 1


def test_all_randomness_is_in_the_draws() -> None:
    images, before = pictures(16, 1, 12, 12), torch.get_rng_state()
    one = augment(images, drawn(), EVERYTHING)
    assert torch.equal(one, augment(images, drawn(), EVERYTHING))
    assert not torch.equal(one, augment(images, drawn("other"), EVERYTHING))
    assert torch.equal(torch.get_rng_state(), before)


def test_mixed_precision_moves_nothing_elsewhere() -> None:
    images = pictures(16, 1, 28, 28)
    with torch.autocast("cpu", torch.bfloat16):
        again = augment(images, drawn(), EVERYTHING)
    torch.testing.assert_close(again, augment(images, drawn(), EVERYTHING), rtol=0, atol=1e-5)


def test_two_processes_augment_as_one_does() -> None:
    images = pictures(8, 1, 12, 12)
    whole = augment(images, drawn(), EVERYTHING)
    halves = [augment(images[4 * rank :][:4], Draws(stream("augment"), rank, 2), EVERYTHING) for rank in range(2)]
    torch.testing.assert_close(torch.cat(halves), whole)


def test_a_flip_mirrors_and_a_second_one_mirrors_back() -> None:
    images, config = pictures(4, 3, 9, 8), Augmentation(flip=True)
    once = augment(images, Chosen(0.1), config)
    assert torch.equal(once, torch.from_numpy(images.numpy()[..., ::-1].copy()))
    assert torch.equal(augment(once, Chosen(0.1), config), images)


def test_about_half_of_the_images_are_mirrored_and_the_rest_left_alone() -> None:
    images = pictures(400, 1, 8, 8)
    again = augment(images, drawn(), Augmentation(flip=True))
    same = torch.tensor([torch.equal(a, b) for a, b in zip(again, images, strict=True)])
    assert 150 < int(same.sum()) < 250
    assert torch.equal(again[~same], images[~same].flip(3))


@pytest.mark.parametrize("shape", [(2, 1, 28, 28), (2, 3, 9, 20)])
@pytest.mark.parametrize(("number", "by"), [((0.0, 0.0), (-2, -2)), ((0.99, 0.3), (2, -1)), ((0.5, 0.7), (0, 1))])
def test_a_shift_is_by_whole_pixels_and_lets_black_in(
    shape: tuple[int, ...], number: tuple[float, float], by: tuple[int, int]
) -> None:
    images, (down, right) = pictures(*shape), by
    height, width = shape[2:]
    expected = pad(images, (2, 2, 2, 2))[..., 2 - down : 2 - down + height, 2 - right : 2 - right + width]
    inside = (slice(None), slice(None), slice(2, -2), slice(2, -2))
    again = augment(images, Chosen(MIDDLE, MIDDLE, MIDDLE, *number), Augmentation(shift=2))
    torch.testing.assert_close(again, expected, rtol=0, atol=1e-5)
    torch.testing.assert_close(again[inside], images.roll(by, (2, 3))[inside], rtol=0, atol=1e-5)


def test_every_shift_is_as_likely_as_any_other() -> None:
    images = torch.zeros(5000, 1, 9, 9)
    images[..., 4, 4] = 1
    where = augment(images, drawn(), Augmentation(shift=2)).flatten(1).argmax(1)
    places, counts = where.unique(return_counts=True)
    assert [(int(p) // 9, int(p) % 9) for p in places] == [(y, x) for y in range(2, 7) for x in range(2, 7)]
    assert 140 < int(counts.min()) <= int(counts.max()) < 260  # 200 each, and four deviations of 14


@pytest.mark.parametrize(("height", "width"), [(40, 40), (32, 48)])
@pytest.mark.parametrize("how", ["rotate", "scale", "shear"])
@pytest.mark.parametrize("number", [0.0, 0.8, 1.0])
def test_maps_are_those_of_scipy_in_pixels_whatever_the_shape(height: int, width: int, how: str, number: float) -> None:
    config = Augmentation(**{how: {"rotate": 30.0, "scale": 0.2, "shear": 0.3}[how]})
    image, side = pictures(1, 1, height, width), 2 * number - 1
    angle = torch.deg2rad(torch.tensor(side * config.rotate))
    turn = torch.tensor([[angle.cos(), angle.sin()], [-angle.sin(), angle.cos()]])  # rows are (down, right)
    matrix = (turn @ torch.tensor([[1.0, 0.0], [side * config.shear, 1.0]]) * (1 + side * config.scale)).numpy()
    middle = torch.tensor([(height - 1) / 2, (width - 1) / 2]).numpy()
    expected = ndimage.affine_transform(
        image[0, 0].numpy(), matrix, middle - matrix @ middle, order=1, mode="grid-constant"
    )
    numbers = [number if how == name else MIDDLE for name in ("rotate", "scale", "shear")]
    again = augment(image, Chosen(*numbers, MIDDLE, MIDDLE), config)
    torch.testing.assert_close(again[0, 0], torch.from_numpy(expected), rtol=0, atol=1e-4)
    assert float((again - image).abs().max()) > 0.05


def test_nothing_but_what_trains_the_autoencoder_is_varied() -> None:
    """Neither what the generator learns from nor what is measured: its images and those of its features' classifier."""
    places, varied = set(), set()
    for path in sorted(Path(latentarena.__file__).parent.rglob("*.py")):
        for part in ast.parse(path.read_text()).body:
            calls = [node for node in ast.walk(part) if isinstance(node, ast.Call)]
            if any(isinstance(call.func, ast.Name) and call.func.id == "augment" for call in calls):
                places.add((path.stem, getattr(part, "name", "")))
            if any(isinstance(call.func, ast.Attribute) and call.func.attr == "of_images" for call in calls):
                varied.add((path.stem, getattr(part, "name", "")))
    assert places == {("stages", "AutoencoderObjective"), ("classifier", "ClassifierObjective")}
    assert varied == {("stages", "features_stage")}  # a classifier that guides is given latents, and varies nothing


@pytest.mark.parametrize("fault", [{"shift": -1}, {"rotate": 200}, {"scale": 1}, {"shear": -0.1}, {"twist": 1}])
def test_impossible_ranges_are_refused(fault: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match=next(iter(fault))):
        Augmentation.model_validate(fault)
