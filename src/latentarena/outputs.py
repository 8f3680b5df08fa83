"""What a model may give: images in [0, 1], and each row the same in any company, both but for rounding."""

from __future__ import annotations

from torch import Tensor

OUTSIDE = 1e-3  # of the declared range, for rounding
APART = 0.01  # of the answers' scale: batches of other sizes round differently, and samplers amplify that


def fault_of(images: Tensor) -> str:
    """What is wrong with the numbers of images (n, C, H, W), with the way out; empty if nothing is."""
    if not bool(images.isfinite().all()):
        return "hold values that are not finite; it cannot be judged"
    low, high = float(images.min()), float(images.max())
    if low < -OUTSIDE or high > 1 + OUTSIDE:
        return f"reach from {low:.3g} to {high:.3g}, outside the declared range [0, 1]; {_guess(low, high)}"
    return ""


def _guess(low: float, high: float) -> str:
    if low >= -1 - OUTSIDE and high <= 1 + OUTSIDE:
        return "they look as if in [-1, 1]: return (x + 1) / 2"
    if high > 200:
        return "they look like bytes: divide by 255"
    if low < -1.5 and high > 1.5:
        return "they look like logits: put a sigmoid at the end of the decoder"
    return "clamp them, or put a sigmoid at the end of the decoder"
