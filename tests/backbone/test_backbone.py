"""Laws of the backbones: what their output depends on, and what it does not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.func import jvp
from torch.nn.attention import SDPBackend, sdpa_kernel

from backbones import CLASSES, inputs, perturbed
from latentarena.backbone import SIZES, BackboneConfig, ConvNetConfig, DiTConfig, MLPConfig, UNetConfig
from latentarena.config import Config, validate
from latentarena.errors import ConfigError
from latentarena.model.latent_model import LatentModel
from latentarena.process import TARGETS, TIMES, Straight, gaussian_correction, matching_loss
from latentarena.randomness import Draws, stream
from latentarena.train.recipe import load_recipe

CONDITIONS = ("adaln", "input-channel", "cross-attention")
SPATIAL: dict[str, dict[str, Any]] = {
    "conv": {"width": 8, "depth": 2},
    "unet": {"widths": (8, 12), "blocks": (1, 1), "attention": (1,)},
    "dit": {"width": 8, "depth": 2},
}
KINDS: dict[str, type[MLPConfig | ConvNetConfig | UNetConfig | DiTConfig]] = {
    "mlp": MLPConfig,
    "conv": ConvNetConfig,
    "unet": UNetConfig,
    "dit": DiTConfig,
}
Case = tuple[BackboneConfig, tuple[int, ...]]


def small(kind: str, **changes: Any) -> BackboneConfig:
    """A small backbone of this kind."""
    sizes = {"width": 8, "depth": 2} if kind == "mlp" else SPATIAL[kind]
    return KINDS[kind](**{"conditioning": 8, **sizes, **changes})


def cases() -> Iterator[Any]:
    """Each backbone on shapes it takes, each way of conditioning, each way up."""
    yield pytest.param(small("mlp"), (5,), id="mlp-5")
    yield pytest.param(small("mlp"), (49,), id="mlp-49")
    yield pytest.param(small("mlp"), (1, 7, 7), id="mlp-7")
    yield pytest.param(small("mlp"), (4, 2, 2), id="mlp-2")
    for condition in CONDITIONS:
        yield pytest.param(small("dit", condition=condition), (16,), id=f"dit-linear-{condition}")
    yield pytest.param(small("dit", patch=7), (49,), id="dit-linear-of-sevens")
    for kind in SPATIAL:
        for latent in ((1, 7, 7), (4, 4, 4)):
            for condition in CONDITIONS if kind != "conv" else CONDITIONS[:1]:
                how = {} if kind == "conv" else {"condition": condition}
                yield pytest.param(small(kind, **how), latent, id=f"{kind}-{latent[1]}-{condition}")
    yield pytest.param(small("unet", up="nearest"), (3, 5, 8), id="unet-5x8-nearest")
    yield pytest.param(small("dit", patch=2), (3, 4, 6), id="dit-4x6-patches")


each_case = pytest.mark.parametrize(("config", "latent"), list(cases()))


def built(config: BackboneConfig, latent: tuple[int, ...], classes: int | None) -> nn.Module:
    """A network whose every weight is random."""
    return perturbed(config.build(latent, classes))


@pytest.mark.parametrize("classes", [None, CLASSES])
@each_case
def test_output_has_the_shape_of_the_latent(
    config: BackboneConfig, latent: tuple[int, ...], classes: int | None
) -> None:
    x, t, labels = inputs(latent)
    network = built(config, latent, classes)
    assert network(x, t, labels).shape == x.shape
    assert network(x, t, None).shape == x.shape


@each_case
def test_every_sample_is_treated_alone(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, labels = inputs(latent)
    network = built(config, latent, CLASSES)
    together = network(x, t, labels)
    for i in range(len(x)):
        alone = network(x[i : i + 1], t[i : i + 1], labels[i : i + 1])
        torch.testing.assert_close(alone[0], together[i], atol=1e-5, rtol=1e-5)


@each_case
def test_label_matters_only_to_a_conditional_network(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, labels = inputs(latent)
    other = (labels + 1) % CLASSES
    conditional, unconditional = built(config, latent, CLASSES), built(config, latent, None)
    for changed in (conditional(x, t, other), conditional(x, t, None)):
        difference = (conditional(x, t, labels) - changed).flatten(1).abs().amax(1)
        assert float(difference.min()) > 1e-3
    assert torch.equal(unconditional(x, t, labels), unconditional(x, t, other))
    assert torch.equal(unconditional(x, t, labels), unconditional(x, t, None))


@each_case
def test_no_label_is_the_row_after_the_last_class(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, _ = inputs(latent)
    network = built(config, latent, CLASSES)
    none = torch.full((len(x),), CLASSES)
    assert torch.equal(network(x, t, None), network(x, t, none))


@each_case
def test_labels_beyond_no_label_are_refused(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, labels = inputs(latent)
    with pytest.raises(IndexError):
        built(config, latent, CLASSES)(x, t, labels + CLASSES)


@each_case
def test_time_changes_the_output(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, _ = inputs(latent)
    network = built(config, latent, None)
    for step in (0.01, 0.3):
        changed = (network(x, t, None) - network(x, t + step, None)).flatten(1).abs().amax(1)
        assert float(changed.min()) > 1e-3


@each_case
def test_untrained_output_is_the_same_for_every_input(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, labels = inputs(latent)
    out = config.build(latent, CLASSES)(x, t, labels)
    torch.testing.assert_close(out, out[:1].expand_as(out))
    if config.kind in ("unet", "dit"):
        assert not bool(out.any())


@each_case
def test_shapes_alone_can_be_built(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    with torch.device("meta"):
        blueprint = config.build(latent, CLASSES)
    real = config.build(latent, CLASSES)
    assert all(tensor.is_meta for tensor in blueprint.state_dict().values())
    assert {name: tensor.shape for name, tensor in blueprint.state_dict().items()} == {
        name: tensor.shape for name, tensor in real.state_dict().items()
    }


@each_case
def test_weights_alone_are_stored(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    network = config.build(latent, CLASSES)
    assert network.state_dict().keys() == dict(network.named_parameters()).keys()


@each_case
def test_every_weight_learns(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    x, t, labels = inputs(latent)
    network = built(config, latent, CLASSES).requires_grad_(True)
    (network(x, t, labels).square().mean() + network(x, t, None).square().mean()).backward()
    idle = [name for name, p in network.named_parameters() if p.grad is None or not bool(p.grad.any())]
    assert idle == []


@pytest.mark.parametrize(
    ("kind", "latent"), [("mlp", (5,)), ("conv", (1, 7, 7)), ("unet", (1, 7, 7)), ("dit", (1, 7, 7))]
)
def test_parameters_grow_with_width_depth_and_classes(kind: str, latent: tuple[int, ...]) -> None:
    def count(classes: int | None = None, **changes: Any) -> int:
        return sum(p.numel() for p in small(kind, **changes).build(latent, classes).parameters())

    wider = {"widths": (12, 12)} if kind == "unet" else {"width": 12}
    deeper = {"blocks": (2, 1)} if kind == "unet" else {"depth": 3}
    assert count() < count(**wider)
    assert count() < count(**deeper)
    assert count() < count(conditioning=9)
    assert count(CLASSES) == count() + 8 * (CLASSES + 1)


def test_every_pass_of_a_loop_shares_the_blocks_and_has_its_own_modulation() -> None:
    once, thrice = (MLPConfig(width=8, depth=2, loops=loops, conditioning=8).build((5,), None) for loops in (1, 3))
    sizes = [{name: p.numel() for name, p in network.named_parameters()} for network in (once, thrice)]
    grown = {name: sizes[1][name] / sizes[0][name] for name in sizes[0]}
    assert sizes[0].keys() == sizes[1].keys()
    assert {name: factor for name, factor in grown.items() if factor != 1} == {
        "modulation.weight": 3,
        "modulation.bias": 3,
    }


@each_case
def test_derivative_along_x_and_t_is_that_of_small_steps(config: BackboneConfig, latent: tuple[int, ...]) -> None:
    """Forward mode, which few-step methods train with; of torch's attention kernels only the plain one has it."""
    x, t, labels = (z.double() if z.is_floating_point() else z for z in inputs(latent, 2))
    network = built(config, latent, CLASSES).double()
    direction = torch.randn(x.shape, generator=stream("direction"), dtype=x.dtype)
    with sdpa_kernel(SDPBackend.MATH):
        derivative = jvp(lambda x, t: network(x, t, labels), (x, t), (direction, torch.ones_like(t)))[1]
    ahead, behind = (network(x + step * direction, t + step, labels) for step in (1e-5, -1e-5))
    torch.testing.assert_close(derivative, (ahead - behind) / 2e-5, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("kind", ["unet", "dit"])
def test_matching_loss_falls_by_a_third_in_thirty_steps(kind: str, condition: str) -> None:
    centres = 2 * torch.randn(CLASSES, 1, 8, 8, generator=stream("centres"))
    labels = torch.arange(64) % CLASSES
    data = centres[labels] + 0.1 * torch.randn(64, 1, 8, 8, generator=stream("data"))
    sizes = {"widths": (16, 16)} if kind == "unet" else {"width": 32, "patch": 2}
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        network = small(kind, condition=condition, conditioning=16, **sizes).build((1, 8, 8), CLASSES)
    optimizer = torch.optim.Adam(network.parameters(), lr=5e-3)

    def loss(step: int | str, labels: Tensor = labels) -> Tensor:
        draws = Draws(stream("draws", step))
        return matching_loss(
            network, Straight(), gaussian_correction(TARGETS["velocity"]), TIMES["uniform"], data, labels, draws
        )

    before = loss("test").item()
    for step in range(30):
        optimizer.zero_grad()
        loss(step).backward()
        optimizer.step()
    after = loss("test").item()
    assert after < 0.7 * before
    assert loss("test", (labels + 1) % CLASSES).item() > 1.5 * after  # it listens to the label


@pytest.mark.parametrize(
    ("kind", "latent", "other"),
    [
        ("conv", (16,), "mlp"),
        ("unet", (16,), "mlp"),
    ],
)
def test_latent_of_the_other_kind_is_refused_with_the_way_out(kind: str, latent: tuple[int, ...], other: str) -> None:
    with pytest.raises(ConfigError, match=rf"generator\.backbone\.kind = {kind} .*choose {other}"):
        KINDS[kind]().build(latent, None)


class _Holder(Config):
    backbone: BackboneConfig


@pytest.mark.parametrize("kind", KINDS)
def test_kind_chooses_the_backbone(kind: str) -> None:
    assert type(validate(_Holder, {"backbone": {"kind": kind}}, "test").backbone) is KINDS[kind]


MEASURED = {"mlp": (28,), "unet": (1, 28, 28), "dit": (8, 2, 2)}  # the latents that the docstrings count weights for


@pytest.mark.parametrize("kind", MEASURED)
def test_every_backbone_comes_in_three_sizes_with_the_weights_its_docstring_states(kind: str) -> None:
    counts = []
    for size in ("small", "base", "large"):
        config = validate(_Holder, {"backbone": f"{kind}_{size}"}, "test").backbone
        assert config == SIZES[f"{kind}_{size}"]
        counts.append(sum(p.numel() for p in config.build(MEASURED[kind], None).parameters()))
    words = " ".join((KINDS[kind].__doc__ or "").split())
    assert "{:.2f}, {:.2f} and {:.2f} million".format(*(count / 1e6 for count in counts)) in words
    assert len(SIZES) == 3 * len(MEASURED)


def test_the_flow_recipes_have_the_sizes_that_they_are_named_after() -> None:
    for size in ("small", "base", "large"):
        assert load_recipe(f"fm-{size}").generator.backbone == SIZES[f"mlp_{size}"]


def test_a_size_that_is_none_is_one_line_with_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"backbone = 'dit_huge': .*mlp_small.*dit_large.*kind") as caught:
        validate(_Holder, {"backbone": "dit_huge"}, "test")
    assert "\n" not in str(caught.value)


def test_unknown_kind_names_the_choices() -> None:
    with pytest.raises(ConfigError, match=r"transformer.*mlp.*conv.*unet.*dit"):
        validate(_Holder, {"backbone": {"kind": "transformer"}}, "test")


@pytest.mark.parametrize(
    ("backbone", "said"),
    [
        ({"kind": "unet", "widths": []}, r"widths = \[\]: give 1 to 6 levels of 4 to 4096 channels"),
        ({"kind": "unet", "widths": [8, 2]}, r"widths = \[8, 2\]: give 1 to 6 levels of 4 to 4096"),
        ({"kind": "unet", "blocks": [1]}, r"blocks = \[1\]: give 1 to 16 blocks for each of 3 levels"),
        ({"kind": "unet", "attention": [3]}, r"attention = \[3\]: choose levels, each once, from 0, 1, 2"),
        ({"kind": "unet", "attention": [1, 1]}, r"attention = \[1, 1\]: choose levels, each once"),
        ({"kind": "unet", "heads": 3}, r"heads = 3 cannot share 32 channels evenly; choose from 1, 2, 4, 8"),
        ({"kind": "unet", "attention": [], "condition": "cross-attention"}, r"condition = cross-attention: .*add one"),
        ({"kind": "unet", "condition": "film"}, r"condition = 'film'.*adaln.*input-channel.*cross-attention"),
        ({"kind": "unet", "up": "bilinear"}, r"up = 'bilinear'.*transposed.*nearest"),
        ({"kind": "unet", "conditioning": 0}, r"conditioning = 0.*4"),
        ({"kind": "unet", "width": 8}, r"unknown key 'width'; did you mean 'widths'"),
        ({"kind": "dit", "width": 10}, r"width = 10.*multiple of 4"),
        ({"kind": "dit", "heads": 3}, r"heads = 3 cannot share 64 channels evenly; choose from 1, 2, 4, 8"),
        ({"kind": "dit", "depth": 0}, r"depth = 0.*1"),
        ({"kind": "dit", "patch": 0}, r"patch = 0.*1"),
        ({"kind": "dit", "condition": "film"}, r"condition = 'film'.*adaln.*input-channel.*cross-attention"),
    ],
)
def test_bad_values_are_one_line_with_key_value_and_choices(backbone: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said) as caught:
        validate(_Holder, {"backbone": backbone}, "test")
    assert str(caught.value).startswith("test: backbone")
    assert "\n" not in str(caught.value)


PIXELS = ["autoencoder={kind: identity}", "training.autoencoder=null"]


@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize(
    "overrides",
    [
        ["autoencoder.latent=[4,7,7]", "generator.backbone={kind: dit, width: 8, depth: 1, condition: %s}"],
        ["autoencoder.latent=[4,7,7]", "generator.backbone={kind: unet, condition: %s}"],
        [*PIXELS, "generator.backbone={kind: unet, widths: [8, 8, 8], condition: %s}"],
        [*PIXELS, "generator.backbone={kind: dit, patch: 4, width: 8, depth: 1, condition: %s}"],
    ],
)
def test_recipes_give_latent_and_pixel_models_that_start_from_a_gaussian(overrides: list[str], condition: str) -> None:
    chosen = [o % condition if "%s" in o else o for o in overrides]
    recipe = load_recipe("quickstart-digits", [*chosen, "generator.conditional=true", "sampling.guidance=2"])
    model = LatentModel(recipe.architecture((1, 28, 28), tuple("abc")))
    noise = model.noise(3, seed=0)
    *_, last = model.trajectory(noise, torch.tensor([0, 1, 2]))
    torch.testing.assert_close(model.scale(last), noise, atol=0.02, rtol=0.02)  # the error of eight Heun steps
