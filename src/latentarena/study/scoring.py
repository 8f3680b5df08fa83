"""Where bundles meet the judge: the judge sees functions of arrays, the card says whose they were."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from latentarena import __version__
from latentarena.bundle import Bundle
from latentarena.config import validate
from latentarena.data import FOLDER, DataConfig, Dataset, load_dataset
from latentarena.errors import BundleError
from latentarena.facts import source_digest
from latentarena.judge.classifier import Judge
from latentarena.judge.score import Findings, ScoreCard, Subject, score
from latentarena.randomness import stream
from latentarena.train.model import LatentModel

__all__ = ["data_of", "labels_for", "labels_in_proportion", "prior_images", "score_bundle"]

SAMPLES = 10_000
SEED = 20_25  # of the noise the judge hands in


def labels_for(model: LatentModel, n: int) -> Tensor | None:
    """Labels for n samples of a conditional model, every class in turn, int64 (n,); None if unconditional."""
    return torch.arange(n) % len(model.architecture.classes) if model.conditional else None


def labels_in_proportion(model: LatentModel, frequencies: Tensor, n: int) -> Tensor | None:
    """Labels for n samples of a conditional model in the data's own proportions and a fixed order, int64 (n,)."""
    if not model.conditional:
        return None
    middles = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    labels = torch.searchsorted(frequencies.double().cumsum(0), middles).clamp(max=len(frequencies) - 1)
    return labels[torch.randperm(n, generator=stream("labels"))]


def prior_images(model: LatentModel, n: int, seed: int) -> Tensor:
    """Images decoded from plain standard normal latents: what a VAE gives without a generator."""
    return model.decode(model.noise(n, seed, "prior"))


def data_of(bundle: Bundle, root: Path | None) -> Dataset:
    """The dataset that a bundle was trained on.

    Raises:
        BundleError: the data found is not what the bundle was trained on.
    """
    raw = bundle.card.provenance.recipe.get("data", {})
    config = validate(DataConfig, raw, "the bundle's recipe, data")
    if root is not None and config.name.startswith(FOLDER):  # the card knows the folder's name, not where it is now
        data = load_dataset(config.model_copy(update={"name": f"{FOLDER}{root}"}))
    else:
        data = load_dataset(config, root)
    if data.digest != bundle.card.provenance.data:
        raise BundleError(
            f"bundle {bundle.card.name!r} was trained on other content than this {data.name} "
            f"({bundle.card.provenance.data[:12]}, not {data.digest[:12]}); name its data with --data"
        )
    return data


def score_bundle(
    bundle: Bundle, data: Dataset, judge: Judge, samples: int = SAMPLES, seed: int = SEED
) -> tuple[ScoreCard, Findings]:
    """Judge a bundle on the full test split and `samples` images of its own sampler.

    Raises:
        JudgeError: the judge fails its self-test on this data, or the model's images are not finite.
    """
    model, card = bundle.model, bundle.card
    subject = Subject(
        reconstruct=lambda images: model.decode(model.encode(images)),
        generate=lambda n: model.generate(
            model.noise(n, seed), labels_in_proportion(model, judge.frequencies, n), seed=seed
        ),
        prior=(lambda n: prior_images(model, n, seed)) if model.autoencoder.learned else None,
    )
    findings = score(subject, data, judge, samples)
    score_card = ScoreCard(
        model=card.name,
        bundle=bundle.digest,
        judge=judge.name,
        judge_hash=judge.digest,
        dataset=data.name,
        data=data.digest,
        images=len(data.test),
        samples=samples,
        solver=card.architecture.sampling.solver,
        steps=card.architecture.sampling.steps,
        seed=seed,
        scores=findings.scores,
        parameters=card.parameters,
        latent=card.latent,
        version=__version__,
        source=source_digest(),
        notice=card.provenance.notice,
    )
    return score_card, findings
