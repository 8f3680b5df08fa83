"""From a PyTorch module to a plain ONNX graph for any number of rows, by torch's exporter."""

from __future__ import annotations

import gc
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from functools import cache, cached_property
from io import StringIO
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from latentarena.bundle.repeated import Called, calls, put_in, standing_in
from latentarena.errors import BundleError
from latentarena.model.derivatives import in_plain_operators

if TYPE_CHECKING:
    from onnx import ModelProto

OPSET = 20
ROWS = {0: torch.export.Dim.DYNAMIC}  # the dimension of a tensor that is free
TALKATIVE = ("torch.onnx", "torch.fx.experimental.symbolic_shapes")
FOLDED = 64  # numbers of a constant that is computed with in advance; weights stay what they are


def to_onnx(
    module: nn.Module,
    examples: tuple[Tensor, ...],
    inputs: Sequence[str],
    output: str,
    what: str,
    differentiated: bool = False,
    repeated: Sequence[nn.Module] = (),
) -> ModelProto:
    """The graph of a module.

    Args:
        module: in evaluation mode.
        examples: an input of several rows each; 0 and 1 would be taken for constants.
        inputs, output: their names in the graph.
        what: the module's name in messages.
        differentiated: the module takes gradients; it is first traced into one that does not, since the exporter alone
            cannot.
        repeated: modules inside that are called again and again: they are traced once.

    Raises:
        BundleError: it cannot be traced.
    """
    from torch.fx.experimental.proxy_tensor import make_fx

    _keep_signatures()
    try:
        with _quiet():
            if differentiated:
                plain = in_plain_operators()
                traced = make_fx(module, plain, tracing_mode="symbolic", _allow_non_fake_inputs=True)
                module = traced(*examples).eval()
            called = [] if differentiated else calls(module, examples, repeated)
            with standing_in(called):
                model = _traced(module, examples, tuple(ROWS for _ in inputs), inputs, output)
            put_in(model, [(one, _traced_part(one)) for one in called])
            return _plain(model)
    except Exception as error:  # whatever the tracing of foreign code may come to
        raise BundleError(f"{what} cannot be exported: {_reason(error)}") from error


def _traced(module: nn.Module, examples: tuple[Tensor, ...], shapes: Any, inputs: Sequence[str], output: str) -> Any:
    """What the exporter makes of a module, as an onnx_ir model; `shapes` say which dimensions are free."""
    program = torch.onnx.export(
        module,
        examples,
        input_names=list(inputs),
        output_names=[output],
        opset_version=OPSET,
        dynamo=True,
        dynamic_shapes=shapes,
        custom_translation_table=_translations(),
        optimize=False,
        verbose=False,
    )
    assert program is not None
    return program.model


def _traced_part(one: Called) -> Any:
    tensors = one.tensors()
    names = [f"{one.name}.{i}" for i in range(len(tensors))]
    model = _traced(one.alone(), tensors, (tuple(ROWS for _ in tensors),), names, one.name)
    _tidy(model)
    return model


def _plain(model: Any) -> ModelProto:
    """The exporter's model as a file of it is."""
    import onnx_ir

    _tidy(model)
    proto: ModelProto = onnx_ir.to_proto(model)
    proto.graph.ClearField("value_info")
    for port in (*proto.graph.input, *proto.graph.output):
        port.type.tensor_type.shape.dim[0].dim_param = "n"
    return proto


def _tidy(model: Any) -> None:
    """Leave of the exporter's model plain operators alone: constants worked out, nothing of its own making."""
    import onnx_ir
    from onnx_ir.passes import common
    from onnxscript.optimizer import fold_constants_ir
    from onnxscript.rewriter import RewritePass
    from onnxscript.rewriter.rules import common as rules

    shapes = [  # of all rules those that take the arithmetic of shapes away; some others take quadratic time
        rules.collapse_slice_rule,
        rules.collapse_slice2_rule,
        rules.squeeze_reshape_1d_rule,
        rules.materialize_reshape_shape_rule,
        rules.reshape_reshape_rule,
        rules.no_op_expand_rule,
    ]
    common.InlinePass()(model)
    fold_constants_ir(
        model,
        onnx_shape_inference=True,
        input_size_limit=FOLDED,
        output_size_limit=FOLDED,
        should_fold=lambda node: False if node.op_type == "Transpose" else None,  # of a weight, which it would repeat
    )
    tidy = onnx_ir.passes.Sequential(
        RewritePass(shapes),
        common.IdentityEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.LiftConstantsToInitializersPass(lift_all_constants=True, size_limit=0),
        common.DeduplicateInitializersPass(),
        common.CommonSubexpressionEliminationPass(),
        common.RemoveUnusedNodesPass(),
        common.RemoveUnusedOpsetsPass(),
        common.ClearMetadataAndDocStringPass(),
    )
    tidy(model)


def _translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """What derivatives leave behind that the exporter does not know."""
    aten = torch.ops.aten
    return {
        aten._new_zeros_with_same_feature_meta.default: _zeros,
    }


def _zeros(tensor: Any, like: Any, self_num_batch_dims: int = 0) -> Any:
    """Zeros of the shape of `like`, of which forward-mode derivatives make use."""
    from onnxscript import opset20 as op

    return op.Expand(op.Constant(value_float=0.0), op.Shape(like))  # type: ignore[type-var]


@cache
def _keep_signatures() -> None:
    """Have onnxscript read the source of its 500 functions once, not for each graph: a quarter of an export's time."""
    from onnxscript.values import TracedOnnxFunction

    name = "function_ir"
    if isinstance(computed := getattr(TracedOnnxFunction, name, None), property) and computed.fget is not None:
        kept = cached_property(computed.fget)
        kept.__set_name__(TracedOnnxFunction, name)
        setattr(TracedOnnxFunction, name, kept)


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's remarks on its own inside, and without looking for garbage, a sixth of its time."""
    loggers, collected = [logging.getLogger(name) for name in TALKATIVE], gc.isenabled()
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    gc.disable()
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # of graphs half made
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        if collected:
            gc.enable()


def _reason(error: Exception) -> str:
    """The innermost reason in a line, without the exporter's advice on its own code."""
    while isinstance(error.__cause__, Exception):
        error = error.__cause__
    if isinstance(error, BundleError):
        return str(error)
    if "inferred a static shape" in str(error):
        return (
            "the number of rows is fixed in it, as by int(x.shape[0]) or by a loop over rows; write it for tensors of "
            "any number of rows"
        )
    if "DataDependent" in type(error).__name__:
        return "it branches on the values of a tensor, which a graph cannot; write torch.where in the place of if"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0][:200] if lines else 'no reason given'}"
