"""Progress of training and judging, as command line and Python show it: bars, or lines where there is no terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.progress import Progress as RichProgress

from latentarena.progress import Progress, listening
from latentarena.train.loop import Tick

_NOTEBOOK = "ipykernel" in sys.modules  # shows lines, for every move of a bar would be kept
console = Console(  # without markup, for names may hold :tv: and [red]
    soft_wrap=True, emoji=False, markup=False, force_jupyter=False, force_terminal=False if _NOTEBOOK else None
)
QUIET = 5.0  # seconds between two lines about judging where there is no terminal
LINES = 10  # progress lines of a stage where there is no terminal


def quietly(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    """Pass ticks on and show nothing."""
    return ticks


def show_training(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    """Pass ticks on and show them: a bar with ETA, loss and samples/s, or a few lines where there is no terminal."""
    return _bar(ticks, stage) if console.is_terminal else _lines(ticks, stage)


def _status(tick: Tick) -> str:
    return f"loss {tick.metrics['loss']:.5f}  {tick.metrics['samples_per_second']:,.0f} samples/s"


def _bar(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    columns = (
        TextColumn("{task.description:>11}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console) as progress:
        task = progress.add_task(stage, total=None, status="")
        for tick in ticks:
            progress.update(task, completed=tick.step, total=tick.steps)
            if tick.metrics:
                progress.update(task, status=_status(tick))
            yield tick


def _lines(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    shown = -1
    for tick in ticks:
        tenth = LINES * tick.step // tick.steps
        if tick.metrics and tenth > shown:
            shown = tenth
            # at the speed of now: before a stop the machine may have been busier, or another
            left = tick.samples / tick.step * (tick.steps - tick.step) / tick.metrics["samples_per_second"]
            console.print(f"{stage:>11}  step {tick.step:,}/{tick.steps:,}  {_status(tick)}  {left:.0f} s left")
        yield tick


@contextmanager
def show_judging() -> Iterator[None]:
    """Show what the judge is at inside of a block, and how long that takes: a bar, or a line now and then."""
    with _judging_bar() if console.is_terminal else listening(_judging_lines()):
        yield


@contextmanager
def _judging_bar() -> Iterator[None]:
    columns = (
        TextColumn("judging: {task.description}", markup=False),
        BarColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with RichProgress(*columns, console=console, transient=True) as bar:
        task = bar.add_task("", total=None)

        def hear(progress: Progress) -> None:
            if progress.done == 0:
                bar.reset(task, total=progress.total, description=progress.what)
            bar.update(task, completed=progress.done)

        with listening(hear):
            yield


def _judging_lines() -> Callable[[Progress], None]:
    began: dict[str, float] = {}
    last = time.monotonic()

    def hear(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        began[progress.what] = now if progress.done == 0 else began[progress.what]
        if progress.done and now - last > QUIET:
            last, left = now, (now - began[progress.what]) / progress.done * (progress.total - progress.done)
            line = f"{progress.what} {progress.done:,}/{progress.total:,}  {left:.0f} s left of this"
            console.print(f"{'judging':>11}  {line}", highlight=False)

    return hear
