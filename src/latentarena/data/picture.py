"""One image file: what it is, and its pixels in eight bits, upright, cut and resized as asked."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from PIL import Image, UnidentifiedImageError

from latentarena.errors import DataError

Image.init()
LARGEST_SIDE = 512  # pixels of what is learnt; as DataConfig.size
DIM = 32  # of 255: a dataset whose values all stay below it would look black
RUNNING = ("BUFR", "EPS", "GRIB", "HDF5", "MPEG", "WMF")  # Pillow needs another program for these, or reads no pixels
# what begins with a mark of its own, and is therefore known under any name
MARKED = tuple(f for f in ("PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP", "AVIF", "JPEG2000", "QOI") if f in Image.OPEN)
FORMATS = (*MARKED, *sorted(set(Image.OPEN) - {*MARKED, *RUNNING}))  # tried in this order
SUFFIXES = frozenset(suffix for suffix, kind in Image.registered_extensions().items() if kind in FORMATS)
SUFFIXES_SHOWN = ".png, .jpg, .webp, .gif, .bmp, .tif"
RAW = frozenset({".arw", ".cr2", ".cr3", ".dng", ".nef", ".orf", ".raf", ".rw2"})  # a TIFF reader sees a thumbnail
FOREIGN = (RAW | {".heic", ".heif", ".jxl", ".svg", ".avif", ".eps", ".wmf", ".emf"}) - SUFFIXES
NAMED = SUFFIXES | FOREIGN
UPRIGHT = {  # by the Exif orientation tag
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
ORIENTATION = 0x0112
BITS_PER_SAMPLE, PHOTOMETRIC = 258, 262  # TIFF
GREY = ("1", "L", "LA", "La")
Deep = Literal["", "integer", "float", "colour"]


@dataclass(frozen=True)
class PictureFacts:
    """What a file's header says, and the extreme values of one with more than eight bits.

    Attributes:
        size: width and height in pixels, upright.
        mode: Pillow's, such as `RGB` or `I;16`.
        frames: whether there is more than one.
        turned: whether an orientation tag says that it is stored turned or mirrored.
        deep: what kind of values beyond eight bits it has, or nothing; `colour` is 16 bits a channel.
        low, high: the extreme values where it is deep; of 16-bit colour, which Pillow halves, in its upper eight bits.
        picture: what `pixels` makes of it, where that is known at once: small images are opened only once.
    """

    size: tuple[int, int]
    mode: str
    frames: bool = False
    turned: bool = False
    deep: Deep = ""
    low: float = 0.0
    high: float = 0.0
    picture: Image.Image | None = field(default=None, repr=False, compare=False)

    @property
    def bytes(self) -> int:
        """Of the picture, as it is held."""
        return 0 if self.picture is None else math.prod(self.picture.size) * len(self.picture.getbands())


@dataclass(frozen=True)
class Scale:
    """How values beyond eight bits are brought to 0..255: decided once for all images of a dataset.

    Attributes:
        largest: integer among them. As they are up to 255, their upper eight bits from 32,768 on; between the two
            the largest becomes 255, as 4,095 of a camera's 12 bits.
        unit: whether floats are of 0..1; of 0..255 otherwise.
    """

    largest: int = 65535
    unit: bool = True

    def apply(self, values: np.ndarray) -> np.ndarray:
        """The values as uint8."""
        if values.dtype.kind == "f":
            return (values * (255 if self.unit else 1)).round().astype(np.uint8)
        if self.largest >= 1 << 15:
            return (values >> 8).astype(np.uint8)
        return (values * (255 / max(self.largest, 255))).round().astype(np.uint8)


@dataclass(frozen=True)
class Fit:
    """How images are brought to one size.

    Attributes:
        size: height and width in pixels; their own size where None.
        crop: `center` cuts the largest square out of the middle first.
        resize: `stretch` lets an image that is no square be distorted into one.
    """

    size: int | None = None
    crop: Literal["center"] | None = None
    resize: Literal["stretch"] | None = None

    def of(self, size: tuple[int, int]) -> tuple[int, int]:
        """The width and height that an image of this width and height gets."""
        side = self.size or (min(size) if self.crop else None)
        return (side, side) if side else size

    def apply(self, image: Image.Image) -> Image.Image:
        """Cut and resize (Lanczos)."""
        if self.crop:
            width, height = image.size
            side = min(width, height)
            left, top = (width - side) // 2, (height - side) // 2
            image = image.crop((left, top, left + side, top + side))
        return image.resize((self.size, self.size), Image.Resampling.LANCZOS) if self.size else image


def is_named_image(path: PurePosixPath) -> bool:
    """Whether its name says that it is an image, readable or not."""
    return path.suffix.lower() in NAMED


def foreign(path: PurePosixPath) -> str:
    """Why an image of this name cannot be read whatever it holds; nothing where it can."""
    suffix = path.suffix.lower()
    if suffix in RAW:
        return f"{suffix} is a camera's raw file, of which only a thumbnail could be read; develop it to PNG or JPEG"
    if suffix in FOREIGN:
        return f"{suffix} is not read here; convert it to PNG or JPEG"
    return ""


@contextmanager
def _opened(content: bytes, formats: tuple[str, ...]) -> Iterator[Image.Image]:
    """The image, with Pillow's warnings kept off the terminal.

    Raises:
        DataError: with the reason alone; whoever knows the file's name adds it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=formats) as image:
                yield image
    except UnidentifiedImageError:
        raise
    except Exception as error:  # readers of damaged files fail in every way there is
        raise DataError(str(error) or type(error).__name__) from None


def examine(content: bytes, path: PurePosixPath, fit: Fit) -> PictureFacts | None:
    """What an image file is; None where the file is none, neither by its content nor by its name.

    Args:
        content: of the file.
        path: its name, which may say that it is an image.
        fit: how images are brought to one size.

    Raises:
        DataError: it should be an image by its name, or is one of a known format, and cannot be read: the reason.
    """
    named = is_named_image(path)
    try:
        with _opened(content, FORMATS if named else MARKED) as image:
            if foreign(path):
                raise DataError(foreign(path))
            return _facts(image, content, fit)
    except UnidentifiedImageError:
        if not named:
            return None
        reason = "it is empty" if not content else "its content is of no format that is known here"
        raise DataError(foreign(path) or reason) from None


def _facts(image: Image.Image, content: bytes, fit: Fit) -> PictureFacts:
    turn = image.getexif().get(ORIENTATION)
    sideways = turn in (5, 6, 7, 8) and image.format != "TIFF"  # which Pillow turns itself
    size = image.size[::-1] if sideways else image.size
    deep: Deep = "float" if image.mode == "F" else "integer" if image.mode.startswith("I") else ""
    if _sixteen_bit_colour(image, content):
        deep = "colour"
    mode, frames, turned = image.mode, bool(getattr(image, "is_animated", False)), turn in UPRIGHT
    if not deep:
        picture = fit.apply(_eight_bits(image, Scale())) if max(size) <= LARGEST_SIDE else None
        return PictureFacts(size, mode, frames, turned, picture=picture)
    if image.format == "TIFF" and getattr(image, "tag_v2", {}).get(PHOTOMETRIC) == 0:  # turned by Pillow in 8 bits only
        raise DataError("it is a negative, white as 0, of more than 8 bits; save it inverted, with black as 0")
    values = np.asarray(image)
    high = 65535.0 if image.format == "PPM" else float(values.max())  # Pillow has scaled it already
    return PictureFacts(size, mode, frames, turned, deep, float(values.min()), high)


def _sixteen_bit_colour(image: Image.Image, content: bytes) -> bool:
    if image.mode.startswith(("I", "F")):
        return False
    if image.format == "PNG":
        return content[24:25] == b"\x10"  # the depth in IHDR
    tags = getattr(image, "tag_v2", {})
    return max(tags.get(BITS_PER_SAMPLE, (8,)), default=8) > 8


def pixels(content: bytes, scale: Scale, fit: Fit) -> Image.Image:
    """The first frame, upright, grey (`L`) or `RGB`, on white where transparent, cut and resized.

    Raises:
        DataError: it cannot be read: the reason.
    """
    try:
        with _opened(content, FORMATS) as image:
            return fit.apply(_eight_bits(image, scale))
    except UnidentifiedImageError:
        raise DataError("its content is of no format that is known here") from None


def _eight_bits(image: Image.Image, scale: Scale) -> Image.Image:
    image.load()  # a TIFF is turned here, and its tag is gone
    turn = UPRIGHT.get(image.getexif().get(ORIENTATION, 1))
    if image.mode.startswith(("I", "F")):
        flat = Image.fromarray(scale.apply(np.asarray(image)))
    elif image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        grey = image.mode in GREY or _grey_palette(image)
        flat = Image.alpha_composite(white, image.convert("RGBA")).convert("L" if grey else "RGB")
    else:
        flat = image.convert("L" if image.mode in GREY or _grey_palette(image) else "RGB")
    return flat.transpose(turn) if turn is not None else flat


def _grey_palette(image: Image.Image) -> bool:
    """Whether a palette image, whose mode does not say it, uses greys only."""
    if image.mode not in ("P", "PA"):
        return False
    colours = np.asarray(image.convert("RGB"))
    return bool((colours == colours[..., :1]).all())
