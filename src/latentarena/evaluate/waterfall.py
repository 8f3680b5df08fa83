"""Measures the error waterfall of a judged bundle: two more samplings, on the noise that the samples came from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from latentarena.bundle import AnyBundle
from latentarena.card.waterfall import Stage, StageName, Waterfall
from latentarena.data import Dataset
from latentarena.judge.classifier import Judge
from latentarena.judge.known import real_index
from latentarena.judge.metrics import Statistic, draws, estimate, frechet_of
from latentarena.judge.randomness import Randomness
from latentarena.judge.score import Findings
from latentarena.model.config import JUMP, MOST_STEPS, SamplingConfig
from latentarena.model.latent_model import LatentModel

MANY, TIMES = 100, 4  # steps that stand for infinitely many: at least so many, and so many times the model's own
LEAPS = (JUMP, "consistency")  # solvers whose steps do not converge to a flow
Features = dict[StageName, Tensor]


def error_waterfall(
    bundle: AnyBundle, data: Dataset, judge: Judge, found: Findings, randomness: Randomness
) -> Waterfall:
    """The Frechet distance of real images, reconstructions, and samples at many steps, at the own ones, and guided.

    All stages have as many images: the samples, or as many of them as there are test images. A bundle whose sampler
    cannot be changed has one stage of samples.

    Args:
        bundle, data, judge: what was judged, on what and by whom.
        found: what the judge found.
        randomness: of the evaluation.
    """
    drawn, few = len(found.generated), min(len(found.generated), len(data.test))
    fewer = few < drawn
    rows = torch.randperm(drawn, generator=randomness.stream("equal"))[:few] if fewer else torch.arange(drawn)
    real, native, own = real_index(data, few), bundle.model.native, bundle.card.sampling
    images: Features = {"real": found.known.test.features[real]}
    if found.reconstructed is not None:
        images["reconstruction"] = judge.look(found.reconstructed[real]).features
    samples: Features = {} if native is None else _other_samples(native, judge, found, rows, randomness)
    samples["guidance" if native is not None and has_guidance(native) else "own steps"] = found.seen.features[rows]
    often = draws(few, generator=randomness.stream("bootstrap", "equal" if fewer else "samples"))
    return Waterfall(
        images=few,
        many=0 if native is None else fine_steps(native),
        steps=own.steps,
        guidance=own.guidance,
        stages=tuple(_stages([(images, draws(few)), (samples, often)], judge)),
    )


def _other_samples(model: LatentModel, judge: Judge, found: Findings, rows: Tensor, randomness: Randomness) -> Features:
    """What the judge sees in samples of the same noise and labels by the samplers of the earlier stages."""
    noise, labels = found.noise[rows], None if found.asked is None else found.asked[rows]
    seed = randomness.seed("fresh noise")
    return {name: judge.look(model.generate(noise, labels, how, seed)).features for name, how in unlike_own(model)}


def unlike_own(model: LatentModel) -> Iterator[tuple[StageName, SamplingConfig]]:
    """The samplers of the stages before the model's own one, which is sampled already."""
    own = model.architecture.sampling
    plain, many = own.but(guidance=neutral_scale(model)), fine_steps(model)
    if many:
        yield "many steps", plain.but(steps=many)
    if has_guidance(model):
        yield "own steps", plain


def fine_steps(model: LatentModel) -> int:
    """How many steps stand for infinitely many; 0 for a sampler that more steps bring to no limit."""
    own = model.architecture.sampling
    return 0 if own.solver in LEAPS else min(max(MANY, TIMES * own.steps), MOST_STEPS)


def has_guidance(model: LatentModel) -> bool:
    """Whether the model's own sampler is guided."""
    return model.architecture.generator.guided and model.architecture.sampling.guidance != neutral_scale(model)


def neutral_scale(model: LatentModel) -> float:
    """The scale at which nothing is guided: 0 of a classifier's gradient, else 1."""
    return 0.0 if model.architecture.generator.classified else 1.0


def _stages(kinds: Sequence[tuple[Features, Tensor]], judge: Judge) -> Iterator[Stage]:
    """Every stage with what it adds: a paired difference within a kind of images, else one of independent figures."""
    before: Stage | None = None
    for features, counts in kinds:
        values: Tensor | None = None
        for name, rows in features.items():
            found = frechet_of(rows, *judge.reference)(counts)
            frechet, added = estimate(_known(found), counts, 0), None
            if values is not None:
                added = estimate(_known(found - values), counts)
            elif before is not None:
                added = frechet.minus(before.frechet)
            values, before = found, Stage(name=name, frechet=frechet, added=added)
            yield before


def _known(values: Tensor) -> Statistic:
    return lambda counts: values
