"""A process that holds a few models and draws with them for whoever asks; `python -m latentarena.use.playground`.

Requests are lines of JSON on stdin, answers lines of JSON on stdout, one for each request and in their order: `kind`
and `content` (base64) of a picture with `facts`, or `refused` with a sentence. The models are those of strangers, so
the process that serves pages only ever sees pictures and numbers. Graphs of portable bundles run in boxes.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from PIL import Image
from pydantic import Field, TypeAdapter, ValidationError
from torch import Tensor

from latentarena.bundle import BOXED, DATA_ONLY, AnyBundle, open_bundle
from latentarena.config import Config
from latentarena.errors import ArenaError, ConfigError
from latentarena.model.config import SamplingConfig
from latentarena.model.latent_model import AnyModel
from latentarena.pictures import grid, png
from latentarena.use.sampling import chosen_labels, drawn
from latentarena.use.uses import slerp

KEPT = 4  # models that stay loaded
SHOWN = 36  # samples of a sheet
FRAMES = 16  # of a walk
WATCHED = 9  # samples that are watched becoming digits
MOMENTS = 24  # frames of that, at most
MOST_STEPS = 100
POLITENESS = 5  # how far the process stands back behind those that serve and evaluate
Seed = Annotated[int, Field(ge=0, lt=1 << 31)]
Class = Annotated[str, Field(max_length=80)]


class _Drawn(Config):
    """What drawings can be told: the class's name (empty: all in turn), and for native models steps and guidance."""

    label: Class = ""
    steps: int | None = Field(default=None, ge=1, le=MOST_STEPS)
    guidance: float | None = Field(default=None, ge=0, le=20)


class SampleSheet(_Drawn):
    """A sheet of samples."""

    verb: Literal["samples"]
    seed: Seed = 0


class NoiseWalk(_Drawn):
    """A strip of pictures on the way from one noise to another."""

    verb: Literal["walk"]
    start: Seed = 0
    end: Seed = 1


class Becoming(_Drawn):
    """An animation of noise becoming images, step by step."""

    verb: Literal["becoming"]
    seed: Seed = 0


class Redraw(Config):
    """A picture as the autoencoder reconstructs it; `pixels` are bytes row by row, base64."""

    verb: Literal["redraw"]
    pixels: str = Field(max_length=100_000)


class ModelFacts(Config):
    """The answer to a page's question for a model's capabilities."""

    verb: Literal["facts"]


Asked = Annotated[SampleSheet | NoiseWalk | Becoming | Redraw | ModelFacts, Field(discriminator="verb")]
ASKED: TypeAdapter[Asked] = TypeAdapter(Asked)
Answer = dict[str, Any]


class Studio:
    """The models that were asked for last."""

    def __init__(self) -> None:
        self._open: dict[str, AnyBundle] = {}

    def answer(self, path: Path, raw: Any) -> Answer:
        """A picture, or facts.

        Args:
            path: of the bundle; its name stands for its content.
            raw: what is asked, see the classes above.

        Raises:
            ConfigError: it cannot be asked of this model.
            BundleError: the bundle is none.
        """
        try:
            asked = ASKED.validate_python(raw)
        except ValidationError as error:
            first = error.errors()[0]
            raise ConfigError(f"{'.'.join(map(str, first['loc'][1:])) or 'verb'}: {first['msg']}") from None
        model = self.model(path)
        if isinstance(asked, ModelFacts):
            return {"facts": facts_of(model)}
        if isinstance(asked, Redraw):
            return redraw(model, asked)
        how = _sampling(model, asked)
        if isinstance(asked, SampleSheet):
            labels = _labels(model, SHOWN, asked.label)
            return _picture(grid(drawn(model, model.noise(SHOWN, asked.seed), labels, how, asked.seed), zoom=3))
        return walk(model, asked, how) if isinstance(asked, NoiseWalk) else becoming(model, asked, how)

    def model(self, path: Path) -> AnyModel:
        """A model, loaded unless it is; the one that was not asked for the longest makes room."""
        key = path.name
        if key not in self._open:
            while len(self._open) >= KEPT:
                self._open.pop(next(iter(self._open))).close()
            self._open[key] = open_bundle(path, trust=BOXED, forms=DATA_ONLY)
        self._open[key] = self._open.pop(key)  # the last of them
        return self._open[key].model

    def close(self) -> None:
        """Close all boxes."""
        while self._open:
            self._open.popitem()[1].close()


def facts_of(model: AnyModel) -> Answer:
    """What can be asked of a model, for the page's controls."""
    native = model.native
    own = native.architecture.sampling if native is not None else None
    return {
        "shape": list(model.image_shape),
        "classes": list(model.classes) if model.conditional else [],
        "learned": model.learned,
        "chooses": own is not None,
        "steps": own.steps if own else None,
        "guided": native is not None and native.architecture.generator.guided,
        "guidance": own.guidance if own else None,
        "solver": own.solver if own else "",
    }


def walk(model: AnyModel, asked: NoiseWalk, how: SamplingConfig | None) -> Answer:
    """Images along the arc between two noises, in a row."""
    ends = [model.noise(1, seed) for seed in (asked.start, asked.end)]
    noise = slerp(ends[0], ends[1], torch.linspace(0, 1, FRAMES))[0]
    labels = _labels(model, 1, asked.label or (model.classes[0] if model.conditional else ""))
    labels = None if labels is None else labels.expand(FRAMES)
    images = drawn(model, noise, labels, how, 0)
    return _picture(grid(images, columns=FRAMES, zoom=4)) | {"facts": {"frames": FRAMES}}


def becoming(model: AnyModel, asked: Becoming, how: SamplingConfig | None) -> Answer:
    """The decoded states of the sampler, from noise to data.

    Raises:
        ConfigError: a portable bundle goes from noise to image at once.
    """
    if model.native is None:
        raise ConfigError("a portable bundle goes from noise to image at once: there is nothing between to be seen")
    labels, noise = _labels(model, WATCHED, asked.label), model.noise(WATCHED, asked.seed)
    states = list(model.native.trajectory(noise, labels, how, asked.seed))
    chosen = torch.linspace(0, len(states) - 1, min(MOMENTS, len(states))).round().long().tolist()
    return _animation([grid(model.decode(states[i].cpu()), columns=3, zoom=4) for i in chosen])


def redraw(model: AnyModel, asked: Redraw) -> Answer:
    """A picture through the bottleneck and back, with its latent.

    Raises:
        ConfigError: the model has no autoencoder, or the pixels are of another size.
    """
    if not model.learned:
        raise ConfigError("this model works on pixels: there is no autoencoder to draw with")
    shape = model.image_shape
    try:
        content = base64.b64decode(asked.pixels, validate=True)
    except ValueError:
        raise ConfigError("pixels: not base64") from None
    if len(content) != shape[0] * shape[1] * shape[2]:
        raise ConfigError(f"pixels: {len(content)} bytes, expected {shape[0]} x {shape[1]} x {shape[2]}")
    image = torch.frombuffer(bytearray(content), dtype=torch.uint8).reshape(1, *shape).float() / 255
    latents = model.encode(image)
    found = [round(value, 3) for value in latents.flatten().tolist()]
    error = float((model.decode(latents) - image).square().mean())
    return _picture(grid(model.decode(latents), zoom=1)) | {"facts": {"latents": found, "mse": round(error, 5)}}


def _sampling(model: AnyModel, asked: _Drawn) -> SamplingConfig | None:
    if model.native is None:
        return None
    architecture = model.native.architecture
    guidance, own = asked.guidance if architecture.generator.guided else None, architecture.sampling
    return own.but(steps=asked.steps if own.solver != "jump" else None, guidance=guidance)


def _labels(model: AnyModel, n: int, label: str) -> Tensor | None:
    if label and label not in (model.classes if model.conditional else ()):
        known = f"choose from {', '.join(model.classes)}" if model.conditional else "this model is not told a class"
        raise ConfigError(f"label: there is no class {label!r}; {known}")
    return chosen_labels(model, n, label or None)


def _picture(picture: Image.Image) -> Answer:
    return {"kind": "image/png", "content": base64.b64encode(png(picture)).decode()}


def _animation(frames: Sequence[Image.Image]) -> Answer:
    buffer = io.BytesIO()
    durations = [max(40, 2400 // len(frames))] * (len(frames) - 1) + [1500]
    frames[0].save(buffer, "GIF", save_all=True, append_images=list(frames[1:]), duration=durations, loop=0)
    return {"kind": "image/gif", "content": base64.b64encode(buffer.getvalue()).decode()}


def answers(lines: Iterator[str]) -> Iterator[str]:
    """Answers to requests, one for each."""
    studio = Studio()
    try:
        for line in lines:
            try:
                request = json.loads(line)
                answer = studio.answer(Path(request["bundle"]), request["asked"])
                said = json.dumps(answer, allow_nan=False)
            except ArenaError as error:
                said = json.dumps({"refused": " ".join(str(error).split())})
            except Exception:  # of a model that nobody here made: the others still have to be drawn with
                traceback.print_exc()
                said = json.dumps({"refused": "this model gives what cannot be drawn"})
            yield said
    finally:
        studio.close()


def main() -> None:
    """Answer until stdin ends; what models print goes to stderr, so that it is no answer."""
    out, sys.stdout = sys.stdout, sys.stderr
    torch.set_num_threads(1)  # a page's drawing must not take the machine from those who wait for a board
    with suppress(AttributeError):  # which Windows has not
        os.nice(POLITENESS)
    for answer in answers(iter(sys.stdin.readline, "")):
        out.write(answer + "\n")
        out.flush()


if __name__ == "__main__":
    main()
