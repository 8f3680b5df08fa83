"""Laws of the diffusion transformer: patches, positions, and the identity it starts from."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import pixel_shuffle, pixel_unshuffle

from backbones import CLASSES, inputs, perturbed
from latentarena.backbone import DiTConfig
from latentarena.backbone.attention import Attention
from latentarena.backbone.dit import DiT, positions
from latentarena.errors import ConfigError


def dit(latent: tuple[int, int, int], classes: int | None = None, **changes: Any) -> DiT:
    """A small transformer whose every weight is random."""
    sizes: dict[str, Any] = {"width": 8, "depth": 2, "heads": 2, "conditioning": 8}
    network = DiTConfig(**{**sizes, **changes}).build(latent, classes)
    perturbed(network)
    return network


@pytest.mark.parametrize(
    ("latent", "patch"),
    [((1, 28, 28), 4), ((1, 28, 28), 14), ((4, 7, 7), 1), ((8, 2, 2), 1), ((3, 6, 9), 3), ((2, 2, 4), 2)],
)
def test_shape_is_kept_for_every_patch_that_fits(latent: tuple[int, int, int], patch: int) -> None:
    x, t, _ = inputs(latent, 2)
    assert dit(latent, patch=patch)(x, t, None).shape == x.shape


@pytest.mark.parametrize(
    ("latent", "patch", "choices"),
    [
        ((4, 7, 7), 7, "choose from 1$"),  # one token has nobody to attend to
        ((4, 7, 7), 2, "choose from 1$"),
        ((1, 28, 28), 28, "choose from 1, 2, 4, 7, 14$"),
        ((1, 28, 28), 56, "choose from 1, 2, 4, 7, 14$"),
        ((1, 6, 4), 4, "choose from 1, 2$"),
        ((12,), 12, "choose from 1, 2, 3, 4, 6$"),
        ((1,), 1, "choose the backbone mlp, unet or conv$"),
        ((16, 1, 1), 1, "choose the backbone mlp, unet or conv$"),
    ],
)
def test_patch_of_less_than_two_whole_tokens_is_refused(latent: tuple[int, int, int], patch: int, choices: str) -> None:
    with pytest.raises(ConfigError, match=rf"^generator\.backbone\.patch = {patch} .*{choices}"):
        DiTConfig(patch=patch).build(latent, None)


def shuffled(x: Tensor, patch: int, order: Tensor) -> Tensor:
    """The same patches at other places."""
    tokens = pixel_unshuffle(x, patch)  # (B, C patch^2, H / patch, W / patch)
    return pixel_shuffle(tokens.flatten(2)[..., order].unflatten(2, tokens.shape[2:]), patch)


@pytest.mark.parametrize("condition", ["adaln", "input-channel", "cross-attention"])
@pytest.mark.parametrize(("latent", "patch"), [((2, 4, 6), 2), ((3, 3, 3), 1)])
def test_only_positions_tell_one_place_from_another(latent: tuple[int, int, int], patch: int, condition: str) -> None:
    network = dit(latent, CLASSES, patch=patch, condition=condition)
    x, t, labels = inputs(latent, 3)
    order = torch.randperm(latent[1] * latent[2] // patch**2, generator=torch.Generator().manual_seed(1))

    def broken() -> float:
        moved = network(shuffled(x, patch, order), t, labels)
        return float((moved - shuffled(network(x, t, labels), patch, order)).abs().amax())

    assert broken() > 1e-2
    network.get_buffer("positions").zero_()
    assert broken() < 1e-5


def test_a_patch_is_a_square_of_the_latent() -> None:
    """With the blocks gone, a pixel reaches the pixels of its own square and no other."""
    network = dit((1, 4, 4), patch=2)
    network.blocks = torch.nn.ModuleList()
    x, t, _ = inputs((1, 4, 4), 1)
    touched = x.clone()
    touched[0, 0, 0, 3] += 1
    moved = (network(x, t, None) - network(touched, t, None))[0, 0].abs() > 1e-6
    assert moved.tolist() == [[False, False, True, True]] * 2 + [[False] * 4] * 2


def test_every_position_looks_at_every_other() -> None:
    network = dit((1, 6, 6), depth=1)
    x, t, _ = inputs((1, 6, 6), 1)
    x.requires_grad_(True)
    network(x, t, None)[0, 0, 0, 0].backward()
    assert x.grad is not None
    assert float(x.grad.abs().min()) > 0


def test_blocks_start_as_the_identity() -> None:
    network = DiTConfig(width=8, depth=3, condition="cross-attention").build((2, 3, 3), CLASSES)
    h = torch.randn(2, 9, 8)
    _, condition, tokens = network.inputs(*inputs((2, 3, 3), 2))
    for block in network.blocks:
        assert torch.equal(block(h, condition, tokens), h)


@pytest.mark.parametrize(("height", "width"), [(7, 7), (2, 2), (1, 4), (16, 16), (3, 28)])
@pytest.mark.parametrize("features", [4, 16, 64])
def test_positions_differ_and_near_ones_are_alike(height: int, width: int, features: int) -> None:
    table = positions(height, width, features)
    assert table.shape == (height * width, features)
    gaps = torch.cdist(table, table) + 9 * torch.eye(len(table))
    assert float(gaps.min()) > 0.05
    along = gaps[0, 1:width]  # from the corner along the first row
    assert int(along.argmin()) == 0


def test_positions_know_rows_from_columns() -> None:
    table = positions(3, 3, 16).unflatten(0, (3, 3))
    assert torch.equal(table[1, :, :8], table[1, :1, :8].expand(3, 8))
    assert torch.equal(table[:, 1, 8:], table[:1, 1, 8:].expand(3, 8))
    assert torch.equal(table[..., :8].transpose(0, 1), table[..., 8:])


@pytest.mark.parametrize(("heads", "source"), [(1, None), (4, None), (2, 5)])
def test_attention_is_that_of_torch(heads: int, source: int | None) -> None:
    """The reference is torch's own module, which has biases of keys and values; ours have none to lose."""
    ours, theirs = Attention(8, heads, source), torch.nn.MultiheadAttention(8, heads, kdim=source, vdim=source)
    perturbed(ours)
    key, value = ours.key_value.weight.chunk(2)
    with torch.no_grad():
        if source is None:
            theirs.in_proj_weight.copy_(torch.cat([ours.query.weight, key, value]))
        else:
            for mine, weight in ((ours.query.weight, "q"), (key, "k"), (value, "v")):
                getattr(theirs, f"{weight}_proj_weight").copy_(mine)
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, torch.full((8,), 0.7), torch.zeros(8)]))
        theirs.out_proj.load_state_dict(ours.leave.state_dict())
    h, to = torch.randn(3, 6, 8), None if source is None else torch.randn(3, 4, source)
    rows = h if to is None else to
    expected = theirs(h.transpose(0, 1), rows.transpose(0, 1), rows.transpose(0, 1))[0].transpose(0, 1)
    torch.testing.assert_close(ours(h, to), expected, atol=1e-5, rtol=1e-5)
