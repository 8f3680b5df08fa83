"""The score card: every figure beside the same figure for real test data and for plain prior samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from latentarena.config import Config
from latentarena.data import Dataset
from latentarena.errors import JudgeError
from latentarena.judge.classifier import Judge, Verdict
from latentarena.judge.metrics import class_kl, confidence, entropy, frechet_distance, mse, psnr, ssim

__all__ = ["METRICS", "Findings", "Metric", "Score", "ScoreCard", "Subject", "judge_images", "score"]

RECONSTRUCTION: dict[str, Callable[[Tensor, Tensor], float]] = {"mse": mse, "ssim": ssim, "psnr": psnr}
Better = Literal["higher", "lower", "like real data"]


@dataclass(frozen=True)
class Metric:
    """How a figure is shown: title, decimals and which way is better."""

    title: str
    decimals: int
    better: Better


METRICS = {
    "mse": Metric("MSE", 5, "lower"),
    "ssim": Metric("SSIM", 4, "higher"),
    "psnr": Metric("PSNR (dB)", 2, "higher"),
    "confidence": Metric("confidence", 4, "like real data"),
    "entropy": Metric("entropy (nats)", 4, "like real data"),
    "class_kl": Metric("class KL (nats)", 5, "lower"),
    "frechet": Metric("Frechet distance", 4, "lower"),
}


class Score(Config):
    """One metric: the model's value, and what real test data and the plain Gaussian prior get."""

    value: float
    real: float | None = None
    prior: float | None = None


class ScoreCard(Config):
    """What the judge found.

    Attributes:
        model: the bundle's name and hash.
        judge: the judge's name and hash.
        dataset, data: name and content hash of the data.
        images: test images reconstructed; samples: images generated, by `solver` in `steps` from `seed`.
        scores: by metric name; see `METRICS` for direction and units.
        parameters: stored numbers by part.
        latent: shape of the latent.
        version: of the code that judged; source: SHA-256 of that code.
        notice: what a reader must know first, such as stand-in data.
    """

    model: str
    bundle: str
    judge: str
    judge_hash: str
    dataset: str
    data: str
    images: int
    samples: int
    solver: str
    steps: int
    seed: int
    scores: dict[str, Score]
    parameters: dict[str, int]
    latent: tuple[int, ...]
    version: str
    source: str
    notice: str = ""


@dataclass(frozen=True)
class Subject:
    """A model as the judge sees it: functions of arrays, whatever is behind them.

    Attributes:
        reconstruct: images (N, C, H, W) -> images.
        generate: (n) -> n generated images.
        prior: (n) -> n images decoded from the plain Gaussian prior, or None where there is no autoencoder.
    """

    reconstruct: Callable[[Tensor], Tensor]
    generate: Callable[[int], Tensor]
    prior: Callable[[int], Tensor] | None


def judge_images(judge: Judge, seen: Verdict) -> dict[str, float]:
    """The figures of a set of images without originals: confidence, entropy, class_kl, frechet."""
    return {
        "confidence": confidence(seen.probabilities),
        "entropy": entropy(seen.probabilities),
        "class_kl": class_kl(seen.labels, judge.frequencies),
        "frechet": frechet_distance(*seen.statistics(), *judge.reference),
    }


@dataclass(frozen=True)
class Findings:
    """The figures and the images that they were measured on.

    Attributes:
        scores: by metric name.
        generated, prior: images (n, C, H, W); prior is None where there is no autoencoder.
        reconstructed: the test split again, (N, C, H, W).
        labels: the classes the judge sees in `generated`, int64 (n,).
    """

    scores: dict[str, Score]
    generated: Tensor
    prior: Tensor | None
    reconstructed: Tensor
    labels: Tensor


def score(subject: Subject, data: Dataset, judge: Judge, samples: int = 10_000) -> Findings:
    """Score a model on the full test split and on `samples` generated images.

    The judge's self-test on the test split is the real data's column.

    Raises:
        JudgeError: the judge fails its self-test on this data, or the model's images are not finite.
    """
    real = judge_images(judge, judge.verify(data))
    generated = _finite(subject.generate(samples), "samples")
    seen = judge.look(generated)
    prior = _finite(subject.prior(samples), "prior samples") if subject.prior else None
    beside = judge_images(judge, judge.look(prior)) if prior is not None else {}
    test = data.test.batch(slice(None)).cpu()
    again = _finite(subject.reconstruct(test), "reconstructions")
    scores = {name: Score(value=metric(again, test)) for name, metric in RECONSTRUCTION.items()}
    for name, value in judge_images(judge, seen).items():
        scores[name] = Score(value=value, real=real[name], prior=beside.get(name))
    return Findings(scores, generated, prior, again, seen.labels)


def _finite(images: Tensor, what: str) -> Tensor:
    if not bool(images.isfinite().all()):
        raise JudgeError(f"the model's {what} hold values that are not finite; it cannot be judged")
    return images
