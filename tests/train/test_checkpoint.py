"""Checkpoints: written whole, two kept, damage noticed, faults named."""

from __future__ import annotations

import errno
import logging
import resource
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from latentarena.errors import CheckpointError, OutputError
from latentarena.train.checkpoint import Checkpoint, Checkpoints, load_exactly, pack_optimizer, unpack_optimizer


def at(step: int) -> Checkpoint:
    generator = torch.Generator().manual_seed(step)
    tensors = {"model.weight": torch.randn(50, 100, generator=generator), "optimizer.0.step": torch.tensor(float(step))}
    return Checkpoint(step, tensors, {"seconds": step / 3})


def same(one: Checkpoint | None, two: Checkpoint) -> bool:
    return (
        one is not None
        and (one.step, one.facts) == (two.step, two.facts)
        and one.tensors.keys() == two.tensors.keys()
        and all(torch.equal(tensor, two.tensors[name]) for name, tensor in one.tensors.items())
    )


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1000] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def empty(path: Path) -> None:
    path.write_bytes(b"")


DAMAGE = pytest.mark.parametrize("damage", [flip, truncate, empty])


def test_round_trip(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path / "new" / "folder", "stage")
    assert store.latest() is None
    store.save(at(3))
    assert same(store.latest(), at(3))


def test_only_the_newest_two_are_kept(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, "stage")
    saved = [store.save(at(step)) for step in (1, 9, 10, 200)]
    assert sorted(tmp_path.iterdir()) == sorted(saved[-2:])
    assert same(store.latest(), at(200))


def test_stages_and_foreign_files_do_not_meet(tmp_path: Path) -> None:
    foreign = tmp_path / "stage-notes.safetensors"
    foreign.write_text("not a checkpoint")
    for stage, step in (("stage", 1), ("stage-two", 7), ("stages", 8)):
        Checkpoints(tmp_path, stage).save(at(step))
    for step in (2, 3, 4):
        Checkpoints(tmp_path, "stage").save(at(step))
    assert same(Checkpoints(tmp_path, "stage").latest(), at(4))
    assert same(Checkpoints(tmp_path, "stage-two").latest(), at(7))
    assert same(Checkpoints(tmp_path, "stages").latest(), at(8))
    assert foreign.exists()


@DAMAGE
def test_a_damaged_newest_gives_way_to_the_one_before_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: Callable[[Path], None]
) -> None:
    store = Checkpoints(tmp_path, "stage")
    store.save(at(1))
    newest = store.save(at(2))
    damage(newest)
    with caplog.at_level(logging.WARNING, logger="latentarena"):
        assert same(store.latest(), at(1))
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert str(newest) in record.getMessage()
    assert "damaged" in record.getMessage()


@DAMAGE
def test_no_intact_checkpoint_is_an_error_that_names_the_folder(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    store = Checkpoints(tmp_path, "stage")
    for step in (1, 2):
        damage(store.save(at(step)))
    with pytest.raises(CheckpointError, match=r"every checkpoint of 'stage' .* damaged") as refusal:
        store.latest()
    assert str(tmp_path) in str(refusal.value)


def test_an_intact_one_is_used_without_a_word(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store = Checkpoints(tmp_path, "stage")
    store.save(at(1))
    assert same(store.latest(), at(1))
    assert not caplog.records


@pytest.mark.parametrize(
    ("number", "reason"),
    [(errno.ENOSPC, "the disk is full"), (errno.EROFS, "read-only"), (errno.EIO, "Input/output error")],
)
@pytest.mark.parametrize("call", ["pathlib.Path.replace", "os.fsync"])
def test_a_failing_write_leaves_the_old_ones_and_no_litter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int, reason: str
) -> None:
    store = Checkpoints(tmp_path, "stage")
    saved = [store.save(at(step)) for step in (1, 2)]

    def fail(*arguments: object) -> None:
        raise OSError(number, "Input/output error")

    monkeypatch.setattr(call, fail)
    with pytest.raises(OutputError, match=reason):
        store.save(at(3))
    monkeypatch.undo()
    assert sorted(tmp_path.iterdir()) == sorted(saved)
    assert same(store.latest(), at(2))


def test_a_write_cut_short_by_the_system_leaves_the_old_ones_and_no_litter(tmp_path: Path) -> None:
    store = Checkpoints(tmp_path, "stage")
    saved = [store.save(at(step)) for step in (1, 2)]
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8192, limits[1]))  # a checkpoint here has 20 kB
    try:
        with pytest.raises(OutputError, match="cannot write"):
            store.save(at(3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert sorted(tmp_path.iterdir()) == sorted(saved)
    assert same(store.latest(), at(2))


OPTIMIZERS: dict[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = {
    "adamw": lambda p: torch.optim.AdamW(p, 0.1, weight_decay=0.1),
    "amsgrad": lambda p: torch.optim.AdamW(p, 0.1, amsgrad=True),
    "momentum": lambda p: torch.optim.SGD(p, 0.1, momentum=0.9),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_packed_optimizer_goes_on_as_if_never_packed(tmp_path: Path, name: str) -> None:
    def slope(weight: Tensor, step: int) -> Tensor:
        return torch.randn(weight.shape, generator=torch.Generator().manual_seed(step))

    def walk(weights: list[nn.Parameter], optimizer: torch.optim.Optimizer, steps: range) -> None:
        for step in steps:
            for weight in weights:
                weight.grad = slope(weight, step)
            optimizer.step()

    weights = [nn.Parameter(torch.ones(3, 2)), nn.Parameter(torch.zeros(4))]
    optimizer = OPTIMIZERS[name](weights)
    walk(weights, optimizer, range(3))
    store = Checkpoints(tmp_path, "stage")
    store.save(Checkpoint(3, pack_optimizer(optimizer), {}))

    copies = [nn.Parameter(weight.detach().clone()) for weight in weights]
    revived = OPTIMIZERS[name](copies)
    unpack_optimizer(revived, store.latest().tensors)
    packed, repacked = pack_optimizer(optimizer), pack_optimizer(revived)
    assert packed.keys() == repacked.keys()
    for key, tensor in packed.items():
        assert torch.equal(tensor, repacked[key]), key
        assert tensor.dtype == repacked[key].dtype, key

    walk(weights, optimizer, range(3, 6))
    walk(copies, revived, range(3, 6))
    for weight, copy in zip(weights, copies, strict=True):
        assert torch.equal(weight, copy)


def test_a_fresh_optimizer_packs_to_nothing() -> None:
    optimizer = torch.optim.AdamW([nn.Parameter(torch.ones(2))])
    assert pack_optimizer(optimizer) == {}
    unpack_optimizer(optimizer, {})
    assert optimizer.state_dict()["state"] == {}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"bias": None}, ["'bias'", "(3,)", "missing"]),
        ({"scale": torch.ones(1)}, ["'scale'", "not part of"]),
        ({"weight": torch.ones(2, 3)}, ["'weight'", "(2, 3)", "(3, 2)"]),
        ({"weight": torch.ones(3, 2, dtype=torch.float16)}, ["'weight'", "torch.float16", "torch.float32"]),
    ],
    ids=["missing", "extra", "shape", "type"],
)
def test_tensors_that_do_not_fit_are_named_and_nothing_is_loaded(
    change: dict[str, Tensor | None], words: list[str]
) -> None:
    module = nn.Linear(2, 3)
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    other = {name: tensor + 1 for name, tensor in before.items()} | change
    with pytest.raises(CheckpointError) as refusal:
        load_exactly(module, {name: tensor for name, tensor in other.items() if tensor is not None}, "checkpoint X")
    message = str(refusal.value)
    assert message.startswith("checkpoint X does not fit")
    assert "\n" not in message
    for word in words:
        assert word in message
    for name, tensor in module.state_dict().items():
        assert torch.equal(tensor, before[name])


def test_tensors_that_fit_are_loaded() -> None:
    one, two = nn.Linear(2, 3), nn.Linear(2, 3)
    load_exactly(two, one.state_dict(), "X")
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, two.state_dict()[name])
