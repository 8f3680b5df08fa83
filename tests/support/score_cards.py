"""Score cards and certificates for tests of boards, made without a model."""

from __future__ import annotations

from typing import Any

from latentarena.card.catalogue import METRICS
from latentarena.card.certificate import Certificate
from latentarena.card.score_card import SEEDS, Score, ScoreCard
from latentarena.config import validate

__all__ = ["FIGURES", "OFFICIAL", "certificate", "made_card"]

OFFICIAL = "67cf626b32b2" + "0" * 52  # passes for the hash of the official judge of MNIST
FIGURES = {
    "mse": 0.01,
    "ssim": 0.9,
    "prior_frechet": 20.0,
    "probe": 0.9,
    "frechet": 1.5,
    "confidence_gap": 0.05,
    "precision": 0.9,
    "class_kl": 0.01,
    "recall": 0.8,
    "coverage": 0.75,
    "copies": 0.0,
    "parameters": 100_000.0,
    "information": 3.2e6,
    "macs": 4e6,
    "quality_macs": 1e13,
    "held_out_loss": 0.011,
    "operations": 5e6,
}
REAL = Score(value=0.03, low=0.02, high=0.04)


def made_card(model: str, **changes: Any) -> ScoreCard:
    """A card with plausible figures; keyword arguments change a figure, or a field of the card."""
    figures = FIGURES | {name: value for name, value in changes.items() if name in FIGURES}
    scores = {
        name: Score(
            value=value,
            low=value * 0.98,
            high=min(value * 1.02, METRICS[name].largest),
            real=REAL if name == "frechet" else None,
        )
        for name, value in figures.items()
    }
    card: dict[str, Any] = {
        "model": model,
        "bundle": "0" * 64,
        "judge": "mnist-67cf626b32b2",
        "judge_hash": OFFICIAL,
        "dataset": "mnist",
        "precision": "float8",
        "data": "d" * 64,
        "version": "0.1.0",
        "source": "5" * 64,
        "platform": "a machine",
        "images": 10_000,
        "samples": 10_000,
        "seeds": SEEDS,
        "solver": "heun",
        "steps": 8,
        "guidance": 1.0,
        "scores": scores,
        "by_class": {},
        "by_seed": (),
        "by_steps": {},
        "opinions": (),
        "advice": (),
        "contest_2025": {},
        "parameters": {"decoder": 100_000},
        "files": {"weights.safetensors": 400_000},
        "latent": (16,),
    }
    return ScoreCard.model_validate(card | {name: value for name, value in changes.items() if name not in FIGURES})


def certificate(bundle: str = "0" * 64, macs: float = 1e12, **changes: Any) -> Certificate:
    """A certificate of three trainings that agree."""
    training = {"weights": "a" * 64, "probes": [{"macs": macs, "frechet": 0.9}], "figures": {}, "losses": {}}
    raw: dict[str, Any] = {
        "name": "m",
        "bundle": bundle,
        "recipe": "c" * 64,
        "dataset": "mnist",
        "data": "d" * 64,
        "judge": "e" * 64,
        "samples": 1000,
        "quality": 1.0,
        "trainings": [{"seed": seed, **training} for seed in (0, 1, 2)],
        "declared": {"mse": 0.01, "frechet": 1.5},
        "figures": {
            "quality_macs": {"value": macs, "low": 0.9 * macs, "high": 1.1 * macs},
            "train_macs": {"value": 2 * macs, "low": 2 * macs, "high": 2 * macs},
        },
        "verdict": "agrees",
        "source": "f" * 64,
        "version": "0.1.0",
        "machine": "a machine",
    }
    return validate(Certificate, raw | changes, "certificate")
