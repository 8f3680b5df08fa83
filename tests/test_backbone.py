"""Laws of the backbones: what their output depends on, and what it does not."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from latentarena.backbone import BackboneConfig, ConvNetConfig, MLPConfig
from latentarena.config import Config, validate
from latentarena.errors import ConfigError
from latentarena.randomness import stream

CASES = [(MLPConfig, (5,)), (MLPConfig, (49,)), (ConvNetConfig, (1, 7, 7)), (ConvNetConfig, (4, 4, 4))]
CLASSES = 3


def built(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...], classes: int | None, width: int = 8
) -> nn.Module:
    """A backbone whose every weight is random: its last layer, too, which starts at zero."""
    network = kind(width=width, depth=2, conditioning=8).build(latent, classes)
    generator = stream("backbone")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network.eval().requires_grad_(False)


def inputs(latent: tuple[int, ...], n: int = 6) -> tuple[Tensor, Tensor, Tensor]:
    """x_t, times and labels."""
    x = torch.randn(n, *latent, generator=stream("x"))
    return x, torch.linspace(0, 1, n), torch.arange(n) % CLASSES


@pytest.mark.parametrize("classes", [None, CLASSES])
@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_output_has_the_shape_of_the_latent(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...], classes: int | None
) -> None:
    x, t, labels = inputs(latent)
    network = built(kind, latent, classes)
    assert network(x, t, labels).shape == x.shape
    assert network(x, t, None).shape == x.shape


@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_every_sample_is_treated_alone(kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...]) -> None:
    x, t, labels = inputs(latent)
    network = built(kind, latent, CLASSES)
    together = network(x, t, labels)
    for i in range(len(x)):
        alone = network(x[i : i + 1], t[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_label_matters_only_to_a_conditional_network(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...]
) -> None:
    x, t, labels = inputs(latent)
    other = (labels + 1) % CLASSES
    conditional, unconditional = built(kind, latent, CLASSES), built(kind, latent, None)
    changed = (conditional(x, t, labels) - conditional(x, t, other)).flatten(1).abs().amax(1)
    assert float(changed.min()) > 1e-3
    assert torch.equal(unconditional(x, t, labels), unconditional(x, t, other))
    assert torch.equal(unconditional(x, t, labels), unconditional(x, t, None))


@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_no_label_is_the_row_after_the_last_class(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...]
) -> None:
    x, t, _ = inputs(latent)
    network = built(kind, latent, CLASSES)
    none = torch.full((len(x),), CLASSES)
    assert torch.equal(network(x, t, None), network(x, t, none))


@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_time_changes_the_output(kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...]) -> None:
    x, t, _ = inputs(latent)
    network = built(kind, latent, None)
    for step in (0.01, 0.3):
        changed = (network(x, t, None) - network(x, t + step, None)).flatten(1).abs().amax(1)
        assert float(changed.min()) > 1e-3


@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_untrained_output_is_the_same_for_every_input(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...]
) -> None:
    x, t, labels = inputs(latent)
    network = kind(width=8, depth=2).build(latent, CLASSES)
    spread = network(x, t, labels).flatten(1).std(0)
    torch.testing.assert_close(spread, torch.zeros_like(spread))


@pytest.mark.parametrize(("kind", "latent"), CASES)
def test_parameters_grow_with_width_depth_and_classes(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...]
) -> None:
    def count(classes: int | None = None, **sizes: int) -> int:
        return sum(p.numel() for p in kind(**sizes).build(latent, classes).parameters())

    base = {"width": 8, "depth": 2, "conditioning": 8}
    assert count(**base) < count(**base | {"width": 9})
    assert count(**base) < count(**base | {"depth": 3})
    assert count(**base) < count(**base | {"conditioning": 9})
    assert count(CLASSES, **base) == count(**base) + 8 * (CLASSES + 1)


def test_every_pass_of_a_loop_shares_the_blocks_and_has_its_own_modulation() -> None:
    once, thrice = (MLPConfig(width=8, depth=2, loops=loops, conditioning=8).build((5,), None) for loops in (1, 3))
    sizes = [{name: p.numel() for name, p in network.named_parameters()} for network in (once, thrice)]
    grown = {name: sizes[1][name] / sizes[0][name] for name in sizes[0]}
    assert sizes[0].keys() == sizes[1].keys()
    assert {name: factor for name, factor in grown.items() if factor != 1} == {
        "modulation.weight": 3,
        "modulation.bias": 3,
    }


@pytest.mark.parametrize(("kind", "latent", "other"), [(MLPConfig, (1, 7, 7), "conv"), (ConvNetConfig, (16,), "mlp")])
def test_latent_of_the_other_kind_is_refused_with_the_way_out(
    kind: type[MLPConfig | ConvNetConfig], latent: tuple[int, ...], other: str
) -> None:
    with pytest.raises(ConfigError, match=rf"generator\.backbone\.kind = .*choose {other}"):
        kind().build(latent, None)


class _Holder(Config):
    backbone: BackboneConfig


@pytest.mark.parametrize(("name", "kind"), [("mlp", MLPConfig), ("conv", ConvNetConfig)])
def test_kind_chooses_the_backbone(name: str, kind: type[MLPConfig | ConvNetConfig]) -> None:
    assert type(validate(_Holder, {"backbone": {"kind": name}}, "test").backbone) is kind


def test_unknown_kind_names_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"transformer.*mlp.*conv"):
        validate(_Holder, {"backbone": {"kind": "transformer"}}, "test")
