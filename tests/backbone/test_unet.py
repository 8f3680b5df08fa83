"""Laws of the U-Net: sizes, reach, and what goes where."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from backbones import CLASSES, inputs, perturbed
from latentarena.backbone import UNetConfig
from latentarena.backbone.unet import UNet
from latentarena.errors import ConfigError


def unet(channels: int = 1, classes: int | None = None, **changes: Any) -> UNet:
    """A small U-Net whose every weight is random."""
    sizes: dict[str, Any] = {"widths": (8, 8), "blocks": (1, 1), "attention": (), "conditioning": 8}
    network = UNetConfig(**{**sizes, **changes}).build((channels, 8, 8), classes)
    perturbed(network)
    return network


@pytest.mark.parametrize("up", ["transposed", "nearest"])
@pytest.mark.parametrize("size", [(28, 28), (7, 7), (32, 32), (5, 9), (2, 2), (1, 1), (1, 6)])
def test_any_height_and_width_will_do(size: tuple[int, int], up: str) -> None:
    network = unet(channels=2, widths=(8, 8, 12), blocks=(1, 1, 1), attention=(2,), up=up)
    x, t, _ = inputs((2, *size), 2)
    out = network(x, t, None)
    assert out.shape == x.shape
    assert bool(out.isfinite().all())
    assert float((out - network(x + 1, t, None)).abs().amax()) > 1e-3


def influence(network: UNet, size: int) -> torch.Tensor:
    """How much each input pixel moves the output's first one, (size, size)."""
    x = torch.randn(1, 1, size, size, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    x.requires_grad_(True)
    network.double()(x, torch.ones(1, dtype=torch.float64), None)[0, 0, 0, 0].backward()
    assert x.grad is not None
    return x.grad[0, 0].abs()


def test_only_attention_sees_farther_than_the_convolutions(monkeypatch: pytest.MonkeyPatch) -> None:
    # group normalisation, too, looks at the whole map; without it a one-level network of two blocks has 3 x 3
    # convolutions only: two in each block, one to enter and one to leave
    monkeypatch.setattr(torch.nn.GroupNorm, "forward", lambda self, h: h)
    one = {"widths": (8,), "blocks": (1,)}
    near = influence(unet(**one), 16)
    assert float(near[:7, :7].min()) > 0
    assert not bool(near[7:].any())
    assert not bool(near[:, 7:].any())
    assert float(influence(unet(**one, attention=(0,), heads=2), 16).min()) > 0


def test_a_level_below_doubles_the_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.GroupNorm, "forward", lambda self, h: h)
    far = influence(unet(), 32)
    assert bool(far[10, 10] > 0)
    assert not bool(far[24:].any())


def test_skip_connection_carries_what_the_level_below_loses() -> None:
    network = unet()
    x, t, _ = inputs((1, 8, 8), 2)
    with torch.no_grad():
        network.level.down.weight.zero_()
        network.level.down.bias.zero_()
    assert float((network(x, t, None) - network(x + torch.randn_like(x), t, None)).abs().amax()) > 1e-3


@pytest.mark.parametrize("condition", ["adaln", "input-channel", "cross-attention"])
def test_label_enters_in_one_place_alone(condition: str) -> None:
    plain, told = (unet(2, classes, attention=(1,), condition=condition) for classes in (None, CLASSES))
    grown = {
        name.split(".")[0]: p.numel()
        for name, p in told.named_parameters()
        if dict(plain.named_parameters()).get(name, torch.empty(0)).shape != p.shape
    }
    places = {"adaln": {"inputs"}, "input-channel": {"enter"}, "cross-attention": {"inputs", "level"}}
    assert grown.keys() == places[condition]


def test_label_tokens_tell_different_positions_different_things() -> None:
    """With a single token every position would be told the same."""
    network = unet(1, CLASSES, widths=(8,), blocks=(1,), attention=(0,), condition="cross-attention")
    told = []
    attend = network.level.inward[0].attend
    attend.label.register_forward_hook(lambda module, given, out: told.append(out))
    x, t, labels = inputs((1, 8, 8), 2)
    network(x, t, labels)
    assert float(told[0].std(1).amax()) > 1e-3


def test_a_patch_is_the_same_network_on_rearranged_pixels() -> None:
    coarse, fine = unet(4, 3, attention=(1,)), unet(classes=3, attention=(1,), patch=2)
    fine.load_state_dict(coarse.state_dict())
    x, t, labels = torch.randn(2, 1, 12, 14), torch.tensor([0.2, 0.7]), torch.tensor([0, 2])
    expected = torch.nn.functional.pixel_shuffle(coarse(torch.nn.functional.pixel_unshuffle(x, 2), t, labels), 2)
    torch.testing.assert_close(fine(x, t, labels), expected)


def test_a_patch_that_does_not_divide_is_refused_with_those_that_do() -> None:
    with pytest.raises(ConfigError, match=r"patch = 3 .* choose from 1, 2, 7, 14"):
        UNetConfig(patch=3).build((1, 28, 14), None)
