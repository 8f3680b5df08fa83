"""How often certificates refuse honest bundles, and how much better a bundle may be than its recipe.

    python benchmarks/agreement.py [--draws N]

`agreement.json` beside this file holds figures of real trainings. On MNIST, of 10,000 samples: five seeds of three
sizes, two or three of three priors. On the digits, of 1,000 samples: three seeds each of the quickstart with fewer
epochs of its generator, and under `impostors` the same bundle of 250 epochs as if these recipes had made it. Every
training is held against others of its recipe. Then N bundles and their trainings are drawn from normal distributions
with the spread over seeds of each dataset, on the scales on which figures are compared, each figure by itself.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from latentarena.run.agreement import COMPARED, disagreements, undecided

FOUND = json.loads(Path(__file__).with_suffix(".json").read_text())
FIGURES: list[str] = FOUND["figures"]
HONEST: dict[str, dict[str, list[list[float]]]] = FOUND["honest"]
IMPOSTORS: dict[str, list[float]] = FOUND["impostors"]
DRAWS = 1000


def verdict(bundle: Sequence[float], trainings: Sequence[Sequence[float]]) -> str:
    """What a certificate would say of a bundle with these figures and other weights."""
    found: Any = [SimpleNamespace(weights=str(n), figures=_named(one)) for n, one in enumerate(trainings)]
    declared: Any = SimpleNamespace(scores={name: SimpleNamespace(value=one) for name, one in _named(bundle).items()})
    card: Any = SimpleNamespace(weights="the bundle's")
    if any(disagreements(card, declared, found)):
        return "disagrees"
    return "undecided" if any(undecided(card, declared, found)) else "agrees"


def _named(row: Sequence[float]) -> dict[str, float]:
    return dict(zip(FIGURES, row, strict=True))


def spreads(recipes: dict[str, list[list[float]]]) -> dict[str, float]:
    """Standard deviations over seeds, of each figure on its scale, pooled over recipes."""
    found = {}
    for place, name in enumerate(FIGURES):
        groups = [[COMPARED[name].scaled(row[place]) for row in rows] for rows in recipes.values()]
        freedom = sum(len(group) - 1 for group in groups)
        squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups)
        found[name] = math.sqrt(squares / freedom)
    return found


def drawn(recipes: dict[str, list[list[float]]], n: int, draws: int, gain: float, rng: random.Random) -> Iterator[str]:
    """Verdicts on bundles whose Frechet distance is `gain` times less than a training of the recipe would give."""
    wide = spreads(recipes)
    for _ in range(draws):
        rows = rng.choice(list(recipes.values()))
        middle = [statistics.fmean(COMPARED[name].scaled(row[k]) for row in rows) for k, name in enumerate(FIGURES)]
        some = [[m + rng.gauss(0, wide[name]) for m, name in zip(middle, FIGURES, strict=True)] for _ in range(n + 1)]
        some[0][FIGURES.index("frechet")] -= math.log(gain)
        bundle, *trainings = [
            [COMPARED[name].unscaled(one) for one, name in zip(row, FIGURES, strict=True)] for row in some
        ]
        yield verdict(bundle, trainings)


def recorded() -> None:
    """Print verdicts on the trainings that there are."""
    for dataset, recipes in HONEST.items():
        found = []
        for rows in recipes.values():
            n = min(3, len(rows) - 1)
            for some in itertools.combinations(range(len(rows)), n):
                found += [
                    verdict(row, [rows[k] for k in some]) for k, row in enumerate(rows) if k not in some and n > 1
                ]
        print(f"{dataset}: {found.count('agrees')} of {len(found)} trainings agree with others of their recipe")
    sizes = HONEST["mnist"]
    for one, other in itertools.permutations([name for name in sizes if name.startswith("fm-")], 2):
        found = [verdict(row, some) for some in itertools.combinations(sizes[other], 3) for row in sizes[one]]
        print(f"{one} for {other}: {found.count('agrees')} of {len(found)} agree")
    for recipe, bundle in IMPOSTORS.items():
        print(f"250 epochs for {recipe}: {verdict(bundle, HONEST['digits'][recipe])}")


def main() -> None:
    """Print verdicts on recorded trainings, then shares of drawn ones."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=DRAWS)
    draws = parser.parse_args().draws
    recorded()
    for dataset, recipes in HONEST.items():
        wide = ", ".join(f"{name} {one:.3f}" for name, one in spreads(recipes).items())
        print(f"{dataset}: standard deviations over seeds {wide}")
        for n, gain in itertools.product((2, 3, 5), (1.0, 1.25, 1.5, 2.0)):
            found = list(drawn(recipes, n, draws, gain, random.Random(0)))
            agree, disagree, unclear = (100 * found.count(one) / draws for one in ("agrees", "disagrees", "undecided"))
            words = f"agrees {agree:.1f} %, disagrees {disagree:.1f} %, undecided {unclear:.1f} %"
            print(f"{dataset}, {n} trainings, Frechet distance better by {gain:g}: {words}")


if __name__ == "__main__":
    main()
