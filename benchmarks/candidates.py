"""Measure what each change to the quickstart's training gives by itself: `python benchmarks/candidates.py [NAME ...]`.

Each change is trained with three seeds beside the unchanged stage, on a part of the train split, and scored on the rest
of it; the test split is never looked at. Autoencoders are held against each other by the error of reconstructions,
generators (all on the latents of one autoencoder) by the Frechet distance of samples. What is found is kept in
docs/candidates.json, from which the page is made, so that candidates can be measured one at a time. Needs MNIST.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from schedulefree import AdamWScheduleFree
from scipy.stats import t as student
from torch import Tensor, nn

import latentarena as la
from latentarena.autoencoder import Autoencoder, Posterior
from latentarena.facts import machine, versions
from latentarena.files import write_json, write_text
from latentarena.latents import encode_all
from latentarena.model.latent_model import LatentModel
from latentarena.process import denoiser
from latentarena.search.validation import Yardstick, with_validation
from latentarena.train import loop
from latentarena.train.fabric import make_fabric
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.stages import Critics, autoencoder_stages, latent_stages

ROOT = Path(__file__).resolve().parents[1]
FOUND, PAGE = ROOT / "docs" / "candidates.json", ROOT / "docs" / "candidates.md"
SEEDS = (0, 1, 2)
HELD_OUT = 5 / 60  # of the train split
SAMPLES = 5000
BASE = {
    "training.autoencoder": {"epochs": 2, "batch": 256, "lr": 0.01, "muon": 0.0, "beta": 0.015, "clip": 20},
    "training.generator": {"epochs": 8, "batch": 1024, "lr": 0.005, "muon": 0.0, "ema": 0.99, "times": "logit_normal"},
    "generator.weaker": None,
    "training.weaker": None,
    "sampling.guidance": 1.0,
}
WEAKER = {
    "generator.weaker": {"kind": "mlp", "width": 48, "depth": 2, "conditioning": 10},
    "training.weaker": {"epochs": 1, "batch": 1024, "lr": 0.005, "ema": 0.9, "times": "logit_normal"},
    "sampling.guidance": 1.6,
}


INTRODUCTION = f"""
What each change to the training of the quickstart gives by itself. Trained on a part of MNIST's train split with the
same seeds and the same epochs as what stands in the first line, and scored on the rest of that split: autoencoders by
the mean squared error of reconstructions, generators, on the latents of one autoencoder, by the Frechet distance of
{SAMPLES:,} samples. Ratios are paired by seed; the interval is the 95 % t interval of their logarithm. Time is of the
processor, as a ratio too. Budgets are short, so a change that is slow to start is judged by its start.
""".strip()
TRANSPORT = {"training.generator.coupling": "optimal_transport"}


class Patches(Autoencoder):
    """Patches of 4 x 4 pixels, and matrices on their 7 x 7 grid: depthwise and 1 x 1 convolutions only."""

    encoding = ("inward", "log_variance")

    def __init__(self, width: int = 56, blocks: int = 2, neck: int = 4, latent: int = 28) -> None:
        super().__init__()
        self.latent_shape = (latent,)
        body = [_Mixed(width) for _ in range(2 * blocks)]
        flat = neck * 49
        self.inward = nn.Sequential(
            nn.PixelUnshuffle(4), nn.Conv2d(16, width, 1), *body[:blocks], nn.SiLU(), nn.Conv2d(width, neck, 1),
            nn.Flatten(), nn.Linear(flat, latent),
        )  # fmt: skip
        self.outward = nn.Sequential(
            nn.Linear(latent, flat), nn.Unflatten(1, (neck, 7, 7)), nn.Conv2d(neck, width, 1), *body[blocks:],
            nn.SiLU(), nn.Conv2d(width, 16, 1), nn.PixelShuffle(4),
        )  # fmt: skip
        self.log_variance = nn.Parameter(torch.full((latent,), -4.0))

    def encode(self, images: Tensor) -> Posterior:
        code = self.inward(images)
        return Posterior(code, self.log_variance.expand_as(code[:1]))

    def decode(self, latents: Tensor) -> Tensor:
        return self.outward(latents).sigmoid()  # type: ignore[no-any-return]


class _Mixed(nn.Module):
    """A residual block: depthwise 3 x 3, then two matrices."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.places = nn.Conv2d(width, width, 3, 1, 1, groups=width)
        self.first, self.second = nn.Conv2d(width, width, 1), nn.Conv2d(width, width, 1)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.second(nn.functional.silu(self.first(self.places(nn.functional.silu(h)))))  # type: ignore[no-any-return]


def trapezoid(step: int, steps: int, peak: float, warmup: float) -> float:
    """Warm-up, a level half, and a straight way down."""
    warm = warmup * steps
    return peak * min((step + 1) / (warm + 1), 1.0, 2 * (steps - step) / steps)


def fused(module: nn.Module, config: loop.FitConfig) -> torch.optim.Optimizer:
    """AdamW as one kernel."""
    trained = [p for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(trained, config.lr, weight_decay=config.weight_decay, fused=True)


class ScheduleFree:
    """AdamW of a level rate, and the average that it keeps in place of a falling one (Defazio et al., 2024)."""

    current: Sequence[Tensor] = ()

    def optimizer(self, module: nn.Module, config: loop.FitConfig) -> torch.optim.Optimizer:
        self.parameters = [p for p in module.parameters() if p.requires_grad]
        self.made = AdamWScheduleFree(self.parameters, config.lr, weight_decay=config.weight_decay)
        self.made.train()
        return self.made  # type: ignore[no-any-return]

    def averages(self, config: loop.FitConfig, parameters: Sequence[Tensor], steps: int) -> ScheduleFree:
        return self

    def follow(self, step: int) -> None:
        """The optimizer has done so."""

    def state(self) -> dict[str, Tensor]:
        return {}

    def final(self) -> list[Tensor]:
        self.made.eval()
        return [parameter.detach().clone() for parameter in self.parameters]

    def parts(self) -> dict[str, object]:
        return {"optimizer_of": self.optimizer, "averages_of": self.averages, "rate": level}


def level(step: int, steps: int, peak: float, warmup: float) -> float:
    """Warm-up, then the peak."""
    return peak * min((step + 1) / (warmup * steps + 1), 1.0)


class SelfConditioned(nn.Module):
    """A network that is told what it said before: in half of training's batches, and while sampling at every step but
    the first (Chen et al., "Analog bits", 2023)."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        (self.dimension,) = model.latent_shape
        self.network = model.architecture.generator.backbone.build((2 * self.dimension,), None)
        self.said, self.when = torch.empty(0), 0.0

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        told = torch.zeros_like(x)
        if self.training and torch.rand(()) < 0.5:
            with torch.no_grad():
                told = self.say(x, told, t)
        elif not self.training and self.said.shape == x.shape and float(t.max()) <= self.when:
            told = self.said
        answer = self.say(x, told, t)
        if not self.training:
            self.said, self.when = answer, float(t.max())
        return answer

    def say(self, x: Tensor, told: Tensor, t: Tensor) -> Tensor:
        return self.network(torch.cat([x, told], 1), t, None)[:, : self.dimension]  # type: ignore[no-any-return]


@contextmanager
def patched(parts: Mapping[str, object]) -> Iterator[None]:
    """The training loop with other parts."""
    before = {name: getattr(loop, name) for name in parts}
    try:
        for name, value in parts.items():
            setattr(loop, name, value)
        yield
    finally:
        for name, value in before.items():
            setattr(loop, name, value)


@dataclass(frozen=True)
class Candidate:
    """One change: to the recipe, to the model once it is built, to its latents, or to parts of the loop."""

    name: str
    set: dict[str, Any] = field(default_factory=dict)
    model: Callable[[LatentModel], None] = lambda model: None
    latents: Callable[[Posterior], Posterior] = lambda latents: latents
    parts: Mapping[str, object] = field(default_factory=dict)


def _patches(model: LatentModel) -> None:
    model.autoencoder = Patches()


def _told(model: LatentModel) -> None:
    model.network = SelfConditioned(model)
    model.denoise = denoiser(model.network, model.path, model.target)


def _contiguous(model: LatentModel) -> None:
    model.autoencoder.to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]


def _of(stage: str, **settings: object) -> dict[str, Any]:
    return {f"training.{stage}.{name}": value for name, value in settings.items()}


CANDIDATES = {
    "autoencoder": (
        Candidate("as it was"),
        Candidate("Muon", _of("autoencoder", muon=0.02, lr=0.007)),
        Candidate("batch 128", _of("autoencoder", batch=128, lr=0.007)),
        Candidate("batch 1,024, twice the rate", _of("autoencoder", batch=1024, lr=0.02)),
        Candidate("Muon, batch 128", _of("autoencoder", muon=0.02, lr=0.007, batch=128)),
        Candidate("Muon, batch 1,024, twice the rate", _of("autoencoder", muon=0.04, lr=0.014, batch=1024)),
        Candidate("trapezoidal rate", parts={"rate": trapezoid}),
        Candidate("half the epochs", _of("autoencoder", epochs=1)),
        Candidate("fused AdamW", parts={"optimizer_of": fused}),
        Candidate("channels not last", model=_contiguous),
        Candidate("patches, depthwise and 1x1 blocks", model=_patches),
        Candidate("patches, by Muon", _of("autoencoder", muon=0.02, lr=0.007), model=_patches),
    ),
    "generator": (
        Candidate("as it was"),
        Candidate("Muon", _of("generator", muon=0.03)),
        Candidate("batch 512", _of("generator", batch=512, lr=0.0035)),
        Candidate("batch 2,048", _of("generator", batch=2048, lr=0.007)),
        Candidate("trapezoidal rate", parts={"rate": trapezoid}),
        Candidate("uniform times", _of("generator", times="uniform")),
        Candidate("batch 256", _of("generator", batch=256, lr=0.0025)),
        Candidate("batch 256, optimal transport in it", _of("generator", batch=256, lr=0.0025) | TRANSPORT),
        Candidate("no average of the weights", _of("generator", ema=0)),
        *(
            Candidate(f"average of length {length:g}", _of("generator", ema=0, ema_length=length))
            for length in (0.05, 0.1, 0.2)
        ),
        Candidate("means of the posteriors, not samples", latents=lambda latents: Posterior.certain(latents.mean)),
        Candidate("guided by a weaker flow", WEAKER),
        Candidate("no schedule", _of("generator", ema=0), parts=ScheduleFree().parts()),
        Candidate("told what it said before", model=_told),
    ),
}


def recipe_of(candidate: Candidate, seed: int) -> Recipe:
    """The quickstart as it was before any of these, with one change."""
    return load_recipe("quickstart", BASE | candidate.set | {"seed": seed})


def train(model: LatentModel, recipe: Recipe, stages: Iterator[tuple[str, Any]]) -> float:
    """Train these stages; the processor's seconds that it took."""
    fabric, start = make_fabric("cpu"), time.process_time()
    fabric.launch()
    for stage, objective in stages:
        with tempfile.TemporaryDirectory() as folder:
            config = recipe.training.stages()[stage]
            for _ in loop.fit(objective, config, fabric, Path(folder), (recipe.seed, stage)):
                pass
    seconds = time.process_time() - start
    model.eval().requires_grad_(False)
    return seconds


class Bench:
    """The data and the autoencoder that all are measured with."""

    def __init__(self) -> None:
        whole = la.datasets.load("mnist")
        self.data = with_validation(whole, HELD_OUT)
        measure = {"whole": whole.digest, "samples": SAMPLES, "fabric": make_fabric("cpu")}
        self.mse, self.frechet = (Yardstick(self.data, figure=name, **measure) for name in ("mse", "frechet"))
        self.ready = la.load("zoo:quickstart").bundle.model.autoencoder

    def autoencoder(self, candidate: Candidate, seed: int) -> dict[str, float]:
        recipe = recipe_of(candidate, seed)
        model = LatentModel(recipe.architecture(self.data.shape, self.data.classes), seed)
        candidate.model(model)
        critics = Critics.of(recipe, self.data.shape, len(self.data.classes))
        stages = autoencoder_stages(recipe, model.autoencoder, self.data.train, critics)
        seconds = train(model, recipe, stages)
        numbers = sum(one.numel() for one in model.autoencoder.parameters())
        return {"figure": self.mse.score(model, recipe), "seconds": seconds, "numbers": numbers}

    def generator(self, candidate: Candidate, seed: int) -> dict[str, float]:
        recipe = recipe_of(candidate, seed)
        model = LatentModel(recipe.architecture(self.data.shape, self.data.classes), seed)
        candidate.model(model)
        model.autoencoder.load_state_dict(self.ready.state_dict())
        model.requires_grad_(False)
        latents = candidate.latents(encode_all(model.autoencoder, self.data.train, f"{self.data.digest} candidates"))
        critics = Critics.of(recipe, self.data.shape, len(self.data.classes))
        seconds = train(model, recipe, latent_stages(recipe, model, latents, self.data.train, critics))
        numbers = sum(one.numel() for name, one in model.named_parameters() if not name.startswith("autoencoder"))
        return {"figure": self.frechet.score(model, recipe), "seconds": seconds, "numbers": numbers}


def ratio(found: dict[str, Any], base: dict[str, Any]) -> tuple[float, float, float]:
    """How many times the base's figure a candidate's is, paired by seed, with its 95 % t interval."""
    seeds = sorted(found.keys() & base.keys())
    logs = [math.log(found[seed]["figure"] / base[seed]["figure"]) for seed in seeds]
    mean = statistics.mean(logs)
    if len(logs) < 2 or not any(logs):
        return math.exp(mean), math.nan, math.nan
    half = float(student.ppf(0.975, len(logs) - 1)) * statistics.stdev(logs) / math.sqrt(len(logs))
    return math.exp(mean), math.exp(mean - half), math.exp(mean + half)


def row(candidate: Candidate, found: dict[str, Any], base: dict[str, Any]) -> str:
    """A line of the page."""
    times, low, high = ratio(found, base)
    seconds = statistics.median(found[seed]["seconds"] / base[seed]["seconds"] for seed in found if seed in base)
    verdict = "–" if math.isnan(low) else "better" if high < 1 else "worse" if low > 1 else "not to be told"
    figure = statistics.mean(one["figure"] for one in found.values())
    spread = "–" if math.isnan(low) else f"{low:.3f} to {high:.3f}"
    numbers = next(iter(found.values()))["numbers"]
    cells = (candidate.name, f"{len(found)}", f"{numbers:,.0f}", f"{figure:.4g}", f"{times:.3f}", spread)
    return f"| {' | '.join((*cells, f'{seconds:.2f}', verdict))} |"


def page(found: dict[str, Any]) -> str:
    """docs/candidates.md."""
    lines = ["# Candidates for the quickstart", "", "Made by `python benchmarks/candidates.py`; do not edit.", ""]
    lines += [INTRODUCTION]
    for stage, candidates in CANDIDATES.items():
        epochs = BASE[f"training.{stage}"]["epochs"]  # type: ignore[index,call-overload]
        rows = [(one, found["rows"].get(f"{stage}: {one.name}")) for one in candidates]
        base = rows[0][1]
        lines += ["", f"## The {stage}, {epochs} epochs", ""]
        lines += ["| change | seeds | numbers | figure | times the first | interval | times its work | verdict |"]
        lines += ["|---|---:|---:|---:|---:|---:|---:|---|"]
        lines += [row(one, measured, base) for one, measured in rows if measured and base]
    with_ = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    lines += ["", f"On {found['machine']}; {with_}.", ""]
    return "\n".join(lines)


def main() -> int:
    """Measure what is missing, or the candidates that are named, and write the page."""
    torch.set_num_threads(1)
    found: dict[str, Any] = json.loads(FOUND.read_bytes()) if FOUND.exists() else {"rows": {}}
    bench, wanted = Bench(), sys.argv[1:]
    for seed in SEEDS:
        for stage, candidates in CANDIDATES.items():
            for one in candidates:
                seeds = found["rows"].setdefault(f"{stage}: {one.name}", {})
                if str(seed) in seeds if not wanted else one.name not in wanted:
                    continue
                with patched(one.parts):
                    seeds[str(seed)] = getattr(bench, stage)(one, seed)
                print(stage, one.name, seed, seeds[str(seed)], flush=True)
                found |= {"machine": machine(), "versions": versions()}
                write_json(FOUND, found)
                write_text(PAGE, page(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
