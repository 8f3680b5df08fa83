"""A model whose pictures from inside are drawn, with what all of these pictures need."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field

import torch
from torch import Tensor

from latentarena.bundle import AnyBundle
from latentarena.config import validate
from latentarena.data import Dataset
from latentarena.documents import read_yaml
from latentarena.errors import CheckpointError, ConfigError
from latentarena.latents import Standardiser
from latentarena.model.latent_model import AnyModel, LatentModel, labels_for
from latentarena.pictures import plain
from latentarena.train.earlier import flows_before, is_student
from latentarena.train.recipe import Recipe
from latentarena.use.history import recipe_told_by
from latentarena.use.sampling import chosen_labels
from latentarena.use.views import Plane

DOTS = 2000  # test images whose latents are looked at
SCALES = (0.0, 1.0, 2.0, 4.0, 7.0)  # of guidance


@dataclass(frozen=True)
class ShownModel:
    """A model that is looked at, with what its pictures are made for.

    Attributes:
        latents: of test images, standardised, (N, *latent), and their labels int64 (N,).
        label: the class that is drawn, by number; None for all, and for unconditional models.
        scales: of guidance, where that is drawn.
        scale: from the autoencoder's own scale to that of `latents`.
        before: flows that reflow or distillation started from, by name; empty where their checkpoints are not there.
        student: whether the network is that of a model of one or a few steps, and no flow's.
    """

    bundle: AnyBundle
    data: Dataset
    latents: Tensor
    labels: Tensor
    label: int | None
    seed: int
    scale: Standardiser
    scales: tuple[float, ...] = SCALES
    before: dict[str, LatentModel] = field(default_factory=dict)
    student: bool = False

    @classmethod
    def of(
        cls, bundle: AnyBundle, data: Dataset, label: str | None, seed: int, scales: tuple[float, ...] = SCALES
    ) -> ShownModel:
        """The model with the latents of up to `DOTS` test images.

        Raises:
            ConfigError: a label for an unconditional model, or one that it does not know.
        """
        model = bundle.model
        chosen = None if label is None else chosen_labels(model, 1, label, "--label")
        some = torch.arange(0, len(data.test), max(1, len(data.test) // DOTS))[:DOTS]
        latents = model.encode(data.test.batch(some)).cpu()
        scale = Standardiser(tuple(latents.shape[1:]))
        if model.native is not None:
            scale.load_state_dict(model.native.scale.state_dict())
        else:
            scale.fit(latents)
        number = None if chosen is None else int(chosen[0])
        before, student = _history(bundle)
        of = scale(latents), data.test.labels[some].cpu()
        return cls(bundle, data, *of, number, seed, scale, scales, before, student)

    @property
    def model(self) -> AnyModel:
        """The model."""
        return self.bundle.model

    @property
    def native(self) -> LatentModel:
        """The model, whose sampler can be steered.

        Raises:
            ConfigError: it is no native bundle's.
        """
        if self.model.native is None:
            raise ConfigError(
                f"{self.bundle.card.name!r} is a {self.bundle.card.form} bundle, from noise to image at once: "
                "of its pictures there are latent and traverse; name the native bundle for the others"
            )
        return self.model.native

    def decoded(self, x: Tensor) -> Tensor:
        """The images (N, C, H, W) of standardised latents (N, *latent)."""
        return self.model.decode(self.scale.invert(x)).cpu()

    def plane(self) -> Plane:
        """The plane in which pictures are drawn.

        Raises:
            ConfigError: latents of one number have none.
        """
        if self.latents[0].numel() < 2:
            raise ConfigError(f"{self.bundle.card.name!r} has a latent of one number, which has no plane; try traverse")
        return Plane.of(self.latents)

    def space(self) -> Plane:
        """The plane, or of latents of three numbers all of their space, which can be drawn too."""
        return Plane.of(self.latents, 3) if self.latents[0].numel() == 3 else self.plane()

    def asked(self, n: int) -> Tensor | None:
        """Labels of n samples: the one asked for, else all classes in turn."""
        return labels_for(self.model, n) if self.label is None else torch.full((n,), self.label)

    @property
    def about(self) -> str:
        """Which model, and class, a picture is of."""
        named = "" if self.label is None else f", class {self.model.classes[self.label]}"
        return plain(f"{self.bundle.card.name}{named}")


def _history(bundle: AnyBundle) -> tuple[dict[str, LatentModel], bool]:
    """The flows before a native bundle's last stage, from the checkpoints of its run, and whether it is a student."""
    model, run, recipe = bundle.model.native, bundle.place.parent, recipe_told_by(bundle)
    if model is None or recipe is None:
        return {}, False
    training, before = recipe.training, {}
    with suppress(ConfigError, CheckpointError):  # a bundle that has left its run, or damaged checkpoints
        trained = validate(Recipe, read_yaml(run / "recipe.yaml"), str(run))
        if (trained.training, trained.seed) == (training, recipe.seed):
            before = flows_before(model, training, run / "checkpoints")
    return before, is_student(training)
