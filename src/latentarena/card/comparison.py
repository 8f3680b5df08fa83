"""Score cards side by side: their figures in words, and which is better beyond the error bars. Imports no torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.score_card import ScoreCard
from latentarena.card.words import CardRow, row_of


@dataclass(frozen=True)
class FigureLine:
    """One metric of one or two cards side by side.

    Attributes:
        known: the metric in words, as a card that has it says them.
        cells: of each card; None where it lacks the metric.
        best: index of the card that is better beyond the error bars; None where neither is.
    """

    known: CardRow
    cells: tuple[CardRow | None, ...]
    best: int | None


def figure_lines(cards: Sequence[ScoreCard]) -> dict[str, list[FigureLine]]:
    """The figures of one or two cards by category, in the order of the catalogue."""
    lines: dict[str, list[FigureLine]] = {category: [] for category in CATEGORIES}
    for name, metric in METRICS.items():
        cells = tuple(row_of(card, name) if name in card.scores else None for card in cards)
        known = next((cell for cell in cells if cell is not None), None)
        if known is not None:
            best = _better(cards[0], cards[1], name) if len(cards) == 2 and None not in cells else None
            lines[metric.category].append(FigureLine(known, cells, best))
    return {category: found for category, found in lines.items() if found}


def _better(first: ScoreCard, second: ScoreCard, name: str) -> int | None:
    """0 or 1 for the card that is better beyond the error bars; None where neither is."""
    one, other, better = first.scores[name], second.scores[name], METRICS[name].better
    if one.better_than(other, better):
        return 0
    return 1 if other.better_than(one, better) else None


def verdict(cards: Sequence[ScoreCard], names: Sequence[str]) -> str:
    """Who is better in how many figures, in a sentence."""
    best = [line.best for lines in figure_lines(cards).values() for line in lines]
    first, second, even = best.count(0), best.count(1), best.count(None)
    return f"{names[0]} is better in {first} figures, {names[1]} in {second}; {even} cannot be told apart."
