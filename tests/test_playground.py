"""Drawing with entries: the pictures are the model's own, and a process that dies or hangs costs one drawing."""

from __future__ import annotations

import base64
import io
import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from boxes import BOXED
from latentarena.arena.client import pack
from latentarena.arena.objects import Objects
from latentarena.arena.playground import Playground
from latentarena.bundle import Bundle
from latentarena.errors import ConfigError, StoreBusy, StoreError
from latentarena.study.pictures import grid
from latentarena.study.playground import FRAMES, SHOWN, Studio
from latentarena.study.uses import slerp


@pytest.fixture
def objects(tmp_path: Path) -> Objects:
    return Objects(str(tmp_path / "objects"))


@pytest.fixture
def studio() -> Iterator[Studio]:
    made = Studio()
    yield made
    made.close()


def image_of(answer: dict[str, object]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(str(answer["content"])))))


def test_samples_are_the_models_own(tiny_bundle: Bundle, tiny_run: Path, studio: Studio) -> None:
    model = tiny_bundle.model
    labels = torch.arange(SHOWN) % 10 if model.conditional else None
    for seed in (0, 7):
        found = image_of(studio.answer(tiny_run / "bundle", {"verb": "samples", "seed": seed}))
        expected = grid(model.generate(model.noise(SHOWN, seed), labels, seed=seed), zoom=3)
        assert np.array_equal(found, np.asarray(expected))


def test_a_walk_goes_along_the_arc_from_one_seed_to_the_other(
    tiny_bundle: Bundle, tiny_run: Path, studio: Studio
) -> None:
    model = tiny_bundle.model
    found = image_of(studio.answer(tiny_run / "bundle", {"verb": "walk", "start": 3, "end": 4}))
    noise = slerp(model.noise(1, 3), model.noise(1, 4), torch.linspace(0, 1, FRAMES))[0]
    labels = torch.zeros(FRAMES, dtype=torch.long) if model.conditional else None
    assert np.array_equal(found, np.asarray(grid(model.generate(noise, labels), columns=FRAMES, zoom=4)))


def test_noise_becomes_images_step_by_step(tiny_bundle: Bundle, tiny_run: Path, studio: Studio) -> None:
    answer = studio.answer(tiny_run / "bundle", {"verb": "becoming", "steps": 5})
    movie = Image.open(io.BytesIO(base64.b64decode(str(answer["content"]))))
    assert (answer["kind"], movie.n_frames) == ("image/gif", 6)  # type: ignore[attr-defined]


def test_a_drawing_comes_back_through_the_latent(tiny_bundle: Bundle, tiny_run: Path, studio: Studio) -> None:
    model = tiny_bundle.model
    shape = tiny_bundle.card.shape
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    asked = {"verb": "redraw", "pixels": base64.b64encode(pixels.tobytes()).decode()}
    answer = studio.answer(tiny_run / "bundle", asked)
    image = torch.from_numpy(pixels)[None].float() / 255
    latents = model.encode(image)
    assert np.array_equal(image_of(answer), np.asarray(grid(model.decode(latents), zoom=1)))
    assert answer["facts"]["latents"] == pytest.approx(latents.flatten().tolist(), abs=1e-3)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ({"verb": "samples", "seed": -1}, "seed"),
        ({"verb": "samples", "steps": 10_000}, "steps"),
        ({"verb": "samples", "label": "eleven"}, "eleven"),
        ({"verb": "samples", "code": "import os"}, "code"),
        ({"verb": "exec"}, "verb"),
        ({"verb": "redraw", "pixels": "AAAA"}, "3 bytes"),
        ({"verb": "redraw", "pixels": "!"}, "base64"),
        ([], "verb|dictionary"),
    ],
)
def test_what_cannot_be_drawn_is_refused_in_a_sentence(
    asked: object, said: str, tiny_run: Path, studio: Studio
) -> None:
    with pytest.raises(ConfigError, match=said):
        studio.answer(tiny_run / "bundle", asked)


@BOXED
def test_a_portable_bundle_draws_in_boxes_what_its_native_form_draws(
    portable_folder: Path, brief_folder: Path, studio: Studio
) -> None:
    asked = {"verb": "samples", "seed": 5}
    found, expected = (image_of(studio.answer(path, asked)) for path in (portable_folder, brief_folder))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    with pytest.raises(ConfigError, match="at once"):
        studio.answer(portable_folder, {"verb": "becoming"})


def test_the_process_is_started_again_after_it_died(tiny_run: Path, objects: Objects) -> None:
    playground = Playground(objects)
    try:
        digest = objects.put(pack(tiny_run / "bundle"))
        first = playground.draw(digest, {"verb": "samples"})
        assert first.kind == "image/png"
        assert playground._process is not None
        os.kill(playground._process.pid, signal.SIGKILL)
        playground._process.wait()
        assert playground.draw(digest, {"verb": "samples"}).content == first.content
        with pytest.raises(ConfigError, match="seed"):
            playground.draw(digest, {"verb": "samples", "seed": "?"})
    finally:
        playground.close()


@pytest.mark.parametrize(
    ("program", "error"),
    [
        ("import time; time.sleep(60)", StoreBusy),
        ("import sys; sys.stdin.readline(); sys.exit(1)", StoreError),
        ("print('no JSON', flush=True); import time; time.sleep(60)", StoreError),
        ("import os\nwhile True: os.write(1, b'a' * 65536)", StoreError),
    ],
)
def test_a_process_that_hangs_dies_or_floods_is_ended_in_time(
    program: str, error: type[Exception], objects: Objects, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("latentarena.arena.playground.START", 0.0)
    playground = Playground(objects, (sys.executable, "-c", program), seconds=1.0)
    began = time.monotonic()
    with pytest.raises(error):
        playground.draw(objects.put(b"anything"), {"verb": "samples"})
    assert playground._process is None
    assert time.monotonic() - began < 20
    playground.close()
