"""What is measured of a trained recipe: the entry that `docs/results.json` keeps, and how it comes about."""

from __future__ import annotations

import base64
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import torch
from pydantic import Field
from torch import Tensor

from latentarena.bundle import NativeBundle
from latentarena.card.score_card import SEEDS, ScoreCard
from latentarena.config import Config, validate
from latentarena.data import Dataset
from latentarena.distill import straightness
from latentarena.evaluate.scoring import LEAPS, Panel, judge_bundle
from latentarena.facts import machine, versions
from latentarena.judge.classifier import Judge
from latentarena.judge.material import Seen
from latentarena.judge.metrics import class_kl, confidence
from latentarena.judge.subject import hand_out
from latentarena.model.config import GeneratorConfig, SamplingConfig
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.pictures import grid, png
from latentarena.randomness import stream
from latentarena.train.earlier import flows_before, is_student
from latentarena.train.logs import curve
from latentarena.train.recipe import Recipe

__all__ = [
    "COLUMNS",
    "STEPS",
    "Entry",
    "Guided",
    "Point",
    "Sweep",
    "affordable",
    "diversity",
    "floor",
    "measure",
    "sweep",
    "with_shorter",
]

STEPS = (1, 2, 4, 8, 16, 50, 100)
KEPT = ("mse", "ssim", "psnr", "confidence", "entropy", "class_kl", "frechet")  # metrics of a card
SCALES = (1.0, 2.0)  # of guidance, besides the recipe's own
SIZES = (10_000, 5_000, 2_000, 1_000, 500)  # samples of a sweep: the most that fit into PATIENCE
PATIENCE = 60.0  # seconds of one processor
COLUMNS = 10  # samples in the strip
FLOWN = 256  # trajectories of straightness, FINE steps each
FINE = 32
PAIRED = 500  # images of a class between which distances are taken


class Point(Config):
    """A sampler at one number of steps; seconds of one processor for all samples, judging excluded."""

    frechet: float
    class_kl: float
    confidence_gap: float
    accuracy: float | None
    seconds: float


class Sweep(Config):
    """One set of weights sampled in few and in many steps.

    Attributes:
        solver: of every step; `evaluations` of the network each.
        samples: at every number of steps.
        floor: Frechet distance of `real` random test images: as many as samples, or all there are.
        straightness: of a flow on the straight path, 0 being straight; None for what is none.
        points: by number of steps.
    """

    solver: str
    evaluations: float
    samples: int
    real: int
    floor: float
    straightness: float | None
    points: dict[int, Point]


class Guided(Config):
    """A guided model at one scale; accuracy is the share of samples in which the judge sees the class asked for."""

    scale: float
    samples: int
    frechet: float
    accuracy: float | None
    diversity: float


class Figure(Config):
    """One metric of the score card: the model's value, that of real test images and of plain Gaussian latents."""

    value: float
    real: float | None
    prior: float | None


class Scores(Config):
    """What is kept of a score card.

    Attributes:
        bundle, judge, source: SHA-256 of the model, name of the judge, SHA-256 of the code that judged.
        steps: of the model's own sampler.
        latent, parameters: shape of the latent, stored numbers by part.
        scores: by metric.
    """

    bundle: str
    judge: str
    source: str
    steps: int
    latent: tuple[int, ...]
    parameters: dict[str, int]
    scores: dict[str, Figure]

    @classmethod
    def of(cls, card: ScoreCard) -> Scores:
        """The part of a card that the page shows."""
        figures = {}
        for name in KEPT:
            score, prior = card.scores.get(name), card.scores.get(f"prior_{name}")
            if score is not None:
                real = score.real.value if score.real else None
                figures[name] = Figure(value=score.value, real=real, prior=prior.value if prior else None)
        kept = {name: getattr(card, name) for name in ("bundle", "judge", "source", "steps", "latent", "parameters")}
        return cls(**kept, scores=figures)


class Entry(Config):
    """All that is known of one recipe.

    Attributes:
        name: of the recipe.
        autoencoder, backbone: their kinds.
        guide: what guides it, if anything, and at which scale by default.
        seconds: training time by stage, on `trained`, by the clock.
        undisturbed: the same at the speed of each stage's fastest twentieth, whatever else the machine had to do.
        dead: latent dimensions that tell nothing about the image; None in pixel space.
        card: the judge's score card at the recipe's own steps.
        accuracy: of its samples, where a class was asked for.
        sweeps: by title; the first is the recipe's own, the others are other weights or ways of the same run.
        guided: by scale, where there is a guide.
        shorter: Frechet distance after these shares of the training, at the own steps and the sweep's samples.
        strip: the first samples side by side, PNG in base64.
        measured, versions: machine and libraries of these figures.
    """

    name: str
    autoencoder: str
    backbone: str
    guide: str | None
    scale: float
    seconds: dict[str, float]
    undisturbed: dict[str, float]
    trained: str
    dead: int | None
    card: Scores
    accuracy: float | None
    sweeps: dict[str, Sweep]
    guided: list[Guided]
    shorter: dict[str, float] = Field(default={})
    strip: str
    measured: str
    versions: dict[str, str]


def measure(bundle: NativeBundle, data: Dataset, judge: Judge, folder: Path) -> Entry:
    """Everything about one trained recipe; `folder` is its run's, for the checkpoints of earlier stages."""
    model, made = bundle.model, bundle.card.provenance
    recipe, sampling = validate(Recipe, made.recipe, bundle.card.name), model.architecture.sampling
    real = judge.look(data.test.batch(slice(None)))
    judged = judge_bundle(bundle, Panel(data, judge), timed=False)
    card, findings = judged.card, judged.findings
    compared = variants(bundle.card.name, recipe, model, folder)
    samples = min(affordable(variant, how) for variant, how in compared.values())  # a distance depends on how many
    sweeps = {title: sweep(variant, judge, real, samples, how) for title, (variant, how) in compared.items()}
    guide = guide_of(recipe.generator)
    scales = sorted({*SCALES, sampling.guidance}) if guide else []
    return Entry(
        name=bundle.card.name,
        autoencoder=recipe.autoencoder.kind,
        backbone=recipe.generator.backbone.kind,
        guide=guide,
        scale=sampling.guidance,
        seconds=made.seconds,
        undisturbed={stage: undisturbed(folder, stage, seconds) for stage, seconds in made.seconds.items()},
        trained=made.machine,
        dead=made.latents.dead if model.autoencoder.learned else None,
        card=Scores.of(card),
        accuracy=None if findings.asked is None else accuracy(findings.seen.labels, findings.asked),
        sweeps=sweeps,
        guided=[guided(model, judge, real, samples, sampling.but(guidance=scale)) for scale in scales],
        strip=base64.b64encode(strip(model)).decode(),
        measured=f"{machine()}; threads used: {torch.get_num_threads()}",
        versions=versions(),
    )


def with_shorter(entry: Entry, budget: float, bundle: NativeBundle, data: Dataset, judge: Judge) -> Entry:
    """The entry with what a bundle of the same recipe comes to that was trained for a share of the epochs."""
    model, real = bundle.model, judge.look(data.test.batch(slice(None)))
    own = model.architecture.sampling
    swept = sweep(model, judge, real, entry.sweeps[entry.name].samples, own, (own.steps,))
    shorter = entry.shorter | {f"{budget:g}": swept.points[own.steps].frechet}
    return entry.model_copy(update={"shorter": dict(sorted(shorter.items(), key=lambda one: float(one[0])))})


def undisturbed(folder: Path, stage: str, seconds: float) -> float:
    """The seconds that a stage takes at the speed of its fastest twentieth; those of the clock where no log says."""
    logged = curve(folder / "logs", stage)
    if not logged:
        return seconds
    fast = torch.tensor(logged["samples_per_second"]).quantile(0.95)
    return min(seconds, logged["samples"][-1] / float(fast))


def guide_of(generator: GeneratorConfig) -> str | None:
    """What `sampling.guidance` scales."""
    if generator.classified:
        return "classifier"
    if generator.weaker is not None:
        return "autoguidance"
    return "classifier-free" if generator.guided else None


def variants(
    name: str, recipe: Recipe, model: LatentModel, folder: Path
) -> dict[str, tuple[LatentModel, SamplingConfig]]:
    """The recipe's own model, and by title what it has to be compared with.

    Flows before the last reflow are sampled as it is; the teacher of a few-step model as well as it can be, by Heun.
    """
    own, training = model.architecture.sampling, recipe.training
    found = {name: (model, own)}
    if recipe.generator.average:  # its velocity at one time is a flow as any other
        found[f"{name}, as a flow"] = model, own.but(solver="heun")
    before = flows_before(model, training, folder / "checkpoints")
    if not is_student(training):
        return found | {f"{name}, {flow}": (each, own) for flow, each in before.items()}
    if "Flow-1" in before:
        found[f"{name}, teacher"] = before["Flow-1"], own.but(solver="heun")
    return found


def sweep(
    model: LatentModel,
    judge: Judge,
    real: Seen,
    n: int,
    sampling: SamplingConfig,
    steps: Iterable[int] = STEPS,
    seeds: Sequence[int] = SEEDS,
) -> Sweep:
    """Judge n samples at every number of steps, the sampling's own included.

    Args:
        real: the judge's verdict on the test split.
        seeds: numbers of the draws of noise and labels, the same for every model.
    """
    points = {}
    for count in sorted({*steps, sampling.steps}):
        start = time.process_time()
        images, asked = drawn(model, judge, n, sampling.but(steps=count), seeds)
        seconds = time.process_time() - start
        points[count] = point(judge, real, judge.look(images), asked, seconds)
    compared, distance = floor(judge, real, n)
    straight = model.architecture.generator.path == "straight"
    return Sweep(
        solver=sampling.solver,
        evaluations=evaluations(model, sampling),
        samples=n,
        real=compared,
        floor=distance,
        straightness=bend(model) if straight and sampling.solver not in LEAPS else None,
        points=points,
    )


def drawn(
    model: LatentModel, judge: Judge, n: int, sampling: SamplingConfig, seeds: Sequence[int]
) -> tuple[Tensor, Tensor | None]:
    """n images and the labels that were asked for, from public noise that is the same for every model."""
    batches = list(hand_out(model.latent_shape, judge.frequencies if model.conditional else None, n, seeds))
    images = torch.cat([model.generate(noise, labels, sampling) for noise, labels in batches])
    return images, torch.cat([labels for _, labels in batches if labels is not None]) if model.conditional else None


def point(judge: Judge, real: Seen, seen: Seen, asked: Tensor | None, seconds: float) -> Point:
    """The figures of one set of samples."""
    return Point(
        frechet=judge.distance(seen),
        class_kl=class_kl(seen.labels, judge.frequencies),
        confidence_gap=abs(confidence(seen.probabilities) - confidence(real.probabilities)),
        accuracy=None if asked is None else accuracy(seen.labels, asked),
        seconds=seconds,
    )


def guided(model: LatentModel, judge: Judge, real: Seen, n: int, sampling: SamplingConfig) -> Guided:
    """The figures at one scale of guidance."""
    images, asked = drawn(model, judge, n, sampling, SEEDS)
    seen = judge.look(images)
    return Guided(
        scale=sampling.guidance,
        samples=n,
        frechet=judge.distance(seen),
        accuracy=None if asked is None else accuracy(seen.labels, asked),
        diversity=diversity(seen, real),
    )


def accuracy(seen: Tensor, asked: Tensor) -> float:
    """The share of labels that are what was asked for."""
    return float((seen == asked).double().mean())


def diversity(seen: Seen, real: Seen) -> float:
    """How far apart samples of a class lie in the judge's features, real images of that class being 1.

    The mean over the judged classes of the ratio of mean pairwise distances; 0 where all samples of a class are one.
    """
    classes = real.labels.unique()
    ratios = [spread(seen.features[seen.labels == k]) / spread(real.features[real.labels == k]) for k in classes]
    return sum(ratios) / len(ratios)


def spread(features: Tensor) -> float:
    """Mean pairwise distance of the first `PAIRED` features (N, D); 0 for fewer than two."""
    return float(torch.pdist(features[:PAIRED].double()).mean()) if len(features) > 1 else 0.0


def floor(judge: Judge, real: Seen, n: int) -> tuple[int, float]:
    """How many real test images, n or all there are, and their own Frechet distance from the train split."""
    chosen = torch.randperm(len(real.features), generator=stream("floor", n))[:n]
    return len(chosen), judge.distance(real.rows(chosen))


def bend(model: LatentModel) -> float:
    """Straightness of the unguided flow."""
    return float(straightness(model.path, model.denoise, model.noise(FLOWN, SEEDS[0]), labels_for(model, FLOWN), FINE))


def evaluations(model: LatentModel, sampling: SamplingConfig) -> float:
    """Evaluations of the network in a step of the sampler, counted."""
    calls = 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    hook = model.network.register_forward_hook(count)
    model.generate(model.noise(2, SEEDS[0]), labels_for(model, 2), sampling, SEEDS[0])
    hook.remove()
    return calls / sampling.steps


def affordable(model: LatentModel, sampling: SamplingConfig, sizes: Iterable[int] = SIZES) -> int:
    """The largest sample that a sweep can draw with patience, as a short trial tells; the smallest if none."""
    trial = 200
    noise, labels = model.noise(trial, SEEDS[0]), labels_for(model, trial)

    def seconds(steps: int) -> float:
        start = time.process_time()
        model.generate(noise, labels, sampling.but(steps=steps), SEEDS[0])
        return time.process_time() - start

    seconds(1)  # warms up
    one, five = seconds(1), seconds(5)
    step = max(0.0, five - one) / 4
    each = (len(STEPS) * one + sum(STEPS) * step) / trial
    return max((n for n in sizes if n * each <= PATIENCE), default=min(sizes))


def strip(model: LatentModel) -> bytes:
    """The first samples in a row, every class in turn where it can be asked for, as PNG."""
    images = model.generate(model.noise(COLUMNS, SEEDS[0]), labels_for(model, COLUMNS), seed=SEEDS[0])
    return png(grid(images, COLUMNS, zoom=1))
