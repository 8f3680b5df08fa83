"""A submission brought to life: its `SubmissionInterface`, loaded as the 2025 contest loaded it, behind four verbs."""

from __future__ import annotations

import inspect
import linecache
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from latentarena.errors import BundleError
from latentarena.legacy.source import NOTEBOOK, read_source
from latentarena.legacy.standins import ShippedWeights, install, notebook
from latentarena.text import plain_line

NAME = "SubmissionInterface"
STEPS = 100  # that the contest asked for where a submission has no number of its own
LONGEST = 200  # characters of what it says of itself
SIZE = 28  # rows and columns of an image


class Submission2025:
    """The submission of a folder: one `.py` or `.ipynb`, and the safetensors files that it asks `gdown` for."""

    def __init__(self, folder: Path) -> None:
        """Read it, run it and let it load its weights, in the working folder.

        Raises:
            BundleError: with the line of the submission that failed, and why.
        """
        (path,) = [path for path in folder.iterdir() if path.suffix in (".py", NOTEBOOK)]
        self.file = path.name
        self.weights = ShippedWeights(folder)
        install(self.weights)
        source = read_source(self.file, path.read_bytes())
        linecache.cache[self.file] = (len(source), None, source.splitlines(keepends=True), self.file)
        module = ModuleType("submission")
        module.__dict__.update(__file__=self.file, get_ipython=notebook, len=_length)
        sys.modules["submission"] = module
        torch.mps.empty_cache = torch.cuda.empty_cache = _nothing  # called by some, whatever the device
        with self._explained(f"{self.file} fails when it is imported"):
            exec(compile(source, self.file, "exec"), module.__dict__)  # noqa: S102 - this is what the box is for
        made = getattr(module, NAME, None)
        if not isinstance(made, type):
            raise BundleError(f"{self.file} has no class {NAME}; the 2025 contest's interface is what runs here")
        with self._explained(f"{NAME}() fails", loading=True):
            self.interface = self._loaded(made)

    def _loaded(self, made: type) -> Any:
        """As the contest's own scorer did: made, moved, in evaluation mode; weights are loaded where that is left."""
        interface = made()
        for part, load in (("vae", "load_vae"), ("flow_model", "load_flow_model")):
            if getattr(interface, part, None) is None:
                self._load(getattr(interface, load), part)
        if hasattr(interface, "to"):
            interface = interface.to("cpu") or interface
        for part in (interface, interface.vae, interface.flow_model):
            if isinstance(part, nn.Module):
                part.eval()
        return interface

    def _load(self, load: Callable[..., object], part: str) -> None:
        """The interface's first version took the path of the weights, which the second one fetches itself."""
        asked = [one for one in inspect.signature(load).parameters.values() if one.default is one.empty]
        load(*[self.weights.fetch(f"{part.removesuffix('_model')}_weights.safetensors")] if asked else [])

    @property
    def steps(self) -> int:
        """How many steps `generate_samples` takes unless told otherwise."""
        own = inspect.signature(self.interface.generate_samples).parameters.get("n_steps")
        return own.default if own is not None and isinstance(own.default, int) else STEPS

    def facts(self) -> dict[str, Any]:
        """What it says of itself; private names stay here."""
        info = getattr(self.interface, "info", None)
        info = info if isinstance(info, dict) else {}
        parts = {part: getattr(self.interface, part, None) for part in ("vae", "flow_model")}
        return {
            "team": str(info.get("team", ""))[:LONGEST],
            "decode": str(info.get("decode", ""))[:LONGEST],
            "steps": self.steps,
            "parameters": {name: _count(part) for name, part in parts.items()},
        }

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, ...) of images (N, 1, 28, 28).

        Raises:
            BundleError: it fails, or gives no latent for each image.
        """
        with self._explained("encode fails"):
            latents = self.interface.encode(images)
        return _rows(latents, images.shape[0], "encode")

    def decode(self, latents: Tensor) -> Tensor:
        """What comes of latents (N, ...), (N, 1, 28, 28); logits where the submission decodes to logits.

        Raises:
            BundleError: it fails, or gives no image for each latent.
        """
        with self._explained("decode fails"):
            images = self.interface.decode(latents)
        return _images(images, latents.shape[0], "decode")

    def generate(self, n: int) -> Tensor:
        """Images (n, 1, 28, 28) of its own sampler, from whatever random numbers come next.

        Raises:
            BundleError: it fails, or gives other than n images.
        """
        draw = self.interface.generate_samples
        own = inspect.signature(draw).parameters.get("n_steps")
        with self._explained("generate_samples fails"):
            images = draw(n, n_steps=STEPS) if own is not None and own.default is own.empty else draw(n)
        return _images(images, n, "generate_samples")

    @staticmethod
    def seed(seed: int) -> None:
        """Seed every generator that a submission may draw from."""
        torch.manual_seed(seed)
        np.random.seed(seed % 2**32)  # noqa: NPY002 - strangers' code draws from it
        random.seed(seed)

    @contextmanager
    def _explained(self, what: str, loading: bool = False) -> Iterator[None]:
        """Turn whatever the submission raises into a BundleError with the line that it comes from."""
        try:
            with torch.no_grad():
                yield
        except BundleError:
            raise
        except (Exception, SystemExit) as error:
            traceback.print_exc()  # into the log, for its owner
            lines = [one.lineno for one in traceback.extract_tb(error.__traceback__) if one.filename == self.file]
            where = f" at line {lines[-1]}" if lines else ""
            given = ", ".join(f"{asked} served from {found}" for asked, found in self.weights.given.items())
            served = f" (gdown: {given})" if loading and given else ""
            message = plain_line(str(error), 400)
            raise BundleError(f"{what}{where}: {type(error).__name__}: {message}{served}") from None


def _nothing() -> None:
    return None


def _length(of: Any) -> Any:
    """`len`, which stays the number of any batch's rows where a tensor is traced; Python's is that of this batch."""
    return of.shape[0] if isinstance(of, Tensor) and of.ndim else len(of)


def _count(part: object) -> int:
    return sum(parameter.numel() for parameter in part.parameters()) if isinstance(part, nn.Module) else 0


def _rows(found: object, n: int, what: str) -> Tensor:
    if not isinstance(found, Tensor):
        raise BundleError(f"{what} gives a {type(found).__name__}, expected a tensor")
    if found.ndim < 2 or found.shape[0] != n:
        raise BundleError(f"{what} gives {tuple(found.shape)} for {n} rows, expected ({n}, ...)")
    return found.detach().float()


def _images(found: object, n: int, what: str) -> Tensor:
    rows = _rows(found, n, what)
    if prod(rows.shape[1:]) != SIZE * SIZE:
        raise BundleError(f"{what} gives {tuple(rows.shape)}, expected ({n}, {SIZE}, {SIZE})")
    return rows.reshape(n, 1, SIZE, SIZE)
