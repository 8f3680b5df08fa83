"""Modules that a sampler calls at every step: each is traced once, and its graph put in wherever it is called."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

DOMAIN = "latentarena.called"  # of the nodes that stand for a call until its graph is put in


@dataclass(frozen=True)
class Called:
    """A module, as a larger one calls it.

    Attributes:
        name: of the nodes that stand for the calls.
        given: arguments of one such call, tensors of several rows each or None; result: what came of it.
    """

    module: nn.Module
    name: str
    given: tuple[Tensor | None, ...]
    result: Tensor

    def alone(self) -> nn.Module:
        """The module as a function of the tensors that it is given."""
        return _Alone(self.module, [one is not None for one in self.given])

    def tensors(self) -> tuple[Tensor, ...]:
        """The arguments without those that are None."""
        return tuple(one.clone() for one in self.given if one is not None)


class _Alone(nn.Module):
    def __init__(self, module: nn.Module, given: Sequence[bool]) -> None:
        super().__init__()
        self.module, self.given = module, given

    def forward(self, *tensors: Tensor) -> Any:
        for one in tensors:
            torch._check(one.shape[0] == tensors[0].shape[0])  # type: ignore[no-untyped-call]  # so the exporter knows
        rest = iter(tensors)
        return self.module(*(next(rest) if there else None for there in self.given))


def calls(module: nn.Module, examples: tuple[Tensor, ...], repeated: Sequence[nn.Module]) -> list[Called]:
    """How a module calls others that it holds, once for each kind of arguments; those of plain rows alone."""
    if not repeated:
        return []
    found: dict[Hashable, Called] = {}

    def note(one: nn.Module, given: tuple[Any, ...], result: Any) -> None:
        kind = _kind(given)
        if kind is not None and isinstance(result, Tensor) and result.shape[:1] == given[0].shape[:1]:
            found.setdefault((id(one), kind), Called(one, f"Part{len(found)}", given, result))

    hooks = [one.register_forward_hook(note) for one in repeated]
    try:
        with torch.no_grad():
            module(*examples)
    finally:
        for hook in hooks:
            hook.remove()
    return list(found.values())


def _kind(given: tuple[Any, ...]) -> Hashable | None:
    """What arguments have in common whatever their rows; None where one is no rows of numbers."""
    tensors = [one for one in given if isinstance(one, Tensor)]
    plain = all(one is None or (isinstance(one, Tensor) and one.ndim > 0) for one in given)
    if not plain or not given or given[0] is None or any(one.shape[0] != tensors[0].shape[0] for one in tensors):
        return None
    return tuple(None if one is None else (one.dtype, tuple(one.shape[1:])) for one in given)


@contextmanager
def standing_in(called: Sequence[Called]) -> Iterator[None]:
    """Nodes of `DOMAIN` instead of what these modules do, as far as they are called as noted."""
    modules = {id(one.module): one.module for one in called}
    for module in modules.values():
        kinds = {_kind(one.given): one for one in called if one.module is module}
        module.forward = _stand_in(module.forward, kinds)
    try:
        yield
    finally:
        for module in modules.values():
            del module.forward  # the instance's; that of its class is seen again


def _stand_in(forward: Callable[..., Any], kinds: dict[Hashable | None, Called]) -> Callable[..., Any]:
    def call(*given: Any, **named: Any) -> Any:
        one = None if named else kinds.get(_kind(given))
        if one is None:
            return forward(*given, **named)
        return torch.onnx.ops.symbolic(
            f"{DOMAIN}::{one.name}",
            [part for part in given if part is not None],
            dtype=one.result.dtype,
            shape=(given[0].shape[0], *one.result.shape[1:]),
            version=1,
        )

    return call


def put_in(model: Any, graphs: Sequence[tuple[Called, Any]]) -> None:
    """Make of the nodes that stand for calls those of functions of the model, the graphs of what is called.

    Args:
        model, graphs: onnx_ir models; a graph for each of the calls.
    """
    known: dict[tuple[int, str], Any] = {}
    weights = {one.name: _function(model, one, part, known) for one, part in graphs}
    for node in [node for node in model.graph if node.domain == DOMAIN]:
        first, held = len(node.inputs), weights[node.op_type]
        node.resize_inputs(first + len(held))
        for number, value in enumerate(held):
            node.replace_input_with(first + number, value)
    model.graph.opset_imports[DOMAIN] = 1


def _function(model: Any, one: Called, part: Any, known: dict[tuple[int, str], Any]) -> list[Any]:
    """Make a model one of another's functions; returns its weights as values of that one, its last arguments.

    Args:
        known: weights by module and name, which that one has from other calls of the module.
    """
    import onnx_ir

    inside = list(part.graph.initializers.values())
    part.graph.initializers.clear()
    part.graph.inputs.extend(inside)
    function = onnx_ir.Function(DOMAIN, one.name, graph=part.graph, attributes=[])
    model.functions[function.identifier()] = function
    held = []
    for weight in inside:
        content, weight.const_value = weight.const_value, None
        value = known.get((id(one.module), weight.name))
        if value is None or not np.array_equal(value.const_value.numpy(), content.numpy()):
            name = f"{one.name}.{weight.name}"
            value = onnx_ir.Value(name=name, shape=weight.shape, type=weight.type, const_value=content)
            model.graph.register_initializer(value)
            known[id(one.module), weight.name] = value
        held.append(value)
    return held
