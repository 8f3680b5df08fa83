"""Metrics of users' own: shown on a score card below those of the catalogue, never ranked and worth no points.

A file or package that is loaded registers them; see `latentarena.parts`. Where they are measured is `judge/measure.py`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, ClassVar

from pydantic import AfterValidator, BeforeValidator

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Better, Figure
from latentarena.card.score_card import MOST_OWN, OwnFigure
from latentarena.config import Config, validate
from latentarena.documents import parse_yaml
from latentarena.errors import ConfigError
from latentarena.parts import Kinds

NEEDS = ("samples", "prior", "labels", "reconstructions", "errors", "latents")  # materials of `judge/material.py`


class OwnMetric(Config):
    """A metric of your own: its settings are its fields, and its one method `of_...` measures it.

    The method takes a material of `latentarena.judge.material`, such as `of_samples(self, samples)`, and gives a
    `Figure`, or a statistic of `latentarena.judge.metrics`, such as `mean_of(numbers)`, whose interval is drawn.

    Attributes:
        title: with the unit, as people read it; what: the definition in a sentence.
        better: the direction; decimals: shown.
        smallest, largest: the range, to which intervals are cut.
    """

    kind: str
    title: ClassVar[str]
    what: ClassVar[str]
    better: ClassVar[Better] = Better.LIKE_REAL
    decimals: ClassVar[int] = 4
    smallest: ClassVar[float] = -math.inf
    largest: ClassVar[float] = math.inf

    @classmethod
    def __pydantic_init_subclass__(cls, **_: Any) -> None:
        """Raise a ConfigError where a metric of one's own lacks what a card shows of it."""
        name = cls.model_fields["kind"].default
        if name in METRICS:
            raise ConfigError(f"metric {name!r}: the catalogue has one of this name; choose another")
        missing = [what for what in ("title", "what") if not hasattr(cls, what)]
        if missing:
            raise ConfigError(f"metric {name!r} has no {' and no '.join(missing)}: set it in class {cls.__name__}")
        methods = [need for need in NEEDS if hasattr(cls, f"of_{need}")]
        if len(methods) != 1:
            choices = ", ".join(f"of_{need}" for need in NEEDS)
            raise ConfigError(f"metric {name!r} has {len(methods)} methods that measure; give it one of {choices}")

    @property
    def need(self) -> str:
        """The material that it is measured on."""
        return next(need for need in NEEDS if hasattr(self, f"of_{need}"))

    def on_card(self, found: Figure, real: Figure | None, equal: Figure | None) -> OwnFigure:
        """What it came to, as a card has it: of the model, of real images, and of as many samples as real images."""
        origin = OWN_METRICS.foreign[self.kind]
        return OwnFigure(
            **found.model_dump(),
            real=real,
            equal=equal,
            title=self.title,
            what=self.what,
            better=self.better,
            decimals=self.decimals,
            settings=self.model_dump(mode="json"),
            source=origin.name[:200],
            digest=origin.digest,
        )


OWN_METRICS: Kinds[OwnMetric] = Kinds("metric")


def _in_full(value: Any) -> Any:
    """A metric's name as its keys."""
    return {"kind": value} if isinstance(value, str) else value


def _told_apart(metrics: tuple[OwnMetric, ...]) -> tuple[OwnMetric, ...]:
    names = [one.kind for one in metrics]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"{twice} is named twice; a card has one figure of each")
    if len(names) > MOST_OWN:
        raise ValueError(f"{len(names)} metrics; a card has room for {MOST_OWN}")
    return metrics


OwnMetrics = Annotated[
    tuple[Annotated[OwnMetric, OWN_METRICS, BeforeValidator(_in_full)], ...], AfterValidator(_told_apart)
]
"""Metrics by name, or with their settings: `[ink, {kind: holes, least: 3}]`."""


class _Named(Config):
    """Metrics that were asked for."""

    metrics: OwnMetrics


def own_metrics(named: Iterable[str | Mapping[str, Any]], source: str) -> tuple[OwnMetric, ...]:
    """Metrics by name, or as a mapping of kind and settings, which may be a text such as `{kind: ink, threshold: 0.3}`.

    Args:
        source: what names them, for messages.

    Raises:
        ConfigError: one that is not loaded, or settings that it has not.
    """
    given = [parse_yaml(one) if isinstance(one, str) and one.lstrip().startswith("{") else one for one in named]
    return validate(_Named, {"metrics": given}, source).metrics


def own_metrics_of(figures: Mapping[str, OwnFigure]) -> Sequence[OwnMetric]:
    """The metrics of a card's own figures.

    Raises:
        ConfigError: one is not loaded here, or from another source.
    """
    for name, one in figures.items():
        origin = OWN_METRICS.foreign.get(name)
        if origin is None:
            raise ConfigError(f"the card has the own figure {name!r} of {one.source}; give that file with --plugin")
        if origin.digest != one.digest:
            raise ConfigError(
                f"the card's own figure {name!r} is of a {one.source} with the hash {one.digest[:12]}, not "
                f"{origin.digest[:12]}; give that version with --plugin"
            )
    return own_metrics([one.settings for one in figures.values()], "the card, own")
