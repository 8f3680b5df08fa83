"""Entries of a contest: a score card in the contest's terms, whether it may be ranked, and which of a team's counts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.certificate import AGREE, QUALITY, Certificate
from latentarena.card.figure import Figure
from latentarena.card.finding import gravest
from latentarena.card.score_card import ScoreCard
from latentarena.card.shipped import official
from latentarena.contest.contest import DECLARED, Contest
from latentarena.contest.entry import Entry
from latentarena.contest.ranking import rank
from latentarena.precision import coarser

RECIPE = "bundle.provenance.recipe."  # known to be true once it was trained anew
EARLY = datetime.min.replace(tzinfo=UTC)


def entry_of(
    card: ScoreCard,
    contest: Contest,
    entry_id: str,
    team: str,
    name: str = "",
    *,
    bundle: Mapping[str, Any] | None = None,
    form: str = "native",
    received: datetime | None = None,
    chosen: bool = False,
    verified: bool = False,
    certificate: Certificate | None = None,
    pictures: Iterable[str] = (),
    public: bool = False,
) -> Entry:
    """What a score card says, in the contest's terms.

    Args:
        card: of the entry.
        contest: says which figures count.
        entry_id, team, name: see `Entry`; the name is the card's unless given.
        bundle: the bundle's own card as plain data, for rules on `bundle.KEY`.
        form: of the bundle; received, chosen, verified, pictures, public: see `Entry`.
        certificate: of its training, made by the contest; it counts where it is of this bundle, agrees, and measures
            to the contest's quality.
    """
    certificate = certificate if verified and certificate is not None and _counts(certificate, card, contest) else None
    figures = _figures(card, contest, certificate)
    uncertified = () if certificate is not None else _of_training(contest)
    hidden = {*uncertified, *card.withheld}
    points = card.points_with({} if certificate is None else certificate.figures)
    facts: dict[str, Any] = {
        "latent_numbers": math.prod(card.latent),
        "samples": card.samples,
        "steps": card.steps,
        "guidance": card.guidance,
        "solver": card.solver,
        "dataset": card.dataset,
        "notice": card.notice,
        "noise": card.noise,
        "form": form,
        "verified": verified,
        "certified": certificate is not None,
        "points": mean_points(points, contest),
        **{f"points.{category}": value for category, value in points.items()},
        **dict(_known_of(bundle or {}, certificate is not None)),
        **{metric: figure.value for metric, figure in figures.items() if metric not in hidden},
    }
    return Entry(
        id=entry_id,
        name=name or card.model,
        team=team,
        figures=figures,
        facts=facts,
        points=points,
        received=received,
        chosen=chosen,
        verified=verified,
        refused=_unfit(card, contest, form, verified),
        uncertified=uncertified,
        trained=0 if certificate is None else len(certificate.trainings),
        card=card,
        pictures=frozenset(pictures),
        public=public,
    )


def _counts(certificate: Certificate, card: ScoreCard, contest: Contest) -> bool:
    quality = QUALITY if contest.certify is None else contest.certify.quality
    return certificate.agrees and certificate.bundle == card.bundle and certificate.quality == quality


def _of_training(contest: Contest) -> tuple[str, ...]:
    """The figures that count only with a certificate: of training, or ranked in one category with one of these."""
    alone = {name for name, metric in METRICS.items() if metric.certified}
    ranked = [{measure.metric for measure in category.metrics} for category in contest.categories]
    found = alone.union(*(metrics for metrics in ranked if metrics & alone))
    return tuple(name for name in METRICS if name in found)


def counting(entries: Sequence[Entry], contest: Contest) -> dict[str, str]:
    """Which entry of each team stands on the board: its id by team.

    `latest` is the one received last; `chosen` the last one that the team chose, else the latest; `best` the first when
    the team's own entries are ranked among themselves, so that nobody else's entries can change it, and the latest of
    those that share that place. Entries that cannot be ranked count only where a team has no other, and so do
    self-reported ones.
    """
    teams: dict[str, list[Entry]] = {}
    for entry in entries:
        teams.setdefault(entry.team, []).append(entry)
    found = {}
    for team, own in teams.items():
        fit = [entry for entry in own if not refusal(entry, contest)] or own
        fit = [entry for entry in fit if entry.verified] or fit
        found[team] = max(_candidates(fit, contest), key=_moment).id
    return found


def _candidates(own: list[Entry], contest: Contest) -> list[Entry]:
    if contest.counts == "chosen":
        return [entry for entry in own if entry.chosen] or own
    if contest.counts == "best" and len(own) > 1:
        apart = [replace(entry, team=entry.id) for entry in own]
        best = {placed.name for placed in rank(apart, contest) if placed.place == 1}
        return [entry for entry in own if entry.id in best]
    return own


def _moment(entry: Entry) -> tuple[datetime, str]:
    return entry.received or EARLY, entry.id


def refusal(entry: Entry, contest: Contest) -> str:
    """Why an entry is not ranked; empty if it is."""
    if entry.refused:
        return entry.refused
    if not entry.verified and not contest.self_reported:
        return "self-reported: this contest ranks entries only once they are verified"
    for rule in contest.thresholds:
        if not rule.holds(entry.facts):
            found = entry.facts.get(rule.field)
            return f"below the threshold {rule.words}: it has {'none' if found is None else found}"
    return ""


def _figures(card: ScoreCard, contest: Contest, certificate: Certificate | None) -> dict[str, Figure]:
    """The card's figures, whose intervals hold other seeds too where some are known; those of training certified."""
    if contest.score_set == "arena-1":
        found: dict[str, Figure] = {**card.scores}
        found |= {name: found[name].wider(width) for name, width in _spread(card, certificate).items() if name in found}
        if certificate is None:
            return found
        kept = {name: one for name, one in found.items() if not METRICS[name].certified}
        return kept | certificate.figures
    known = {name: Figure.of(math.inf if value is None else value) for name, value in card.contest_2025.items()}
    if card.timing is not None:
        known["time_per_sample"] = Figure.of(card.timing.ms_per_sample.value / 1000)
    return known


def _spread(card: ScoreCard, certificate: Certificate | None) -> Mapping[str, float]:
    """Half-widths of the intervals over trainings by metric: those certified, else the card's own, of three or more."""
    if certificate is not None:
        return certificate.spread if len(certificate.trainings) >= AGREE else {}
    own = card.trainings
    return {} if own is None or own.n < AGREE else {name: one.high - one.value for name, one in own.metrics.items()}


def _unfit(card: ScoreCard, contest: Contest, form: str, verified: bool) -> str:
    """Why a card cannot stand on the contest's board; empty if it can."""
    numbers, limits = math.prod(card.latent), contest.latent
    unmet = contest.eligibility.unmet(form, card.dataset, numbers)
    if "form" in unmet:
        return f"a bundle of the form {form}; this contest takes {', '.join(contest.forms)}"
    if "dataset" in unmet:
        return f"judged on {card.dataset}, not on {contest.dataset}"
    if contest.judge != "official":
        if card.judge_hash != contest.judge:
            return f"judged by {card.judge}, not by this contest's judge {contest.judge[:12]}"
    elif not official(contest.dataset, card.judge_hash):
        return f"judged by {card.judge}, which is not the official judge of {contest.dataset}"
    if "latent" in unmet:
        return f"a latent of {numbers} numbers; this contest takes {limits.smallest} to {limits.largest}"
    if verified and coarser(card.precision, limits.precision) != card.precision:  # others are marked self-reported
        return f"judged with latents in {card.precision}, before this contest rounded them to {limits.precision}"
    if not card.computed_officially:
        return f"computed on {card.device} in {card.arithmetic}; official figures come from the CPU in 32-true"
    found = gravest(card.checks)
    return "" if found is None else f"{found.name}: {found.sentence}"


def _known_of(bundle: Mapping[str, Any], certified: bool) -> Iterable[tuple[str, Any]]:
    """Fields of the bundle's own card, but for those of its training that are nothing but its own word."""
    for name, value in _leaves(bundle, "bundle"):
        if not name.startswith(DECLARED) and (certified or not name.startswith(RECIPE)):
            yield name, value


def _leaves(value: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    for key, part in value.items():
        if isinstance(part, Mapping):
            yield from _leaves(part, f"{name}.{key}")
        elif isinstance(part, bool | int | float | str):
            yield f"{name}.{key}", part


def mean_points(points: Mapping[str, float], contest: Contest) -> float | None:
    """Weighted as the contest weighs its categories, where they have the card's names; a category without counts 0."""
    weights = {one.name: one.weight for one in contest.categories if one.name in CATEGORIES}
    weights = weights or dict.fromkeys(CATEGORIES, 1.0)
    if not points:
        return None
    return sum(weight * points.get(name, 0.0) for name, weight in weights.items()) / sum(weights.values())
