"""Samples of a study's arms side by side, drawn from the same noise."""

from __future__ import annotations

from latentarena.bundle import OWN, open_bundle
from latentarena.model.latent_model import labels_for
from latentarena.pictures import Picture, embed_images
from latentarena.run.pipeline import BUNDLE
from latentarena.study.runs import Run, StudyRuns

SHOWN, ROW = 50, 10  # samples of an arm; in a row
SEED = 0  # of the noise


def same_noise(progress: StudyRuns) -> list[Picture]:
    """Samples of the first finished seed of each arm: noise number k of its latent's shape stands at place k."""
    firsts: dict[str, Run] = {}
    for run in progress.runs:
        if run.figures and (run.arm not in firsts or run.seed < firsts[run.arm].seed):
            firsts[run.arm] = run
    return [_grid(firsts[arm]) for arm in progress.study.recipes if arm in firsts]


def _grid(run: Run) -> Picture:
    model = open_bundle(run.folder / BUNDLE, trust=OWN).model
    images = model.generate(model.noise(SHOWN, SEED), labels_for(model, SHOWN), seed=SEED)
    shape = "x".join(map(str, model.noise_shape))
    caption = f"{run.arm}, seed {run.seed}, noise of {shape}"
    return embed_images(images, f"samples of {run.arm}", caption, ROW)
