"""A discriminator that learns beside what it judges: both in one loss, each with its own gradient."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import relu


class PatchDiscriminator(nn.Module):
    """Whether each patch of an image looks real: images (B, C, H, W) of at least 8 x 8 -> scores (B, 1, h, w).

    Three strided convolutions (Isola et al., 2017) and no normalisation, so that images of a batch do not mix.
    """

    def __init__(self, channels: int, width: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        before = channels
        for after in (width, width, 2 * width):
            layers += [nn.Conv2d(before, after, 4, 2, 1), nn.LeakyReLU(0.2)]
            before = after
        self.layers = nn.Sequential(*layers, nn.Conv2d(before, 1, 1))
        self.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster on a CPU

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images)  # type: ignore[no-any-return]


def adversarial_losses(discriminator: nn.Module, real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """The two hinge losses (Lim & Ye, 2017), which may be added: neither has a gradient in the other's weights.

    Args:
        discriminator: images -> scores.
        real: images (B, C, H, W) of the data.
        fake: images (B, C, H, W), with the graph of the generator that made them.

    Returns:
        For the generator: -D(fake), whose gradient goes through the discriminator but not into its weights.
        For the discriminator: max(0, 1 - D(real)) + max(0, 1 + D(fake)), whose gradient ends at the fake images.
    """
    fixed = {name: weight.detach() for name, weight in discriminator.named_parameters()}
    for_generator = -functional_call(discriminator, fixed, (fake,)).mean()
    for_discriminator = relu(1 - discriminator(real)).mean() + relu(1 + discriminator(fake.detach())).mean()
    return for_generator, for_discriminator
