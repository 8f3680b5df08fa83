"""Recomputing a score card: whoever has the bundle and the data can check every figure of a card."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latentarena.bundle import AnyBundle
from latentarena.card.own import own_metrics_of
from latentarena.card.score_card import ScoreCard
from latentarena.errors import JudgeError
from latentarena.evaluate.scoring import data_of, judge_bundle, panel_for
from latentarena.facts import source_digest
from latentarena.key import PRACTICE, Key
from latentarena.train.stages import Watch

RELATIVE, ABSOLUTE = 1e-3, 1e-6  # how far figures of another platform may lie apart

Leaf = str | float | None


@dataclass(frozen=True)
class Difference:
    """One entry of a card that was not found again: its name, such as `scores.mse.value`, and both values."""

    name: str
    card: Leaf
    recomputed: Leaf

    @property
    def within_rounding(self) -> bool:
        """Whether another platform may explain it: numbers nearly alike, advice alike but for its digits."""
        a, b = self.card, self.recomputed
        if isinstance(a, str) or isinstance(b, str):
            worded = self.name.startswith("advice.") and isinstance(a, str) and isinstance(b, str)
            return worded and _wordless(str(a)) == _wordless(str(b))
        return a is not None and b is not None and math.isclose(a, b, rel_tol=RELATIVE, abs_tol=ABSOLUTE)


def _wordless(text: str) -> str:
    return re.sub(r"[\d.,]+(e[-+]?\d+)?", "#", text)


def differences(card: ScoreCard, again: ScoreCard) -> list[Difference]:
    """Every entry that two cards do not share, timing, platform and sandbox left out."""
    apart = {"timing", "platform", "sandbox", "trainings"}
    left, right = (dict(_leaves(one.model_dump(mode="json", exclude=apart))) for one in (card, again))
    missing = "nothing"
    return [
        Difference(name, left.get(name, missing), right.get(name, missing))
        for name in [*left, *(name for name in right if name not in left)]
        if left.get(name, missing) != right.get(name, missing)
    ]


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Leaf]]:
    if isinstance(value, list):
        value = dict(enumerate(value))
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _leaves(part, f"{name}.{key}" if name else str(key))
    else:
        yield name, value


def recompute(
    card: ScoreCard,
    bundle: AnyBundle,
    root: Path | None = None,
    judge_file: Path | None = None,
    watch: Watch = lambda ticks, stage: ticks,
    key: Key = PRACTICE,
) -> ScoreCard:
    """A score card recomputed from the bundle and its data, untimed.

    Args:
        card: says how many samples, which judges, to what latents were rounded, and whether it has a waterfall.
        bundle: what it should have come from.
        root: where to look for data.
        judge_file: the judge; the data's own unless given.
        watch: shows the training of a judge, where there is none yet.
        key: of all that was random.

    Raises:
        ConfigError: the card has a figure of a metric that is not loaded here.
        JudgeError: one line where bundle, code, data or judges are not those of the card.
    """
    if not card.computed_officially:
        raise JudgeError(
            f"the card cannot be verified: it was computed on {card.device} in {card.arithmetic}; judge the bundle on "
            "the CPU, with arena judge BUNDLE"
        )
    _refuse("bundle", card.bundle, bundle.digest, "name the bundle that the card was made of")
    _refuse("code", card.source, source_digest(), f"install latentarena {card.version} as it was then")
    if card.noise != key.name:
        raise JudgeError(
            f"the card cannot be verified: its random numbers are {card.noise or 'of another code'}, not {key.name}; "
            "name the contest's key with --key, which is published once the contest has closed"
        )
    data = data_of(bundle, root)
    _refuse("data", card.data, data.digest, "name the data with --data")
    panel = panel_for(data, judge_file, watch)
    _refuse("judge", card.judge_hash, panel.judge.digest, "name the judge that the card names with --judge")
    known = {other.digest: other for other in panel.opinions}
    for opinion in card.opinions:
        if opinion.digest not in known:
            raise JudgeError(f"the card holds the opinion of judge {opinion.judge}, which is not at hand")
    panel = replace(panel, opinions=[known[opinion.digest] for opinion in card.opinions])
    own, waterfall = own_metrics_of(card.own), card.waterfall is not None
    return judge_bundle(bundle, panel, card.samples, card.seeds, False, card.precision, key, own, waterfall).card


def _refuse(what: str, card: str, here: str, way_out: str) -> None:
    if card != here:
        raise JudgeError(
            f"the card cannot be verified: its {what} has the hash {card[:12]}, not {here[:12]}; {way_out}"
        )
