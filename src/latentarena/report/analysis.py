"""The analysis of a run as a contest asks for it: figures, pictures and places for the student's own words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import torch
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from latentarena.bundle import AnyBundle
from latentarena.bundle.reading import CARD
from latentarena.card.catalogue import CATEGORIES, METRICS
from latentarena.card.comparison import verdict
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.card.words import (
    check_words,
    identity,
    timing_words,
    trainings_words,
)
from latentarena.contest.contest import Contest
from latentarena.contest.entries import entry_of
from latentarena.data import Dataset
from latentarena.documents import yaml_text
from latentarena.errors import ConfigError
from latentarena.files import make_folder, misspelt, refuse_address, write_atomically, write_text
from latentarena.gates import bundle_in
from latentarena.pictures import blank, figure_bytes, grid, plain, png
from latentarena.randomness import normal_rows
from latentarena.report import analysis_tables
from latentarena.report.charts import ACCENT, OTHERS, SOFT, draw_steps, plain_logarithmic
from latentarena.report.markdown import Markdown, indented, inert, kept, place, table, words_in
from latentarena.report.publishing import publish, read_words
from latentarena.report.report import loss_figure
from latentarena.report.show import VIEWS
from latentarena.report.shown import ShownModel
from latentarena.zoo import BUNDLE, MODELS, PREFIX, SCORE, zoo_card

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOLDER, TEXT = "analysis", "analysis.md"
QUESTIONS = {
    "design": "Which autoencoder and which generator did you choose, and why? What did you try that did not work?",
    "results": "Which figures are good, which are not, and what do their intervals let you say?",
    "reconstructions": "What is lost in the reconstructions, and where?",
    "samples": "What do the samples show that no figure says? Which of them fail, and how?",
    "latents": "How do the classes lie in the latent space? What do its directions change?",
    "training": "How was it trained, how did it converge, and what decided when to stop?",
    "trade-offs": "What did you give up, for what, and was it worth it?",
    "limits": "What do these figures not say, and what would you do next?",
    "sources": "What did you take from others: code, papers, tools? Who did what?",
}
PANELS = (("parameters", "frechet"), ("mse", "frechet"), ("operations", "frechet"))
LOGARITHMIC = {"parameters", "operations", "frechet"}
SEED, SHOWN, ROW = 0, 64, 16  # of the pictures: seed, samples, images in a row


@dataclass(frozen=True)
class Shown:
    """A picture of the analysis: its file, its text for those who do not see it, its caption, its kind in a page."""

    file: str
    alt: str
    caption: str
    kind: str = "plot"

    @property
    def markdown(self) -> Markdown:
        """The picture with its caption."""
        return Markdown(f"![{inert(self.alt)}]({self.file})\n*{inert(self.caption)}*")


SAMPLES = Shown(
    "samples.png", "a grid of generated images", "Generated from noise; the first ones, not picked.", "pixels"
)
PRIOR = Shown(
    "prior.png",
    "a grid of images decoded from the Gaussian prior",
    "Plain Gaussian latents through the same decoder: what the generator has to beat.",
    "pixels",
)
RECONSTRUCTIONS = Shown(
    "reconstructions.png",
    "three rows: test images, reconstructions, differences",
    "The first test images, their reconstructions, and four times the absolute difference.",
    "pixels",
)
LATENT = Shown("latent.png", VIEWS["latent"].alt, VIEWS["latent"].caption, "view")
TRAVERSE = Shown("traverse.png", VIEWS["traverse"].alt, VIEWS["traverse"].caption, "view")
TRAINING = Shown("training.png", "loss against time for each training stage", "Training loss by stage.")
STEPS = Shown(
    "steps.png",
    "line chart of the Frechet distance against solver steps",
    "Frechet distance against solver steps; of fewer samples than the score card's, and so larger.",
)
TRADES = Shown(
    "trade-offs.png",
    "scatter plots of the Frechet distance against stored numbers, reconstruction error and operations",
    "The Frechet distance against what it costs, with 95 % intervals; towards the lower left is better.",
)
KINDS = {one.file: one.kind for one in (SAMPLES, PRIOR, RECONSTRUCTIONS, LATENT, TRAVERSE, TRAINING, STEPS, TRADES)}


@dataclass(frozen=True)
class Analysed:
    """What was written: the text, the page, the PDF or None and why, and the questions that are not answered yet."""

    text: Path
    page: Path
    pdf: Path | None
    why: str
    unanswered: tuple[str, ...]


def home_of(run: Path) -> Path:
    """The folder of a run, also where its bundle is named, or of a model of the zoo."""
    name = str(run)
    if name.startswith(PREFIX):
        return MODELS / name.removeprefix(PREFIX)
    return run.parent if run.name == BUNDLE and (run.parent / SCORE).is_file() else run


def card_of(run: Path) -> ScoreCard:
    """The score card of a run's folder or of a model of the zoo, or that a JSON file holds.

    Raises:
        ConfigError: there is none, or it is none.
    """
    if str(run).startswith(PREFIX):
        return zoo_card(str(run).removeprefix(PREFIX))
    refuse_address(run)
    home = home_of(run)
    if meant := misspelt(home):
        raise ConfigError(f"{run} is not there; {meant}name a run's folder, zoo:NAME or a score card")
    if (home / CARD).is_file():
        raise ConfigError(
            f"{run} is a bundle alone; a run is a folder that holds it as {BUNDLE}, and its score card: name that "
            f"folder, or make one, RUN, and arena judge RUN --json RUN/{SCORE}"
        )
    if home.is_dir() and not (home / SCORE).is_file():
        bundle_in(home)  # which refuses a folder of several runs
        raise ConfigError(
            f"{run} holds no {SCORE}; arena judge {quote(str(run))} --json {quote(str(home / SCORE))} writes it"
        )
    return read_card(home / SCORE if home.is_dir() else home)


def compared(card: ScoreCard, runs: Sequence[Path]) -> dict[str, ScoreCard]:
    """The score cards of other runs by the name that they are shown by.

    Raises:
        ConfigError: one has no score card, or one that does not compare with `card`.
    """
    found: dict[str, ScoreCard] = {}
    for run in runs:
        other, name = card_of(run), str(run) if str(run).startswith(PREFIX) else run.resolve().name
        if (other.judge_hash, other.data) != (card.judge_hash, card.data):
            raise ConfigError(
                f"{run}: judged by {other.judge} on {other.dataset}, {card.model} by {card.judge} on {card.dataset}; "
                "only figures of one judge on the same data compare"
            )
        found[name if name not in found and name != card.model else str(run)] = other
    return found


def write_analysis(
    out: Path, bundle: AnyBundle, card: ScoreCard, data: Dataset, rules: Contest, others: Mapping[str, ScoreCard]
) -> Analysed:
    """Write the analysis of a judged model; words that somebody wrote into its places before are kept.

    Args:
        out: folder, which is made; bundle, card: the model and its score card.
        data: that it is a model of; rules: of the contest that the analysis is for.
        others: score cards of other runs by name, that it is held against.

    Raises:
        ConfigError: the card is that of another bundle, or what lies in the folder already cannot be read.
        OutputError: the folder cannot be written to.
    """
    if card.bundle != bundle.digest:
        raise ConfigError(f"the score card of {card.model!r} is that of another bundle; judge {bundle.place} anew")
    text = make_folder(out) / TEXT
    words = words_in(read_words(text)) if text.exists() else {}
    drawn = {one.file for one in _draw(out, bundle, card, data, others)}
    template, asked = _environment().get_template("analysis.md"), list[str]()

    def ask(name: str) -> Markdown:
        asked.append(name)
        return Markdown(f"*{QUESTIONS[name]}*\n\n{place(name, words.get(name, ''))}")

    plain_card = bundle.card.model_dump(mode="json")
    entry = entry_of(card, rules, "analysis", card.model, bundle=plain_card, form=bundle.card.form)
    written = template.render(
        card=card,
        contest=rules,
        facts=analysis_tables.facts(bundle, card),
        verdict=analysis_tables.by_rules(entry, rules),
        results=analysis_tables.results(card, rules),
        awards=list(analysis_tables.awards(entry, rules)),
        points=[(title, f"{card.points[name]:.1f}") for name, title in CATEGORIES.items() if name in card.points],
        figures=analysis_tables.figures(card),
        checks=check_words(card),
        timing=timing_words(card),
        trainings=trainings_words(card),
        others=others,
        traded=analysis_tables.traded(card, others),
        verdicts=[verdict([card, other], [card.model, name]) for name, other in others.items()],
        identity=identity(card),
        recipe="" if bundle.card.provenance is None else yaml_text(bundle.card.provenance.recipe),
        picture=lambda name: _picture(name, drawn),
        ask=ask,
        lost=lambda: Markdown(kept(words, asked)),
    )
    write_text(text, written)
    return published(out)


def published(folder: Path) -> Analysed:
    """Write page and PDF of the text in a folder once more, as after somebody has written into it.

    Raises:
        ConfigError: there is no such text, or it shows a picture that is not there.
    """
    text = folder / TEXT
    page, pdf, why = publish(text, KINDS)
    found = words_in(read_words(text))
    return Analysed(text, page, pdf, why, tuple(name for name, words in found.items() if not words))


def _environment() -> Environment:
    """Templates of Markdown, where text is inert unless it is Markdown already."""
    made = Environment(  # noqa: S701 - what is written is no HTML; `inert` escapes
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=inert,
        keep_trailing_newline=True,
    )
    made.globals |= {"table": table, "indented": indented}
    return made


def _picture(name: str, drawn: set[str]) -> Markdown:
    known = {one.file: one for one in (SAMPLES, PRIOR, RECONSTRUCTIONS, LATENT, TRAVERSE, TRAINING, STEPS, TRADES)}
    return known[name].markdown if name in drawn else Markdown("")


def _draw(
    out: Path, bundle: AnyBundle, card: ScoreCard, data: Dataset, others: Mapping[str, ScoreCard]
) -> Iterator[Shown]:
    """Draw the pictures that this model has, each into its file."""
    subject, model = ShownModel.of(bundle, data, None, SEED), bundle.model

    def keep(shown: Shown, content: bytes) -> Shown:
        write_atomically(out / shown.file, content)
        return shown

    yield keep(SAMPLES, png(grid(model.generate(model.noise(SHOWN, SEED), subject.asked(SHOWN), seed=SEED).cpu())))
    if model.learned:
        test = data.test.batch(slice(0, ROW)).cpu()
        again = model.decode(model.encode(test)).cpu()
        yield keep(RECONSTRUCTIONS, png(grid(torch.cat([test, again, 4 * (test - again).abs()]), len(test))))
        yield keep(PRIOR, png(grid(model.decode(normal_rows(SHOWN, bundle.card.latent, SEED, "prior")).cpu())))
    for shown, view in ((LATENT, VIEWS["latent"]), (TRAVERSE, VIEWS["traverse"])):
        try:
            figure = view.draw(subject)
        except ConfigError:  # a latent of one number has no plane
            continue
        yield keep(shown, figure_bytes(figure))
    curves = {} if bundle.card.provenance is None else bundle.card.provenance.curves
    if curves:
        stages = {stage: (curve.seconds, curve.losses) for stage, curve in curves.items()}
        yield keep(TRAINING, figure_bytes(loss_figure(stages)))
    if card.by_steps:
        figure = blank(6, 3.4)
        draw_steps(figure.add_subplot(), card.by_steps, card.steps)
        yield keep(STEPS, figure_bytes(figure))
    if others:
        yield keep(TRADES, _trade_offs({card.model: card, **others}))


def _trade_offs(cards: Mapping[str, ScoreCard]) -> bytes:
    """Two figures of each card against each other, in a panel for each pair."""
    from matplotlib.ticker import MaxNLocator

    pairs = [pair for pair in PANELS if any(all(one in card.scores for one in pair) for card in cards.values())]
    figure = blank(4.2 * max(1, len(pairs)), 3.9)
    figure.set_layout_engine("constrained")
    for column, (across, up) in enumerate(pairs, 1):
        axes = figure.add_subplot(1, len(pairs), column)
        for number, (name, card) in enumerate(cards.items()):
            if across in card.scores and up in card.scores:
                _point(axes, card, across, up, name, number)
        for metric, scale, axis in ((across, axes.set_xscale, axes.xaxis), (up, axes.set_yscale, axes.yaxis)):
            scale("log" if metric in LOGARITHMIC else "linear")
            if metric in LOGARITHMIC:
                plain_logarithmic(axis)
            else:
                axis.set_major_locator(MaxNLocator(3))
        axes.set(xlabel=METRICS[across].title, ylabel=METRICS[up].title)
        axes.grid(alpha=0.3)
    if pairs:
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure_bytes(figure)


def _point(axes: Axes, card: ScoreCard, across: str, up: str, name: str, number: int) -> None:
    x, y = card.scores[across], card.scores[up]
    own: dict[str, Any] = {"color": ACCENT if number == 0 else OTHERS[(number - 1) % len(OTHERS)], "ecolor": SOFT}
    own |= {"fmt": "*" if number == 0 else "o", "markersize": 13 if number == 0 else 7, "elinewidth": 1}
    spread = [[max(0.0, one.value - one.low)] for one in (x, y)], [[max(0.0, one.high - one.value)] for one in (x, y)]
    bars = [[spread[0][axis], spread[1][axis]] for axis in (0, 1)]
    axes.errorbar([x.value], [y.value], xerr=bars[0], yerr=bars[1], label=plain(name), **own)
