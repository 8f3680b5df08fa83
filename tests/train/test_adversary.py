"""Laws of the critics that the autoencoder learns from: discriminator, perceptual distance, and their classifier."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

import latentarena
from latentarena.autoencoder import Autoencoder, ConvVAEConfig, DCAEConfig, MLPVAEConfig
from latentarena.backbone.classifier import Classifier, ClassifierConfig
from latentarena.data.digits import embedded_digits
from latentarena.process import PATHS, TIMES, Estimate
from latentarena.randomness import Draws, stream
from latentarena.sample import classifier_guidance
from latentarena.train.adversary import PatchDiscriminator, adversarial_losses
from latentarena.train.augment import Augmentation
from latentarena.train.classifier import ClassifierObjective
from latentarena.train.loop import FitConfig, fit
from latentarena.train.perceptual import frechet_distance, perceptual_distance
from latentarena.train.stages import AutoencoderObjective
from latentarena.train.training import AutoencoderTraining

SHAPE = (1, 8, 8)
AUTOENCODERS = [
    ConvVAEConfig(latent=(4,), widths=(4, 8)),
    MLPVAEConfig(latent=(4,), widths=(16,)),
    DCAEConfig(latent=(4, 2, 2), widths=(4, 8)),
]
TINY = ClassifierConfig(width=4, conditioning=8)


def normal(*shape: int, key: str = "normal") -> Tensor:
    return torch.randn(*shape, generator=stream(key))


def pictures(n: int, *shape: int, key: str = "pictures") -> Tensor:
    return torch.rand(n, *shape, generator=stream(key))


def awake(module: nn.Module) -> None:
    """Every weight random, so that no gradient is zero only because a layer starts at zero."""
    for number, parameter in enumerate(module.parameters()):
        nn.init.normal_(parameter, 0, 0.3, generator=stream("weights", number))


def players(config: Any) -> tuple[Autoencoder, PatchDiscriminator]:
    autoencoder, discriminator = config.build(SHAPE), PatchDiscriminator(SHAPE[0], width=4)
    awake(autoencoder)
    awake(discriminator)
    return autoencoder, discriminator


def reconstructed(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    posterior = autoencoder.encode(images)
    return autoencoder.decode(posterior.sample(normal(*posterior.mean.shape)))


def gradients(loss: Tensor, module: nn.Module) -> list[Tensor]:
    """Of a loss in all weights of a module, None where there is none."""
    return list(torch.autograd.grad(loss, list(module.parameters()), retain_graph=True, allow_unused=True))


@pytest.mark.parametrize("config", AUTOENCODERS, ids=lambda config: config.kind)
def test_the_generators_loss_reaches_the_whole_autoencoder_and_not_the_discriminator(config: Any) -> None:
    autoencoder, discriminator = players(config)
    images = pictures(6, *SHAPE)
    for_generator, _ = adversarial_losses(discriminator, images, reconstructed(autoencoder, images))
    for (name, _), slope in zip(autoencoder.named_parameters(), gradients(for_generator, autoencoder), strict=True):
        assert slope is not None, name
        assert float(slope.abs().max()) > 0, name  # to the encoder's first layer and its variance
    assert gradients(for_generator, discriminator) == [None] * len(list(discriminator.parameters()))


@pytest.mark.parametrize("config", AUTOENCODERS, ids=lambda config: config.kind)
def test_the_discriminators_loss_does_not_reach_the_autoencoder(config: Any) -> None:
    autoencoder, discriminator = players(config)
    images = pictures(6, *SHAPE)
    _, for_discriminator = adversarial_losses(discriminator, images, reconstructed(autoencoder, images))
    assert gradients(for_discriminator, autoencoder) == [None] * len(list(autoencoder.parameters()))


@pytest.mark.parametrize("config", AUTOENCODERS, ids=lambda config: config.kind)
@pytest.mark.parametrize("weight", [1.0, 0.1])
def test_one_backward_pass_of_the_sum_gives_what_two_optimizers_would(config: Any, weight: float) -> None:
    autoencoder, discriminator = players(config)
    images = pictures(6, *SHAPE)
    for_generator, for_discriminator = adversarial_losses(discriminator, images, reconstructed(autoencoder, images))
    (weight * for_generator + for_discriminator).backward()
    together = [[p.grad.clone() for p in module.parameters()] for module in (autoencoder, discriminator)]
    autoencoder.zero_grad()
    discriminator.zero_grad()

    discriminator.requires_grad_(False)  # the generator's turn
    fake = reconstructed(autoencoder, images)
    (-weight * discriminator(fake).mean()).backward()
    discriminator.requires_grad_(True)  # the discriminator's turn
    real_scores, fake_scores = discriminator(images), discriminator(fake.detach())
    ((1 - real_scores).clamp(min=0).mean() + (1 + fake_scores).clamp(min=0).mean()).backward()
    for module, slopes in zip((autoencoder, discriminator), together, strict=True):
        for (name, parameter), slope in zip(module.named_parameters(), slopes, strict=True):
            torch.testing.assert_close(slope, parameter.grad, msg=lambda text, name=name: f"{name}: {text}")


def test_hinge_losses_of_scores_that_are_known() -> None:
    def discriminator(value: float) -> nn.Module:
        layer = nn.Conv2d(1, 1, 1)
        nn.init.constant_(layer.weight, value)
        nn.init.zeros_(layer.bias)
        return layer

    real, fake = torch.ones(2, 1, 8, 8), torch.full((3, 1, 8, 8), 0.5)
    for value, expected in [(0.0, [0.0, 2.0]), (0.5, [-0.25, 1.75]), (4.0, [-2.0, 3.0]), (-4.0, [2.0, 5.0])]:
        losses = adversarial_losses(discriminator(value), real, fake)
        assert [loss.item() for loss in losses] == pytest.approx(expected)


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 9, 14), (2, 28, 28), (3, 32, 32)])
def test_the_discriminator_judges_patches_of_any_image(shape: tuple[int, int, int]) -> None:
    discriminator = PatchDiscriminator(shape[0])
    awake(discriminator)
    images = pictures(4, *shape).requires_grad_()
    scores = discriminator(images)
    assert scores.shape == (4, 1, shape[1] // 8, shape[2] // 8)
    torch.testing.assert_close(scores[:1], discriminator(images[:1]))  # whatever else is in the batch
    (slope,) = torch.autograd.grad(scores[0, 0, 0, 0], images)
    assert not bool(slope[1:].any())
    assert not bool(slope[0, :, 15:].any())  # a patch reaches from 7 pixels outside to the 15th inside
    assert bool((slope[0, :, :8, :8] != 0).all())


def test_a_discriminator_learns_to_tell_two_kinds_of_images_apart() -> None:
    discriminator = PatchDiscriminator(1, width=8)
    awake(discriminator)
    optimizer = torch.optim.AdamW(discriminator.parameters(), 3e-3)
    stripes = torch.arange(8).remainder(2).float().expand(1, 8, 8)
    for step in range(60):
        noise = pictures(16, 1, 8, 8, key=f"step {step}")
        loss = adversarial_losses(discriminator, 0.5 * (stripes + noise), 0.5 * (stripes.mT + noise))[1]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.2


def frozen(config: ClassifierConfig, shape: tuple[int, ...] = SHAPE, classes: int = 10) -> Classifier:
    classifier = config.build(shape, classes).requires_grad_(False)
    awake(classifier)
    return classifier


def test_perceptual_distance_is_zero_for_equal_images_and_grows_with_the_damage() -> None:
    classifier, images = frozen(TINY), embedded_digits().test.batch(slice(0, 20))
    noise = normal(*images.shape)
    distances = [
        float(perceptual_distance(classifier, images, images + size * noise)) for size in (0, 0.05, 0.1, 0.2, 0.4)
    ]
    assert distances[0] == 0
    assert distances == sorted(set(distances))


def test_perceptual_distance_follows_the_paper() -> None:
    classifier, images, again = frozen(TINY), pictures(3, *SHAPE), pictures(3, *SHAPE, key="again")
    expected, layers = 0.0, list(zip(classifier.features(images), classifier.features(again), strict=True))
    for one, other in layers:
        cosine = torch.cosine_similarity(one, other, dim=1)  # |a - b|^2 = 2 - 2 cos for unit vectors
        expected += float((2 - 2 * cosine).mean()) / len(layers)
    assert float(perceptual_distance(classifier, images, again)) == pytest.approx(expected, rel=1e-4)


def test_perceptual_gradient_reaches_the_first_layer_of_the_encoder_and_no_frozen_weight() -> None:
    autoencoder, _ = players(AUTOENCODERS[0])
    classifier, images = frozen(TINY), pictures(4, *SHAPE)
    perceptual_distance(classifier, images, reconstructed(autoencoder, images)).backward()
    for name, parameter in autoencoder.named_parameters():
        assert float(parameter.grad.abs().max()) > 0, name
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_perceptual_gradient_is_finite_where_a_feature_vector_is_zero() -> None:
    classifier = TINY.build(SHAPE, 10).requires_grad_(False)
    for parameter in classifier.parameters():
        nn.init.zeros_(parameter)
    again = pictures(2, *SHAPE).requires_grad_()
    perceptual_distance(classifier, pictures(2, *SHAPE), again).backward()
    assert bool(again.grad.isfinite().all())


def test_frechet_distance_of_two_batches_is_that_of_their_features() -> None:
    classifier, images, again = frozen(TINY), pictures(40, *SHAPE), pictures(40, *SHAPE, key="again")
    one, other = (classifier.pooled(batch).double().numpy() for batch in (images, again))
    assert one.shape == (40, 24)  # 8 and 16 channels
    covariances = np.cov(one.T), np.cov(other.T)
    crossed = np.trace(scipy.linalg.sqrtm(covariances[0] @ covariances[1]).real)
    expected = ((one.mean(0) - other.mean(0)) ** 2).sum() + sum(map(np.trace, covariances)) - 2 * crossed
    found = float(frechet_distance(classifier, images, again))
    assert found == pytest.approx(expected / np.trace(covariances[0]), rel=1e-3)
    assert expected > 0


def test_frechet_distance_is_of_the_batch_as_a_whole() -> None:
    classifier, images = frozen(TINY), pictures(40, *SHAPE)
    assert float(frechet_distance(classifier, images, images.flip(0))) == pytest.approx(0, abs=1e-4)
    grey = images.mean().expand_as(images)
    shift = (classifier.pooled(grey).double().mean(0) - classifier.pooled(images).double().mean(0)).square().sum()
    variance = classifier.pooled(images).double().var(0).sum()  # all of it is lost where all are alike
    assert float(frechet_distance(classifier, images, grey)) == pytest.approx(float(1 + shift / variance), rel=1e-3)


@pytest.mark.parametrize("n", [2, 4, 40], ids=str)  # fewer images than features: covariances without an inverse
def test_frechet_gradient_is_finite_and_reaches_the_first_layer_of_the_encoder(n: int) -> None:
    autoencoder, _ = players(AUTOENCODERS[0])
    classifier, images = frozen(TINY), pictures(n, *SHAPE)
    frechet_distance(classifier, images, reconstructed(autoencoder, images)).backward()
    for name, parameter in autoencoder.named_parameters():
        assert bool(parameter.grad.isfinite().all()), name
        assert float(parameter.grad.abs().max()) > 0, name
    assert all(parameter.grad is None for parameter in classifier.parameters())


def test_weights_of_the_critic_say_what_the_loss_is_made_of() -> None:
    data = embedded_digits()
    autoencoder, critic = AUTOENCODERS[0].build(data.shape), frozen(TINY)
    index, parts = torch.arange(64), {"perceptual": 0.5, "frechet": 0.25}
    for weights in ({}, {"perceptual": 0.5}, {"frechet": 0.25}, parts):
        config = AutoencoderTraining(epochs=1, batch=64, lr=0.1, beta=0, **weights)
        losses = AutoencoderObjective(autoencoder, data.train, config, critic)(index, Draws(stream("loss")))
        assert set(losses) == {"loss", "mse", *weights}
        expected = losses["mse"] + sum(weight * losses[name] for name, weight in weights.items())
        assert float(losses["loss"].detach()) == pytest.approx(float(expected.detach()), rel=1e-5)


def test_a_classifier_whose_images_are_varied_sees_them_so() -> None:
    seen: list[Tensor] = []
    data, varied = embedded_digits().train, Augmentation(shift=1)

    class Watching(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            seen.append(x)
            return x.new_zeros(len(x), 10)

    index = torch.arange(16)
    ClassifierObjective.of_images(Watching(), data, varied)(index, Draws(stream("objective")))  # type: ignore[arg-type]
    images = data.batch(index)
    padded = nn.functional.pad(images, (1, 1, 1, 1))
    size = images.shape[-1]
    places = [padded[..., down : down + size, right : right + size] for down in range(3) for right in range(3)]
    matches = [[torch.allclose(x, place[i], atol=1e-4) for place in places] for i, x in enumerate(seen[0])]
    assert all(map(any, matches))  # each is its image, moved by a pixel at most
    assert not torch.allclose(seen[0], images)


SHAPES = [(1, 28, 28), (3, 32, 32), (8, 2, 2), (1, 7, 7), (1, 1, 7), (4, 1, 1), (2, 5, 9), (28,), (3,)]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("depth", [1, 2, 6])
def test_a_classifier_of_any_shape_sees_its_input_and_the_time(shape: tuple[int, ...], depth: int) -> None:
    classifier = frozen(ClassifierConfig(width=4, depth=depth, conditioning=8), shape, classes=7)
    x, t = normal(5, *shape).requires_grad_(), torch.linspace(0, 1, 5)
    logits = classifier(x, t)
    assert logits.shape == (5, 7)
    assert bool(logits.isfinite().all())
    torch.testing.assert_close(logits[2:3], classifier(x[2:3], t[2:3]), rtol=1e-4, atol=1e-4)
    (slope,) = torch.autograd.grad(logits.square().sum(), x)
    assert bool((slope != 0).all())
    assert (classifier(x, 1 - t) - logits)[[0, 1, 3, 4]].abs().amax(1).min().item() > 1e-4


@pytest.mark.parametrize("shape", [(1, 28, 28), (8, 2, 2), (1, 1, 7), (3, 8, 12)])
def test_features_are_maps_that_are_halved_while_they_can_be(shape: tuple[int, int, int]) -> None:
    maps = frozen(TINY, shape).features(pictures(2, *shape))
    size, expected = shape[1:], []
    for width in (4, 8, 16):
        size = tuple(-(-side // 2) for side in size) if min(size) >= 4 else size
        expected.append((2, width, *size))
    assert [tuple(m.shape) for m in maps] == expected


def test_a_classifier_guides_a_denoiser() -> None:
    classifier, path = frozen(TINY, (4,), classes=3), PATHS["straight"]()
    guide = classifier_guidance(path, classifier, 2.0)
    x, t, labels = normal(5, 4), torch.tensor(0.5), torch.tensor([0, 1, 2, 0, 1])
    plain = Estimate(torch.zeros(5, 4), 2 * x)
    guided = guide(lambda x, t, labels: plain)(x, t, labels)
    believed = [classifier(y, t.expand(5)).log_softmax(1)[torch.arange(5), labels] for y in (x, x + 1e-3 * guided.data)]
    assert bool((believed[1] > believed[0]).all())  # the data estimate moves to where its class is more likely


class Seen(nn.Module):
    """A classifier that only remembers what it is asked."""

    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.classes = classes

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        self.x, self.t = x, t
        return torch.zeros(len(x), self.classes, requires_grad=True)


def objective(classifier: nn.Module, path: str, spread: Tensor) -> ClassifierObjective:
    means, labels = torch.arange(40.0).reshape(20, 2), torch.arange(20) % 3
    return ClassifierObjective(classifier, PATHS[path](), TIMES["uniform"], means, spread, labels)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("spread", [torch.zeros(1, 2), 3 * torch.ones(1, 2), torch.linspace(0, 5, 40).reshape(20, 2)])
def test_noisy_inputs_lie_on_the_path_at_their_times(path: str, spread: Tensor) -> None:
    index = torch.arange(20).repeat(1000)
    trained = Seen()
    losses = objective(trained, path, spread)(index, Draws(stream("objective")))
    assert float(losses["loss"].detach()) == pytest.approx(torch.tensor(3.0).log().item())
    assert float(losses["accuracy"]) == pytest.approx(7 / 20)  # all logits alike: the first class is said
    (first, last), t = PATHS[path]().span, trained.t
    assert first <= float(t.min()) < first + 0.01 < last - 0.01 < float(t.max()) <= last
    at = PATHS[path]().at(t, trained.x)
    mean = at.alpha * torch.arange(40.0).reshape(20, 2)[index]
    deviation = (at.alpha.square() * spread.expand(20, 2)[index].square() + at.sigma.square()).sqrt()
    standard = ((trained.x - mean) / deviation).double()
    assert abs(float(standard.mean())) < 0.02
    assert float(standard.std()) == pytest.approx(1, abs=0.02)


def test_clean_inputs_are_the_images_at_time_zero() -> None:
    trained, index, images = Seen(10), torch.tensor([3, 1, 9]), embedded_digits().train
    ClassifierObjective.of_images(trained, images)(index, Draws(stream("objective")))  # type: ignore[arg-type]
    assert torch.equal(trained.x, images.batch(index))
    assert torch.equal(trained.t, torch.zeros(3))


def test_a_classifier_learns_the_embedded_digits(tmp_path: Path) -> None:
    data, fabric = embedded_digits(), Fabric(accelerator="cpu", devices=1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        classifier = ClassifierConfig(width=8, conditioning=8).build(data.shape, 10)
    config = FitConfig(epochs=8, batch=64, lr=8e-3, warmup=0.1)
    for _ in fit(ClassifierObjective.of_images(classifier, data.train), config, fabric, tmp_path, (0, "features")):
        pass
    with torch.no_grad():
        guesses = classifier(data.test.batch(slice(None)), torch.zeros(len(data.test))).argmax(1)
    assert float((guesses == data.test.labels).float().mean()) > 0.93


HOME = Path(latentarena.__file__).parent
BELOW = [path for part in ("train", "autoencoder") for path in sorted((HOME / part).rglob("*.py"))]


@pytest.mark.parametrize("path", BELOW, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_what_is_trained_never_sees_the_judge(path: Path) -> None:
    named = [node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Import | ast.ImportFrom)]
    modules = {alias.name for node in named for alias in node.names}
    modules |= {
        f"{node.module}.{alias.name}" for node in named if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert not [name for name in modules if "judge" in name]


TRAINED = """
import sys, torch
from pathlib import Path
from lightning_fabric import Fabric
from latentarena.data.digits import embedded_digits
from latentarena.model.latent_model import Architecture, LatentModel
from latentarena.train.recipe import load_recipe
from latentarena.train.shelter import Shelter
from latentarena.train.stages import train_model

recipe = load_recipe("quickstart-digits", sys.argv[2:])
data = embedded_digits()
model = LatentModel(recipe.architecture(data.shape, data.classes), 0)
fabric = Fabric(accelerator="cpu", devices=1)
train_model(recipe, model, data, fabric, Shelter(Path(sys.argv[1])), lambda ticks, stage: ticks)
print(*sys.modules)
"""


def test_training_with_all_critics_never_loads_the_judge(tmp_path: Path) -> None:
    overrides = [
        "autoencoder.latent=[6]",
        "autoencoder.widths=[4,8]",
        "generator.backbone.width=16",
        "generator.backbone.depth=1",
        "training.features={epochs: 0.2, network: {width: 4}}",
        "training.autoencoder.epochs=0.2",
        "training.autoencoder.perceptual=0.1",
        "training.autoencoder.adversarial=0.01",
        "training.generator.epochs=0.2",
    ]
    command = [sys.executable, "-c", TRAINED, str(tmp_path), *overrides]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    loaded = done.stdout.split()
    assert {"latentarena.train.perceptual", "latentarena.train.adversary"} <= set(loaded)
    assert not [name for name in loaded if name.startswith("latentarena.judge")]
