"""The templates of pages: one environment for all of them, with the words and the macros of a score card."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from latentarena.card.catalogue import CATEGORIES
from latentarena.card.comparison import figure_lines, verdict
from latentarena.card.waterfall import waterfall_rows, waterfall_words
from latentarena.card.words import (
    CLEAN,
    HEADINGS,
    check_words,
    identity,
    likeness_words,
    rows_by_category,
    timing_words,
    trainings_words,
)

WORDS = {
    "categories": CATEGORIES,
    "check_words": check_words,
    "clean": CLEAN,
    "figure_lines": figure_lines,
    "headings": HEADINGS,
    "identity": identity,
    "rows_by_category": rows_by_category,
    "likeness_words": likeness_words,
    "timing_words": timing_words,
    "trainings_words": trainings_words,
    "verdict": verdict,
    "waterfall_rows": waterfall_rows,
    "waterfall_words": waterfall_words,
}
"""Functions and words for templates that show a card, by the name they have there; `score_card.html` uses them."""


def environment(*folders: Path, shown: Callable[[Any], Any] | None = None, **known: Any) -> Environment:
    """The templates of some folders, the first that has one, and the macros of a score card.

    Whatever is put into a template is text and no markup; a name that nothing gave a value is an error.

    Args:
        folders: of templates.
        shown: is applied to everything that is put into a template.
        known: further functions and values, by the name they have in templates.
    """
    made = Environment(
        loader=FileSystemLoader([*folders, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=shown,
    )
    made.globals |= WORDS | known
    return made
