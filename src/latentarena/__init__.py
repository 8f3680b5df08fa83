"""Latent Arena: a laboratory and an arena for small latent generative models.

`import latentarena as la` loads nothing but this file; each public name is imported when it is first used:

| name | what it is |
|---|---|
| `la.datasets` | datasets by name: `la.datasets.load("mnist")` |
| `la.Recipe` | everything about a run, as a frozen, validated configuration: `la.Recipe.load("quickstart", seed=1)` |
| `la.train` | train a recipe and judge what came of it |
| `la.load` | a trained model from its bundle |
| `la.Model` | a trained model: sample, encode, decode, draw to a file |
| `la.judge` | the score card of a bundle, or figures of images |
| `la.export` | a native bundle in its portable form |
| `la.save` | modules of your own as weights and a bundle |
| `la.fit` | train a module of your own, with progress, checkpoints and resume |
| `la.Process` | path, target, loss, coupling, solver and guidance for any network of (x, t, labels) |
| `la.Path` | the base class of a path of your own |
| `la.study` | train designs over seeds until claims about them are decided |
| `la.search` | tune ranges of a recipe's keys |
| `la.ArenaError` | the base class of every refusal |

`train`, `judge`, `study` and `search` are packages too, which can be called.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from latentarena.errors import ArenaError as ArenaError
    from latentarena.lab import datasets as datasets
    from latentarena.lab.judging import judge as judge
    from latentarena.lab.models import Model as Model
    from latentarena.lab.models import export as export
    from latentarena.lab.models import load as load
    from latentarena.lab.own import fit as fit
    from latentarena.lab.own import save as save
    from latentarena.lab.process import Process as Process
    from latentarena.lab.searches import search as search
    from latentarena.lab.studies import study as study
    from latentarena.lab.training import train as train
    from latentarena.process import Path as Path
    from latentarena.train.recipe import Recipe as Recipe

__version__ = "0.1.0"

_HOMES = {  # of the public names
    "ArenaError": "latentarena.errors",
    "Model": "latentarena.lab.models",
    "Path": "latentarena.process",
    "Process": "latentarena.lab.process",
    "Recipe": "latentarena.train.recipe",
    "export": "latentarena.lab.models",
    "fit": "latentarena.lab.own",
    "load": "latentarena.lab.models",
    "save": "latentarena.lab.own",
}
_CALLED = {  # packages that are functions too
    "judge": "latentarena.lab.judging",
    "search": "latentarena.lab.searches",
    "study": "latentarena.lab.studies",
    "train": "latentarena.lab.training",
}
__all__ = ["__version__", "datasets", *_HOMES, *_CALLED]


class _CalledPackage(ModuleType):
    # A package that is called as the function of its name: `la.train` is `latentarena.train`, whoever imports it.

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._function(*arguments, **options)

    @property
    def _function(self) -> Any:
        name = self.__name__.rpartition(".")[2]
        return getattr(import_module(_CALLED[name]), name)

    @property
    def __doc__(self) -> str:  # type: ignore[override]
        """What `help(la.train)` shows: the function's words, with how it is called."""
        from inspect import getdoc, signature

        words, called = getdoc(self._function) or "", signature(self._function, eval_str=False)
        first, _, rest = words.partition("\n\n")
        return f"{first}\n\n{self._function.__name__}{called}\n\n{rest}"

    @property
    def __signature__(self) -> Any:
        from inspect import signature

        return signature(self._function, eval_str=False)


class _Root(ModuleType):
    """This module, which sees when one of its packages is imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name in _CALLED and isinstance(value, ModuleType):
            value.__class__ = _CalledPackage
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Root


if not TYPE_CHECKING:  # to type checkers there is no name but those above

    def __getattr__(name: str) -> Any:
        if name in _CALLED:
            return import_module(f"{__name__}.{name}")
        if name == "datasets":
            value: Any = import_module("latentarena.lab.datasets")
        elif name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
        else:
            from latentarena.text import meant

            raise AttributeError(f"latentarena has no {name!r}; {meant(name, __all__)}it has {', '.join(__all__)}")
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return sorted(__all__)
