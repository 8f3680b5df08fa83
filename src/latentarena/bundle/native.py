"""The native bundle: a folder of `card.json` and `weights.safetensors`, and no code.

The card names an architecture of registered parts; the weights must fit it tensor by tensor. Anything else is
refused before a module is built from it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.overrides import TorchFunctionMode

from latentarena.bundle.base import AnyBundle, Bundle, Card, Provenance
from latentarena.bundle.exchanged import exchanged
from latentarena.bundle.foreign import MOST_PARTS, refuse_foreign, refuse_missing
from latentarena.bundle.reading import CARD, NATIVE, part, read_card, read_files
from latentarena.config import validate
from latentarena.data import DataSource
from latentarena.errors import ArenaError, BundleError, ConfigError, GateError
from latentarena.files import digest, make_folder, write_atomically, write_text
from latentarena.gates import Files, check_tensors
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import Architecture, LatentModel
from latentarena.parts import ForeignPart, foreign_in
from latentarena.system import starved
from latentarena.text import plain_line, shown
from latentarena.train.checkpoint import mismatch, separate

WEIGHTS = "weights.safetensors"


class BundleCard(Card):
    """`card.json` of a native bundle; see `Card`.

    Attributes:
        architecture: the registered parts that the weights fill.
        parts: those of them that do not come with this package.
        weights: SHA-256 of `weights.safetensors`.
        provenance: how it came to be.
    """

    architecture: Architecture
    parts: tuple[ForeignPart, ...] = Field(default=(), max_length=MOST_PARTS)
    weights: str = Field(pattern="^[0-9a-f]{64}$")
    provenance: Provenance

    @property
    def form(self) -> str:
        """The kind of bundle."""
        return "native"

    @property
    def shape(self) -> tuple[int, int, int]:
        """Channels, height and width of the images."""
        return self.architecture.shape

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the labels."""
        return self.architecture.classes

    @property
    def sampling(self) -> SamplingConfig:
        """How samples are drawn."""
        return self.architecture.sampling

    @property
    def data(self) -> DataSource:
        """What it was trained on.

        Raises:
            BundleError: the recipe does not say so in a form that this version reads.
        """
        try:
            return validate(DataSource, self.provenance.recipe.get("data", {}), "the bundle's recipe, data")
        except ConfigError as error:
            raise BundleError(str(error)) from None


NativeBundle = Bundle[BundleCard, LatentModel]


def save_bundle(folder: Path, name: str, model: LatentModel, provenance: Provenance) -> NativeBundle:
    """Write a bundle; the weights first, so that a card never speaks of weights that are not there.

    Raises:
        BundleError: the model's modules or their settings are not those of its architecture, so that its weights
            would make another model when they are loaded; nothing is written.
        OutputError: the folder cannot be written to.
    """
    _refuse_exchanged(model)
    make_folder(folder)
    weights = save(separate(model.state_dict()))
    card = BundleCard(
        name=name,
        architecture=model.architecture,
        latent=model.latent_shape,
        weights=digest(weights),
        parameters=model.parts(),
        parts=foreign_in(model.architecture),
        provenance=provenance,
    )
    write_atomically(folder / WEIGHTS, weights)
    write_text(folder / CARD, card.model_dump_json(indent=2) + "\n")
    return read_native(read_files(folder), folder)


def _refuse_exchanged(model: LatentModel) -> None:
    """Raise a BundleError where a model is not made of what its architecture says."""
    fault = exchanged(model, LatentModel(model.architecture))
    if fault:
        raise BundleError(
            f"this model is not what its architecture makes: {fault}; register the part and name it in the recipe, or "
            "write a portable bundle: latentarena.bundle.export_modules"
        )


def native_of(bundle: AnyBundle) -> NativeBundle:
    """A bundle that was opened, if it is native.

    Raises:
        BundleError: it is not.
    """
    if bundle.model.native is None:
        where = bundle.place / CARD
        raise BundleError(f"{where}: a {bundle.card.form} bundle, whose parts cannot be taken apart; give a native one")
    return cast(NativeBundle, bundle)


def read_native(files: Files, folder: Path, trusted: bool = True) -> NativeBundle:
    """Check a bundle and build it from the content of its files; `folder` is where messages say that they lie.

    Args:
        trusted: whether its model may be made of parts that do not come with this package.

    Raises:
        GateError: it is not trusted, and is made of such parts.
        BundleError: naming the file and what is wrong with it: not JSON, unknown keys, wrong hash, tensors that
            are missing, extra, of another shape or type, values that are not finite.
    """
    try:
        raw = read_card(files, folder)
        refuse_missing(raw, folder / CARD, trusted)
        card = validate(BundleCard, raw, str(folder / CARD))
        if not trusted:
            refuse_foreign(foreign_in(card.architecture), folder / CARD)
    except GateError:
        raise
    except ArenaError as error:
        raise BundleError(str(error)) from None
    content = part(files, WEIGHTS, folder, NATIVE)
    try:
        blueprint = _blueprint(card.architecture)  # a card cannot make us allocate what its weights do not hold
        if card.latent != blueprint.latent_shape:
            raise BundleError(f"latent = {shown(card.latent)}, but the architecture has {list(blueprint.latent_shape)}")
        if card.parameters != blueprint.parts():
            raise BundleError(f"parameters = {card.parameters}, but the architecture has {blueprint.parts()}")
    except ArenaError as error:
        raise BundleError(f"{folder / CARD}: {error}") from None
    except Exception as error:
        if starved(error):
            raise
        # it was numbers that torch cannot count with, in whatever words it has for that
        words = plain_line(str(error))
        raise BundleError(f"{folder / CARD}: architecture cannot be built: {type(error).__name__}: {words}") from None
    tensors = _fitting(blueprint, content, folder / WEIGHTS)
    if digest(content) != card.weights:
        raise BundleError(f"{folder / WEIGHTS} does not have the hash that {CARD} declares; the two are not one bundle")
    model = LatentModel(card.architecture)
    model.load_state_dict(tensors)
    model.eval().requires_grad_(False)
    return Bundle(card, model, digest(files[CARD], content), {WEIGHTS: len(content)}, folder)


class _Lean(TorchFunctionMode):
    """Leaves a meta tensor as it is where only values would change: torch loads its compiler for that, in a second."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = kwargs or {}
        if func.__name__ == "linspace" and "device" not in named:
            return torch.empty(args[2])
        if func.__name__ in ("normal_", "exp", "sin", "cos"):
            tensor = args[0] if args else named["tensor"]
            if tensor.is_meta:
                return tensor
        return func(*args, **named)


def _blueprint(architecture: Architecture) -> LatentModel:
    """An architecture's model without its numbers: names, shapes and types alone."""
    with torch.device("meta"), _Lean():
        return LatentModel(architecture)


def _fitting(blueprint: LatentModel, content: bytes, path: Path) -> dict[str, Tensor]:
    """The weights, once the gate has let them through and names and shapes are those of the architecture.

    Weights stored in float16 are computed with in float32, as all others.
    """
    check_tensors(content, str(path))
    try:
        tensors = load(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise BundleError(f"{path} is no safetensors file: {error}") from None
    halves = {name for name, tensor in tensors.items() if tensor.dtype == torch.float16}
    tensors = {name: tensor.float() if name in halves else tensor for name, tensor in tensors.items()}
    fault = mismatch(blueprint.state_dict(), tensors)
    if fault:
        raise BundleError(f"{path}: {fault}")
    return tensors
