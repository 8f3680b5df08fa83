"""What a trained model is good for besides samples: interpolation, editing and inpainting of images.

Everything runs along the probability-flow ODE, integrated with Heun's method on a uniform grid, which can be walked
both ways: an image has a noise that it comes from.
"""

from __future__ import annotations

import torch
from torch import Tensor

from latentarena.data import Images
from latentarena.errors import ConfigError
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.process import Denoiser
from latentarena.sample import Measure, heun, last, measurement_guidance, sample

PARALLEL = 1e-4  # sine of the angle below which an arc cannot be told from a line
PIXELS = (0.02, 3)  # deviation from the known standardised pixels, and rounds
DECODED = (0.1, 1)  # the same of decoded pixels on [0, 1]; more rounds follow the decoder's curvature astray


def slerp(start: Tensor, end: Tensor, weights: Tensor) -> Tensor:
    """Spherical linear interpolation of each pair (Shoemake, 1985): along the arc, the norm changing evenly.

    Standard normal noise has a norm of about sqrt(D); a straight line between two would lead through its centre,
    where no noise ever is. Parallel and opposite pairs, which have no arc, are joined by the straight line.

    Args:
        start, end: (B, ...).
        weights: (F,), 0 is the start and 1 the end.

    Returns:
        (B, F, ...).
    """
    first, second = (x.flatten(1)[:, None] for x in (start, end))  # (B, 1, D)
    weights = weights.to(start)[None, :, None]  # (1, F, 1)
    sizes = [x.norm(dim=2, keepdim=True).clamp(min=torch.finfo(x.dtype).tiny) for x in (first, second)]
    first, second = first / sizes[0], second / sizes[1]
    angle = (first * second).sum(2, keepdim=True).clamp(-1, 1).acos()
    arc = angle.sin() > PARALLEL
    shares = [torch.where(arc, (w * angle).sin() / angle.sin(), w) for w in (1 - weights, weights)]
    size = (1 - weights) * sizes[0] + weights * sizes[1]
    points: Tensor = size * (shares[0] * first + shares[1] * second)  # (B, F, D)
    return points.reshape(*points.shape[:2], *start.shape[1:])


def to_noise(
    model: LatentModel, images: Tensor, labels: Tensor | None, how: SamplingConfig, until: float = 1.0
) -> Tensor:
    """Encode images and follow the ODE from data towards noise: x_t, (N, *latent), on the standardised scale.

    Args:
        images: (N, C, H, W) in [0, 1].
        labels: int64 (N,) for a conditional model.
        how: its steps and guidance.
        until: the share of the path's span that is walked; 1 is all the way to the noise.
    """
    latents = model.scale(model.encode(images).to(model.device))
    return _follow(model, model.denoiser(how), latents, labels, _times(model, how.steps, until))


def to_images(model: LatentModel, x: Tensor, labels: Tensor | None, how: SamplingConfig, since: float = 1.0) -> Tensor:
    """Follow the ODE from x_t back to the data and decode: images (N, C, H, W) in [0, 1]; undoes `to_noise`."""
    data = _follow(model, model.denoiser(how), x, labels, _times(model, how.steps, since).flip(0))
    return model.decode(model.scale.invert(data))


def interpolate(
    model: LatentModel, start: Tensor, end: Tensor, frames: int, labels: Tensor | None, how: SamplingConfig
) -> Tensor:
    """Images along the arcs between pairs of noise, (B, frames, C, H, W).

    Args:
        start, end: (B, *latent), such as `model.noise` or `to_noise` give.
        frames: of each pair, both ends included.
        labels: int64 (B,), one for all frames of a pair.
    """
    arcs = slerp(start, end, torch.linspace(0, 1, frames))
    rows = [
        to_images(model, arc, None if labels is None else labels[row : row + 1].expand(frames), how)
        for row, arc in enumerate(arcs)
    ]
    return torch.stack(rows)


def edit(
    model: LatentModel, images: Tensor, own: Tensor, other: Tensor, strength: float, how: SamplingConfig
) -> Tensor:
    """Images of other classes in the manner of these: the ODE towards noise as `own`, and back as `other`.

    Like SDEdit (Meng et al., 2022), but what the way towards noise forgets is kept in the noise itself, so that with
    other = own, or with strength 0, the reconstruction comes back.

    Args:
        images: (N, C, H, W) in [0, 1].
        own, other: int64 (N,).
        strength: in [0, 1], how far towards the noise.
    """
    return to_images(model, to_noise(model, images, own, how, strength), other, how, strength)


def class_mean(model: LatentModel, images: Images, label: int) -> Tensor:
    """Mean latent of a split's images of one class, (*latent), on the autoencoder's scale.

    Raises:
        ConfigError: there is none of this class.
    """
    chosen = images.labels == label
    if not chosen.any():
        raise ConfigError(f"class {model.architecture.classes[label]} has no train images to take a mean of")
    return model.encode(images.batch(chosen)).mean(0)


def shift(model: LatentModel, images: Tensor, differences: Tensor, strength: float) -> Tensor:
    """Images with their latents moved by strength * differences (N, *latent): attribute arithmetic (Larsen et al.,
    2016); strength 0 gives the reconstruction.
    """
    return model.decode(model.encode(images) + strength * differences)


def inpaint(
    model: LatentModel, images: Tensor, hidden: Tensor, noise: Tensor, labels: Tensor | None, steps: int
) -> Tensor:
    """Images (N, C, H, W) with what is hidden drawn anew from the noise, the known pixels as they were.

    The sampler is led by what it knows (`measurement_guidance`): in pixel space by the known part of the data
    estimate, in latent space by the known pixels of the decoded one, which the decoder can only come near to. The
    known pixels are put back at the end.

    Args:
        images: (N, C, H, W) in [0, 1]; what stands in the hidden region is never read.
        hidden: bool (H, W).
        noise: standard normal, (N, *latent).
        labels: int64 (N,) for a conditional network; no other guidance acts.
    """
    known = (~hidden).flatten().nonzero()[:, 0].to(model.device)
    pixels = not model.learned

    def look(x: Tensor) -> Tensor:
        return x.flatten(2)[:, :, known].flatten(1)

    def look_decoded(x: Tensor) -> Tensor:
        return look(model.autoencoder.decode(model.scale.invert(x)))

    measure: Measure = look if pixels else look_decoded
    shown = images.masked_fill(hidden, 0)
    seen = look(model.scale(model.encode(shown).to(model.device)) if pixels else shown.to(model.device))
    guide = measurement_guidance(model.path, measure, seen, *(PIXELS if pixels else DECODED))
    data = _follow(model, guide(model.denoise), noise, own_labels(model, labels), _times(model, steps, 1).flip(0))
    return torch.where(hidden, model.decode(model.scale.invert(data)), images)


def own_labels(model: LatentModel, labels: Tensor | None) -> Tensor | None:
    """The labels as the network itself takes them: None unless it is told the class."""
    return labels if model.architecture.generator.conditional else None


def _times(model: LatentModel, steps: int, until: float) -> Tensor:
    """A uniform grid from the data to the share `until` of the way to the noise, (steps + 1,) ascending."""
    first, final = model.path.span
    return first + (final - first) * until * torch.linspace(0, 1, steps + 1)


@torch.no_grad()
def _follow(model: LatentModel, denoise: Denoiser, x: Tensor, labels: Tensor | None, times: Tensor) -> Tensor:
    """The ODE from times[0] to times[-1], (N, *latent)."""
    labels = labels.to(model.device) if labels is not None else None
    return last(sample(heun(model.path, denoise, labels), x.to(model.device), times.to(model.device)))
