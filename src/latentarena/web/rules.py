"""A contest file in words, for people who will not read YAML."""

from __future__ import annotations

from datetime import datetime

from latentarena.card.catalogue import METRICS
from latentarena.contest.commitment import Commitment
from latentarena.contest.contest import Category, Contest
from latentarena.contest.rule import Rule

FORMS = {
    "native": "native bundles (card.json and weights.safetensors, made by `arena train`)",
    "portable": "portable bundles (card.json and three ONNX graphs, of any architecture; `arena export` makes one)",
    "python-2025": "Python files of the 2025 contest (`SubmissionInterface`), where a sandbox can hold them",
}
COUNTS = {
    "best": "The best placed of a team's entries stands on the board.",
    "latest": "The entry that was received last stands on the board.",
    "chosen": "The entry that the team chooses stands on the board; until it chooses, the one received last.",
}
TIES = {
    "min": "Equal values share the best of their ranks.",
    "statistical": "A rank counts only entries better beyond the error bars: what cannot be told apart shares one.",
}
OPS = {
    "<=": "at most",
    ">=": "at least",
    "<": "below",
    ">": "above",
    "==": "is",
    "!=": "is not",
    "in": "is one of",
    "not in": "is none of",
}

Rules = dict[str, list[str]]


def metric_title(name: str) -> str:
    """The title of a field, such as `MSE` for `mse`."""
    return METRICS[name].title if name in METRICS else name.removeprefix("bundle.").replace("_", " ")


def moment(when: datetime) -> str:
    """A time as text, such as `14 July 2025, 23:59 UTC+02:00`."""
    return f"{when.day} {when:%B %Y, %H:%M} {when.tzname()}"


def rules_of(contest: Contest, commitment: Commitment | None = None) -> Rules:
    """A contest's rules as sentences by heading; a commitment to its key has a heading of its own."""
    sections = {
        "What to hand in": _entries(contest),
        "The folder of a submission": _deliverables(contest),
        "When, and how many": _limits(contest),
        "How entries are ranked": _ranking(contest),
        "Thresholds": [f"To be ranked, {_rule(rule)}." for rule in contest.thresholds],
        "Awards": [_award(contest, index) for index in range(len(contest.awards))],
        "Random numbers": [] if commitment is None else _randomness(contest, commitment),
    }
    return {heading: lines for heading, lines in sections.items() if lines}


def _entries(contest: Contest) -> list[str]:
    latent = contest.latent
    rounded = f", each rounded to {latent.precision} before it is decoded" if latent.precision else ""
    judge = "the official judge" if contest.judge == "official" else f"the judge of hash {contest.judge[:12]}"
    return [
        f"A model of {contest.dataset} images; {judge} scores it.",
        f"Its latent holds {latent.smallest} to {latent.largest} numbers{rounded}.",
        *(f"Accepted: {FORMS[form]}." for form in contest.forms),
        f"A bundle is a zip of at most {contest.quotas.bytes / (1 << 20):.0f} MB.",
    ]


def _deliverables(contest: Contest) -> list[str]:
    lines = [f"`{one.file}`: {one.about}." for one in contest.deliverables]
    return [*lines, "`arena pack RUN` puts it together and looks for what is missing."] if lines else []


def _limits(contest: Contest) -> list[str]:
    quotas = contest.quotas
    lines = []
    if contest.opens:
        lines.append(f"Opens {moment(contest.opens)}.")
    if contest.closes:
        lines.append(f"Closes {moment(contest.closes)}; what counts is when the upload was received whole.")
    if quotas.per_day:
        lines.append(f"At most {quotas.per_day} entries a team within 24 hours.")
    if quotas.total:
        lines.append(f"At most {quotas.total} entries a team in all.")
    return [*lines, COUNTS[contest.counts]]


def _ranking(contest: Contest) -> list[str]:
    lines = [_category(contest, category) for category in contest.categories]
    lines.append(TIES[contest.ties])
    weighted = " weighted" if len({category.weight for category in contest.categories}) > 1 else ""
    lines.append(f"The lowest{weighted} {contest.total} of the {len(contest.categories)} ranks wins.")
    reasons = [one.by for one in contest.tie_breaks]
    if reasons:
        lines.append(f"Ties of the whole are broken by {', then by '.join(reasons)}.")
    if contest.self_reported:
        lines.append("Score cards that nobody has recomputed may stand on the board; they are marked.")
    return lines


def _randomness(contest: Contest, commitment: Commitment) -> list[str]:
    lines = [
        "Noise, labels, order, batch sizes and every random choice of the judge follow from a secret key of this "
        "contest and the bundle's hash, so that nobody can know beforehand what a model will be asked.",
        f"SHA-256 of the key: `{commitment.sha256}`.",
    ]
    if commitment.key:
        lines.append(f"The contest has closed, and this is the key: `{commitment.key}`.")
        lines.append("`arena verify CARD BUNDLE --key KEY` recomputes any score with it.")
    elif contest.closes:
        lines.append("The key is published here once the contest has closed, so that every score can be recomputed.")
    else:
        lines.append("This contest has no closing time, so the key stays secret.")
    return lines


def _category(contest: Contest, category: Category) -> str:
    parts = [f"{metric_title(one.metric)} ({contest.better(one).words})" for one in category.metrics]
    weight = f", counted {category.weight:g} times" if category.weight != 1 else ""
    how = "; the mean of their ranks is ranked again" if len(parts) > 1 else ""
    return f"{category.label}{weight}: {', '.join(parts)}{how}."


def _rule(rule: Rule) -> str:
    value = ", ".join(map(str, rule.value)) if isinstance(rule.value, tuple) else str(rule.value)
    return f"{metric_title(rule.field)} {OPS[rule.op]} {value}"


def _award(contest: Contest, index: int) -> str:
    award = contest.awards[index]
    about = f" {award.about}" if award.about else ""
    terms = f" Asked: {'; '.join(_rule(rule) for rule in award.where)}." if award.where else ""
    return f"{award.name}.{about}{terms}"
