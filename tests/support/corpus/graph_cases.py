"""ONNX files that the graph gate must refuse (rows 1 to 10), made from an honest decoder of latents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import onnx
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto, helper

from corpus.case import Case
from latentarena.gates import Port

__all__ = ["CHECKED", "INPUTS", "OUTPUT", "REFUSED", "GraphCase", "honest", "unrolled"]

INPUTS, OUTPUT = [Port("latents", "float32", (6,))], Port("images", "float32", (1, 8, 8))
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64
node, tensor = helper.make_node, helper.make_tensor
Edit = Callable[[ModelProto], object]


@dataclass(frozen=True)
class GraphCase(Case):
    """A file by the function that makes it, and the slug of its refusal."""

    reason: str
    make: Callable[[], bytes]


def held(name: str, array: np.ndarray) -> TensorProto:
    return onnx.numpy_helper.from_array(array, name)


def honest() -> ModelProto:
    """Latents (n, 6) to images (n, 1, 8, 8) through one hidden layer."""
    draw = np.random.default_rng(0).normal
    weights = {"a": (6, 16), "b": (16,), "c": (16, 64), "d": (64,)}
    stored = [held(name, draw(size=size).astype(np.float32)) for name, size in weights.items()]
    nodes = [
        node("Gemm", ["latents", "a", "b"], ["h"], name="first"),
        node("Relu", ["h"], ["g"]),
        node("Gemm", ["g", "c", "d"], ["flat"], name="second"),
        node("Sigmoid", ["flat"], ["pixels"]),
        node("Reshape", ["pixels", "shape"], ["images"]),
    ]
    stored.append(held("shape", np.array([-1, 1, 8, 8])))
    return modelled(nodes, stored)


def modelled(nodes: list[NodeProto], stored: list[TensorProto]) -> ModelProto:
    ports = [
        helper.make_tensor_value_info("latents", FLOAT, ["n", 6]),
        helper.make_tensor_value_info("images", FLOAT, ["n", 1, 8, 8]),
    ]
    graph = helper.make_graph(nodes, "decode", ports[:1], ports[1:], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)


def unrolled(steps: int) -> ModelProto:
    """Eight nodes a step, as a sampler has them, before the honest decoder."""
    model = honest()
    rest = list(model.graph.node)
    del model.graph.node[:]
    now = "latents"
    for i in range(steps):
        names = [f"s{i}_{j}" for j in range(8)]
        model.graph.node.append(node("Mul", [now, "half"], names[:1]))
        for before, after in pairwise(names):
            operator = ("Tanh", "Sigmoid")[i % 2]
            model.graph.node.append(node(operator, [before], [after]))
        now = names[-1]
    rest[0].input[0] = now
    model.graph.node.extend(rest)
    model.graph.initializer.append(held("half", np.float32([0.5])))
    return model


def edited(change: Edit) -> Callable[[], bytes]:
    def make() -> bytes:
        model = honest()
        change(model)
        return model.SerializeToString()

    return make


def raw(change: Callable[[bytes], bytes]) -> Callable[[], bytes]:
    return lambda: change(honest().SerializeToString())


def then(*nodes: NodeProto, **stored: np.ndarray | TensorProto) -> Callable[[], bytes]:
    """The decoder, some nodes that look at its `pixels`, and some stored tensors."""

    def change(model: ModelProto) -> None:
        model.graph.node.extend(nodes)
        for name, value in stored.items():
            model.graph.initializer.append(value if isinstance(value, TensorProto) else held(name, value))

    return edited(change)


def ints(*numbers: int) -> np.ndarray:
    return np.array(numbers, np.int64)


def floats(*numbers: float) -> np.ndarray:
    return np.array(numbers, np.float32)


def looked_at(content: bytes) -> bytes:
    """The graph with its last value looked at by the output, so that no runtime leaves it out."""
    model = onnx.load_model_from_string(content)
    graph = model.graph
    last = next(one for one in graph.node if one.output[0] == "images")
    last.output[0] = "before"
    if "none" not in {tensor.name for tensor in graph.initializer}:
        graph.initializer.append(held("none", np.float32(0)))
    graph.node.extend(
        [
            helper.make_node("ReduceMax", ["v"], ["top"], keepdims=0),
            helper.make_node("Mul", ["top", "none"], ["nothing"]),
            helper.make_node("Add", ["before", "nothing"], ["images"]),
        ]
    )
    return model.SerializeToString()


# row 1: no ONNX file at all
def varint(number: int) -> bytes:
    out = b""
    while number > 127:
        out, number = out + bytes([number & 127 | 128]), number >> 7
    return out + bytes([number])


def field(number: int, content: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(content)) + content


def inside(more: bytes) -> bytes:
    """The decoder with something more in its graph, of whatever sense."""
    model = honest()
    graph = model.graph.SerializeToString()
    model.ClearField("graph")
    return model.SerializeToString() + field(7, graph + more)


GARBAGE = np.random.default_rng(1).bytes(10_000)
NOTHING: dict[str, tuple[str, Callable[[], bytes]]] = {
    "empty": ("onnx-parse", lambda: b""),
    "one byte": ("onnx-parse", lambda: b"\x08"),
    "garbage": ("onnx-parse", lambda: GARBAGE),
    "ones": ("onnx-parse", lambda: b"\xff" * 999),
    "zeros": ("onnx-parse", lambda: bytes(999)),
    "text": ("onnx-parse", lambda: b"import torch\n" * 9),
    "zip": ("onnx-parse", lambda: b"PK\x03\x04" + bytes(200)),
    "pickle": ("onnx-parse", lambda: b"\x80\x04\x95" + bytes(200)),
    "half": ("onnx-parse", raw(lambda c: c[: len(c) // 2])),
    "without its end": ("onnx-parse", raw(lambda c: c[:-1])),
    "without its start": ("onnx-parse", raw(lambda c: c[7:])),
    "length past the end": ("onnx-parse", lambda: b"\x3a\xff\xff\xff\xff\x0f" + bytes(20)),
    "no graph": ("onnx-parse", edited(lambda m: m.ClearField("graph"))),
    "empty graph": ("onnx-parse", edited(lambda m: (m.ClearField("graph"), m.graph.SetInParent()))),
    "twice": ("onnx-trailing", raw(lambda c: c + c)),
    "unknown field": ("onnx-trailing", raw(lambda c: c + field(999, bytes(1000)))),
    "unknown field inside": ("onnx-trailing", raw(lambda c: c + field(7, field(500, b"MZ" * 500)))),
    "a version twice": ("onnx-trailing", raw(lambda c: c + b"\x08\x0a")),
    "long varint": ("onnx-trailing", raw(lambda c: c + b"\x28\x80\x80\x80\x00")),
    "65 MB": ("too-large", lambda: bytes(65 << 20)),
}


# row 2: weights in other files
def elsewhere(target: TensorProto, location: str, **more: str) -> TensorProto:
    target.ClearField("raw_data")
    target.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        target.external_data.add(key=key, value=value)
    return target


def external(location: str, **more: str) -> Callable[[], bytes]:
    return edited(lambda model: elsewhere(model.graph.initializer[0], location, **more))


def hidden_tensor() -> TensorProto:
    return elsewhere(held("v", floats(1, 2, 3)), "../secret")


def branches(*inner: NodeProto, stored: list[TensorProto] | None = None) -> NodeProto:
    value = helper.make_tensor_value_info("v", FLOAT, None)
    graph = helper.make_graph(inner, "inner", [], [value], stored)
    return node("If", ["yes"], ["x"], then_branch=graph, else_branch=graph)


def sparse() -> onnx.SparseTensorProto:
    values, indices = elsewhere(held("v", floats(1)), "/etc/passwd"), held("i", ints(0))
    return helper.make_sparse_tensor(values, indices, [9])


def half_external(model: ModelProto) -> None:
    model.graph.initializer[0].external_data.add(key="location", value="weights.bin")


YES = held("yes", np.array([True]))
EXTERNAL: dict[str, tuple[str, Callable[[], bytes]]] = {
    "parent": ("external-data", external("../../../etc/passwd")),
    "absolute": ("external-data", external("/etc/passwd")),
    "sibling": ("external-data", external("weights.bin")),
    "device": ("external-data", external("/dev/zero", length=str(1 << 40))),
    "pipe": ("external-data", external("/proc/self/fd/0")),
    "card": ("external-data", external("card.json", offset="-1")),
    "nowhere": ("external-data", external("")),
    "without location": ("external-data", edited(lambda m: setattr(m.graph.initializer[1], "data_location", 1))),
    "beside its content": ("external-data", edited(half_external)),
    "in a constant": ("external-data", then(node("Constant", [], ["v"], value=hidden_tensor()))),
    "in a fill": ("external-data", then(node("ConstantOfShape", ["s"], ["v"], value=hidden_tensor()), s=ints(3))),
    "in an unknown operator": ("onnx-operator", then(node("Teleport", [], ["v"], value=hidden_tensor()))),
    "in a branch": ("onnx-subgraph", then(branches(node("Constant", [], ["v"], value=hidden_tensor())), yes=YES)),
    "of a branch": ("onnx-subgraph", then(branches(stored=[hidden_tensor()]), yes=YES)),
    "sparse": ("onnx-sparse", edited(lambda m: m.graph.sparse_initializer.append(sparse()))),
    "sparse constant": ("onnx-sparse", then(node("Constant", [], ["v"], sparse_value=sparse()))),
    "in a list": ("onnx-attribute", then(node("Identity", ["h"], ["v"], odd=[hidden_tensor()]))),
    "in training": (
        "onnx-training",
        edited(lambda m: m.training_info.add().initialization.initializer.append(sparse().values)),
    ),
}


# row 3: absurd shapes
def shaped(*dims: int) -> Callable[[], bytes]:
    def change(model: ModelProto) -> None:
        del model.graph.initializer[0].dims[:]
        model.graph.initializer[0].dims.extend(dims)

    return edited(change)


def described(*dims: int) -> Callable[[], bytes]:
    value = helper.make_tensor_value_info("h", FLOAT, list(dims))
    return edited(lambda model: model.graph.value_info.append(value))


def resized(side: str, dim: int, size: int) -> Callable[[], bytes]:
    def change(model: ModelProto) -> None:
        getattr(model.graph, side)[0].type.tensor_type.shape.dim[dim].dim_value = size

    return edited(change)


def fill(*dims: int) -> Callable[[], bytes]:
    value = tensor("v", FLOAT, [1], [0.0])
    value.dims[:] = dims
    return then(node("Constant", [], ["v"], value=value))


BIG = 1 << 31
SHAPES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "2^31 squared": ("onnx-dims", shaped(BIG, BIG)),
    "overflow to its size": ("onnx-dims", shaped(1 << 62, 4, 24)),
    "overflow to nothing": ("onnx-dims", shaped(1 << 32, 1 << 32)),
    "negative": ("onnx-dims", shaped(-6, 16)),
    "twice negative": ("onnx-dims", shaped(-6, -16)),
    "largest": ("onnx-dims", shaped((1 << 63) - 1)),
    "smallest": ("onnx-dims", shaped(-(1 << 63))),
    "rank 9": ("onnx-dims", shaped(96, *[1] * 8)),
    "rank 10000": ("onnx-dims", shaped(*[1] * 10_000)),
    "larger than its content": ("onnx-damaged", shaped(6, 17)),
    "smaller than its content": ("onnx-damaged", shaped(6, 15)),
    "a scalar": ("onnx-damaged", shaped()),
    "nothing": ("onnx-damaged", shaped(0)),
    "10^9 without content": ("onnx-damaged", fill(1000, 1000, 1000)),
    "constant": ("onnx-dims", fill(BIG, BIG)),
    "value": ("onnx-dims", described(BIG, BIG)),
    "negative value": ("onnx-dims", described(-1, 16)),
    "value of rank 100": ("onnx-dims", described(*[1] * 100)),
    "input": ("onnx-ports", resized("input", 1, BIG)),
    "output": ("onnx-ports", resized("output", 3, -8)),
}

# row 4: little that makes much, where the graph says so
HUGE = 10**12
GROWN: dict[str, tuple[str, Callable[[], bytes]]] = {
    "fill 10^9": ("onnx-absurd", then(node("ConstantOfShape", ["s"], ["v"]), s=ints(10**9))),
    "fill 10^12": ("onnx-absurd", then(node("ConstantOfShape", ["s"], ["v"]), s=ints(10**6, 10**6))),
    "fill by a constant": (
        "onnx-absurd",
        then(node("Constant", [], ["s"], value_ints=[10**6, 10**6]), node("ConstantOfShape", ["s"], ["v"])),
    ),
    "expand": ("onnx-absurd", then(node("Expand", ["h", "s"], ["v"]), s=ints(10**6, 10**6, 1, 1))),
    "tile": ("onnx-absurd", then(node("Tile", ["h", "s"], ["v"]), s=ints(10**6, 10**6))),
    "range": (
        "onnx-absurd",
        then(node("Range", ["s", "e", "i"], ["v"]), s=np.int64(0), e=np.int64(BIG - 1), i=np.int64(1)),
    ),
    "fine range": (
        "onnx-absurd",
        then(node("Range", ["s", "e", "i"], ["v"]), s=np.float32(0), e=np.float32(1), i=np.float32(1e-9)),
    ),
    "pad": ("onnx-absurd", then(node("Pad", ["h", "s"], ["v"]), s=ints(0, 0, 0, 10**9))),
    "resize by scale": ("onnx-absurd", then(node("Resize", ["images", "", "s"], ["v"]), s=floats(1, 1, 1e6, 1e6))),
    "resize to size": ("onnx-absurd", then(node("Resize", ["images", "", "", "s"], ["v"]), s=ints(1, 1, 10**5, 10**5))),
    "one hot": ("onnx-absurd", then(node("OneHot", ["i", "s", "w"], ["v"]), i=ints(1), s=ints(10**9), w=floats(0, 1))),
    "window": ("onnx-absurd", then(node("HannWindow", ["s"], ["v"]), s=np.int64(10**9))),
    "pads of a convolution": (
        "onnx-absurd",
        then(node("Conv", ["images", "w"], ["v"], pads=[10**6] * 4), w=np.ones((1, 1, 1, 1), np.float32)),
    ),
    "negative pads": (
        "onnx-absurd",
        then(node("Conv", ["images", "w"], ["v"], pads=[-1] * 4), w=np.ones((1, 1, 1, 1), np.float32)),
    ),
    "strides": (
        "onnx-absurd",
        then(node("ConvTranspose", ["images", "w"], ["v"], strides=[10**6] * 2), w=np.ones((1, 1, 1, 1), np.float32)),
    ),
    "window of a pool": ("onnx-absurd", then(node("MaxPool", ["images"], ["v"], kernel_shape=[1 << 40, 1 << 40]))),
    "beyond 32 bits": ("onnx-packed", then(node("ConstantOfShape", ["s"], ["v"]), s=ints(HUGE))),
}


def doubling(times: int) -> Callable[[], bytes]:
    names = ["h", *(f"v{i}" for i in range(times))]
    return then(*(node("Concat", [a, a], [b], axis=1) for a, b in pairwise(names)))


def shaped(*dims: str | int) -> Callable[[], bytes]:
    """An output whose sizes the file leaves open, and that has others than it must have."""

    def change(model: ModelProto) -> None:
        size = len(dims)
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("images", FLOAT, ["n", "c", "h", "w"]))
        model.graph.initializer[-1].CopyFrom(held("shape", ints(*dims))) if size else None

    return edited(change)


COMPUTED: dict[str, tuple[str, Callable[[], bytes]]] = {  # found by inferring shapes and running a row, in the box
    "another size than an open one": ("onnx-ports", shaped(-1, 1, 4, 16)),
    "another rank": ("onnx-checker", shaped(-1, 8, 8)),
    "rows by the numbers of a latent": (
        "onnx-size",
        then(
            node("Greater", ["latents", "zero"], ["some"]),
            node("NonZero", ["some"], ["found"]),
            node("Cast", ["found"], ["floats"], to=FLOAT),
            node("ReduceSum", ["floats"], ["sum"], keepdims=0),
            node("Mul", ["sum", "zero"], ["none"]),
            node("Add", ["images", "none"], ["v"]),
            zero=np.float32(0),
        ),
    ),
    "behind a size that inference leaves open": (
        "onnx-absurd",
        lambda: looked_at(
            then(
                node("Shape", ["latents"], ["s"]),
                node("ReduceSum", ["s"], ["t"]),
                node("Mul", ["t", "large"], ["u"]),
                node("Expand", ["none", "u"], ["v"]),
                none=floats(0),
                large=ints(1 << 25),
            )()
        ),
    ),
    "fill of a product": (
        "onnx-absurd",
        then(node("Mul", ["s", "s"], ["t"]), node("ConstantOfShape", ["t"], ["v"]), s=ints(30_000)),
    ),
    "doubled 40 times": ("onnx-absurd", doubling(40)),
    "outer product": (
        "onnx-absurd",
        then(
            node("Reshape", ["w", "c1"], ["x"]),
            node("MatMul", ["x", "w"], ["v"]),
            w=np.ones((1, 60_000), np.float32),
            c1=ints(60_000, 1),
        ),
    ),
}


# row 5: control flow, depth and number
def loop(trips: int) -> NodeProto:
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Concat", ["v", "v"], ["w"], axis=0)],
        "body",
        [helper.make_tensor_value_info(k, t, None) for k, t in (("i", INT64), ("c", TensorProto.BOOL), ("v", FLOAT))],
        [helper.make_tensor_value_info(k, t, None) for k, t in (("d", TensorProto.BOOL), ("w", FLOAT))],
    )
    return node("Loop", ["trips", "yes", "h"], ["x"], body=body)


def tree(depth: int) -> NodeProto:
    inner = node("Constant", [], ["v"], value=held("v", np.zeros(2_000, np.float32)))
    for _ in range(depth):
        inner = branches(inner)
    return inner


def nested(depth: int) -> bytes:
    """If in If in If: as deep as no protobuf library builds it."""
    graph = b""
    for _ in range(depth):
        attribute = field(1, b"then_branch") + field(6, graph) + b"\xa0\x01\x05"
        graph = field(1, field(4, b"If") + field(5, attribute))
    return inside(graph)


def function_bomb(model: ModelProto) -> None:
    """Thirty functions, each of which calls the one before ten times: 10^30 nodes in 2 KB."""
    model.opset_import.append(helper.make_opsetid("local", 1))
    for i in range(30):
        calls = [node(f"f{i - 1}", ["x"], [f"y{j}" if j else "y"], domain="local" if i else "") for j in range(10)]
        if not i:
            calls = [node("Identity", ["x"], ["y"])]
        model.functions.append(
            helper.make_function("local", f"f{i}", ["x"], ["y"], calls, [helper.make_opsetid("", 20)])
        )


def many(change: Callable[[GraphProto], object]) -> Callable[[], bytes]:
    return edited(lambda model: change(model.graph))


def constants(graph: GraphProto, count: int) -> None:
    for i in range(count):
        graph.initializer.add(name=f"t{i}", data_type=FLOAT, dims=[1], raw_data=bytes(4))


def attributes(count: int) -> NodeProto:
    made = node("Identity", ["h"], ["v"])
    for i in range(count):
        made.attribute.append(helper.make_attribute(f"a{i}", [0] * 10))
    return made


MANY: dict[str, tuple[str, Callable[[], bytes]]] = {
    "loop of 2^63": ("onnx-subgraph", then(loop(1), trips=np.int64((1 << 63) - 1), yes=YES)),
    "doubling loop": ("onnx-subgraph", then(loop(1), trips=np.int64(64), yes=YES)),
    "tree of branches": ("onnx-subgraph", then(tree(9), yes=YES)),
    "scan": ("onnx-subgraph", then(node("Scan", ["h"], ["v"]))),
    "sequence map": ("onnx-subgraph", then(node("SequenceMap", ["h"], ["v"]))),
    "graph in an honest operator": (
        "onnx-subgraph",
        then(node("Identity", ["h"], ["v"], body=helper.make_graph([], "inner", [], []))),
    ),
    "graphs in an honest operator": (
        "onnx-subgraph",
        then(node("Identity", ["h"], ["v"], bodies=[helper.make_graph([], "inner", [], [])] * 9)),
    ),
    "function bomb": ("onnx-functions", edited(function_bomb)),
    "5000 deep": ("onnx-parse", lambda: nested(5_000)),
    "90 deep": ("onnx-subgraph", lambda: nested(20)),
    "50,000 nodes": ("onnx-nodes", lambda: unrolled(6_250).SerializeToString()),
    "a million empty nodes": ("onnx-nodes", lambda: inside(b"\x0a\x00" * 10**6)),
    "a node of 500,000 inputs": (
        "onnx-nodes",
        many(lambda g: g.node.add(op_type="Sum", input=["h"] * 500_000, output=["v"])),
    ),
    "30,000 tensors": ("onnx-nodes", many(lambda g: constants(g, 30_000))),
    "a million values": ("onnx-nodes", lambda: inside(b"\x6a\x00" * 10**6)),
    "a long list": ("onnx-attribute", then(node("ReduceSum", ["h"], ["v"], axes=[1] * 10_000))),
    "a long text": ("onnx-attribute", then(node("Einsum", ["h"], ["v"], equation="a" * 10_000))),
    "many texts": ("onnx-attribute", then(node("LSTM", ["h"], ["v"], activations=["Tanh"] * 1_000))),
}


# row 6: whose operators
def domain(name: str, operator: str = "Gemm", imported: bool = True) -> Callable[[], bytes]:
    def change(model: ModelProto) -> None:
        if imported:
            model.opset_import.append(helper.make_opsetid(name, 1))
        model.graph.node[0].domain, model.graph.node[0].op_type = name, operator

    return edited(change)


def shadowing(model: ModelProto) -> None:
    calls = [node("Identity", ["x"], ["y"])]
    model.functions.append(helper.make_function("", "Sigmoid", ["x"], ["y"], calls, [helper.make_opsetid("", 20)]))


def opsets(*versions: int) -> Callable[[], bytes]:
    def change(model: ModelProto) -> None:
        del model.opset_import[:]
        model.opset_import.extend(helper.make_opsetid("", version) for version in versions)

    return edited(change)


STRANGE: dict[str, tuple[str, Callable[[], bytes]]] = {
    "contrib": ("onnx-domain", domain("com.microsoft", "FusedGemm")),
    "contrib undeclared": ("onnx-domain", domain("com.microsoft", imported=False)),
    "ml": ("onnx-domain", domain("ai.onnx.ml", "TreeEnsemble")),
    "training": ("onnx-domain", domain("ai.onnx.preview.training", "Adam")),
    "custom": ("onnx-domain", domain("evil")),
    "nearly the standard one": ("onnx-domain", domain("ai.onnx ", imported=False)),
    "in capitals": ("onnx-domain", domain("AI.ONNX", imported=False)),
    "line break": ("onnx-domain", domain("a\nb", imported=False)),
    "overload": ("onnx-domain", edited(lambda m: setattr(m.graph.node[0], "overload", "other"))),
    "function for an operator": ("onnx-functions", edited(shadowing)),
    "unknown operator": ("onnx-operator", then(node("Teleport", ["h"], ["v"]))),
    "no operator": ("onnx-operator", then(node("", ["h"], ["v"]))),
    "pictures": ("onnx-operator", then(node("ImageDecoder", ["h"], ["v"]))),
    "texts": ("onnx-operator", then(node("RegexFullMatch", ["h"], ["v"], pattern="(a+)+$"))),
    "quantised": ("onnx-operator", then(node("DynamicQuantizeLinear", ["h"], ["v"]))),
    "state": ("onnx-operator", then(node("Optional", ["h"], ["v"]))),
    "no opset": ("onnx-opset", opsets()),
    "opset 1": ("onnx-opset", opsets(1)),
    "opset of tomorrow": ("onnx-opset", opsets(999)),
    "negative opset": ("onnx-opset", opsets(-1)),
    "two opsets": ("onnx-opset", opsets(19, 20)),
    "IR of tomorrow": ("onnx-opset", edited(lambda m: setattr(m, "ir_version", 1 << 40))),
    "no IR": ("onnx-opset", edited(lambda m: m.ClearField("ir_version"))),
}


# row 7: inputs and outputs, and who is called how
def port(side: str, **changes: object) -> Callable[[], bytes]:
    def change(model: ModelProto) -> None:
        one = getattr(model.graph, side)[0]
        name, kind = changes.get("name", one.name), changes.get("kind", FLOAT)
        one.CopyFrom(helper.make_tensor_value_info(name, kind, changes.get("shape", ["n", 6])))

    return edited(change)


def more(side: str) -> Callable[[], bytes]:
    extra = helper.make_tensor_value_info("h", FLOAT, ["n", 16])
    return edited(lambda model: getattr(model.graph, side).append(extra))


def sequence(model: ModelProto) -> None:
    model.graph.input[0].CopyFrom(helper.make_tensor_sequence_value_info("latents", FLOAT, ["n", 6]))


def backwards(model: ModelProto) -> None:
    nodes = list(model.graph.node)[::-1]
    del model.graph.node[:]
    model.graph.node.extend(nodes)


PORTS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "input name": ("onnx-ports", port("input", name="z")),
    "output name": ("onnx-ports", port("output", name="pixels", shape=["n", 1, 8, 8])),
    "look-alike name": ("onnx-ports", port("input", name="latentѕ")),
    "line break in a name": ("onnx-ports", port("input", name="latents\nimages")),
    "double": ("onnx-ports", port("input", kind=TensorProto.DOUBLE)),
    "half": ("onnx-ports", port("input", kind=TensorProto.FLOAT16)),
    "text": ("onnx-ports", port("input", kind=TensorProto.STRING)),
    "no type": ("onnx-ports", port("input", kind=0)),
    "type of tomorrow": ("onnx-ports", port("input", kind=99)),
    "fixed rows": ("onnx-ports", port("input", shape=[4, 6])),
    "other size": ("onnx-ports", port("input", shape=["n", 7])),
    "fixed rows, unknown size": ("onnx-ports", port("input", shape=[4, "m"])),
    "rank 1": ("onnx-ports", port("input", shape=["n"])),
    "rank 10000": ("onnx-ports", port("input", shape=["n"] * 10_000)),
    "sequence": ("onnx-ports", edited(sequence)),
    "another input": ("onnx-ports", more("input")),
    "another output": ("onnx-ports", more("output")),
    "no input": ("onnx-ports", edited(lambda m: m.graph.ClearField("input"))),
    "no output": ("onnx-ports", edited(lambda m: m.graph.ClearField("output"))),
    "input with a default": ("onnx-names", then(latents=floats(*[0] * 6))),
    "tensor twice": ("onnx-names", edited(lambda m: m.graph.initializer.append(m.graph.initializer[0]))),
    "tensor without name": ("onnx-names", edited(lambda m: setattr(m.graph.initializer[0], "name", ""))),
    "name taken": ("onnx-names", then(node("Relu", ["h"], ["g"]))),
    "overwritten weights": ("onnx-names", then(node("Relu", ["h"], ["c"]))),
    "overwritten input": ("onnx-names", then(node("Relu", ["h"], ["latents"]))),
    "out of nowhere": ("onnx-names", then(node("Relu", ["nowhere"], ["v"]))),
    "in a circle": ("onnx-names", then(node("Add", ["h", "v"], ["v"]))),
    "backwards": ("onnx-names", edited(backwards)),
    "input is no text": ("onnx-ports", raw(lambda c: c.replace(b"latents", b"lat\xff\xfets"))),
    "name is no text": ("onnx-text", raw(lambda c: c.replace(b"pixels", b"pix\xff\xfes"))),
    "operator is no text": ("onnx-operator", raw(lambda c: c.replace(b"Sigmoid", b"S\xffgmoid"))),
    "metadata twice": ("onnx-metadata", edited(lambda m: [m.metadata_props.add(key="a", value="b") for _ in "ab"])),
    "much metadata": (
        "onnx-metadata",
        edited(lambda m: [m.metadata_props.add(key=str(i), value="b") for i in range(1000)]),
    ),
    "quantised": (
        "onnx-unexpected",
        edited(lambda m: m.graph.quantization_annotation.add(tensor_name="h")),
    ),
}

LYING: dict[str, tuple[str, Callable[[], bytes]]] = {  # found by ONNX's own checker, inside the box
    "lying shape": (
        "onnx-checker",
        edited(lambda m: m.graph.initializer[-1].CopyFrom(held("shape", ints(-1, 1, 4, 16)))),
    ),
    "lying value": ("onnx-checker", described(5, 5, 5)),
    "wrong sizes": ("onnx-checker", then(node("MatMul", ["h", "w"], ["v"]), w=np.ones((17, 2), np.float32))),
    "wrong type": ("onnx-checker", then(node("Add", ["h", "w"], ["v"]), w=ints(1))),
    "missing attribute": ("onnx-checker", then(node("Concat", ["h", "g"], ["v"]))),
    "too few inputs": ("onnx-checker", then(node("MatMul", ["h"], ["v"]))),
    "unknown attribute": ("onnx-checker", then(node("Relu", ["h"], ["v"], speed=9))),
    "no output": ("onnx-checker", then(node("Relu", ["h"], []))),
}


# row 8: numbers that are none
def spoiled(value: float, dtype: type = np.float32, field_of_its_own: bool = False) -> Callable[[], bytes]:
    array = np.ones(9, dtype)
    array[-1] = value
    made = held("w", array)
    if field_of_its_own:
        made = tensor("w", FLOAT, [9], array.tolist())
    return then(w=made)


NUMBERS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "NaN": ("not-finite", spoiled(np.nan)),
    "infinity": ("not-finite", spoiled(np.inf)),
    "minus infinity": ("not-finite", spoiled(-np.inf)),
    "NaN in a list": ("not-finite", spoiled(np.nan, field_of_its_own=True)),
    "NaN in half": ("not-finite", spoiled(np.nan, np.float16)),
    "infinity in half": ("not-finite", spoiled(np.inf, np.float16)),
    "lone NaN": ("not-finite", then(w=np.float32(np.nan))),
    "NaN in a constant": ("not-finite", then(node("Constant", [], ["v"], value_floats=[1.0, float("nan")]))),
    "NaN constant": ("not-finite", then(node("Constant", [], ["v"], value_float=float("nan")))),
    "NaN in a fill": (
        "not-finite",
        then(node("ConstantOfShape", ["s"], ["v"], value=held("v", floats(np.nan))), s=ints(3)),
    ),
    "NaN as slope": ("not-finite", then(node("LeakyRelu", ["h"], ["v"], alpha=float("nan")))),
}


# row 9: chance and training
def dropout(*inputs: str, **stored: np.ndarray) -> Callable[[], bytes]:
    return then(node("Dropout", ["h", "ratio", *inputs], ["v"]), ratio=np.float32(0.5), **stored)


def norm(**attributes: int) -> NodeProto:
    return node("BatchNormalization", ["h", *"bbbb"], ["v", "m", "s"], **attributes)


CHANCE: dict[str, tuple[str, Callable[[], bytes]]] = {
    **{
        operator: ("onnx-random", then(node(operator, inputs, ["v"])))
        for operator, inputs in (
            ("RandomNormal", []),
            ("RandomUniform", []),
            ("RandomNormalLike", ["h"]),
            ("RandomUniformLike", ["h"]),
            ("Bernoulli", ["pixels"]),
            ("Multinomial", ["pixels"]),
        )
    },
    "dropout in training": ("onnx-training", dropout("on", on=np.array(True))),
    "dropout at wish": (
        "onnx-training",
        then(node("Cast", ["h"], ["on"], to=9), node("Dropout", ["h", "r", "on"], ["v"]), r=np.float32(0.5)),
    ),
    "dropout by a constant": (
        "onnx-training",
        then(node("Constant", [], ["on"], value=held("on", np.array(True))), node("Dropout", ["h", "", "on"], ["v"])),
    ),
    "batch normalisation in training": ("onnx-training", then(norm(training_mode=1))),
    "instructions for training": (
        "onnx-training",
        edited(lambda m: m.training_info.add().algorithm.node.append(node("Relu", ["h"], ["v"]))),
    ),
}


# row 10: numbers of other kinds, and the same in other places
def stored_as(kind: int, **content: object) -> Callable[[], bytes]:
    def change(model: ModelProto) -> None:
        model.graph.initializer.add(name="w", data_type=kind, dims=[2], **content)

    return edited(change)


def odd_attribute(**content: object) -> Callable[[], bytes]:
    made = node("Identity", ["h"], ["v"])
    made.attribute.add(name="odd", **content)
    return then(made)


KINDS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "float64": ("onnx-type", then(w=np.ones(3))),
    "packed float64": ("onnx-type", then(w=floats(*range(8)).view(np.float64))),
    "float64 constant": ("onnx-type", then(node("Constant", [], ["v"], value=held("v", np.ones(3))))),
    "float64 in a list": ("onnx-type", stored_as(TensorProto.DOUBLE, double_data=[1, 2])),
    "uint64": ("onnx-type", stored_as(TensorProto.UINT64, uint64_data=[1, 2])),
    "complex": ("onnx-type", then(w=np.ones(3, np.complex64))),
    "texts": ("onnx-type", stored_as(TensorProto.STRING, string_data=[b"a", b"b"])),
    "bfloat16": ("onnx-type", stored_as(TensorProto.BFLOAT16, raw_data=bytes(4))),
    "float8": ("onnx-type", stored_as(TensorProto.FLOAT8E4M3FN, raw_data=bytes(2))),
    "4 bits": ("onnx-type", stored_as(TensorProto.INT4, raw_data=bytes(1))),
    "8 bits": ("onnx-type", then(w=np.ones(3, np.int8))),
    "no type": ("onnx-type", stored_as(0, raw_data=bytes(8))),
    "type of tomorrow": ("onnx-type", stored_as(99, raw_data=bytes(8))),
    "text constant": ("onnx-type", then(node("Constant", [], ["v"], value_string="a" * 100))),
    "text constants": ("onnx-type", then(node("Constant", [], ["v"], value_strings=["a", "b"]))),
    "weights as whole numbers": ("onnx-integers", then(w=np.zeros(70_000, np.int64))),
    "weights as booleans": ("onnx-integers", then(w=np.zeros(70_000, bool))),
    "whole numbers in constants": (
        "onnx-integers",
        then(*(node("Constant", [], [f"v{i}"], value_ints=[1] * 9_000) for i in range(8))),
    ),
    "two floats in a whole number": ("onnx-packed", then(w=floats(*range(1, 9)).view(np.int64))),
    "two contents": ("onnx-damaged", stored_as(FLOAT, raw_data=bytes(8), float_data=[1, 2])),
    "content of another type": ("onnx-damaged", stored_as(FLOAT, int32_data=[1, 2])),
    "half a number": ("onnx-damaged", stored_as(FLOAT, raw_data=bytes(7))),
    "no content": ("onnx-damaged", stored_as(FLOAT)),
    "in segments": ("onnx-damaged", stored_as(FLOAT, raw_data=bytes(8), segment=TensorProto.Segment(begin=0, end=1))),
    "too large for half": ("onnx-damaged", stored_as(TensorProto.FLOAT16, int32_data=[1, 1 << 20])),
    "attribute of no type": ("onnx-attribute", odd_attribute(i=1)),
    "attribute of two kinds": ("onnx-attribute", odd_attribute(type=AttributeProto.INT, i=1, floats=[1.0] * 1000)),
    "attribute by reference": ("onnx-attribute", odd_attribute(type=AttributeProto.INT, i=1, ref_attr_name="x")),
    "attribute of types": ("onnx-attribute", odd_attribute(type=AttributeProto.TYPE_PROTO, tp=onnx.TypeProto())),
}

ROWS = (
    (1, NOTHING),
    (2, EXTERNAL),
    (3, SHAPES),
    (4, GROWN),
    (5, MANY),
    (6, STRANGE),
    (7, PORTS),
    (8, NUMBERS),
    (9, CHANCE),
    (10, KINDS),
)
REFUSED = [GraphCase(row, name, *told) for row, table in ROWS for name, told in table.items()]
CHECKED = [GraphCase(row, name, *told) for row, table in ((4, COMPUTED), (7, LYING)) for name, told in table.items()]
