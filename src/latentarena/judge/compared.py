"""Images compared with real ones in the features of an extractor: the figures of a score card that need no classes."""

from __future__ import annotations

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.card.score_card import Score, scored
from latentarena.data import Dataset, Images
from latentarena.files import cache_folder, digest_json, keep_cached
from latentarena.judge.extractors import Extractor
from latentarena.judge.known import REFERENCE, real_index
from latentarena.judge.material import Seen
from latentarena.judge.metrics import draws, estimate, frechet_of, kernel_distance_of, memberships, radii, vendi_of
from latentarena.judge.metrics.estimate import Measures
from latentarena.judge.subject import checked
from latentarena.randomness import stream

KEPT = 8  # files in the cache


def compare_images(
    images: Tensor, data: Dataset, extractor: Extractor, against: Tensor | None = None
) -> dict[str, Score]:
    """Distances from real images, and how varied images are, in the features of an extractor.

    Args:
        images: that are judged, (N, C, H, W) in [0, 1].
        data: real images; 10,000 of the train split are the reference, and the test split says what real ones score.
        against: images that stand in the train split's place, if any.

    Raises:
        ModelError: the images are not finite, of another shape than the data's, or outside [0, 1].
    """
    n = len(images)
    images = checked(images, (n, *data.shape), "images")
    reference = _reference(extractor, data) if against is None else extractor.look(against)
    index = real_index(data, n)
    real, seen = _kept(extractor, data, "test", data.test, index), extractor.look(images)
    found = _figures(seen, reference)
    equal = {}
    if len(index) < n:
        few = torch.randperm(n, generator=stream("equal"))[: len(index)]
        equal = _figures(seen[few], reference)
    return scored(found, _figures(real, reference), equal)


def _figures(features: Tensor, reference: Tensor) -> dict[str, Figure]:
    """Every figure of features (N, D), beside those of real images (M, D)."""
    counts = draws(len(features))
    once = torch.ones(len(reference), 0)
    balls = memberships(features, reference, radii(reference))
    found: Measures = {
        "frechet": frechet_of(features, *Seen(reference, once).statistics()),
        "kernel_distance": kernel_distance_of(features, reference),
        "precision": balls.precision,
        "density": balls.density,
        "recall": balls.recall,
        "coverage": balls.covered(),
        "vendi": vendi_of(features),
    }
    return {
        name: one if isinstance(one, Figure) else estimate(one, counts, METRICS[name].smallest, METRICS[name].largest)
        for name, one in found.items()
    }


def _reference(extractor: Extractor, data: Dataset) -> Tensor:
    """Features of the images that stand for the train split."""
    chosen = torch.randperm(len(data.train), generator=stream("reference"))[:REFERENCE]
    return _kept(extractor, data, "train", data.train, chosen)


def _kept(extractor: Extractor, data: Dataset, split: str, images: Images, index: Tensor) -> Tensor:
    """Features of real images, which are kept: they take an extractor longer than all else."""
    key = digest_json([extractor.digest, extractor.side, data.digest, split, len(index)])
    path = cache_folder() / "features" / f"{key[:32]}.safetensors"
    try:
        return load_file(path)["features"]
    except (OSError, SafetensorError, KeyError):
        pass  # not there, or damaged: computed anew
    features = extractor.look(images.batch(index))
    keep_cached(path, save({"features": features.contiguous()}), KEPT, "features of real images are")
    return features
