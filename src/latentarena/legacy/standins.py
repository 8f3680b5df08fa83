"""What a submission finds in place of network and notebook: `gdown` with shipped weights, modules that do nothing."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from latentarena.errors import BundleError

WEIGHTS = ".safetensors"
IDENTIFIER = re.compile(r"[-\w]{20,}")  # of a shared file, in its link
PARTS = ("vae", "flow")
INERT = ("IPython", "google.colab", "ipywidgets", "wandb")  # using them does nothing
UNUSED = ("imageio", "pandas", "seaborn", "skimage", "torch_ema", "torchvision")  # may be imported, but not used


class ShippedWeights:
    """The weight files that came with the submission, under their names in the working folder.

    Attributes:
        given: what was given for what, in order.
    """

    def __init__(self, folder: Path) -> None:
        self.files = {path.name: path for path in sorted(folder.iterdir()) if path.suffix == WEIGHTS}
        self.given: dict[str, str] = {}
        for name, path in self.files.items():
            if not os.path.lexists(name):
                os.symlink(path, name)

    def fetch(self, asked: str, link: str = "") -> str:
        """Put the file that is meant where it is asked for; its path.

        Args:
            asked: path to write to; a folder, or nothing, for the file's own name there.
            link: to the shared file, or its id.

        Raises:
            BundleError: no shipped file is meant, with the way out.
        """
        folder, base = os.path.split(asked)
        found = self._meant(base, link)
        path = os.path.join(folder, base or found)
        if folder:
            os.makedirs(folder, exist_ok=True)
        if os.path.lexists(path):
            os.unlink(path)
        os.symlink(self.files[found], path)
        self.given[base or found] = found
        return path

    def _meant(self, base: str, link: str) -> str:
        """By its name, by the link's id in its name, by one name within the other, or as the only one left."""
        stem, ids = Path(base).stem.lower(), IDENTIFIER.findall(link)
        stems = {name: Path(name).stem.lower() for name in self.files}
        left = [name for name in self.files if name not in self.given.values()]
        for chosen in (
            [name for name in self.files if name == base],
            [name for name in self.files if any(one in name for one in ids)],
            [name for name in left if stem and (stems[name] in stem or stem in stems[name])],
            [name for name in left if not _other_part(stem, stems[name])],
        ):
            if len(chosen) == 1:
                return chosen[0]
        shipped = ", ".join(self.files) or "no weights at all"
        name = base if base.endswith(WEIGHTS) else f"{ids[0] if ids else 'weights'}{WEIGHTS}"
        raise BundleError(
            f"gdown is asked for {base or link!r}, but there is no network here and the submission ships {shipped}; "
            f"put the file beside the code, named {name}"
        )


def _other_part(asked: str, found: str) -> bool:
    """Whether one name speaks of the VAE and the other of the flow."""
    ones, others = ({part for part in PARTS if part in name} for name in (asked, found))
    return bool(ones and others) and ones != others


class _Nothing:
    """Any name of a module that is not there."""

    def __init__(self, name: str, inert: bool) -> None:
        self._name, self._inert = name, inert

    def __getattr__(self, part: str) -> _Nothing:
        if part.startswith("__"):
            raise AttributeError(part)
        return _Nothing(f"{self._name}.{part}", self._inert)

    def __call__(self, *_: Any, **__: Any) -> _Nothing:
        if not self._inert:
            raise ModuleNotFoundError(
                f"{self._name} is not available in the box; what the model does not need, such as training and data, "
                "belongs under `if __name__ == '__main__':`"
            )
        return self

    def __mro_entries__(self, bases: tuple[object, ...]) -> tuple[type, ...]:
        return ()  # a class may derive from it, so long as nothing of it is called

    def __enter__(self) -> _Nothing:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def __iter__(self) -> Any:
        return iter(())

    def __bool__(self) -> bool:
        return False


class _Module(ModuleType):
    def __init__(self, name: str, inert: bool) -> None:
        super().__init__(name)
        self._inert = inert

    def __getattr__(self, part: str) -> _Nothing:
        if part.startswith("__"):
            raise AttributeError(part)
        return _Nothing(f"{self.__name__}.{part}", self._inert)


class _Finder(MetaPathFinder, Loader):
    """The last to be asked, so only for modules that are not installed."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        known = fullname == "google" or _among(fullname, INERT + UNUSED)
        return ModuleSpec(fullname, self, is_package=True) if known else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Module(spec.name, spec.name == "google" or _among(spec.name, INERT))

    def exec_module(self, module: ModuleType) -> None:
        return None


def _among(name: str, roots: tuple[str, ...]) -> bool:
    return any(name == root or name.startswith(f"{root}.") for root in roots)


def notebook() -> _Nothing:
    """What `get_ipython()` gives: magics called on it do nothing."""
    return _Nothing("get_ipython()", inert=True)


def install(weights: ShippedWeights) -> None:
    """Make `import gdown` and imports of what a notebook uses work in this process."""
    sys.meta_path.append(_Finder())
    gdown = ModuleType("gdown", "A stand-in: it knows the weights that were shipped, and no network.")

    # the signature of gdown.download, of which most has no meaning here
    def download(url: str | None = None, output: str | None = None, *_: Any, id: str | None = None, **__: Any) -> str:
        return weights.fetch(os.fspath(output or ""), str(id or url or ""))

    def folder(*_: Any, **__: Any) -> NoReturn:
        raise BundleError("gdown.download_folder has no stand-in; fetch each file with gdown.download")

    names = {"download": download, "cached_download": download, "download_folder": folder}
    vars(gdown).update(names)
    sys.modules["gdown"] = gdown
