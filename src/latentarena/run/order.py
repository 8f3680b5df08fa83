"""The request for a certificate, and the folder that its trainings are kept in."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from latentarena.bundle import NativeBundle
from latentarena.card.certificate import QUALITY
from latentarena.data import Dataset
from latentarena.documents import parse_json
from latentarena.errors import ConfigError
from latentarena.facts import source_digest
from latentarena.files import is_partial, write_json
from latentarena.judge.classifier import Judge
from latentarena.judge.randomness import Randomness
from latentarena.key import Key
from latentarena.parts import foreign_in
from latentarena.train.shelter import LOCK

ORDER = "order.json"
MOST = 1e15  # multiply-adds of one training


@dataclass(frozen=True)
class Order:
    """The request for a certificate: a bundle, its data, the judge, how many seeds.

    Attributes:
        bundle: whose recipe is trained anew; data: what it was trained on.
        judge: finds the quality.
        seeds: trainings: with the recipe's own seed, and with others that follow from the key.
        quality: the Frechet distance to which training is measured.
        most: multiply-adds that one training may take.
        key: of the judge's random numbers and of the seeds; a contest has one of its own. Without one, it is drawn:
            who makes a bundle must not know it.
    """

    bundle: NativeBundle
    data: Dataset
    judge: Judge
    seeds: int = 3
    quality: float = QUALITY
    most: float = MOST
    key: Key | None = None

    @property
    def randomness(self) -> Randomness:
        """The random numbers of the trainings and of the looks at them."""
        assert self.key is not None
        return Randomness(self.key, self.bundle.digest)

    def identity(self) -> dict[str, Any]:
        """The facts that a begun folder must share with this request; the number of seeds may grow."""
        return {
            "bundle": self.bundle.digest,
            "data": self.data.digest,
            "judge": self.judge.digest,
            "key": self.key.name if self.key else None,
            "quality": self.quality,
            "source": source_digest(),
        } | {part.words: part.digest for part in foreign_in(self.bundle.card.architecture)}


def claimed(folder: Path, order: Order) -> tuple[Order, str | None]:
    """The order with its key, and that key as text if it was drawn. The folder notes what it is for.

    Raises:
        ConfigError: the folder was begun for something else.
    """
    path = folder / ORDER
    if path.exists():
        found = parse_json(path.read_bytes())
    elif any(one.name != LOCK and not is_partial(one.name) for one in folder.iterdir()):
        raise ConfigError(f"{folder} holds something else; choose an empty folder with --out")
    else:
        drawn = Key.new() if order.key is None else None  # a contest's key is written nowhere
        begun = order if drawn is None else replace(order, key=drawn)
        found = begun.identity() | {"drawn": drawn.text if drawn else None}
        write_json(path, found)
    if order.key is None and found.get("drawn"):
        order = replace(order, key=Key.parse(found["drawn"]))
    differing = [name for name, value in order.identity().items() if found.get(name) != value]
    if differing:
        raise ConfigError(f"{folder} was begun for another {' and '.join(differing)}; choose another --out")
    return order, found.get("drawn")
