"""Augmentation: every image is turned, scaled, sheared, moved or mirrored a little, the whole batch at once."""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from latentarena.config import Config
from latentarena.randomness import Draws


class Augmentation(Config):
    """How far images may be changed, either way; 0 leaves them alone.

    Attributes:
        shift: whole pixels along each axis, so that what is only moved stays sharp.
        rotate: degrees.
        scale: fraction of the size.
        shear: how far a row is moved sideways, as a fraction of its distance from the middle row.
        flip: whether to mirror every other image left to right; right for photographs, wrong for digits.
    """

    shift: int = Field(default=0, ge=0, le=64)
    rotate: float = Field(default=0.0, ge=0, le=180)
    scale: float = Field(default=0.0, ge=0, lt=1)
    shear: float = Field(default=0.0, ge=0, le=1)
    flip: bool = False


def augment(images: Tensor, draws: Draws, config: Augmentation) -> Tensor:
    """Each image mirrored by chance, then changed by an affine map of its own; what moves in is black.

    Args:
        images: (B, C, H, W) in [0, 1].
        draws: all the randomness there is.
        config: how far.

    Returns:
        Images of the same shape and range.
    """
    if config.flip:
        mirrored = draws.uniform(len(images)) < 0.5
        images = torch.where(mirrored[:, None, None, None], images.flip(3), images)
    if config.shift or config.rotate or config.scale or config.shear:
        maps = _maps(images, draws, config)
        with torch.autocast(images.device.type, enabled=False):  # half precision misplaces by a tenth of a pixel
            grid = affine_grid(maps, list(images.shape), align_corners=False)
        images = grid_sample(images, grid, align_corners=False).clamp(0, 1)
    return images


def _maps(images: Tensor, draws: Draws, config: Augmentation) -> Tensor:
    """Affine maps (B, 2, 3) from places in the result to places in the image, on torch's grid from -1 to 1."""
    height, width = images.shape[2:]
    r = draws.uniform(len(images), 5)
    angle, scale, shear = (2 * r[:, :3] - 1).unbind(1)
    angle, scale, shear = torch.deg2rad(config.rotate * angle), 1 + config.scale * scale, config.shear * shear
    down, right = ((2 * config.shift + 1) * r[:, 3:]).floor().sub(config.shift).unbind(1)  # pixels
    cos, sin, tall = scale * angle.cos(), scale * angle.sin(), height / width
    rows = [
        torch.stack([cos, tall * (shear * cos - sin), -2 * right / width], 1),
        torch.stack([sin / tall, shear * sin + cos, -2 * down / height], 1),
    ]
    return torch.stack(rows, 1)
