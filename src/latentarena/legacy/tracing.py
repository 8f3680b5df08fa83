"""A submission to the 2025 contest traced into a portable bundle. All of this runs inside the submission's box."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from latentarena.bundle import Sampler, export_modules
from latentarena.errors import BundleError
from latentarena.legacy.interface import SIZE, Submission2025

DRAWS = {"normal", "normal_", "randn", "randn_like"}  # of normal numbers: the first is the graph's input
OTHERS = {  # whatever else depends on chance
    *("rand", "rand_like", "randint", "randint_like", "randperm", "bernoulli", "bernoulli_", "multinomial", "poisson"),
    *("uniform_", "exponential_", "random_", "cauchy_", "geometric_", "log_normal_"),
}
WAY_OUT = "draw one tensor of standard normal noise at the start of generate_samples and compute all else from it"


def trace(submission: Submission2025, folder: Path, latent: tuple[int, ...], logits: bool, dataset: str) -> None:
    """Write a submission as a portable bundle.

    Args:
        submission: loaded.
        folder: is made.
        latent: shape of one latent.
        logits: whether its `decode` gives logits, so that a sigmoid belongs behind it.
        dataset: that it was trained on.

    Raises:
        BundleError: generation is no function of one draw of noise, or something cannot be traced.
    """
    facts = submission.facts()
    export_modules(
        folder,
        facts["team"][:80] or Path(submission.file).stem[:80],
        _Part(submission, submission.encode),
        _Part(submission, lambda rows: submission.decode(rows).sigmoid() if logits else submission.decode(rows)),
        _Part(submission, lambda noise: _generate(submission, noise)),
        (1, SIZE, SIZE),
        latent,
        _noise_shape(submission),
        dataset=dataset,
        sampling=Sampler(solver="submission", steps=facts["steps"]),
    )


class _Part(nn.Module):
    """A function of the submission, with the submission's weights as its own."""

    def __init__(self, submission: Submission2025, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        interface = submission.interface
        owners = [interface] if isinstance(interface, nn.Module) else [interface.vae, interface.flow_model]
        self.owners = nn.ModuleList(owner for owner in owners if isinstance(owner, nn.Module))
        self.function = function

    def forward(self, rows: Tensor) -> Tensor:
        return self.function(rows)


class _Draws(TorchFunctionMode):
    """Within it every draw of random numbers is seen, and the first gives what was handed in, if anything was."""

    def __init__(self, noise: Tensor | None = None) -> None:
        super().__init__()
        self.noise, self.seen = noise, list[tuple[int, ...]]()

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs, name = kwargs or {}, getattr(func, "__name__", "")
        if name in OTHERS:
            raise BundleError(f"generate_samples calls {name}, but a graph draws nothing; {WAY_OUT}")
        if name not in DRAWS:
            return func(*args, **kwargs)
        drawn = func(*args, **kwargs) if self.noise is None else _normal(name, args, kwargs, self.noise)
        self.seen.append(tuple(drawn.shape))
        return drawn


def _normal(name: str, args: Sequence[Any], kwargs: dict[str, Any], noise: Tensor) -> Tensor:
    """What a draw would have given, had its standard normal numbers been these."""
    if not name.startswith("normal"):
        return noise.clone()
    how = dict(zip(("mean", "std"), args[name == "normal_" :], strict=False)) | kwargs
    drawn: Tensor = noise * how.get("std", 1.0) + how.get("mean", 0.0)
    if name == "normal_":
        args[0].copy_(drawn)
        return args[0]  # type: ignore[no-any-return]
    return drawn


def _generate(submission: Submission2025, noise: Tensor) -> Tensor:
    with _Draws(noise):
        return submission.generate(noise.shape[0])


def _noise_shape(submission: Submission2025) -> tuple[int, ...]:
    """Of the noise of one sample, once generation has shown that it is a function of one normal draw.

    Raises:
        BundleError: it draws twice, or something else; or what it draws is not one row for each sample, or not
            standard normal.
    """
    looks = []
    for n in (2, 3):
        before = _states()
        with _Draws() as draws:
            submission.generate(n)
        if _states() != before:
            raise BundleError(f"generate_samples draws random numbers of Python or numpy; {WAY_OUT}")
        if len(draws.seen) != 1:
            again = "draws no noise" if not draws.seen else f"draws noise {len(draws.seen)} times"
            raise BundleError(f"generate_samples {again}; {WAY_OUT}")
        looks.append(draws.seen[0])
    (two, *row), (three, *other) = looks
    if (two, three) != (2, 3) or row != other or not row:
        raise BundleError(f"generate_samples draws {looks[0]} for 2 samples and {looks[1]} for 3; {WAY_OUT}")
    return tuple(row)


def _states() -> tuple[Any, ...]:
    """Of the generators outside torch."""
    _, keys, *rest = np.random.get_state(legacy=True)  # noqa: NPY002 - strangers' code draws from it
    return random.getstate(), bytes(np.asarray(keys)), *rest
