"""What an ONNX graph may be made of: the operators, and how large their outcome may be where the graph itself says so.

Listed is what exporters make of models for inference: functions of their inputs alone, with outcomes whose size the
inputs bound. Left out are control flow, random numbers, texts and pictures in other formats, and training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from onnx.defs import onnx_opset_version

from latentarena.errors import GateError
from latentarena.gates.node import Node

DOMAINS = ("", "ai.onnx")  # two names of one domain
OPSETS = range(11, min(25, onnx_opset_version()) + 1)  # what each operator costs is known up to 25
SUBGRAPHS = {"If", "Loop", "Scan", "SequenceMap"}
RANDOM = {"Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"}
ARITHMETIC = """
    Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Ceil Clip Cos Cosh
    CumSum Div Equal Erf Exp Floor Greater GreaterOrEqual IsInf IsNaN Less LessOrEqual Log Max Mean Min Mod Mul Neg Not
    Or Pow Reciprocal Round Sign Sin Sinh Sqrt Sub Sum Tan Tanh Where Xor
"""
ACTIVATIONS = """
    Celu Elu Gelu HardSigmoid HardSwish Hardmax LeakyRelu LogSoftmax Mish PRelu Relu Selu Shrink Sigmoid Softmax
    Softplus Softsign Swish ThresholdedRelu
"""
PRODUCTS = "Attention Conv ConvTranspose DeformConv Det Einsum GRU Gemm LSTM MatMul RNN RotaryEmbedding"
NORMALISATION = """
    BatchNormalization Dropout GroupNormalization InstanceNormalization LRN LayerNormalization LpNormalization
    MeanVarianceNormalization RMSNormalization
"""
REDUCTIONS = """
    ArgMax ArgMin AveragePool GlobalAveragePool GlobalLpPool GlobalMaxPool LpPool MaxPool MaxUnpool ReduceL1 ReduceL2
    ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare TopK
"""
SHAPES = """
    AffineGrid Cast CastLike CenterCropPad Col2Im Compress Concat ConcatFromSequence Constant ConstantOfShape
    DepthToSpace Expand EyeLike Flatten Gather GatherElements GatherND GridSample Identity NonZero OneHot Pad Range
    Reshape Resize ReverseSequence RoiAlign Scatter ScatterElements ScatterND SequenceAt SequenceConstruct
    SequenceLength Shape Size Slice SpaceToDepth Split SplitToSequence Squeeze Tile Transpose Trilu Unique Unsqueeze
"""
SPECTRA = "BlackmanWindow DFT HammingWindow HannWindow STFT"
TYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 bfloat16 float16 float double".upper().split()
"""What values may hold, as ONNX names it: neither texts nor numbers of eight bits and fewer that are scaled, of which
onnxruntime runs hardly anything."""
FLOAT32 = (
    "make weights and inputs float32 and export it anew: in torch module.float() and tensor.float() before "
    "torch.onnx.export, elsewhere array.astype('float32')"
)
TYPED = {  # operators, and the setting that says what their outcome holds
    "Cast": "to",
    "EyeLike": "dtype",
    **dict.fromkeys(("BlackmanWindow", "HammingWindow", "HannWindow"), "output_datatype"),
}
OPERATORS = frozenset(" ".join((ARITHMETIC, ACTIVATIONS, PRODUCTS, NORMALISATION, REDUCTIONS, SHAPES, SPECTRA)).split())

LARGEST_VALUE = 1 << 26  # numbers that one node may give for a row where its size is written in the graph
LARGEST_WINDOW = 1 << 12  # pixels of a convolution's or pooling's window, step or padding
WINDOW = {"kernel_shape", "strides", "pads", "dilations", "output_padding", "output_shape"}
SIZED = {  # operators, and which inputs say how large the outcome is: by the product of their numbers
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1,),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MaxUnpool": (2,),
    "OneHot": (1,),
    "Resize": (2, 3),
    "Tile": (1,),
}
REDUCED = {name for name in REDUCTIONS.split() if name.startswith("Reduce")}
SIZING = {  # operators, and which inputs decide by their numbers how large the outcome is
    **dict.fromkeys(REDUCED, (1,)),
    "AffineGrid": (1,),
    "BlackmanWindow": (0,),
    "CenterCropPad": (1,),
    "Col2Im": (1, 2),
    "Compress": (1,),
    "ConstantOfShape": (0,),
    "DFT": (1, 2),
    "Expand": (1,),
    "HammingWindow": (0,),
    "HannWindow": (0,),
    "MaxUnpool": (2,),
    "NonZero": (0,),
    "OneHot": (1,),
    "Pad": (1, 3),
    "Range": (0, 1, 2),
    "Reshape": (1,),
    "Resize": (1, 2, 3),
    "STFT": (1, 3),
    "SequenceAt": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "SplitToSequence": (1,),
    "Squeeze": (1,),
    "Tile": (1,),
    "TopK": (1,),
    "Unique": (0,),
    "Unsqueeze": (1,),
}
SPEAKING = {*SIZED, "Dropout", "Pad", "Range"}  # operators of which an input can be out of place
Known = Mapping[str, NDArray[Any]]


def refuse_sizes(node: Node, known: Known, named: str) -> None:
    """Raise a GateError where constants of the graph make a node's outcome absurdly large, whatever it is given.

    Args:
        node: of the graph.
        known: the constants by name.
        named: the node in messages.
    """
    if node.op_type == "Pad":
        for pads in _constants(node, (1,), known):
            refuse_window("pads", np.abs(pads).ravel().tolist(), named)
    outcome = max((_product(one) for one in _constants(node, SIZED.get(node.op_type, ()), known)), default=0.0)
    if node.op_type == "Range" and len(ends := _constants(node, (0, 1, 2), known)) == 3:
        start, limit, step = (float(end.ravel()[0]) for end in ends)
        outcome = abs(limit - start) / max(abs(step), 1e-30)
    if not outcome <= LARGEST_VALUE:
        raise GateError("onnx-absurd", f"{named} makes {outcome:.3g} numbers of one row; at most {LARGEST_VALUE:,} are")


def spelled(kind: int) -> str:
    """How people write one of ONNX's types, such as float64 for its double."""
    if kind not in TensorProto.DataType.values():
        return f"of type {kind}"
    name: str = TensorProto.DataType.Name(kind).lower()
    return {"undefined": "of no type", "float": "float32", "double": "float64"}.get(name, name)


def to_float32(kind: int) -> str:
    """The way out where something is of another floating type than float32, to end a message with."""
    name = spelled(kind)
    return f"; {FLOAT32}" if "float" in name and name != "float32" else ""


def refuse_type(operator: str, setting: str, kind: int, named: str) -> None:
    """Raise a GateError where a setting makes a node give values of a type that is not run."""
    if TYPED.get(operator) != setting:
        return
    said = TensorProto.DataType.Name(kind) if kind in TensorProto.DataType.values() else f"type {kind}"
    if said not in TYPES:
        fault = f"makes values of {said.lower()}, which are not run; of {', '.join(TYPES).lower()} they are"
        raise GateError("onnx-type", f"{named} {fault}")


def refuse_window(name: str, sizes: Sequence[int], named: str) -> None:
    """Raise a GateError where a window, step or padding is absurdly large, or negative."""
    if name in WINDOW and not all(0 <= size <= LARGEST_WINDOW for size in sizes):
        raise GateError("onnx-absurd", f"{named} has {name} = {list(sizes[:8])}, which is beyond {LARGEST_WINDOW:,}")


def _constants(node: Node, places: tuple[int, ...], known: Known) -> list[NDArray[Any]]:
    """Those of some inputs that are constants, and hold something."""
    found = [known.get(node.input[at]) for at in places if at < len(node.input)]
    return [one for one in found if one is not None and one.size]


def _product(sizes: NDArray[Any]) -> float:
    return prod(abs(float(size)) for size in sizes.ravel())
