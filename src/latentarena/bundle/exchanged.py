"""What sets a model apart from the one that its architecture makes: once it is loaded, it would be another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from types import CodeType, FunctionType, MethodType
from typing import Any

import torch
from torch import Tensor, nn

from latentarena.config import Config
from latentarena.text import shown
from latentarena.train.checkpoint import mismatch

PLAIN = (type(None), bool, int, float, complex, str, bytes, torch.dtype, Config, CodeType)
PLACED = ("compute",)  # where a model runs, which no card says
UNSET = object()


def exchanged(model: nn.Module, planned: nn.Module) -> str | None:
    """What a model has otherwise than planned, in words; None if nothing.

    Weights may have any values. Settings may not: the plain values, tensors, functions and objects that a module keeps
    beside its weights. What a constructor leaves empty, and what it does not set, is a cache and no setting.
    """
    fault = mismatch(planned.state_dict(), model.state_dict())
    if fault is not None:
        return fault
    wanted, there = (dict(one.named_modules()) for one in (planned, model))
    comparison = _Comparison({id(one): there.get(name) for name, one in wanted.items()})
    for name, module in wanted.items():
        if type(there.get(name)) is not type(module):
            return f"{_called(name)} is a {type(there.get(name)).__name__}, expected {type(module).__name__}"
    for name, module in wanted.items():
        fault = next(_method_or_hook(there[name], module), None) or next(comparison.faults(there[name], module), None)
        if fault is not None:
            return f"{_called(name)} has {fault}"
    return None


def _called(name: str) -> str:
    return repr(name) if name else "the model"


def _method_or_hook(own: nn.Module, planned: nn.Module) -> Iterator[str]:
    """A method that was put on a module, or a hook, which may change what comes in or out."""
    for key in vars(own).keys() - vars(planned).keys():
        if callable(getattr(type(planned), key, None)):
            yield f"a {key} of its own"
    if own._forward_hooks or own._forward_pre_hooks:
        yield "hooks, which may change what it computes; remove them"


@dataclass
class _Comparison:
    """Settings of two models.

    Attributes:
        twins: the modules of the model by `id` of those that are planned in their places.
        seen: pairs that are compared already, for objects may hold each other.
    """

    twins: Mapping[int, nn.Module | None]
    seen: set[tuple[int, int]] = field(default_factory=set)

    def faults(self, own: nn.Module, planned: nn.Module) -> Iterator[str]:
        """Settings of a module that are not those of the planned one."""
        there, wanted = _settings(own), _settings(planned)
        for key in dict.fromkeys([*wanted, *there]):
            value, expected = (found.get(key, getattr(type(planned), key, UNSET)) for found in (there, wanted))
            if expected is UNSET or _is_filled(value, expected) or self.alike(value, expected):
                continue
            if isinstance(value, PLAIN) and isinstance(expected, PLAIN):
                yield f"{key} = {shown(value)}, expected {shown(expected)}"
            else:
                yield f"another {key} than planned"

    def alike(self, own: Any, planned: Any) -> bool:
        """Whether two values are the same settings; what cannot be looked into is, where it is of one class."""
        if own is planned or (id(own), id(planned)) in self.seen:
            return True
        if type(own) is not type(planned):
            return False
        if isinstance(planned, nn.Module):
            twin = self.twins.get(id(planned))
            return own is twin or (twin is not None and _same_weights(own, twin))
        if isinstance(planned, Tensor):
            return own.shape == planned.shape and own.dtype == planned.dtype and torch.equal(own.cpu(), planned.cpu())
        if isinstance(planned, PLAIN):
            return bool(own == planned) or (own != own and planned != planned)
        self.seen.add((id(own), id(planned)))
        if isinstance(planned, list | tuple):
            return len(own) == len(planned) and all(map(self.alike, own, planned))
        if isinstance(planned, set | frozenset):
            return bool(own == planned)
        there, wanted = (one if isinstance(one, dict) else _insides(one) for one in (own, planned))
        return there.keys() == wanted.keys() and all(self.alike(there[key], wanted[key]) for key in wanted)


def _same_weights(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules hold the same numbers: the functions of a copied model hold the original's modules."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def _settings(module: nn.Module) -> dict[str, Any]:
    """What a module keeps beside modules and weights: its attributes, and buffers that are stored nowhere."""
    known = [*dir(nn.Module), *vars(nn.Module()), *PLACED]
    kept = {key: value for key, value in _insides(module).items() if key not in known}
    return kept | {key: module._buffers[key] for key in sorted(module._non_persistent_buffers_set)}


def _insides(one: Any) -> dict[str, Any]:
    """What a function is made of, or the attributes of an object but for those that it computes once and keeps."""
    if isinstance(one, MethodType):
        return {"function": one.__func__, "self": one.__self__}
    if isinstance(one, partial):
        return {"function": one.func, "arguments": one.args, "named": one.keywords}
    if isinstance(one, FunctionType):
        cells = dict(zip(one.__code__.co_freevars, one.__closure__ or (), strict=True))
        held = {name: cell.cell_contents for name, cell in cells.items()}
        return {"code": one.__code__, "defaults": one.__defaults__, "named": one.__kwdefaults__, **held}
    kept = getattr(one, "__dict__", {})
    return {key: value for key, value in kept.items() if not isinstance(getattr(type(one), key, 0), cached_property)}


def _is_filled(own: Any, planned: Any) -> bool:
    """Whether a constructor left it empty, and a call has filled it: with tensors, not with settings."""
    empty = planned is None or (isinstance(planned, dict | list | tuple) and not planned)
    return empty and isinstance(own, Tensor | dict | list | tuple)
