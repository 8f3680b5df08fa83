"""Eligibility: what a contest asks of a bundle's form, data and latent, whoever has to know it."""

from __future__ import annotations

import sys
from typing import Literal

from pydantic import Field, model_validator

from latentarena.config import Config
from latentarena.precision import Precision

Form = Literal["native", "portable", "python-2025"]
Condition = Literal["form", "dataset", "latent"]


class LatentLimits(Config):
    """What may pass between encoder and decoder.

    Attributes:
        smallest, largest: how many numbers, ends included.
        precision: to which they are rounded; as the bundle's card says unless given, and never finer.
    """

    smallest: int = Field(default=3, ge=1)
    largest: int = Field(default=49, ge=1)
    precision: Precision | None = None

    @model_validator(mode="after")
    def _in_order(self) -> LatentLimits:
        if self.smallest > self.largest:
            raise ValueError(f"smallest = {self.smallest} is above largest = {self.largest}")
        return self


class Eligibility(Config):
    """A contest's conditions for a bundle; without a contest, whatever can be judged.

    Attributes:
        forms: accepted kinds of bundle; dataset: that it must be a model of, any unless given; latent: see there.
    """

    forms: tuple[Form, ...] = ("native", "portable")
    dataset: str | None = None
    latent: LatentLimits = LatentLimits(smallest=1, largest=sys.maxsize)

    def unmet(self, form: str, dataset: str, numbers: int) -> frozenset[Condition]:
        """The conditions that a bundle does not meet.

        Args:
            form, dataset: of the bundle, as its card says; numbers: of its latent.
        """
        met: dict[Condition, bool] = {
            "form": form in self.forms,
            "dataset": self.dataset in (None, dataset),
            "latent": self.latent.smallest <= numbers <= self.latent.largest,
        }
        return frozenset(name for name, holds in met.items() if not holds)
