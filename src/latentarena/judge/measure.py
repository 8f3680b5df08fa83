"""The one loop over the metrics: each is measured where there is what it needs.

A module of `judge/metrics` has a function for each material that it measures, such as `of_samples` or `of_latents`,
which gives figures by metric, or statistics whose intervals are drawn here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from types import ModuleType

from latentarena.card.catalogue import METRICS
from latentarena.card.figure import Figure
from latentarena.card.own import OWN_METRICS, OwnMetric
from latentarena.errors import JudgeError
from latentarena.judge import metrics
from latentarena.judge.material import Material
from latentarena.judge.metrics import Statistic, estimate
from latentarena.parts import fault_words
from latentarena.progress import counted


def measured(materials: Mapping[str, Material | None]) -> dict[str, Figure]:
    """Every metric that can be measured on these materials, with its interval cut to its range.

    Args:
        materials: by name: `samples`, `prior`, `labels`, `reconstructions`, `errors`, `latents`; None for what the
            model does not have.
    """
    there = {need: material for need, material in materials.items() if material is not None}
    return {name: one for need, material in there.items() for name, one in _measured(need, material).items()}


def _measured(need: str, material: Material) -> dict[str, Figure]:
    found: dict[str, Figure | Statistic] = {}
    for module in _modules():
        if hasattr(module, f"of_{need}"):
            found |= getattr(module, f"of_{need}")(material)
    return {name: _figure(name, one, material) for name, one in counted(list(found.items()), "intervals")}


def _figure(name: str, one: Figure | Statistic, material: Material) -> Figure:
    if isinstance(one, Figure):
        return one
    return estimate(one, material.counts, METRICS[name].smallest, METRICS[name].largest)


def measured_own(metrics: Iterable[OwnMetric], materials: Mapping[str, Material | None]) -> dict[str, Figure]:
    """Metrics of somebody's own by name, of those that can be measured on these materials.

    Raises:
        JudgeError: one fails, or comes to no finite number; the message names its file and line.
    """
    return {one.kind: _own(one, found) for one in metrics if (found := materials.get(one.need)) is not None}


def _own(metric: OwnMetric, material: Material) -> Figure:
    origin = OWN_METRICS.foreign[metric.kind]
    try:
        one = getattr(metric, f"of_{metric.need}")(material)
        return one if isinstance(one, Figure) else estimate(one, material.counts, metric.smallest, metric.largest)
    except Exception as error:
        words = fault_words(error, origin.place)
        raise JudgeError(f"metric {metric.kind!r} of {origin.name} cannot be measured: {words}") from error


@cache
def _modules() -> tuple[ModuleType, ...]:
    """All that lie in the folder of metrics: a file there needs no line elsewhere in this room."""
    return tuple(import_module(f"{metrics.__name__}.{one.name}") for one in iter_modules(metrics.__path__))
