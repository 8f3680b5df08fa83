"""The judge's classifier: frozen by construction, named by its hash, self-tested when it loads.

A judge is one safetensors file. Its network is frozen before it is written, so there is no mode that could be left
on; the file also holds the calibration temperature, the train split's feature statistics and the logits that a
correct load gives on a fixed pattern.
"""

from __future__ import annotations

from copy import copy
from pathlib import Path
from typing import Any

import torch
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load
from torch import Tensor

from latentarena.config import Config
from latentarena.data import Dataset
from latentarena.errors import JudgeError
from latentarena.files import digest
from latentarena.judge.material import Seen
from latentarena.judge.metrics import confidence, entropy, expected_calibration_error, frechet_distance
from latentarena.judge.networks import Kind, feature_width, freeze, network, pattern

CHUNK = 125  # images at a time: what stays in a processor's cache
CLOSE = 1e-2  # logits, across platforms
DRIFT = 2e-3  # accuracy, calibration error and band, against the recorded ones


class JudgeFacts(Config):
    """What a judge file says of itself.

    Attributes:
        dataset, data: name and content hash of the data it was trained on (train split only).
        shape: channels, height and width it looks at.
        classes: names of its labels.
        kind, width, seed, epochs: how it was made.
        accuracy, calibration_error: on the full test split, fractions.
        confidence, entropy: their mean on the full test split: what real data scores.
    """

    dataset: str
    data: str
    shape: tuple[int, int, int]
    classes: tuple[str, ...]
    kind: Kind = "conv"
    width: int
    seed: int
    epochs: float
    accuracy: float
    calibration_error: float
    confidence: float
    entropy: float


def _refuse_malformed(facts: JudgeFacts, tensors: dict[str, Tensor]) -> None:
    d, k = feature_width(facts.kind, facts.width), len(facts.classes)
    shapes = {"temperature": (), "reference.mean": (d,), "reference.covariance": (d, d), "reference.frequencies": (k,)}
    for name, shape in shapes.items():
        tensor = tensors[name]
        if tuple(tensor.shape) != shape or not bool(tensor.isfinite().all()):
            raise JudgeError(f"judge tensor {name!r} of shape {tuple(tensor.shape)} is not {shape} finite numbers")
    if not tensors["temperature"] > 0:
        raise JudgeError(f"judge temperature is {float(tensors['temperature'])}; it must be positive")


class Judge:
    """A classifier that scores images and cannot be changed by them.

    Attributes:
        digest: SHA-256 of the file.
        facts: what it was trained on and what it measured then.
        reference: mean (D,) and covariance (D, D) of its features over the train split, float64.
        frequencies: class frequencies of the train split, (K,).
    """

    def __init__(self, digest: str, facts: JudgeFacts, tensors: dict[str, Tensor]) -> None:
        """Assemble from a file's content.

        Raises:
            JudgeError: weights of another network, a statistic of the wrong shape, or one that is not finite.
        """
        with torch.random.fork_rng(devices=[]):  # the weights that are drawn are nobody's
            self._network = freeze(network(facts.kind, facts.shape, len(facts.classes), facts.width))
        weights = {k.removeprefix("network."): v.float() for k, v in tensors.items() if k.startswith("network.")}
        try:
            self._network.load_state_dict(weights, assign=True)
        except RuntimeError:
            raise JudgeError(f"its weights are not those of kind {facts.kind!r} and width {facts.width}") from None
        self._network.requires_grad_(False)
        self._network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        _refuse_malformed(facts, tensors)
        self.digest, self.facts = digest, facts
        self.reference = tensors["reference.mean"], tensors["reference.covariance"]
        self.frequencies = tensors["reference.frequencies"]
        self._temperature = float(tensors["temperature"])
        self._verified: dict[str, Seen] = {}  # on the test split of which data

    @property
    def name(self) -> str:
        """Dataset and hash, such as `mnist-1a2b3c4d5e6f`."""
        return f"{self.facts.dataset}-{self.digest[:12]}"

    @classmethod
    def load(cls, path: Path) -> Judge:
        """Read a judge file and test it: the hash in its name, its structure, its logits on a fixed pattern.

        Raises:
            JudgeError: naming the file and what does not hold.
        """
        try:
            content = path.read_bytes()
            hashed = digest(content)
            if hashed[:12] != path.stem.split("-")[-1]:
                raise JudgeError("it does not have the hash that its name says; delete it and make it anew")
            with safe_open(path, "pt") as file:
                metadata: dict[str, Any] = file.metadata()
            tensors = load(content)
            judge = cls(hashed, JudgeFacts.model_validate_json(metadata["facts"]), tensors)
        except KeyError as error:
            raise JudgeError(f"judge {path} lacks {error}; delete it and make it anew") from None
        except (OSError, SafetensorError, TypeError, RuntimeError, ValidationError, JudgeError) as error:
            raise JudgeError(f"judge {path} cannot be read: {str(error).splitlines()[0]}") from None
        drift = float((judge.logits(pattern(judge.facts.shape)) - tensors["self_test.logits"]).abs().max())
        if not drift <= CLOSE:
            raise JudgeError(f"judge {path} fails its self-test: logits differ by {drift:.3g}, allowed {CLOSE}")
        return judge

    @torch.inference_mode()
    def _features(self, images: Tensor) -> Tensor:
        return torch.cat([self._network["body"](chunk) for chunk in torch.split(images.cpu(), CHUNK)])

    @torch.inference_mode()
    def logits(self, images: Tensor) -> Tensor:
        """Uncalibrated logits, (N, K)."""
        return self._network["head"](self._features(images))  # type: ignore[no-any-return]

    @torch.inference_mode()
    def look(self, images: Tensor) -> Seen:
        """Features and calibrated probabilities of float images (N, C, H, W) in [0, 1].

        Raises:
            JudgeError: images of a shape that this judge was not trained on.
        """
        if tuple(images.shape[1:]) != self.facts.shape:
            raise JudgeError(f"judge {self.name} looks at images {self.facts.shape}, not {tuple(images.shape[1:])}")
        features = self._features(images)
        return Seen(features, (self._network["head"](features) / self._temperature).softmax(1))

    def held_against(self, images: Tensor) -> Judge:
        """The same judge with the statistics of other real images (N, C, H, W) in place of the train split's."""
        other, seen = copy(self), self.look(images)
        other.reference = seen.statistics()
        other.frequencies = torch.bincount(seen.labels, minlength=len(self.frequencies)) / len(images)
        return other

    def distance(self, seen: Seen) -> float:
        """Frechet distance of what it sees in some images from what it saw in the train split."""
        return frechet_distance(*seen.statistics(), *self.reference)

    def verify(self, dataset: Dataset) -> Seen:
        """Look at the full test split and hold accuracy, calibration error and band against the recorded ones.

        Once for a loaded judge, which cannot change.

        Returns:
            What it sees in the test split, for use as the real data's score.

        Raises:
            JudgeError: other data than the judge's, or a figure that drifted.
        """
        if dataset.digest != self.facts.data:
            raise JudgeError(f"judge {self.name} was made for other data than {dataset.name}")
        if dataset.digest in self._verified:
            return self._verified[dataset.digest]
        seen = self.look(dataset.test.batch(slice(None)).cpu())
        for name, value in measure(seen, dataset.test.labels.cpu()).items():
            recorded = getattr(self.facts, name)
            if not abs(value - recorded) <= DRIFT:
                raise JudgeError(f"judge {self.name} fails its self-test: {name} is {value:.4f}, not {recorded:.4f}")
        self._verified[dataset.digest] = seen
        return seen


def measure(seen: Seen, labels: Tensor) -> dict[str, float]:
    """The figures of `Facts` that describe a judge's work on labelled real images."""
    return {
        "accuracy": float((seen.labels == labels).double().mean()),
        "calibration_error": expected_calibration_error(seen.probabilities, labels),
        "confidence": confidence(seen.probabilities),
        "entropy": entropy(seen.probabilities),
    }
