"""What a file is, by its name or its first bytes, where it is nothing that a bundle holds: told with the way out."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import PurePath

from latentarena.files import is_partial

LOOK = 4096  # bytes by which a file is told

ADDED = re.compile(
    r"__MACOSX|\.DS_Store|\._.*|Icon\r|\.localized"  # macOS
    r"|(?:eh)?Thumbs\.db|desktop\.ini|\$RECYCLE\.BIN|System Volume Information"  # Windows
    r"|\.directory|\.Trash-\d+|\.nfs[0-9a-f]+|lost\+found"  # Linux
    r"|\.ipynb_checkpoints|@eaDir",  # notebooks, network disks
    re.IGNORECASE,
)

EXPORT = "export the modules with latentarena.bundle.export_modules, which writes ONNX"
PICKLE = f"a pickle, which runs code when it is loaded; {EXPORT}, and arrays of images are saved as .npz"
ARRAYS = "numpy arrays without the graph that they belong to; " + EXPORT
KERAS = "a Keras or TensorFlow model; convert it with tf2onnx to encode.onnx, decode.onnx and generate.onnx"
PACKED = "not packed as zip; make it anew with `zip -r bundle.zip FOLDER`"
SCRIPT = f"a program, but a bundle holds no code; {EXPORT}"
EXTERNAL = (
    "weights that belong into their graph; put both into one file with `arena pack encode.onnx decode.onnx "
    "generate.onnx`, with torch.onnx.export(..., external_data=False), or with onnx.save(onnx.load(FILE), FILE)"
)
TENSORS = "weights under another name; name the file of a native bundle weights.safetensors"
GRAPH = "a graph under another name; the three of a bundle are encode.onnx, decode.onnx and generate.onnx"
RUN = "part of a run, not of its bundle; hand in the folder `bundle` that lies in the run's folder"
CHECKPOINT = "a checkpoint of a run, no bundle; hand in the folder `bundle` that lies beside the run's `checkpoints`"
TEXT = "a text file; hand in the bundle, its files packed as one zip"
PICTURE = "a picture; hand in the bundle, its files packed as one zip"
PAGE = "a document; hand in the bundle, its files packed as one zip"
BY_SUFFIX = {
    **dict.fromkeys((".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".bin", ".joblib", ".dill"), ("pickle", PICKLE)),
    **dict.fromkeys((".npz", ".npy", ".mat"), ("arrays", ARRAYS)),
    **dict.fromkeys((".h5", ".hdf5", ".keras", ".pb", ".tflite"), ("keras", KERAS)),
    **dict.fromkeys((".py", ".pyc", ".ipynb", ".sh", ".so", ".dll", ".exe", ".js", ".jar"), ("code", SCRIPT)),
    **dict.fromkeys((".data", ".onnx_data"), ("external-data", EXTERNAL)),
    ".safetensors": ("misnamed", TENSORS),
    ".onnx": ("misnamed", GRAPH),
    **dict.fromkeys((".tar", ".tgz", ".gz", ".xz", ".bz2", ".7z", ".rar", ".zst"), ("packed", PACKED)),
}
OF_RUNS = re.compile(
    r"\.lock|checkpoints|logs|analysis|recipe\.yaml|data\.sha256|score\.json|report\.html|samples\.png|card\.png"
)
RUNS = re.compile(r"bundle|seed-\d+")  # folders that others too may call so, by which only their own place is told
OF_CHECKPOINTS = re.compile(r".+-\d{8,}-[0-9a-f]{16}\.(?:safetensors|damaged)")
BY_START = (
    (b"\x80\x02", ".pkl"),
    (b"\x80\x03", ".pkl"),
    (b"\x80\x04", ".pkl"),
    (b"\x80\x05", ".pkl"),
    (b"\x93NUMPY", ".npy"),
    (b"\x89HDF", ".h5"),
    (b"\x1f\x8b", ".gz"),
    (b"\xfd7zXZ", ".xz"),
    (b"BZh", ".bz2"),
    (b"7z\xbc\xaf", ".7z"),
    (b"Rar!", ".rar"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"\x7fELF", ".so"),
    (b"MZ", ".exe"),
    (b"#!", ".sh"),
    (b"import ", ".py"),
    (b"from ", ".py"),
)


DOCUMENTS = (
    (b"\x89PNG", "picture", PICTURE),
    (b"\xff\xd8\xff", "picture", PICTURE),
    (b"GIF8", "picture", PICTURE),
    (b"%PDF", "document", PAGE),
    (b"<!DOCTYPE", "document", PAGE),
    (b"<html", "document", PAGE),
)


def wrong_kind(name: str = "", content: bytes = b"") -> tuple[str, str] | None:
    """Slug and sentence for a file of a kind that is never part of a bundle; None where it may be one."""
    if OF_CHECKPOINTS.fullmatch(name):
        return "run", CHECKPOINT
    suffix = PurePath(name.lower()).suffix
    if suffix in BY_SUFFIX:
        return BY_SUFFIX[suffix]
    for start, suffix in BY_START:
        if content.startswith(start):
            return BY_SUFFIX[suffix]
    return None


def no_archive(content: bytes) -> tuple[str, str] | None:
    """Slug and sentence for what people hand in by mistake where a zip file is wanted, by its first bytes."""
    for start, slug, sentence in DOCUMENTS:
        if content.startswith(start):
            return slug, sentence
    if content[257:262] == b"ustar":
        return BY_SUFFIX[".tar"]
    try:
        text = content.decode("utf-8", "strict" if len(content) < LOOK else "ignore")
    except UnicodeDecodeError:
        return None
    told = text.strip() and all(letter.isprintable() or letter in "\n\r\t" for letter in text)
    return ("text", TEXT) if told else None


def out_of_place(name: str) -> tuple[str, str] | None:
    """Slug and sentence for a file or folder among those of a bundle; None if it is nothing known."""
    return ("run", RUN) if OF_RUNS.fullmatch(name) or RUNS.fullmatch(name) else wrong_kind(name)


def of_a_run(names: Iterable[str]) -> str | None:
    """The first of the names, with slashes between their parts, that is found in the folders of runs."""
    return next((name for name in names if any(OF_RUNS.fullmatch(part) for part in name.split("/"))), None)


def added_by_system(name: str) -> bool:
    """Whether a file or folder of this name is one that nobody put there: of a system, a notebook, a killed writer."""
    return ADDED.fullmatch(name) is not None or is_partial(name)
