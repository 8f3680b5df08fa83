"""The columns of the 2025 contest by its published formulas, so that old rows and new ones can stand side by side.

They are kept with their flaws: the first 256 test images, the first 2048 samples, a divergence that is infinite where a
class is missing. The judge is another one than in 2025, so entropy, divergence and confidence of old rows stay those of
theirs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentarena.judge.material import Seen
from latentarena.judge.metrics import confidence, mse, ssim

ORIGINALS, SAMPLES = 256, 2048


def contest_2025(
    parameters: int, test: Tensor, reconstructed: Tensor | None, real: Seen, seen: Seen
) -> dict[str, float | None]:
    """All columns but `time_per_sample`, which a card's timing holds.

    Args:
        parameters: of the whole model.
        test, reconstructed: the test split and what the autoencoder makes of it, (N, C, H, W); None in pixel space,
            where reconstructions are the images.
        real, seen: what the judge sees in the test split and in the samples.

    Returns:
        By column name; None stands for infinity.
    """
    probabilities = seen.probabilities[:SAMPLES].double()
    shares = [
        torch.bincount(labels, minlength=probabilities.shape[1]).double()
        for labels in (real.labels, seen.labels[:SAMPLES])
    ]
    known, found = (counts / counts.sum() for counts in shares)
    divergence = float(torch.where(known > 0, known * (known.log() - found.log()), 0.0).sum())
    originals = test[:ORIGINALS]
    again = originals if reconstructed is None else reconstructed[:ORIGINALS]
    return {
        "total_params": float(parameters),
        "mse": mse(again, originals),
        "ssim": ssim(again, originals),
        "entropy": float(-(probabilities * (probabilities + 1e-8).log()).sum(1).mean()),
        "kl_div_classes": divergence if math.isfinite(divergence) else None,
        "gen_confidence": confidence(probabilities),
    }
