"""The score card: figures with error bars, beside what real images get, and by hash all that they came from."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from latentarena.bounds import Amount, Count, Label, Plain, Real, Side, Words
from latentarena.card.catalogue import METRICS, points
from latentarena.card.columns import COLUMNS
from latentarena.card.figure import Better, Figure
from latentarena.card.finding import Finding
from latentarena.card.metric import Likeness, Metric, refuse_beyond
from latentarena.card.waterfall import Waterfall
from latentarena.config import Config, validate
from latentarena.documents import read_json
from latentarena.errors import ConfigError
from latentarena.files import digest_json
from latentarena.precision import Precision
from latentarena.text import in_short

SEEDS = (2025, 2026, 2027, 2028, 2029)  # numbers of the draws of noise and labels; what they give is up to the key
FEWEST, FULL, MOST = 100, 10_000, 1_000_000  # samples of a card: FULL, unless fewer are asked for, are checked
LARGEST = 1 << 20  # bytes of a card
MOST_CHECKS = 32
MOST_OWN = 32
SHORT = ("frechet", "mse")  # what is shown of a card in a line


class Score(Figure):
    """One metric of a model.

    Attributes:
        real: the same metric of real test images, held out of the reference; None where there is no such thing.
        equal: of as many samples as those are real images, where there are fewer images than samples.
    """

    real: Figure | None = None
    equal: Figure | None = None

    @property
    def matched(self) -> Figure:
        """The figure of as many samples as there are real images behind `real`."""
        return self.equal or self


class OwnFigure(Score):
    """A figure of a metric of somebody's own, which is shown and has no part in ranks and points.

    Attributes:
        title, what: the metric in words; better: its direction; decimals: shown.
        settings: its keys, `kind` among them.
        source, digest: name and SHA-256 of the file or package that it comes from.
    """

    title: Label
    what: Words
    better: Better
    decimals: int = Field(ge=0, le=12)
    settings: Plain
    source: Label
    digest: Label


class Opinion(Config):
    """What another judge, of another architecture and seed, finds in the same samples.

    Attributes:
        judge, kind, digest: its name, architecture and hash.
        frechet: in its own features.
        confidence: mean over the samples; real_confidence: over the test split.
        agreement: share of samples in which it sees the official judge's class; real_agreement: of test images.
    """

    judge: Label
    kind: Label
    digest: Label
    frechet: Score
    confidence: Real
    real_confidence: Real
    agreement: Real
    real_agreement: Real


class Advice(Config):
    """What is wrong with a model, in words.

    Attributes:
        fault: short name, such as `blurred`.
        text: what was seen, with the figure.
        remedy: what to try.
    """

    fault: Label
    text: Words
    remedy: Words


class Timing(Config):
    """What sampling took, on the machine of the card; never the same twice, so it has no part in the fingerprint.

    Attributes:
        threads: used; batch: samples drawn at a time; repeats: timed after one that was not.
        ms_per_sample: median of the repeats, with the fastest and the slowest.
        reference_ms: the median of the reference model, timed between the repeats.
        ratio: of the two medians.
    """

    threads: Count
    batch: Count
    repeats: Count
    ms_per_sample: Figure
    reference_ms: Amount
    ratio: Amount


class Trainings(Config):
    """Figures over several trainings of one recipe that differ by their seed alone.

    Attributes:
        n: trainings; seeds: of them.
        metrics: mean over the trainings by metric, with the t interval of that mean.
    """

    n: int = Field(ge=2, le=1000)
    seeds: tuple[Annotated[int, Field(ge=0, lt=2**63)], ...] = Field(max_length=1000)
    metrics: dict[Label, Figure]


class ScoreCard(Config):
    """What the judge found. Its intervals are over images and noise, and hold what other trainings give only by chance.

    Attributes:
        format: version of this schema; score_set: which metrics.
        model, bundle: name and hash of the model.
        judge, judge_hash: name and hash of the official judge.
        dataset, data: name and content hash of the data.
        version, source: of the code that judged, and its SHA-256.
        platform: machine, threads and libraries; another one may round differently.
        images: test images reconstructed; samples: images generated, an equal share from each seed.
        seeds: numbers of the draws of noise and labels that the judge handed in.
        noise: whose key these follow from, with the bundle's hash: `public`, which everybody knows, or `secret` and the
            first digits of the SHA-256 of a contest's key; empty on cards from before there were keys.
        solver, steps, guidance: the bundle's own.
        scores: by metric name; see `METRICS` for direction, unit and source.
        own: figures of metrics of somebody's own, by name; they count for nothing.
        by_class: share of the samples of a class in which the judge sees it, by class name; empty if unconditional.
        by_seed: the Frechet distance of each seed's samples alone.
        by_steps: Frechet distance of fewer samples by number of solver steps; empty where steps cannot be chosen.
        opinions: of the other judges.
        checks: whether it is a model at all and no memory of images: every check with what it came to; empty on cards
            from before there were checks.
        advice: what is wrong, and what to try.
        contest_2025: the columns of the 2025 contest by its formulas; None stands for infinity.
        parameters: stored numbers by part; files: bytes by file.
        latent: shape of the latent; precision: to which its numbers were rounded before they were decoded.
        timing: of sampling, if it was timed.
        unverified: names of the figures, of `METRICS` and `COLUMNS`, that rest on the submission's own word.
        notice: what a reader must know first, such as stand-in data.
        trainings: what other seeds of the same recipe give, where they were trained.
        waterfall: where the Frechet distance comes from, if that was asked.
        sandbox: what held the model while it ran, such as `tier 2`; empty where it ran in the judge's own process.
        device, arithmetic: where the model ran and in what precision; others than the CPU in 32-true do not rank.
    """

    format: Literal[2] = 2
    score_set: Literal["arena-1"] = "arena-1"
    model: Label
    bundle: Label
    judge: Label
    judge_hash: Label
    dataset: Label
    data: Label
    version: Label
    source: Label
    platform: Words
    images: Count
    samples: Count
    seeds: tuple[Count, ...]
    noise: str = Field(default="", pattern="^(public|secret [0-9a-f]{12})?$")
    solver: Label
    steps: Count
    guidance: Amount
    scores: dict[Label, Score]
    own: dict[Label, OwnFigure] = Field(default={}, max_length=MOST_OWN)
    by_class: dict[Label, Real]
    by_seed: tuple[Real, ...]
    by_steps: dict[Count, Real]
    opinions: tuple[Opinion, ...]
    checks: tuple[Finding, ...] = Field(default=(), max_length=MOST_CHECKS)
    advice: tuple[Advice, ...]
    contest_2025: dict[Label, Real | None]
    parameters: dict[Label, Count]
    files: dict[Label, Count]
    latent: tuple[Side, ...] = Field(min_length=1, max_length=3)
    precision: Precision = "float32"
    timing: Timing | None = None
    unverified: tuple[Label, ...] = ()
    notice: Words = ""
    sandbox: Label = ""
    device: Label = "cpu"
    arithmetic: Label = "32-true"
    trainings: Trainings | None = None
    waterfall: Waterfall | None = None

    @model_validator(mode="after")
    def _possible(self) -> ScoreCard:
        """Only figures that are known, each within its range: a card may be anybody's."""
        for name, score in self.scores.items():
            if name not in METRICS:
                raise ValueError(f"scores: metric {name!r} is unknown; {', '.join(METRICS)} are known")
            _refuse_impossible(f"scores.{name}", score, METRICS[name])
        for one in self.checks:
            unknown = next((name for name in one.withheld if name not in METRICS), None)
            if unknown is not None:
                raise ValueError(f"checks: {one.name} withholds {unknown!r}, which is no metric")
        for name, value in self.contest_2025.items():
            if name not in COLUMNS:
                raise ValueError(f"contest_2025.{name}: there is no such column; {', '.join(COLUMNS)} are known")
            refuse_beyond(f"contest_2025.{name}", math.inf if value is None else value, COLUMNS[name])
        self._refuse_impossible_parts()
        return self

    def _refuse_impossible_parts(self) -> None:
        """Raise a ValueError where what is measured beside the scores is outside the range of its metric."""
        distance, share = METRICS["frechet"], METRICS["accuracy"]
        if self.timing is not None:
            refuse_beyond("timing.ms_per_sample.low", self.timing.ms_per_sample.low, COLUMNS["time_per_sample"])
        for what, values, metric in (
            ("by_class", self.by_class, share),
            ("by_seed", dict(enumerate(self.by_seed)), distance),
            ("by_steps", self.by_steps, distance),
        ):
            for name, value in values.items():
                refuse_beyond(f"{what}.{name}", value, metric)
        for one in self.opinions:
            _refuse_impossible(f"opinions: {one.judge}: frechet", one.frechet, distance)
            for name in ("confidence", "real_confidence", "agreement", "real_agreement"):
                refuse_beyond(f"opinions: {one.judge}: {name}", getattr(one, name), share)
        for stage in () if self.waterfall is None else self.waterfall.stages:
            refuse_beyond(f"waterfall: {stage.name}: frechet.low", stage.frechet.low, distance)
        for name, mean in ({} if self.trainings is None else self.trainings.metrics).items():
            if name in METRICS:  # a mean: its interval may reach beyond the range
                refuse_beyond(f"trainings.metrics.{name}", mean.value, METRICS[name])

    def __repr__(self) -> str:
        return in_short("ScoreCard", self.model, f"judged by {self.judge} on {self.dataset}", self.in_short)

    __str__ = __repr__

    def _repr_html_(self) -> str:
        """The card's table, as every page has it, for notebooks."""
        from latentarena.card.pages import environment

        laid_out = '{% from "score_card.html" import score_card %}{{ score_card(card) }}'
        return environment().from_string(laid_out).render(card=self)

    @property
    def in_short(self) -> str:
        """A few of the figures in words, each with its interval."""
        found = ((METRICS[name], self.scores[name]) for name in SHORT if name in self.scores)
        return ", ".join(f"{metric.title} {score:.{metric.decimals}f}" for metric, score in found)

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all but timing, sandbox, other trainings and waterfall: equal for equal cards of two runs."""
        apart = {"timing", "sandbox", "trainings", "waterfall"}
        apart |= {"device", "arithmetic"} if self.computed_officially else set()
        apart |= set() if self.own else {"own"}  # which older cards do not have
        return digest_json(self.model_dump(mode="json", exclude=apart))

    @property
    def computed_officially(self) -> bool:
        """Whether the model ran where every machine finds the same figures: on the CPU, in float32."""
        return (self.device, self.arithmetic) == ("cpu", "32-true")

    @property
    def real_images(self) -> int:
        """How many real test images stand behind the figures of real images."""
        return min(self.samples, self.images)

    def likeness(self, name: str) -> Likeness | None:
        """What a comparison of a figure with that of as many real images shows; see `Metric.likeness`.

        None where there is no such comparison.
        """
        score = self.scores[name]
        equal_numbers = self.samples <= self.images or any(one.equal for one in self.scores.values())
        if score.real is None or not equal_numbers:
            return None
        return METRICS[name].likeness(score.matched, score.real)

    @property
    def points(self) -> dict[str, float]:
        """Absolute scores, 0 to 100 by category, of what the judge found itself; see `points`."""
        return self.points_with({})

    def points_with(self, certified: Mapping[str, Figure]) -> dict[str, float]:
        """The same, with a certificate's figures of training among them; what is withheld is worth nothing."""
        found = {name: score.matched.value for name, score in self.scores.items() if not METRICS[name].certified}
        floors = {name: score.real for name, score in self.scores.items() if score.real is not None}
        counted = {name: math.inf if name in self.withheld else value for name, value in found.items()}
        return points(counted | {name: one.value for name, one in certified.items()}, floors)

    @property
    def withheld(self) -> frozenset[str]:
        """Metrics that are shown and do not rank, for what a check has found."""
        return frozenset(name for one in self.checks for name in one.withheld)


def _refuse_impossible(name: str, score: Score, metric: Metric) -> None:
    """Raise a ValueError where a figure or an end of its interval is outside its range."""
    for one, whose in ((score, name), (score.real, f"{name}.real"), (score.equal, f"{name}.equal")):
        if one is not None:
            refuse_beyond(whose, one.value, metric)
            refuse_beyond(f"{whose}.low", one.low, metric)
            refuse_beyond(f"{whose}.high", one.high, metric)


def scored(
    found: Mapping[str, Figure], floors: Mapping[str, Figure], equal: Mapping[str, Figure] | None = None
) -> dict[str, Score]:
    """Estimates beside those of real images, and of as many samples as there are real images, where they have one."""
    equal = equal or {}
    return {
        name: Score(**one.model_dump(), real=floors.get(name), equal=equal.get(name)) for name, one in found.items()
    }


def read_card(path: Path) -> ScoreCard:
    """Read a score card.

    Raises:
        ConfigError: one line that names the file and what is wrong with it.
    """
    raw = read_json(path, LARGEST, "score card", "arena judge BUNDLE --json writes a card")
    card = validate(ScoreCard, raw, str(path))
    if not FEWEST <= card.samples <= MOST:
        raise ConfigError(f"{path}: samples = {card.samples}: a card has between {FEWEST:,} and {MOST:,}")
    if card.seeds != SEEDS:
        raise ConfigError(f"{path}: seeds = {list(card.seeds)}: the judge's own are {list(SEEDS)}")
    return card
