"""What people see: progress, tables and the closing lines."""

from __future__ import annotations

import logging
from collections.abc import Iterator

from rich import box
from rich.console import Console
from rich.logging import RichHandler
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from latentarena.judge.classifier import Judge
from latentarena.judge.score import ScoreCard
from latentarena.study.pipeline import Results
from latentarena.study.report import table_rows
from latentarena.train.loop import Tick

__all__ = ["console", "print_card", "print_facts", "print_results", "quiet_logs", "show_training"]

console = Console(soft_wrap=True)
LINES = 10  # progress lines of a stage where there is no terminal


def quiet_logs() -> None:
    """Warnings of this package go to stderr in one line each."""
    handler = RichHandler(console=Console(stderr=True, soft_wrap=True), show_time=False, show_path=False)
    logging.getLogger("latentarena").handlers = [handler]


def show_training(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    """Pass ticks on and show them: a bar with ETA, loss and samples/s, or a few lines where there is no terminal."""
    return _bar(ticks, stage) if console.is_terminal else _lines(ticks, stage)


def _status(tick: Tick) -> str:
    return f"loss {tick.metrics['loss']:.5f}  {tick.metrics['samples_per_second']:,.0f} samples/s"


def _bar(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
    columns = (
        TextColumn("{task.description:>11}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[status]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
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
            left = tick.seconds / tick.step * (tick.steps - tick.step)
            console.print(f"{stage:>11}  step {tick.step:,}/{tick.steps:,}  {_status(tick)}  {left:.0f} s left")
        yield tick


def print_card(card: ScoreCard) -> None:
    """The score card as a table."""
    if card.notice:
        console.print(f"NOTE: {card.notice}.", style="bold yellow")
    title = f"{card.model} on {card.dataset}, judged by {card.judge}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    for name in ("this model", "real test data", "Gaussian prior"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("better is", no_wrap=True)
    for row in table_rows(card):
        table.add_row(row["title"], row["value"], row["real"], row["prior"], row["better"])
    console.print(table)
    parts = ", ".join(f"{part} {count:,}" for part, count in card.parameters.items())
    console.print(f"parameters {sum(card.parameters.values()):,} ({parts}); latent {'x'.join(map(str, card.latent))}")


def print_facts(judge: Judge) -> None:
    """What a judge says of itself."""
    facts = judge.facts
    console.print(
        f"judge {judge.name}: accuracy {facts.accuracy:.4%}, calibration error {facts.calibration_error:.4%}, "
        f"confidence {facts.confidence:.4f} and entropy {facts.entropy:.4f} on real test data",
        highlight=False,
    )


def print_results(results: Results) -> None:
    """The score card, where everything is, and what to try next."""
    print_card(results.card)
    if results.expected:
        known = ", ".join(f"{name} {value:g}" for name, value in results.expected.items())
        console.print(f"the recipe as shipped came to: {known}", highlight=False)
    rows = {
        "bundle": results.bundle,
        "score card": results.score,
        "report": results.report,
        "samples": results.samples,
    }
    for name, path in rows.items():
        console.print(f"{name:>11}  {path}", highlight=False)
    console.print("try next:")
    again = results.bundle.parent.with_name(results.bundle.parent.name + "-seed1")
    recipe = results.bundle.parent / "recipe.yaml"
    for command in (
        f"arena sample {results.bundle} -n 64 --steps 20 --out {results.bundle.parent / 'trajectory.gif'}",
        f"arena judge {results.bundle}",
        f"arena train {recipe} seed=1 --out {again}",
    ):
        console.print(f"    {command}", highlight=False)
