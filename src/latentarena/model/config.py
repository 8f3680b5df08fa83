"""How a model is configured: the generator's network and prediction, and how it is sampled."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from latentarena.backbone import BackboneConfig
from latentarena.backbone.classifier import ClassifierConfig
from latentarena.config import Config, validate
from latentarena.parts import one_of
from latentarena.process import CORRECTIONS, PATHS, TARGETS
from latentarena.sample import ALWAYS, GRIDS, SOLVERS, GuideConfig, Interval

MOST_STEPS = 10_000  # of a sampler


JUMP = "jump"  # instead of a solver: what a mean-velocity network does by itself


class GeneratorConfig(Config):
    """The network that generates latents and what it predicts.

    Attributes:
        backbone: the network.
        path: between data and noise.
        target: what is predicted.
        correction: `gaussian` where the network learns a correction to what unit Gaussian data would answer, and with
            zeros samples N(0, I); `none` where it predicts the target itself.
        conditional: whether it is told the class.
        average: it predicts the mean velocity between two times (MeanFlow) and can go from one to the other at once.
        classifier: of noisy latents, that guides an unconditional network to a class, or makes a conditional one surer.
        weaker: a lesser network of the same task, that the main one is guided away from (autoguidance).
    """

    backbone: BackboneConfig
    path: Annotated[str, one_of(PATHS)] = "straight"
    target: Annotated[str, one_of(TARGETS)] = "velocity"
    correction: Annotated[str, one_of(CORRECTIONS)] = "gaussian"
    conditional: bool = False
    average: bool = False
    classifier: ClassifierConfig | None = None
    weaker: BackboneConfig | None = None

    @model_validator(mode="after")
    def _possible(self) -> GeneratorConfig:
        if self.average and self.target != "velocity":
            raise ValueError(f"average = true predicts a mean velocity; target = {self.target} cannot be averaged")
        if self.average and (self.classifier is not None or self.weaker is not None):
            raise ValueError("average = true jumps without a denoiser that could be guided; leave out its guide")
        if self.classifier is not None and self.weaker is not None and not self.conditional:
            raise ValueError("an unconditional network has a classifier or a weaker one; choose one way of guidance")
        return self

    @property
    def classified(self) -> bool:
        """Whether its class comes from a classifier's gradient alone."""
        return self.classifier is not None and not self.conditional

    @property
    def guided(self) -> bool:
        """Whether `sampling.guidance` has something to scale."""
        return self.weaker is not None or self.classifier is not None or (self.conditional and not self.average)


class SamplingConfig(Config):
    """How samples are drawn unless the caller says otherwise.

    Attributes:
        solver, steps: the method and how many steps it takes from noise to data; `jump` for a mean-velocity network.
        grid: how the steps are spread over time.
        guidance: its scale. At 1 a class is drawn as often as the model believes in it; above, only what is typical
            of it.
        interval: times (from, to) at which guidance acts.
        guide: that wraps the network's estimates; what the generator is made for unless given.
        eta: share of fresh noise in each step: of `ddim`, which adds none unless told, and of `sde`, whose share is 1.
    """

    solver: Annotated[str, one_of(SOLVERS, JUMP)] = "heun"
    steps: int = Field(default=8, ge=1, le=MOST_STEPS)
    grid: Annotated[str, one_of(GRIDS)] = "uniform"
    guidance: float = Field(default=1.0, ge=0, le=100)
    interval: Interval = ALWAYS
    guide: GuideConfig | None = None
    eta: float | None = Field(default=None, ge=0, le=1)

    @model_validator(mode="after")
    def _has_eta(self) -> SamplingConfig:
        choices = [name for name, method in SOLVERS.items() if method.chosen]
        if self.eta is not None and self.solver not in choices:
            raise ValueError(
                f"eta = {self.eta:g}: {self.solver} has none; leave it out or choose from {', '.join(choices)}"
            )
        if self.guide is not None and self.solver == JUMP:
            raise ValueError(f"guide.kind = {self.guide.kind}: solver = {JUMP} asks no denoiser that could be guided")
        return self

    @property
    def stochastic(self) -> bool:
        """Whether steps add fresh noise."""
        return self.solver != JUMP and SOLVERS[self.solver].stochastic(self.eta)

    def but(
        self,
        solver: str | None = None,
        steps: int | None = None,
        guidance: float | None = None,
        grid: str | None = None,
        eta: float | None = None,
    ) -> SamplingConfig:
        """The same with what is given changed; another solver does not keep the `eta` of this one.

        Raises:
            ConfigError: naming key, value and choices.
        """
        changes = {"solver": solver, "steps": steps, "guidance": guidance, "grid": grid, "eta": eta}
        given = {key: value for key, value in changes.items() if value is not None}
        kept = self.model_dump(exclude={"eta"} if solver and solver != self.solver else None)
        return validate(SamplingConfig, kept | given, "sampling")
