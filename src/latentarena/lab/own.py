"""Modules of your own: trained by the one training loop, saved as weights and as a bundle that can be judged."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import fields
from inspect import signature
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from safetensors.torch import save as packed
from torch import Tensor, nn

from latentarena.bundle import Sampler, export_modules, refuse_bundle, save_bundle
from latentarena.bundle.modules import other_type, plain_module
from latentarena.config import validate
from latentarena.data import FOLDER, Dataset
from latentarena.errors import BundleError, ConfigError, Interrupted, TrainingError
from latentarena.files import make_folder, named_path, write_atomically
from latentarena.lab.datasets import opened
from latentarena.lab.models import Model
from latentarena.lab.process import Process
from latentarena.modes import evaluated
from latentarena.run.watching import quietly, show_training
from latentarena.sample import SOLVERS, last, sample
from latentarena.system import stopping_as_ctrl_c
from latentarena.text import plain_line, shown
from latentarena.train.checkpoint import separate
from latentarena.train.fabric import make_fabric
from latentarena.train.loop import FitConfig
from latentarena.train.own import Loss, train_module

WEIGHTS, BUNDLE = "weights.safetensors", "bundle"
Parts = nn.Module | Mapping[str, nn.Module]


def fit(
    network: nn.Module,
    data: Tensor,
    labels: Tensor | None = None,
    *,
    process: Process | None = None,
    loss: Loss | None = None,
    folder: str | PathLike[str] | None = None,
    epochs: float = 10,
    batch: int = 256,
    lr: float = 1e-3,
    muon: float = 0.0,
    warmup: float = 0.05,
    weight_decay: float = 0.0,
    ema: float = 0.0,
    clip: float = 0.0,
    seed: int = 0,
    resume: bool = False,
    accelerator: str = "auto",
    progress: bool = True,
) -> dict[str, list[float]]:
    """Train a module of your own in place, with progress, checkpoints and resume.

    Every random number of a step follows from seed and step, dropout's too, so that a run that was stopped or killed
    and goes on is the same run, on a CPU bit for bit.

    Args:
        network: a callable module of (x, t, labels), or of whatever `loss` does with it.
        data: (N, ...), such as latents or images; float, or whatever `loss` takes. It is held on the device.
        labels: int64 (N,), handed to the network; to train it for classifier-free guidance, hide some in a `loss`.
        process: what the network learns; by default a plain velocity on the straight path.
        loss: in place of a process's: a function of (network, data, labels, generator) of a batch that gives a scalar,
            or scalars by name of which `loss` is minimised. It draws from the generator, or from torch's global one.
        folder: gets `checkpoints/` and `logs/`; without one nothing is kept.
        epochs, batch, lr, muon, warmup, weight_decay, ema, clip: see `FitConfig`; with `ema` the averaged weights
            are kept.
        seed: of all random numbers but the initial weights, which the module has already.
        resume: go on with the training in `folder`, if it holds one.
        accelerator: `auto`, `cpu`, `cuda`, `mps`.
        progress: whether it is shown.

    Returns:
        The loss curve by column: `step`, `seconds`, `loss`, ...; also in `logs/network.csv`.

    Raises:
        ConfigError: an impossible argument, or a folder that holds another training.
        TrainingError: the loss is not finite; the last good state is kept in the folder, and the network is as it came.
        OutputError: the disk is full; the last checkpoint is kept. A folder that vanishes is no fault: training goes
            on in the cache, and is moved back.
        Interrupted: Ctrl-C; the state was saved, and `resume=True` goes on.
    """
    if process is not None and loss is not None:
        raise ConfigError("process and loss are two ways to say what is learned; give one")
    _refuse_no_process(process)
    if resume and folder is None:
        raise ConfigError("resume = True: there is no folder to go on from; give the one of the training, folder=...")
    rates = {"lr": lr, "muon": muon, "warmup": warmup, "weight_decay": weight_decay, "ema": ema, "clip": clip}
    home = named_path(folder)
    config = validate(FitConfig, {"epochs": epochs, "batch": batch} | rates, "fit")
    chosen = loss or _matching(process or Process())
    learned = {"loss": "your own"} if loss is not None else {"loss": "of a process"} | _parts_of(process or Process())
    fabric = make_fabric(accelerator)
    fabric.launch()
    with stopping_as_ctrl_c(), nullcontext(home) if home is not None else TemporaryDirectory() as place:
        watch = show_training if progress else quietly
        try:
            return train_module(
                network, data, labels, chosen, learned, config, seed, fabric, Path(place), resume, watch
            )
        except (Interrupted, TrainingError) as error:
            error.args = (_of_fit(str(error), folder is not None),)
            raise


def _refuse_no_process(process: object) -> None:
    """Refuse what is given as a process and is none (ConfigError)."""
    if process is not None and not isinstance(process, Process):
        raise ConfigError(f"process = {shown(process)}: give a la.Process, such as la.Process(path='vp_cosine')")


def _of_fit(said: str, kept: bool) -> str:
    """A refusal of the training loop in the words of `fit`, which may have kept nothing."""
    if kept:
        return re.sub(r"; the same command goes on.*", "; the same call with resume=True goes on", said)
    lost = "nothing of it is kept, for there is no folder=..."
    return re.sub(r"saved; the same command goes on.*|the last good state .* is kept in [^;]*", lost, said)


def _parts_of(process: Process) -> dict[str, str]:
    """The names of a process's parts; of an object of somebody's own that of its class or function."""
    parts = {one.name: getattr(process, one.name) for one in fields(process)}
    return {
        name: part if isinstance(part, str) else getattr(part, "__qualname__", type(part).__qualname__)
        for name, part in parts.items()
    }


def _matching(process: Process) -> Loss:
    def loss(network: nn.Module, data: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        return process.loss(network, data, labels, generator=generator)

    return loss


def save(
    modules: Model | Parts,
    folder: str | PathLike[str],
    *,
    name: str | None = None,
    process: Process | None = None,
    solver: str = "heun",
    steps: int = 8,
    grid: str = "uniform",
    guidance: float = 1.0,
    dataset: str | Dataset = "mnist",
    root: str | PathLike[str] | None = None,
    conditional: bool = False,
    noise_shape: tuple[int, ...] | None = None,
) -> Model:
    """Write modules of your own as `weights.safetensors` and as a portable bundle that can be judged and handed in.

    The bundle, in `bundle/`, is a card and three ONNX graphs; its sampler is unrolled into the last one. Nothing is
    written unless the graphs give what the modules give, row by row. A native model that was loaded is copied.

    Args:
        modules: by name: `encode` (images (N, C, H, W) in [0, 1] -> latents), `decode` (back) and `network` (of x, t,
            labels, on these latents), or `generate` (noise, and labels -> images) in place of the network; a network
            alone generates pixels, as 2 * image - 1.
        folder: is made; a model of this name that was saved there is replaced, one of another name is not.
        name: what to call the model; the folder's name unless given.
        process: what the network predicts; a plain velocity on the straight path unless given.
        solver, steps, grid, guidance: of the sampler, a deterministic one of fixed steps; `generate` has its own.
        dataset: what it was trained on: a name as in a recipe's `data.name`, or as `la.datasets.load` gave it, at a
            size for one; root: where the files of a name are looked for.
        conditional: whether the network takes labels.
        noise_shape: of one sample's noise for `generate`; the latent's unless given.

    Raises:
        BundleError: a module that does not match: missing, failing, of another shape, no function of its row alone, or
            not to be exported.
        ConfigError, OutputError: an impossible option; a folder that cannot be written or holds another model.
    """
    home = named_path(folder)
    if isinstance(modules, Model):
        return _copied(modules, home, name)
    refuse_bundle(home)
    parts = _named(modules)
    data = opened(dataset, root)
    parts = {"encode": _FromPixels(), "decode": _ToPixels(), **parts} if set(parts) == {"network"} else parts
    latent = _latent(parts["encode"], data)
    how = {"solver": solver, "steps": steps, "guidance": guidance}
    _refuse_no_process(process)
    if "generate" in parts:
        _refuse_sampler(process, how | {"grid": grid})
        whole, sampler, told = parts["generate"], Sampler(), Sampler().model_dump()
    else:
        sampler = validate(Sampler, how, "save")
        whole = _Sampling(parts, process or Process(), sampler, grid, conditional)
        told = how | {"grid": grid, "process": repr(process or Process())}
    tensors = {f"{part}.{key}": value for part, one in parts.items() for key, value in one.state_dict().items()}
    weights = packed(separate(tensors), {"sampler": json.dumps(told)})
    made = export_modules(
        home / BUNDLE,
        name or home.resolve().name,
        parts["encode"],
        parts["decode"],
        whole,
        data.shape,
        latent,
        noise_shape or latent,
        data.classes,
        conditional,
        pixels=isinstance(parts["encode"], _FromPixels),
        dataset=dataset,
        sampling=sampler,
        repeated=[parts["network"]] if "network" in parts else [],
    )
    write_atomically(make_folder(home) / WEIGHTS, weights)
    return Model(made)


def _refuse_sampler(process: Process | None, how: Mapping[str, object]) -> None:
    """Raise a ConfigError where a sampler is chosen for modules that sample by themselves."""
    usual = {name: one.default for name, one in signature(save).parameters.items()}
    given = [f"{name} = {shown(value)}" for name, value in how.items() if value != usual[name]]
    given += [] if process is None else ["process"]
    if given:
        raise ConfigError(f"{', '.join(given)}: `generate` samples by itself; leave it out, or give a `network`")


def _copied(model: Model, home: Path, name: str | None) -> Model:
    native = model.bundle.model.native
    made = model.bundle.card.provenance
    if native is None or made is None:
        raise BundleError(f"{model.name!r} is a {model.bundle.card.form} bundle: copy its folder {model.bundle.place}")
    called = name or model.name
    refuse_bundle(home, but=("native", called))
    return Model(save_bundle(home, called, native, made), model.score_card)


def _named(modules: Parts) -> dict[str, nn.Module]:
    """The modules by what they do.

    Raises:
        BundleError: they are not a set that makes a model.
    """
    if not isinstance(modules, nn.Module | Mapping):
        raise BundleError(f"modules = {shown(modules)}: give a module, or modules by name, such as {{'encode': ...}}")
    parts = {"network": modules} if isinstance(modules, nn.Module) else dict(modules)
    sets = ({"network"}, {"encode", "decode", "network"}, {"encode", "decode", "generate"})
    if set(parts) not in sets:
        given = ", ".join(map(str, parts)) or "nothing"
        ways = "; ".join(", ".join(sorted(one)) for one in sets)
        raise BundleError(f"modules = {given}: a model is made of one of these sets: {ways}")
    return {part: plain_module(module, part) for part, module in parts.items()}


def _latent(encode: nn.Module, data: Dataset) -> tuple[int, ...]:
    """The shape of one latent."""
    shape = data.shape
    weight = next(iter((*encode.parameters(), *encode.buffers())), torch.zeros(()))
    try:
        with evaluated(encode), torch.no_grad():
            latents = encode(torch.zeros(2, *shape, device=weight.device))
    except Exception as error:  # it is anybody's code
        said = plain_line(str(error))
        fault = f"{other_type(encode)}{type(error).__name__}: {said}"
        chosen = data.fit.size is None and data.name.startswith(FOLDER)
        fit = "; images of a chosen size are dataset=la.datasets.load(..., size=...)" if chosen else ""
        raise BundleError(f"encode fails on images {[2, *shape]}: {fault}{fit}") from error
    if not isinstance(latents, Tensor) or len(latents) != 2 or latents.ndim < 2:
        found = list(latents.shape) if isinstance(latents, Tensor) else type(latents).__name__
        raise BundleError(f"encode gives {found} for 2 images; it has to give latents (2, ...), such as the mean alone")
    return tuple(latents.shape[1:])


class _FromPixels(nn.Module):
    def forward(self, images: Tensor) -> Tensor:
        return 2 * images - 1


class _ToPixels(nn.Module):
    def forward(self, latents: Tensor) -> Tensor:
        return ((latents + 1) / 2).clamp(0, 1)


class _Sampling(nn.Module):
    """A network's sampler and the decoder: noise, and labels, to images; its times are constants of the graph."""

    def __init__(
        self, parts: Mapping[str, nn.Module], process: Process, how: Sampler, grid: str, conditional: bool
    ) -> None:
        super().__init__()
        method = SOLVERS[how.solver]
        if not method.exports(how.steps):
            ways = ", ".join(name for name, other in SOLVERS.items() if other.exports(steps=2))
            raise BundleError(f"solver = {how.solver} is no function of the noise alone; choose from {ways}")
        if how.guidance != 1 and not conditional:
            raise ConfigError(
                f"guidance = {how.guidance}: the network takes no labels; set conditional, or leave it out"
            )
        self.network, self.decode = parts["network"], parts["decode"]
        self.process, self.how, self.times = process, how, process.grid(grid, how.steps)
        self.denoise = process.denoiser(self.network)

    def forward(self, noise: Tensor, labels: Tensor | None = None) -> Tensor:
        fresh = torch.randn_like  # is never called
        jump = self.process.jump(self.denoise, labels, self.how.solver, self.how.guidance, None, fresh)
        times = [torch.tensor(t, device=noise.device) for t in self.times]
        images: Tensor = self.decode(last(sample(jump, noise, times)))
        return images
