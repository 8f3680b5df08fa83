"""Modules of one's own: trained, killed and gone on with, saved, judged; and what is refused on the way."""

from __future__ import annotations

import json
import random
import shutil
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Event
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

import latentarena as la
from albums import album, store
from forked import Forked
from latentarena.bundle.export import refuse_strangers
from latentarena.judge.classifier import Judge
from latentarena.train import shelter
from standing import STANDING, moment, stands

PROGRAM = f"""{STANDING}
import sys, torch
from torch import nn
import latentarena as la

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm, self.drop, self.out = nn.BatchNorm1d(3), nn.Dropout(0.2), nn.Linear(3, 2)
    def forward(self, x, t, labels):
        return self.out(self.drop(self.norm(torch.cat([x, t[:, None]], 1))))

torch.manual_seed(int(sys.argv[2]))
network, data = Net(), torch.randn(512, 2, generator=torch.Generator().manual_seed(0))
if sys.argv[2] == "0":  # initial weights are the caller's; those of a resumed run come from its checkpoint
    torch.manual_seed(7)
    network = Net()
la.fit(network, data, folder=sys.argv[1], epochs=30, batch=16, ema=0.9, resume=len(sys.argv) > 3, progress=False)
torch.save(network.state_dict(), sys.argv[1] + "/weights.pt")
"""
STEPS = 30 * (512 // 16)


class Encode(nn.Module):
    """Images (N, 1, 28, 28) to means of squares, of about zero mean and unit variance."""

    def __init__(self) -> None:
        super().__init__()
        self.pool = nn.AvgPool2d(7)

    def forward(self, images: Tensor) -> Tensor:
        return 5 * self.pool(images).flatten(1) - 1


class Decode(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.grow = nn.Linear(16, 784)

    def forward(self, latents: Tensor) -> Tensor:
        return self.grow(latents).sigmoid().unflatten(1, (1, 28, 28))


class Network(nn.Module):
    """A plain velocity network of latents (N, 16), with a row for no label."""

    def __init__(self, numbers: int = 16) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(numbers + 1, 32), nn.SiLU(), nn.Linear(32, numbers))
        self.label = nn.Embedding(11, numbers)

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        told = torch.full((x.shape[0],), 10) if labels is None else labels
        inside = torch.cat([x.flatten(1), t[:, None]], 1)
        return (self.layers(inside) + self.label(told)).view_as(x)


@pytest.fixture
def parts() -> dict[str, nn.Module]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return {"encode": Encode(), "decode": Decode(), "network": Network()}


def start(folder: Path, init: int, *more: str, at: dict[str, str] | None = None) -> Forked:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (at or {}).items():
            patch.setenv(name, value)
        return Forked([str(folder), str(init), *more], PROGRAM)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a training that nothing happened to."""
    folder = tmp_path_factory.mktemp("whole")
    assert start(folder, 0).wait() == 0
    return folder


def strike(here: Path, seen: Path, checkpoints: int) -> None:
    """Kill a training into a folder at some moment of its first half, with so many checkpoints in another."""
    war = start(here, 0, at=moment("network", random.uniform(0.05, 0.5) * STEPS))
    stands(war.pid, war.poll)
    deadline = time.monotonic() + 60
    while len(list(seen.glob("checkpoints/network-*.safetensors"))) < checkpoints and time.monotonic() < deadline:
        time.sleep(0.005)
    war.send_signal(signal.SIGKILL)
    assert war.wait() == -signal.SIGKILL


def assert_same_weights(folder: Path, undisturbed: Path) -> None:
    one, other = (torch.load(place / "weights.pt") for place in (folder, undisturbed))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_killed_training_goes_on_to_the_same_weights(tmp_path: Path, undisturbed: Path) -> None:
    """With dropout, batch normalisation and averaged weights, from other initial weights in a new process."""
    killed = tmp_path / "killed"
    strike(killed, killed, checkpoints=1)
    assert not (killed / "weights.pt").exists()
    assert start(killed, 5, "resume").wait() == 0
    assert_same_weights(killed, undisturbed)
    curves = [(folder / "logs" / "network.csv").read_text().splitlines() for folder in (undisturbed, killed)]
    steps = [[row.split(",")[0] for row in rows] for rows in curves]
    assert steps[0] == steps[1]


def upload(here: Path, there: Path, lost: Event) -> None:
    """A mounted drive: what is written here is there late, file by file in any order, and goes later still."""
    order = random.Random(0)
    while not lost.is_set():
        files = [path for path in here.rglob("*") if path.is_file() and not path.name.startswith(".")]
        for path in order.sample(files, len(files)):
            target = there / path.relative_to(here)
            target.parent.mkdir(parents=True, exist_ok=True)
            with suppress(FileNotFoundError):
                target.write_bytes(path.read_bytes())
            if lost.wait(0.02):
                return
        for target in [path for path in there.rglob("*") if path.is_file()]:
            if not (here / target.relative_to(there)).exists():
                target.unlink()


def test_a_lost_runtime_goes_on_from_what_had_reached_the_drive(tmp_path: Path, undisturbed: Path) -> None:
    """As on Colab: process and local files are gone, the drive lags behind, the newest file on it is cut off."""
    here, there, lost = tmp_path / "here", tmp_path / "there", Event()
    with ThreadPoolExecutor(1) as drive:
        drive.submit(upload, here, there, lost)
        strike(here, there, checkpoints=2)
        lost.set()
    shutil.rmtree(here)
    whole = max(there.glob("checkpoints/network-*.safetensors"))  # the drive may have dropped all older ones by now
    newest = whole.with_name(f"network-99999999-{'0' * 16}.safetensors")
    newest.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    assert start(there, 5, "resume").wait() == 0
    assert newest.with_suffix(".damaged").exists()
    assert_same_weights(there, undisturbed)


def test_a_folder_that_vanishes_costs_no_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shelter, "PAUSES", (0.0,))
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    home, away, steps = tmp_path / "run", tmp_path / "away", []

    def fit(folder: Path | None, resume: bool = False) -> list[float]:
        def loss(network: nn.Module, data: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
            steps.append(1)
            if len(steps) == 5 and folder is not None:
                home.rename(away)
            return (network(data) - 1).square().mean()

        torch.manual_seed(0)
        data = torch.arange(16.0)[:, None]
        made = la.fit(nn.Linear(1, 1), data, loss=loss, folder=folder, epochs=5, batch=8, resume=resume, progress=False)
        return made["loss"]

    expected = fit(None)
    steps.clear()
    assert fit(home) == expected
    assert not home.exists()
    with pytest.raises(la.ArenaError, match=r"went on in .* set resume=True to bring it back"):
        fit(home)
    shutil.rmtree(home)  # made by the training that was refused
    away.rename(home)
    assert fit(home, resume=True) == expected
    assert len(steps) == 10  # none of them anew
    assert not shelter.refuge_of(home).exists()


def test_a_training_learns_and_says_how(tmp_path: Path, parts: dict[str, nn.Module]) -> None:
    data = torch.full((64, 16), 2.0)
    curve = la.fit(parts["network"], data, torch.arange(64) % 10, folder=tmp_path, epochs=60, lr=0.02, progress=False)
    assert curve["loss"][-1] < 0.5 * curve["loss"][0]
    assert not parts["network"].training
    assert {path.name for path in tmp_path.iterdir()} >= {"checkpoints", "logs", "training.json"}


def test_a_loss_of_ones_own_trains_anything(parts: dict[str, nn.Module]) -> None:
    images = torch.rand(64, 1, 28, 28, generator=torch.Generator().manual_seed(0))

    def reconstruct(model: nn.Module, batch: Tensor, labels: Tensor | None, generator: torch.Generator) -> dict:
        error = (model[1](model[0](batch)) - batch).square().mean()
        return {"loss": error, "error": error.detach().sqrt()}

    model = nn.Sequential(parts["encode"], parts["decode"])
    curve = la.fit(model, images, loss=reconstruct, epochs=20, batch=32, lr=0.05, progress=False)
    assert curve["error"][-1] < curve["error"][0]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"network": nn.Identity()}, "network is a Identity without weights"),
        ({"data": [[1.0, 2.0]]}, "data are a list"),
        ({"network": nn.LazyLinear(16)}, "network has lazy layers"),
        ({"data": torch.zeros(0, 16)}, r"data are of shape \[0, 16\]"),
        ({"data": torch.tensor(1.0)}, r"data are of shape \[\]"),
        ({"data": torch.zeros(8, 16, dtype=torch.uint8)}, "data = numbers of type uint8: give float numbers"),
        ({"labels": torch.zeros(3)}, "labels are 3 for 8 rows"),
        ({"labels": [0] * 8}, "labels are a list; give a tensor"),
        ({"process": "straight"}, r"process = 'straight': give a la\.Process"),
        ({"epochs": 0}, "fit: epochs = 0"),
        ({"lr": 2.0}, "fit: lr = 2.0"),
        ({"process": la.Process(), "loss": lambda *_: torch.zeros(())}, "two ways"),
        ({"loss": lambda *_: 0.5}, "loss gives no scalar"),
        ({"loss": lambda *_: torch.zeros(())}, "loss gives a number that no weight of the network moves"),
        ({"loss": lambda m, *_: {"loss": sum_of(m), "step": 1}}, "'step', which is the name of another column"),
        ({"loss": lambda m, *_: {"loss": sum_of(m), "far": [1, 2]}}, r"'far', which is \[2\], no scalar"),
        ({"accelerator": "abacus"}, "accelerator"),
        ({"resume": True, "folder": None}, "resume = True: there is no folder"),
    ],
)
def test_a_training_that_cannot_be_is_one_line(
    parts: dict[str, nn.Module], tmp_path: Path, wrong: dict[str, object], says: str
) -> None:
    whole = {"network": parts["network"], "data": torch.zeros(8, 16), "folder": tmp_path, "progress": False} | wrong
    with pytest.raises(la.ArenaError, match=says) as refusal:
        la.fit(whole.pop("network"), whole.pop("data"), whole.pop("labels", None), **whole)
    assert "\n" not in str(refusal.value)


def sum_of(module: nn.Module) -> Tensor:
    return torch.stack([one.square().sum() for one in module.parameters()]).sum()


class Tied(nn.Module):
    """Two layers with the weights of one."""

    def __init__(self) -> None:
        super().__init__()
        self.enter, self.leave = nn.Linear(3, 3), nn.Linear(3, 3)
        self.leave.weight = self.enter.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.leave(self.enter(x).relu())


def test_tied_weights_are_trained_kept_and_gone_on_with(tmp_path: Path) -> None:
    def loss(network: nn.Module, data: Tensor, labels: Tensor | None, generator: torch.Generator) -> dict[str, Any]:
        error = (network(data) - data).square().mean()
        return {"loss": error, "error": error.item()}  # numbers of Python are taken too

    data = torch.randn(64, 3, generator=torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    one, other = Tied(), Tied()
    curve = la.fit(one, data, loss=loss, folder=tmp_path, epochs=8, batch=16, ema=0.9, progress=False)
    assert curve["error"] == pytest.approx(curve["loss"])
    assert sum(curve["error"][-4:]) < sum(curve["error"][:4])  # of the last epoch, of the first
    la.fit(other, data, loss=loss, folder=tmp_path, epochs=8, batch=16, ema=0.9, resume=True, progress=False)
    assert other.enter.weight is other.leave.weight
    assert torch.equal(one(data), other(data))


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_a_network_of_another_precision_is_trained_in_it(dtype: torch.dtype, tmp_path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = Network().to(dtype)
    data = torch.full((64, 16), 2.0, dtype=dtype)
    curve = la.fit(network, data, epochs=60, lr=0.02, folder=tmp_path, progress=False)
    assert curve["loss"][-1] < 0.5 * curve["loss"][0]
    assert {one.dtype for one in network.parameters()} == {dtype}


def test_a_training_that_is_refused_leaves_the_network_as_it_came(tmp_path: Path) -> None:
    network, rows = Network(2), torch.randn(64, 2)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    rows[5, 1] = torch.nan
    with pytest.raises(la.ArenaError, match="data: 1 of 64 rows hold NaN or infinite values, such as row 5"):
        la.fit(network, rows, epochs=1, progress=False)

    def lost(network: nn.Module, data: Tensor, labels: Tensor | None, generator: torch.Generator) -> Tensor:
        return network(data, data[:, 0], None).sum() * torch.inf

    with pytest.raises(la.ArenaError, match="the loss is not finite"):
        la.fit(network, torch.randn(64, 2), loss=lost, epochs=1, progress=False)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_latents_need_not_be_detached(parts: dict[str, nn.Module]) -> None:
    encoder = nn.Linear(16, 16)
    before = encoder.weight.clone()
    la.fit(parts["network"], encoder(torch.randn(32, 16)), epochs=2, batch=8, progress=False)
    assert torch.equal(encoder.weight, before)
    assert encoder.weight.grad is None


def test_a_training_says_whether_anything_of_it_is_kept(tmp_path: Path) -> None:
    def diverge(network: nn.Module, data: Tensor, *_: object) -> Tensor:
        return network(data).mean() / 0

    def stop(network: nn.Module, data: Tensor, *_: object) -> Tensor:
        signal.raise_signal(signal.SIGINT)
        return network(data).mean()

    for loss, kept in (
        (diverge, "last good state .step 0. is kept in"),
        (stop, "saved; the same call with resume=True"),
    ):
        for folder, says in (
            (None, r"nothing of it is kept, for there is no folder=\.\.\."),
            (tmp_path / kept[:4], kept),
        ):
            with pytest.raises(la.ArenaError, match=says):
                la.fit(nn.Linear(2, 2), torch.ones(8, 2), loss=loss, folder=folder, epochs=3, batch=4, progress=False)


def test_a_folder_is_of_one_training(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    def train(data: Tensor, **options: object) -> None:
        la.fit(parts["network"], data, folder=tmp_path, progress=False, **{"epochs": 1, **options})

    train(torch.zeros(8, 16))
    with pytest.raises(la.ArenaError, match="holds a training already; set resume=True"):
        train(torch.zeros(8, 16))
    train(torch.zeros(8, 16), resume=True)
    with pytest.raises(la.ArenaError, match="data or labels are not the same; give what it was begun with"):
        train(torch.ones(8, 16), resume=True)
    with pytest.raises(la.ArenaError, match=r"lr was 0\.001, now it is 0\.5; give"):
        train(torch.zeros(8, 16), resume=True, lr=0.5)
    with pytest.raises(la.ArenaError, match=r"path was straight, now it is vp_cosine; give"):
        train(torch.zeros(8, 16), resume=True, process=la.Process("vp_cosine"))
    with pytest.raises(la.ArenaError, match=r"another training.*network is another: .* was .*, now it is"):
        la.fit(nn.Linear(16, 16), torch.zeros(8, 16), loss=lambda *_: 0, folder=tmp_path, epochs=1, resume=True)


def test_modules_of_ones_own_become_a_bundle_that_is_judged(
    parts: dict[str, nn.Module], tmp_path: Path, digits_judge: Judge
) -> None:
    model = la.save(parts, tmp_path / "mine", steps=2, guidance=2.0, conditional=True, dataset="digits")
    assert sorted(path.name for path in (tmp_path / "mine" / "bundle").iterdir()) == [
        "card.json",
        "decode.onnx",
        "encode.onnx",
        "generate.onnx",
    ]
    noise, labels = model.bundle.model.noise(10, 0), torch.arange(10)
    latents = la.Process().sample(parts["network"], noise, labels, steps=2, guidance=2.0)
    with torch.no_grad():
        torch.testing.assert_close(model.sample(10), parts["decode"](latents), atol=1e-4, rtol=0)
    weights = load_file(tmp_path / "mine" / "weights.safetensors")
    for part, module in parts.items():
        own = {name.removeprefix(f"{part}."): one for name, one in weights.items() if name.startswith(f"{part}.")}
        module.load_state_dict(own)
    card = json.loads((tmp_path / "mine" / "bundle" / "card.json").read_text())
    assert (card["name"], card["sampling"]) == ("mine", {"solver": "heun", "steps": 2, "guidance": 2.0})
    assert la.load(tmp_path / "mine").bundle.digest == model.bundle.digest
    scores = la.judge(model, samples=200, timed=False, progress=False).scores
    assert scores["frechet"].value > scores["frechet"].real.value


def test_photographs_at_a_chosen_size_are_what_a_model_is_saved_judged_and_found_by(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    store(tmp_path / "photos", album(60))
    photos = la.datasets.load("folder:photos", size=12, crop="center")
    model = la.save(Flat(), tmp_path / "own", dataset=photos, steps=1)
    data = {"name": "folder:photos", "size": 12, "crop": "center", "resize": None}
    assert json.loads((tmp_path / "own" / "bundle" / "card.json").read_text())["data"] == data
    scores = la.judge(model, samples=100, timed=False, progress=False).scores
    assert scores["frechet"].real is not None
    floor = la.judge(photos.train.images, dataset=photos, progress=False)  # the images themselves
    assert floor["frechet"].value < scores["frechet"].value
    with pytest.raises(la.ArenaError, match=r"^images are \[1, 12, 12\] and folder:photos \[1, 8, 10\].* size="):
        la.judge(photos.train.images, dataset="folder:photos")
    modules = {"encode": nn.Linear(12, 4), "decode": nn.Linear(4, 12), "network": Flat()}
    with pytest.raises(la.ArenaError, match=r"encode fails on images .*; images of a chosen size are dataset=la\.data"):
        la.save(modules, tmp_path / "no", dataset="folder:photos")
    with pytest.raises(la.ArenaError, match=r"^against = tensor.*: a bundle names its own dataset; leave against out"):
        la.judge(model, against=photos.train.images)  # type: ignore[call-overload]
    with pytest.raises(la.ArenaError, match=r"^dataset = folder:photos: a bundle names its own"):
        la.judge(model, dataset=photos)
    with pytest.raises(la.ArenaError, match=r"^root = 'photos': folder:photos is loaded already; leave root out$"):
        la.judge(photos.train.images, dataset=photos, root="photos")
    with pytest.raises(la.ArenaError, match=r"^dataset = tensor\(\[\[0\., 0\.\], \[0\., 0\.\]\]\): give a name"):
        la.save(Flat(), tmp_path / "no", dataset=torch.zeros(2, 2))  # type: ignore[arg-type]
    monkeypatch.chdir("own")
    with pytest.raises(la.ArenaError, match=r"^folder:photos does not exist here; say where .*, in Python root="):
        la.judge(model, samples=100, timed=False, progress=False)
    assert la.judge(model, samples=100, timed=False, progress=False, root=tmp_path / "photos").scores == scores


class Flat(nn.Module):
    """A velocity of pixels that depends on nothing but them."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None = None) -> Tensor:
        return self.gain * x


def test_a_network_of_pixels_needs_no_autoencoder(tmp_path: Path) -> None:
    class Pixels(Network):
        def __init__(self) -> None:
            super().__init__(784)

    network = Pixels()
    model = la.save(network, tmp_path, process=la.Process("vp_cosine", "v"), solver="ddim", steps=2, dataset="digits")
    assert model.bundle.card.pixels
    assert model.sample(3).shape == (3, 1, 28, 28)


class Bent(la.Path):
    """Derivatives of `square` are what an exporter loses."""

    def alpha(self, t: Tensor) -> Tensor:
        return 1 - t.square()

    def sigma(self, t: Tensor) -> Tensor:
        return (t * (2 - t)).clamp(0, 1)


@pytest.mark.parametrize(
    ("path", "target", "solver"),
    [
        ("vp_linear", "v", "heun"),
        ("vp_linear", "velocity", "ddim"),
        (Bent(), "velocity", "dpm_solver_pp"),
        (Bent(), "noise", "euler"),
    ],
    ids=["of DDPM", "of DDPM, a velocity", "of one's own", "of one's own, the noise"],
)
def test_paths_that_bend_are_saved(
    path: str | la.Path, target: str, solver: str, parts: dict[str, nn.Module], tmp_path: Path
) -> None:
    process = la.Process(path, target)
    model = la.save(parts, tmp_path, process=process, solver=solver, steps=2, dataset="digits")
    noise = model.bundle.model.noise(3, 0)
    latents = process.sample(parts["network"], noise, steps=2, solver=solver)
    torch.testing.assert_close(model.sample(3), parts["decode"](latents).detach(), atol=1e-3, rtol=0)


def test_compiled_modules_are_saved_as_what_they_are_made_of(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    """`torch.compile` wraps a module in one that has neither length nor truth."""
    parts = {"encode": parts["encode"], "decode": parts["decode"], "generate": parts["decode"]}
    wrapped = {name: torch.compile(module, backend="eager") for name, module in parts.items()}
    wrapped |= {"decode": nn.DataParallel(parts["decode"])}
    made = [la.save(one, tmp_path / name, dataset="digits") for name, one in (("a", parts), ("b", wrapped))]
    assert torch.equal(made[0].sample(3), made[1].sample(3))
    plain, same = (load_file(tmp_path / name / "weights.safetensors") for name in ("a", "b"))
    assert (
        plain.keys()
        == same.keys()
        == {f"{part}.grow.{kind}" for part in ("decode", "generate") for kind in ("weight", "bias")}
    )


class Counted(nn.Linear):
    """A module with more in its state than tensors."""

    def get_extra_state(self) -> dict[str, int]:
        return {"calls": 3}

    def set_extra_state(self, state: dict[str, int]) -> None:
        assert state["calls"] == 3


class Branched(Network):
    """A network that asks which time it is."""

    def forward(self, x: Tensor, t: Tensor, labels: Tensor | None) -> Tensor:
        return super().forward(x, t, labels) if t[0] > 0.5 else x


def test_a_state_of_more_than_tensors_is_refused(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    parts["network"].extra = Counted(2, 2)  # type: ignore[assignment]
    for way in (
        lambda: la.save(parts, tmp_path / "mine", dataset="digits", steps=1),
        lambda: la.fit(parts["network"], torch.randn(64, 16), epochs=1, folder=tmp_path / "fit", progress=False),
    ):
        with pytest.raises(la.ArenaError, match=r"extra\._extra_state in the state of the module is a dict; .* buffer"):
            way()


def test_a_network_that_branches_on_its_numbers_is_refused_in_a_line(
    parts: dict[str, nn.Module], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(
        la.ArenaError, match=r"cannot be exported: it branches on the values of a tensor.* torch\.where"
    ):
        la.save(parts | {"network": Branched()}, tmp_path / "mine", dataset="digits", steps=2)
    said = capfd.readouterr()
    assert said.out + said.err == ""


class Wrong(nn.Module):
    def __init__(self, answer: object) -> None:
        super().__init__()
        self.answer = answer

    def forward(self, x: Tensor, *_: object) -> object:
        return self.answer(x) if callable(self.answer) else self.answer


@pytest.mark.parametrize(
    ("changes", "options", "says"),
    [
        ({"encode": None}, {}, "modules = decode, network: a model is made of one of these sets"),
        ({"encode": lambda x: x}, {}, "encode is function, no torch.nn.Module"),
        ({"encode": Wrong(lambda x: (x, x))}, {}, "encode gives tuple for 2 images"),
        ({"encode": nn.Linear(3, 4)}, {}, "encode fails on images"),
        ({"encode": nn.Linear(28, 4).double()}, {}, r"its weights are float64, its inputs float32; call \.float\(\)"),
        ({"decode": Wrong(lambda z: torch.zeros(len(z), 1, 8, 8))}, {}, "decode of .* gives .* expected"),
        (
            {"decode": Wrong(lambda z: z.new_full((len(z), 1, 28, 28), 2.0))},
            {},
            "decode of .* reach from 2 to",
        ),
        ({"network": Network(20)}, {}, "generate of .* fails"),
        ({"network": Wrong(torch.randn_like)}, {}, "generate of .* gives other numbers the next time"),
        ({"network": Wrong(lambda x: x - x.mean(0))}, {}, "for a row alone"),
        ({}, {"solver": "dopri5"}, "solver = dopri5 is no function of the noise alone"),
        ({}, {"solver": "rk5"}, "solver 'rk5' is unknown"),
        ({}, {"grid": "fine"}, "time grid 'fine' is unknown"),
        ({}, {"guidance": 2.0}, "guidance = 2.0: the network takes no labels"),
        ({}, {"steps": 0}, "steps = 0"),
        ({}, {"dataset": "cats"}, "dataset 'cats' is unknown"),
        ({}, {"process": "straight"}, "process = 'straight': give a la.Process"),
        (
            {"network": None, "generate": Decode()},
            {"guidance": 3.0, "grid": "karras"},
            "guidance = 3.0, grid = 'karras': `generate` samples by itself",
        ),
    ],
)
def test_what_does_not_match_is_refused_and_nothing_is_written(
    parts: dict[str, nn.Module], tmp_path: Path, changes: dict[str, object], options: dict[str, object], says: str
) -> None:
    modules = {name: one for name, one in (parts | changes).items() if one is not None}
    with pytest.raises(la.ArenaError, match=says) as refusal:
        la.save(modules, tmp_path / "mine", **{"dataset": "digits", "steps": 1, **options})
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "mine").exists()


def test_a_list_of_modules_says_not_what_each_does(parts: dict[str, nn.Module], tmp_path: Path) -> None:
    with pytest.raises(la.ArenaError, match=r"^modules = \[.*: give a module, or modules by name"):
        la.save(list(parts.values()), tmp_path / "mine", dataset="digits")  # type: ignore[arg-type]


def test_a_folder_keeps_the_model_that_it_holds(
    parts: dict[str, nn.Module], portable_folder: Path, tmp_path: Path
) -> None:
    """Another model is refused before anything of it is written; the same one is saved anew."""
    zoo, name = la.load("zoo:quickstart"), la.load(portable_folder).name
    assert name != zoo.name
    home, native, cut = (tmp_path / name for name in ("home", "native", "cut"))
    portable = Path(shutil.copytree(portable_folder, home / "bundle"))
    la.save(zoo, native, name=name)
    cut.mkdir()
    (cut / "card.json").write_text('{"name": ')
    kept = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for call, held in (
        (
            lambda: la.save(parts, home, name="other", dataset="digits"),
            f"{portable}: it holds the portable bundle {name!r}",
        ),
        (lambda: la.export(zoo, portable), f"{portable}: it holds the portable bundle {name!r}"),
        (lambda: la.save(zoo, portable, name=name), f"{portable}: it holds the portable bundle {name!r}"),
        (lambda: la.save(zoo, native), f"{native}: it holds the native bundle {name!r}"),
        (lambda: la.save(parts, native, name=name, dataset="digits"), f"{native}: it holds the native bundle {name!r}"),
        (lambda: la.save(zoo, cut), f"{cut}: it holds the unreadable bundle 'card.json'"),
    ):
        with pytest.raises(la.ArenaError) as refusal:
            call()
        assert str(refusal.value) == f"cannot write {held}; choose another folder"
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == kept
    assert la.save(zoo, native, name=name).name == name
    refuse_strangers(portable, name)  # which raises where it is another's


def test_an_empty_path_is_not_the_current_folder(
    parts: dict[str, nn.Module], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rows = torch.randn(8, 16)
    for call in (
        lambda: la.fit(parts["network"], rows, folder="", epochs=1, progress=False),
        lambda: la.save(parts, "", dataset="digits"),
        lambda: la.train("quickstart-digits", folder="", judged=False, progress=False),
        lambda: la.export("zoo:quickstart", ""),
    ):
        with pytest.raises(la.ArenaError, match=r"^folder = '': give a path; '\.' is the current folder$"):
            call()
    with pytest.raises(la.ArenaError, match=r"^source = '': give a path"):
        la.load("")
    assert not list(tmp_path.iterdir())
