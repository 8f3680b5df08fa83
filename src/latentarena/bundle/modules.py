"""Modules as people bring them: what is wrapped around one, and which numbers its weights are."""

from __future__ import annotations

import torch
from torch import nn

from latentarena.errors import BundleError


def plain_module(module: object, what: str) -> nn.Module:
    """The module inside of what `torch.compile` and data-parallel training wrap around it.

    Raises:
        BundleError: it is no module, one that was traced already, or one without weights, on the device `meta`.
    """
    if not isinstance(module, nn.Module):
        raise BundleError(f"{what} is {type(module).__name__}, no torch.nn.Module; put it into the forward of one")
    if isinstance(module, torch.jit.ScriptModule):
        way_out = "give the module it was made of, or torch.onnx.export(..., dynamo=False) it and run arena pack"
        raise BundleError(f"{what} is TorchScript, which cannot be traced again; {way_out}")
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return plain_module(module.module, what)
    if hasattr(module, "_orig_mod"):  # of torch.compile
        return plain_module(module._orig_mod, what)
    if any(tensor.is_meta for tensor in (*module.parameters(), *module.buffers())):
        way_out = "make it on the CPU, or call .to_empty(device='cpu') and load its weights"
        raise BundleError(f"{what} is on the device `meta`, and so holds no weights; {way_out}")
    return module


def other_type(module: nn.Module) -> str:
    """What is likely to be at fault where a module fails: weights of another type than its inputs."""
    other = _others(module)
    return f"its weights are {other}, its inputs float32; call .float() on it first: " if other else ""


def of_other_bits(module: nn.Module) -> str:
    """The same where its numbers differ, for other numbers of bits round otherwise."""
    other = _others(module)
    return f" (its weights are {other}; call .float() on it, and compute in float32)" if other else ""


def _others(module: nn.Module) -> str:
    kinds = {str(one.dtype).removeprefix("torch.") for one in module.parameters() if one.is_floating_point()}
    return " and ".join(sorted(kinds - {"float32"}))
