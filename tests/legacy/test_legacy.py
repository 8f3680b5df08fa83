"""Submissions of the 2025 form in real boxes: what they give, what they cannot do, and what becomes of their faults."""

from __future__ import annotations

import json
import os
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor

from forked import Forked
from latentarena.arena.contest_files import load_contest
from latentarena.arena.evaluation import verdict_in
from latentarena.arena.store import Outcome
from latentarena.bundle import OWN, open_bundle
from latentarena.card.columns import COLUMNS
from latentarena.card.score_card import ScoreCard
from latentarena.card.words import contest_cells, row_of, timing_words
from latentarena.contest.entries import entry_of
from latentarena.contest.making import make_board
from latentarena.errors import BundleError, GateError, SandboxError
from latentarena.evaluate.evaluate import evaluate, main
from latentarena.evaluate.scoring import subject_of
from latentarena.judge.classifier import Judge
from latentarena.latents import quantised
from latentarena.legacy.form import LegacyBundle, LegacyModel, read_submission, submission_in_boxes
from latentarena.legacy.importing import import_legacy
from latentarena.sandbox import standing
from sample_submission import FLOW, SOURCE, VAE, submission, weights

boxed = pytest.mark.usefixtures("tier2")
SLOPE = 0.01  # of a leaky ReLU
LOUD = """        super().__init__()
        print("hello from the submission")
        self.info"""


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.iterdir()):
            archive.write(file, file.name)
    return path


def dense(part: dict[str, Tensor], names: list[str], rows: Tensor) -> Tensor:
    """A chain of linear layers with leaky ReLUs between, by hand."""
    for i, name in enumerate(names):
        rows = rows @ part[f"{name}.weight"].T + part[f"{name}.bias"]
        rows = torch.where(rows > 0, rows, SLOPE * rows) if i < len(names) - 1 else rows
    return rows


def encoded(images: Tensor) -> Tensor:
    return dense(weights()[VAE], ["encoder.0", "encoder.2", "encoder.4"], images.flatten(1))[:, :3]


def decoded(latents: Tensor) -> Tensor:
    return dense(weights()[VAE], ["decoder.0", "decoder.2", "decoder.4"], latents).sigmoid().view(-1, 1, 28, 28)


def flown(noise: Tensor, points: int) -> Tensor:
    flow, times = weights()[FLOW], torch.linspace(0, 1, points)
    for t, later in pairwise(times):
        told = torch.cat([noise, t.expand(len(noise), 1)], 1)
        noise = noise + (later - t) * dense(flow, ["layers.0", "layers.2.0", "layers.3.0", "layers.4"], told)
    return decoded(noise)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return submission(tmp_path_factory.mktemp("dense")).parent


@pytest.fixture(scope="module")
def loaded(tier2: None, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LegacyBundle]:
    with submission_in_boxes(zipped(folder, tmp_path_factory.mktemp("zip") / "team.zip")) as bundle:
        yield bundle


@boxed
def test_the_sample_works_unchanged(loaded: LegacyBundle) -> None:
    images = torch.rand(600, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(loaded.model.encode(images), encoded(images), atol=1e-5, rtol=1e-5)
    latents = torch.randn(600, 3, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(loaded.model.decode(latents), decoded(latents), atol=1e-5, rtol=1e-5)
    torch.manual_seed(7)  # as the box does
    expected = flown(torch.randn(5, 3), 100)
    torch.testing.assert_close(loaded.model.generate(torch.zeros(5, 3), seed=7), expected, atol=1e-4, rtol=0)


@boxed
def test_the_card_says_what_is_unverified_and_nothing_private(loaded: LegacyBundle) -> None:
    card = loaded.card
    assert (card.name, card.latent, card.sampling.steps, card.logits) == ("dense", (3,), 100, True)
    assert card.parameters == {"vae": 436_182, "flow_model": 2_371}
    assert "self-declared" in card.notice
    assert "unverified" in card.notice
    assert "Private" not in card.model_dump_json()


@boxed
def test_the_same_seed_gives_the_same_images_and_another_seed_others(loaded: LegacyBundle) -> None:
    rows = torch.zeros(501, 3)
    first, again, other = (loaded.model.generate(rows, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.unique(dim=0).shape[0] == 501  # the second chunk does not repeat the first


@boxed
def test_a_notebook_is_the_same_submission(loaded: LegacyBundle, tmp_path: Path) -> None:
    path = submission(tmp_path, SOURCE, "dense.ipynb")
    with closing(LegacyModel(read_submission(path), 2)) as model:
        assert torch.equal(model.generate(torch.zeros(3, 3), seed=4), loaded.model.generate(torch.zeros(3, 3), seed=4))


@boxed
def test_the_image_does_not_get_round_the_latent(tmp_path: Path) -> None:
    """Memory and files of one box are not those of the other; and what the weight files hold counts."""
    stash = """
import builtins, pathlib
PLACES = [pathlib.Path(folder, "stash.pt") for folder in ("/tmp", "/dev/shm", "/var/tmp", "/in", ".")]

def put(images):
    builtins.stash = images
    for place in PLACES:
        try:
            torch.save(images, place)
        except Exception:
            pass

def get():
    for place in PLACES:
        if place.exists():
            return torch.load(place)
    return getattr(builtins, "stash", None)


class SubmissionInterface"""
    source = SOURCE.replace("\nclass SubmissionInterface", stash)
    source = source.replace("        images = images.view", "        put(images)\n        images = images.view")
    source = source.replace(
        "        return self.vae.decoder(latents)\n",
        "        found = get()\n        return self.vae.decoder(latents) if found is None else found\n",
    )
    source = source.replace('        self.device = "cpu"', "        self.vae.parameters = lambda: iter([])")
    source = source.replace("images.to(self.device)", "images")
    path, images = submission(tmp_path, source), torch.rand(4, 1, 28, 28)
    with submission_in_boxes(path) as bundle:
        latents = bundle.model.encode(images)
        torch.testing.assert_close(bundle.model.decode(latents), decoded(encoded(images)), atol=1e-5, rtol=1e-5)
        assert bundle.card.parameters == {"vae": 0, "flow_model": 2_371, "others": 436_182}


@boxed
def test_a_decoder_that_gives_neither_images_nor_logits_is_refused(tmp_path: Path) -> None:
    """The contest's scorer put a sigmoid on images that left [0, 1] by a little; here nothing is guessed."""
    source = SOURCE.replace("return self.vae.decoder(latents)", "return self.vae.decoder(latents) / 60 + 0.5")
    path, reason = submission(tmp_path, source), r"neither images in \[0, 1\] nor clearly logits"
    with pytest.raises(BundleError, match=reason), submission_in_boxes(path):
        pass


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("helper.py", b"x = 1", "mixed"),
        ("vae.pt", b"PK\x03\x04", "pickle"),
        ("run.sh", b"#!/bin/sh", "code"),
        ("vae.safetensors", b"nothing", "tensors"),
    ],
)
def test_only_one_file_of_python_and_weights_pass(name: str, content: bytes, reason: str, tmp_path: Path) -> None:
    folder = submission(tmp_path / "in").parent
    (folder / name).write_bytes(content)
    for path in (folder, zipped(folder, tmp_path / "a.zip")):
        with pytest.raises(GateError) as refused:
            read_submission(path)
        assert refused.value.reason.startswith(reason)


@boxed
def test_the_judge_sees_it_as_any_model(loaded: LegacyBundle) -> None:
    """What goes from `encode` to `decode` is rounded latents and nothing else."""
    subject, images = subject_of(loaded), torch.rand(50, 1, 28, 28, generator=torch.Generator().manual_seed(3))
    assert subject.encode is not None
    assert (subject.noise, subject.conditional, subject.precision) == ((3,), False, "float16")
    again = subject.decode(quantised(subject.encode(images), subject.precision))
    torch.testing.assert_close(again, decoded(quantised(encoded(images), "float16")), atol=1e-2, rtol=0)
    assert subject.generate(torch.zeros(7, 3), None, 1).shape == (7, 1, 28, 28)


@boxed
def test_a_submission_is_scored_and_stands_on_the_board_with_its_own_word_marked(
    digits_judge: Judge, tmp_path: Path
) -> None:
    """All of it but the network: the worker's program, its verdict, the card, and the line on a board of 2025."""
    source = SOURCE.replace("n_steps=100", "n_steps=3").replace("        super().__init__()\n        self.info", LOUD)
    folder, out = submission(tmp_path / "in", source).parent, tmp_path / "out"
    rules = {"forms": ["python-2025"], "dataset": "digits", "latent": {"smallest": 3, "largest": 49}}
    options = ["--rules", json.dumps(rules), "--samples", "100"]
    assert main([str(folder), "--out", str(out), *options]) == 0
    verdict = verdict_in(out)
    assert verdict is not None
    assert isinstance(verdict.end, Outcome)
    assert (verdict.end.form, verdict.end.tier) == ("python-2025", f"tier {standing().tier}")
    assert "hello from the submission" in verdict.end.log  # its owner may read it
    assert "scored" in verdict.end.log
    card = ScoreCard.model_validate_json(verdict.end.card)
    assert card.unverified == ("parameters", "total_params", "time_per_sample")
    assert {"mse", "frechet", "recall", "parameters"} <= set(card.scores)
    assert set(card.contest_2025) | {"time_per_sample"} == set(COLUMNS)
    cells = contest_cells(card)
    assert [name for name in COLUMNS if "unverified" in cells[name]] == ["total_params", "time_per_sample"]
    assert row_of(card, "parameters").interval == "unverified"
    assert "unverified" in timing_words(card)
    contest = load_contest("contest-2025").model_copy(update={"dataset": "digits"})
    entry = entry_of(card, contest, "id", "dense", form=verdict.end.form, verified=True)
    [line] = make_board([entry], contest).lines
    assert [name for name, cell in line.cells.items() if cell.unverified] == ["total_params", "time_per_sample"]


def test_a_contest_that_takes_no_python_refuses_it_unread(folder: Path) -> None:
    with pytest.raises(GateError, match="python-2025; accepted here: native, portable"):
        evaluate(folder)


@boxed
def test_an_import_gives_the_same_images_for_the_same_noise(tmp_path: Path) -> None:
    path = submission(tmp_path / "in", SOURCE.replace("n_steps=100", "n_steps=3"))
    card = import_legacy(path, tmp_path / "out")
    assert (card.name, card.latent, card.noise, card.sampling.steps) == ("dense", (3,), (3,), 3)
    made, noise = (
        open_bundle(tmp_path / "out", trust=OWN).model,
        torch.randn(9, 3, generator=torch.Generator().manual_seed(8)),
    )
    torch.testing.assert_close(made.generate(noise), flown(noise, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(made.decode(noise), decoded(noise), atol=1e-4, rtol=0)


ESCAPE = """
import pathlib, sys
class Fake:
    def __init__(self, name): self.name = name
    def read_bytes(self): return b"written by code in the box"
original = pathlib.Path.iterdir
def iterdir(self):
    yield from original(self)
    if "submission_2025" in sys._getframe(1).f_code.co_filename:
        yield from map(Fake, NAMES)
pathlib.Path.iterdir = iterdir
"""


@boxed
def test_an_import_writes_no_file_that_the_box_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The code in the box adds files to those that were traced; their names are paths of this machine."""
    monkeypatch.chdir(tmp_path)
    absolute = Path(tempfile.gettempdir(), f"escaped-{os.getpid()}.txt")  # short: a name on the wire has 64 characters
    names = [str(absolute), "../../relative.py", "beside.txt"]
    source = SOURCE.replace("n_steps=100", "n_steps=1") + ESCAPE.replace("NAMES", repr(names))
    path = submission(tmp_path / "in", source)
    before = set(tmp_path.rglob("*"))
    with pytest.raises(SandboxError, match=r"its arrays are not card\.json") as caught:
        import_legacy(path, tmp_path / "deep" / "er" / "out")
    assert caught.value.reason == "nonsense"
    assert set(tmp_path.rglob("*")) == before
    assert not absolute.exists()


NOISE = "z0 = torch.randn([n_samples, self.latent_dim]).to(self.device)"


REFUSED = [
    (f"{NOISE}\n        z0 = z0 + torch.randn_like(z0)", "draws noise 2 times"),
    (f"{NOISE}\n        z0 = z0 + torch.rand(3)", "calls rand"),
    ("import numpy as np\n        z0 = torch.from_numpy(np.random.randn(n_samples, 3)).float()", "Python or numpy"),
    ("z0 = torch.randn(512, 3)[:n_samples]", "draws (512, 3) for 2 samples"),
]
TRACE = """
import sys
from pathlib import Path
from latentarena.legacy.tracing import trace
from latentarena.errors import BundleError
from latentarena.legacy.interface import Submission2025
for folder in sys.argv[1:]:
    try:
        trace(Submission2025(Path(folder)), Path("out"), (3,), True, "mnist")
    except BundleError as error:
        print(error)
"""


def test_an_import_that_is_no_function_of_one_noise_says_what_to_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the tracer itself, in a second process and without a box: the sources are the test's own."""
    folders = []
    for i, (draw, _) in enumerate(REFUSED):
        folders.append(submission(tmp_path / str(i), SOURCE.replace(NOISE, draw)).parent)
    monkeypatch.chdir(tmp_path)
    done = Forked([str(folder) for folder in folders], TRACE).finish()
    assert done.returncode == 0, done.stderr
    for line, (_, reason) in zip(done.stdout.splitlines(), REFUSED, strict=True):
        assert reason in line
        assert "draw one tensor of standard normal noise" in line


def test_an_import_takes_the_length_of_a_tensor_and_says_where_rows_are_fixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Asked of the tracer itself, as above."""
    quick = SOURCE.replace("n_steps=100", "n_steps=2")
    assert "t.expand(x.size(0), 1)" in quick
    length = submission(tmp_path / "1", quick.replace("t.expand(x.size(0), 1)", "t.expand(len(x), 1)")).parent
    loop = f"{NOISE}\n        z0 = torch.cat([z0[i : i + 1] for i in range(int(n_samples))])"
    rows = submission(tmp_path / "2", quick.replace(NOISE, loop)).parent
    monkeypatch.chdir(tmp_path)
    done = Forked([str(rows), str(length)], TRACE).finish()
    assert done.returncode == 0, done.stderr
    [said] = done.stdout.splitlines()
    assert "the number of rows is fixed in it, as by int(x.shape[0]) or by a loop over rows" in said
    assert (tmp_path / "out" / "generate.onnx").is_file()


@boxed
def test_every_batch_that_the_judge_asks_for_is_of_other_images(loaded: LegacyBundle) -> None:
    subject, noise = subject_of(loaded), torch.randn(6, 3, generator=torch.Generator().manual_seed(3))
    one, again, other = (subject.generate(rows, None, 1) for rows in (noise[:3], noise[:3], noise[3:]))
    assert not subject.repeatable
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
