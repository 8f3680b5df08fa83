"""The native bundle: a folder of `card.json` and `weights.safetensors`, and no code.

The card names an architecture of registered parts; the weights must fit it tensor by tensor. Anything else is
refused before a module is built from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from latentarena.bounds import Count, Label, Plain, Real, Seconds, Side, Words
from latentarena.bundle.reading import CARD, NATIVE, is_portable, part, read_card, read_files
from latentarena.config import Config, validate
from latentarena.data import DataConfig
from latentarena.errors import ArenaError, BundleError, ConfigError
from latentarena.files import digest, make_folder, write_atomically, write_text
from latentarena.gates import Files, check_tensors
from latentarena.latents import LatentStatistics
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import Architecture, LatentModel
from latentarena.precision import Precision
from latentarena.system import starved
from latentarena.train.checkpoint import mismatch

WEIGHTS = "weights.safetensors"
STAGES = 20  # most that a training has


class Curve(Config):
    """The loss curve of a stage of training: what it had come to after so many steps and seconds; equally long."""

    steps: tuple[Count, ...]
    seconds: tuple[Seconds, ...]
    losses: tuple[Real, ...]

    @model_validator(mode="after")
    def _matched(self) -> Curve:
        if not 0 < len(self.steps) == len(self.seconds) == len(self.losses):
            raise ValueError("steps, seconds and losses are not equally many, or none")
        return self

    def converged(self) -> int:
        """The first point from which on the loss stays within 5 % of the last one."""
        last = self.losses[-1]
        away = [i for i, loss in enumerate(self.losses) if abs(loss - last) > 0.05 * abs(last)]
        return away[-1] + 1 if away else 0


class Provenance(Config):
    """How a model came to be; self-reported.

    Attributes:
        recipe: the recipe in full, as it was run.
        dataset, data: name and content hash of the training data.
        seconds: training time by stage.
        losses: final loss by stage.
        curves: loss curves by stage, of at most 200 points.
        latents: what the autoencoder makes of the train split.
        machine, versions: where it was trained and with what.
        notice: what a reader must know first, such as stand-in data.
    """

    recipe: Plain
    dataset: Label
    data: Label
    seconds: dict[Label, Seconds] = Field(max_length=STAGES)
    losses: dict[Label, Real] = Field(max_length=STAGES)
    curves: dict[Label, Curve] = Field(default={}, max_length=STAGES)
    latents: LatentStatistics
    machine: Label
    versions: dict[Label, Label]
    notice: Words = ""


class BundleCard(Config):
    """`card.json`: what a model is outside the lab.

    Attributes:
        format: version of this schema.
        name: what to call the model.
        architecture: the registered parts that the weights fill.
        latent: shape of the latent; precision: to which the judge rounds its numbers before it has them decoded.
        output: declared range of the decoded pixels.
        weights: SHA-256 of `weights.safetensors`.
        parameters: stored numbers by part: encoder, decoder, generator.
        provenance: how it came to be.
    """

    format: Literal[1] = 1
    name: str = Field(min_length=1, max_length=80)
    architecture: Architecture
    latent: tuple[Side, ...]
    precision: Precision = "float16"
    output: tuple[Literal[0], Literal[1]] = (0, 1)
    weights: str = Field(pattern="^[0-9a-f]{64}$")
    parameters: dict[str, Count]
    provenance: Provenance

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
    def data(self) -> DataConfig:
        """What it was trained on.

        Raises:
            BundleError: it is no dataset that this version knows by name, such as somebody's own.
        """
        try:
            return validate(DataConfig, self.provenance.recipe.get("data", {}), "the bundle's recipe, data")
        except ConfigError as error:
            raise BundleError(str(error)) from None


@dataclass(frozen=True)
class Bundle:
    """A loaded bundle.

    Attributes:
        card: what it says of itself.
        model: in evaluation mode.
        digest: its identity, SHA-256 of card and weights.
        files: bytes of each file that holds weights.
    """

    card: BundleCard
    model: LatentModel
    digest: str
    files: dict[str, int]


def save_bundle(folder: Path, name: str, model: LatentModel, provenance: Provenance) -> Bundle:
    """Write a bundle; the weights first, so that a card never speaks of weights that are not there.

    Raises:
        BundleError: the model's modules are not those of its architecture, so that its weights would make another
            model when they are loaded; nothing is written.
        OutputError: the folder cannot be written to.
    """
    _refuse_exchanged(model)
    make_folder(folder)
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    weights = save(tensors)
    card = BundleCard(
        name=name,
        architecture=model.architecture,
        latent=model.latent_shape,
        weights=digest(weights),
        parameters=model.parts(),
        provenance=provenance,
    )
    write_atomically(folder / WEIGHTS, weights)
    write_text(folder / CARD, card.model_dump_json(indent=2) + "\n")
    return load_bundle(folder)


def _refuse_exchanged(model: LatentModel) -> None:
    """Raise a BundleError where a model is not made of what its architecture says."""
    with torch.device("meta"):
        blueprint = LatentModel(model.architecture)
    fault = mismatch(blueprint.state_dict(), model.state_dict())
    planned, there = (dict(one.named_modules()) for one in (blueprint, model))
    for name, module in planned.items():
        if fault is None and type(there.get(name)) is not type(module):
            fault = f"{name!r} is a {type(there.get(name)).__name__}, expected {type(module).__name__}"
        if fault is None:
            fault = _exchanged(name, there[name], module)
    if fault:
        raise BundleError(
            f"this model is not what its architecture makes: {fault}; register the part and name it in the recipe, or "
            "write a portable bundle: latentarena.bundle.export_modules"
        )


def _exchanged(name: str, module: torch.nn.Module, planned: torch.nn.Module) -> str | None:
    """A method that was put on a module, or a hook, which may change what comes in or out."""
    for key in vars(module).keys() - vars(planned).keys():
        if callable(getattr(type(planned), key, None)):
            return f"{name!r} has a {key} of its own"
    if module._forward_hooks or module._forward_pre_hooks:
        return f"{name!r} has hooks, which may change what it computes; remove them"
    return None


def load_bundle(path: Path) -> Bundle:
    """Read, check and build a bundle from its folder or zip file.

    Raises:
        BundleError: naming the file and what is wrong with it: not JSON, unknown keys, wrong hash, tensors that
            are missing, extra, of another shape or type, values that are not finite.
    """
    return native_of(read_files(path), path)


def native_of(files: Files, folder: Path) -> Bundle:
    """A bundle from the content of its files; `folder` is what messages call the place they lie in.

    Raises:
        BundleError: as `load_bundle` does.
    """
    raw = read_card(files, folder)
    if is_portable(raw):
        raise BundleError(f"{folder / CARD}: a portable bundle, whose parts cannot be taken apart; give a native one")
    try:
        card = validate(BundleCard, raw, str(folder / CARD))
    except ArenaError as error:
        raise BundleError(str(error)) from None
    content = part(files, WEIGHTS, folder, NATIVE)
    try:
        with torch.device("meta"):  # shapes alone: a card cannot make us allocate what its weights do not hold
            blueprint = LatentModel(card.architecture)
        if card.latent != blueprint.latent_shape:
            raise BundleError(f"latent = {list(card.latent)}, but the architecture has {list(blueprint.latent_shape)}")
        if card.parameters != blueprint.parts():
            raise BundleError(f"parameters = {card.parameters}, but the architecture has {blueprint.parts()}")
    except ArenaError as error:
        raise BundleError(f"{folder / CARD}: {error}") from None
    except Exception as error:
        if starved(error):
            raise
        # it was numbers that torch cannot count with, in whatever words it has for that
        words = " ".join(str(error).split())[:200]
        raise BundleError(f"{folder / CARD}: architecture cannot be built: {type(error).__name__}: {words}") from None
    tensors = _fitting(blueprint, content, folder / WEIGHTS)
    if digest(content) != card.weights:
        raise BundleError(f"{folder / WEIGHTS} does not have the hash that {CARD} declares; the two are not one bundle")
    model = LatentModel(card.architecture)
    model.load_state_dict(tensors)
    return Bundle(card, model.eval().requires_grad_(False), digest(files[CARD], content), {WEIGHTS: len(content)})


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
