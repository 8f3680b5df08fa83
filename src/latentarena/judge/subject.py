"""A model as the judge sees it, and what it makes of what the judge hands in: noise, labels, images and latents.

Everything random in it follows from the contest's key and the bundle's hash (`Randomness`), and what a model makes of a
row may depend on that row alone (`ask`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from latentarena.data import Dataset
from latentarena.errors import ModelError
from latentarena.judge.continuity import Generate
from latentarena.judge.randomness import WITHOUT_BUNDLE, Randomness
from latentarena.judge.rows import ask
from latentarena.latents import quantised
from latentarena.outputs import fault_of
from latentarena.precision import Precision

TRAINED = 10_000  # train images that are encoded, for the linear probe and the reconstruction gap


@dataclass(frozen=True)
class Subject:
    """A model as the judge sees it: functions of arrays, whatever is behind them.

    Attributes:
        noise: shape of one sample's noise.
        conditional: whether `generate` wants labels.
        generate: noise (n, *noise), labels int64 (n,) or None, and a seed for what noise a stochastic solver adds
            -> images (n, C, H, W) in [0, 1].
        encode: images (n, C, H, W) -> latents (n, *latent); None for a model of pixels.
        decode: latents -> images.
        precision: to which latents are rounded on their way from `encode` to `decode`.
        repeatable: whether `generate` makes the same image of the same noise twice; programs that draw noise of their
            own do not, so that nothing is known of the independence of their samples.
        held: `generate` where a stochastic solver adds noise that follows from the row: with the rows, as a fourth
            argument, whose noise it adds instead; None where there is no such noise.
    """

    noise: tuple[int, ...]
    conditional: bool
    generate: Callable[[Tensor, Tensor | None, int], Tensor]
    encode: Callable[[Tensor], Tensor] | None
    decode: Callable[[Tensor], Tensor]
    precision: Precision = "float16"
    repeatable: bool = True
    held: Callable[[Tensor, Tensor | None, int, Tensor], Tensor] | None = None


def judge_labels(frequencies: Tensor, n: int, generator: torch.Generator) -> Tensor:
    """The classes that the judge asks for: n in the data's own proportions, in a random order; int64 (n,)."""
    middles = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    labels = torch.searchsorted(frequencies.double().cumsum(0), middles).clamp(max=len(frequencies) - 1)
    return labels[torch.randperm(n, generator=generator)]


def hand_out(
    shape: tuple[int, ...],
    frequencies: Tensor | None,
    samples: int,
    seeds: Sequence[int],
    randomness: Randomness = WITHOUT_BUNDLE,
) -> Iterator[tuple[Tensor, Tensor | None]]:
    """What the judge hands in: noise (n, *shape) and labels int64 (n,) or None; together `samples` rows.

    Args:
        shape: of one sample's noise.
        frequencies: of the classes, (K,), in whose proportions labels are asked for; None for no labels.
        samples, seeds: how many rows, an equal share from each seed.
        randomness: that the seeds are numbers of.
    """
    for i, seed in enumerate(seeds):
        n = samples // len(seeds) + (i < samples % len(seeds))
        if n:
            labels = None if frequencies is None else judge_labels(frequencies, n, randomness.stream("labels", seed))
            yield randomness.noise(n, shape, "sample", seed), labels


@dataclass(frozen=True)
class Sampled:
    """Samples as they were judged.

    Attributes:
        generate: makes images of further noise, see `Generate`; None for a program that draws noise of its own.
        noise: (N, *noise); labels: int64 (N,), or None.
        images: (N, C, H, W); features: what the judge sees in them, (N, D).
    """

    generate: Generate | None
    noise: Tensor
    labels: Tensor | None
    images: Tensor
    features: Tensor


@dataclass(frozen=True)
class Coded:
    """Latents as judged, and what was decoded from them.

    Attributes:
        encode, decode: with latents rounded as they are judged.
        test, train: latents of the test split and of train images; samples: of the generated images.
        test_images, train_images: decoded from them; prior_images: from standard normal latents.
        rounding: how far the precision moves the test split's latents, as a share of how far they spread.
    """

    encode: Callable[[Tensor], Tensor]
    decode: Callable[[Tensor], Tensor]
    test: Tensor
    train: Tensor
    samples: Tensor
    test_images: Tensor
    train_images: Tensor
    prior_images: Tensor
    rounding: float


def generate_samples(
    subject: Subject, noise: Tensor, labels: Tensor | None, shape: tuple[int, ...], randomness: Randomness
) -> Tensor:
    """The samples (n, *shape) of noise and labels, asked for row by row; see `ask`."""
    seed = randomness.seed("fresh noise")  # one for all: a row's fresh noise is its own by the noise it starts from

    def generate(noise: Tensor, labels: Tensor | None = None) -> Tensor:
        return subject.generate(noise, labels, seed)

    inputs = [noise] if labels is None else [noise, labels]
    order = randomness.stream("order", "generate")
    made = ask(generate, inputs, order, "samples", shape, 1.0, subject.repeatable)
    return checked(made, (len(noise), *shape), "samples")


def generator_of(subject: Subject, randomness: Randomness) -> Generate | None:
    """The sampler for the checks; None for a program that draws noise of its own."""
    seed = randomness.seed("fresh noise")
    if not subject.repeatable:
        return None

    def generate(noise: Tensor, labels: Tensor | None, held: Tensor) -> Tensor:
        made = (
            subject.generate(noise, labels, seed) if subject.held is None else subject.held(noise, labels, seed, held)
        )
        return checked(made, (len(noise), *made.shape[1:]), "samples")

    return generate


def chosen_train(data: Dataset, randomness: Randomness) -> Tensor:
    """Numbers of the train images that test images are compared with, int64: known to who has the key."""
    return torch.randperm(len(data.train), generator=randomness.stream("train images"))[:TRAINED]


def code(subject: Subject, data: Dataset, samples: Tensor, chosen: Tensor, randomness: Randomness) -> Coded | None:
    """Encode and decode all that is measured, mixed in the same calls, so that nothing tells what a row is for.

    Args:
        subject: the model; of pixels, there is nothing to encode: None.
        data: the splits; `chosen` are numbers of train images.
        samples: generated images, (n, C, H, W).
        randomness: of the evaluation.
    """
    encode, decode, precision = subject.encode, subject.decode, subject.precision
    if encode is None:
        return None
    test, n = data.test.batch(slice(None)), len(samples)
    sizes = [len(test), len(chosen), n]
    images = torch.cat([test, data.train.batch(chosen), samples])
    exact = ask(encode, [images], randomness.stream("order", "encode"), "latents")
    names = ["test images", "train images", "samples"]
    parts = [_as_judged(part, precision, name) for part, name in zip(torch.split(exact, sizes), names, strict=True)]
    prior = quantised(randomness.noise(n, tuple(exact.shape[1:]), "prior"), precision)
    latents = torch.cat([parts[0], parts[1], prior])
    order = randomness.stream("order", "decode")
    decoded = ask(decode, [latents], order, "reconstructions", data.shape, 1.0)
    again, train, drawn = torch.split(decoded, sizes)
    return Coded(
        encode=lambda images: _as_judged(encode(images), precision, "samples"),
        decode=lambda latents: checked(decode(quantised(latents, precision)), (len(latents), *data.shape), "images"),
        test=parts[0],
        train=parts[1],
        samples=parts[2],
        test_images=checked(again, again.shape, "reconstructions"),
        train_images=checked(train, train.shape, "reconstructions"),
        prior_images=checked(drawn, drawn.shape, "prior samples"),
        rounding=_lost(parts[0], exact[: len(test)]),
    )


def checked(images: Tensor, shape: Sequence[int], what: str) -> Tensor:
    """The images, cut to [0, 1], once shape, finiteness and range are in order.

    Raises:
        ModelError: naming what is wrong and what it looks like.
    """
    if tuple(images.shape) != tuple(shape):
        raise ModelError(f"the model's {what} have the shape {tuple(images.shape)}, not {tuple(shape)}")
    if fault := fault_of(images):
        raise ModelError(f"the model's {what} {fault}")
    return images.clamp(0, 1)


def _as_judged(exact: Tensor, precision: Precision, what: str) -> Tensor:
    """Latents with no more in them than their declared precision holds; whatever is decoded or measured comes by here.

    Raises:
        ModelError: they are not finite, or too large for their precision.
    """
    if not bool(exact.isfinite().all()):
        raise ModelError(f"the model's latents of {what} are not {len(exact)} finite vectors; it cannot be judged")
    latents = quantised(exact, precision)
    if not bool(latents.isfinite().all()):
        raise ModelError(
            f"the model's latents of {what} reach {float(exact.abs().max()):.3g}, more than {precision} holds; "
            f"divide them by a constant, so that they are of a size around 1"
        )
    return latents


def _lost(latents: Tensor, exact: Tensor) -> float:
    """How far rounding moves latents, as a share of how far they spread."""
    spread = exact.std(0).square().mean().sqrt().clamp(min=1e-30)
    return float((latents - exact).square().mean().sqrt() / spread)
