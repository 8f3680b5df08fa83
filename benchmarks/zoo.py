"""Make the zoo, the trained models that ship with the package, of finished runs.

    python benchmarks/zoo.py RUNS [--only NAME ...]

RUNS holds a folder by recipe, as `arena train RECIPE --out RUNS/RECIPE` makes it. A run goes into the zoo where it was
trained for all the epochs of its recipe: its weights are stored in float16, the bundle is judged by the official judge
on the full test split, and its files are written with their hashes into src/latentarena/zoo/models. Models whose run is
missing or cut short stay as they are, and are named. Needs MNIST; a minute or more for each model.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from safetensors.torch import load, save

from latentarena.bundle import OWN, open_bundle
from latentarena.card.words import REFERENCES
from latentarena.errors import ArenaError, ConfigError
from latentarena.evaluate.scoring import data_of, judge_bundle, panel_for
from latentarena.files import digest, make_folder, write_atomically, write_json, write_text
from latentarena.train.recipe import load_recipe
from latentarena.zoo import BUNDLE, INDEX, MODELS, SCORE

CARD, WEIGHTS = "card.json", "weights.safetensors"
LARGEST = 10_000_000  # bytes of all
REFERENCE = "quickstart"  # whose points stand beside those of any model of its dataset


@dataclass(frozen=True)
class Wanted:
    """A model that the zoo should have: name, recipe, and the model in a line."""

    name: str
    recipe: str
    about: str


WANTED = (
    Wanted("quickstart", "quickstart", "VAE of 28 numbers and latent flow matching: the model of the quickstart"),
    Wanted("champion", "champion", "the best under 100,000 numbers: told the class, guided by a weaker flow"),
    Wanted("quality", "quality", "samples as far from train images as real ones are; 36 latents, told the class"),
    Wanted("featherweight", "featherweight", "under 30,000 numbers, reconstructions better than the winner's of 2025"),
    Wanted(
        "one-step", "one-step", "one evaluation of a small network, told the class, and a decoder that costs little"
    ),
    Wanted("digitdreamer", "digitdreamer-small", "deep-compression autoencoder, class-conditional DiT, guidance 2"),
    Wanted("latent-diffusion", "ldm-spatial", "latent diffusion: spatial VAE, U-Net that predicts the noise, DDIM"),
    Wanted("pixel", "rf-pixel", "rectified flow on pixels, no latents: a U-Net that is told the class, guidance 1.3"),
    Wanted("digits", "quickstart-digits", "under 100,000 numbers, on the digits of scikit-learn: another judge"),
    Wanted("small", "fm-small", "the quickstart in less than 100,000 numbers"),
    Wanted("class-conditional", "conditional", "the class asked for in 995 of 1,000 samples, under 150,000 numbers"),
)


def whole(folder: Path, recipe: str) -> None:
    """Raise a ConfigError unless a run's bundle was trained by the shipped recipe, for all its epochs."""
    try:
        made = json.loads((folder / BUNDLE / CARD).read_bytes())["provenance"]["recipe"]
    except FileNotFoundError:
        raise ConfigError(f"there is no run in {folder}; arena train {recipe} --out {folder}") from None
    shipped = load_recipe(recipe).model_dump(mode="json")["training"]
    for stage, config in shipped.items():
        if config is not None and made["training"].get(stage, {})["epochs"] != config["epochs"]:
            epochs = f"{made['training'][stage]['epochs']:.3g} of {config['epochs']:g} epochs of {stage}"
            raise ConfigError(f"{folder}: {epochs}; only what was trained to its end goes into the zoo")


def halved(run: Path, bundle: Path) -> None:
    """Write a run's bundle with its weights in float16."""
    weights = save({name: tensor.half() for name, tensor in load((run / BUNDLE / WEIGHTS).read_bytes()).items()})
    card = json.loads((run / BUNDLE / CARD).read_bytes()) | {"weights": digest(weights)}
    write_atomically(make_folder(bundle) / WEIGHTS, weights)
    write_text(bundle / CARD, json.dumps(card) + "\n")


def put(wanted: Wanted, run: Path) -> None:
    """Write bundle and score card of a run into the zoo, and its entry into the index."""
    whole(run, wanted.recipe)
    home = MODELS / wanted.name
    with TemporaryDirectory() as made:
        halved(run, Path(made) / BUNDLE)
        bundle = open_bundle(Path(made) / BUNDLE, trust=OWN)
        card = judge_bundle(bundle, panel_for(data_of(bundle, None))).card
        write_text(Path(made) / SCORE, json.dumps(card.model_dump(mode="json")) + "\n")
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(made, home)
    files = sorted(path for path in home.rglob("*") if path.is_file())
    entry = {"about": wanted.about, "recipe": wanted.recipe, "command": f"arena train {wanted.recipe}"}
    entry |= {"files": {path.relative_to(home).as_posix(): digest(path.read_bytes()) for path in files}}
    index = MODELS / INDEX
    there = json.loads(index.read_bytes())["models"] if index.exists() else {}
    there[wanted.name] = entry
    write_json(index, {"models": {one.name: there[one.name] for one in WANTED if one.name in there}})
    if wanted.name == REFERENCE:
        write_json(REFERENCES / f"{card.dataset}.json", {REFERENCE: card.points})
    print(f"{wanted.name}: Frechet distance {card.scores['frechet'].value:.3g}", flush=True)


def main() -> int:
    """Make what can be made; the exit status is the number of models that could not."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, metavar="RUNS")
    parser.add_argument("--only", nargs="+", metavar="NAME", choices=[one.name for one in WANTED])
    chosen = parser.parse_args()
    missing = 0
    for wanted in WANTED:
        if chosen.only is None or wanted.name in chosen.only:
            try:
                put(wanted, chosen.runs / wanted.recipe)
            except ArenaError as error:
                print(f"{wanted.name}: {error}", file=sys.stderr)
                missing += 1
    size = sum(path.stat().st_size for path in MODELS.rglob("*") if path.is_file())
    print(f"{size:,} bytes in all, of at most {LARGEST:,}")
    return missing + (size > LARGEST)


if __name__ == "__main__":
    sys.exit(main())
