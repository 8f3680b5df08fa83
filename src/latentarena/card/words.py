"""A score card in words: its figures as text, as tables and pages show them. Imports no torch."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.columns import COLUMNS
from latentarena.card.figure import Figure
from latentarena.card.metric import Likeness
from latentarena.card.score_card import FULL, OwnFigure, Score, ScoreCard
from latentarena.key import PUBLIC

OWN = "own"
HEADINGS = CATEGORIES | {OWN: "Metrics of one's own, never ranked"}
"""The headings above the rows of a card, by category."""
CLEAN = "Nothing was found that calls for advice."
UNVERIFIED = "unverified"
UNCERTIFIED = "uncertified"  # a bundle's own word on its training
WITHHELD = "not ranked"
CONSEQUENCES = {"noted": "noted", "unranked": "cannot be ranked", "refused": "a contest refuses it"}
UNSEEN = "which do not show what only more of them do: a full arena check decides"
OVER_TRAININGS = ("mse", "ssim", "prior_frechet", "frechet", "coverage", "class_kl", "train_seconds")
REFERENCES = Path(__file__).parent / "references"


@dataclass(frozen=True)
class CardRow:
    """One metric as text: empty where there is no such thing; a submission's own word has a doubt for an interval.

    Attributes:
        over_trainings: mean and interval over several trainings; empty where there were none.
        likeness: whether it is equivalent to the figure of as many real images, to within `margin`; None where
            they are not compared.
    """

    title: str
    what: str
    value: str
    interval: str
    real: str
    real_interval: str
    better: str
    margin: str
    likeness: Likeness | None = None
    over_trainings: str = ""


def expected_lines(expected: Mapping[str, tuple[float, float]], length: float, card: ScoreCard) -> Iterator[str]:
    """What a recipe was expected to come to, and what its run is outside of; first of all, whether it was cut short.

    Args:
        expected: by metric: a figure and how far another run may be from it; `minutes` are those of training.
        length: epochs of the run as a share of the recipe's own.
    """
    if not expected:
        return
    known = ", ".join(f"{name} {value:g} +- {most:g}" for name, (value, most) in expected.items())
    yield f"the recipe as shipped came to: {known}"
    if length != 1:
        yield f"this run had {100 * length:.3g} % of the recipe's epochs: it is not expected to come to the same"
        return
    here = {name: card.scores[name].value for name in expected if name in card.scores}
    off = [f"{name} {value:.3g}" for name, value in here.items() if abs(value - expected[name][0]) > expected[name][1]]
    yield f"outside of that: {', '.join(off)}" if off else "this run came to the same"


def check_words(card: ScoreCard) -> tuple[str, list[str]]:
    """How many checks for forged scores came out clear, of how many samples where those are few, in a sentence; and a
    sentence for each that did not.
    """
    if not card.checks:
        return "Not checked for tables or memories of images.", []
    clear = sum(one.verdict == "clear" for one in card.checks)
    withheld = {
        one.name: f"; not ranked: {', '.join(METRICS[name].title for name in one.withheld)}"
        for one in card.checks
        if one.withheld
    }
    lines = [
        f"{CONSEQUENCES[one.verdict]}, {one.name}: {one.sentence}{withheld.get(one.name, '')}"
        for one in card.checks
        if one.verdict != "clear"
    ]
    few = f" on {card.samples:,} of {FULL:,} samples, {UNSEEN}" if card.samples < FULL else ""
    return f"{clear} of {len(card.checks)} checks for tables and memories of images are clear{few}.", lines


def rows_by_category(card: ScoreCard) -> dict[str, list[CardRow]]:
    """The scores of a card in words, by the names of `HEADINGS` and in their order; those without any left out."""
    rows: dict[str, list[CardRow]] = {}
    for category in CATEGORIES:
        names = [name for name, metric in METRICS.items() if metric.category == category and name in card.scores]
        if names:
            rows[category] = [row_of(card, name) for name in names]
    return rows | ({OWN: list(map(_own_row, card.own.values()))} if card.own else {})


def image_rows(scores: Mapping[str, Score]) -> Iterator[tuple[str, CardRow]]:
    """Figures of images in words, each with its category of `HEADINGS`."""
    yield from ((metric.category, _row(name, scores[name])) for name, metric in METRICS.items() if name in scores)
    yield from ((OWN, _own_row(one)) for one in scores.values() if isinstance(one, OwnFigure))


def row_of(card: ScoreCard, name: str) -> CardRow:
    """A metric of the card in words."""
    row, over = _row(name, card.scores[name]), _over_trainings(card, name)
    return replace(row, interval=_doubt(card, name) or row.interval, likeness=card.likeness(name), over_trainings=over)


def _row(name: str, score: Score) -> CardRow:
    metric = METRICS[name]
    margin = "" if metric.margin is None else metric.margin.words
    return _worded(score, metric.title, metric.what, metric.better, metric.decimals, margin)


def _own_row(one: OwnFigure) -> CardRow:
    settings = ", ".join(f"{key} = {value}" for key, value in one.settings.items() if key != "kind")
    return _worded(one, one.title, "; ".join(filter(None, (one.what, settings, one.source))), one.better, one.decimals)


def _worded(score: Score, title: str, what: str, better: str, decimals: int, margin: str = "") -> CardRow:
    real = score.real
    return CardRow(
        title=title,
        what=what,
        value=decimal_text(score.value, decimals),
        interval=_interval(score, decimals),
        real="" if real is None else decimal_text(real.value, decimals),
        real_interval="" if real is None else _interval(real, decimals),
        better=better,
        margin=margin,
    )


def _over_trainings(card: ScoreCard, name: str) -> str:
    if card.trainings is None or name not in card.trainings.metrics:
        return ""
    return f"{_estimate(name, card.trainings.metrics[name])} over {card.trainings.n} trainings".replace("  ", " ")


def _doubt(card: ScoreCard, name: str) -> str:
    """The word that stands in an interval's place where a figure is the submission's own, or does not rank."""
    if name in card.withheld:
        return WITHHELD
    if METRICS[name].certified:
        return UNCERTIFIED
    return UNVERIFIED if name in card.unverified else ""


def decimal_text(value: float, decimals: int) -> str:
    """A figure with so many decimals, as all tables and pages show it."""
    return f"{round(value, decimals) + 0.0:,.{decimals}f}"  # + 0.0, for there is a minus zero


def _estimate(name: str, one: Figure) -> str:
    """A mean and its interval, of which nobody is shown what no value can be."""
    metric = METRICS[name]
    low, high = (min(max(end, metric.smallest), metric.largest) for end in (one.low, one.high))
    shown = _interval(Figure.of(one.value, low, high), metric.decimals)
    return f"{decimal_text(one.value, metric.decimals)} {shown}"


def _interval(one: Figure, decimals: int) -> str:
    """The two ends; empty for a figure that is counted and not estimated."""
    exact = one.low == one.value == one.high
    return "" if exact else f"[{decimal_text(one.low, decimals)}, {decimal_text(one.high, decimals)}]"


def likeness_words(card: ScoreCard) -> dict[Likeness, str]:
    """What the two marks of a card say, in a sentence each."""
    n = f"{card.real_images:,}"
    return {
        Likeness.LIKE: f"equivalent to {n} real images: compared at equal numbers, the 95 % interval of the difference "
        "lies within the margin",
        Likeness.UNTOLD: f"at {n} that interval holds 0, and reaches beyond the margin",
    }


def trainings_words(card: ScoreCard) -> str:
    """What the intervals of a card are over, and what other trainings of its recipe came to."""
    if card.trainings is None:
        return (
            "Intervals are over images and noise, for this one training: another seed may differ by many times as much "
            "(arena train RECIPE --seeds 3 measures it)"
        )
    found = card.trainings
    found_by = ((name, one) for name, one in found.metrics.items() if name in OVER_TRAININGS)
    figures = [f"{METRICS[name].title} {_estimate(name, one)}" for name, one in found_by]
    return (
        f"Intervals are over images and noise, for this one training. Over {found.n} trainings (seeds "
        f"{', '.join(map(str, found.seeds))}), mean and t interval: {'; '.join(figures)}"
    )


def timing_words(card: ScoreCard) -> str:
    """What sampling took, in a sentence; empty where it was not timed."""
    timing = card.timing
    if timing is None:
        return ""
    one, threads = timing.ms_per_sample, f"{timing.threads} thread{'s' if timing.threads > 1 else ''}"
    doubt = f"; {UNVERIFIED}" if "time_per_sample" in card.unverified else ""
    return (
        f"{one.value:.4g} ms a sample ({one.low:.4g} to {one.high:.4g}) on {threads}, {timing.batch} at a time, median "
        f"of {timing.repeats}; {timing.ratio:.3g} times the reference model's {timing.reference_ms:.4g} ms{doubt}"
    )


def contest_cells(card: ScoreCard) -> dict[str, str]:
    """The seven columns of the 2025 contest as text, in its order; a dash for what the card does not have."""

    def text(column: str, value: float | None) -> str:
        if value is None:
            return "–"
        if value == math.inf:
            return "∞"
        digits = {"total_params": ",.0f", "time_per_sample": ".4g"}.get(column, ".5g")
        return f"{value:{digits}}{f' ({UNVERIFIED})' if column in card.unverified else ''}"

    return {column: text(column, value) for column, value in _contest(card).items()}


def contest_line(card: ScoreCard) -> str:
    """A CSV line as in the 2025 contest's leaderboard, without ranks: team, no time, latent, columns."""
    cells = ["" if value is None else f"{value:.16g}" for value in _contest(card).values()]
    team = " ".join(card.model.split())
    team = f"'{team}" if team.startswith(("=", "+", "-", "@")) else team  # or a spreadsheet would compute it
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="").writerow([team, "", "x".join(map(str, card.latent)), *cells])
    return buffer.getvalue()


def _contest(card: ScoreCard) -> dict[str, float | None]:
    """The seven columns in their order; None for what the card does not have."""
    seconds = None if card.timing is None else card.timing.ms_per_sample.value / 1000
    known = {column: math.inf if value is None else value for column, value in card.contest_2025.items()}
    return {column: seconds if column == "time_per_sample" else known.get(column) for column in COLUMNS}


def references(dataset: str) -> dict[str, dict[str, float]]:
    """Points of models that are well known, by model and category; empty where none were measured on this data."""
    known = {path.stem: path for path in REFERENCES.glob("*.json")}
    if dataset not in known:
        return {}
    return cast(dict[str, dict[str, float]], json.loads(known[dataset].read_text(encoding="utf-8")))


def _rankless(card: ScoreCard) -> str:
    return "" if card.computed_officially else ", which does not rank"


def _noise(card: ScoreCard) -> str:
    """What the judge's random numbers follow from."""
    if not card.noise:
        return "constant, of a version before contests had keys"
    if card.noise == PUBLIC:
        return f"{PUBLIC}: they follow from a key that everybody knows"
    return f"{card.noise}: they follow from a contest's key, which is published once it has closed"


def identity(card: ScoreCard) -> dict[str, str]:
    """What a result came from: model, judge, data, sampler and machine, with their hashes."""
    solver = f"{card.solver}, {card.steps} step{'s' if card.steps > 1 else ''}"
    return {
        "model": card.model,
        "dataset": card.dataset,
        "judge": card.judge,
        "samples": f"{card.samples:,}, an equal share from each seed",
        "seeds": ", ".join(map(str, card.seeds)),
        "random numbers": _noise(card),
        "sampler": solver + (f", guidance scale {card.guidance:g}" if card.guidance != 1 else ""),
        "latent": f"{'x'.join(map(str, card.latent))} in {card.precision}",
        "fingerprint": card.fingerprint,
        "bundle (SHA-256)": card.bundle,
        "judge (SHA-256)": card.judge_hash,
        "data (SHA-256)": card.data,
        "code (SHA-256)": card.source,
        "computed on": f"{card.device} in {card.arithmetic}{_rankless(card)}",
        "platform": card.platform,
    }
