"""The judge: frozen for good, told by its hash, tested when it loads, made from the train split alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor, nn

from latentarena.card.shipped import SHIPPED
from latentarena.data import DataConfig, Dataset, Images, load_dataset, where
from latentarena.data.digits import embedded_digits
from latentarena.errors import JudgeError
from latentarena.files import digest
from latentarena.judge.classifier import Judge, measure
from latentarena.judge.networks import freeze, network
from latentarena.judge.training import OPINIONS, JudgeConfig, judge_for, opinions_for, train_judge
from latentarena.randomness import stream
from latentarena.train.loop import FitConfig

QUICK = JudgeConfig(width=4, fit=FitConfig(epochs=4, batch=64, lr=1e-2))


def quick_judge(data: Dataset, folder: Path) -> Path:
    """A judge that has learned a little: two seconds' work."""
    return train_judge(data, QUICK, Fabric(accelerator="cpu", devices=1), folder)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The embedded digits."""
    return embedded_digits()


@pytest.fixture(scope="module")
def made(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A judge's file."""
    return quick_judge(digits, tmp_path_factory.mktemp("judge"))


@pytest.fixture(scope="module")
def judge(made: Path) -> Judge:
    """The same judge, loaded."""
    return Judge.load(made)


def toy(key: str = "toy", side: int = 8) -> Dataset:
    """Sixty images of noise in three classes, 8x8: what can be learned in no time."""
    generator = stream(key)
    pixels = torch.randint(256, (60, 1, side, side), generator=generator, dtype=torch.uint8)
    labels = torch.arange(60) % 3
    return Dataset.of("toy", Images(pixels[:48], labels[:48]), Images(pixels[48:], labels[48:]), ("a", "b", "c"))


def worn_network() -> nn.ModuleDict:
    """A network whose batch normalisation has seen something: its modes differ."""
    trained = network("conv", (1, 12, 12), 5, 4)
    generator = stream("worn")
    with torch.no_grad():
        for tensor in trained.state_dict().values():
            if tensor.is_floating_point():
                tensor.copy_(0.2 * torch.randn(tensor.shape, generator=generator) + (0.5 if tensor.ndim == 1 else 0))
        for module in trained.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_var.abs_().add_(0.5)
    return trained


def test_frozen_network_is_the_trained_one_in_evaluation_mode() -> None:
    trained, images = worn_network(), torch.rand(32, 1, 12, 12, generator=stream("images"))
    with torch.no_grad():
        working = trained.train()["body"](images)
        trained = worn_network().eval()
        features = trained["body"](images)
        logits = trained["head"](features)
        frozen = freeze(trained.train())
        torch.testing.assert_close(frozen["body"](images), features, atol=5e-3, rtol=5e-3)
        torch.testing.assert_close(frozen["head"](frozen["body"](images)), logits, atol=5e-3, rtol=5e-3)
    assert not torch.allclose(working, features, atol=5e-2)


def test_frozen_network_has_no_mode_left_and_float16_values() -> None:
    frozen, images = freeze(worn_network()), torch.rand(4, 1, 12, 12, generator=stream("images"))
    kinds = {type(module) for module in frozen.modules()}
    assert not [kind for kind in kinds if "Norm" in kind.__name__ or "Dropout" in kind.__name__]
    assert all(torch.equal(weight, weight.half().float()) for weight in frozen.parameters())
    assert not any(weight.requires_grad for weight in frozen.parameters())
    evaluated = frozen.eval()["body"](images)
    assert torch.equal(frozen.train()["body"](images), evaluated)


def test_file_is_named_by_its_hash_and_loads(made: Path, digits: Dataset) -> None:
    loaded = Judge.load(made)
    assert made.name == f"digits-{digest(made.read_bytes())[:12]}.safetensors"
    assert loaded.name == made.stem
    assert loaded.facts.dataset == "digits"
    assert loaded.facts.classes == digits.classes
    assert loaded.facts.width == QUICK.width


def test_judge_verifies_with_the_figures_it_recorded(judge: Judge, digits: Dataset) -> None:
    seen = judge.verify(digits)
    for name, value in measure(seen, digits.test.labels).items():
        assert value == pytest.approx(getattr(judge.facts, name), abs=1e-6), name


def test_references_are_those_of_the_train_split(judge: Judge, digits: Dataset) -> None:
    features = judge.look(digits.train.batch(slice(None))).features.double()
    mean, covariance = judge.reference
    torch.testing.assert_close(mean, features.mean(0), atol=1e-6, rtol=0)
    torch.testing.assert_close(covariance, torch.cov(features.T), atol=1e-6, rtol=0)
    counts = torch.bincount(digits.train.labels).float()
    torch.testing.assert_close(judge.frequencies, counts / counts.sum())


def test_judging_does_not_depend_on_the_batch(judge: Judge, digits: Dataset) -> None:
    images = digits.test.batch(slice(0, 40))
    together = judge.look(images)
    for size in (1, 7):
        parts = [judge.look(chunk) for chunk in torch.split(images, size)]
        for name in ("features", "probabilities"):
            apart = torch.cat([getattr(part, name) for part in parts])
            torch.testing.assert_close(apart, getattr(together, name), atol=1e-5, rtol=1e-5)


def test_probabilities_are_those_of_tempered_logits(judge: Judge, made: Path, digits: Dataset) -> None:
    images, temperature = digits.test.batch(slice(None)), float(load_file(made)["temperature"])
    seen, logits = judge.look(images), judge.logits(images)
    assert temperature > 0
    assert torch.equal(seen.labels, logits.argmax(1))
    torch.testing.assert_close(seen.probabilities, (logits / temperature).softmax(1))


def test_temperature_is_the_best_one_on_held_out_train_images(judge: Judge, made: Path, digits: Dataset) -> None:
    held = torch.arange(len(digits.train)) % 12 == 11
    logits, labels = judge.logits(digits.train.batch(held)).double(), digits.train.labels[held]
    chosen = float(load_file(made)["temperature"])

    def loss(temperature: float) -> float:
        return float(nn.functional.cross_entropy(logits / temperature, labels))

    assert loss(chosen) <= min(loss(chosen * 0.98), loss(chosen * 1.02), loss(1.0))


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 28, 28), (1, 28, 27)], ids=str)
def test_images_of_another_shape_are_refused(judge: Judge, shape: tuple[int, int, int]) -> None:
    with pytest.raises(JudgeError, match=r"\(1, 28, 28\), not \(\d, \d+, \d+\)"):
        judge.look(torch.zeros(2, *shape))


def rewritten(
    path: Path, folder: Path, change: Callable[[dict[str, Tensor]], object], facts: str | None = None
) -> Path:
    """A copy with changed tensors or facts whose name carries its own, right hash: a forgery."""
    tensors = load_file(path)
    change(tensors)
    with safe_open(path, "pt") as file:
        metadata = file.metadata()
    content = save(tensors, metadata if facts is None else {"facts": facts})
    forged = folder / f"digits-{digest(content)[:12]}.safetensors"
    forged.write_bytes(content)
    return forged


def flip_one_bit(path: Path, folder: Path) -> Path:
    content = bytearray(path.read_bytes())
    content[-100] ^= 1
    flipped = folder / path.name
    flipped.write_bytes(content)
    return flipped


def truncate(path: Path, folder: Path) -> Path:
    content = path.read_bytes()[:-100]
    short = folder / f"digits-{digest(content)[:12]}.safetensors"
    short.write_bytes(content)
    return short


def rename(path: Path, folder: Path) -> Path:
    renamed = folder / "digits-0123456789ab.safetensors"
    renamed.write_bytes(path.read_bytes())
    return renamed


FORGERIES: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "one bit": (flip_one_bit, "does not have the hash"),
    "renamed": (rename, "does not have the hash"),
    "missing": (lambda path, folder: folder / path.name, "cannot be read"),
    "truncated": (truncate, "cannot be read"),
    "weights": (
        lambda path, folder: rewritten(path, folder, lambda t: t["network.head.weight"].mul_(1.5)),
        "fails its self-test: logits",
    ),
    "not a number": (
        lambda path, folder: rewritten(path, folder, lambda t: t["network.head.bias"].fill_(torch.nan)),
        "fails its self-test: logits",
    ),
    "tensor left out": (
        lambda path, folder: rewritten(path, folder, lambda t: t.pop("temperature")),
        "lacks 'temperature'",
    ),
    "weight left out": (
        lambda path, folder: rewritten(path, folder, lambda t: t.pop("network.head.bias")),
        "cannot be read",
    ),
    "wrong shape": (
        lambda path, folder: rewritten(path, folder, lambda t: t.update({"network.head.bias": torch.zeros(3)})),
        "cannot be read",
    ),
    "no facts": (lambda path, folder: rewritten(path, folder, lambda t: None, facts="{}"), "cannot be read"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_tampered_judge_is_refused_in_one_line(name: str, made: Path, tmp_path: Path) -> None:
    forge, reason = FORGERIES[name]
    path = forge(made, tmp_path)
    with pytest.raises(JudgeError) as refusal:
        Judge.load(path)
    line = str(refusal.value)
    assert reason in line
    assert str(path) in line
    assert "\n" not in line


@pytest.mark.parametrize("figure", ["accuracy", "calibration_error", "confidence", "entropy"])
def test_judge_that_recorded_another_figure_fails_on_the_test_split(
    figure: str, made: Path, judge: Judge, digits: Dataset, tmp_path: Path
) -> None:
    boast = judge.facts.model_copy(update={figure: getattr(judge.facts, figure) + 0.01})
    forged = Judge.load(rewritten(made, tmp_path, lambda t: None, boast.model_dump_json()))
    with pytest.raises(JudgeError, match=f"fails its self-test: {figure} is"):
        forged.verify(digits)


def test_other_data_is_refused(judge: Judge, digits: Dataset) -> None:
    pixels = digits.test.pixels.clone()
    pixels[0, 0, 0, 0] ^= 1
    other = Dataset.of("digits", digits.train, Images(pixels, digits.test.labels), digits.classes)
    with pytest.raises(JudgeError, match=r"was made for other data than digits"):
        judge.verify(other)


def test_only_the_train_split_is_learned_from(tmp_path: Path) -> None:
    data = toy()
    test = Images(data.test.pixels.flip(0, 2), data.test.labels)
    other = Dataset.of(data.name, data.train, test, data.classes)
    first, second = (quick_judge(d, tmp_path / str(i)) for i, d in enumerate((data, other)))
    tensors, others = load_file(first), load_file(second)
    assert first.name != second.name
    assert tensors.keys() == others.keys()
    assert all(torch.equal(tensors[name], others[name]) for name in tensors)


def test_what_is_learned_depends_on_the_train_split(tmp_path: Path) -> None:
    data = toy()
    train = Images(data.train.pixels.flip(2), data.train.labels)
    other = Dataset.of(data.name, train, data.test, data.classes)
    first, second = (load_file(quick_judge(d, tmp_path / str(i))) for i, d in enumerate((data, other)))
    assert not torch.equal(first["network.head.weight"], second["network.head.weight"])


def test_making_a_judge_twice_gives_the_same_file_whatever_the_global_seed(tmp_path: Path) -> None:
    paths = []
    with torch.random.fork_rng():
        for seed in range(2):
            torch.manual_seed(seed)
            paths.append(quick_judge(toy(), tmp_path / str(seed)))
    assert paths[0].name == paths[1].name


@pytest.fixture
def cached(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[Path]]:
    """A cache of the test's own; the call lists the judges in it."""
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path))
    return lambda: sorted((tmp_path / "judges").glob("*/*.safetensors"))


def test_judge_on_the_fly_is_made_once(cached: Callable[[], list[Path]]) -> None:
    first = judge_for(toy())
    [path] = cached()
    written = path.stat().st_mtime_ns
    second = judge_for(toy())
    assert cached() == [path]
    assert path.stat().st_mtime_ns == written
    assert second.digest == first.digest


def test_each_dataset_has_its_own_judge(cached: Callable[[], list[Path]]) -> None:
    judges = [judge_for(data) for data in (toy(), toy("other"))]
    assert [judge.facts.data for judge in judges] == [toy().digest, toy("other").digest]
    assert len(cached()) == 2


def test_damaged_cached_judge_is_replaced_with_a_warning(
    cached: Callable[[], list[Path]], caplog: pytest.LogCaptureFixture
) -> None:
    first = judge_for(toy())
    [path] = cached()
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    with caplog.at_level(logging.WARNING, logger="latentarena"):
        second = judge_for(toy())
    assert second.digest == first.digest
    assert [file.read_bytes() for file in cached()] == [whole]
    [record] = caplog.records
    assert str(path) in record.getMessage()
    assert "training another" in record.getMessage()


def test_dataset_name_does_not_matter_to_whether_a_judge_fits(cached: Callable[[], list[Path]]) -> None:
    judge_for(toy())
    judge_for(replace(toy(), name="folder:else-where"))
    assert len(cached()) == 1


@pytest.mark.parametrize("name", ["folder:a-b", "folder:a:b", "kmnist"])
def test_file_name_ends_in_the_hash_whatever_the_dataset_is_called(name: str, tmp_path: Path) -> None:
    path = quick_judge(replace(toy(), name=name), tmp_path)
    assert Judge.load(path).facts.dataset == name


@pytest.mark.mnist
def test_shipped_judge_is_small_accurate_and_calibrated() -> None:
    shipped = sorted(SHIPPED.glob("mnist-*.safetensors"))
    if not shipped or where("mnist") is None:
        pytest.skip("no shipped judge, or no MNIST to hold it against")
    [path] = shipped
    assert path.stat().st_size <= 1_000_000
    data = load_dataset(DataConfig(name="mnist"))
    figures = measure(Judge.load(path).verify(data), data.test.labels)
    assert figures["accuracy"] >= 0.995
    assert figures["calibration_error"] <= 0.005


@pytest.mark.mnist
@pytest.mark.parametrize("kind", ["residual", "patches"])
def test_shipped_opinion_is_small_accurate_and_calibrated(kind: str) -> None:
    if where("mnist") is None:
        pytest.skip("no MNIST to hold it against")
    data = load_dataset(DataConfig(name="mnist"))
    [judge] = [opinion for opinion in opinions_for(data) if opinion.facts.kind == kind]
    assert (SHIPPED / OPINIONS / f"{judge.name}.safetensors").stat().st_size <= 600_000
    figures = measure(judge.verify(data), data.test.labels)
    assert figures["accuracy"] >= 0.993
    assert figures["calibration_error"] <= 0.005
