"""What `folder:PATH` stands for: images, arrays or parquet files; what is neither is refused with the way out."""

from __future__ import annotations

from pathlib import Path, PurePosixPath
from shlex import quote

from latentarena.data.arrays import array_files, array_images, is_idx
from latentarena.data.folder import image_folder
from latentarena.data.images import Dataset
from latentarena.data.listing import Listing, list_files
from latentarena.data.overview import Overview, overview_of_dataset, overview_of_files
from latentarena.data.parquet import list_parquet, parquet_files
from latentarena.data.pasted import python_command
from latentarena.data.picture import Fit, is_named_image
from latentarena.data.table import with_labels
from latentarena.errors import DataError
from latentarena.files import refuse_address

SAVE = "numpy.savez('images.npz', x_train=images, y_train=labels)"
PICKLES = (".pt", ".pth", ".pkl", ".pickle")
PACKED = (".tar", ".tgz", ".gz", ".bz2", ".xz", ".rar", ".7z")
CIFAR = (
    "from torchvision.datasets import CIFAR10 as C; import numpy; a, b = C({root}, True), C({root}, False); "
    "numpy.savez('cifar10.npz', x_train=a.data, y_train=a.targets, x_test=b.data, y_test=b.targets)"
)
LETTERS = (  # EMNIST as MATLAB's structure: images one after the other by columns
    "import numpy, scipy.io; d = scipy.io.loadmat({path})['dataset'][0, 0]; "
    "s = {{n: d[n][0, 0] for n in ('train', 'test')}}; "
    "numpy.savez('images.npz', **{{'x_' + n: s[n]['images'].reshape(-1, 28, 28).swapaxes(1, 2) for n in s}}, "
    "**{{'y_' + n: s[n]['labels'].ravel().astype(int) for n in s}})"
)


def load_source(source: Path, fit: Fit) -> Dataset:
    """The dataset at a path.

    Raises:
        ConfigError: the path is a web address.
        DataError: it is of no form that is read, or damaged; the message names the way out.
    """
    _refuse_form(source)
    kind = _kind(source)
    if kind == "arrays":
        return array_images(source, fit)
    return image_folder(source, fit, _listed(source, kind))


def look_at_source(source: Path, fit: Fit) -> Overview:
    """What is found at a path; see `load_source`."""
    _refuse_form(source)
    kind = _kind(source)
    if kind == "arrays":
        return overview_of_dataset(array_images(source, fit))
    return overview_of_files(source, _listed(source, kind), fit)


def _listed(source: Path, kind: str) -> Listing:
    """The images of parquet files, or of a folder or zip with the labels that a table beside them gives."""
    if kind == "parquet":
        return list_parquet(source, parquet_files(source))
    return with_labels(source, list_files(source))


def _kind(source: Path) -> str:
    """`arrays`, `parquet` or `images`; in a folder that holds images as well, tables are not the dataset."""
    arrays = array_files(source)
    folders = {path.parent for path in arrays if is_idx(path)}
    if folders and source.is_dir():
        inside = (path for path in source.rglob("*/*") if is_named_image(PurePosixPath(path)))
        other = next((path for path in inside if path.parent not in folders), None)
        if other is not None:
            raise DataError(
                f"folder:{source} can be read in two ways: as IDX files, or as images in folders such as "
                f"{other.relative_to(source)}; put one of them into a folder of its own and name that"
            )
    if not folders and _holds_images(source):
        return "images"
    tables = parquet_files(source)
    if arrays and tables:
        raise DataError(
            f"folder:{source} can be read in two ways: as {arrays[0].name}, or as {tables[0].name}; name one of them"
        )
    return "arrays" if arrays else "parquet" if tables else "images"


def _refuse_form(source: Path) -> None:
    """Refuse what is not opened here: addresses, pickles, which can run programs, packed folders, a single image."""
    refuse_address(source)
    kinds = ("*.pt", "data_batch_1", "*.npy", "*.mat")
    files = [source] if source.is_file() else [path for kind in kinds for path in sorted(source.rglob(kind))]
    if source.is_dir() and (array_files(source) or not files or _holds_images(source)):
        return
    for path in files:
        suffix, what = path.suffix.lower(), f"folder:{source}: {path.name}"
        if path.name == "data_batch_1":
            command = python_command(CIFAR, root=path.parent.parent) or f"torchvision to an .npz file, with {SAVE}"
            raise DataError(
                f"folder:{source} holds pickles of CIFAR, which can run programs and are not opened; convert "
                f"them with {command} and name folder:cifar10.npz"
            )
        if suffix in PICKLES:
            program = f"import torch, numpy; images, labels = torch.load({{path}}); {SAVE}"
            raise DataError(
                f"{what} is a pickle, which can run programs and is not opened; of torchvision's datasets name the "
                f"folder with raw/, others convert with {python_command(program, path=path) or SAVE} and name "
                "folder:images.npz"
            )
        if suffix in PACKED and not array_files(path):
            unpack = f"tar -xf {quote(path.name)}" if path.name.isprintable() else "tar -xf"
            raise DataError(
                f"folder:{source} is a packed file other than zip; unpack it ({unpack}) and name the folder"
            )
        if suffix == ".npy":
            save = "numpy.savez('images.npz', x_train=images)"
            program = f"import numpy; images = numpy.load({{path}}); {save}"
            raise DataError(
                f"{what} is one array, and may be images or labels; convert it with "
                f"{python_command(program, path=path) or save}, with labels beside them as y_train=labels, and name "
                "folder:images.npz"
            )
        if suffix in (".mat", ".h5", ".hdf5"):
            emnist = python_command(LETTERS, path=path) if suffix == ".mat" and "emnist" in path.name.lower() else ""
            load = "load it with scipy.io.loadmat, " if suffix == ".mat" else ""
            way = f"convert it with {emnist}" if emnist else f"{load}save its arrays with {SAVE}"
            others = ", or take EMNIST's IDX or CSV files, which are read as they are" if emnist else ""
            raise DataError(f"{what} is not read here; {way} and name folder:images.npz{others}")
        if is_named_image(PurePosixPath(path)):
            raise DataError(f"folder:{source} is one image; name the folder or zip that holds all of them")


def _holds_images(source: Path) -> bool:
    return source.is_dir() and any(is_named_image(PurePosixPath(path)) for path in source.rglob("*"))
