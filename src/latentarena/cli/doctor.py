"""The check-up behind `arena doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch

from latentarena.card.shipped import SHIPPED
from latentarena.data import CATALOG, DataConfig, load_dataset, where
from latentarena.errors import ArenaError
from latentarena.facts import machine, versions
from latentarena.files import cache_folder
from latentarena.judge.classifier import Judge
from latentarena.judge.training import OPINIONS
from latentarena.sandbox import standing

TIERS = {
    0: "portable models and Python are refused",
    1: "portable models; Python only where an administrator allows it",
    2: "portable models and Python",
}


@dataclass(frozen=True)
class Check:
    """One finding; `good` is false where something needs mending."""

    name: str
    text: str
    good: bool = True


def examine(root: Path | None, deep: bool = False) -> Iterator[Check]:
    """Look at versions, device, data and judges.

    Args:
        deep: also try to escape from a box, and hold the judges' figures against their data; this takes a minute.
    """
    yield Check("versions", ", ".join(f"{name} {version}" for name, version in versions().items()))
    yield Check("machine", f"{machine()}, {torch.get_num_threads()} threads")
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    yield Check("device", str(device or "cpu"))
    yield Check("cache", str(cache_folder()))
    yield from _sandbox() if deep else [Check("sandbox", "not tried here: arena doctor --deep tries to escape from it")]
    for name in CATALOG:
        folder = where(name, root)
        yield Check("data", f"{name}: {folder or 'not here; downloaded when a recipe first needs it'}")
    yield Check("data", "digits: embedded")
    for path in [*sorted(SHIPPED.glob("*.safetensors")), *sorted((SHIPPED / OPINIONS).glob("*.safetensors"))]:
        yield _judge(path, root, deep)


def _sandbox() -> Iterator[Check]:
    """The tier of this machine, why it is not higher, and what stopped each attempt to escape."""
    found = standing()
    yield Check("sandbox", f"tier {found.tier} ({TIERS[found.tier]}); why not higher: {found.reason}")
    if found.probes:
        contained = [f"{one.name} ({one.found})" for one in found.probes if one.contained]
        yield Check("sandbox", f"{len(contained)} of {len(found.probes)} escapes contained: {', '.join(contained)}")
    for one in found.probes:
        if not one.contained:
            yield Check("sandbox", f"NOT contained: {one.name}: {one.found}", good=False)


def _judge(path: Path, root: Path | None, deep: bool) -> Check:
    """Load a shipped judge; if `deep` and its data is found, hold its figures against the recorded ones."""
    try:
        judge = Judge.load(path)
        tested = "file and logits as recorded"
        if deep and where(judge.facts.dataset, root):
            judge.verify(load_dataset(DataConfig(name=judge.facts.dataset), root))
            tested += f"; accuracy {judge.facts.accuracy:.2%} and calibration on {judge.facts.dataset} as recorded"
    except ArenaError as error:
        return Check("judge", str(error), good=False)
    return Check("judge", f"{judge.name} ({judge.facts.kind}): {tested}")
