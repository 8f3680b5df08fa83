"""Guidance wraps a denoiser; solvers never see it."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from latentarena.process import Denoiser, Estimate

__all__ = ["Guide", "autoguidance", "classifier_free"]

Guide = Callable[[Denoiser], Denoiser]


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
