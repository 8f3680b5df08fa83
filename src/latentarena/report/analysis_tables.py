"""The tables and sentences of an analysis, made of a score card and a contest's rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from latentarena.bundle import AnyBundle, BundleCard
from latentarena.card.catalogue import METRICS
from latentarena.card.score_card import ScoreCard
from latentarena.card.words import HEADINGS, contest_cells, identity, row_of, rows_by_category
from latentarena.contest.contest import Contest
from latentarena.contest.entries import refusal
from latentarena.contest.entry import Entry
from latentarena.report.markdown import Markdown, inert, table

TRADED = (
    "mse",
    "ssim",
    "prior_frechet",
    "frechet",
    "precision",
    "recall",
    "coverage",
    "class_kl",
    "parameters",
    "operations",
)


def facts(bundle: AnyBundle, card: ScoreCard) -> Iterator[tuple[str, str]]:
    """What the model is, line by line."""
    parts = ", ".join(f"{part} {count:,}" for part, count in card.parameters.items())
    yield "trained on", card.dataset
    if isinstance(bundle.card, BundleCard):
        chosen = bundle.card.architecture
        yield "autoencoder", chosen.autoencoder.kind
        generator = chosen.generator
        yield "generator", f"{generator.backbone.kind}, path {generator.path}, predicts {generator.target}"
        yield "told the class", "yes" if generator.conditional else "no"
    yield "latent", identity(card)["latent"]
    yield "stored numbers", f"{sum(card.parameters.values()):,} ({parts})"
    yield "sampler", identity(card)["sampler"]
    made = bundle.card.provenance
    if made is not None:
        yield "training, not verified", ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds in made.seconds.items())
        yield "trained on machine", made.machine
        kl = f"; KL divergence {made.latents.kl:.1f} nats" if made.latents.kl is not None else ""
        spread = f"standard deviations {made.latents.smallest:.3g} to {made.latents.largest:.3g}"
        yield "latents of train images", f"{made.latents.dead} of {made.latents.dimensions} dead; {spread}{kl}"


def results(card: ScoreCard, rules: Contest) -> Markdown:
    """The figures that the contest ranks."""
    if rules.score_set == "contest-2025":
        cells = contest_cells(card)
        rows = [
            [one.label, cells[measure.metric], rules.better(measure).words]
            for one in rules.categories
            for measure in one.metrics
        ]
        return table(["ranked", "this model", "direction"], rows)
    heads = ["ranked", "category", "this model", "95 % interval", "real images", "direction"]
    found = []
    for category in rules.categories:
        for measure in category.metrics:
            if measure.metric in card.scores:
                row = row_of(card, measure.metric)
                cells_of = [row.title, category.label, Markdown(f"**{inert(row.value)}**"), row.interval, row.real]
                found.append([*cells_of, rules.better(measure).words])
            else:
                found.append([METRICS[measure.metric].title, category.label, "–", "", "", rules.better(measure).words])
    return table(heads, found, texts=2)


def by_rules(entry: Entry, rules: Contest) -> str:
    """Whether such an entry would be ranked, in a sentence."""
    why = refusal(entry, rules.model_copy(update={"self_reported": True}))
    return f"It would not be ranked there: {why}." if why else "By its rules this model would be ranked."


def awards(entry: Entry, rules: Contest) -> Iterator[tuple[str, str, str]]:
    """The conditions of each award that has some, and whether the entry meets them."""
    for award in rules.awards:
        for rule in award.where:
            if rule.field in entry.facts or rule.field in METRICS or rule.field.startswith("bundle."):
                yield award.name, rule.words, "met" if rule.holds(entry.facts) else "not met, or not certified"


def figures(card: ScoreCard) -> Markdown:
    """Every figure of the card."""
    rows: list[list[object]] = []
    for category, found in rows_by_category(card).items():
        rows.append([Markdown(f"**{HEADINGS[category]}**"), "", "", "", ""])
        rows += [[row.title, row.value, row.interval, row.real, row.better] for row in found]
    return table(["figure", "this model", "95 % interval", "real images", "better"], rows)


def traded(card: ScoreCard, others: Mapping[str, ScoreCard]) -> Markdown:
    """The figures that are traded for each other, of this model and of the others."""
    rows: list[list[object]] = []
    for name in TRADED:
        if name not in card.scores:
            continue
        own = row_of(card, name)
        cells: list[object] = [f"{own.title} ({own.better})", f"{own.value} {own.interval}"]
        for other in others.values():
            cells.append(_beside(card, other, name))
        rows.append(cells)
    return table(["figure", card.model, *others], rows)


def _beside(card: ScoreCard, other: ScoreCard, name: str) -> Markdown:
    """The figure of another card, and whether it is better or worse beyond the error bars."""
    if name not in other.scores:
        return Markdown("–")
    row, better = row_of(other, name), METRICS[name].better
    theirs, own = other.scores[name], card.scores[name]
    word = "better" if theirs.better_than(own, better) else "worse" if own.better_than(theirs, better) else "even"
    return Markdown(f"{inert(row.value)} {inert(row.interval)} **{word}**")
