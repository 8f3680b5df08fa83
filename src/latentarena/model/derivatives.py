"""Gradients in plain operators: what exporters do not know and counters would have to know twice.

One table serves both, so that a model which takes gradients is counted as what its exported graph computes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor


@cache
def in_plain_operators() -> Mapping[Any, Callable[..., Any]]:
    """By torch's operator: the same in others, for backward passes and for what shares its values with them.

    A function that gives `NotImplemented` leaves the operator as it is.
    """
    from torch._decomp import decomposition_table

    aten = torch.ops.aten
    backward = {op: plain for op, plain in decomposition_table.items() if "_backward" in str(op)}
    return backward | {
        aten.convolution_backward.default: _convolution_backward,
        aten.native_group_norm.default: _group_norm,
        aten.silu.default: _silu,
    }


def _silu(data: Tensor) -> Any:
    """Whose sigmoid the backward pass takes again."""
    return data * data.sigmoid() if torch.is_grad_enabled() else NotImplemented


def _group_norm(
    data: Tensor,
    scale: Tensor | None,
    shift: Tensor | None,
    rows: int,
    width: int,
    places: int,
    groups: int,
    eps: float,
) -> Any:
    """Whose mean and deviation the backward pass takes again."""
    if not torch.is_grad_enabled():
        return NotImplemented
    grouped = data.reshape(rows, groups, -1)
    mean = grouped.mean(2, keepdim=True)
    centred = grouped - mean
    inverse = ((centred * centred).mean(2, keepdim=True) + eps).sqrt().reciprocal()
    normal = (centred * inverse).reshape(data.shape)
    for affine, apply in ((scale, torch.mul), (shift, torch.add)):
        if affine is not None:
            normal = apply(normal, affine.reshape(1, width, *[1] * (data.ndim - 2)))
    return normal, mean.reshape(rows, groups), inverse.reshape(rows, groups)


def _convolution_backward(
    gradient: Tensor,
    data: Tensor,
    weight: Tensor,
    bias_sizes: Any,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
    wanted: tuple[bool, bool, bool],
) -> Any:
    """The gradient by the input: the first of three, and all that guidance asks for."""
    if transposed or tuple(wanted) != (True, False, False):
        return NotImplemented
    rest = [  # what a stride has left over at the far end
        size - ((out - 1) * step - 2 * pad + spread * (kernel - 1) + 1)
        for size, out, step, pad, spread, kernel in zip(
            data.shape[2:], gradient.shape[2:], stride, padding, dilation, weight.shape[2:], strict=True
        )
    ]
    back = torch.ops.aten.convolution(gradient, weight, None, stride, padding, dilation, True, rest, groups)
    return back, None, None
