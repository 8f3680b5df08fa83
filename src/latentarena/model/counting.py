"""Counting what a native model computes for a sample: torch's operators as they run, by the rules of ONNX graphs.

Only what depends on the noise and labels is a sample's work, each calculation once, and only what the image needs: all
that a runtime does not do beforehand for an exported graph. So both forms of a model have the same figures.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes

from latentarena.backbone.attention import forward_mode
from latentarena.gates import Cost
from latentarena.model.derivatives import in_plain_operators

FREE = {  # move numbers or name them, and compute nothing
    *(
        "_conj",
        "_reshape_alias",
        "_to_copy",
        "_unsafe_view",
        "alias",
        "arange",
        "as_strided",
        "clone",
        "copy",
        "detach",
    ),
    *("empty", "empty_like", "expand", "eye", "full", "full_like", "lift_fresh", "linspace", "new_empty", "new_full"),
    *("new_zeros", "ones", "ones_like", "permute", "pixel_shuffle", "pixel_unshuffle", "scalar_tensor", "select"),
    *("slice", "split", "split_with_sizes", "squeeze", "t", "transpose", "unbind", "unsqueeze", "view", "zeros"),
    *("zeros_like",),
}
NORMS = {"native_group_norm": 1, "native_layer_norm": 2}  # and where scale and shift are among their arguments
PASSES = {  # over the numbers of the outcome, where an operator stands for several plain ones
    **dict.fromkeys(("silu", "softplus", "addcmul", "addcdiv", "leaky_relu", "prelu", "threshold"), 2),
    **dict.fromkeys(("celu", "elu", "selu", "hardsigmoid", "lerp"), 3),
    **dict.fromkeys(("hardswish", "mish", "upsample_bilinear2d"), 4),
    **dict.fromkeys(("_log_softmax", "_safe_softmax", "_softmax", "gelu"), 5),
    **dict.fromkeys(NORMS, 5),  # and to scale and shift
}
SHAPED = {"empty_like", "full_like", "new_empty", "new_full", "new_zeros", "ones_like", "zeros_like"}  # take but a size
READING = {"amax", "amin", "argmax", "argmin", "max", "mean", "min", "prod", "sum", "var", "std"}
UNCHANGING = {"add": 0.0, "div": 1.0, "mul": 1.0, "sub": 0.0}  # and the constant that makes the operator none
ROUNDING = 1e-6
SMALL = 64  # numbers of a constant that is known by its content; a larger one is known by its place
Number = int


@dataclass(frozen=True)
class _Step:
    """An operator that ran: which values it gave and read, by number, and what it cost."""

    given: tuple[Number, ...]
    read: tuple[Number, ...]
    cost: Cost


def used(run: Callable[..., Tensor], inputs: list[Tensor]) -> tuple[Cost, list[Tensor]]:
    """What the output of a function takes of computing, and the constants that it takes."""
    record = Recorder(inputs)
    with forward_mode(), record:  # of attention kernels it knows the plain one
        return record.used(run(*inputs))


def constant_numbers(tensor: Tensor) -> Any:
    """The numbers of a constant as an array, in no more bits than a graph stores them in."""
    return (tensor.float() if tensor.is_floating_point() else tensor).detach().cpu().numpy()


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Records what torch computes from some inputs: every value has a number, the same for the same calculation.

    Attributes:
        steps: what has run.
        varying: numbers of values that depend on the inputs.
        constants: values that no operator gave, such as weights, by number.
    """

    def __init__(self, inputs: Sequence[Tensor]) -> None:
        """Start with the values that all is to depend on."""
        super().__init__()  # type: ignore[no-untyped-call]
        self.mark = object()  # tensors outlive a recorder, and another one has other numbers for them
        self.steps: list[_Step] = []
        self.numbers: dict[Any, Number] = {}
        self.constants: dict[Number, Tensor] = {}
        self.varying = {self._named(tensor, ("input", place)) for place, tensor in enumerate(inputs)}

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: nothing is compiled here, and torch would load its compiler, which takes a second, to leave this out."""
        return False

    def used(self, output: Tensor) -> tuple[Cost, list[Tensor]]:
        """What `output` took of an operator that depends on the inputs, and the constants that it took."""
        needed, total = {self._number(output)}, Cost()
        for step in reversed(self.steps):
            if not needed.isdisjoint(step.given):
                needed.update(step.read)
                total += step.cost
        return total, [tensor for number, tensor in self.constants.items() if number in needed]

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run an operator, and number what it gives."""
        kwargs = dict(kwargs or {})
        name = func.overloadpacket.__name__
        with self:
            plain = self._in_others(func, args, kwargs)
        if plain is not NotImplemented:
            return plain
        read = () if name in SHAPED else tuple(map(self._number, _tensors((args, tuple(kwargs.values())))))
        key = self._key(args)
        result = func(*args, **kwargs)
        given = list(_tensors((result,)))
        fresh = (len(self.numbers),) if "generator" in kwargs else ()
        calculation = name, func._overloadname, key, self._key(tuple(sorted(kwargs.items()))), fresh
        varying = not self.varying.isdisjoint(read)
        known = (calculation, 0) in self.numbers
        keys = [
            (calculation, place) if varying else _content(tensor) or (calculation, place)
            for place, tensor in enumerate(given)
        ]
        numbers = tuple(self._named(tensor, key) for tensor, key in zip(given, keys, strict=True))
        self.varying.update(numbers if varying else ())
        if not known:
            free = not varying or (name in UNCHANGING and self._unchanging(name, args))
            self.steps.append(_Step(numbers, read, Cost() if free else _cost(name, args, given)))
        return result

    def _in_others(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """What an operator gives that is made of others; NotImplemented for a plain one."""
        others = in_plain_operators().get(func)
        found = NotImplemented if others is None else others(*args, **kwargs)
        return func.decompose(*args, **kwargs) if found is NotImplemented else found

    def _unchanging(self, name: str, args: tuple[Any, ...]) -> bool:
        """Whether an operator multiplies by 1 or adds 0, or the like."""
        places = args[:2] if name in ("add", "mul") else args[1:2]
        others = [other for other in places if not isinstance(other, Tensor) or self._number(other) not in self.varying]
        with _disable_current_modes():
            return any(_is(_uniform(other), UNCHANGING[name]) for other in others)

    def _named(self, tensor: Tensor, key: Any) -> Number:
        number = self.numbers.setdefault(key, len(self.numbers))
        tensor._latentarena_number = self.mark, number  # type: ignore[attr-defined]
        return number

    def _number(self, tensor: Tensor) -> Number:
        """Of a value: as it was numbered, else of a constant."""
        mark, number = getattr(tensor, "_latentarena_number", (None, 0))
        if mark is self.mark:
            return number
        number = self._named(tensor, _content(tensor) or ("constant", len(self.numbers)))
        self.constants.setdefault(number, tensor)
        return number

    def _key(self, given: Any) -> Any:
        """Arguments as something to compare: values by their number."""
        if isinstance(given, Tensor):
            return ("value", self._number(given))
        if isinstance(given, list | tuple):
            return tuple(map(self._key, given))
        return str(given)


def _content(tensor: Tensor) -> Any:
    """What a small constant is known by: type, shape and numbers; None for a large one."""
    if tensor.numel() > SMALL or tensor.is_meta:
        return None
    with _disable_current_modes():
        numbers = torch.zeros(tensor.shape) if torch._is_zerotensor(tensor) else tensor  # those of a jvp hold nothing
        return str(tensor.dtype), tuple(tensor.shape), str(numbers.tolist())


def _uniform(value: Any) -> float | None:
    """The number that an argument holds, however often; None where there are several."""
    if not isinstance(value, Tensor):
        return float(value) if isinstance(value, int | float) else None
    if torch._is_zerotensor(value):
        return 0.0
    if value.is_meta or not value.numel():
        return None
    first = value.flatten()[0]
    return float(first) if bool((value == first).all()) else None


def _is(value: float | None, neutral: float) -> bool:
    """Whether it is that number but for rounding, which no two libraries do alike."""
    return value is not None and abs(value - neutral) < ROUNDING


def _tensors(given: Any) -> Iterator[Tensor]:
    if isinstance(given, Tensor):
        yield given
    elif isinstance(given, list | tuple):
        for one in given:
            yield from _tensors(one)


def _cost(name: str, args: tuple[Any, ...], given: Sequence[Tensor]) -> Cost:
    """What an operator costs that gave these values."""
    outcome = given[0].numel() if given else 0
    if name in ("mm", "bmm", "addmm", "baddbmm"):
        products, biased = outcome * args[-2].shape[-1], name in ("addmm", "baddbmm")
        return Cost(products, products + biased * outcome)
    if name == "convolution":
        data, weight, bias, transposed = args[0], args[1], args[2], args[6]
        products = (data.numel() if transposed else outcome) * prod(weight.shape[1:])
        return Cost(products, products + (0 if bias is None else outcome))
    if name in FREE or (name == "cat" and len(args[0]) == 1):
        return Cost()
    if name in NORMS:
        with _disable_current_modes():
            affine = [_uniform(one) for one in args[NORMS[name] : NORMS[name] + 2] if one is not None]
        return Cost(
            0, outcome * (PASSES[name] + sum(not _is(one, none) for one, none in zip(affine, (1.0, 0.0), strict=False)))
        )
    if name == "clamp":
        return Cost(0, outcome * sum(bound is not None for bound in args[1:3]))
    if name in READING:
        return Cost(0, args[0].numel())
    return Cost(0, outcome * PASSES.get(name, 1))
