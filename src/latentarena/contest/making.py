"""The making of a board: entries are ranked, and all that there is to say of them is said. Needs no torch."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeGuard

from latentarena.card.figure import Better, Figure
from latentarena.card.words import UNCERTIFIED, UNVERIFIED, WITHHELD, decimal_text
from latentarena.contest.board import Board, Cell, Column, Group, Line, Prize
from latentarena.contest.commitment import Commitment
from latentarena.contest.contest import Award, Contest
from latentarena.contest.entries import counting, mean_points, refusal
from latentarena.contest.entry import Entry
from latentarena.contest.ranking import ROUNDS, Placed, Stability, dependences, rank, stability

SAID = 8  # sentences on irrelevant alternatives
NAMED = 20  # teams in a sentence


def make_board(
    entries: Iterable[Entry], contest: Contest, rounds: int = ROUNDS, commitment: Commitment | None = None
) -> Board:
    """Rank the entries that count and say all there is to say.

    Args:
        entries: of all teams, in any order.
        contest: the rules.
        rounds: draws for the stability of places.
        commitment: to the contest's key; None where it has none.
    """
    entries = _on_the_same_images(sorted(entries, key=lambda entry: (entry.team, entry.id)))
    count = counting(entries, contest)
    refused = {entry.id: refusal(entry, contest) for entry in entries}
    for entry in entries:
        if count[entry.team] != entry.id and not refused[entry.id]:
            refused[entry.id] = f"another entry of this team counts ({contest.counts})"
    ranked = {entry.team: entry for entry in entries if not refused[entry.id]}
    groups, reported = _groups(contest), sum(not entry.verified for entry in ranked.values())
    standing = _Standing.of([one for one in ranked.values() if one.verified], contest, rounds)
    claims = _Standing.of([one for one in ranked.values() if not one.verified], contest, rounds)
    first = standing if standing.placed else claims  # who may win awards
    prizes = tuple(_prize(award, ranked, first.placed) for award in contest.awards)
    lines = [
        _line(ranked[one.name], one, part.sure.get(one.name), prizes, groups, contest, before=before)
        for part, before in ((standing, 0), (claims, len(standing.placed)))
        for one in part.placed
    ]
    others = [
        _line(entry, None, None, (), groups, contest, refused[entry.id]) for entry in entries if refused[entry.id]
    ]
    return Board(
        contest=contest.name,
        title=contest.title,
        about=contest.about,
        dataset=contest.dataset,
        score_set=contest.score_set,
        ties=contest.ties,
        total=contest.total,
        groups=groups,
        lines=tuple(lines),
        others=tuple(others),
        prizes=prizes,
        notes=(
            *_notes(lines, contest, bool(first.sure), 0 < reported < len(lines)),
            *_noise(lines, commitment),
            *_copies(ranked.values()),
        ),
        hanging=tuple(_hanging([ranked[one.name] for one in first.placed], contest)),
        commitment=commitment,
    )


def _on_the_same_images(entries: Sequence[Entry]) -> list[Entry]:
    """The entries; those whose figures are of other images than most are refused, for these cannot be compared.

    So it is where models of one folder of images name other sizes or crops. What is verified says what most are.
    """
    fit = [one for one in entries if one.images and not one.refused]
    counted = Counter(one.images for one in [one for one in fit if one.verified] or fit)
    usual = max(counted, key=lambda images: (counted[images], images), default="")
    why = f"judged on other images, {{}}, than the others here, {usual[:12]}; judge it with the size and crop of these"
    return [
        one if one.refused or one.images in ("", usual) else replace(one, refused=why.format(one.images[:12]))
        for one in entries
    ]


@dataclass(frozen=True)
class _Standing:
    """Entries that are ranked among themselves: where each stands, and how sure that is."""

    placed: tuple[Placed, ...]
    sure: dict[str, Stability]

    @classmethod
    def of(cls, rows: list[Entry], contest: Contest, rounds: int) -> _Standing:
        """Rank entries by team."""
        return cls(rank(rows, contest), stability(rows, contest, rounds))


def _prize(award: Award, ranked: Mapping[str, Entry], placed: Sequence[Placed]) -> Prize:
    """The award's winners: all that share the best value of its field."""
    values = {}
    for one in placed:
        ranks = {f"{name}_rank": place for name, place in one.categories.items()} | {"place": one.place}
        facts = {**ranked[one.name].facts, **ranks}
        value = facts.get(award.field)
        if all(rule.holds(facts) for rule in award.where) and _is_number(value):
            values[one.name] = value
    best = min(values.values(), key=award.better.cost, default=None)
    return Prize(name=award.name, about=award.about, winners=tuple(name for name in values if values[name] == best))


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def _groups(contest: Contest) -> tuple[Group, ...]:
    def column(metric: str, better: Better) -> Column:
        known = contest.catalogue[metric]
        return Column(metric=metric, title=known.title, better=better, decimals=known.decimals, what=known.what)

    return tuple(
        Group(
            name=category.name,
            title=category.label,
            weight=category.weight,
            columns=tuple(column(one.metric, contest.better(one)) for one in category.metrics),
        )
        for category in contest.categories
    )


def _line(
    entry: Entry,
    placed: Placed | None,
    sure: Stability | None,
    prizes: Sequence[Prize],
    groups: Sequence[Group],
    contest: Contest,
    refused: str = "",
    before: int = 0,
) -> Line:
    """A line of the board; `before` others stand before all that this one was ranked with."""
    points = {name: round(value, 3) for name, value in entry.points.items()}
    mean = mean_points(entry.points, contest)
    columns = [column for group in groups for column in group.columns]
    ranks = placed.columns if placed else {}
    return Line(
        id=entry.id,
        name=entry.name,
        team=entry.team,
        place=before + placed.place if placed else None,
        total=placed.total if placed else None,
        categories=placed.categories if placed else {},
        cells={one.metric: _cell(entry, one, ranks.get(one.metric)) for one in columns},
        points=points if mean is None else points | {"all": round(mean, 3)},
        first=None if sure is None else 0.0 if before else sure.first,
        low=before + sure.low if sure else None,
        high=before + sure.high if sure else None,
        awards=tuple(prize.name for prize in prizes if entry.team in prize.winners),
        reason=placed.reason if placed else "",
        level=placed.level if placed else (),
        verified=entry.verified,
        trained=entry.trained,
        notice=str(entry.facts.get("notice") or ""),
        noise=str(entry.facts.get("noise") or ""),
        refused=refused,
    )


def _cell(entry: Entry, column: Column, place: int | None) -> Cell:
    figure, unverified = entry.figures.get(column.metric), column.metric in entry.unverified
    uncertified = column.metric in entry.uncertified
    if figure is None or math.isnan(figure.value):
        word, place = (UNCERTIFIED, None) if uncertified else ("", place)
        return Cell(figure=None, text="–", interval=word, rank=place, uncertified=uncertified)
    low, value, high = (_finite(end) for end in (figure.low, figure.value, figure.high))
    exact = low is None or high is None or low == high
    withheld = column.metric in entry.withheld
    between = "" if exact else f"{_text(low or 0.0, column.decimals)} to {_text(high or 0.0, column.decimals)}"
    return Cell.model_construct(  # not validated, as everything else here is: a board has tens of thousands of them
        figure=None if value is None else Figure.of(value, low, high),
        text=_text(figure.value, column.decimals),
        interval=WITHHELD if withheld else UNCERTIFIED if uncertified else UNVERIFIED if unverified else between,
        rank=None if withheld or uncertified else place,
        unverified=unverified,
        uncertified=uncertified,
        withheld=withheld,
    )


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


@lru_cache(maxsize=1 << 17)  # most figures of a board are those of the one before
def _text(value: float, decimals: int) -> str:
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return decimal_text(value, decimals)


def _notes(lines: Sequence[Line], contest: Contest, sure: bool, mixed: bool) -> Iterable[str]:
    if contest.ties == "statistical":
        yield (
            "A rank counts only the entries that are better beyond the error bars: intervals of 95 % that overlap do "
            "not beat each other."
        )
    else:
        yield "Equal values share the best of their ranks; error bars are not looked at."
    if lines and not sure:
        yield "There are no error bars here, so nobody can say how sure these places are."
    if any(not line.verified for line in lines):
        yield "Entries marked self-reported were scored by their teams; the figures have not been recomputed yet."
    if mixed:
        yield (
            "Self-reported entries are ranked among themselves, behind all that are verified: they change no rank of "
            "those, and win no award."
        )
    if any(cell.uncertified for line in lines for cell in line.cells.values()):
        yield (
            f"Figures of training marked {UNCERTIFIED} rank nowhere, and no award rests on them, until the recipe has "
            "been trained anew: such an entry stands in that category as one without a figure, level with all others "
            "without."
        )


def _noise(lines: Sequence[Line], commitment: Commitment | None) -> Iterable[str]:
    """Whose random numbers the entries were judged by."""
    if commitment is None:
        return
    words = f"The judge's random numbers follow from a secret key of this contest, whose SHA-256 is {commitment.sha256}"
    if commitment.key:
        yield f"{words}; the contest has closed, so here it is: {commitment.key}. Any score can be recomputed with it."
    else:
        yield f"{words}; the key is published once the contest has closed."
    others = [line.team for line in lines if line.verified and line.noise != commitment.noise]
    if others:
        yield f"Judged by other random numbers than this contest's, and to be judged again: {_names(others)}."


def _hanging(rows: Sequence[Entry], contest: Contest) -> Iterable[str]:
    found = dependences(rows, contest)
    yield from (one.words for one in found[:SAID])
    if len(found) > SAID:
        yield f"There are {len(found) - SAID:,} more such cases among the first 50 places."


def _copies(entries: Iterable[Entry]) -> Iterable[str]:
    """Teams that handed in one and the same model."""
    teams: dict[str, list[str]] = {}
    for entry in entries:
        teams.setdefault(entry.model, []).append(entry.team)
    for model, names in teams.items():
        if model and len(names) > 1:
            yield f"{_names(names)} handed in the same model: bundle {model[:12]}."


def _names(teams: Sequence[str]) -> str:
    """The first of many, and how many more."""
    more = f" and {len(teams) - NAMED:,} more" if len(teams) > NAMED else ""
    return f"{', '.join(teams[:NAMED])}{more}"
