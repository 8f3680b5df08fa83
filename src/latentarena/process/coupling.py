"""Couplings: which noise goes with which data in a batch. Only the noise moves, so labels stay with their data."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from latentarena.registry import Registry, function_of

Coupling = Callable[[Tensor, Tensor], Tensor]  # (data, noise), both (B, ...) -> the noise, re-ordered


def independent(data: Tensor, noise: Tensor) -> Tensor:
    """Noise and data paired as they were drawn."""
    return noise


def optimal_transport(data: Tensor, noise: Tensor) -> Tensor:
    """Minibatch optimal transport (Pooladian et al., 2023; Tong et al., 2024).

    It permutes the noise so that the total squared distance to the data is least.

    Exact, by the Hungarian method on the CPU: cubic in the batch.
    """
    from scipy.optimize import linear_sum_assignment

    rows = len(data), -1
    cost = torch.cdist(data.reshape(rows).float(), noise.reshape(rows).float()).square().cpu().double()
    # What a noise costs at least is paid with every permutation: without it the search is about three times as short.
    _, columns = linear_sum_assignment((cost - cost.amin(0)).numpy())
    return noise[torch.as_tensor(columns, device=noise.device)]


COUPLINGS: Registry[Coupling] = Registry(
    "coupling", function_of("data", "noise"), independent=independent, optimal_transport=optimal_transport
)
