"""A contest is a file: what is judged, how entries are ranked, who may enter what and when."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, Field, field_validator, model_validator

from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.certificate import QUALITY
from latentarena.card.columns import COLUMNS
from latentarena.card.figure import Better
from latentarena.card.metric import Metric
from latentarena.config import Config
from latentarena.contest.eligibility import Eligibility, Form, LatentLimits
from latentarena.contest.rule import Rule
from latentarena.text import meant

DECLARED = ("bundle.provenance.seconds.", "bundle.provenance.losses.")
"""A bundle's own figures of its training: no rule can rest on them."""
OneWay = Literal[Better.LOWER, Better.HIGHER]
Ranked = Literal[Better.LOWER, Better.HIGHER, Better.NEAR_ONE]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,39}$")]
NUMBER = re.compile(r"\s*[-+]?[\d_]*\.?\d*(e[-+]?\d+)?\s*", re.IGNORECASE)

FACTS = (
    "latent_numbers", "samples", "steps", "guidance", "solver", "dataset", "notice", "form", "verified", "certified",
    "points",
)  # fmt: skip
"""Fields of rules beside the metrics; `points.CATEGORY` and `bundle.KEY.KEY`, and for awards the ranks `place` and
`CATEGORY_rank`, are fields too."""


class Measure(Config):
    """One ranked column.

    Attributes:
        metric: of the contest's score set.
        better: which way; the score set's own unless given.
    """

    metric: str
    better: Ranked | None = None


class Category(Config):
    """A set of columns that are ranked first, so that figures which say the same do not count twice.

    Attributes:
        name: a slug; title: for people, the name unless given.
        weight: of the category's rank in the total, of at most three decimals.
        metrics: what counts, equally; the mean of their ranks is ranked again.
    """

    name: Name
    title: str = Field(default="", max_length=80)
    weight: float = Field(default=1.0, ge=0.001, le=1000)
    metrics: tuple[Measure, ...] = Field(min_length=1)

    @field_validator("metrics", mode="before")
    @classmethod
    def _names_alone(cls, raw: Any) -> Any:
        return [{"metric": one} if isinstance(one, str) else one for one in raw] if isinstance(raw, list) else raw

    @field_validator("weight")
    @classmethod
    def _whole_thousandths(cls, weight: float) -> float:
        if round(weight, 3) != weight:
            raise ValueError("a weight has at most three decimals")
        return weight

    @property
    def label(self) -> str:
        """What people see."""
        return self.title or self.name


class Award(Config):
    """A prize: among the ranked entries that meet all rules, the one with the best field; ties share it.

    Attributes:
        where: rules to be met; field, better: what then decides.
    """

    name: str = Field(min_length=1, max_length=60)
    about: str = Field(default="", max_length=300)
    where: tuple[Rule, ...] = ()
    field: str = "place"
    better: OneWay = Better.LOWER


class TieBreak(Config):
    """What decides between entries of equal total: the organiser's own order, or a field.

    Attributes:
        by: the reason shown, such as `quality of analysis`.
        order: names, best first; those not named stay tied, behind those that are.
        field, better: a field that decides instead.
    """

    by: str = Field(min_length=1, max_length=80)
    order: tuple[str, ...] | None = None
    field: str | None = None
    better: OneWay = Better.LOWER

    @model_validator(mode="after")
    def _one_of_two(self) -> TieBreak:
        if (self.order is None) == (self.field is None):
            raise ValueError("a tie is broken by an order or by a field: name one of them")
        if self.order is not None and len(set(self.order)) < len(self.order):
            raise ValueError("the order names an entry twice")
        return self


class Deliverable(Config):
    """A file that the folder of a submission has to hold, for people to read.

    Attributes:
        file: its path in the folder; `*` stands for any name, as in `*.ipynb`.
        about: what it is.
        words: whether it has places for the team's own words, all of which must be filled in.
    """

    file: str = Field(pattern=r"^[\w*][\w*.-]*(/[\w*][\w*.-]*)*$", max_length=120)
    about: str = Field(min_length=1, max_length=200)
    words: bool = False


class Quotas(Config):
    """How much one team may hand in."""

    per_day: int | None = Field(default=None, ge=1)
    total: int | None = Field(default=None, ge=1)
    bytes: int = Field(default=64 << 20, ge=1)


class Certify(Config):
    """Whose training is repeated, and how.

    Attributes:
        training: whether workers train the recipes of native bundles anew, while nothing waits to be evaluated.
        top: places of the board whose recipes are trained without anybody asking, the first ones first.
        seeds: trainings of each: with the recipe's own seed, and with others.
        quality: the Frechet distance to which training is measured, the same for every entry.
        macs: multiply-adds that a recipe may take for one training; a longer one is not certified.
        minutes: that a certificate may take.
    """

    training: bool = False
    top: int = Field(default=3, ge=0, le=1000)
    seeds: int = Field(default=3, ge=2, le=20)
    quality: float = Field(default=QUALITY, gt=0, le=1e6)
    macs: float = Field(default=1e15, gt=0, le=1e20)
    minutes: float = Field(default=24 * 60.0, gt=0, le=1e5)


class Contest(Config):
    """A contest.

    Attributes:
        name, title, about: a slug, a headline and what it is, for people.
        dataset: which data models are judged on.
        judge: `official`, or the SHA-256 of the judge's file.
        latent: limits on the numbers between encoder and decoder.
        score_set: whose figures are ranked: `arena-1`, or the seven columns of 2025.
        categories: what is ranked.
        ties: `min`: equal values share the best of their ranks; `statistical`: a rank counts only the entries that are
            better beyond the error bars.
        total: the weighted `sum` or `mean` of the categories' ranks; the lowest wins.
        counts: which of a team's entries stands on the board.
        thresholds: rules that an entry must meet to be ranked at all.
        awards, tie_breaks: in the order they are given or applied in.
        quotas: for one team.
        opens, closes: when entries are received, with their time zone; None is no limit.
        forms: accepted kinds of bundle.
        self_reported: whether score cards that nobody has recomputed stand on the board: marked, and behind all that
            the contest has verified.
        certify: how figures of training are certified, without which they are shown and do not rank.
        deliverables: what a team hands in beside its bundle, for people to read; `arena pack RUN` puts it together.
    """

    name: Name
    title: str = Field(min_length=1, max_length=120)
    about: str = Field(default="", max_length=4000)
    dataset: str = "mnist"
    judge: str = "official"
    latent: LatentLimits = LatentLimits()
    score_set: Literal["arena-1", "contest-2025"] = "arena-1"
    categories: tuple[Category, ...] = Field(min_length=1)
    ties: Literal["min", "statistical"] = "statistical"
    total: Literal["sum", "mean"] = "sum"
    counts: Literal["best", "latest", "chosen"] = "best"
    thresholds: tuple[Rule, ...] = ()
    awards: tuple[Award, ...] = ()
    tie_breaks: tuple[TieBreak, ...] = ()
    quotas: Quotas = Quotas()
    opens: AwareDatetime | None = None
    closes: AwareDatetime | None = None
    forms: tuple[Form, ...] = Field(default=("native", "portable"), min_length=1)
    self_reported: bool = False
    certify: Certify | None = None
    deliverables: tuple[Deliverable, ...] = Field(default=(), max_length=100)

    @field_validator("judge")
    @classmethod
    def _hash_or_official(cls, judge: str) -> str:
        if judge != "official" and not re.fullmatch("[0-9a-f]{64}", judge):
            raise ValueError("choose official, or the judge's SHA-256 of 64 hexadecimal digits")
        return judge

    @field_validator("opens", "closes", mode="before")
    @classmethod
    def _written_out(cls, moment: Any) -> Any:
        """Refuse a number, which would be one of seconds since 1970."""
        if isinstance(moment, (int, float)) or (isinstance(moment, str) and NUMBER.fullmatch(moment)):
            raise ValueError("write date, time and zone, such as 2026-12-31T23:59:00+01:00")
        return moment

    @model_validator(mode="after")
    def _sound(self) -> Contest:
        self._refuse_columns()
        _refuse_twice("category", [category.name for category in self.categories])
        _refuse_twice("award", [award.name for award in self.awards])
        _refuse_twice("form", list(self.forms))
        _refuse_twice("deliverable", [one.file for one in self.deliverables])
        if self.opens and self.closes and self.opens >= self.closes:
            raise ValueError(f"closes = {self.closes} is not after opens = {self.opens}")
        for rule in self.thresholds:
            self._refuse_field("thresholds", rule.field, ranks=False)
            if rule.field in METRICS and METRICS[rule.field].certified:  # nobody would be ranked, so nobody certified
                raise ValueError(f"thresholds: {rule.field} is known of certified entries only; move it to an award")
        for award in self.awards:
            for field in (award.field, *(rule.field for rule in award.where)):
                self._refuse_field(f"award {award.name!r}", field)
        for one in self.tie_breaks:
            if one.field is not None:
                self._refuse_field(f"tie break {one.by!r}", one.field, ranks=False)
        return self

    def _refuse_columns(self) -> None:
        for measure in self.measures:
            if measure.metric not in self.directions:
                known, near = ", ".join(self.directions), meant(measure.metric, self.directions)
                raise ValueError(f"metric {measure.metric!r} is unknown or not ranked; {near}choose from {known}")
        _refuse_twice("metric", [measure.metric for measure in self.measures])
        for category in self.categories:
            if len(category.metrics) > 1 and category.name in self.metrics:
                raise ValueError(f"category {category.name!r} has the name of a metric; call it something else")

    def _refuse_field(self, where: str, field: str, ranks: bool = True) -> None:
        """Refuse a field that no entry can have; ranks are not yet known to thresholds and tie breaks."""
        known = [*self.metrics, *FACTS, *(f"points.{category}" for category in CATEGORIES)]
        if ranks:
            known += ["place", *(f"{category.name}_rank" for category in self.categories)]
        if field not in known and not re.fullmatch(r"bundle(\.\w+)+", field):
            near = meant(field, known)
            raise ValueError(f"{where}: field {field!r} is unknown; {near}choose from {', '.join(known)}, bundle.KEY")
        if field.startswith(DECLARED):
            raise ValueError(f"{where}: {field} is the bundle's own word; use train_seconds, train_macs or final_loss")

    @property
    def metrics(self) -> tuple[str, ...]:
        """Every figure of the score set, ranked or not."""
        return tuple(self.catalogue)

    @property
    def catalogue(self) -> Mapping[str, Metric]:
        """The metrics of the score set by name."""
        return _catalogue(self.score_set)

    @property
    def directions(self) -> Mapping[str, Better]:
        """Which way each figure of the score set that can be ranked is better."""
        return _directions(self.score_set)

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The ranked columns, in order."""
        return tuple(measure for category in self.categories for measure in category.metrics)

    @property
    def eligibility(self) -> Eligibility:
        """Its conditions for a bundle."""
        return Eligibility(forms=self.forms, dataset=self.dataset, latent=self.latent)

    def better(self, measure: Measure) -> Better:
        """Which way a column is ranked."""
        return measure.better or self.directions[measure.metric]

    def receives(self, now: datetime) -> bool:
        """Whether an entry received at this time is in time; the opening moment is, the closing moment is not."""
        return (self.opens is None or self.opens <= now) and not self.closed(now)

    def closed(self, now: datetime) -> bool:
        """Whether it has closed for good; one without a closing time never has."""
        return self.closes is not None and self.closes <= now


def _catalogue(score_set: str) -> Mapping[str, Metric]:
    return COLUMNS if score_set == "contest-2025" else METRICS


@cache
def _directions(score_set: str) -> Mapping[str, Better]:
    known = _catalogue(score_set)
    return {name: metric.better for name, metric in known.items() if metric.better is not Better.LIKE_REAL}


def _refuse_twice(what: str, names: list[str]) -> None:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{what} {twice[0]!r} is there twice")
