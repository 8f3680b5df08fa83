"""Guidance wraps a denoiser; solvers never see it."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.func import jvp, vjp

from latentarena.backbone.attention import forward_mode
from latentarena.process import Denoiser, Estimate, Path

MIN_ALPHA = 0.02  # guidance divides by alpha, which is 0 at pure noise: no smaller one is divided by
FAR = 2.0  # standard deviations of standardised data given x_t
ALWAYS = (0.0, 1.0)  # all times
Guide = Callable[[Denoiser], Denoiser]
Measure = Callable[[Tensor], Tensor]  # data (B, ...) -> what can be seen of them (B, M), differentiable
Classifier = Callable[[Tensor, Tensor], Tensor]  # (x_t (B, ...), t (B,)) -> logits (B, K), trained on noisy input


def classifier_free(scale: float, interval: tuple[float, float] = ALWAYS) -> Guide:
    """Classifier-free guidance (Ho & Salimans, 2022), limited to an interval of t (Kynkaanniemi et al., 2024).

    Args:
        scale: 1 is the conditional model, 0 the unconditional one, above 1 exaggerates the difference.
        interval: times (from, to) at which it acts; outside the conditional model answers alone.
    """

    def guide(denoise: Denoiser) -> Denoiser:
        return _mixed(denoise, lambda x, t, labels: denoise(x, t, None), scale, interval)

    return guide


def autoguidance(weaker: Denoiser, scale: float, interval: tuple[float, float] = ALWAYS) -> Guide:
    """Guidance away from a weaker version of the same model (Karras et al., 2024); `scale` 1 switches it off."""

    def guide(denoise: Denoiser) -> Denoiser:
        return _mixed(denoise, weaker, scale, interval)

    return guide


def classifier_guidance(
    path: Path, classifier: Classifier, scale: float, interval: tuple[float, float] = ALWAYS
) -> Guide:
    """Guidance by a classifier that was trained on noisy input (Dhariwal & Nichol, 2021), on any path.

    The score gains scale * grad log p(label | x_t), so the noise estimate is shifted by
    -scale * sigma * grad log p(label | x_t), and the data estimate follows from x_t; where hardly any data is left
    in x_t there is nothing to classify, and the shift fades out.
    """

    def guide(denoise: Denoiser) -> Denoiser:
        def guided(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
            estimate = denoise(x, t, None)
            if labels is None or scale == 0 or not _inside(t, interval):
                return estimate
            at = path.at(t, x)
            with torch.enable_grad():
                variable = x.detach().requires_grad_()
                watched = variable.view_as(x)  # for counters of operations, which may not hook a leaf
                chances = classifier(watched, t.expand(x.shape[0])).log_softmax(1)
                (slope,) = torch.autograd.grad(chances.gather(1, labels[:, None]).sum(), variable)
            shift = scale * at.sigma * slope
            floor = at.alpha.clamp(min=MIN_ALPHA)
            return Estimate(estimate.data + at.sigma / floor * shift, estimate.noise - at.alpha / floor * shift)

        return guided

    return guide


def both(first: Guide, second: Guide) -> Guide:
    """One guidance on top of another: the second guides what the first says with the labels.

    For a second one that asks for estimates without a label, as `classifier_guidance` does, where it is the label that
    the first is for.
    """

    def guide(denoise: Denoiser) -> Denoiser:
        told = first(denoise)

        def guided(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
            return second(lambda y, s, _: told(y, s, labels))(x, t, labels)

        return guided

    return guide


def measurement_guidance(path: Path, measure: Measure, seen: Tensor, deviation: float, rounds: int = 3) -> Guide:
    """Guidance by a measurement of the data, as for inpainting: seen = measure(data) + deviation * noise.

    Bayes: the score gains grad log p(seen | x_t), where p(data | x_t) is taken as the Gaussian of the denoiser's mean
    and of the covariance V = sigma / alpha * sigma * d mean / d x_t (Tweedie), and the measure as linear around the
    mean (Rozet et al., 2024, MMPS). The data estimate gains V A' (A V A' + deviation^2)^-1 (seen - measure(mean)),
    A being the measure's Jacobian and the inverse taken by conjugate gradients. Exact for Gaussian data and a linear
    measure; the simpler guides of this family put a number in place of V (Chung et al., 2023, DPS; Song et al., 2023).
    A network's V may have negative directions, so no step follows them, and the gain is kept to what is plausible for
    standardised data.

    Args:
        measure: such as the known pixels of the image that the latents stand for.
        seen: (B, M).
        deviation: how far from `seen` a measure may be, > 0, in its units.
        rounds: of conjugate gradients; each costs one derivative of the denoiser and two of the measure.
    """

    def guide(denoise: Denoiser) -> Denoiser:
        def guided(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
            at, estimate = path.at(t, x), denoise(x, t, labels)
            measured, pull = vjp(measure, estimate.data)[:2]

            def slope(direction: Tensor) -> Tensor:  # sigma * d mean / d x_t, along a direction in data space
                with forward_mode():
                    return at.sigma * jvp(lambda y: denoise(y, t, labels).data, (x,), (direction,))[1]  # type: ignore[no-any-return]

            def spread(weights: Tensor) -> Tensor:  # (A V A' + deviation^2) weights
                moved = at.sigma / at.alpha.clamp(min=MIN_ALPHA) * slope(pull(weights)[0])
                return jvp(measure, (estimate.data,), (moved,))[1] + deviation**2 * weights  # type: ignore[no-any-return]

            weights = _conjugate_gradients(spread, seen - measured, rounds)
            shift = slope(pull(weights)[0])  # in units of noise
            bound = FAR * math.sqrt(x[0].numel()) * at.alpha.clamp(min=MIN_ALPHA) / (at.alpha**2 + at.sigma**2).sqrt()
            size = torch.linalg.vector_norm(shift, dim=tuple(range(1, x.ndim)), keepdim=True)
            shift = shift * (bound / size).clamp(max=1)
            return Estimate(
                estimate.data + at.sigma / at.alpha.clamp(min=MIN_ALPHA) * shift,
                estimate.noise - at.alpha / at.alpha.clamp(min=MIN_ALPHA) * shift,
            )

        return guided

    return guide


def _conjugate_gradients(matrix: Callable[[Tensor], Tensor], right: Tensor, rounds: int) -> Tensor:
    """The approximate solution of matrix(x) = right, row by row, (B, M) (Hestenes & Stiefel, 1952)."""
    solution, residual = torch.zeros_like(right), right
    direction, size = residual, residual.square().sum(1, keepdim=True)
    for _ in range(rounds):
        image = matrix(direction)
        curvature = (direction * image).sum(1, keepdim=True)
        step = torch.where(curvature > 0, size / curvature, 0)
        solution, residual = solution + step * direction, residual - step * image
        size, before = residual.square().sum(1, keepdim=True), size
        direction = residual + torch.where(before > 0, size / before, 0) * direction
    return solution


def _inside(t: Tensor, interval: tuple[float, float]) -> bool:
    """Whether the time lies in the interval; of the whole of time nothing is read back from the device."""
    return interval == ALWAYS or interval[0] <= float(t.max()) <= interval[1]


def _mixed(strong: Denoiser, weak: Denoiser, scale: float, interval: tuple[float, float]) -> Denoiser:
    """weak + scale * (strong - weak), where labels are given and t is inside the interval."""

    def denoise(x: Tensor, t: Tensor, labels: Tensor | None) -> Estimate:
        one = strong(x, t, labels)
        if scale == 1 or not _inside(t, interval):
            return one
        other = weak(x, t, labels)
        data = other.data + scale * (one.data - other.data)
        return Estimate(data, other.noise + scale * (one.noise - other.noise))

    return denoise
