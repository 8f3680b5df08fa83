"""Samples of a study's arms side by side, and how they come to be, drawn from the same noise."""

from __future__ import annotations

import torch

from latentarena.bundle import OWN, open_bundle
from latentarena.model.latent_model import AnyModel, labels_for
from latentarena.pictures import Picture, embed_images, evenly
from latentarena.run.judging import BUNDLE
from latentarena.study.runs import Run, StudyRuns

SHOWN, ROW = 50, 10  # samples of an arm; in a row
WALKED, MOMENTS = 4, 8  # samples that are followed from noise to data, and most times of each
SEED = 0  # of the noise


def same_noise(progress: StudyRuns) -> tuple[list[Picture], list[Picture]]:
    """Samples of the first finished seed of each arm, and their trajectories.

    In all arms whose latents have one shape, the same noise stands at the same place.
    """
    firsts: dict[str, Run] = {}
    for run in progress.runs:
        if run.figures and (run.arm not in firsts or run.seed < firsts[run.arm].seed):
            firsts[run.arm] = run
    chosen = [firsts[arm] for arm in progress.study.recipes if arm in firsts]
    models = [open_bundle(run.folder / BUNDLE, trust=OWN).model for run in chosen]
    walked = [_walk(run, model) for run, model in zip(chosen, models, strict=True)]
    return [_grid(run, model) for run, model in zip(chosen, models, strict=True)], list(filter(None, walked))


def _grid(run: Run, model: AnyModel) -> Picture:
    images = model.generate(model.noise(SHOWN, SEED), labels_for(model, SHOWN), seed=SEED)
    shape = "x".join(map(str, model.noise_shape))
    caption = f"{run.arm}, seed {run.seed}, noise of {shape}"
    return embed_images(images, f"samples of {run.arm}", caption, ROW)


def _walk(run: Run, model: AnyModel) -> Picture | None:
    """The first of these samples at some of the sampler's times, decoded, each in a row."""
    if model.native is None:
        return None
    states = list(model.native.trajectory(model.noise(WALKED, SEED), labels_for(model, WALKED), seed=SEED))
    chosen = evenly(len(states), MOMENTS)
    times = model.native.times(model.native.architecture.sampling)
    images = torch.stack([model.decode(states[i]) for i in chosen], 1)  # (n, moments, C, H, W)
    caption = f"{run.arm}, seed {run.seed}, t = {', '.join(f'{times[i]:.2g}' for i in chosen)}"
    return embed_images(images.flatten(0, 1), f"trajectories of {run.arm}", caption, len(chosen))
