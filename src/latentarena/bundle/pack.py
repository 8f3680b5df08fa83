"""Packing: three ONNX graphs of anybody's, from any framework, as a portable bundle with the card written for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from latentarena.bundle.export import refuse_strangers
from latentarena.bundle.portable import (
    CHUNK,
    GRAPHS,
    PortableBundle,
    PortableCard,
    PortableModel,
    Sessions,
    read_portable,
    write_portable,
)
from latentarena.bundle.reading import read_files
from latentarena.bundle.trial import ALONE, compare, examples, refuse_numbers
from latentarena.config import validate
from latentarena.data import DataSource
from latentarena.errors import BundleError
from latentarena.gates import check_graph
from latentarena.gates.file_set import MOST_BYTES
from latentarena.gates.graph import channels_last, ways_out
from latentarena.gates.operators import DOMAINS, spelled
from latentarena.outputs import APART
from latentarena.text import plain_line

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

ROWS, MOST_ROWS = (1, 2, 3), 1000  # that are tried, and that are tried where a graph is of so many
WRITTEN_OUT = (  # operators of converters in terms of standard ones, as functions of ONNX; {opset} is the model's
    """<domain: "", opset_import: ["": {opset}]>
    Erfc (x) => (y) {{ one = Constant <value = float {{1.0}}> ()  e = Erf (x)  y = Sub (one, e) }}""",
    """<domain: "ai.onnx.ml", opset_import: ["": {opset}]>
    Scaler <offset, scale> (x) => (y) {{
        o = Constant <value_floats: floats = @offset> ()
        s = Constant <value_floats: floats = @scale> ()
        centred = Sub (x, o)
        y = Mul (centred, s)
    }}""",
)


def named_graphs(files: Sequence[Path]) -> dict[str, Path]:
    """Which file is which graph: by their names where they have those of graphs, else by their order."""
    by_name = {path.stem.lower(): path for path in files}
    return by_name if by_name.keys() == set(GRAPHS) else dict(zip(GRAPHS, files, strict=True))


def pack_graphs(
    folder: Path,
    name: str,
    files: Mapping[str, Path],
    dataset: str | DataSource,
    classes: Sequence[str] = (),
    precision: str = "float16",
    pixels: bool = False,
) -> PortableBundle:
    """Write a portable bundle of three ONNX files: weights that lie beside a graph are put into it, the ports get their
    names, shapes are read from the graphs, parameters counted, hashes taken, and each graph is run.

    Args:
        folder: is made; it may be the one that holds the graphs.
        name: what to call the model.
        files: where encode, decode and generate are.
        dataset: what it was trained on, as in a recipe's `data.name`, or with the size of its images.
        classes: names of the labels; needed where `generate` takes labels.
        precision: to which the judge rounds latents.
        pixels: the latent is the image itself.

    Raises:
        BundleError: a graph cannot be read, run or taken by the gates, or its shapes cannot be told.
        OutputError: the folder cannot be written to, or holds something else.
    """
    inside = [path for path in files.values() if path.parent.resolve() == folder.resolve()]
    refuse_strangers(folder, name, but={one.name for path in inside for one in (path, *_beside(path))})
    models = {graph: _read(files[graph], graph) for graph in GRAPHS}
    declared = {rows for model in models.values() for rows in _opened(model)}
    facts = _shapes(models) | {"name": name, "classes": tuple(classes), "precision": precision, "pixels": pixels}
    data = dataset if isinstance(dataset, DataSource) else {"name": dataset}
    nothing = {"form": "portable", "hashes": dict.fromkeys(GRAPHS, "0" * 64), "parameters": {}}
    card = validate(PortableCard, nothing | facts | {"data": data}, "the card")
    contents = {graph: model.SerializeToString(deterministic=True) for graph, model in models.items()}
    gated = {graph: check_graph(contents[graph], *card.ports(graph), card.called(graph)) for graph in GRAPHS}
    _try(card, contents, sorted(declared.union(ROWS)))
    write_portable(folder, card, contents, gated)
    for path in inside:
        for weights in _beside(path):
            weights.unlink()  # they lie in the graph now
    return read_portable(read_files(folder), folder)


def _read(path: Path, graph: str) -> ModelProto:
    """A graph with its weights inside and its ports under the names that a bundle gives them."""
    import onnx

    try:
        if sum(file.stat().st_size for file in (path, *_beside(path))) > MOST_BYTES:
            raise BundleError(f"{path} has more than {MOST_BYTES:,} bytes with its weights; make the model smaller")
        model = onnx.load(path)  # external data too; ONNX lets no name lead out of the folder
    except OSError as error:
        raise BundleError(f"cannot read {path}: {error.strerror or error}; give an ONNX file") from None
    except BundleError:
        raise
    except Exception as error:  # protobuf and onnx have errors of their own
        raise BundleError(f"{path} is no ONNX file: {plain_line(str(error))}") from None
    model = _inlined(model, path)
    inner = {tensor.name for tensor in model.graph.initializer}
    inputs = [port for port in model.graph.input if port.name not in inner]
    wanted = {"encode": ["images"], "decode": ["latents"]}.get(graph, ["noise", "labels"])
    if not 1 <= len(inputs) <= len(wanted) or len(model.graph.output) != 1:
        has = f"{len(inputs)} inputs and {len(model.graph.output)} outputs"
        raise BundleError(f"{path} has {has}; {graph} takes {' and '.join(wanted)} and gives one tensor")
    if graph == "generate":
        inputs.sort(key=lambda port: port.type.tensor_type.elem_type != 1)  # noise is float32, labels are not
    names = {port.name: name for port, name in zip(inputs, wanted, strict=False)}
    names[model.graph.output[0].name] = "latents" if graph == "encode" else "images"
    _rename(model, names)
    for labels in inputs[1:]:
        _widen(model, labels)
    _store_once(model)
    _import_once(model)
    del model.graph.input[:]
    model.graph.input.extend(inputs)
    return model


def _opened(model: ModelProto) -> set[int]:
    """Declare the number of rows of all ports open; gives back those that were declared instead."""
    dims = [port.type.tensor_type.shape.dim for port in (*model.graph.input, *model.graph.output)]
    declared = {sizes[0].dim_value for sizes in dims if sizes and 0 < sizes[0].dim_value <= MOST_ROWS}
    for sizes in dims:
        if sizes:
            sizes[0].dim_param = "n"
    return declared


def _inlined(model: ModelProto, path: Path) -> ModelProto:
    """The model without functions of its own, and without operators that are to be written out."""
    import onnx.inliner
    import onnx.parser

    opset = next((one.version for one in model.opset_import if one.domain in DOMAINS), 0)
    used = {(node.domain, node.op_type) for part in (model.graph, *model.functions) for node in part.node}
    own = {(function.domain, function.name) for function in model.functions}
    for text in WRITTEN_OUT:
        function = onnx.parser.parse_function(text.format(opset=opset))
        if (function.domain, function.name) in used - own:
            model.functions.append(function)
    if not model.functions:
        return model
    try:
        return onnx.inliner.inline_local_functions(model, convert_version=True)
    except Exception as error:  # onnx has errors of its own, and does not convert every operator to another opset
        fault = plain_line(str(error))
        way = "make functions and graph for one opset, or inline them at export"
        raise BundleError(f"{path}: its functions cannot be inlined ({fault}); {way}") from None


def _rename(model: ModelProto, names: Mapping[str, str]) -> None:
    """Give values new names, wherever they are used; a value inside that has one of these gets another."""
    graph = model.graph
    named = (*graph.input, *graph.output, *graph.value_info, *graph.initializer)
    taken = {one.name for one in named} | {name for node in graph.node for name in (*node.input, *node.output)}
    new = dict(names)
    for name in sorted(taken.intersection(names.values()) - names.keys()):
        numbered = (f"{name}_{number}" for number in count(1))
        new[name] = next(one for one in numbered if one not in taken)
    for node in graph.node:
        node.input[:] = [new.get(one, one) for one in node.input]
        node.output[:] = [new.get(one, one) for one in node.output]
    for one in named:
        one.name = new.get(one.name, one.name)


def _widen(model: ModelProto, labels: ValueInfoProto) -> None:
    """Take labels of int32, as JAX makes them, as int64; the graph goes on with what they are cast to."""
    from onnx import TensorProto, helper

    kind = labels.type.tensor_type
    if kind.elem_type != TensorProto.INT32:
        return
    name, inner = labels.name, f"{labels.name}_int32"
    _rename(model, {name: inner})
    labels.name, kind.elem_type = name, TensorProto.INT64
    model.graph.node.insert(0, helper.make_node("Cast", [name], [inner], to=TensorProto.INT32))


def _store_once(model: ModelProto) -> None:
    """Merge weights that an exporter stored again for each step that uses them; every one that is stored counts."""
    given = {port.name for port in model.graph.output}
    first: dict[bytes, str] = {}
    same: dict[str, str] = {}
    for tensor in model.graph.initializer:
        name, tensor.name = tensor.name, ""
        same[name] = name if name in given else first.setdefault(tensor.SerializeToString(), name)
        tensor.name = name
    kept = [tensor for tensor in model.graph.initializer if same[tensor.name] == tensor.name]
    del model.graph.initializer[:]
    model.graph.initializer.extend(kept)
    for node in model.graph.node:
        node.input[:] = [same.get(one, one) for one in node.input]


def _import_once(model: ModelProto) -> None:
    """Name each set of operators once: `onnx.compose.merge_models` names those of both graphs."""
    from onnx import helper

    sets = dict.fromkeys((one.domain, one.version) for one in model.opset_import)
    del model.opset_import[:]
    model.opset_import.extend(helper.make_opsetid(*one) for one in sets)


def _shapes(models: Mapping[str, ModelProto]) -> dict[str, object]:
    """Shapes of images, latents and noise, and whether there are labels, as the graphs declare them."""
    takes = {graph: list(model.graph.input) for graph, model in models.items()}
    shape, latent, noise = (_row(takes[graph][0], f"{graph}.onnx") for graph in GRAPHS)
    if len(shape) != 3 or channels_last(shape):
        way_out = ways_out(takes["encode"][0], "takes")
        raise BundleError(
            f"encode.onnx takes {list(shape)}; images have channels, height and width: (n, C, H, W){way_out}"
        )
    return {"shape": shape, "latent": latent, "noise": noise, "conditional": len(takes["generate"]) == 2}


def _row(port: ValueInfoProto, what: str) -> tuple[int, ...]:
    """The shape of one row of an input."""
    sizes = tuple(dim.dim_value for dim in port.type.tensor_type.shape.dim)[1:]
    kind = port.type.tensor_type.elem_type
    if spelled(kind) != "float32":
        raise BundleError(f"{what} takes {port.name} of {spelled(kind)}; it has to be float32{ways_out(port, 'takes')}")
    if not sizes or 0 in sizes:
        known = ", ".join(str(size) if size else "?" for size in sizes) or "nothing"
        raise BundleError(
            f"{what} takes {port.name} of [n, {known}]; leave only the number of rows open when you export it"
        )
    return sizes


def _try(card: PortableCard, contents: Mapping[str, bytes], numbers: Sequence[int]) -> None:
    """Run each graph, so that what cannot run, or gives what a judge refuses, is told here and not by a judge."""
    model = PortableModel(card, Sessions(card, contents))
    for graph in GRAPHS:
        failed = {rows: error for rows in numbers if (error := _fault(card, model, graph, rows))}
        runs = [rows for rows in numbers if rows not in failed]
        if failed and runs:
            raise BundleError(
                f"{card.called(graph)} runs with {runs[0]} rows at a time and not with {min(failed)}; leave the number "
                "of rows open when you export it (dynamic_shapes, dynamic_axes), and write no number of rows into it"
            )
        if failed:
            raise failed[min(failed)]
        if graph == "generate" and card.conditional:
            _try_labels(card, model)
        _refuse_unfit(card, model, graph)


def _fault(card: PortableCard, model: PortableModel, graph: str, rows: int) -> BundleError | None:
    """Why a graph does not run with so many rows; any labels are the first."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(rows, dtype=torch.int64) if card.conditional else None
    try:
        if graph == "encode":
            model.encode(torch.rand(rows, *card.shape, generator=generator))
        elif graph == "decode":
            model.decode(torch.randn(rows, *card.latent, generator=generator))
        else:
            model.generate(model.noise(rows, 0), labels)
    except BundleError as error:
        return error
    return None


def _try_labels(card: PortableCard, model: PortableModel) -> None:
    """Have an image made of every label."""
    for labels in torch.split(torch.arange(len(card.classes)), CHUNK):
        try:
            images = model.generate(model.noise(len(labels), 0), labels)
        except BundleError as error:
            raise _of_label(card, model, labels, error) from None
        refuse_numbers(card, "generate", images, card.called("generate"))


def _of_label(card: PortableCard, model: PortableModel, labels: Tensor, error: BundleError) -> BundleError:
    """What labels fail with, together with the first of them that fails alone, if one does."""
    for label in torch.split(labels, 1):
        try:
            model.generate(model.noise(1, 0), label)
        except BundleError as own:
            known = f"that is for label {int(label)} of {len(card.classes)} classes"
            return BundleError(f"{own}; {known}; name those that it takes, in their order: --classes A,B,...")
    return error


def _refuse_unfit(card: PortableCard, model: PortableModel, graph: str) -> None:
    """Raise a BundleError where a graph gives what a judge refuses, or something else for a row alone."""
    run, rows = getattr(model, graph), examples(card, graph)
    given = run(*rows)
    refuse_numbers(card, graph, given, card.called(graph))
    alone = torch.cat([run(*row) for row in zip(*(torch.split(part, 1) for part in rows), strict=True)])
    compare(card, graph, alone, given, ALONE, APART)


def _beside(path: Path) -> list[Path]:
    """Files of weights that exporters write beside a graph."""
    return [one for one in (path.with_name(f"{path.name}.data"), path.with_name(f"{path.name}_data")) if one.is_file()]
