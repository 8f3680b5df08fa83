"""Networks that are no judges and whose features images are compared in: DINOv2, others of transformers, ONNX graphs.

They know photographs. What they see in digits says little: a dataset's own judge stays the measure of its models.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import interpolate

from latentarena.errors import ConfigError, optional
from latentarena.files import digest
from latentarena.progress import counted
from latentarena.sandbox.runtime import open_session, run
from latentarena.text import meant

DINOV2 = {f"dinov2-{size}": f"facebook/dinov2-{size}" for size in ("small", "base", "large", "giant")}
PREFIX = "transformers:"
LARGEST_SIDE = 224  # pixels, of images that a transformer sees: what DINOv2's published features are of
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, where a model does not say its own
BATCH = 50  # images at a time


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features.

    Attributes:
        name: as it was named; digest: SHA-256 of its weights.
        side: of the square images that it sees; 0 where it takes them as they are.
        extract: colour images (n, 3, side, side) in [0, 1] -> features (n, D).
    """

    name: str
    digest: str
    side: int
    extract: Callable[[Tensor], Tensor]

    @torch.inference_mode()
    def look(self, images: Tensor) -> Tensor:
        """Features (N, D), float32, of images (N, C, H, W) in [0, 1] of one or three channels.

        Raises:
            ConfigError: images of another number of channels.
        """
        if images.shape[1] not in (1, 3):
            raise ConfigError(f"--features {self.name} takes grey or colour images, not {images.shape[1]} channels")
        batches = counted(torch.split(images, BATCH), "features")
        return torch.cat([self.extract(self._fitted(batch)).flatten(1).float() for batch in batches])

    def _fitted(self, batch: Tensor) -> Tensor:
        colour = batch.expand(-1, 3, -1, -1)
        if self.side in (0, batch.shape[-1]):
            return colour
        side = (self.side, self.side)  # as Parmar et al. (2022) ask for: bicubic, and antialiased where it shrinks
        return interpolate(colour, side, mode="bicubic", antialias=True).clamp(0, 1)


def open_extractor(named: str) -> Extractor:
    """The extractor of a name: `dinov2-small`, `transformers:NAME|FOLDER`, or the path of an ONNX file.

    Raises:
        ConfigError: there is none of this name, its package is not installed, or its weights are not at hand.
    """
    if named.endswith(".onnx"):
        return _graph(Path(named), named)
    if named in DINOV2 or named.startswith(PREFIX):
        return _transformer(DINOV2.get(named) or named.removeprefix(PREFIX), named)
    choices = f"{meant(named, DINOV2)}choose from {', '.join(DINOV2)}, {PREFIX}NAME or {PREFIX}FOLDER"
    raise ConfigError(
        f"--features {named[:200]}: {choices}, or give an .onnx file, which can be made of any network, such as one of "
        "timm or an Inception"
    )


def _graph(path: Path, named: str) -> Extractor:
    """An ONNX graph of one input, colour images (n, 3, H, W) in [0, 1], and one output (n, ...)."""
    try:
        content = [path.read_bytes(), *(one.read_bytes() for one in sorted(path.parent.glob(f"{path.name}.*")))]
    except OSError as error:
        raise ConfigError(f"--features {named}: {error.strerror}; give the path of an ONNX file") from None
    session = open_session(path, torch.get_num_threads(), named)  # which finds weights in files beside it
    ports, outputs = session.get_inputs(), session.get_outputs()
    shape = ports[0].shape
    if len(ports) != 1 or len(outputs) != 1 or len(shape) != 4 or shape[1] != 3:
        found = f"{[one.shape for one in ports]} and gives {[one.shape for one in outputs]}"
        raise ConfigError(f"--features {named} takes {found}; a graph from images [n, 3, H, W] to features is wanted")
    side = shape[2] if isinstance(shape[2], int) else 0

    def extract(images: Tensor) -> Tensor:
        row = tuple(outputs[0].shape[1:])
        return torch.from_numpy(run(session, {ports[0].name: images.contiguous().numpy()}, row, named))

    return Extractor(named, digest(*content), side, extract)


def _transformer(source: str, named: str) -> Extractor:
    """A model of images from the hub of transformers, or from a folder."""
    with optional("features", f"--features {named}"):
        from transformers import AutoModel, PretrainedConfig
    for library in ("transformers", "huggingface_hub"):  # what is wrong comes as an exception
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        model = AutoModel.from_pretrained(source, use_safetensors=True).eval()
    except Exception as error:  # of the hub, of the network, of the files
        raise ConfigError(
            f"--features {named}: the weights of {source} are not at hand ({type(error).__name__}): they are neither "
            f"kept here nor can they be downloaded; give a folder that holds them, as {PREFIX}FOLDER"
        ) from None
    weights = [tensor.contiguous().numpy().tobytes() for tensor in model.state_dict().values()]
    mean, deviation = _normalisation(source, PretrainedConfig)
    size = getattr(model.config, "image_size", None)
    side = min(size if isinstance(size, int) else LARGEST_SIDE, LARGEST_SIDE)

    def extract(images: Tensor) -> Tensor:
        found = model(pixel_values=(images - mean) / deviation)
        pooled = getattr(found, "pooler_output", None)
        return found.last_hidden_state[:, 0] if pooled is None else pooled  # type: ignore[no-any-return]

    return Extractor(named, digest(*weights), side, extract)


def _normalisation(source: str, reader: Any) -> tuple[Tensor, Tensor]:
    """Mean and deviation that a model wants of each colour, as its folder says, else those of ImageNet."""
    try:
        raw, _ = reader.get_config_dict(source, _configuration_file="preprocessor_config.json")
    except Exception:  # a model without that file
        raw = {}
    named = raw.get("image_mean", MEAN), raw.get("image_std", DEVIATION)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in named)
    return mean, deviation
