"""Train what is not trained yet, measure every recipe, and write docs/results.md with its pictures.

    python benchmarks/results.py [RECIPE ...] [--runs DIR] [--docs DIR] [--images PATH] [--render] [--state]
                                 [--shorter SHARE ...]

Recipes can be measured one at a time and in any order: each one's figures go into results.json beside the page, and the
page is made of that file alone. With `--shorter 0.1 0.3` they are trained again for these shares of their epochs, to
see what more training is worth; what is measured already is not measured anew. Needs MNIST (`LATENTARENA_DATA` or the
cache). The exit status is the number of bars that were missed.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

from pydantic import TypeAdapter

from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle
from latentarena.config import validate
from latentarena.data import FOLDER
from latentarena.errors import ArenaError, ConfigError
from latentarena.evaluate.scoring import data_of
from latentarena.files import make_folder, write_atomically, write_json, write_text
from latentarena.judge.training import judge_for
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelf import recipe_names, recipe_source
from results_bars import Entries, bars, minutes
from results_measured import Entry, measure, with_shorter
from results_page import chart, page, strips

ROOT = Path(__file__).resolve().parents[1]
FIGURES = "results.json"
STATED = ("mse", "ssim", "class_kl", "frechet")
TOLERANCES = {  # at least, and as a share of the figure
    "mse": (0.0, 0.1),
    "ssim": (0.01, 0.0),
    "class_kl": (0.0015, 0.75),
    "frechet": (0.03, 0.5),
    "accuracy": (0.03, 0.0),
    "minutes": (0.0, 0.5),
}


def trained(name: str, folder: Path, images: Path | None, budget: float = 1.0) -> NativeBundle:
    """The recipe's bundle, trained by the command a user would run unless the folder holds it.

    Raises:
        ConfigError: the folder's run is of another recipe than ships now, or on stand-in data.
    """
    if not (folder / "bundle" / "card.json").exists():
        words = [name, *([f"data.name={FOLDER}{images}"] if images else []), "--out", folder, "--resume"]
        words += ["--budget", budget] if budget != 1 else []
        print("+ arena train", *words, flush=True)
        subprocess.run([sys.executable, "-m", "latentarena", "train", *map(str, words)], check=True)
    bundle = native_of(open_bundle(folder / "bundle", trust=OWN))
    made = bundle.card.provenance
    if made.notice:
        raise ConfigError(f"{folder}: {made.notice}")
    if essence(validate(Recipe, made.recipe, str(folder))) != essence(load_recipe(name).scaled(budget)):
        raise ConfigError(f"{folder} holds a run of another recipe than the {name} that ships; choose another --runs")
    return bundle


def essence(recipe: Recipe) -> object:
    """What decides about the weights, but for where a folder of images lies."""
    raw = recipe.model_dump(mode="json", exclude={"name", "about", "otherwise", "expected", "length"})
    if raw["data"]["name"].startswith(FOLDER):
        raw["data"]["name"] = FOLDER
    return raw


def read(path: Path) -> dict[str, Entry]:
    """The entries measured so far, by recipe."""
    return TypeAdapter(dict[str, Entry]).validate_json(path.read_bytes()) if path.exists() else {}


def merge(path: Path, entry: Entry) -> None:
    """Put an entry into the file, beside the others or in its own place."""
    entries = read(path) | {entry.name: entry}
    write_json(path, {name: entries[name].model_dump(mode="json") for name in sorted(entries)})


def tolerance(name: str, value: float) -> float:
    """How far another run, of other seed or machine, may be from a figure: chosen by experience, not measured."""
    least, share = TOLERANCES[name]
    return max(least, share * value)


def state(entry: Entry) -> None:
    """Write what was measured into the recipe that ships, as what to expect of it."""
    scores = {name: entry.card.scores[name].value for name in STATED if name in entry.card.scores}
    scores |= {"accuracy": entry.accuracy} if entry.accuracy is not None else {}
    scores["minutes"] = minutes(entry)
    said = ", ".join(f"{name}: [{value:.3g}, {tolerance(name, value):.2g}]" for name, value in scores.items())
    path = recipe_source(entry.name)
    lines = [line for line in path.read_text(encoding="utf-8").splitlines() if not line.startswith("expected:")]
    write_text(path, "\n".join([lines[0], f"expected: {{{said}}}", *lines[1:]]) + "\n")


def render(docs: Path, entries: Entries) -> None:
    """Write the page and its pictures."""
    gpu = docs / "gpu.json"
    write_text(docs / "results.md", page(entries, json.loads(gpu.read_bytes()) if gpu.exists() else None))
    write_atomically(docs / "results.png", chart(entries))
    write_atomically(docs / "recipes.png", strips(entries))


def main() -> int:
    """Measure what was asked for and render."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipes", nargs="*", metavar="RECIPE", help="those on MNIST and the digits unless given")
    parser.add_argument("--runs", type=Path, default=ROOT / "runs", help="where the runs are or will be, by recipe")
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    parser.add_argument("--images", type=Path, help="the folder or zip of images for a recipe that needs one")
    parser.add_argument("--render", action="store_true", help="measure nothing")
    parser.add_argument(
        "--shorter", type=float, nargs="+", default=[], metavar="SHARE", help="also after less training"
    )
    parser.add_argument("--state", action="store_true", help="also write the scores into the recipes that ship")
    options = parser.parse_args()
    figures = make_folder(options.docs) / FIGURES
    shipped = [name for name in recipe_names() if not load_recipe(name).data.name.startswith(FOLDER)]
    for name in () if options.render else options.recipes or shipped:
        folder, images = options.runs / name, options.images
        images = images if load_recipe(name).data.name.startswith(FOLDER) else None
        bundle = trained(name, folder, images)
        print("measuring", name, flush=True)
        data = data_of(bundle, images)
        known = read(figures).get(name) if options.shorter else None
        entry = known or measure(bundle, data, judge_for(data), folder)
        for budget in options.shorter:
            less = trained(name, options.runs / f"{name}-x{budget:g}", images, budget)
            entry = with_shorter(entry, budget, less, data, judge_for(data))
        merge(figures, entry)
        if options.state:
            state(entry)
        render(options.docs, read(figures))
    entries = read(figures)
    render(options.docs, entries)
    judged = list(bars(entries))
    for bar in judged:
        print(bar.recipe or "-", bar.what, bar.figure, bar.wanted, bar.reached, sep=" | ")
    return sum(bar.reached is False for bar in judged)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except ArenaError as error:
        sys.exit(f"error: {error}")
