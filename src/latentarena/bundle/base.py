"""What bundles of every form have in common: a card, a model, an identity."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Generic, Literal, Self, TypeVar

from pydantic import Field, model_validator

from latentarena.bounds import Count, Label, Plain, Real, Seconds, Side, Words
from latentarena.config import Config
from latentarena.latents import LatentStatistics
from latentarena.model.latent_model import AnyModel
from latentarena.precision import Precision
from latentarena.text import in_short, sides

if TYPE_CHECKING:
    from latentarena.data import DataSource
    from latentarena.model.config import SamplingConfig

STAGES = 20  # most that a training has


class Curve(Config):
    """The loss curve of a stage of training: what it had come to after so many steps and seconds; equally long."""

    steps: tuple[Count, ...]
    seconds: tuple[Seconds, ...]
    losses: tuple[Real, ...]

    @model_validator(mode="after")
    def _matched(self) -> Curve:
        if not 0 < len(self.steps) == len(self.seconds) == len(self.losses):
            raise ValueError("steps, seconds and losses are not equally many, or none")
        return self

    def converged(self) -> int:
        """The first point from which on the loss stays within 5 % of the last one."""
        last = self.losses[-1]
        away = [i for i, loss in enumerate(self.losses) if abs(loss - last) > 0.05 * abs(last)]
        return away[-1] + 1 if away else 0


class Provenance(Config):
    """A model's provenance: recipe, data, training; self-reported, not verified.

    Attributes:
        recipe: the recipe in full, as it was run.
        dataset, data: name and content hash of the training data.
        seconds: training time by stage.
        losses: final loss by stage.
        curves: loss curves by stage, of at most 200 points.
        latents: what the autoencoder makes of the train split.
        machine, versions: where it was trained and with what.
        notice: what a reader must know first, such as stand-in data.
    """

    recipe: Plain
    dataset: Label
    data: Label
    seconds: dict[Label, Seconds] = Field(max_length=STAGES)
    losses: dict[Label, Real] = Field(max_length=STAGES)
    curves: dict[Label, Curve] = Field(default={}, max_length=STAGES)
    latents: LatentStatistics
    machine: Label
    versions: dict[Label, Label]
    notice: Words = ""


class Sampler(Config):
    """The sampler of a portable bundle, in words; it is fixed in the graph.

    Attributes:
        solver, steps: the method, and how many steps it takes from noise to data.
        guidance: its scale; 1 is none.
    """

    solver: str = Field(default="graph", min_length=1, max_length=40)
    steps: int = Field(default=1, ge=1, le=10_000)
    guidance: float = Field(default=1.0, ge=0, le=100)


class Card(Config):
    """`card.json`: the metadata that bundles of every form declare.

    Attributes:
        format: version of this schema; form: kind of it; name: what to call the model.
        latent: shape of one latent; precision: to which the judge rounds its numbers before it has them decoded.
        output: declared range of the images.
        parameters: stored numbers by part; provenance: how it came to be, as far as it is known.
        shape: channels, height and width of the images; classes: names of the labels.
        sampling: how samples are drawn.
        data: what it was trained on.
    """

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=80)
    latent: tuple[Side, ...] = Field(min_length=1, max_length=3)
    precision: Precision = "float16"
    output: tuple[Literal[0], Literal[1]] = (0, 1)
    parameters: dict[str, Count]
    provenance: Provenance | None = None

    if TYPE_CHECKING:  # a field of one form, made of others in another

        @property
        def form(self) -> str: ...
        @property
        def shape(self) -> tuple[int, int, int]: ...
        @property
        def classes(self) -> tuple[str, ...]: ...
        @property
        def sampling(self) -> SamplingConfig | Sampler: ...
        @property
        def data(self) -> DataSource: ...

    def __repr__(self) -> str:
        stored = f"{sum(self.parameters.values()):,} stored numbers" if self.parameters else ""
        what = f"{self.form} bundle", f"images {sides(self.shape)}", f"latents {sides(self.latent)}", stored
        return in_short(type(self).__name__, self.name, *what)

    __str__ = __repr__

    @property
    def caveat(self) -> str:
        """A warning that readers must see first; empty if there is none."""
        return self.provenance.notice if self.provenance is not None else ""

    @property
    def unverified(self) -> tuple[str, ...]:
        """Figures of a score card that rest on self-reported provenance."""
        return ()


C = TypeVar("C", bound=Card, covariant=True)
M = TypeVar("M", bound=AnyModel, covariant=True)


@dataclass(frozen=True)
class Bundle(Generic[C, M]):
    """A loaded bundle; what runs its model, such as boxes, is closed with it.

    Attributes:
        card: what it says of itself.
        model: ready to be used.
        digest: its identity, SHA-256 of card and files.
        files: bytes of each file that holds weights.
        place: its folder or zip file, for messages.
        stack: closes what runs it.
    """

    card: C
    model: M
    digest: str
    files: dict[str, int]
    place: Path
    stack: ExitStack = field(default_factory=ExitStack, repr=False, compare=False)

    def __repr__(self) -> str:
        return f"<Bundle {self.digest[:12]} of {self.card}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the boxes that run it, if there are any."""
        self.stack.close()


AnyBundle = Bundle[Card, AnyModel]
