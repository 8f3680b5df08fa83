"""Drawing with entries: the pictures are the model's own, and a process that dies or hangs costs one drawing."""

from __future__ import annotations

import base64
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from arena_parts import until
from boxes import BOXED
from latentarena.arena.client import pack
from latentarena.arena.drawing import Drawing, DrawingProcess
from latentarena.arena.objects import Objects
from latentarena.arena.playground import OF_ONE, Playground, Ticket, VisitorBusy
from latentarena.bundle import NativeBundle
from latentarena.errors import ConfigError, StoreBusy, StoreError
from latentarena.pictures import grid
from latentarena.use.playground import FRAMES, SHOWN, Studio
from latentarena.use.uses import slerp


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


def test_samples_are_the_models_own(tiny_bundle: NativeBundle, tiny_run: Path, studio: Studio) -> None:
    model = tiny_bundle.model
    labels = torch.arange(SHOWN) % 10 if model.conditional else None
    for seed in (0, 7):
        found = image_of(studio.answer(tiny_run / "bundle", {"verb": "samples", "seed": seed}))
        expected = grid(model.generate(model.noise(SHOWN, seed), labels, seed=seed), zoom=3)
        assert np.array_equal(found, np.asarray(expected))


def test_a_walk_goes_along_the_arc_from_one_seed_to_the_other(
    tiny_bundle: NativeBundle, tiny_run: Path, studio: Studio
) -> None:
    model = tiny_bundle.model
    found = image_of(studio.answer(tiny_run / "bundle", {"verb": "walk", "start": 3, "end": 4}))
    noise = slerp(model.noise(1, 3), model.noise(1, 4), torch.linspace(0, 1, FRAMES))[0]
    labels = torch.zeros(FRAMES, dtype=torch.long) if model.conditional else None
    assert np.array_equal(found, np.asarray(grid(model.generate(noise, labels), columns=FRAMES, zoom=4)))


def test_noise_becomes_images_step_by_step(tiny_bundle: NativeBundle, tiny_run: Path, studio: Studio) -> None:
    answer = studio.answer(tiny_run / "bundle", {"verb": "becoming", "steps": 5})
    movie = Image.open(io.BytesIO(base64.b64decode(str(answer["content"]))))
    assert (answer["kind"], movie.n_frames) == ("image/gif", 6)  # type: ignore[attr-defined]


def test_a_drawing_comes_back_through_the_latent(tiny_bundle: NativeBundle, tiny_run: Path, studio: Studio) -> None:
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
    portable_folder: Path, tiny_run: Path, studio: Studio
) -> None:
    asked = {"verb": "samples", "seed": 5}
    found, expected = (image_of(studio.answer(path, asked)) for path in (portable_folder, tiny_run / "bundle"))
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    with pytest.raises(ConfigError, match="at once"):
        studio.answer(portable_folder, {"verb": "becoming"})


def test_the_process_is_started_again_after_it_died(tiny_run: Path, objects: Objects) -> None:
    process = DrawingProcess(objects)
    try:
        digest = objects.put(pack(tiny_run / "bundle"))
        first = process.draw(digest, {"verb": "samples"})
        assert first.kind == "image/png"
        process.interrupt()
        process._process.wait()  # type: ignore[union-attr]
        assert process.draw(digest, {"verb": "samples"}).content == first.content
        with pytest.raises(ConfigError, match="seed"):
            process.draw(digest, {"verb": "samples", "seed": "?"})
    finally:
        process.close()


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
    monkeypatch.setattr("latentarena.arena.drawing.START", 0.0)
    process = DrawingProcess(objects, (sys.executable, "-c", program), seconds=1.0)
    began = time.monotonic()
    with pytest.raises(error):
        process.draw(objects.put(b"anything"), {"verb": "samples"})
    assert process._process is None
    assert time.monotonic() - began < 20
    process.close()


ECHO = """
import json, os, sys, time
for line in iter(sys.stdin.readline, ""):
    asked = json.loads(line)["asked"]
    while asked["verb"] == "hold" and not os.path.exists(sys.argv[1]):
        time.sleep(0.01)
    if asked["verb"] == "die":
        sys.exit(1)
    print(json.dumps({"refused": "no"} if asked["verb"] == "refuse" else {"facts": asked}), flush=True)
"""


@dataclass
class Drawings:
    """A playground whose process answers what it was asked, once it may; its clock is set by hand."""

    playground: Playground
    digest: str
    now: list[float]
    gate: Path

    def ask(self, visitor: str, verb: str = "echo", n: int = 0) -> Ticket:
        return self.playground.ask(visitor, self.digest, {"verb": verb, "n": n})

    def hold(self, visitor: str) -> Ticket:
        """A drawing that is begun, and ends when the gate is opened."""
        ticket = self.ask(visitor, "hold")
        until(lambda: self.playground._line.of(visitor) == 0)
        return ticket


@pytest.fixture
def drawings(objects: Objects, tmp_path: Path) -> Iterator[Drawings]:
    now, gate = [0.0], tmp_path / "gate"
    program = (sys.executable, "-S", "-E", "-c", ECHO, str(gate))
    playground = Playground(objects, program, clock=lambda: now[0])
    yield Drawings(playground, objects.put(b"anything"), now, gate)
    playground.close()


def facts(ticket: Ticket) -> dict[str, object]:
    made = ticket.made.result(20)
    assert isinstance(made, Drawing), made
    return dict(made.facts)


def test_visitors_take_turns_and_everybody_knows_their_place(drawings: Drawings) -> None:
    first = drawings.hold("greedy")
    many = [drawings.ask("greedy", n=i) for i in range(20)]
    other, third = drawings.ask("modest", n=1000), drawings.ask("third", n=2000)
    ends: list[Ticket] = []
    for ticket in (first, *many, other, third):
        ticket.made.add_done_callback(lambda _, ticket=ticket: ends.append(ticket))
    assert [drawings.playground.place(one) for one in (first, *many[:2], other, third, many[2])] == [1, 2, 5, 3, 4, 6]
    assert not first.made.done()  # nobody waited
    drawings.gate.touch()
    assert [facts(one)["n"] for one in (*many, other, third)] == [*range(20), 1000, 2000]
    assert ends.index(other) <= 3


def test_a_line_is_bounded_for_each_visitor_and_for_all(drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentarena.arena.playground.OF_ALL", 40)
    drawings.hold("first")
    for i in range(OF_ONE):
        drawings.ask("greedy", n=i)
    with pytest.raises(VisitorBusy, match="of yours"):
        drawings.ask("greedy", n=99)
    assert drawings.playground.place(drawings.ask("greedy", n=3)) == 5  # the same question is no other
    for i in range(40 - 1 - OF_ONE):
        drawings.ask(f"visitor {i}", n=100 + i)
    last, late = drawings.ask("greedy", n=OF_ONE - 1), drawings.ask("late", n=999)
    assert drawings.playground.place(late) < 2 + 1 + 7 + 2  # who has much gives way to who has little
    assert isinstance(last.made.result(0), StoreBusy)
    assert len(drawings.playground._open) == 40
    line = drawings.playground._line
    while line.of("greedy") > line.of("late") + 1:
        drawings.ask("late", n=1000 + line.of("late"))
    with pytest.raises(StoreBusy, match="wait already"):
        drawings.ask("late", n=999_999)


def test_what_was_drawn_is_drawn_once_and_failures_are_forgotten(drawings: Drawings) -> None:
    assert facts(drawings.ask("one", n=7))["n"] == 7
    again = drawings.ask("another", n=7)
    assert again.made.done()
    assert isinstance(drawings.ask("one", "refuse").made.result(20), ConfigError)
    assert isinstance(drawings.ask("one", "die").made.result(20), StoreError)
    assert drawings.ask("one", "die").made.done()
    drawings.hold("two")
    drawings.now[0] += 31
    assert not drawings.ask("one", "die").made.done()
    drawings.gate.touch()
    drawings.playground.forget([drawings.digest])
    assert not drawings.playground.known(drawings.digest, {"verb": "echo", "n": 7})


def test_what_is_kept_of_drawings_is_bounded(drawings: Drawings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("latentarena.arena.playground.CACHE", 4 << 10)
    for i in range(6):
        facts(drawings.ask("one", n=i))
    known = [drawings.playground.known(drawings.digest, {"verb": "echo", "n": i}) for i in range(6)]
    assert known == [False, False, True, True, True, True]


def test_what_nobody_asks_for_again_is_not_drawn(drawings: Drawings) -> None:
    drawings.hold("one")
    left, wanted = drawings.ask("gone", n=1), drawings.ask("one", n=2)
    drawings.now[0] += 25
    assert drawings.ask("one", n=2) is wanted
    drawings.gate.touch()
    assert isinstance(left.made.result(20), StoreBusy)
    assert facts(wanted)["n"] == 2
