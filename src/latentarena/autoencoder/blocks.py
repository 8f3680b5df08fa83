"""What the convolutional autoencoders share: the pyramid of maps, their residual blocks and how weights start."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from torch import Tensor, nn

from latentarena.errors import ConfigError
from latentarena.text import shown

Shape = tuple[int, int, int]  # channels, height, width
Sides = tuple[int, int, int, int]  # left, right, top, bottom


def cell(levels: int, patch: int = 2) -> int:
    """Side of the square of pixels that a place of the smallest map stands for.

    The first level takes squares of `patch` pixels a side together, every later one halves.
    """
    return patch << (levels - 1)


def grid(shape: Shape, side: int) -> tuple[int, int]:
    """Height and width of the image in squares of so many pixels a side, padded up where it does not divide."""
    return -(-shape[1] // side), -(-shape[2] // side)


def margins(shape: Shape, side: int) -> Sides:
    """Pixels to pad on the left, right, top and bottom so that such squares divide the image."""
    height, width = grid(shape, side)
    tall, wide = height * side - shape[1], width * side - shape[2]
    return wide // 2, wide - wide // 2, tall // 2, tall - tall // 2


def check_widths(widths: Sequence[int]) -> None:
    """Raise ValueError for widths that are not one positive number for each level."""
    if not 1 <= len(widths) <= 6 or not all(1 <= width <= 4096 for width in widths):
        raise ValueError(f"widths = {shown(widths)}: give 1 to 6 levels of 1 to 4096 channels")


def check_blocks(name: str, blocks: Sequence[int], levels: int) -> None:
    """Raise ValueError for numbers of blocks that are not one for each level."""
    if len(blocks) != levels or not all(0 <= count <= 32 for count in blocks):
        raise ValueError(f"{name} = {list(blocks)}: give 0 to 32 blocks for each of {levels} levels")


def check_latent(latent: tuple[int, ...], shape: Shape, levels: int, patch: int = 2) -> None:
    """Raise ConfigError for a latent larger than the images, or whose map is not the last level's; see `cell`."""
    pixels, numbers = prod(shape), prod(latent)
    if numbers > pixels:
        raise ConfigError(
            f"autoencoder.latent = {shown(latent)} has {shown(numbers)} numbers, more than the {pixels} of an image "
            f"{list(shape)}; choose a smaller latent, or the recipe of a pixel model"
        )
    if len(latent) == 3 and latent[1:] != grid(shape, cell(levels, patch)):
        fits = {n: grid(shape, cell(n, patch)) for n in range(1, 7)}
        choices = ", ".join(f"[C, {h}, {w}] with {n} widths" for n, (h, w) in fits.items())
        raise ConfigError(
            f"autoencoder.latent = {shown(latent)} with {levels} widths is impossible for images "
            f"{list(shape)}; choose {choices}"
        )


class Residual(nn.Module):
    """Two convolutions beside the identity (He et al., 2016), activations first; any (B, width, H, W)."""

    def __init__(self, width: int, middle: int) -> None:
        super().__init__()
        self.inner, self.outer = nn.Conv2d(width, middle, 3, 1, 1), nn.Conv2d(middle, width, 3, 1, 1)

    def forward(self, h: Tensor) -> Tensor:
        silu = nn.functional.silu
        return h + self.outer(silu(self.inner(silu(h))))  # type: ignore[no-any-return]


def stack(width: int, count: int, middle: float = 1.0) -> list[nn.Module]:
    """So many residual blocks; `middle` is their inner width as a fraction of the outer one."""
    return [Residual(width, max(1, round(middle * width))) for _ in range(count)]


def initialise(inward: nn.Sequential, outward: nn.Sequential) -> None:
    """He initialisation (He et al., 2015); residual branches start at zero, pixels start dark."""
    both = nn.ModuleList([inward, outward])
    for name, parameter in both.named_parameters():
        if name.endswith("weight"):
            nn.init.kaiming_normal_(parameter, nonlinearity="linear")
        else:
            nn.init.zeros_(parameter)
    for module in both.modules():
        if isinstance(module, Residual):
            nn.init.kaiming_normal_(module.inner.weight, nonlinearity="relu")
            nn.init.zeros_(module.outer.weight)
    last = [module for module in outward if isinstance(module, nn.Conv2d)][-1]
    nn.init.constant_(last.bias, -2.0)  # type: ignore[arg-type]  # sigmoid(-2) = 0.12, about the mean of a dark image
