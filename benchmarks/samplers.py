"""A trained model's samplers side by side: quality and time at every number of steps, and pictures of the same noises.

    python benchmarks/samplers.py BUNDLE [--samples N] [--steps N ...] [--solvers NAME ...] [--docs DIR]

BUNDLE is a native bundle, such as that of ldm-spatial. By default ancestral DDPM and DDIM at 10, 20, 50, 100 and all
1,000 steps. Writes docs/samplers.md, its picture and its figures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor

from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle
from latentarena.evaluate.scoring import data_of
from latentarena.facts import machine, source_digest
from latentarena.files import make_folder, write_atomically, write_json, write_text
from latentarena.judge.training import judge_for
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import labels_for
from latentarena.pictures import grid, png
from results_measured import Sweep, sweep

ROOT = Path(__file__).resolve().parents[1]
SOLVERS, STEPS = ("ddpm", "ddim"), (10, 20, 50, 100, 1000)
SAMPLES, SHOWN = 2000, 10


def measured(bundle: NativeBundle, ways: dict[str, SamplingConfig], samples: int, steps: list[int]) -> dict[str, Sweep]:
    """By solver."""
    data, model = data_of(bundle, None), bundle.model
    judge = judge_for(data)
    real = judge.look(data.test.batch(slice(None)))
    found = {}
    for name, way in ways.items():
        print("measuring", name, flush=True)
        found[name] = sweep(model, judge, real, samples, way.but(steps=steps[0]), steps)
    return found


def pictured(bundle: NativeBundle, ways: dict[str, SamplingConfig], steps: list[int]) -> Tensor:
    """A row for each solver and number of steps, of the same noises."""
    model = bundle.model
    noise = model.noise(SHOWN, 0)
    labels = labels_for(model, SHOWN)
    rows = [model.generate(noise, labels, way.but(steps=count)) for way in ways.values() for count in steps]
    return torch.cat(rows)


def page(name: str, found: dict[str, Sweep], steps: list[int], image: str) -> str:
    """docs/samplers.md."""
    any_one = next(iter(found.values()))
    heads = " | ".join(f"{solver}: Frechet | s" for solver in found)
    rows = []
    for count in steps:
        points = [sweep.points[count] for sweep in found.values()]
        rows.append(f"| {count:,} | " + " | ".join(f"{one.frechet:.3g} | {one.seconds:.3g}" for one in points) + " |")
    order = "; then ".join(f"{solver} at {', '.join(f'{count:,}' for count in steps)} steps" for solver in found)
    return "\n".join(
        [
            "# One model, two samplers",
            "",
            "Made by `python benchmarks/samplers.py`; do not edit.",
            "",
            f"The model is `{name}`, trained once. **DDPM** draws new noise at each step (Ho et al., 2020), **DDIM** "
            "none (Song et al., 2021). The Frechet distance is that of "
            f"{any_one.samples:,} samples, all from the same noises; as many real test images have "
            f"{any_one.floor:.3g}. Seconds are of processor time for all samples.",
            "",
            f"| steps | {heads} |",
            "|---:|" + "---:|---:|" * len(found),
            *rows,
            "",
            f"![Samples]({image})",
            "",
            f"*The same {SHOWN} noises in every row: {order}.*",
            "",
            f"{machine()}; {torch.get_num_threads()} threads; code {source_digest()[:12]}.",
            "",
        ]
    )


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--samples", type=int, default=SAMPLES)
    parser.add_argument("--steps", type=int, nargs="+", default=list(STEPS))
    parser.add_argument("--solvers", nargs="+", default=list(SOLVERS))
    parser.add_argument("--docs", type=Path, default=ROOT / "docs")
    options = parser.parse_args()
    docs, bundle = make_folder(options.docs), native_of(open_bundle(options.bundle, trust=OWN))
    ways = {name: bundle.model.architecture.sampling.but(solver=name) for name in options.solvers}
    found = measured(bundle, ways, options.samples, options.steps)
    write_json(docs / "samplers.json", {name: one.model_dump(mode="json") for name, one in found.items()})
    shown = grid(pictured(bundle, ways, options.steps), columns=SHOWN)
    write_atomically(docs / "samplers.png", png(shown))
    write_text(docs / "samplers.md", page(bundle.card.name, found, options.steps, "samplers.png"))


if __name__ == "__main__":
    main()
