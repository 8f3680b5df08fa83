"""NumPy's files of arrays."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np

from latentarena.errors import DataError
from latentarena.files import refuse_address

LARGEST = 4 << 30  # bytes of one array


def arrays_in(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a `.npz` file by name; that of a `.npy` file has none.

    Raises:
        ConfigError: the path is a web address.
        DataError: it cannot be read, or an array is too large.
    """
    refuse_address(path)
    try:
        if path.suffix.lower() == ".npy":
            return {"": np.load(path, allow_pickle=False)}
        with zipfile.ZipFile(path) as archive:
            if any(info.file_size > LARGEST for info in archive.infolist()):
                raise DataError(f"{path.name} holds an array of more than {LARGEST >> 30} GiB")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, MemoryError) as error:
        way = "; save arrays of numbers" if "pickle" in str(error).lower() else ""
        raise DataError(f"{path.name} cannot be read: {str(error).splitlines()[0]}{way}") from None
