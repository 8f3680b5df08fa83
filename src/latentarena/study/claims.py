"""Claims about the figures of a study's arms, such as `frechet[small] > frechet[base] > frechet[large]`."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.card.trainings import over_trainings
from latentarena.errors import ConfigError
from latentarena.study.sequential import side
from latentarena.text import meant, shown

NUMBER = r"[0-9]+(?:\.[0-9]+)?(?:e-?[0-9]+)?"
TERM = re.compile(rf"(?:(?P<factor>{NUMBER})\s*\*\s*)?(?P<figure>\w+)\[(?P<arm>[^\[\]]+)\]|(?P<number>{NUMBER})")
SIGN = re.compile(r"(<=|>=|<|>)")
HOW = "write FIGURE[ARM] < FIGURE[ARM], such as frechet[linear] < 0.9 * frechet[spatial]"

Figures = Mapping[str, Mapping[int, Mapping[str, float]]]
"""What was measured: arm, seed, name of the figure -> value."""


class Word(StrEnum):
    """What became of a claim."""

    HOLDS = "holds"
    FAILS = "fails"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Term:
    """A number, or a figure of an arm times a number."""

    factor: float
    figure: str = ""
    arm: str = ""

    def at(self, figures: Figures, seed: int) -> float | None:
        """The value in the trainings with this seed; None where it was not measured."""
        if not self.figure:
            return self.factor
        value = figures.get(self.arm, {}).get(seed, {}).get(self.figure)
        return None if value is None else self.factor * value

    def __str__(self) -> str:
        figure = f"{self.figure}[{self.arm}]" if self.figure else ""
        return figure if figure and self.factor == 1 else " * ".join(filter(None, [f"{self.factor:g}", figure]))


@dataclass(frozen=True)
class Compared:
    """One comparison of a claim: the first term is claimed to be the smaller one."""

    smaller: Term
    larger: Term

    def differences(self, figures: Figures) -> dict[int, float]:
        """Smaller minus larger by seed, where both were measured."""
        seeds = sorted({seed for arm in figures.values() for seed in arm})
        pairs = ((seed, self.smaller.at(figures, seed), self.larger.at(figures, seed)) for seed in seeds)
        return {seed: a - b for seed, a, b in pairs if a is not None and b is not None}


@dataclass(frozen=True)
class Claim:
    """A chain of comparisons that all must hold."""

    text: str
    links: tuple[Compared, ...]

    @classmethod
    def read(cls, text: str, arms: Sequence[str]) -> Claim:
        """Read it from words.

        Raises:
            ConfigError: it cannot be read, or names a figure or an arm that there is not.
        """
        parts = [part.strip() for part in SIGN.split(text)]
        if len(parts) < 3:
            raise ConfigError(f"claim {shown(text)} compares nothing; {HOW}")
        terms = [_term(part, text, arms) for part in parts[::2]]
        if not any(term.figure for term in terms):
            raise ConfigError(f"claim {shown(text)} names no figure of an arm; {HOW}")
        pairs = zip(terms, parts[1::2], terms[1:], strict=False)
        return cls(text, tuple(Compared(a, b) if "<" in sign else Compared(b, a) for a, sign, b in pairs))


@dataclass(frozen=True)
class Effect:
    """How large the difference of a link is.

    Attributes:
        difference: smaller minus larger, mean over the seeds with its 95 % t interval; None before two seeds.
        ratio: of the two means; None where the larger one's is zero, or nothing was measured.
    """

    link: Compared
    seeds: int
    difference: Figure | None
    ratio: float | None

    @property
    def words(self) -> str:
        """In one line."""
        if self.difference is None:
            return f"{self.link.smaller} - {self.link.larger}: {self.seeds} seeds, too few to say"
        times = f", ratio {self.ratio:.3g}" if self.ratio is not None else ""
        return f"{self.link.smaller} - {self.link.larger} = {self.difference:.3g}{times}, {self.seeds} seeds"


@dataclass(frozen=True)
class Verdict:
    """What became of a claim, and how large its effects are."""

    claim: Claim
    word: Word
    effects: tuple[Effect, ...]


def judge_claims(claims: Sequence[Claim], figures: Figures, error: float) -> list[Verdict]:
    """Decide every claim by the seeds there are.

    Args:
        error: chance that any claim of the study is ever decided wrongly; every comparison takes an equal part of it.
    """
    share = error / max(1, sum(len(claim.links) for claim in claims))
    return [_verdict(claim, figures, share) for claim in claims]


def _verdict(claim: Claim, figures: Figures, error: float) -> Verdict:
    effects, sides = [], []
    for link in claim.links:
        by_seed = link.differences(figures)
        values = list(by_seed.values())
        sides.append(side(values, error))
        difference = over_trainings(values) if len(values) > 1 else None
        effects.append(Effect(link, len(values), difference, _ratio(link, figures, by_seed)))
    if all(one < 0 for one in sides):
        word = Word.HOLDS
    else:
        word = Word.FAILS if any(one > 0 for one in sides) else Word.UNDECIDED
    return Verdict(claim, word, tuple(effects))


def _ratio(link: Compared, figures: Figures, seeds: Mapping[int, float]) -> float | None:
    if not seeds:
        return None
    smaller, larger = (
        statistics.fmean(value for seed in seeds if (value := term.at(figures, seed)) is not None)
        for term in (link.smaller, link.larger)
    )
    return smaller / larger if larger else None


def _term(part: str, text: str, arms: Sequence[str]) -> Term:
    found = TERM.fullmatch(part)
    if found is None:
        raise ConfigError(f"claim {shown(text)}: {shown(part)} cannot be read; {HOW}")
    if found["number"]:
        return Term(float(found["number"]))
    for what, name, known in (("figure", found["figure"], METRICS), ("arm", found["arm"], arms)):
        if name not in known:
            choices = f"{meant(name, known)}choose from {', '.join(known)}"
            raise ConfigError(f"claim {shown(text)}: {what} {shown(name)} is unknown; {choices}")
    return Term(float(found["factor"] or 1), found["figure"], found["arm"])


def named(claims: Sequence[Claim]) -> Iterator[str]:
    """The figures that the claims speak of, each once, in order."""
    yield from dict.fromkeys(
        term.figure for claim in claims for link in claim.links for term in (link.smaller, link.larger) if term.figure
    )
