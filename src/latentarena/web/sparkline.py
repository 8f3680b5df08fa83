"""A line of progress as inline SVG: no script, no style, readable by machines as text."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

WIDTH, HEIGHT, EDGE = 96.0, 24.0, 3.0


def sparkline(values: Sequence[float], what: str) -> Markup:
    """An SVG of values in order of time, larger is higher; the last is marked.

    Args:
        what: the alternative text.
    """
    if not values:
        return Markup("")
    least, most = min(values), max(values)
    across = (WIDTH - 2 * EDGE) / max(1, len(values) - 1)
    spread = (most - least) or 1.0
    points = [
        (EDGE + i * across, HEIGHT - EDGE - (value - least) / spread * (HEIGHT - 2 * EDGE))
        for i, value in enumerate(values)
    ]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return Markup(
        '<svg class="spark" viewBox="0 0 {:g} {:g}" width="{:g}" height="{:g}" role="img" aria-label="{}">'
        '<polyline points="{}" fill="none" stroke="currentColor" stroke-width="1.5" stroke-linejoin="round"/>'
        '<circle cx="{:.1f}" cy="{:.1f}" r="2.5" fill="currentColor"/></svg>'
    ).format(WIDTH, HEIGHT, WIDTH, HEIGHT, what, line, x, y)
