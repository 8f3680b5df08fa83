"""Where bundles meet the judge: the judge sees functions of arrays, the card says whose they were."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from latentarena import __version__
from latentarena.bundle import AnyBundle, Provenance
from latentarena.card.own import OwnMetric
from latentarena.card.score_card import SEEDS, Advice, Score, ScoreCard, scored
from latentarena.compute import CPU
from latentarena.data import FOLDER, Dataset, load_dataset
from latentarena.distill import straightness
from latentarena.errors import BundleError, DataError
from latentarena.evaluate.efficiency import time_sampling
from latentarena.evaluate.held_out import held_out_losses
from latentarena.evaluate.waterfall import LEAPS, error_waterfall
from latentarena.facts import machine, source_digest, versions
from latentarena.files import digest, expanded
from latentarena.judge.classifier import Judge
from latentarena.judge.contest2025 import contest_2025
from latentarena.judge.diagnosis import diagnose
from latentarena.judge.metrics import exactly
from latentarena.judge.randomness import Randomness
from latentarena.judge.score import SAMPLES, SWEPT, Findings, score
from latentarena.judge.subject import Subject, judge_labels
from latentarena.judge.training import judge_for, opinions_for
from latentarena.key import PRACTICE, Key
from latentarena.model.config import MOST_STEPS
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.model.placing import on_cpu
from latentarena.precision import Precision, coarser
from latentarena.train.stages import Watch

FLOWN, FINE = 256, 32  # trajectories whose straightness is measured, and their steps
FITTED = "; say how these are brought to a size: arena pack --size, la.save(dataset=la.datasets.load(..., size=...))"


@dataclass(frozen=True)
class Panel:
    """What a bundle is judged by: the dataset, the official judge, and others that look at the same samples."""

    data: Dataset
    judge: Judge
    opinions: Sequence[Judge] = ()


@dataclass(frozen=True)
class Judged:
    """A judged bundle.

    Attributes:
        card: the score card; findings, panel: what it was made of.
        bundle: the bundle's own card as plain data.
        printed: what its code has printed, for its owner alone; not to be trusted.
    """

    card: ScoreCard
    findings: Findings
    panel: Panel
    bundle: dict[str, Any]
    printed: str = ""


def panel_for(data: Dataset, judge_file: Path | None = None, watch: Watch = lambda ticks, stage: ticks) -> Panel:
    """The judges of a dataset; the official one from its file, if one is named. `watch` shows its training, if any."""
    return Panel(data, judge_for(data, watch, judge_file), opinions_for(data))


def data_of(bundle: AnyBundle, root: Path | None) -> Dataset:
    """The dataset that a bundle was trained on.

    Raises:
        BundleError: the data found is not what the bundle was trained on, or has other images or classes.
    """
    card = bundle.card
    if root is not None and card.data.name.startswith(FOLDER):  # the card knows the folder's name, not where it is now
        data = load_dataset(card.data.model_copy(update={"name": f"{FOLDER}{root}"}))
    else:
        _refuse_missing(card.data.name)
        data = load_dataset(card.data, root)
    if card.provenance is not None and data.digest != card.provenance.data:
        raise BundleError(
            f"bundle {card.name!r} was trained on other content than this {data.name} "
            f"({card.provenance.data[:12]}, not {data.digest[:12]}); name its data with --data"
        )
    fitted = FITTED if card.shape != data.shape and card.data.name.startswith(FOLDER) else ""
    if card.shape != data.shape or (bundle.model.conditional and len(card.classes) != len(data.classes)):
        raise BundleError(
            f"bundle {card.name!r} makes images {list(card.shape)} of {len(card.classes)} classes, "
            f"but {data.name} has {list(data.shape)} of {len(data.classes)}{fitted}"
        )
    return data


def _refuse_missing(name: str) -> None:
    """Refuse a folder that is not where a card's name of it leads (DataError)."""
    place = expanded(name.removeprefix(FOLDER), "data.name = folder:") if name.startswith(FOLDER) else Path()
    if not place.exists() and not place.is_symlink():
        raise DataError(f"{name} does not exist here; say where it is with --data PATH, in Python root=")


def subject_of(bundle: AnyBundle, precision: Precision | None = None) -> Subject:
    """A bundle's model as the judge sees it, with latents rounded as its card says or to `precision` if coarser."""
    model, native, held = bundle.model, bundle.model.native, None
    if native is not None and native.architecture.sampling.stochastic:

        def held(noise: Tensor, labels: Tensor | None, seed: int, rows: Tensor) -> Tensor:
            return native.generate(noise, labels, seed=seed, held=rows)

    def generate(noise: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        if not model.repeatable:  # each batch has a seed of its own, or all batches would be the same images
            seed = int(digest(str(seed).encode(), noise.contiguous().numpy().tobytes())[:8], 16)
        return model.generate(noise, labels, seed=seed)

    return Subject(
        noise=model.noise_shape,
        conditional=model.conditional,
        generate=generate,
        encode=model.encode if model.learned else None,
        decode=model.decode,
        precision=coarser(bundle.card.precision, precision),
        repeatable=model.repeatable,
        held=held,
    )


def judge_bundle(
    bundle: AnyBundle,
    panel: Panel,
    samples: int = SAMPLES,
    seeds: Sequence[int] = SEEDS,
    timed: bool = True,
    precision: Precision | None = None,
    key: Key = PRACTICE,
    own: Sequence[OwnMetric] = (),
    waterfall: bool = False,
    alike: str | None = None,
) -> Judged:
    """Judge an opened bundle on the full test split and `samples` images of its own sampler.

    Args:
        bundle: whose model to judge.
        panel: by whom, and on the data that it was trained on.
        samples: how many; an equal share from each of `seeds`.
        timed: whether sampling is timed too.
        precision: to which latents are rounded, if it is coarser than the card's own.
        key: of all that is random; a contest has one of its own.
        own: metrics of somebody's own, which count for nothing.
        waterfall: whether the error waterfall is measured too, which takes two more samplings, one at many steps.
        alike: hash of another bundle, whose noise and order are taken; the bundle's own unless given.

    Raises:
        JudgeError: a judge fails its self-test on this data, or the model's images cannot be judged.
        GateError: what the model makes of a row depends on more than that row.
    """
    data, judge = panel.data, panel.judge
    model, card = bundle.model, bundle.card
    compute = CPU if model.native is None else model.native.compute
    subject = subject_of(bundle, precision)
    randomness = Randomness(key, alike or bundle.digest)
    found = score(subject, data, judge, panel.opinions, samples, seeds, randomness, own)
    sampling, scores = card.sampling, found.scores | _cost(bundle)
    by_steps: dict[int, float] = {}
    if model.native is not None:  # whose sampler can be looked into
        plain = on_cpu(model.native)
        scores |= _flow(plain, randomness)
        if card.provenance is not None:
            scores |= scored(held_out_losses(plain, card.provenance.recipe, data.test), {})
        by_steps = _by_steps(model.native, judge, min(samples, SWEPT), randomness)
    if card.provenance is not None:
        scores |= training_figures(card.provenance)
    test = data.test.batch(slice(None))
    columns = contest_2025(sum(card.parameters.values()), test, found.reconstructed, found.known.test, found.seen)
    shares = [] if found.by_class is None else found.by_class.tolist()
    by_class = {name: share for name, share in zip(data.classes, shares, strict=False) if not math.isnan(share)}
    score_card = ScoreCard(
        model=card.name,
        bundle=bundle.digest,
        judge=judge.name,
        judge_hash=judge.digest,
        dataset=data.name,
        data=data.digest,
        version=__version__,
        source=source_digest(),
        platform=platform(),
        images=len(data.test),
        samples=samples,
        seeds=tuple(seeds),
        noise=key.name,
        solver=sampling.solver,
        steps=sampling.steps,
        guidance=sampling.guidance,
        scores=scores,
        own=found.own,
        by_class=by_class,
        by_seed=found.by_seed,
        by_steps=by_steps,
        opinions=found.opinions,
        checks=found.checks,
        advice=_cut_short(card.provenance) + diagnose(found, scores, by_steps, sampling.steps, data.classes),
        contest_2025=columns,
        parameters=card.parameters,
        files=bundle.files,
        latent=card.latent,
        precision=subject.precision,
        timing=time_sampling(model) if timed else None,
        unverified=card.unverified,
        notice=card.caveat,
        device=compute.name,
        arithmetic=compute.precision,
        waterfall=error_waterfall(bundle, data, judge, found, randomness) if waterfall else None,
    )
    own_card = card.model_dump(mode="json") | {"form": card.form}
    return Judged(score_card, found, panel, own_card, model.log)


def _cut_short(made: Provenance | None) -> tuple[Advice, ...]:
    """Before all other advice: that a run had fewer epochs than its recipe asks for, as its bundle says."""
    length = made.recipe.get("length", 1) if made is not None else 1
    if not isinstance(length, int | float) or not 0 < length < 1:
        return ()
    return (
        Advice(
            fault="training cut short",
            text=f"this run had {100 * length:.3g} % of its recipe's epochs",
            remedy="train longer: all the epochs of the recipe, before anything else is changed",
        ),
    )


def platform() -> str:
    """The platform of a score, which decides about its last bits: machine, threads and libraries."""
    libraries = ", ".join(f"{name} {version}" for name, version in versions().items() if name != "latentarena")
    return f"{machine()}; {torch.get_num_threads()} threads; {libraries}"


def _flow(model: LatentModel, randomness: Randomness) -> dict[str, Score]:
    """How far the flow's trajectories are from straight lines; nothing for what is no flow on the straight path."""
    generator = model.architecture.generator
    if generator.path != "straight" or model.architecture.sampling.solver in LEAPS:
        return {}
    noise = randomness.noise(FLOWN, model.latent_shape, "straightness")
    bend = straightness(model.path, model.denoise, noise, labels_for(model, FLOWN), FINE)
    return scored({"straightness": exactly(bend)}, {})


def _cost(bundle: AnyBundle) -> dict[str, Score]:
    figures = {"parameters": sum(bundle.card.parameters.values()), "bytes": sum(bundle.files.values())}
    native = bundle.model.native
    found = (bundle.model if native is None else on_cpu(native)).measured()
    if found is not None:
        cost, size = found
        figures |= {"parameters": size.parameters, "information": size.information}
        figures |= {"macs": cost.multiply_adds, "operations": cost.operations}
    return scored({name: exactly(value) for name, value in figures.items()}, {})


def training_figures(made: Provenance) -> dict[str, Score]:
    """Self-reported training figures of a bundle; unverified until its recipe is trained anew."""
    figures = {"train_seconds": sum(made.seconds.values())}
    if made.curves:
        found = [(curve, curve.converged()) for curve in made.curves.values()]
        figures["converge_seconds"] = sum(curve.seconds[point] for curve, point in found)
        figures["converge_steps"] = sum(curve.steps[point] for curve, point in found)
    stages = [name for name in ("finetune", "autoencoder") if name in made.losses]
    figures |= {"final_loss": made.losses[stages[0]]} if stages else {}
    figures |= {"final_flow_loss": made.losses["generator"]} if "generator" in made.losses else {}
    return scored({name: exactly(value) for name, value in figures.items()}, {})


def _by_steps(model: LatentModel, judge: Judge, n: int, randomness: Randomness) -> dict[int, float]:
    """Frechet distance of n samples in one step and in a quarter of, half of, as many as and twice the own steps."""
    own = model.architecture.sampling
    noise, seed = randomness.noise(n, model.latent_shape, "steps"), randomness.seed("fresh noise", "steps")
    labels = judge_labels(judge.frequencies, n, randomness.stream("labels", "steps")) if model.conditional else None
    found = {}
    twice = min(2 * own.steps, MOST_STEPS)
    for steps in sorted({1, max(1, own.steps // 4), max(1, own.steps // 2), own.steps, twice}):
        seen = judge.look(model.generate(noise, labels, own.but(steps=steps), seed))
        found[steps] = judge.distance(seen)
    return found
