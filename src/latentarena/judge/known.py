"""What a judge knows of real images: the reference that samples are held against, and what real images score."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from latentarena.card.figure import Figure
from latentarena.data import Dataset, Images
from latentarena.facts import source_digest
from latentarena.files import cache_folder, digest_json, keep_cached
from latentarena.judge.classifier import Judge
from latentarena.judge.material import Errors, Known, Material, Prior, Samples, Seen
from latentarena.judge.measure import measured
from latentarena.judge.metrics import draws, edge_energies, nearest, radii, spreads
from latentarena.progress import within
from latentarena.randomness import stream

REFERENCE = 10_000  # train images that neighbourhoods are taken among
KEPT = 16  # files in the cache
COMPONENTS = 32
MOST_VALUES = 1 << 27  # pixels of images that components are fitted on: 1 GiB
DENSE = 2000  # a side of a matrix all of whose eigenvectors take seconds
CHUNK = 1000  # images at a time
PRIOR = ("confidence", "entropy", "frechet")  # that images decoded from the prior have too, and the same floors


def known_of(
    judge: Judge, data: Dataset, samples: int, against: Images | None = None
) -> tuple[Known, dict[str, Figure]]:
    """What the judge knows of real images, and its floors: what as many of them as samples score, by metric.

    The judge tests itself on the way.

    Where there are more test images than samples, a fixed random draw of them stands for real images; the others are
    then held out even from the floors (`real_index`). All but the self-test is cached by judge, data and judging code;
    nothing is where other images, `against`, stand in for the train split.

    Raises:
        JudgeError: the judge fails its self-test on this data.
    """
    test = judge.verify(data)
    if against is not None:
        return _look(judge.held_against(against.images), replace(data, train=against), test, samples)
    key = digest_json([judge.digest, data.digest, samples, REFERENCE, source_digest("judge")])
    path = cache_folder() / "judges" / "known" / f"{key[:32]}.safetensors"
    try:
        return _read(path, judge, test)
    except (OSError, SafetensorError, KeyError, ValueError):
        pass  # not there, or damaged: computed anew
    with within("real images, once for all models"):
        known, floors = _look(judge, data, test, samples)
    _keep(path, known, floors)
    return known, floors


def real_index(data: Dataset, samples: int) -> Tensor:
    """The test images that stand for `samples` real ones: all, or a fixed random draw; int64, ascending."""
    n = len(data.test)
    return torch.randperm(n, generator=stream("floor", samples))[:samples].sort().values


def real_materials(known: Known, data: Dataset, samples: int) -> dict[str, Material | None]:
    """The test images that stand for so many real ones, in the place of samples and of images from the prior."""
    index = real_index(data, samples)
    counts, images, seen = draws(len(index)), data.test.batch(index), known.test.rows(index)
    near = nearest(images, data.train.pixels)
    return {"samples": Samples(counts, images, seen, near, known), "prior": Prior(counts, seen, known)}


def _look(judge: Judge, data: Dataset, test: Seen, samples: int) -> tuple[Known, dict[str, Figure]]:
    order = torch.randperm(len(data.train), generator=stream("reference"))[:REFERENCE]
    seen = judge.look(data.train.batch(order))
    classes = len(judge.frequencies)
    once = torch.ones(1, len(order), dtype=torch.float64)
    index = real_index(data, samples)
    images = data.test.batch(index)
    near = nearest(images, data.train.pixels)
    known = Known(
        reference=judge.reference,
        frequencies=judge.frequencies,
        test=test,
        train=seen.features,
        radii=radii(seen.features),
        spreads=spreads(seen.features, seen.labels, classes, once)[0],
        edges=float(edge_energies(data.test.batch(slice(None))).mean()),
        apart=float(near.first.mean()),
    )
    as_samples = Samples(draws(len(index)), images, test.rows(index), near, known)
    floors = measured({"samples": as_samples, "errors": _linear_errors(data)})
    return known, floors | {f"prior_{name}": floors[name] for name in PRIOR}


def _linear_errors(data: Dataset) -> Errors:
    """Reconstruction errors of the train split's principal components: they tell how unlike the splits are.

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

    test, train = errors(data.test, torch.arange(len(data.test))), errors(data.train, chosen[1::2])
    return Errors(draws(len(test)), test, train, draws(len(train)))


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


def _read(path: Path, judge: Judge, test: Seen) -> tuple[Known, dict[str, Figure]]:
    tensors = load_file(path)
    with safe_open(path, "pt") as file:
        words = json.loads(file.metadata()["known"])
    floors = {name: Figure.model_validate(floor) for name, floor in words["floors"].items()}
    arrays = (tensors["train"], tensors["radii"], tensors["spreads"])
    return Known(judge.reference, judge.frequencies, test, *arrays, words["edges"], words["apart"]), floors


def _keep(path: Path, known: Known, floors: Mapping[str, Figure]) -> None:
    tensors = {name: getattr(known, name).contiguous() for name in ("train", "radii", "spreads")}
    kept = {name: floor.model_dump() for name, floor in floors.items()}
    words = json.dumps({"edges": known.edges, "apart": known.apart, "floors": kept})
    content = save(tensors, {"known": words})
    keep_cached(path, content, KEPT, "what the judge knows of real images is")
