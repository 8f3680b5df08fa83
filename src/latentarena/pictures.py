"""Images to look at: grids, animations and arrays, and pictures embedded in a page."""

from __future__ import annotations

import base64
import io
import math
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from latentarena.errors import ConfigError, OutputError
from latentarena.files import write_atomically
from latentarena.text import plain_line, printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOVING = (".gif", ".mp4")
FORMATS = (".png", *MOVING, ".npz")
GAP = 1  # pixels between images
ZOOM = 2
RESOLUTION, COLOURS = 130, 256  # of figures
SIZES = ((4, 40, 256), (4, 40, 16), (4, 20, 16), (2, 20, 16), (2, 10, 16), (1, 20, 16), (1, 8, 16), (1, 3, 16))
"""Zoom, most frames and shades of an animation; the first with which it is small enough is taken."""
LARGEST = 1_000_000  # bytes of an animation
LASTING, REST = 3000, 1500  # milliseconds of an animation, and of its last frame
BAR, MARGIN = 22, 8  # pixels: height of a caption, and width of a letter
LINE = 16  # pixels: height of the words above images


@dataclass(frozen=True)
class Picture:
    """An embedded image, its caption, its text for those who do not see it, and its kind.

    Pixels are to be seen one by one; a plot may be inverted on a dark page; a view has images in it and may not.
    """

    source: str
    alt: str
    caption: str
    kind: Literal["pixels", "plot", "view"]


def grid(images: Tensor, columns: int | None = None, zoom: int = ZOOM, gap: int = GAP) -> Image.Image:
    """Images (N, C, H, W) in [0, 1], C = 1 or 3, as one picture, row by row, with `gap` pixels between them."""
    n, channels, height, width = images.shape
    columns = columns or math.ceil(math.sqrt(n))
    rows = math.ceil(n / columns)
    values = images.clamp(0, 1).mul(255).round().byte()
    values = torch.nn.functional.pad(values, (gap, 0, gap, 0), value=64)
    blank = torch.full((rows * columns - n, *values.shape[1:]), 64, dtype=torch.uint8)
    cells = torch.cat([values, blank]).reshape(rows, columns, channels, height + gap, width + gap)
    sheet = cells.permute(0, 3, 1, 4, 2).reshape(rows * (height + gap), columns * (width + gap), channels)
    picture = Image.fromarray(sheet.squeeze(-1).numpy() if channels == 1 else sheet.numpy())
    return picture.resize((picture.width * zoom, picture.height * zoom), Image.Resampling.NEAREST)


def labelled(images: Tensor, words: Sequence[str], columns: int | None = None, zoom: int = ZOOM) -> Image.Image:
    """A grid with a word above each image (N, C, H, W), cut to its width; a row without words has no line for them."""
    columns = columns or math.ceil(math.sqrt(len(images)))
    strips = []
    for start in range(0, len(images), columns):
        strip, said = grid(images[start : start + columns], columns, zoom), words[start : start + columns]
        strips.append(_below_words(strip, said, zoom * (images.shape[-1] + GAP)) if any(said) else strip)
    sheet = Image.new(strips[0].mode, (strips[0].width, sum(strip.height for strip in strips)), "white")
    place = 0
    for strip in strips:
        sheet.paste(strip, (0, place))
        place += strip.height
    return sheet


def _below_words(strip: Image.Image, words: Sequence[str], cell: int) -> Image.Image:
    """A row of images below a word for each, so many pixels wide."""
    font = ImageFont.load_default(LINE - 5)
    taller = Image.new(strip.mode, (strip.width, strip.height + LINE), "white")
    for i, word in enumerate(words):
        while font.getlength(word) > cell - 2:
            word = word[:-1]
        ImageDraw.Draw(taller).text((i * cell + 2, 1), word, "black", font)
    taller.paste(strip, (0, LINE))
    return taller


def png(picture: Image.Image) -> bytes:
    """The picture as PNG bytes."""
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")  # zlib at its best takes seven times as long for a file 5 % smaller
    return buffer.getvalue()


def embed_images(images: Tensor, alt: str, caption: str, columns: int | None = None) -> Picture:
    """A grid of images (N, C, H, W) in [0, 1], for a page."""
    return Picture(_data(png(grid(images, columns, zoom=1))), alt, caption, "pixels")


def embed_file(path: Path, alt: str, caption: str) -> Picture:
    """A PNG file, for a page."""
    return Picture(_data(path.read_bytes()), alt, caption, "pixels")


def embed_figure(figure: Figure, alt: str, caption: str, kind: Literal["plot", "view"] = "plot") -> Picture:
    """A figure, for a page."""
    return Picture(_data(figure_bytes(figure)), alt, caption, kind)


def figure_bytes(figure: Figure, form: str = "png") -> bytes:
    """A figure as a file: a PNG of few colours, a third as large as one of all, or another format of matplotlib's."""
    buffer = io.BytesIO()
    cut = None if figure.get_layout_engine() else "tight"  # which draws twice; a layout fills its figure anyway
    if form != "png":
        figure.savefig(buffer, format=form, dpi=RESOLUTION, bbox_inches=cut)
        return buffer.getvalue()
    passing = {"compress_level": 0}  # it is read at once and written again
    figure.savefig(buffer, format=form, dpi=RESOLUTION, bbox_inches=cut, pil_kwargs=passing)
    return png(Image.open(buffer).convert("RGB").quantize(COLOURS, Image.Quantize.MAXCOVERAGE))


def _data(content: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"


def plain(name: str) -> str:
    """A name in one line, without control characters, that matplotlib does not take for mathematics."""
    return printable(name).replace("$", r"\$")


def refuse_suffix(path: Path, *known: str, option: str = "--out") -> None:
    """Raise a ConfigError where an option's file does not end in one of the known suffixes, or cannot be made here."""
    if path.suffix.lower() not in known:
        raise ConfigError(f"{option} {path}: {path.suffix or 'no suffix'} is not {' or '.join(known)}")
    if path.suffix.lower() == ".mp4" and ffmpeg() is None:
        raise ConfigError(f"{option} {path}: no ffmpeg here; pip install 'latentarena[mp4]', or choose .gif")


def ffmpeg() -> str | None:
    """The program that makes MP4 of pictures: the system's, else that of the optional imageio-ffmpeg."""
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe

        return str(get_ffmpeg_exe())
    except (ImportError, RuntimeError):  # not installed, or without a program for this system
        return None


def save_images(
    path: Path, images: Tensor, labels: Tensor | None, words: Sequence[str] = (), scale: int | None = None
) -> None:
    """Write generated images: a PNG grid, else an NPZ with `images` float32 (n, C, H, W) in [0, 1] and `labels`.

    Args:
        words: above the images of a PNG; scale: how many times as large it draws them.

    Raises:
        OutputError: the file cannot be written.
    """
    if path.suffix.lower() == ".png":
        write_atomically(path, png(labelled(images, words, zoom=scale or ZOOM)))
        return
    buffer = io.BytesIO()
    arrays = {"images": images.float().numpy()} | ({} if labels is None else {"labels": labels.numpy()})
    np.savez(buffer, **arrays)  # type: ignore[arg-type]
    write_atomically(path, buffer.getvalue())


def save_animation(
    path: Path,
    frames: Sequence[Tensor],
    captions: Sequence[str] = (),
    columns: int | None = None,
    scale: int | None = None,
) -> None:
    """Write a GIF that loops, or an MP4, of grids of images (N, C, H, W) with a caption each; the last frame rests.

    Pixels are drawn four times as large, or `scale` times, and up to 40 frames are kept, fewer where the file would be
    larger than a megabyte.

    Raises:
        OutputError: the file cannot be written.
    """
    words = captions or [""] * len(frames)
    for zoom, most, shades in SIZES:
        shown = [
            captioned(grid(frames[i], columns, scale or zoom), words[i], shades) for i in evenly(len(frames), most)
        ]
        content = _mp4(shown) if path.suffix.lower() == ".mp4" else _gif(shown)
        if len(content) <= LARGEST:
            break
    write_atomically(path, content)


def evenly(n: int, most: int) -> list[int]:
    """Up to `most` of n indices, 0 and the last among them, as far apart as may be; `most` is at least 2."""
    return sorted({round(i * (n - 1) / (most - 1)) for i in range(most)})


def captioned(picture: Image.Image, words: str, shades: int = 256) -> Image.Image:
    """The picture in so many greys or colours, below a line of text if there is one."""
    step = 255 / (shades - 1)
    even = [round(round(value / step) * step) for value in range(256)]
    few = picture.point(even) if picture.mode == "L" else picture.quantize(shades).convert("RGB")
    if not words:
        return few
    bar = Image.new(few.mode, (max(few.width, MARGIN * len(words)), few.height + BAR), "white")
    ImageDraw.Draw(bar).text((4, 3), words, "black", ImageFont.load_default(BAR - 8))
    bar.paste(few, (0, BAR))
    return bar


def _gif(pictures: Sequence[Image.Image]) -> bytes:
    durations = [max(40, round(LASTING / len(pictures)))] * (len(pictures) - 1) + [REST]
    buffer = io.BytesIO()
    pictures[0].save(buffer, "GIF", save_all=True, append_images=pictures[1:], duration=durations, loop=0)
    return buffer.getvalue()


def _mp4(pictures: Sequence[Image.Image]) -> bytes:
    rate = 1000 * len(pictures) / LASTING
    frames = [*pictures, *[pictures[-1]] * round(rate * REST / 1000)]
    raw = b"".join(picture.convert("RGB").tobytes() for picture in frames)
    size = f"{frames[0].width}x{frames[0].height}"
    pixels = ["-vf", "pad=ceil(iw/2)*2:ceil(ih/2)*2", "-pix_fmt", "yuv420p"]  # what every player can read
    with tempfile.TemporaryDirectory() as folder:
        made = Path(folder) / "film.mp4"
        source = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", size, "-r", f"{rate}", "-i", "-"]
        command = [ffmpeg() or "ffmpeg", "-loglevel", "error", *source, *pixels, "-movflags", "+faststart", str(made)]
        done = subprocess.run(command, input=raw, capture_output=True, check=False)
        if done.returncode != 0:
            said = plain_line(done.stderr.decode(errors="replace"))
            raise OutputError(f"ffmpeg cannot make an MP4: {said}; choose .gif")
        return made.read_bytes()


def blank(width: float, height: float, color: str | None = None) -> Figure:
    """An empty figure of so many inches; matplotlib takes half a second to load, so not before there is one to draw."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), facecolor=color)
