"""The known IDX datasets: where they come from and the hashes that identify their content."""

from __future__ import annotations

from dataclasses import dataclass

from latentarena.registry import Registry

__all__ = ["CATALOG", "FILES", "Entry"]

FILES = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


@dataclass(frozen=True)
class Entry:
    """One IDX dataset of four files.

    Attributes:
        mirrors: base addresses, tried in order; each holds `<file>.gz`.
        content: SHA-256 of each *decompressed* file, in the order of `FILES`; empty where no copy of the
            content has been hashed by this project yet.
        packed: `algorithm:digest` of the publisher's `.gz`; identifies the content where `content` is empty.
        classes: the names of the ten labels.
    """

    mirrors: tuple[str, ...]
    content: tuple[str, ...]
    packed: tuple[str, ...]
    classes: tuple[str, ...]


CATALOG = Registry(
    "dataset",
    **{
        "mnist": Entry(
            mirrors=(
                "https://ossci-datasets.s3.amazonaws.com/mnist/",
                "https://storage.googleapis.com/cvdf-datasets/mnist/",
            ),
            content=(
                "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
                "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
                "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
                "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
            ),
            packed=(
                "md5:f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "md5:d53e105ee54ea40749a09fcbcd1e9432",
                "md5:9fb629c4189551a2d022fa330f9573f3",
                "md5:ec29112dd5afa0611ce80d1b7f02629c",
            ),
            classes=tuple("0123456789"),
        ),
        "fashion-mnist": Entry(
            mirrors=(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
            ),
            content=(),
            packed=(
                "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "md5:25c81989df183df01b3e8a0aad5dffbe",
                "md5:bef4ecab320f06d8554ea6380940ec79",
                "md5:bb300cfdad3c16e7a12a480ee83cd310",
            ),
            classes=(
                "T-shirt",
                "trouser",
                "pullover",
                "dress",
                "coat",
                "sandal",
                "shirt",
                "sneaker",
                "bag",
                "boot",
            ),
        ),
        "kmnist": Entry(
            mirrors=("http://codh.rois.ac.jp/kmnist/dataset/kmnist/",),
            content=(),
            packed=(
                "sha256:51467d22d8cc72929e2a028a0428f2086b092bb31cfb79c69cc0a90ce135fde4",
                "sha256:e38f9ebcd0f3ebcdec7fc8eabdcdaef93bb0df8ea12bee65224341c8183d8e17",
                "sha256:edd7a857845ad6bb1d0ba43fe7e794d164fe2dce499a1694695a792adfac43c5",
                "sha256:20bb9a0ef54c7db3efc55a92eef5582c109615df22683c380526788f98e42a1c",
            ),
            classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        ),
    },
)
