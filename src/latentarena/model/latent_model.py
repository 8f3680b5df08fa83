"""A latent generative model: autoencoder, standardiser and denoising network, as one module."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from pydantic import PositiveInt
from torch import Tensor, nn

from latentarena.autoencoder import Autoencoder, AutoencoderConfig, build_autoencoder
from latentarena.backbone import build_backbone
from latentarena.compute import CPU
from latentarena.config import Config
from latentarena.distill import average_correction, meanflow_jump
from latentarena.errors import ConfigError
from latentarena.gates import Cost, Size, size_of, stored
from latentarena.latents import Standardiser, at_once
from latentarena.model.config import JUMP, GeneratorConfig, SamplingConfig
from latentarena.model.counting import constant_numbers, used
from latentarena.process import CORRECTIONS, PATHS, TARGETS, Denoiser, Network, denoiser
from latentarena.progress import counted
from latentarena.randomness import Fresh, RowNoise, normal_rows, stream
from latentarena.sample import (
    SOLVERS,
    Guidable,
    Jump,
    grid_times,
    last,
    sample,
    usual_guide,
)

CHUNK = 500  # latents or images at a time
CACHED, NUMBERS = 100, 80_000  # images, and numbers of latents, at a time on a CPU: their maps stay in its cache


class Architecture(Config):
    """All that is needed to build a model's modules.

    Attributes:
        shape: channels, height and width of the images.
        classes: names of the labels.
    """

    shape: tuple[PositiveInt, PositiveInt, PositiveInt]
    classes: tuple[str, ...]
    autoencoder: AutoencoderConfig
    generator: GeneratorConfig
    sampling: SamplingConfig


class AnyModel(Protocol):
    """A generative model of images, as every form of bundle holds one and as the judge sees it.

    Attributes:
        conditional: whether `generate` takes labels; classes: their names.
        learned: whether latents are anything but the pixels.
        image_shape: channels, height and width; noise_shape: of one sample's noise.
        repeatable: whether `generate` gives the same images for the same arguments.
        native: the latent model itself where its sampler can be steered and looked into; else None.
        log: what its own code has printed, for its owner alone; not to be trusted.
    """

    conditional: bool
    classes: tuple[str, ...]
    learned: bool
    image_shape: tuple[int, int, int]
    repeatable: bool

    @property
    def noise_shape(self) -> tuple[int, ...]: ...
    @property
    def native(self) -> LatentModel | None: ...
    @property
    def log(self) -> str: ...

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, *latent) of images (N, C, H, W)."""

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of latents (N, *latent)."""

    def generate(self, noise: Tensor, labels: Tensor | None = None, *, seed: int = 0) -> Tensor:
        """Images (N, C, H, W) in [0, 1] from noise (N, *noise), and labels int64 (N,) if conditional."""

    def noise(self, n: int, seed: int, purpose: str = "sample") -> Tensor:
        """The standard normal noise that `seed` stands for, (n, *noise)."""

    def measured(self) -> tuple[Cost, Size] | None:
        """What a sample takes from noise to image, and what the model holds; None where it cannot be looked into."""


def labels_for(model: AnyModel, n: int) -> Tensor | None:
    """Labels for n samples of a conditional model, every class in turn, int64 (n,); None if unconditional."""
    return torch.arange(n) % len(model.classes) if model.conditional else None


class LatentModel(nn.Module):
    """Images in [0, 1] <-> latents <- noise. Latents are on the autoencoder's own scale outside `generate`."""

    repeatable = True
    log = ""
    compute = CPU  # see `place`

    def __init__(self, architecture: Architecture, seed: int = 0) -> None:
        """Build with weights initialised from `seed`; nothing global is seeded.

        Raises:
            ConfigError: an impossible combination, such as a latent that does not fit the images.
        """
        super().__init__()
        self.architecture, self.image_shape, self.classes = architecture, architecture.shape, architecture.classes
        config = architecture.generator
        self.conditional = config.conditional or config.classifier is not None  # whether `generate` takes labels
        self.path, self.target = PATHS[config.path](), CORRECTIONS[config.correction](TARGETS[config.target])
        with torch.random.fork_rng(devices=[]):  # module initialisers know only the global generator
            torch.manual_seed(stream(seed, "weights").initial_seed())
            self.autoencoder: Autoencoder = build_autoencoder(architecture.autoencoder, architecture.shape)
            self.latent_shape = self.noise_shape = shape = self.autoencoder.latent_shape
            self.scale, classes = Standardiser(shape), len(architecture.classes)
            told = classes if config.conditional else None
            self.network = build_backbone(config.backbone, shape, told, times=2 if config.average else 1)
            self.weaker = build_backbone(config.weaker, shape, told) if config.weaker else None
            self.classifier = config.classifier.build(shape, classes) if config.classifier else None
        self.learned = self.autoencoder.learned  # whether latents are anything but the pixels
        local = _at_one_time(self.network) if config.average else self.network
        self.denoise = denoiser(local, self.path, self.target)
        self.denoise_weaker = denoiser(self.weaker, self.path, self.target) if self.weaker is not None else None
        self.denoiser(architecture.sampling)  # refuses a guide that the model has nothing for

    @property
    def native(self) -> LatentModel:
        """The model itself: its sampler can be steered."""
        return self

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.scale.mean.device

    def _parts(self, rows: Tensor) -> tuple[Tensor, ...]:
        """Images or latents (N, ...), so many at a time as the autoencoder takes fastest."""
        return torch.split(rows, CACHED if self.device.type == "cpu" else CHUNK)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Posterior means (N, *latent) of images (N, C, H, W)."""
        chunks = counted(self._parts(images), "encoding")
        return torch.cat([self.autoencoder.encode(c.to(self.device)).mean.cpu() for c in chunks])

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, C, H, W) in [0, 1] of latents (N, *latent)."""
        chunks = counted(self._parts(latents), "decoding")
        return torch.cat([self.autoencoder.decode(c.to(self.device)).cpu() for c in chunks])

    @torch.no_grad()
    def trajectory(
        self,
        noise: Tensor,
        labels: Tensor | None = None,
        sampling: SamplingConfig | None = None,
        seed: int = 0,
        held: Tensor | None = None,
    ) -> Iterator[Tensor]:
        """Latents at every sampler time from noise to data, each (N, *latent) on the autoencoder's scale.

        Args:
            noise: standard normal, (N, *latent).
            labels: int64 (N,) for a conditional model.
            sampling: how; the architecture's own unless given.
            seed: of the fresh noise that stochastic solvers add; each row has its own, by the noise it starts from.
            held: rows (N, *latent) that fresh noise goes by instead, so that it stays while `noise` changes.
        """
        how = sampling or self.architecture.sampling
        labels = labels.to(self.device) if labels is not None else None
        fresh = RowNoise(noise if held is None else held, seed)
        yield from self.walk(noise.to(self.device), labels, how, self.times(how), fresh)

    def times(self, how: SamplingConfig) -> list[float]:
        """The sampler's times from noise to data."""
        return grid_times(how.grid, self.path, how.steps)

    def walk(
        self, noise: Tensor, labels: Tensor | None, how: SamplingConfig, times: Sequence[float], fresh: Fresh
    ) -> Iterator[Tensor]:
        """The states of `trajectory` at these times, for arguments on the model's device; `torch.export` can trace it.

        The times are constants that it makes itself: what depends on them alone can then be decided while tracing.
        """
        jump = self.jump(how, labels, fresh)
        for x in sample(jump, noise, [torch.tensor(t, device=self.device) for t in times]):
            yield self.scale.invert(x)

    def denoiser(self, how: SamplingConfig) -> Denoiser:
        """The network's estimates of data and noise, guided as `how` says; on the standardised scale."""
        told = self.architecture.generator.conditional
        made = Guidable(self.path, self.denoise_weaker, self.classifier, how.guidance, how.interval, told)
        guide = usual_guide(made) if how.guide is None else how.guide.build(made)
        return guide(self.denoise)

    def jump(self, how: SamplingConfig, labels: Tensor | None, fresh: Fresh) -> Jump:
        """What goes from one time to an earlier one: a solver on the denoiser, or a mean-velocity network alone.

        Raises:
            ConfigError: `jump` is asked of a network that cannot.
        """
        if how.solver != JUMP:
            return SOLVERS[how.solver](fresh, how.eta)(self.path, self.denoiser(how), labels)
        if not self.architecture.generator.average:
            raise ConfigError(f"solver = {JUMP}: only a mean-velocity network can; choose from {', '.join(SOLVERS)}")
        return meanflow_jump(self.mean_velocity, labels)

    @property
    def mean_velocity(self) -> Network:
        """What a network of two times says of the mean velocity between them, its correction applied."""
        if self.architecture.generator.correction == "none":
            return self.network
        return average_correction(self.network, self.path)

    @torch.no_grad()
    def generate(
        self,
        noise: Tensor,
        labels: Tensor | None = None,
        sampling: SamplingConfig | None = None,
        seed: int = 0,
        held: Tensor | None = None,
    ) -> Tensor:
        """Images (N, C, H, W) in [0, 1] from noise (N, *latent): a deterministic function; see `trajectory`."""
        images = []
        many = at_once(self.noise_shape, CHUNK, NUMBERS) if self.device.type == "cpu" else CHUNK
        for start in counted(range(0, len(noise), many), "samples"):
            rows = slice(start, start + many)
            chosen = None if labels is None else labels[rows]
            kept = None if held is None else held[rows]
            latents = last(self.trajectory(noise[rows], chosen, sampling, seed, kept))
            images += [self.autoencoder.decode(some).cpu() for some in self._parts(latents)]
        return torch.cat(images)

    def noise(self, n: int, seed: int, purpose: str = "sample") -> Tensor:
        """The standard normal noise that `seed` stands for, (n, *latent), alike on every device and for every n."""
        return normal_rows(n, self.noise_shape, seed, purpose)

    def measured(self) -> tuple[Cost, Size]:
        """What a sample takes, from noise to image with all steps of its sampler, and what the model holds."""
        noise, labels = self.noise(1, 0), labels_for(self, 1)
        cost, generator = used(lambda *rows: self.generate(*rows), [noise] if labels is None else [noise, labels])
        _, encoder = used(self.encode, [torch.zeros(1, *self.image_shape)])
        _, decoder = used(self.decode, [torch.zeros(1, *self.latent_shape)])
        parts = {"encode": encoder, "decode": decoder, "generate": generator}
        return cost, size_of({name: stored(map(constant_numbers, tensors)) for name, tensors in parts.items()})

    def parts(self) -> dict[str, int]:
        """Stored numbers by part: every weight and every buffer counts."""
        named = {"encoder": 0, "decoder": 0, "generator": 0}
        for name, tensor in self.state_dict().items():
            where, _, inside = name.partition(".")
            part = "encoder" if inside.split(".")[0] in self.autoencoder.encoding else "decoder"
            named[part if where == "autoencoder" else "generator"] += tensor.numel()
        return named


def _at_one_time(network: Network) -> Network:
    """A mean-velocity network over no time at all: the velocity itself."""
    return lambda x, t, labels: network(x, torch.stack([t, t], 1), labels)
