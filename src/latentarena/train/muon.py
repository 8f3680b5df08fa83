"""The optimizer Muon: matrices and convolutions move by momentum made orthogonal, all else as AdamW moves it.

Jordan et al., "Muon: an optimizer for hidden layers in neural networks" (2024).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from latentarena.train.divided import divided_as, whole

THIN = 4  # a matrix with fewer rows or columns moves as vectors do
MOMENTUM = 0.95
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the odd polynomial that takes singular values to about 1, and how often
ROUNDS = 5


class Muon(torch.optim.AdamW):
    """AdamW for vectors, embeddings and thin matrices; orthogonal steps of `matrix_lr` for all other weights.

    Args:
        module: whose parameters that ask for a gradient are trained.
        lr, weight_decay: as of AdamW; the decay also concerns matrices.
        matrix_lr: length of a matrix's step: the root mean square by which it turns a vector of as many entries.
    """

    def __init__(self, module: nn.Module, lr: float, weight_decay: float, matrix_lr: float) -> None:
        tables = {id(part.weight) for part in module.modules() if isinstance(part, nn.Embedding)}
        trained = [p for p in module.parameters() if p.requires_grad]
        matrices = [p for p in trained if id(p) not in tables and min(_sides(p)) >= THIN]
        chosen = {id(p) for p in matrices}
        others = [p for p in trained if id(p) not in chosen]
        groups: list[dict[str, Any]] = [{"params": others}, {"params": matrices, "lr": matrix_lr}]
        super().__init__(groups, lr, weight_decay=weight_decay, foreach=True)

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step; what has no gradient stays."""
        group = self.param_groups[1]
        moved = [(p, p.grad) for p in group["params"] if p.grad is not None]
        for parameter, _ in moved:
            parameter.grad = None  # AdamW passes over it
        loss = super().step(closure)
        for parameter, gradient in moved:
            parameter.grad = gradient
        if moved:
            self._turn([p for p, _ in moved], [gradient for _, gradient in moved], group["lr"], group["weight_decay"])
        return loss

    def _turn(self, matrices: list[Tensor], gradients: list[Tensor], lr: float, decay: float) -> None:
        for matrix in matrices:
            if not self.state[matrix]:  # AdamW, when it loads a state, looks for a step in each
                self.state[matrix].update(step=torch.zeros(()), momentum=torch.zeros_like(matrix))
        momenta = [self.state[matrix]["momentum"] for matrix in matrices]
        torch._foreach_lerp_(momenta, gradients, 1 - MOMENTUM)
        ahead = torch._foreach_lerp(gradients, momenta, MOMENTUM)  # Nesterov's look ahead
        torch._foreach_mul_(matrices, 1 - lr * decay)
        alike: dict[tuple[int, int], list[int]] = {}
        for i, matrix in enumerate(matrices):
            alike.setdefault(_sides(matrix), []).append(i)
        for (rows, columns), places in alike.items():
            turns = orthogonal(torch.stack([whole(ahead[i]).reshape(rows, columns) for i in places]))
            for i, turn in zip(places, turns, strict=True):
                moved = divided_as(matrices[i], turn.view(matrices[i].shape))
                matrices[i].add_(moved, alpha=-lr * max(1.0, rows / columns) ** 0.5)


def orthogonal(matrices: Tensor) -> Tensor:
    """Matrices (N, R, C) with their singular vectors kept and their singular values taken to between 0.7 and 1.2.

    By Newton and Schulz's iteration; a singular value below about a thousandth of the matrix's norm stays smaller.
    """
    a, b, c = COEFFICIENTS
    x = matrices.mT if matrices.shape[-2] > matrices.shape[-1] else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    for _ in range(ROUNDS):
        square = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(square, square, square, beta=b, alpha=c), x, beta=a)
    return x.mT if matrices.shape[-2] > matrices.shape[-1] else x


def _sides(parameter: Tensor) -> tuple[int, int]:
    """Rows and columns of a weight as a matrix: what it gives, by all that it takes."""
    if parameter.ndim < 2:
        return 1, parameter.numel()
    return parameter.shape[0], parameter[0].numel()
