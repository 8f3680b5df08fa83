"""Residual convolutions at the latent's own resolution, for spatial latents and pixels."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from latentarena.backbone.conditioning import Conditioning, modulate
from latentarena.config import Config
from latentarena.errors import ConfigError


class ConvNetConfig(Config):
    """A residual convolutional network without down- or upsampling.

    Attributes:
        width: channels of the hidden layers.
        depth: residual blocks; each widens the receptive field by four pixels.
        conditioning: width of the time-and-label vector.
    """

    kind: Literal["conv"] = "conv"
    width: int = Field(default=32, ge=4, le=2048)
    depth: int = Field(default=4, ge=1, le=64)
    conditioning: int = Field(default=32, ge=4, le=4096)

    def build(self, latent: tuple[int, ...], classes: int | None, times: int = 1) -> ConvNet:
        """The network for latents of this shape, told one time or two.

        Raises:
            ConfigError: the latent is linear.
        """
        if len(latent) != 3:
            raise ConfigError(f"generator.backbone.kind = conv takes a spatial latent, not {list(latent)}; choose mlp")
        return ConvNet(latent[0], classes, self, times)


class _Block(nn.Module):
    def __init__(self, width: int, conditioning: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(1, width, affine=False)
        self.modulation = nn.Linear(conditioning, 2 * width)
        self.inner, self.outer = nn.Conv2d(width, width, 3, 1, 1), nn.Conv2d(width, width, 3, 1, 1)
        nn.init.zeros_(self.outer.weight)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        update = modulate(self.norm(h), self.modulation(condition))
        return h + self.outer(nn.functional.silu(self.inner(update)))  # type: ignore[no-any-return]


class ConvNet(nn.Module):
    """`(x (B, C, H, W), t (B,), labels (B,) or None) -> (B, C, H, W)`."""

    def __init__(self, channels: int, classes: int | None, config: ConvNetConfig, times: int = 1) -> None:
        super().__init__()
        self.condition = Conditioning(config.conditioning, classes, times)
        self.enter = nn.Conv2d(channels, config.width, 3, 1, 1)
        self.blocks = nn.ModuleList(_Block(config.width, config.conditioning) for _ in range(config.depth))
        self.norm = nn.GroupNorm(1, config.width, affine=False)
        self.leave = nn.Conv2d(config.width, channels, 3, 1, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        condition = self.condition(t, labels)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, condition)
        return self.leave(self.norm(h))  # type: ignore[no-any-return]
