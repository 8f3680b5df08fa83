"""What people see: progress, tables and the closing lines."""

from __future__ import annotations

import logging
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table
from rich.text import Text

from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.certificate import Certificate
from latentarena.card.metric import Likeness
from latentarena.card.score_card import ScoreCard
from latentarena.card.waterfall import waterfall_rows, waterfall_words
from latentarena.card.words import (
    CLEAN,
    HEADINGS,
    UNVERIFIED,
    check_words,
    contest_cells,
    contest_line,
    expected_lines,
    identity,
    image_rows,
    likeness_words,
    rows_by_category,
    timing_words,
    trainings_words,
)
from latentarena.cli.page import line_page, plain_console
from latentarena.run.watching import console as console
from latentarena.text import printable

if TYPE_CHECKING:  # every command prints, and few need these: a third of a second
    from latentarena.arena.packing import PackedSubmission
    from latentarena.data import Overview
    from latentarena.evaluate.evaluate import Step
    from latentarena.evaluate.images import JudgedImages
    from latentarena.judge.classifier import Judge
    from latentarena.report.analysis import Analysed
    from latentarena.train.recipe import Recipe

WIDTH = 100  # columns of a score card
MARKS = {Likeness.LIKE: "*", Likeness.UNTOLD: "?"}  # beside the figure of real images
MANY = 12  # names of a kind


def quiet_logs() -> None:
    """Warnings of this package go to stderr in one line each."""
    handler = RichHandler(console=Console(stderr=True, soft_wrap=True, emoji=False), show_time=False, show_path=False)
    logging.getLogger("latentarena").handlers = [handler]


def _page() -> Console:
    """Where a card is printed: lines are broken at `WIDTH` columns, or at those of a narrower terminal."""
    width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    return plain_console(width=width)


def print_card(card: ScoreCard) -> None:
    """The score card: figures by category as a table, then points, advice, timing and fingerprint."""
    page = _page()
    if card.notice:
        page.print(f"NOTE: {printable(card.notice)}.", style="bold yellow")
    page.print(_table(card))
    parts = ", ".join(f"{part} {count:,}" for part, count in card.parameters.items())
    shape = "x".join(map(str, card.latent))
    doubt = f", {UNVERIFIED}" if "parameters" in card.unverified else ""
    page.print(f"stored numbers {sum(card.parameters.values()):,} ({parts}){doubt}; latent {shape} in {card.precision}")
    page.print("points of 100:")
    for category, points in card.points.items():
        page.print(f"  {CATEGORIES[category]:<22}{points:>5.1f}  {'#' * round(points / 2.5)}")
    if card.waterfall is not None:
        page.print("error waterfall:")
        for title, distance, added in waterfall_rows(card.waterfall):
            page.print(f"  {title:<32}{distance:<26}{added}")
        page.print(waterfall_words(card.waterfall))
    checked, found = check_words(card)
    for line in found:
        page.print(printable(line), style="bold red")
    page.print(checked)
    for one in card.advice:
        fault = (printable(one.fault), "bold yellow")
        page.print(Text.assemble(fault, f": {printable(one.text)}; try: {printable(one.remedy)}"))
    if not card.advice:
        page.print(CLEAN)
    page.print(f"{trainings_words(card)}.")
    if card.timing is not None:
        page.print(f"sampling: {timing_words(card)}")
    page.print(f"random numbers {identity(card)['random numbers']}")
    if not card.computed_officially:
        page.print(f"computed on {printable(identity(card)['computed on'])}", style="bold yellow")
    page.print(f"fingerprint {card.fingerprint}")


def _table(card: ScoreCard) -> Table:
    title = f"{printable(card.model)} on {printable(card.dataset)}, judged by {printable(card.judge)}"
    style: dict[str, Any] = {"box": box.SIMPLE_HEAD, "padding": (0, 1, 0, 0), "show_edge": False}
    marks = (f"{MARKS[likeness]} {likeness}: {words}" for likeness, words in likeness_words(card).items())
    caption = "\n".join((*marks, "Margins: docs/judge.md"))
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left", **style)
    table.add_column("metric")
    for name in ("this model\n95 % interval", f"{card.real_images:,} real images\n95 % interval"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("better", no_wrap=True)
    for category, rows in rows_by_category(card).items():
        table.add_section()
        reported = ", uncertified where so marked" if category == "training" else ""
        table.add_row(f"{HEADINGS[category]}{reported}", style="bold")
        for row in rows:
            cells = [(row.value, row.interval, None), (row.real, row.real_interval, row.likeness)]
            table.add_row(printable(row.title), *(_cell(*cell) for cell in cells), row.better)
    return table


def _cell(value: str, interval: str, likeness: Likeness | None) -> str:
    """A figure above its error bars, right-aligned with room for the mark."""
    mark = MARKS.get(likeness, " ") if likeness else " "
    marked = f"{value} {mark}" if value else ""
    return f"{marked}\n{interval}  " if interval else marked


def print_contest(card: ScoreCard) -> None:
    """The seven columns of the 2025 contest, and a line to paste beside old rows."""
    page = _page()
    page.print(f"{printable(card.model)} by the rules of the 2025 contest, judged by {printable(card.judge)}")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("column")
    table.add_column("this model", justify="right")
    for column, cell in contest_cells(card).items():
        table.add_row(column, cell)
    page.print(table)
    page.print("The judge is another one: entropy, divergence and confidence do not compare with those of 2025.")
    print(printable(contest_line(card)))


def print_check(card: ScoreCard, again: ScoreCard) -> bool:
    """What became of recomputing a card; whether it holds."""
    from latentarena.evaluate.verify import differences

    model, moved, found = printable(card.model), card.platform != again.platform, differences(card, again)
    if card.fingerprint == again.fingerprint:
        console.print(f"verified: {model}, fingerprint {card.fingerprint}", highlight=False)
        return True
    if moved:
        console.print(f"platform of the card: {printable(card.platform)}; here: {again.platform}", highlight=False)
        found = [one for one in found if not one.within_rounding]
    if moved and not found:
        console.print(f"verified within rounding; another platform: {model}, fingerprint here {again.fingerprint}")
        return True
    for one in found:
        values = f"the card says {printable(str(one.card))}, recomputed {printable(str(one.recomputed))}"
        console.print(f"{printable(one.name)}: {values}", highlight=False)
    many = "1 entry of the card differs" if len(found) == 1 else f"{len(found)} entries of the card differ"
    console.print(f"not verified: {many}", style="bold red", highlight=False)
    return False


def print_step(step: Step) -> None:
    """A line of an evaluation: what was done, what came of it, and how long it took."""
    console.print(printable(step.line), highlight=False)


def print_facts(judge: Judge) -> None:
    """What a judge says of itself."""
    facts = judge.facts
    console.print(
        f"judge {judge.name}: accuracy {facts.accuracy:.4%}, calibration error {facts.calibration_error:.4%}, "
        f"confidence {facts.confidence:.4f} and entropy {facts.entropy:.4f} on real test data",
        highlight=False,
    )


def print_certificate(made: Certificate, folder: Path) -> None:
    """What came of training a recipe anew, in words."""
    page = line_page()
    seeds = ", ".join(str(one.seed) for one in made.trainings)
    page.print(f"{made.name}: trained anew {len(made.trainings)} times, with the seeds {seeds}")
    for name, value in made.declared.items():
        others = ", ".join(f"{one.figures[name]:.4g}" for one in made.trainings if name in one.figures)
        page.print(f"  {METRICS[name].title}: the bundle {value:.4g}; its recipe {others}")
    for name in ("train_macs", "quality_macs", "train_seconds"):
        if name in made.figures:
            one = made.figures[name]
            page.print(
                f"  {METRICS[name].title}: {one.value:.4g} ({max(0.0, one.low):.4g} to {one.high:.4g} over seeds)"
            )
    if "quality_macs" not in made.figures:
        page.print(f"  a training does not reach a Frechet distance of {made.quality:g}: no multiply-adds to it")
    for reason in made.reasons:
        page.print(f"  {reason}", style="bold yellow")
    verdict = {
        "agrees": "agrees with its recipe",
        "disagrees": "does NOT agree with its recipe",
        "undecided": "is NOT certified: its recipe's own trainings differ too widely",
    }[made.verdict]
    page.print(f"the bundle {verdict} -> {folder / 'certificate.json'}", style="bold")
    if made.drawn:
        page.print(f"  made anew by: arena retrain BUNDLE --seeds {len(made.trainings)} --key {made.drawn}")


def print_analysis(made: Analysed, following: Sequence[str]) -> None:
    """What was written, what of it waits for somebody's own words, and the commands that come next."""
    for what, path in (("text", made.text), ("page", made.page), ("PDF", made.pdf)):
        if path is not None:
            console.print(f"{what:>11}  {path}", highlight=False)
    if made.why:
        console.print(printable(made.why), highlight=False)
    if made.unanswered:
        asks = ", ".join(made.unanswered)
        console.print(f"next: write your own words into {made.text} ({asks})", highlight=False)
    for command in following:
        console.print(f"then: {printable(command)}", highlight=False)


def print_submission_folder(made: PackedSubmission) -> None:
    """A submission's folder, held against the contest's list."""
    for one in made.checked:
        word, style = (
            ("MISSING", "bold red") if not one.files else ("OPEN", "bold yellow") if one.fault else ("ok", None)
        )
        files = f" ({len(one.files)} files)" if len(one.files) > 1 else ""
        fault = f": {one.fault}" if one.fault else ""
        console.print(
            f"{word:>11}  {printable(one.asked.file)}{files}, {printable(one.asked.about)}{printable(fault)}",
            highlight=False,
            style=style,
        )
    for note in made.notes:
        console.print(printable(note), highlight=False)
    size = sum(made.files.values())
    console.print(f"{len(made.files)} files, {size:,} bytes -> {made.place}", highlight=False)
    if made.complete:
        console.print("complete; next: arena submit RUN --to URL, for the run that was packed", highlight=False)


def print_images(found: JudgedImages) -> None:
    """The figures of images, whatever made them, beside what real images score, as a table."""
    page = _page()
    against = printable(found.against or found.dataset)
    title = f"{found.images:,} images against {against}, judged by {printable(found.judge)}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    table.add_column("metric")
    few = [f"{found.real_images:,} of them"] if found.real_images < found.images else []
    for name in ("these images", *few, f"{found.real_images:,} real images"):
        table.add_column(f"{name}\n95 % interval", justify="right", no_wrap=True)
    last = ""
    for (category, row), (_, equal) in zip(image_rows(found.scores), image_rows(found.matched), strict=True):
        if category != last:
            table.add_section()
            table.add_row(HEADINGS[category], style="bold")
        last = category
        real = f"{row.real}\n{row.real_interval}" if row.real else ""
        cells = [f"{one.value}\n{one.interval}" for one in ((row, equal) if few else (row,))]
        table.add_row(f"{printable(row.title)} ({row.better})", *cells, real)
    page.print(table)
    if found.note:
        page.print(f"NOTE: {printable(found.note)}.", style="bold yellow")


def print_zoo() -> None:
    """The models of the zoo: what each is, what it holds and scores, and the command that trains it anew."""
    from latentarena.zoo import PREFIX, zoo_card, zoo_models

    page = _page()
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), show_edge=False)
    for name in ("model", "what it is"):
        table.add_column(name, overflow="fold")
    for name in ("stored\nnumbers", "steps", "Frechet distance\n95 % interval", "of real\nimages"):
        table.add_column(name, justify="right", no_wrap=True)
    for name, kept in zoo_models().items():
        card = zoo_card(name)
        found = card.scores["frechet"]
        floor = f"{found.real.value:.3g}" if found.real else ""
        about = Text.assemble(kept.about, "\n", (kept.command, "dim"))
        cells = (f"{sum(card.parameters.values()):,}", f"{card.solver} x {card.steps}")
        distance = f"{found.value:.3g}\n{found.low:.3g} to {found.high:.3g}"
        table.add_row(f"{PREFIX}{name}", about, *cells, distance, floor)
    page.print(table)
    page.print("first picture: arena sample zoo:quickstart; the whole card: arena judge zoo:NAME")


def print_overview(title: str, found: Overview, every: bool) -> None:
    """A dataset as it was found: layout, splits and classes, sizes, and what is left out."""
    page = _page()
    page.print(f"{printable(title)}: {found.images:,} images, {len(found.left_out):,} files or folders left out")
    for line in found.about:
        page.print(f"  {printable(line)}")
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("class")
    for split in ("train", "test"):
        table.add_column(split, justify="right")
    for name, (train, test) in found.classes.items():
        table.add_row(printable(name), f"{train:,}", f"{test:,}")
    if found.classes:
        table.add_section()
        table.add_row("all", *(f"{sum(counts):,}" for counts in zip(*found.classes.values(), strict=True)))
        page.print(table)
    for what, counts in (("sizes", found.sizes), ("modes", found.modes)):
        most = ", ".join(f"{printable(name)} ({n:,})" for name, n in counts.most_common(None if every else MANY))
        more = f" and {len(counts) - MANY} more" if len(counts) > MANY and not every else ""
        page.print(f"{what}: {most or 'none'}{more}")
    reasons = dict.fromkeys(one.reason for one in found.left_out)
    for reason in reasons:
        paths = [printable(one.path) for one in found.left_out if one.reason == reason]
        page.print(f"left out, {printable(reason)} ({len(paths):,}):")
        for path in paths if every else paths[:MANY]:
            page.print(f"  {path}")
        if len(paths) > MANY and not every:
            page.print(f"  and {len(paths) - MANY:,} more: --all")


def print_results(folder: Path, home: Path, recipe: Recipe, card: ScoreCard | None) -> None:
    """The score card, what the recipe was expected to come to, where everything is, and what to try next.

    Args:
        folder: where the run's files are; home: where they belong, which is elsewhere if that is out of reach.
    """
    from latentarena.run.judging import BUNDLE, FILES

    if card is not None:
        print_card(card)
        for line in expected_lines(recipe.expected, recipe.length, card):
            console.print(line, highlight=False)
    for what, name in FILES.items():
        if card is not None or name == BUNDLE:
            console.print(f"{what:>11}  {folder / name}", highlight=False)
    console.print("try next:")
    beside = home if home.name.strip(".") else home.resolve()  # of . and .. the name is not said
    seed, steps = recipe.seed + 1, [] if recipe.sampling.steps == 1 else ["--steps", 20]
    commands = [["arena", "sample", folder / BUNDLE, "-n", 64, *steps, "--out", folder / "trajectory.gif"]]
    commands += [["arena", "judge", folder / BUNDLE]]
    commands += [["arena", "train", folder / "recipe.yaml", f"seed={seed}", "--out", f"{beside}-seed{seed}"]]
    own = [word for one in recipe.parts for word in ("--plugin", one)]
    for command in commands:
        said = shlex.join(map(str, [*command, *own]))
        console.print(f"    {said}", highlight=False)
