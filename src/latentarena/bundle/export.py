"""Export: a native bundle, or anybody's PyTorch modules, as a portable bundle that is checked before it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from latentarena.bundle.base import Provenance, Sampler
from latentarena.bundle.modules import of_other_bits, plain_module
from latentarena.bundle.native import NativeBundle
from latentarena.bundle.portable import (
    GRAPHS,
    PortableBundle,
    PortableCard,
    PortableModel,
    Sessions,
    read_portable,
    write_portable,
)
from latentarena.bundle.reading import CARD, read_files, refuse_bundle
from latentarena.bundle.slopes import plain_slopes
from latentarena.bundle.trace import to_onnx
from latentarena.bundle.trial import ROWS, compare, examples_on, tried
from latentarena.config import validate
from latentarena.data import Dataset, data_source
from latentarena.errors import BundleError, OutputError
from latentarena.gates import check_graph
from latentarena.gates.kinds import added_by_system
from latentarena.model.config import JUMP, SamplingConfig
from latentarena.model.latent_model import LatentModel
from latentarena.modes import evaluated
from latentarena.precision import Precision
from latentarena.sample import SOLVERS, last


def export_bundle(bundle: NativeBundle, folder: Path) -> PortableBundle:
    """Write a native bundle's portable form: the same model, with its own sampler and all of its steps inside.

    Raises:
        BundleError: the sampler is no function of the noise alone, the model cannot be exported, or what was exported
            gives other images.
        OutputError: the folder cannot be written to, or holds something else.
    """
    model, card = bundle.model, bundle.card
    _refuse_unportable(card.sampling)
    modules = {"encode": _Encoder(model), "decode": _Decoder(model), "generate": _Generator(model)}
    sampling = Sampler(**card.sampling.model_dump(include={"solver", "steps", "guidance"}))
    facts = {
        "name": card.name,
        "shape": card.shape,
        "latent": card.latent,
        "noise": model.noise_shape,
        "precision": card.precision,
        "classes": card.classes,
        "conditional": model.conditional,
        "pixels": not model.learned,
        "sampling": sampling,
        "data": card.data,
        "provenance": card.provenance,
    }
    repeated = [one for one in (model.network, model.weaker) if one is not None]
    return _export(folder, facts, modules, repeated, differentiated=model.classifier is not None)


def export_modules(
    folder: Path,
    name: str,
    encode: nn.Module,
    decode: nn.Module,
    generate: nn.Module,
    image_shape: tuple[int, int, int],
    latent_shape: tuple[int, ...],
    noise_shape: tuple[int, ...],
    classes: Sequence[str] = (),
    conditional: bool = False,
    pixels: bool = False,
    precision: Precision = "float16",
    dataset: str | Dataset = "mnist",
    sampling: Sampler | None = None,
    provenance: Provenance | None = None,
    repeated: Sequence[nn.Module] = (),
) -> PortableBundle:
    """Write any PyTorch modules as a portable bundle; they are called in evaluation mode, on the device they are on.

    Args:
        folder: is made.
        name: what to call the model.
        encode: images float32 (n, C, H, W) in [0, 1] -> latents float32 (n, *latent_shape).
        decode: latents -> images.
        generate: noise, standard normal float32 (n, *noise_shape), and labels int64 (n,) where `conditional` -> images,
            drawing no random numbers of its own.
        image_shape: (C, H, W).
        latent_shape, noise_shape: of one latent, and of one sample's noise.
        classes: names of the labels.
        conditional: whether `generate` takes labels.
        pixels: the latent is the image itself, so that there is no reconstruction to be judged.
        precision: to which the judge rounds latents before it has them decoded; float32 holds larger numbers, and a
            contest may round to fewer bits.
        dataset: what it was trained on, as in a recipe's `data.name`, or as it was loaded.
        sampling: what `generate` does, in words.
        provenance: how it came to be.
        repeated: modules that `generate` calls at every step, which makes them worth tracing once; they hold no state.

    Raises:
        BundleError: a module cannot be exported, or what was exported gives something else than the module.
        ConfigError: shapes, classes or dataset that are impossible.
        OutputError: the folder cannot be written to, or holds something else.
    """
    facts = {
        "name": name,
        "shape": image_shape,
        "latent": latent_shape,
        "noise": noise_shape,
        "classes": classes,
        "conditional": conditional,
        "pixels": pixels,
        "precision": precision,
        "sampling": sampling or Sampler(),
        "data": data_source(dataset),
        "provenance": provenance,
    }
    return _export(folder, facts, {"encode": encode, "decode": decode, "generate": generate}, repeated)


class _Encoder(nn.Module):
    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.autoencoder = model.autoencoder

    def forward(self, images: Tensor) -> Tensor:
        return self.autoencoder.encode(images).mean


class _Decoder(nn.Module):
    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.autoencoder = model.autoencoder

    def forward(self, latents: Tensor) -> Tensor:
        return self.autoencoder.decode(latents)


class _Generator(nn.Module):
    """All of the sampler; its times are known before anything is traced."""

    def __init__(self, model: LatentModel) -> None:
        super().__init__()
        self.model, self.how = model, model.architecture.sampling
        self.times = model.times(self.how)

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        fresh = torch.randn_like  # is never called: see `_refuse_unportable`
        return self.model.autoencoder.decode(last(self.model.walk(noise, labels, self.how, self.times, fresh)))


def _refuse_unportable(how: SamplingConfig) -> None:
    """Raise a BundleError where the sampler cannot be unrolled into a function of the noise alone."""
    method = None if how.solver == JUMP else SOLVERS[how.solver]
    if method is None or method.exports(how.steps, how.eta):
        return
    way_out = ", ".join(name for name, other in SOLVERS.items() if other.exports(steps=2))
    way_out = f"set sampling.solver to a deterministic one of fixed steps: {way_out}"
    if method.adaptive:
        raise BundleError(f"solver = {how.solver} chooses its steps while it runs; {way_out}")
    if method.landing:
        raise BundleError(f"solver = {how.solver} with {how.steps} steps adds fresh noise between them; set steps to 1")
    way_out = way_out if how.eta is None else "set sampling.eta to 0"
    raise BundleError(f"solver = {how.solver} adds fresh noise, but a portable model is a function; {way_out}")


def _export(
    folder: Path,
    facts: dict[str, Any],
    modules: dict[str, nn.Module],
    repeated: Sequence[nn.Module],
    differentiated: bool = False,
) -> PortableBundle:
    """Try, trace, compare and write: the graphs first, so that a card never speaks of files that are not there."""
    nothing = {"form": "portable", "hashes": dict.fromkeys(GRAPHS, "0" * 64), "parameters": {}}
    card = validate(PortableCard, nothing | facts, "the portable card")
    refuse_strangers(folder, card.name)
    modules = {graph: plain_module(module, f"{graph} of {card.name!r}") for graph, module in modules.items()}
    modules = {graph: _of_arity(module, len(card.ports(graph)[0])) for graph, module in modules.items()}
    with evaluated(*modules.values()), plain_slopes():
        expected = {graph: tried(card, graph, module) for graph, module in modules.items()}
        graphs = {}
        for graph, module in reversed(modules.items()):  # the most likely to fail comes first
            inputs, output = card.ports(graph)
            graphs[graph] = to_onnx(
                module,
                examples_on(card, graph, module),
                [port.name for port in inputs],
                output.name,
                f"{graph} of {card.name!r}",
                differentiated and graph == "generate",
                repeated if graph == "generate" else (),
            )
        contents = {graph: graphs[graph].SerializeToString(deterministic=True) for graph in GRAPHS}
        gated = {
            graph: check_graph(content, *card.ports(graph), f"{graph} of {card.name!r}")
            for graph, content in contents.items()
        }
        model = PortableModel(card, Sessions(card, contents))
        for graph, module in modules.items():
            for rows in (ROWS, 1):
                found = getattr(model, graph)(*(part[:rows].cpu() for part in examples_on(card, graph, module)))
                compare(card, graph, found, expected[graph][:rows], f"once it is exported{of_other_bits(module)}")
    write_portable(folder, card, contents, gated)
    return read_portable(read_files(folder), folder)


class _OfOne(nn.Module):
    """A module that is called with one tensor, however it spells its arguments."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, rows: Tensor) -> Any:
        return self.inner(rows)


class _OfTwo(_OfOne):
    """A module that is called with noise and labels."""

    def forward(self, noise: Tensor, labels: Tensor) -> Any:  # type: ignore[override]
        return self.inner(noise, labels)


def _of_arity(module: nn.Module, inputs: int) -> nn.Module:
    """The module with so many named arguments, since one of `*args` cannot be traced."""
    return _OfOne(module) if inputs == 1 else _OfTwo(module)


def refuse_strangers(folder: Path, name: str, but: Collection[str] = ()) -> None:
    """Raise an OutputError where a folder holds anything but a portable bundle of this model, such as a native one.

    Args:
        folder: to be written to; it need not be there.
        name: of the model.
        but: names of other files that may lie there.
    """
    names = {path.name for path in folder.iterdir()} if folder.is_dir() else set()
    own = {
        CARD,
        *(f"{graph}.onnx" for graph in GRAPHS),
        *(name + end for name in but for end in ("", ".data", "_data")),
    }
    strangers = sorted(name for name in names - own if not added_by_system(name))
    if strangers:
        raise OutputError(f"cannot write {folder}: it holds {strangers[0]}; choose an empty folder")
    refuse_bundle(folder, but=("portable", name))
