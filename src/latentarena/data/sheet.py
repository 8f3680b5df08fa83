"""A contact sheet: the first images of each class, in the form in which they are learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

ROWS, COLUMNS = 20, 10  # classes, and images of each
CELL, GAP, MARGIN = 64, 4, 150  # pixels: the margin holds the class's name
INK, PAPER = "black", "white"
LONGEST = 22  # letters of a name


def contact_sheet(rows: Mapping[str, Sequence[Image.Image]]) -> Image.Image:
    """A row for each class, its name on the left; images keep their proportions.

    Args:
        rows: images by class; of more than `ROWS` classes the first are drawn, of each at most `COLUMNS` images.
    """
    shown = dict(list(rows.items())[:ROWS])
    step = CELL + GAP
    sheet = Image.new("RGB", (MARGIN + COLUMNS * step + GAP, len(shown) * step + GAP), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for row, (name, images) in enumerate(shown.items()):
        top = GAP + row * step
        label = name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"
        draw.text((GAP, top + CELL // 2), label, INK, font, anchor="lm")
        for column, image in enumerate(images[:COLUMNS]):
            small = _fitted(image)
            left = MARGIN + column * step
            sheet.paste(small, (left + (CELL - small.width) // 2, top + (CELL - small.height) // 2))
            draw.rectangle((left - 1, top - 1, left + CELL, top + CELL), outline="lightgrey")
    return sheet


def _fitted(image: Image.Image) -> Image.Image:
    """The image as large as a cell, its proportions kept; enlarged pixels stay visible."""
    scale = CELL / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.resize(size, Image.Resampling.NEAREST if scale > 1 else Image.Resampling.LANCZOS)
