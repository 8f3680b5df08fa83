"""Discriminators that learn beside what they judge: both in one loss, each with its own gradient."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.functional import relu, silu, softplus

from latentarena.backbone import MLPConfig

RADIUS = 0.05  # standard deviation of the noise that measures how steep a discriminator is


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


class LatentDiscriminator(nn.Module):
    """Whether standardised latents look like those of real images: (B, *latent), labels int64 (B,) or None -> (B,)."""

    def __init__(self, config: MLPConfig, latent: tuple[int, ...], classes: int | None) -> None:
        super().__init__()
        self.body = config.build(latent, classes)
        self.head = nn.Linear(prod(latent), 1, bias=False)
        nn.init.kaiming_normal_(self.body.leave.weight)

    def forward(self, latents: Tensor, labels: Tensor | None) -> Tensor:
        features = self.body(latents, latents.new_zeros(latents.shape[0]), labels)
        return self.head(silu(features.flatten(1)))[:, 0]  # type: ignore[no-any-return]


def relativistic_losses(
    discriminator: nn.Module,
    real: tuple[Tensor, Tensor | None],
    fake: tuple[Tensor, Tensor | None],
    nudges: tuple[Tensor, Tensor],
    smoothness: float,
) -> tuple[Tensor, Tensor]:
    """The two losses of a relativistic pairing GAN (Huang et al., 2025), which may be added as above.

    Args:
        discriminator: (latents, labels) -> scores (B,).
        real, fake: latents (B, *latent) with their labels; the fake ones with their generator's graph.
        nudges: standard normal, as real and as fake; by RADIUS of them the scores may change little, which stands for
            the penalties on the gradients (Lin et al., 2025).
        smoothness: weight of these penalties.

    Returns:
        For the generator: softplus(D(real) - D(fake)), whose gradient goes through the discriminator but not into its
        weights. For the discriminator: softplus(D(fake) - D(real)) and the penalties.
    """
    fixed = {name: weight.detach() for name, weight in discriminator.named_parameters()}
    ended = fake[0].detach(), fake[1]
    scores = [discriminator(*batch) for batch in (real, ended)]
    for_generator = softplus(scores[0].detach() - functional_call(discriminator, fixed, fake)).mean()
    for_discriminator = softplus(scores[1] - scores[0]).mean()
    for score, (latents, labels), nudge in zip(scores, (real, ended), nudges, strict=True):
        change = (discriminator(latents + RADIUS * nudge, labels) - score) / RADIUS
        for_discriminator = for_discriminator + smoothness / 2 * change.square().mean()
    return for_generator, for_discriminator
