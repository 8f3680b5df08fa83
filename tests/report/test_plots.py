"""Plots as SVG: fronts against brute force, axes that keep everything inside, ticks that are where they say."""

from __future__ import annotations

import math
import random

import pytest

from latentarena.report.plots import (
    BOTTOM,
    HEIGHT,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Axis,
    Line,
    Mark,
    Plot,
    draw,
    pareto,
    short,
)
from latentarena.report.scorecard import environment
from pages import Page


def test_the_front_is_what_no_other_point_beats() -> None:
    rng = random.Random(0)
    for _ in range(200):
        points = [(rng.randrange(8), rng.randrange(8)) for _ in range(rng.randrange(1, 12))]
        beaten = {(x, y) for x, y in points if any(a <= x and b <= y and (a, b) != (x, y) for a, b in points)}
        assert set(pareto(points)) == set(points) - beaten
        assert pareto(points) == sorted(pareto(points))


@pytest.mark.parametrize("logarithmic", [False, True])
@pytest.mark.parametrize("values", [[1.0], [0.01, 0.02], [3.0, 1e7], [84_498.0, 711_978.0], [0.18, 0.72]])
def test_an_axis_holds_all_values_and_its_ticks_are_where_they_say(values: list[float], logarithmic: bool) -> None:
    axis = Axis.of(values, 50.0, 400.0, logarithmic)
    assert all(50 <= axis.at(value) <= 400 for value in values)
    ticks = axis.ticks()
    assert 1 <= len(ticks) <= 8
    for at, word in ticks:
        value = float(word.replace("k", "e3").replace("M", "e6").replace("G", "e9").replace("T", "e12"))
        assert axis.at(value) == pytest.approx(at, abs=0.5)


def test_what_an_axis_cannot_show_is_left_out() -> None:
    marks = [Mark(0, 1, "zero"), Mark(math.nan, 1, "none"), Mark(1, 1, "one")]
    drawn = draw(Plot("t", "x", "y", ["a"], marks, [Line([(0, 1), (2, 3)], "line")], (True, True)))
    assert drawn is not None
    assert [mark.text for mark in drawn.plot.marks] == ["one"]
    assert list(drawn.plot.lines[0].points) == [(2, 3)]
    assert draw(Plot("t", "x", "y", ["a"], marks[:1], logarithmic=(True, True))) is None


def test_every_mark_says_what_it_is_inside_the_frame_and_leads_somewhere() -> None:
    marks = [Mark(1, 5, "first <run>\nits command", 0, "a/report.html"), Mark(3, 2, "second", 9, large=True)]
    drawn = draw(Plot("Title & more", "cost", "error", ["<a>", "b"], marks, [Line([(1, 5), (3, 2)], "front")]))
    template = environment().from_string('{% from "plot.html" import plot %}{{ plot(one) }}')
    html = template.render(one=drawn)
    assert "<title>first &lt;run&gt;\nits command</title>" in html
    assert '<a href="a/report.html"><circle class="s0"' in html
    assert 'class="s1 large"' in html
    assert '<span class="s0">&lt;a&gt;</span>' in html
    assert drawn is not None
    for mark in marks:
        assert LEFT <= drawn.x.at(mark.x) <= WIDTH - RIGHT
        assert TOP <= drawn.y.at(mark.y) <= HEIGHT - BOTTOM
    Page(html)


def test_numbers_are_short() -> None:
    assert [short(value) for value in (0.02, 500, 20_000, 3e6, 5e12)] == ["0.02", "500", "20k", "3M", "5T"]
