"""Every recipe of the lab trained for a short while, for checks that must not take a poor model for a forged one.

    python benchmarks/honest.py DIR [--minutes M] [--images FOLDER] [RECIPE ...]

DIR gets a bundle by recipe, `DIR/RECIPE/bundle`; those that are there are kept. A recipe is scaled to about M minutes
by the time that it says it takes: the models are undertrained, blurred, collapsed, rough. FOLDER holds the RGB images
of `rgb-folder`, which is left out without it.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from lightning_fabric import Fabric

from latentarena.errors import ConfigError
from latentarena.run.judging import BUNDLE
from latentarena.run.pipeline import prepare, run
from latentarena.train.recipe import load_recipe
from latentarena.train.shelf import recipe_names

MINUTES = 0.4
UNKNOWN = 30.0  # minutes of a recipe that does not say
PAIRS = 8000  # of a flow's own noise and samples: drawing the recipes' 300,000 would take longer than all the rest


def train(name: str, folder: Path, minutes: float, images: Path | None) -> None:
    """Train a recipe for about so many minutes and save its bundle; nothing is judged.

    Raises:
        ConfigError: its data are not there: a model of the stand-in would go by another recipe's name.
    """
    recipe = load_recipe(name)
    changes = [f"data.name=folder:{images}"] if name == "rgb-folder" else []
    changes += [f"training.reflow.pairs={PAIRS}"] if recipe.training.reflow else []
    budget = min(1.0, minutes / recipe.expected.get("minutes", (UNKNOWN,))[0])
    prepared = prepare(name, changes, folder, resume=True, budget=budget)
    if prepared.notice:
        raise ConfigError(prepared.notice)
    run(prepared, Fabric(accelerator="cpu", devices=1), lambda ticks, stage: ticks, samples=None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="DIR")
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="all of the lab unless given")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="of training a recipe")
    parser.add_argument("--images", type=Path, metavar="FOLDER", help="folder or zip of RGB images")
    chosen = parser.parse_args()
    for name in chosen.recipes or recipe_names():
        folder, began = chosen.out / name, time.perf_counter()
        if (folder / BUNDLE / "card.json").exists() or (name == "rgb-folder" and chosen.images is None):
            continue
        train(name, folder, chosen.minutes, chosen.images)
        print(f"{name}: {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
