"""Training of a classifier of data on a path."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from latentarena.backbone.classifier import Classifier
from latentarena.data import Images
from latentarena.latents import draw
from latentarena.process import Path, Straight, Times, drawn_times
from latentarena.randomness import Draws
from latentarena.train.augment import Augmentation, augment
from latentarena.train.loop import Objective


def _start(draws: Draws, n: int) -> Tensor:
    """The time of clean data, n times."""
    return torch.zeros(n, device=draws.generator.device)


class ClassifierObjective(Objective):
    """Cross-entropy on data at random times of a path (Dhariwal & Nichol, 2021), or on clean data alone."""

    def __init__(
        self,
        classifier: Classifier,
        path: Path,
        times: Times,
        means: Tensor,
        spread: Tensor,
        labels: Tensor,
        varied: Augmentation | None = None,
    ) -> None:
        """Keep what to learn from.

        Args:
            classifier: is trained.
            path, times: where on it, and how times are drawn.
            means, spread: of the data: (N, *shape), and (N or 1, *shape).
            labels: int64 (N,).
            varied: how images are, where the data are images.
        """
        super().__init__()
        self.classifier, self.path, self.times = classifier, path, times
        self.means, self.spread, self.labels, self.size = means, spread, labels, len(means)
        self.varied = varied

    @classmethod
    def of_images(
        cls, classifier: Classifier, images: Images, varied: Augmentation | None = None
    ) -> ClassifierObjective:
        """Cross-entropy on clean images, which are held as float32 meanwhile."""
        means = images.batch(slice(None))
        return cls(classifier, Straight(), _start, means, torch.zeros_like(means[:1]), images.labels, varied)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        labels, data = self.labels[index], draw(self.means, self.spread, index, draws)
        if self.varied is not None:
            data = augment(data, draws, self.varied)
        t = drawn_times(self.times, self.path, draws, len(data))
        logits = self.classifier(self.path.at(t, data).mix(data, draws.normal(*data.shape)), t)
        return {"loss": cross_entropy(logits, labels), "accuracy": (logits.argmax(1) == labels).float().mean()}
