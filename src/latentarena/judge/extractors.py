"""Networks that are no judges and in whose features images are compared: of transformers and timm, Inception, graphs.

They know photographs. What they see in digits says little: a dataset's own judge stays the measure of its models.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.functional import interpolate

from latentarena.errors import ConfigError, optional
from latentarena.files import digest, digest_json
from latentarena.progress import counted
from latentarena.sandbox.runtime import open_session, run
from latentarena.text import meant, plain_line

DINOV2 = {f"dinov2-{size}": f"facebook/dinov2-{size}" for size in ("small", "base", "large", "giant")}
PREFIX = "transformers:"
TIMM, INCEPTION = "timm", "inception"  # the names of the extras too
LOUD = ("transformers", "timm", "huggingface_hub")  # which log what comes as an exception too
PUBLISHED = "model.safetensors"  # a model's weights on the hub
SETTINGS = ("config.json", "preprocessor_config.json")  # beside them: its architecture, and what it wants of images
LARGEST_SIDE = 224  # pixels, of images that a transformer sees: what DINOv2's published features are of
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet, where a model does not say its own
FLOATS = "tensor(float)"  # onnxruntime's name of float32
ORIGIN = "from where torch came from"
BATCH = 50  # images at a time


@dataclass(frozen=True)
class Extractor:
    """A network that turns images into features.

    Attributes:
        name: as it was named; digest: SHA-256 of its weights and of all else that decides its features.
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
            ConfigError: images of another number of channels, or what it makes of them is not finite.
        """
        if images.shape[1] not in (1, 3):
            raise ConfigError(f"--features {self.name} takes grey or colour images, not {images.shape[1]} channels")
        batches = counted(torch.split(images, BATCH), "features")
        features = torch.cat([self.extract(self._fitted(batch)).flatten(1).float() for batch in batches])
        if not bool(features.isfinite().all()):
            raise ConfigError(f"--features {self.name} gives numbers that are not finite; its weights may be damaged")
        return features

    def _fitted(self, batch: Tensor) -> Tensor:
        colour = batch.expand(-1, 3, -1, -1)
        if self.side in (0, batch.shape[-1]):
            return colour
        side = (self.side, self.side)  # as Parmar et al. (2022) ask for: bicubic, and antialiased where it shrinks
        return interpolate(colour, side, mode="bicubic", antialias=True).clamp(0, 1)


def open_extractor(named: str) -> Extractor:
    """The extractor of a name.

    It is `dinov2-small`, `transformers:NAME|FOLDER`, `timm:NAME`, `timm:NAME:FILE` with weights in a safetensors file,
    `inception`, `inception:FILE`, or the path of an ONNX file.

    Raises:
        ConfigError: there is none of this name, its package is not installed, or its weights are not at hand.
    """
    kind, _, rest = named.partition(":")
    _refuse_missing({TIMM: rest.partition(":")[2], INCEPTION: rest}.get(kind, ""), named)
    if named == INCEPTION or (kind == INCEPTION and rest):
        return _inception(rest, named)
    if kind == TIMM and rest:
        return _timm(rest, named)
    if named.endswith(".onnx"):
        return _graph(Path(named), named)
    if named in DINOV2 or named.startswith(PREFIX):
        return _transformer(DINOV2.get(named) or named.removeprefix(PREFIX), named)
    names = [*DINOV2, INCEPTION]
    choices = f"{meant(named, names)}choose from {', '.join(names)}, {PREFIX}NAME, {PREFIX}FOLDER or {TIMM}:NAME"
    raise ConfigError(
        f"--features {named[:200]}: {choices}, or give an .onnx file, which can be made of any other network"
    )


def _refuse_missing(file: str, named: str) -> None:
    """Refuse a file of weights that is not there, before a library that reads it is looked for (ConfigError)."""
    if file and not Path(file).is_file():
        raise ConfigError(f"--features {named}: there is no such file; give the path of a file of weights")


@contextmanager
def _library(extra: str, named: str) -> Iterator[None]:
    """Imports of a library of networks, which comes with an extra.

    Raises:
        ConfigError: it is not installed, its torchvision is not, or a torchvision is that was built for another torch,
            which breaks them all.
    """
    with optional(extra, f"--features {named}"):
        try:
            if find_spec("torchvision"):
                import_module("torchvision")
            yield
            for library in LOUD:
                logging.getLogger(library).setLevel(logging.CRITICAL)
        except ModuleNotFoundError as error:
            if str(error.name).partition(".")[0] != "torchvision":
                raise
            raise ConfigError(  # the extra might bring one of another torch, and that torch with it
                f"--features {named} needs torchvision: install it {ORIGIN}, such as pip install torchvision "
                "--index-url https://download.pytorch.org/whl/cpu beside a torch for CPUs"
            ) from None
        except RuntimeError as error:
            raise ConfigError(
                f"--features {named}: the installed torchvision was not built for torch {torch.__version__} "
                f"({plain_line(str(error), 80)}): install it {ORIGIN}, or uninstall it where only "
                "transformers are used"
            ) from None


def _weights(network: nn.Module) -> list[bytes]:
    """The numbers of a network's weights."""
    return [tensor.contiguous().numpy().tobytes() for tensor in network.state_dict().values()]


def _graph(path: Path, named: str) -> Extractor:
    """An ONNX graph of one input, colour images (n, 3, H, W) in [0, 1], and one output (n, ...)."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"--features {named}: {error.strerror}; give the path of an ONNX file") from None
    session = open_session(path, torch.get_num_threads(), named)  # which finds weights in files beside it
    ports, outputs = session.get_inputs(), session.get_outputs()
    shape = ports[0].shape
    sides = {one for one in shape[2:] if isinstance(one, int)}
    kinds = {one.type for one in (*ports, *outputs)}
    if (len(ports), len(outputs), len(shape)) != (1, 1, 4) or shape[1] != 3 or len(sides) > 1 or kinds != {FLOATS}:
        found = f"{[one.shape for one in ports]} and gives {[one.shape for one in outputs]}, {', '.join(sorted(kinds))}"
        wanted = "a graph from images [n, 3, H, W] to features is wanted, in float32 and of square images or any"
        raise ConfigError(f"--features {named} takes {found}; {wanted}")
    side = next(iter(sides), 0)

    def extract(images: Tensor) -> Tensor:
        row = tuple(outputs[0].shape[1:])
        return torch.from_numpy(run(session, {ports[0].name: images.contiguous().numpy()}, row, named))

    return Extractor(named, digest(content, *_beside(path, content)), side, extract)


def _beside(path: Path, content: bytes) -> list[bytes]:
    """The files that hold weights of a graph beside it, by name."""
    from onnx import load_model_from_string
    from onnx.external_data_helper import ExternalDataInfo, uses_external_data

    weights = load_model_from_string(content).graph.initializer
    names = {ExternalDataInfo(one).location for one in weights if uses_external_data(one)}
    return [(path.parent / name).read_bytes() for name in sorted(names)]


def _transformer(source: str, named: str) -> Extractor:
    """A model of images from the hub of transformers, or from a folder."""
    with _library("features", named):
        from transformers import AutoModel, PretrainedConfig
    try:
        model = AutoModel.from_pretrained(source, use_safetensors=True).eval()
    except Exception as error:  # of the hub, of the network, of the files
        raise ConfigError(
            f"--features {named}: the weights of {source} are not at hand ({type(error).__name__}): they are neither "
            f"kept here nor can they be downloaded; give a folder that holds them, as {PREFIX}FOLDER"
        ) from None
    settings = [_settings(source, file, PretrainedConfig) for file in SETTINGS]
    mean, deviation = _normalisation(settings[-1])
    size = getattr(model.config, "image_size", None)
    side = min(size if isinstance(size, int) else LARGEST_SIDE, LARGEST_SIDE)

    def extract(images: Tensor) -> Tensor:
        found = model(pixel_values=(images - mean) / deviation)
        pooled = getattr(found, "pooler_output", None)
        return found.last_hidden_state[:, 0] if pooled is None else pooled  # type: ignore[no-any-return]

    return Extractor(named, digest(digest_json(settings).encode(), *_weights(model)), side, extract)


def _settings(source: str, file: str, reader: Any) -> dict[str, Any]:
    """What one of the files beside a model's weights says, without what the library notes of where it lay."""
    try:
        raw, _ = reader.get_config_dict(source, _configuration_file=file)
    except Exception:  # a model without that file
        return {}
    return {name: value for name, value in raw.items() if not name.startswith("_")}


def _normalisation(raw: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Mean and deviation that a model wants of each colour, as its folder says, else those of ImageNet."""
    named = raw.get("image_mean", MEAN), raw.get("image_std", DEVIATION)
    mean, deviation = (torch.tensor(values).view(1, 3, 1, 1) for values in named)
    return mean, deviation


def _timm(wanted: str, named: str) -> Extractor:
    """A model of timm without its head, `NAME` with the published weights or `NAME:FILE`; it sees whole images."""
    with _library(TIMM, named):
        import timm
    name, _, file = wanted.partition(":")
    try:
        published = timm.get_pretrained_cfg(name)
    except RuntimeError:  # the model is known, and no weights of it have the name behind the point
        published = None
    if published is None:
        near = meant(name, [*timm.list_models(), *timm.list_pretrained()])
        raise ConfigError(f"--features {named}: {near}timm {timm.__version__} has no {name}: see timm.list_models()")
    _, height, width = published.input_size
    if height != width:
        raise ConfigError(f"--features {named} sees images of {height} x {width}; choose a model of square ones")
    model = _headless(timm.create_model, name, published, file, named)
    mean, deviation = (torch.tensor(one).view(1, 3, 1, 1) for one in (published.mean, published.std))

    def extract(images: Tensor) -> Tensor:
        return model((images - mean) / deviation)  # type: ignore[no-any-return]

    told = repr((name, published.mean, published.std))  # of one file's weights two models may make different features
    return Extractor(named, digest(told.encode(), *_weights(model)), height, extract)


def _headless(create: Callable[..., Any], name: str, published: Any, file: str, named: str) -> nn.Module:
    """A model of timm with the weights of a file, which must fill it, else those published; its head is taken off."""
    path = Path(file) if file else _downloaded(published.hf_hub_id, name, named)
    if path.suffix != ".safetensors":
        raise ConfigError(f"--features {named}: {path.name} is not opened; save its weights as .safetensors")
    try:
        how = {"file": str(path), "custom_load": False} | (_own_head(path, published.classifier) if file else {})
        classes = how.get("num_classes", published.num_classes)
        # with its head: timm insists that no weight is missing only where there are as many classes as in the file
        model = create(name, pretrained=True, pretrained_cfg_overlay=how, num_classes=classes).eval()
    except Exception as error:  # of the file, or of weights that do not fit
        raise ConfigError(f"--features {named}: {path} holds no weights of {name}: {plain_line(str(error))}") from None
    model.reset_classifier(0)
    return model  # type: ignore[no-any-return]


def _downloaded(source: str | None, name: str, named: str) -> Path:
    """The published weights of a model of timm, from the hub or as kept from there."""
    from huggingface_hub import hf_hub_download

    try:
        return Path(hf_hub_download(source, PUBLISHED))  # type: ignore[arg-type] # which refuses None
    except Exception as error:  # of the hub, of the network, or there are none
        raise ConfigError(
            f"--features {named}: the weights of {name} are not at hand ({type(error).__name__}): neither are they "
            f"kept here nor can they be downloaded as safetensors; give a file, as {TIMM}:{name}:FILE.safetensors"
        ) from None


def _own_head(path: Path, heads: str | tuple[str, ...] | None) -> dict[str, int]:
    """What timm is told of a file of weights, which may be of other classes than those published, or of none."""
    head = f"{heads if isinstance(heads, str) else (heads or ('head',))[0]}.weight"
    with safe_open(path, "pt") as file:
        named = [name for name in (head, f"module.{head}") if name in set(file.keys())]  # the latter of DataParallel
        classes = file.get_slice(named[0]).get_shape()[0] if named else 0
    return {"num_classes": classes, "label_offset": 0}


def _inception(file: str, named: str) -> Extractor:
    """The Inception of published Frechet distances, 2,048 features: TensorFlow's of 2015, as torch-fidelity has it."""
    with _library(INCEPTION, named):
        from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3
    try:
        if file:
            state = torch.load(file, map_location="cpu", weights_only=True)
        else:
            state = torch.hub.load_state_dict_from_url(
                URL_INCEPTION_V3, map_location="cpu", progress=False, check_hash=True, weights_only=True
            )
    except Exception as error:  # of the network, of the file
        raise ConfigError(
            f"--features {named}: its weights are not at hand ({type(error).__name__}); give a file of them, from "
            f"{URL_INCEPTION_V3}, as {INCEPTION}:FILE"
        ) from None
    ours = io.BytesIO()
    torch.save(state, ours)  # for torch-fidelity opens any pickle: it gets one of what was read here, tensors alone
    ours.seek(0)
    try:
        network = FeatureExtractorInceptionV3(INCEPTION, ["2048"], feature_extractor_weights_path=ours)
    except Exception as error:
        raise ConfigError(f"--features {named} holds no weights of that network: {plain_line(str(error))}") from None

    def extract(images: Tensor) -> Tensor:
        return network((images * 255).round().to(torch.uint8))[0]  # type: ignore[no-any-return]

    return Extractor(named, digest(*_weights(network)), 0, extract)  # which resizes images itself, as TensorFlow did
