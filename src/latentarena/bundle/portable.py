"""The portable bundle: a folder of `card.json` and three ONNX files, of any architecture and from any framework.

`encode.onnx` takes images (n, C, H, W) in [0, 1] and gives latents (n, *latent), `decode.onnx` the reverse, and
`generate.onnx` takes noise (n, *noise), and labels int64 (n,) where it is conditional, and gives images: all steps of
the sampler, so that generation is a function of its input.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import torch
from pydantic import Field, model_validator
from torch import Tensor

from latentarena.bounds import Label, Side
from latentarena.bundle.base import Bundle, Card, Sampler
from latentarena.bundle.reading import CARD, part, read_card
from latentarena.config import Config, validate
from latentarena.data import DataSource
from latentarena.errors import BundleError, ConfigError
from latentarena.files import digest, make_folder, write_atomically, write_text
from latentarena.gates import (
    Cost,
    Files,
    GraphFacts,
    Port,
    Size,
    bundle_in,
    check_graph,
    check_in_box,
    size_of,
)
from latentarena.gates.kinds import added_by_system, out_of_place
from latentarena.randomness import normal_rows
from latentarena.sandbox.runtime import open_session, run
from latentarena.sandbox.wire import Array

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

GRAPHS = ("encode", "decode", "generate")
HINT = f"a portable bundle is a folder of {CARD}, encode.onnx, decode.onnx and generate.onnx"
CHUNK = 500  # rows at a time
MOST_CLASSES = 10_000
MOST_NUMBERS = 1 << 16  # of one sample's noise or latent, unless an image has more: the judge holds those of 10,000
Sha = Field(pattern="^[0-9a-f]{64}$")


class Hashes(Config):
    """SHA-256 of each ONNX file."""

    encode: str = Sha
    decode: str = Sha
    generate: str = Sha


class PortableCard(Card):
    """`card.json` of a portable bundle; see `Card`. For its parameters see `parameters_of`.

    Attributes:
        noise: shape of one sample's noise.
        conditional: whether `generate` wants labels.
        pixels: the latent is the image itself, so there is no reconstruction to be judged.
        hashes: of the files.
        sampling: what is inside `generate`.
    """

    form: Literal["portable"]
    shape: tuple[Side, Side, Side]
    noise: tuple[Side, ...] = Field(min_length=1, max_length=3)
    classes: tuple[Label, ...] = Field(max_length=MOST_CLASSES)
    conditional: bool
    pixels: bool = False
    hashes: Hashes
    sampling: Sampler = Sampler()
    data: DataSource = DataSource()

    @model_validator(mode="after")
    def _possible(self) -> PortableCard:
        if self.conditional and not self.classes:
            raise ValueError("conditional = true, but there are no classes")
        if self.pixels and self.latent != self.shape:
            raise ValueError(f"pixels = true, but latent = {list(self.latent)} and shape = {list(self.shape)} differ")
        most = max(MOST_NUMBERS, prod(self.shape))
        for name, shape in (("noise", self.noise), ("latent", self.latent)):
            if prod(shape) > most:
                raise ValueError(f"{name} = {list(shape)} is {prod(shape):,} numbers a sample; at most {most:,}")
        return self

    def ports(self, graph: str) -> tuple[list[Port], Port]:
        """Inputs and output of a graph, by its name."""
        images, latents = Port("images", "float32", self.shape), Port("latents", "float32", self.latent)
        if graph == "generate":
            labels = [Port("labels", "int64", ())] if self.conditional else []
            return [Port("noise", "float32", self.noise), *labels], images
        return ([images], latents) if graph == "encode" else ([latents], images)

    def called(self, graph: str) -> str:
        """A graph's name in messages."""
        return f"{graph}.onnx of {self.name!r}"


class Graphs(Protocol):
    """The three graphs as something to run: in this process or in boxes."""

    def run(self, graph: str, inputs: Mapping[str, Array], threads: int) -> Array:
        """The output of a graph, float32, for inputs of some rows each."""

    def measured(self) -> Mapping[str, GraphFacts]:
        """Stored numbers of each graph and the operations of one row."""


class Sessions:
    """The graphs in this process: for bundles of one's own."""

    def __init__(self, card: PortableCard, contents: Mapping[str, bytes]) -> None:
        """Keep the files; nothing is run before it is asked for.

        Args:
            card: says what they are.
            contents: by the graph's name.
        """
        self._card, self._contents = card, contents
        self._sessions: dict[tuple[str, int], InferenceSession] = {}

    def run(self, graph: str, inputs: Mapping[str, Array], threads: int) -> Array:
        """See `Graphs`.

        Raises:
            BundleError: it cannot be run, or gives something else.
        """
        key, what = (graph, threads), self._card.called(graph)
        if key not in self._sessions:
            self._sessions[key] = open_session(self._contents[graph], threads, what)
        return run(self._sessions[key], inputs, self._card.ports(graph)[1].row, what)

    def measured(self) -> Mapping[str, GraphFacts]:
        """See `Graphs`."""
        return {
            graph: check_in_box(content, *self._card.ports(graph), self._card.called(graph))
            for graph, content in self._contents.items()
        }


class PortableModel:
    """The three graphs as functions of tensors on the CPU, with as many threads as torch has when they are called."""

    repeatable = True
    native = None
    log = ""

    def __init__(self, card: PortableCard, graphs: Graphs) -> None:
        """What `card` says of the graphs, and what runs them."""
        self.card, self._graphs = card, graphs
        self.conditional, self.classes, self.learned = card.conditional, card.classes, not card.pixels
        self.image_shape, self.noise_shape = card.shape, card.noise

    def measured(self) -> tuple[Cost, Size]:
        """What a sample takes, from noise to image, and what the three graphs hold together."""
        cost = self._measured["generate"].cost
        assert cost is not None
        parts = {name: (facts.stored, facts.held) for name, facts in self._measured.items() if facts.held is not None}
        return cost, size_of(parts)

    @cached_property
    def _measured(self) -> Mapping[str, GraphFacts]:
        return self._graphs.measured()

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, *latent) of images (N, C, H, W)."""
        return self._run("encode", {"images": images})

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of latents (N, *latent)."""
        return self._run("decode", {"latents": latents})

    def generate(self, noise: Tensor, labels: Tensor | None = None, *, seed: int = 0) -> Tensor:
        """Images (N, C, H, W) in [0, 1] from noise (N, *noise), and labels int64 (N,) if conditional.

        Args:
            noise, labels: all that it depends on.
            seed: of no use to a deterministic function; it is what a native model takes.
        """
        return self._run("generate", {"noise": noise} | ({} if labels is None else {"labels": labels}))

    def noise(self, n: int, seed: int, purpose: str = "sample") -> Tensor:
        """The standard normal noise that `seed` stands for, (n, *noise): what a native model would be given."""
        return normal_rows(n, self.noise_shape, seed, purpose)

    def _run(self, graph: str, inputs: dict[str, Tensor]) -> Tensor:
        names, threads = sorted(inputs), torch.get_num_threads()
        chunks = zip(*(torch.split(inputs[name], CHUNK) for name in names), strict=True)
        parts = []
        for chunk in chunks:
            arrays = {name: rows.detach().cpu().numpy() for name, rows in zip(names, chunk, strict=True)}
            parts.append(torch.from_numpy(self._graphs.run(graph, arrays, threads)))
        return torch.cat(parts)


PortableBundle = Bundle[PortableCard, PortableModel]


def parameters_of(facts: Mapping[str, GraphFacts]) -> dict[str, int]:
    """Stored numbers by part, whatever their type; the generator's are those that `decode` does not hold already."""
    found = {name: graph.stored for name, graph in facts.items()}
    parts = {
        "encoder": found["encode"],
        "decoder": found["decode"],
        "generator": found["generate"] - found["decode"],
    }
    return {part: sum(size * times for (_, size), times in tensors.items()) for part, tensors in parts.items()}


def write_portable(
    folder: Path, card: PortableCard, contents: Mapping[str, bytes], gated: Mapping[str, GraphFacts]
) -> None:
    """Write graphs and their card, with hashes and parameters filled in: the graphs first, then the card.

    Args:
        folder: is made.
        card: all but hashes and parameters.
        contents: of the files, by graph; gated: what the gates found in them.
    """
    hashes = Hashes(**{graph: digest(content) for graph, content in contents.items()})
    card = card.model_copy(update={"hashes": hashes, "parameters": parameters_of(gated)})
    make_folder(folder)
    for graph, content in contents.items():
        write_atomically(folder / f"{graph}.onnx", content)
    write_text(folder / CARD, card.model_dump_json(indent=2) + "\n")


def read_portable(files: Files, folder: Path) -> PortableBundle:
    """Check a portable bundle of one's own by the content of its files, which lie in `folder`; nothing in it is run.

    Raises:
        BundleError: naming the file and what is wrong with it: not JSON, unknown keys, no ONNX, files that are missing
            or extra, wrong hash, whatever `check_graph` refuses, miscounted parameters.
    """
    known, folder = {CARD, *(f"{graph}.onnx" for graph in GRAPHS)}, bundle_in(folder)
    names = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    extra = sorted(name for name in names - known if not added_by_system(name))
    if extra:
        wrong = out_of_place(extra[0])
        fault = f"is {wrong[1]}" if wrong else f"is no part of a bundle: {HINT}; take it away"
        raise BundleError(f"{folder / extra[0]} {fault}")
    card, contents = declared(files, folder)
    checked = {name: check_graph(contents[name], *card.ports(name), str(folder / f"{name}.onnx")) for name in GRAPHS}
    return bundled(card, Sessions(card, contents), checked, files, folder)


def declared(files: Files, folder: Path) -> tuple[PortableCard, dict[str, bytes]]:
    """The card of a portable bundle and the files that it names, by graph; `folder` is where messages say they lie.

    Raises:
        BundleError: the card is none, or a file is missing or is not the one that it names.
    """
    try:
        card = validate(PortableCard, read_card(files, folder), str(folder / CARD))
    except ConfigError as error:
        raise BundleError(str(error)) from None
    contents = {name: part(files, f"{name}.onnx", folder, HINT) for name in GRAPHS}
    for name, content in contents.items():
        if digest(content) != getattr(card.hashes, name):
            raise BundleError(
                f"{folder / f'{name}.onnx'} does not have the hash that {CARD} declares; the two are not one bundle"
            )
    return card, contents


def bundled(
    card: PortableCard, graphs: Graphs, facts: Mapping[str, GraphFacts], files: Files, folder: Path
) -> PortableBundle:
    """A bundle of checked parts.

    Raises:
        BundleError: the card has counted other parameters than `facts`, the findings by graph, have.
    """
    found = parameters_of(facts)
    if card.parameters != found:
        raise BundleError(f"{folder / CARD}: parameters = {card.parameters}, but the files hold {found}")
    contents = {f"{name}.onnx": files[f"{name}.onnx"] for name in GRAPHS}
    sizes = {name: len(content) for name, content in contents.items()}
    return PortableBundle(card, PortableModel(card, graphs), digest(files[CARD], *contents.values()), sizes, folder)
