"""The certificate of training: what a bundle's recipe came to when it was trained anew. Plain data, without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.config import Config, validate
from latentarena.documents import read_json
from latentarena.key import PUBLIC

QUALITY = 1.0
"""The Frechet distance that training is measured to unless a contest names another one."""
AGREE = 3  # trainings from which on their spread widens the intervals of a board: of two, nobody can tell
LARGEST = 1 << 18  # bytes of a certificate

Hash = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Line = Annotated[str, Field(max_length=300)]


class ProbedLoss(Config):
    """The Frechet distance of a model in training, after so many multiply-adds."""

    macs: float = Field(ge=0)
    frechet: float = Field(ge=0)


class RepeatedTraining(Config):
    """One training of the recipe.

    Attributes:
        seed: of the recipe.
        weights: SHA-256 of what it came to.
        probes: the quality on the way, in order.
        figures: of the finished model, by metric.
        losses: the final loss of each stage.
    """

    seed: int = Field(ge=0, lt=2**63)
    weights: Hash
    probes: tuple[ProbedLoss, ...] = Field(min_length=1, max_length=1000)
    figures: dict[str, float]
    losses: dict[str, float]

    @model_validator(mode="after")
    def _known(self) -> RepeatedTraining:
        _refuse_unknown(self.figures)
        return self


class Certificate(Config):
    """What came of training a bundle's recipe anew.

    Attributes:
        format: version of this schema.
        name, bundle: of the bundle; its name and hash.
        recipe: SHA-256 of its recipe, seed apart.
        dataset, data: name and content hash of what it was trained on.
        judge: SHA-256 of the judge's file.
        key: name of the key of the judge's random numbers, and of the seeds of the trainings.
        drawn: that key, where it was drawn for this certificate; with it anybody can make the certificate anew.
        samples: images generated for each figure that needs them.
        quality: the Frechet distance to which training is measured.
        trainings: the recipe with its own seed first, then with those that follow from the key.
        declared: what the judge finds of the bundle itself, by the same measure as `trainings`.
        figures: of training, by metric: mean over the trainings, with its interval. `quality_macs` is absent where a
            training never reaches the quality.
        spread: half-widths by metric of the interval that holds what another seed gives, at 95 %.
        verdict: whether the bundle agrees with its recipe; undecided where the trainings differ too widely to tell.
        reasons: why it does not, or what its card declares otherwise.
        source, version: of the code that trained; machine: where.
    """

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=80)
    bundle: Hash
    recipe: Hash
    dataset: str = Field(max_length=80)
    data: Hash
    judge: Hash
    key: str = Field(default=PUBLIC, max_length=40)
    drawn: Hash | None = None
    samples: int = Field(ge=1, le=1_000_000)
    quality: float = Field(gt=0)
    trainings: tuple[RepeatedTraining, ...] = Field(min_length=2, max_length=100)
    declared: dict[str, float]
    figures: dict[str, Figure]
    spread: dict[str, Annotated[float, Field(ge=0)]] = Field(default={})
    verdict: Literal["agrees", "disagrees", "undecided"]
    reasons: tuple[Line, ...] = Field(default=(), max_length=20)
    source: Hash
    version: str = Field(max_length=40)
    machine: str = Field(max_length=200)

    @property
    def agrees(self) -> bool:
        """Whether the bundle is what its recipe makes; only then do figures of its training count."""
        return self.verdict == "agrees"

    @model_validator(mode="after")
    def _known(self) -> Certificate:
        _refuse_unknown(self.figures)
        _refuse_unknown(self.declared)
        if not set(self.spread) <= set(METRICS):
            raise ValueError("spread: a metric is unknown")
        return self


def _refuse_unknown(figures: dict[str, float] | dict[str, Figure]) -> None:
    for name, one in figures.items():
        if name not in METRICS:
            raise ValueError(f"metric {name!r} is unknown")
        metric, value = METRICS[name], one.value if isinstance(one, Figure) else one
        if not metric.smallest <= value <= metric.largest:
            raise ValueError(f"{name} = {value:g} is outside {metric.smallest:g} to {metric.largest:g}")


def read_certificate(path: Path) -> Certificate:
    """Read a certificate.

    Raises:
        ConfigError: one line that names the file and what is wrong with it.
    """
    raw = read_json(path, LARGEST, "certificate", "arena retrain BUNDLE writes one")
    return validate(Certificate, raw, str(path))
