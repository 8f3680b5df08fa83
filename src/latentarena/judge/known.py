"""What a judge knows of real images: the reference that samples are held against, and what real images score."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from latentarena.card.catalogue import METRICS
from latentarena.data import Dataset, Images
from latentarena.errors import OutputError
from latentarena.facts import source_digest
from latentarena.files import cache_folder, digest_json, make_folder, prune, write_atomically
from latentarena.judge.classifier import Judge, Verdict
from latentarena.judge.metrics import (
    Figure,
    Neighbours,
    Statistic,
    class_kl_of,
    classes_missing_of,
    confidences,
    draws,
    edge_energies,
    entropies,
    estimate,
    frechet_of,
    gap_to_band,
    independent_ratio,
    kernel_distance_of,
    mean_of,
    memberships,
    nearest,
    radii,
    spread_of,
    spreads,
    vendi_of,
    wilson,
)
from latentarena.progress import counted, within
from latentarena.randomness import stream

log = logging.getLogger(__name__)
REFERENCE = 10_000  # train images that neighbourhoods are taken among
KEPT = 16  # files in the cache
COMPONENTS = 32
MOST_VALUES = 1 << 27  # pixels of images that components are fitted on: 1 GiB
DENSE = 2000  # a side of a matrix all of whose eigenvectors take seconds
CHUNK = 1000  # images at a time
TINY = 1e-12  # beside which nothing is 0 / 0: images of one colour have no edges, copies no distance


def estimates(statistics: Mapping[str, Statistic], counts: Tensor) -> dict[str, Figure]:
    """The metrics of these names with their intervals, each cut to its range.

    Args:
        statistics: by metric.
        counts: of `draws`, (1 + B, N).
    """
    return {
        name: estimate(statistic, counts, METRICS[name].smallest, METRICS[name].largest)
        for name, statistic in counted(list(statistics.items()), "intervals")
    }


@dataclass(frozen=True)
class Known:
    """Real images in a judge's eyes.

    Attributes:
        judge: who looks.
        test: what it sees in the test split.
        train: features of `REFERENCE` train images, (M, D).
        radii: squared distance of each to its fifth neighbour, (M,).
        spreads: of the classes of these images, (K,).
        edges: mean edge energy of the test split.
        apart: mean distance of a test image to the nearest train image.
        floors: what as many real test images as there are samples score, by metric.
    """

    judge: Judge
    test: Verdict
    train: Tensor
    radii: Tensor
    spreads: Tensor
    edges: float
    apart: float
    floors: dict[str, Figure]


def measure_seen(seen: Verdict, judge: Judge, counts: Tensor, prefix: str = "") -> dict[str, Figure]:
    """Confidence, entropy and Frechet distance of what a judge saw, their names prefixed."""
    statistics = {
        "confidence": mean_of(confidences(seen.probabilities)),
        "entropy": mean_of(entropies(seen.probabilities)),
        "frechet": frechet_of(seen.features, *judge.reference),
    }
    return estimates({f"{prefix}{name}": statistic for name, statistic in statistics.items()}, counts)


def measure_images(images: Tensor, seen: Verdict, near: Neighbours, known: Known, counts: Tensor) -> dict[str, Figure]:
    """Every metric of a set of images that needs no originals.

    Args:
        images: float (N, C, H, W) in [0, 1].
        seen: what the judge sees in them.
        near: their nearest train images.
        known: what they are held against.
        counts: of `draws`, (1 + B, N).
    """
    features, probabilities, real = seen.features, seen.probabilities, known.test.probabilities
    frequencies, balls = known.judge.frequencies, memberships(features, known.train, known.radii)
    statistics = {
        "confidence_gap": gap_to_band(confidences(probabilities), confidences(real)),
        "entropy_gap": gap_to_band(entropies(probabilities), entropies(real)),
        "kernel_distance": kernel_distance_of(features, known.train),
        "precision": balls.precision,
        "density": balls.density,
        "sample_sharpness": mean_of((edge_energies(images) + TINY) / (known.edges + TINY)),
        "class_kl": class_kl_of(seen.labels, frequencies),
        "classes_missing": classes_missing_of(seen.labels, frequencies),
        "recall": balls.recall,
        "coverage": balls.coverage,
        "spread": spread_of(features, seen.labels, known.spreads),
        "vendi": vendi_of(features),
        "nearest_ratio": mean_of((near.first + TINY) / (known.apart + TINY)),
    }
    copies = {"copies": wilson(int(near.copies.sum()), len(images))}
    return measure_seen(seen, known.judge, counts) | estimates(statistics, counts) | copies


def known_of(judge: Judge, data: Dataset, samples: int) -> Known:
    """What the judge knows of real images, with floors for so many samples; the judge tests itself on the way.

    Where there are more test images than samples, a fixed random draw of them stands for real images; the others are
    then held out even from the floors (`real_index`). All but the self-test is cached by judge, data and judging code.

    Raises:
        JudgeError: the judge fails its self-test on this data.
    """
    test = judge.verify(data)
    key = digest_json([judge.digest, data.digest, samples, REFERENCE, source_digest("judge")])
    path = cache_folder() / "judges" / "known" / f"{key[:32]}.safetensors"
    try:
        return _read(path, judge, test)
    except (OSError, SafetensorError, KeyError, ValueError):
        pass  # not there, or damaged: computed anew
    with within("real images, once for all models"):
        known = _look(judge, data, test, samples)
    _keep(path, known)
    return known


def real_index(data: Dataset, samples: int) -> Tensor:
    """The test images that stand for `samples` real ones: all, or a fixed random draw; int64, ascending."""
    n = len(data.test)
    return torch.randperm(n, generator=stream("floor", samples))[:samples].sort().values


def _look(judge: Judge, data: Dataset, test: Verdict, samples: int) -> Known:
    order = torch.randperm(len(data.train), generator=stream("reference"))[:REFERENCE]
    seen = judge.look(data.train.batch(order))
    classes = len(judge.frequencies)
    once = torch.ones(1, len(order), dtype=torch.float64)
    index = real_index(data, samples)
    images = data.test.batch(index)
    near = nearest(images, data.train.pixels)
    base = Known(
        judge=judge,
        test=test,
        train=seen.features,
        radii=radii(seen.features),
        spreads=spreads(seen.features, seen.labels, classes, once)[0],
        edges=float(edge_energies(data.test.batch(slice(None))).mean()),
        apart=float(near.first.mean()),
        floors={},
    )
    chosen = test.rows(index)
    floors = measure_images(images, chosen, near, base, draws(len(index))) | {"reconstruction_gap": _linear_gap(data)}
    return replace(base, floors=floors)


def _linear_gap(data: Dataset) -> Figure:
    """Test over train reconstruction error of the train split's principal components: how unlike the splits are.

    A linear map of so few dimensions cannot learn single images by heart, whichever it is fitted on.
    """
    most = min(REFERENCE, MOST_VALUES // math.prod(data.shape))
    chosen = torch.randperm(len(data.train), generator=stream("linear"))[: 2 * most]
    learn = data.train.batch(chosen[::2]).flatten(1).double()  # (N, P)
    mean = learn.mean(0)
    directions = principal_directions(learn - mean, COMPONENTS)  # (P, k)

    def errors(split: Images, index: Tensor) -> Tensor:
        found = []
        for part in torch.split(index, CHUNK):
            centred = split.batch(part).flatten(1).double() - mean
            found.append((centred - centred @ directions @ directions.T).square().mean(1))
        return torch.cat(found)

    found, held_out = errors(data.test, torch.arange(len(data.test))), errors(data.train, chosen[1::2])
    return independent_ratio(found, held_out, draws(len(found)), draws(len(held_out)))


def principal_directions(centred: Tensor, k: int) -> Tensor:
    """The directions of largest variance, orthonormal columns (P, at most k); as many as there is variance along.

    Work is in the smaller of samples and pixels: the eigenvectors of N x N inner products give those of the P x P
    covariance. All are computed where that is quick, the largest k by Lanczos' method otherwise.

    Args:
        centred: float64 (N, P), of mean 0.
        k: how many.
    """
    few = min(centred.shape)
    by_sample = centred.shape[0] == few
    gram = centred @ centred.T if by_sample else centred.T @ centred
    if few <= DENSE:
        values, vectors = torch.linalg.eigh(gram)
    else:
        from scipy.sparse.linalg import eigsh

        pair = eigsh(gram.numpy(), k, v0=torch.ones(few, dtype=torch.float64).numpy())
        values, vectors = (torch.from_numpy(part.copy()) for part in pair)
    values, vectors = values[-k:], vectors[:, -k:]
    kept = values > few * torch.finfo(torch.float64).eps * gram.diagonal().sum()
    found: Tensor = vectors[:, kept]
    return centred.T @ found / values[kept].sqrt() if by_sample else found


def _read(path: Path, judge: Judge, test: Verdict) -> Known:
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        words = json.loads(file.metadata()["known"])
    floors = {name: Figure.model_validate(floor) for name, floor in words.pop("floors").items()}
    return Known(
        judge, test, tensors["train"], tensors["radii"], tensors["spreads"], words["edges"], words["apart"], floors
    )


def _keep(path: Path, known: Known) -> None:
    """Cache; where the cache cannot be written, go on without it."""
    tensors = {name: getattr(known, name).contiguous() for name in ("train", "radii", "spreads")}
    words = {"edges": known.edges, "apart": known.apart}
    floors = {name: floor.model_dump() for name, floor in known.floors.items()}
    try:
        make_folder(path.parent)
        write_atomically(path, save(tensors, {"known": json.dumps(words | {"floors": floors})}))
        prune(path.parent, KEPT)
    except OutputError as error:
        log.warning("what the judge knows of real images is not cached: %s", error)
