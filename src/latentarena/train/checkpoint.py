"""Checkpoints: one file each, written whole, named by step and content hash, the last two kept.

A checkpoint is a safetensors file `STAGE-STEP-HASH.safetensors`. The hash is that of the content, so a damaged
file is noticed before it is parsed, and the one before it is used instead.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load, save
from torch import Tensor, nn

from latentarena.errors import CheckpointError
from latentarena.files import digest, make_folder, write_atomically
from latentarena.train.divided import divided_as
from latentarena.train.shelter import Reach, plainly

log = logging.getLogger(__name__)
KEPT = 2


@dataclass(frozen=True)
class Checkpoint:
    """Named tensors plus plain JSON facts, as of one step."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


class Checkpoints:
    """The checkpoints of one stage in one folder (a mounted drive will do: only rename must be atomic).

    Args:
        reach: what stands for the folder while that cannot be reached.
    """

    def __init__(self, folder: Path, stage: str, reach: Reach = plainly) -> None:
        self.folder, self.stage, self.reach = folder, stage, reach

    def save(self, checkpoint: Checkpoint) -> Path:
        """Write a checkpoint, then remove all but the newest two.

        Raises:
            OutputError: the disk is full or read-only; the checkpoints already there are untouched.
        """
        content = save(
            separate(checkpoint.tensors), {"facts": json.dumps(checkpoint.facts), "step": str(checkpoint.step)}
        )
        name = f"{self.stage}-{checkpoint.step:08d}-{digest(content)[:16]}.safetensors"

        def write(folder: Path) -> Path:
            path = make_folder(folder) / name
            write_atomically(path, content)
            for part in folder.glob(f".{self.stage}-*.part"):  # left by a process that was killed while writing
                part.unlink(missing_ok=True)
            for old in self._paths(folder)[KEPT:]:
                old.unlink(missing_ok=True)
            return path

        return self.reach(self.folder, write)

    def begun(self) -> bool:
        """Whether there is any checkpoint, intact or not."""
        return bool(self.reach(self.folder, self._paths))

    def newest(self) -> Path | None:
        """The newest checkpoint's file, intact or not, where it is at the moment."""
        return next(iter(self.reach(self.folder, self._paths)), None)

    def latest(self) -> Checkpoint | None:
        """The newest checkpoint that is intact, or None where there is none at all.

        Raises:
            CheckpointError: there are checkpoints and every one is damaged.
        """
        return self.reach(self.folder, self._latest)

    def _latest(self, folder: Path) -> Checkpoint | None:
        paths, damaged = self._paths(folder), []
        for path in paths:
            try:
                found = self._read(path)
            except (OSError, ValueError, KeyError, SafetensorError) as error:
                log.warning("checkpoint %s is damaged (%s); falling back to the one before it", path, error)
                damaged.append(path)
            else:
                for bad in damaged:  # out of the way, so that it does not count as one of those kept
                    bad.rename(bad.with_suffix(".damaged"))
                return found
        if paths:
            raise CheckpointError(
                f"every checkpoint of {self.stage!r} in {folder} is damaged; delete them to start this stage anew"
            )
        return None

    def _paths(self, folder: Path) -> list[Path]:
        """Newest first."""
        pattern = re.compile(rf"{re.escape(self.stage)}-\d{{8}}-[0-9a-f]{{16}}\.safetensors")
        found = folder.glob(f"{self.stage}-*.safetensors") if folder.is_dir() else ()
        return sorted(
            (p for p in found if pattern.fullmatch(p.name)), key=lambda p: p.name.split("-")[-2], reverse=True
        )

    def _read(self, path: Path) -> Checkpoint:
        content = path.read_bytes()
        if digest(content)[:16] != path.stem.split("-")[-1]:
            raise ValueError("its content does not match the hash in its name")
        with safe_open(path, "pt") as file:
            facts = file.metadata()
        return Checkpoint(int(facts["step"]), load(content), json.loads(facts["facts"]))


def refuse_other_state(state: Mapping[str, object]) -> None:
    """Raise a CheckpointError where a module's state holds more than tensors, as `get_extra_state` may add."""
    for name, one in state.items():
        if not isinstance(one, Tensor):
            way_out = "files of weights hold tensors alone; register it as a buffer"
            raise CheckpointError(f"{name} in the state of the module is a {type(one).__name__}; {way_out}")


def separate(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors as a safetensors file takes them: on the CPU, and none in the memory of another, as tied weights are.

    Raises:
        CheckpointError: something else is among them.
    """
    refuse_other_state(tensors)
    found: dict[str, Tensor] = {}
    taken: set[int] = set()
    for name, tensor in tensors.items():
        one = tensor.detach().cpu().contiguous()
        memory = one.untyped_storage().data_ptr()
        found[name] = one.clone() if memory in taken else one
        taken.add(memory)
    return found


def pack_optimizer(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The optimizer's state as named tensors: `<parameter index>.<key>`."""
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    return {f"{i}.{key}": torch.as_tensor(value) for i, entry in state.items() for key, value in entry.items()}


def unpack_optimizer(optimizer: torch.optim.Optimizer, packed: Mapping[str, Tensor]) -> None:
    """The inverse of `pack_optimizer`."""
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    state: dict[int, dict[str, Tensor]] = {}
    for name, value in packed.items():
        index, key = name.split(".", 1)
        alike = value.ndim and value.shape == parameters[int(index)].shape
        state.setdefault(int(index), {})[key] = divided_as(parameters[int(index)], value) if alike else value
    optimizer.load_state_dict(optimizer.state_dict() | {"state": state})


def load_exactly(module: nn.Module, tensors: Mapping[str, Tensor], source: str) -> None:
    """`load_state_dict` whose refusal is one line.

    Raises:
        CheckpointError: naming the first missing, extra or wrong-shape tensor.
    """
    own = module.state_dict()
    fault = mismatch(own, tensors)
    if fault:
        raise CheckpointError(f"{source} does not fit this recipe: {fault}; resume with the recipe it was made with")
    module.load_state_dict({name: divided_as(own[name], tensor) for name, tensor in tensors.items()})


def mismatch(expected: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str | None:
    """What is wrong with `given` tensors, in words that name the tensor and both shapes; None if nothing."""
    for name, tensor in expected.items():
        if name not in given:
            return f"tensor {name!r} of shape {tuple(tensor.shape)} is missing"
        if given[name].shape != tensor.shape:
            return f"tensor {name!r} has shape {tuple(given[name].shape)}, expected {tuple(tensor.shape)}"
        if given[name].dtype != tensor.dtype:
            return f"tensor {name!r} is {given[name].dtype}, expected {tensor.dtype}"
    extra = sorted(set(given) - set(expected))
    return f"tensor {extra[0]!r} is not part of the architecture" if extra else None
