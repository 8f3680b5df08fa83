"""What a sample costs: the multiply-adds and the touched numbers of every node, by the true shapes of its values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from math import ceil, log2, prod
from typing import Any

from onnx import helper

from latentarena.gates.node import Node
from latentarena.gates.shapes import Shape

Shapes = Mapping[str, Shape]

FREE = {  # move numbers or name them, and compute nothing
    *("Cast", "CastLike", "Constant", "ConstantOfShape", "DepthToSpace", "Dropout", "Expand", "EyeLike", "Flatten"),
    *("Identity", "Range", "Reshape", "SequenceAt", "SequenceConstruct", "SequenceLength", "Shape", "Size", "Slice"),
    *("SpaceToDepth", "Split", "SplitToSequence", "Squeeze", "Transpose", "Unsqueeze"),
}
NORMS = ("GroupNormalization", "InstanceNormalization", "LayerNormalization", "RMSNormalization")
PASSES = {  # over the numbers of the outcome, where an operator stands for several plain ones
    **dict.fromkeys(("BatchNormalization", "PRelu", "Softplus", "Swish", "ThresholdedRelu"), 2),
    **dict.fromkeys(("Celu", "Elu", "HardSigmoid", "LeakyRelu", "LpNormalization", "RotaryEmbedding"), 3),
    **dict.fromkeys(("Selu", "Shrink", "Softsign", "AffineGrid"), 3),
    **dict.fromkeys(("HardSwish", "Mish"), 4),
    **dict.fromkeys(("Gelu", "LogSoftmax", "MeanVarianceNormalization", "Softmax"), 5),
    **dict.fromkeys(NORMS, 5),  # and to scale and shift
}
READING = {  # cost what they read
    *("ArgMax", "ArgMin", "Compress", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "NonZero", "TopK"),
    *("ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin"),
    *("ReduceProd", "ReduceSum", "ReduceSumSquare", "Unique"),
}
ADDING = {"Col2Im", "Scatter", "ScatterElements", "ScatterND"}  # can add up many numbers to few
UNCHANGING = {"Add": 0.0, "Div": 1.0, "Mul": 1.0, "Sub": 0.0}  # and the constant that makes the operator none
ROUNDING = 1e-6
WINDOWS = {"AveragePool", "LpPool", "MaxPool"}
SAMPLED: dict[str, int] = {"nearest": 1, "linear": 4, "bilinear": 4, "cubic": 16, "bicubic": 16}  # numbers read for one


@dataclass(frozen=True)
class Cost:
    """Of one sample.

    Attributes:
        multiply_adds: of matrix products, convolutions, recurrent layers and attention.
        operations: these, and the numbers that every other operator touches.
    """

    multiply_adds: int = 0
    operations: int = 0

    def __add__(self, other: Cost) -> Cost:
        return Cost(self.multiply_adds + other.multiply_adds, self.operations + other.operations)


def cost_of(nodes: Iterable[Node], shapes: Shapes, uniform: Mapping[str, float], several: Mapping[str, int]) -> Cost:
    """What nodes cost together, by the shapes of what they read and give; a sequence has no shape and costs nothing.

    Args:
        nodes: of a graph.
        shapes: by name.
        uniform: constants whose numbers are all the same; to multiply by 1 or to add 0 costs nothing.
        several: constants that hold more than one stored number in each of theirs, and values that have room for
            several, and how many: one operation with them is as many.

    Raises:
        ValueError: a node whose shapes no runtime would take.
    """
    multiply_adds = touched = 0
    for node in nodes:
        many = max((several.get(name, 1) for name in node.input), default=1) if several else 1
        try:
            if node.op_type in PRODUCTS:
                products, others = PRODUCTS[node.op_type](node, shapes)
                multiply_adds, touched = multiply_adds + many * products, touched + many * others
            elif node.op_type not in FREE and not _unchanging(node, uniform):
                touched += many * _touched(node, shapes, uniform)
        except (KeyError, IndexError, ZeroDivisionError):
            raise ValueError(f"a {node.op_type} of shapes that it cannot have") from None
    return Cost(multiply_adds, multiply_adds + touched)


def _unchanging(node: Node, uniform: Mapping[str, float]) -> bool:
    """Whether a node multiplies by 1 or adds 0, or the like, or joins nothing to its input."""
    if node.op_type == "Concat":
        return len(node.input) == 1
    neutral, places = UNCHANGING.get(node.op_type), node.input if node.op_type in ("Add", "Mul") else node.input[1:]
    return neutral is not None and any(_is(uniform.get(name), neutral) for name in places)


def _is(value: float | None, neutral: float) -> bool:
    """Whether it is that number but for rounding, which no two libraries do alike."""
    return value is not None and abs(value - neutral) < ROUNDING


def _touched(node: Node, shapes: Shapes, uniform: Mapping[str, float]) -> int:
    """Numbers that an operator which is no product reads or gives, times its passes over them."""
    operator, given = node.op_type, sum(_size(name, shapes) for name in node.output)
    if operator in READING:
        return _size(node.input[0], shapes)
    if operator in WINDOWS:
        window: list[int] = list(_setting(node, "kernel_shape", [1]))
        return prod(shapes[node.output[0]]) * prod(window)
    if operator in ("Resize", "GridSample"):
        mode: str = _setting(node, "mode", b"nearest" if operator == "Resize" else b"linear").decode()
        touched = max(given, _size(node.input[0], shapes)) if _setting(node, "antialias", 0) else given
        return touched * (SAMPLED[mode] if mode in SAMPLED else max(SAMPLED.values()))
    if operator == "Clip":
        return given * len([name for name in node.input[1:] if name])
    if operator in ADDING:
        return max(given, *(_size(name, shapes) for name in node.input))
    if operator in ("Max", "Mean", "Min", "Sum"):
        return given * max(1, len(node.input) - 1)
    if operator in NORMS:
        affine = [
            name
            for name, none in zip(node.input[1:], (1.0, 0.0), strict=False)
            if name and not _is(uniform.get(name), none)
        ]
        return prod(shapes[node.output[0]]) * (PASSES[operator] + len(affine))
    if operator == "LRN":
        return given * (int(_setting(node, "size", 1)) + 3)
    if operator == "RoiAlign":
        samples = int(_setting(node, "sampling_ratio", 0))  # 0: as many as the region has, which is at most the map
        return max(given * 4 * max(1, samples) ** 2, 0 if samples else 4 * _size(node.input[0], shapes))
    return given * PASSES.get(operator, 1)


def _size(name: str, shapes: Shapes) -> int:
    return prod(shapes[name]) if name in shapes else 0


def _setting(node: Node, name: str, default: Any) -> Any:
    for attribute in node.attribute:
        if attribute.name == name:
            return helper.get_attribute_value(attribute)
    return default


def _gemm(node: Node, shapes: Shapes) -> tuple[int, int]:
    outcome, inner = prod(shapes[node.output[0]]), shapes[node.input[0]][0 if _setting(node, "transA", 0) else 1]
    return outcome * inner, outcome * (len(node.input) > 2 and node.input[2] != "")


def _matmul(node: Node, shapes: Shapes) -> tuple[int, int]:
    return prod(shapes[node.output[0]]) * shapes[node.input[0]][-1], 0


def _convolution(node: Node, shapes: Shapes) -> tuple[int, int]:
    """Of windows that read (Conv), or write (ConvTranspose)."""
    outcome, weight = prod(shapes[node.output[0]]), shapes[node.input[1]]
    windows = prod(shapes[node.input[0]]) if node.op_type == "ConvTranspose" else outcome
    return windows * prod(weight[1:]), outcome * (len(node.input) > 2 and node.input[2] != "")


def _deformed(node: Node, shapes: Shapes) -> tuple[int, int]:
    """A convolution whose windows are interpolated from four neighbours."""
    outcome, weight = shapes[node.output[0]], shapes[node.input[1]]
    windows = outcome[0] * prod(outcome[2:]) * prod(weight[2:]) * shapes[node.input[0]][1]
    return prod(outcome) * prod(weight[1:]), 4 * windows


def _einsum(node: Node, shapes: Shapes) -> tuple[int, int]:
    equation = _setting(node, "equation", b"").decode()
    size = _indices(equation, [shapes[name] for name in node.input])
    return (size * (len(node.input) - 1), 0) if len(node.input) > 1 else (0, size)


def _indices(equation: str, operands: list[Shape]) -> int:
    """How many products of one number of each operand an einsum sums up: the sizes of all its indices, multiplied."""
    sizes: dict[str, int] = {}
    for letters, shape in zip(equation.replace(" ", "").split("->")[0].split(","), operands, strict=False):
        before, dots, after = letters.partition("...")
        middle = [f".{i}" for i in range(len(shape) - len(before) - len(after), 0, -1)] if dots else []
        for letter, size in zip([*before, *middle, *after], shape, strict=False):
            sizes[letter] = max(size, sizes.get(letter, 1))
    return prod(sizes.values())


def _recurrent(node: Node, shapes: Shapes) -> tuple[int, int]:
    """GRU, LSTM and RNN: both matrices and the gates at each position, either direction."""
    first, weight, loop = (shapes[name] for name in node.input[:3])
    return first[0] * first[1] * (prod(weight) + prod(loop)), first[0] * first[1] * 4 * prod(weight[:2])


def _attention(node: Node, shapes: Shapes) -> tuple[int, int]:
    """Scores, their softmax and the weighted sum (Vaswani et al., 2017)."""
    query, key, value = (shapes[name] for name in node.input[:3])
    heads, others = _setting(node, "q_num_heads", 0), _setting(node, "kv_num_heads", 0)
    if len(query) == 3:
        query = (query[0], heads, query[1], query[2] // heads)
        key, value = ((rows[0], others, rows[1], rows[2] // others) for rows in (key, value))
    past = shapes[node.input[4]][2] if len(node.input) > 4 and node.input[4] else 0
    scores = prod(query[:3]) * (key[2] + past)
    return scores * (query[3] + value[3]), (1 + PASSES["Softmax"]) * scores


def _transformed(node: Node, shapes: Shapes) -> tuple[int, int]:
    """Fourier transforms, as fast ones."""
    outcome, longest = prod(shapes[node.output[0]]), max(2, *shapes[node.output[0]])
    return outcome * ceil(log2(longest)), 0


PRODUCTS: dict[str, Callable[[Node, Shapes], tuple[int, int]]] = {
    "Attention": _attention,
    "Conv": _convolution,
    "ConvTranspose": _convolution,
    "DFT": _transformed,
    "DeformConv": _deformed,
    "Det": lambda node, shapes: (prod(shapes[node.input[0]]) * shapes[node.input[0]][-1], 0),
    "Einsum": _einsum,
    "GRU": _recurrent,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _matmul,
    "RNN": _recurrent,
    "STFT": _transformed,
}
