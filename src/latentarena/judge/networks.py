"""The judges' networks: three architectures with little in common, so that they err independently of each other.

Each is `nn.ModuleDict({"body": images (B, *shape) -> features (B, D), "head": features -> logits (B, K)})` with
D = `feature_width(kind, width)`, for images of one or more channels from 8 x 8 on.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

Kind = Literal["conv", "residual", "patches"]
Shape = tuple[int, int, int]
FEATURES: dict[Kind, int] = {"conv": 4, "residual": 3, "patches": 2}  # per unit of width
PATCH = 4  # pixels from one patch to the next, each of which is a window of twice that side
MIXERS = 4


def feature_width(kind: Kind, width: int) -> int:
    """D, the number of features that a body of this kind and width returns."""
    return FEATURES[kind] * width


def network(kind: Kind, shape: Shape, classes: int, width: int) -> nn.ModuleDict:
    """An untrained classifier of images (B, *shape), drawn from the global generator."""
    body = BODIES[kind](shape, width)
    return nn.ModuleDict({"body": body, "head": nn.Linear(feature_width(kind, width), classes)})


def _conv(shape: Shape, width: int) -> nn.Module:
    """Five 3x3 convolutions in two halvings, average pooling."""
    w = width
    plan = [(shape[0], w, 1), (w, 2 * w, 2), (2 * w, 2 * w, 1), (2 * w, 4 * w, 2), (4 * w, 4 * w, 1)]
    layers: list[nn.Module] = []
    for inside, outside, stride in plan:
        layers += [*_normed(inside, outside, 3, stride), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())


def _residual(shape: Shape, width: int) -> nn.Module:
    """A 5x5 stem and three residual blocks in three halvings, maximum pooling (He et al., 2016)."""
    w = width
    return nn.Sequential(
        *_normed(shape[0], w, 5, 2),
        nn.ReLU(),
        _Residual(w, w, 1),
        _Residual(w, 2 * w, 2),
        _Residual(2 * w, 3 * w, 2),
        nn.AdaptiveMaxPool2d(1),
        nn.Flatten(),
    )


def _normed(inside: int, outside: int, kernel: int, stride: int) -> list[nn.Module]:
    return [nn.Conv2d(inside, outside, kernel, stride, kernel // 2, bias=False), nn.BatchNorm2d(outside)]


class _Residual(nn.Module):
    def __init__(self, inside: int, outside: int, stride: int) -> None:
        super().__init__()
        self.main = nn.Sequential(*_normed(inside, outside, 3, stride), nn.ReLU(), *_normed(outside, outside, 3, 1))
        self.skip = nn.Sequential(*(_normed(inside, outside, 1, stride) if stride > 1 else []))

    def forward(self, h: Tensor) -> Tensor:
        return torch.relu(self.main(h) + self.skip(h))


class _Patches(nn.Module):
    """An MLP-mixer (Tolstikhin et al., 2021) over the image's overlapping patches, averaged."""

    def __init__(self, shape: Shape, width: int) -> None:
        super().__init__()
        channels, *sides = shape
        features, (down, right) = feature_width("patches", width), (-side % PATCH for side in sides)
        tokens = (sides[0] + down) // PATCH * ((sides[1] + right) // PATCH)
        self.pad = nn.ZeroPad2d((right // 2, right - right // 2, down // 2, down - down // 2))
        self.embed = nn.Conv2d(channels, features, 2 * PATCH, PATCH, PATCH // 2)
        self.mixers = nn.Sequential(*(_Mixer(tokens, features) for _ in range(MIXERS)))
        self.norm = nn.LayerNorm(features)

    def forward(self, images: Tensor) -> Tensor:
        h = self.embed(self.pad(images)).flatten(2).mT  # (B, N, D)
        return self.norm(self.mixers(h)).mean(1)  # type: ignore[no-any-return]


class _Mixer(nn.Module):
    def __init__(self, tokens: int, features: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(features)
        self.across = nn.Sequential(nn.Linear(tokens, features), nn.ReLU(), nn.Linear(features, tokens))
        self.within = nn.Sequential(
            nn.LayerNorm(features), nn.Linear(features, 2 * features), nn.ReLU(), nn.Linear(2 * features, features)
        )

    def forward(self, h: Tensor) -> Tensor:
        h = h + self.across(self.norm(h).mT).mT  # (B, N, D)
        return h + self.within(h)  # type: ignore[no-any-return]


BODIES: dict[Kind, Callable[[Shape, int], nn.Module]] = {"conv": _conv, "residual": _residual, "patches": _Patches}


def folded(module: nn.Module) -> nn.Module:
    """`module` itself, in evaluation mode, with each batch normalisation folded into the convolution before it."""
    if not isinstance(module, nn.Sequential):
        for name, child in module.named_children():
            setattr(module, name, folded(child))
        return module.eval()
    kept: list[Any] = []
    for layer in module:
        if isinstance(layer, nn.BatchNorm2d):
            kept[-1] = fuse_conv_bn_eval(kept[-1], layer.eval())
        else:
            kept.append(folded(layer))
    return nn.Sequential(*kept).eval()


def freeze(trained: nn.ModuleDict) -> nn.ModuleDict:
    """A copy that computes the same with no mode left that matters: folded, rounded to float16 values."""
    frozen = deepcopy(trained)
    folded(frozen)
    with torch.no_grad():
        for parameter in frozen.parameters():
            parameter.copy_(parameter.half().float())
    return frozen.requires_grad_(False)


def pattern(shape: Shape) -> Tensor:
    """Sixteen fixed pictures of plane waves, float32 (16, C, H, W) in [0, 1]: the self-test's input."""
    channels, height, width = shape
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    k = torch.arange(16.0).view(-1, 1, 1)
    waves = 0.5 + 0.5 * torch.sin(6 * (1 + k % 4) * x + 6 * (k // 4) * y + k)
    return waves[:, None].repeat(1, channels, 1, 1)
