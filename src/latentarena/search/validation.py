"""What a trial is worth: it is trained on a part of the train split and scored on the rest, never on the test split."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from latentarena.card.shipped import SHIPPED
from latentarena.data import Dataset, Images
from latentarena.documents import parse_json
from latentarena.errors import TrainingError
from latentarena.evaluate.held_out import held_out_losses
from latentarena.files import digest_json, write_json
from latentarena.judge.classifier import Judge
from latentarena.judge.metrics import frechet_distance, squared_errors
from latentarena.judge.subject import judge_labels
from latentarena.judge.training import judge_for
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import stream
from latentarena.search.plan import Minimise
from latentarena.train.recipe import Recipe
from latentarena.train.shelter import Shelter
from latentarena.train.stages import Watch, train_model

if TYPE_CHECKING:
    from lightning_fabric import Fabric

SCORED = "score.json"


def with_validation(data: Dataset, share: float) -> Dataset:
    """The train split divided in two: `train` to learn from, and in place of the test split what trials are scored on.

    Args:
        share: of the train images, drawn at random and always the same ones, that are held out.
    """
    order = torch.randperm(len(data.train), generator=stream("validation split"))
    held = order[: max(2, round(share * len(order)))].sort().values
    learnt = order[len(held) :].sort().values
    train, rest = (Images(data.train.pixels[rows], data.train.labels[rows]) for rows in (learnt, held))
    return Dataset.of(f"{data.name}-validation", train, rest, data.classes)


@dataclass(frozen=True)
class Yardstick:
    """How trials are scored.

    Attributes:
        data: of `with_validation`.
        whole: digest of the dataset that it is a part of.
        samples: images that a Frechet distance is computed from.
    """

    data: Dataset
    whole: str
    figure: Minimise
    samples: int
    fabric: Fabric

    @cached_property
    def judge(self) -> Judge:
        """The network whose features are compared: the one that ships for the data, else one that never saw any of it
        but the part that trials learn from."""
        shipped = (Judge.load(path) for path in sorted(SHIPPED.glob("*.safetensors")))
        return next((one for one in shipped if one.facts.data == self.whole), None) or judge_for(self.data)

    def prepare(self) -> None:
        """Make the judge's network now, if one is needed: that is no part of a trial."""
        if self.figure == "frechet":
            _ = self.judge

    def score(self, model: LatentModel, recipe: Recipe) -> float:
        """The figure of a trained model; lower is better."""
        real = self.data.test.images
        if self.figure == "loss":
            found = held_out_losses(model, recipe.model_dump(mode="json"), self.data.test)
            return found["held_out_flow_loss"].value
        if self.figure == "mse":
            return float(squared_errors(model.decode(model.encode(real)), real).mean())
        share = torch.bincount(self.data.test.labels, minlength=len(model.classes)) / len(real)
        asked = judge_labels(share, self.samples, stream("search", "labels")) if model.conditional else None
        made = model.generate(model.noise(self.samples, 0, "search"), asked)
        if not bool(made.isfinite().all()):
            raise TrainingError("its samples are not finite")
        seen, known = (self.judge.look(images).statistics() for images in (made, real))
        return frechet_distance(*seen, *known)

    def trained(self, recipe: Recipe, folder: Path, watch: Watch) -> float:
        """Train a recipe and score it, going on with what the folder holds of that.

        Args:
            folder: gets a folder of its own for the recipe, which keeps the score alone once there is one.

        Raises:
            ArenaError: of a training that fails.
        """
        home = folder / digest_json(recipe.model_dump(mode="json"))[:16]
        if (home / SCORED).exists():
            return float(parse_json((home / SCORED).read_bytes())["score"])
        model = LatentModel(recipe.architecture(self.data.shape, self.data.classes), recipe.seed)
        train_model(recipe, model, self.data, self.fabric, Shelter(home), watch)
        value = self.score(model.cpu(), recipe)
        if math.isfinite(value):
            write_json(home / SCORED, {"score": value})
        for name in ("checkpoints", "logs"):
            shutil.rmtree(home / name, ignore_errors=True)
        return value
