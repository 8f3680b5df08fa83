"""Libraries of networks that know photographs: without torchvision, of which they use nothing, with an empty one."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib import import_module
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

import pytest


class Names(type):
    """A class whose attributes are their own names."""

    def __getattr__(cls, name: str) -> str:
        return _plain(name)


class Empty(ModuleType):
    """A module in which every name is an empty class."""

    def __getattr__(self, name: str) -> type:
        return Names(_plain(name), (), {})


class StandIn(MetaPathFinder, Loader):
    """Finds an empty torchvision."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=True) if name.partition(".")[0] == "torchvision" else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return Empty(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing is in it."""


def _plain(name: str) -> str:
    if name.startswith("__"):
        raise AttributeError(name)
    return name


def library(name: str) -> ModuleType:
    """The library of that name; skips, with the reason, where it is not installed or its torchvision is broken."""
    if find_spec(name) is None:
        pytest.skip(f"{name} is not installed: pip install --no-deps {name}, or let make test do so")
    if name in sys.modules:
        return sys.modules[name]
    if find_spec("torchvision"):
        try:
            return import_module(name)
        except RuntimeError as error:
            pytest.skip(f"{name} imports a torchvision that was built for another torch: {error}")
    finder = StandIn()
    sys.meta_path.insert(0, finder)
    try:
        return import_module(name)
    finally:
        sys.meta_path.remove(finder)
        for one in [one for one in sys.modules if one.partition(".")[0] == "torchvision"]:
            del sys.modules[one]
