"""A latent model on a device, its networks in a precision."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn

from latentarena.autoencoder import Posterior
from latentarena.compute import CPU, Compute
from latentarena.model.latent_model import LatentModel


def place(model: LatentModel, compute: Compute) -> LatentModel:
    """Move a trained model to a device, in place; its networks then multiply matrices in the precision asked for.

    Noise, states and times stay in float32, and all that is random is drawn on the CPU, so that a seed means the same
    pictures everywhere. On CUDA float32 is meant: TF32, PyTorch's choice for convolutions, is switched off.
    """
    model.to(compute.device).compute = compute
    if compute.device == "cuda":
        torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    if compute.reduced is None:
        return model
    parts: dict[str, list[nn.Module | None]] = {"forward": [model.network, model.weaker, model.classifier]}
    parts |= {"encode": [model.autoencoder], "decode": [model.autoencoder]}
    for method, modules in parts.items():
        for module in filter(None, modules):
            setattr(module, method, _reduced(getattr(module, method), compute.device, compute.reduced))
    return model


def on_cpu(model: LatentModel) -> LatentModel:
    """The same model on the CPU in float32: itself if it is there, else a copy."""
    if model.compute == CPU:
        return model
    copy = LatentModel(model.architecture)
    copy.load_state_dict(model.state_dict())
    return copy.eval().requires_grad_(False)


def _reduced(method: Callable[..., Any], device: str, dtype: torch.dtype) -> Callable[..., Any]:
    """A network's method with its matrix products and convolutions in `dtype` and its results in float32."""

    @wraps(method)
    def run(*args: Tensor | None) -> Any:
        with torch.autocast(device, dtype):
            made = method(*args)
        if isinstance(made, Posterior):
            return Posterior(made.mean.float(), made.log_variance.float())
        return made.float()

    return run
