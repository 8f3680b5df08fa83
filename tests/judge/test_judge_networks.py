"""The three architectures: folded without a change, blind to the batch, and kept apart by their files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import get_args

import pytest
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from latentarena.card.shipped import SHIPPED
from latentarena.data import Dataset, Images
from latentarena.errors import JudgeError
from latentarena.files import digest
from latentarena.judge.classifier import Judge, JudgeFacts, measure
from latentarena.judge.networks import Kind, feature_width, folded, freeze, network
from latentarena.judge.training import OPINIONS, JudgeConfig, judge_for, opinions_for, train_judge
from latentarena.randomness import stream
from latentarena.train.loop import FitConfig

KINDS: tuple[Kind, ...] = get_args(Kind)
SHAPES = [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 9, 14)]


def worn(kind: Kind, shape: tuple[int, int, int], width: int = 4) -> nn.ModuleDict:
    """A network that has seen something: its batch normalisation, if any, differs between the modes."""
    made, generator = network(kind, shape, 5, width), stream("worn", kind)
    with torch.no_grad():
        for tensor in made.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator) + (0.5 if tensor.ndim == 1 else 0))
        for module in made.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.abs_().add_(0.5)
    return made


def bars(side: int = 8) -> Dataset:
    """Ninety noisy images in three classes, told by which third is bright."""
    generator, labels = stream("bars"), torch.arange(90) % 3
    pixels = torch.randint(100, (90, 1, side, side), generator=generator, dtype=torch.uint8)
    for image, label in zip(pixels, labels.tolist(), strict=True):
        image[:, label * side // 3 : (label + 1) * side // 3] += 150
    return Dataset.of("bars", Images(pixels[:60], labels[:60]), Images(pixels[60:], labels[60:]), ("a", "b", "c"))


def trained(kind: Kind, folder: Path, data: Dataset | None = None) -> Path:
    """The file of a judge that has learned a little: under a second's work."""
    config = JudgeConfig(kind=kind, width=4, seed=7, fit=FitConfig(epochs=25, batch=30, lr=1e-2))
    return train_judge(data or bars(), config, Fabric(accelerator="cpu", devices=1), folder)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> dict[Kind, Path]:
    """A judge's file of each kind, for the same data."""
    folder = tmp_path_factory.mktemp("kinds")
    return {kind: trained(kind, folder) for kind in KINDS}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_folding_changes_nothing_but_the_rounding_of_sums(kind: Kind, shape: tuple[int, int, int]) -> None:
    images = torch.rand(6, *shape, generator=stream("images"), dtype=torch.float64)
    with torch.no_grad():
        before = worn(kind, shape).double().eval()["body"](images)
        working = worn(kind, shape).double().train()
        seen_in_training = working["body"](images)
        after = folded(worn(kind, shape).double().train()["body"])(images)
    torch.testing.assert_close(after, before, atol=1e-10, rtol=1e-10)
    assert torch.allclose(seen_in_training, before) == (kind == "patches")


@pytest.mark.parametrize("kind", KINDS)
def test_freezing_leaves_the_trained_network_alone_and_no_mode_behind(kind: Kind) -> None:
    network_before = worn(kind, (1, 12, 12))
    weights = {name: tensor.clone() for name, tensor in network_before.state_dict().items()}
    frozen, images = freeze(network_before), torch.rand(4, 1, 12, 12, generator=stream("images"))
    assert all(torch.equal(network_before.state_dict()[name], tensor) for name, tensor in weights.items())
    assert not [m for m in frozen.modules() if isinstance(m, nn.BatchNorm2d | nn.Dropout)]
    assert all(torch.equal(weight, weight.half().float()) for weight in frozen.parameters())
    evaluated = frozen.eval()["body"](images)
    assert torch.equal(frozen.train()["body"](images), evaluated)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_an_image_is_seen_alike_whatever_is_seen_beside_it(kind: Kind, shape: tuple[int, int, int]) -> None:
    frozen, images = freeze(worn(kind, shape)), torch.rand(7, *shape, generator=stream("images"))
    together = frozen["body"](images)
    alone = torch.cat([frozen["body"](image[None]) for image in images])
    torch.testing.assert_close(alone, together, atol=1e-5, rtol=1e-5)
    assert together.shape == (7, feature_width(kind, 4))
    assert together.var(0).sum() > 0


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("kind", KINDS)
def test_every_pixel_matters(kind: Kind, shape: tuple[int, int, int]) -> None:
    frozen = freeze(worn(kind, shape, width=8))
    images = torch.rand(64, *shape, generator=stream("images")).requires_grad_()
    frozen["body"](images).square().sum().backward()
    assert images.grad is not None
    assert images.grad.abs().sum(0).min() > 0


def cost(kind: Kind) -> tuple[int, int]:
    """Weights, and multiplications per 28x28 image, at the default width."""
    frozen, products = freeze(network(kind, (1, 28, 28), 10, JudgeConfig().width)), 0

    def count(layer: nn.Module, _: object, out: torch.Tensor) -> None:
        nonlocal products
        inputs = layer.weight[0].numel() if isinstance(layer, nn.Conv2d | nn.Linear) else 0
        products += out.numel() * inputs

    for layer in frozen.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    frozen["head"](frozen["body"](torch.zeros(1, 1, 28, 28)))
    return sum(weight.numel() for weight in frozen.parameters()), products


def test_opinions_cost_less_than_the_official_judge() -> None:
    official = cost("conv")
    for kind in ("residual", "patches"):
        weights, products = cost(kind)
        assert weights <= min(250_000, official[0])
        assert products <= min(12_000_000, official[1] / 2)


@pytest.mark.parametrize("kind", KINDS)
def test_judge_of_each_kind_comes_back_from_its_file(kind: Kind, made: dict[Kind, Path]) -> None:
    judge = Judge.load(made[kind])
    seen = judge.verify(bars())
    assert judge.facts.kind == kind
    assert seen.features.shape == (30, feature_width(kind, 4))
    assert measure(seen, bars().test.labels)["accuracy"] >= 0.9
    weights = [tensor for name, tensor in load_file(made[kind]).items() if name.startswith("network.")]
    assert all(tensor.dtype == torch.float16 for tensor in weights)


@pytest.mark.parametrize("kind", KINDS)
def test_making_each_kind_twice_gives_the_same_file(kind: Kind, made: dict[Kind, Path], tmp_path: Path) -> None:
    assert trained(kind, tmp_path).name == made[kind].name


def test_file_without_a_kind_is_of_plain_convolutions(made: dict[Kind, Path]) -> None:
    assert '"kind"' not in recorded(made["conv"])
    assert JudgeFacts.model_validate_json(recorded(made["conv"])).kind == "conv"


def recorded(path: Path) -> str:
    """The facts in a judge's file, as JSON."""
    with safe_open(path, "pt") as file:
        return str(file.metadata()["facts"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_tensors_of_another_kind_are_refused_in_one_line(
    kind: Kind, other: Kind, made: dict[Kind, Path], tmp_path: Path
) -> None:
    facts = JudgeFacts.model_validate_json(recorded(made[kind])).model_copy(update={"kind": other})
    content = save(load_file(made[kind]), {"facts": facts.model_dump_json()})
    path = tmp_path / f"bars-{digest(content)[:12]}.safetensors"
    path.write_bytes(content)
    if kind == other:
        Judge.load(path)
        return
    with pytest.raises(JudgeError) as refusal:
        Judge.load(path)
    assert "\n" not in str(refusal.value)
    assert str(path) in str(refusal.value)
    assert f"'{other}'" in str(refusal.value)


@pytest.fixture
def opinions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Dataset], Path]:
    """A cache of the test's own; the call names the folder of a dataset's opinions in it, and makes it."""
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path))

    def folder(data: Dataset) -> Path:
        made = tmp_path / "judges" / data.digest[:16] / OPINIONS
        made.mkdir(parents=True)
        return made

    return folder


def copied(path: Path, folder: Path) -> None:
    (folder / path.name).write_bytes(path.read_bytes())


def test_opinions_are_those_that_lie_there(made: dict[Kind, Path], opinions: Callable[[Dataset], Path]) -> None:
    folder = opinions(bars())
    assert opinions_for(bars()) == []
    for kind in KINDS:
        copied(made[kind], folder)
    assert {judge.facts.kind for judge in opinions_for(bars())} == {"residual", "patches"}
    assert opinions_for(bars(side=9)) == []


def test_official_judge_is_never_an_opinion_nor_an_opinion_official(
    made: dict[Kind, Path], opinions: Callable[[Dataset], Path]
) -> None:
    folder = opinions(bars())
    copied(made["conv"], folder.parent)
    copied(made["residual"], folder)
    assert judge_for(bars()).name == made["conv"].stem
    assert [judge.name for judge in opinions_for(bars())] == [made["residual"].stem]


def test_opinions_on_other_data_are_passed_over(made: dict[Kind, Path], opinions: Callable[[Dataset], Path]) -> None:
    copied(made["patches"], opinions(bars(side=9)))
    assert opinions_for(bars(side=9)) == []


def test_damaged_opinion_is_refused_in_one_line(made: dict[Kind, Path], opinions: Callable[[Dataset], Path]) -> None:
    path = opinions(bars()) / made["patches"].name
    path.write_bytes(made["patches"].read_bytes()[:-1])
    with pytest.raises(JudgeError, match="does not have the hash") as refusal:
        opinions_for(bars())
    assert str(path) in str(refusal.value)


def test_shipped_opinions_come_before_cached_ones(
    made: dict[Kind, Path],
    opinions: Callable[[Dataset], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shipped = tmp_path / "shipped"
    (shipped / OPINIONS).mkdir(parents=True)
    monkeypatch.setattr("latentarena.judge.training.SHIPPED", shipped)
    copied(made["residual"], opinions(bars()))
    assert [judge.facts.kind for judge in opinions_for(bars())] == ["residual"]
    copied(made["patches"], shipped / OPINIONS)
    assert [judge.facts.kind for judge in opinions_for(bars())] == ["patches"]


def test_nothing_but_opinions_is_shipped_as_one() -> None:
    official = {Judge.load(path).facts.data: Judge.load(path).facts.kind for path in SHIPPED.glob("*.safetensors")}
    for path in (SHIPPED / OPINIONS).glob("*.safetensors"):
        facts = Judge.load(path).facts
        assert facts.kind != official[facts.data]
