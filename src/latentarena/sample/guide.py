"""Guidance wraps a denoiser; solvers never see it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentarena.process import Denoiser, Estimate, Path

__all__ = ["Classifier", "Guide", "autoguidance", "classifier_free", "classifier_guidance"]

FAINT = 0.02  # alpha
Guide = Callable[[Denoiser], Denoiser]
Classifier = Callable[[Tensor, Tensor], Tensor]  # (x_t (B, ...), t (B,)) -> logits (B, K), trained on noisy input


def classifier_free(scale: float, interval: tuple[float, float] = (0.0, 1.0)) -> Guide:
    """Classifier-free guidance (Ho & Salimans, 2022), limited to an interval of t (Kynkaanniemi et al., 2024).

    Args:
        scale: 1 is the conditional model, 0 the unconditional one, above 1 exaggerates the difference.
        interval: times (from, to) at which it acts; outside the conditional model answers alone.
    """

    def guide(denoise: Denoiser) -> Denoiser:
        return _mixed(denoise, lambda x, t, labels: denoise(x, t, None), scale, interval)

    return guide


def autoguidance(weaker: Denoiser, scale: float, interval: tuple[float, float] = (0.0, 1.0)) -> Guide:
    """Guidance away from a weaker version of the same model (Karras et al., 2024); `scale` 1 switches it off."""

    def guide(denoise: Denoiser) -> Denoiser:
        return _mixed(denoise, weaker, scale, interval)

    return guide


def classifier_guidance(path: Path, classifier: Classifier, scale: float) -> Guide:
    """Guidance by a classifier that was trained on noisy input (Dhariwal & Nichol, 2021), on any path.

    The score gains scale * grad log p(label | x_t), so the noise estimate is shifted by
    -scale * sigma * grad log p(label | x_t), and the data estimate follows from x_t; where hardly any data is left
    in x_t there is nothing to classify, and the shift fades out.
    """

    def guide(denoise: Denoiser) -> Denoiser:
        def guided(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
            estimate = denoise(x, t, None)
            if labels is None or scale == 0:
                return estimate
            at = path.at(t, x)
            with torch.enable_grad():
                variable = x.detach().requires_grad_()
                chances = classifier(variable, t.expand(len(x))).log_softmax(1)
                (slope,) = torch.autograd.grad(chances.gather(1, labels[:, None]).sum(), variable)
            shift = scale * at.sigma * slope
            floor = at.alpha.clamp(min=FAINT)
            return Estimate(estimate.data + at.sigma / floor * shift, estimate.noise - at.alpha / floor * shift)

        return guided

    return guide


def _mixed(strong: Denoiser, weak: Denoiser, scale: float, interval: tuple[float, float]) -> Denoiser:
    """weak + scale * (strong - weak), where labels are given and t is inside the interval."""

    def denoise(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        one = strong(x, t, labels)
        if scale == 1 or not interval[0] <= float(t.max()) <= interval[1]:
            return one
        other = weak(x, t, labels)
        data = other.data + scale * (one.data - other.data)
        return Estimate(data, other.noise + scale * (one.noise - other.noise))

    return denoise
