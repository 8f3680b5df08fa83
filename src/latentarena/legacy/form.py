"""The legacy form: a Python submission to the 2025 contest, run in boxes and only there.

It is a `.py` or `.ipynb` file with a class `SubmissionInterface`, and the safetensors files that its `gdown` calls are
answered with. `encode`, `decode` and `generate` each run in a box of their own, so nothing but latents passes from one
to the next. What such a file says of its size is its own word, how long it takes can be feigned, and its noise is drawn
inside; the card says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from latentarena.bounds import Side
from latentarena.bundle import Bundle, Card, Form, Sampler
from latentarena.config import validate
from latentarena.data import DataConfig
from latentarena.errors import ArenaError, BundleError, GateError
from latentarena.files import digest
from latentarena.gates import NUMBERS, SUBMISSION, Files, check_tensors, names_in, open_beside, open_files
from latentarena.randomness import normal_rows, stream
from latentarena.sandbox import Box, Limits, SandboxError, standing
from latentarena.sandbox.answers import Amount, Expected, Numbers, Text, Whole
from latentarena.sandbox.wire import Array

PROGRAM = "latentarena.legacy.submission_2025"
FACTS = Expected(
    {
        "team": Text,
        "decode": Text,
        "steps": Whole,
        "parameters": Annotated[dict[Literal["vae", "flow_model"], Amount], Field(min_length=2)],
    }
)
"""What a submission says of itself."""
PYTHON = (".py", ".ipynb")
UNVERIFIED = ("parameters", "total_params", "time_per_sample")  # figures of a score card: its own word
LEAST, BARE = 2, 1  # tiers of the sandbox: what Python needs, and what an organiser may allow
SHAPE = (1, 28, 28)  # of an image
CHUNK = 500  # rows at a time
LIMITS = Limits(memory=3 << 30, seconds=300.0)
ROUNDING = 1e-3  # outside [0, 1]
LOGIT = -1.5  # no image reaches below, whether it is meant for [0, 1] or [-1, 1]
BYTES = 200.0  # no logit reaches above


class LegacyCard(Card):
    """What is known of a submission; there is no file of it. See `Card`.

    Attributes:
        name: the team that it names, or its file.
        classes, conditional: it takes no labels.
        logits: whether `decode` gives logits; a sigmoid is put behind them.
        parameters: of `vae` and `flow_model` by its own word, and what more numbers its weight files hold.
        sampling: how many steps it says that it takes.
        data: what it is scored on.
        notice: what can be checked of all this, and what cannot.
    """

    form: Literal["python-2025"] = "python-2025"
    shape: tuple[Side, Side, Side] = SHAPE
    classes: tuple[str, ...] = ()
    conditional: Literal[False] = False
    logits: bool
    sampling: Sampler
    data: DataConfig
    notice: str

    @property
    def caveat(self) -> str:
        """See `Card`."""
        return self.notice

    @property
    def unverified(self) -> tuple[str, ...]:
        """See `Card`."""
        return UNVERIFIED


class LegacyModel:
    """The three functions of a submission, each in a box that is opened when it is first needed."""

    conditional, learned, repeatable = False, True, False
    native = None
    classes: tuple[str, ...] = ()
    image_shape = SHAPE

    def __init__(self, files: Files, least: int) -> None:
        """Keep the files; nothing is run before it is asked for.

        Args:
            files: of the submission, by name.
            least: tier of the sandbox that its boxes must have.
        """
        self.logits = False
        self.files, self._least = files, least
        self._boxes: dict[str, Box] = {}
        self._stack = ExitStack()

    def close(self) -> None:
        """End its boxes."""
        self._boxes.clear()
        self._stack.close()

    @property
    def log(self) -> str:
        """What the submission has printed, for its owner: box by box, as far as is kept."""
        return "\n".join(f"[{verb}]\n{box.log.rstrip()}" for verb, box in self._boxes.items() if box.log.strip())

    def encode(self, images: Tensor) -> Tensor:
        """Latents (N, *latent) of images (N, 1, 28, 28)."""
        return self._rows("encode", "images", images, "latents", self.noise_shape)

    def decode(self, latents: Tensor) -> Tensor:
        """Images (N, 1, 28, 28) in [0, 1] of latents (N, *latent)."""
        images = self._rows("decode", "latents", latents, "images", SHAPE)
        return images.sigmoid() if self.logits else images

    def generate(self, noise: Tensor, labels: Tensor | None = None, *, seed: int = 0) -> Tensor:
        """Images (N, 1, 28, 28) in [0, 1] of its own sampler.

        Args:
            noise: says how many; a submission draws its own.
            labels: none are taken.
            seed: of the random numbers that it draws.
        """
        parts = []
        for start in range(0, len(noise), CHUNK):
            n = min(CHUNK, len(noise) - start)
            facts = {"n": n, "seed": seed + start * (1 << 32)}
            parts.append(self._call("generate", facts, {}, "images", Numbers("float32", n, SHAPE)))
        return torch.cat(parts)

    def noise(self, n: int, seed: int, purpose: str = "sample") -> Tensor:
        """As much standard normal noise as stands for n samples, (n, *latent)."""
        return normal_rows(n, self.noise_shape, seed, purpose)

    def measured(self) -> None:
        """Nothing: a program cannot be looked into."""

    def facts(self) -> dict[str, Any]:
        """What the submission says of itself; nothing of it is to be relied on."""
        return self._ask("generate", "facts", FACTS, {}, {})[0]

    @cached_property
    def noise_shape(self) -> tuple[int, ...]:
        """Shape of one latent, measured: what the submission says of it need not be so."""
        images = torch.rand(2, *SHAPE, generator=stream("legacy", "encode"))
        found = self._call("encode", {}, {"images": images.numpy()}, "latents", Numbers("float32", 2, None))
        return tuple(found.shape[1:])

    def _rows(self, verb: str, given: str, rows: Tensor, made: str, row: tuple[int, ...]) -> Tensor:
        parts = [
            self._call(verb, {}, {given: part.detach().cpu().float().numpy()}, made, Numbers("float32", len(part), row))
            for part in torch.split(rows, CHUNK)
        ]
        return torch.cat(parts)

    def _call(
        self, verb: str, facts: dict[str, Any], arrays: Mapping[str, Array], made: str, expected: Numbers
    ) -> Tensor:
        """The only array of an answer."""
        return torch.from_numpy(self._ask(verb, verb, Expected({}, {made: expected}), facts, arrays)[1][made].copy())

    def _ask(
        self, box: str, verb: str, expected: Expected, facts: dict[str, Any], arrays: Mapping[str, Array]
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Ask in one of the boxes; what goes wrong there is told in the submission's name."""
        try:
            return self._box(box).call(verb, expected, facts | {"threads": torch.get_num_threads()}, arrays)
        except SandboxError as error:
            text = str(error).removeprefix("submission_2025: ")
            raise SandboxError(error.reason, f"the submission {next(iter(self.files))}: {text}", error.log) from None

    def _box(self, verb: str) -> Box:
        if verb not in self._boxes:
            threads = torch.get_num_threads()
            limits = replace(LIMITS, threads=threads, processes=LIMITS.processes + 2 * threads)
            box = Box(PROGRAM, files=self.files, limits=limits, least=self._least)
            self._boxes[verb] = self._stack.enter_context(box)
        return self._boxes[verb]


LegacyBundle = Bundle[LegacyCard, LegacyModel]


def is_legacy(path: Path) -> bool:
    """Whether a path looks like a submission and not like a bundle: Python, or a folder or zip file with Python.

    What the gate of archives or folders refuses is no submission: whoever opens it hears why.
    """
    if path.suffix in PYTHON:
        return True
    try:
        return any(name.endswith(PYTHON) for name in names_in(path))
    except GateError:
        return False


def read_submission(path: Path) -> Files:
    """The files of a submission, by name: one of Python, then its weights.

    Args:
        path: a zip or folder of just these; or the file of Python, beside which the weights lie.

    Raises:
        GateError: there is anything else, or a file is not what its name says.
    """
    files = open_beside(path) if path.suffix in PYTHON else open_files(path, SUBMISSION)
    _shipped(files)
    return files


def submission_in_boxes(path: Path, dataset: str = "mnist", allow_python: bool = False) -> LegacyBundle:
    """A submission in boxes until it is closed, for the thread that opened it.

    Args:
        path: as `read_submission` takes it.
        dataset: that it is scored on.
        allow_python: run it at tier 1 too; the card then says so.

    Raises:
        BundleError: the sandbox here is not tight enough for Python, the submission cannot be loaded, or what its
            `decode` gives is neither an image nor a logit.
    """
    here, least = standing(), BARE if allow_python else LEAST
    if here.tier < least:
        raise BundleError(
            f"{path} is Python, which runs at tier {LEAST} of the sandbox only; this machine has tier {here.tier}: "
            f"{here.reason}; submit what `arena import-legacy` makes of it on another machine"
        )
    files = read_submission(path)
    with ExitStack() as stack:
        model = stack.enter_context(closing(LegacyModel(files, least)))
        card = _card(files, model, dataset, here.tier)
        sizes = {name: len(content) for name, content in files.items()}
        parts = [part for name in sorted(files) for part in (name.encode(), files[name])]
        return Bundle(card, model, digest(*parts), sizes, path, stack.pop_all())


FORM = Form("python-2025", is_legacy, submission_in_boxes)


def _card(files: Files, model: LegacyModel, dataset: str, tier: int) -> LegacyCard:
    said = model.facts()
    model.logits, why = _decodes_to_logits(model, said)
    raw = {
        "name": " ".join(said["team"].split())[:80] or Path(next(iter(files))).stem[:80],
        "latent": model.noise_shape,
        "logits": model.logits,
        "parameters": _parameters(files, said),
        "sampling": {"solver": "submission", "steps": said["steps"]},
        "data": {"name": dataset},
        "notice": "; ".join(
            [
                "a Python submission of the 2025 form: its parameters are self-declared and its time is unverified",
                "its noise is drawn inside, so its scores cannot be recomputed",
                *[why] * bool(why),
                *["Python was allowed at tier 1 of the sandbox"] * (tier < LEAST),
            ]
        ),
    }
    try:
        return validate(LegacyCard, raw, "the submission")
    except ArenaError as error:
        raise BundleError(str(error)) from None


def _parameters(files: Files, said: Mapping[str, Any]) -> dict[str, int]:
    """By its own word; numbers that it ships beyond that count too."""
    known: dict[str, int] = said["parameters"]
    others = _shipped(files) - sum(known.values())
    return known | ({"others": others} if others > 0 else {})


def _shipped(files: Files) -> int:
    """How many numbers the weight files hold; raises a GateError where one is no such file."""
    weights = [
        check_tensors(content, name, NUMBERS) for name, content in files.items() if name.endswith(".safetensors")
    ]
    return sum(prod(tensor.shape) for tensors in weights for tensor in tensors.values())


def _decodes_to_logits(model: LegacyModel, said: Mapping[str, Any]) -> tuple[bool, str]:
    """Whether a sigmoid belongs behind `decode`, decided once for all images; and what to say of it.

    The contest's scorer put a sigmoid on whatever left [0, 1] by any amount, which is right for logits only.
    """
    if said["decode"] in ("logits", "images"):
        return said["decode"] == "logits", ""
    images = model.decode(torch.randn(100, *model.noise_shape, generator=stream("legacy", "decode")))
    low, high = float(images.min()), float(images.max())
    if low >= -ROUNDING and high <= 1 + ROUNDING:
        return False, ""
    if low < LOGIT and high < BYTES:
        return True, f"its decode gives logits ({low:.3g} to {high:.3g}), so a sigmoid is put behind it, as in 2025"
    raise BundleError(
        f"decode gives numbers from {low:.3g} to {high:.3g}, neither images in [0, 1] nor clearly logits; "
        'put a sigmoid or a clamp at its end, or say info["decode"] = "logits" or "images"'
    )
