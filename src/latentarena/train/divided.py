"""Weights that are divided among processes: each keeps a share, and the slopes, averages and optimizer's memory of it.

By PyTorch's fully sharded data parallelism. For the length of a step every process holds the weights whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeGuard, TypeVar

import torch
from torch import Tensor, nn

if TYPE_CHECKING:
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy
    from torch.distributed.tensor import DTensor

Module = TypeVar("Module", bound=nn.Module)


def dividing() -> ModelParallelStrategy:
    """The strategy of Fabric that divides the weights of what it sets up among all processes."""
    from lightning_fabric.strategies.model_parallel import ModelParallelStrategy

    return ModelParallelStrategy(lambda module, mesh: _divide(module))


def _divide(module: Module) -> Module:
    from torch.distributed import get_world_size
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    for parameter in module.parameters():
        parameter.data = parameter.data.contiguous()  # not with channels last, of which there are no shares
    device = next(module.parameters()).device.type
    fully_shard(module, mesh=init_device_mesh(device, (get_world_size(),)))
    return module


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, for which all processes have to ask; one that is not divided is given back."""
    return tensor.full_tensor() if is_divided(tensor) else tensor


def divided_as(like: Tensor, tensor: Tensor) -> Tensor:
    """The share of a whole tensor, which all processes have, that this one keeps where `like` is divided."""
    if not is_divided(like):
        return tensor
    from torch.distributed.tensor import distribute_tensor

    there = tensor.to(like.device)
    return distribute_tensor(there, like.device_mesh, like.placements, src_data_rank=None)


@torch.no_grad()
def undivide(module: nn.Module) -> None:
    """Put whole weights in the place of divided ones; those that several modules share stay shared."""
    made: dict[int, nn.Parameter] = {}
    for part in module.modules():
        for name, parameter in part.named_parameters(recurse=False):
            if is_divided(parameter):
                if id(parameter) not in made:
                    made[id(parameter)] = nn.Parameter(whole(parameter), parameter.requires_grad)
                setattr(part, name, made[id(parameter)])


def is_divided(tensor: Tensor) -> TypeGuard[DTensor]:
    """Whether this process keeps a share of the tensor only."""
    return hasattr(tensor, "full_tensor")
