"""Consistency distillation (Song et al., 2023): one evaluation maps any point of a trajectory to its data.

The consistency function is a denoiser's data estimate. It needs no skip connection of its own: where sigma = 0 the
estimate is x / alpha whatever the network says.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from latentarena.distill.batch import column, timewise
from latentarena.process import Denoiser, Path
from latentarena.randomness import Draws
from latentarena.sample import Solver

HUBER = 0.00054  # c over the square root of the dimension


def consistency_loss(
    student: Denoiser,
    target: Denoiser,
    teacher: Denoiser,
    path: Path,
    solver: Solver,
    times: Tensor,
    data: Tensor,
    labels: Tensor | None,
    draws: Draws,
) -> Tensor:
    """Pseudo-Huber distance (Song & Dhariwal, 2024) of the data estimates at neighbours on the teacher's trajectories.

    Args:
        student: learns.
        target: what it is held to one time nearer to the data: the student itself or its moving average; no gradient
            flows through it.
        teacher: a trained flow.
        solver: takes the teacher's steps; one that neither keeps a memory nor adapts its steps.
        times: (N + 1,), descending over the path's span, as for `sample`.
        data: latents (B, ...).
        labels: int64 (B,) or None.
    """
    times = times.to(data)
    here = (draws.uniform(len(data)) * (len(times) - 1)).long()
    t, s = times[here], times[here + 1]
    x = path.at(t, data).mix(data, draws.normal(*data.shape))
    with torch.no_grad():
        nearer = timewise(solver)(path, teacher, labels)(x, t, s)
        arrived = nearer / path.at(s, x).alpha
        goal = torch.where(column(s == times[-1], x), arrived, target(nearer, s, labels).data)
    error = (student(x, t, labels).data - goal).square().flatten(1).sum(1)
    c = HUBER * math.sqrt(data[0].numel())
    return ((error + c**2).sqrt() - c).mean()
