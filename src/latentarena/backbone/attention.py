"""Multi-head attention, of positions to each other or to label tokens."""

from __future__ import annotations

from contextlib import AbstractContextManager

from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.nn.functional import scaled_dot_product_attention


def forward_mode() -> AbstractContextManager[None]:
    """Inside it `torch.func.jvp` works on every network: of torch's attention kernels the plain one alone has it."""
    return sdpa_kernel(SDPBackend.MATH)


def refuse_uneven(heads: int, width: int) -> None:
    """Raise a ValueError, for a config's validator, where the heads cannot share the channels evenly."""
    if width % heads:
        choices = ", ".join(str(n) for n in range(1, 65) if width % n == 0)
        raise ValueError(f"heads = {heads} cannot share {width} channels evenly; choose from {choices}")


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017): `(h (B, N, width), to (B, M, source) or None) -> (B, N, width)`.

    Without `to` it is self-attention. Keys and values need no bias: softmax cancels the one, `leave` holds the other.
    """

    def __init__(self, width: int, heads: int, source: int | None = None) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(source or width, 2 * width, bias=False)
        self.leave = nn.Linear(width, width)

    def forward(self, h: Tensor, to: Tensor | None = None) -> Tensor:
        key, value = self.key_value(h if to is None else to).chunk(2, 2)
        q, k, v = (rows.unflatten(2, (self.heads, -1)).transpose(1, 2) for rows in (self.query(h), key, value))
        mixed = scaled_dot_product_attention(q, k, v)  # (B, heads, N, width / heads)
        return self.leave(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]
