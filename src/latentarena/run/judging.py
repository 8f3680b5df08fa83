"""A run's bundle judged: score card, pictures and report in its folder, of which the card says that it is finished."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from latentarena.bundle import OWN, NativeBundle, open_bundle
from latentarena.card.own import OWN_METRICS, OwnMetric
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.card.trainings import with_trainings
from latentarena.data import Dataset
from latentarena.errors import BundleError, ConfigError
from latentarena.evaluate.scoring import Panel, judge_bundle, panel_for
from latentarena.facts import source_digest
from latentarena.files import write_atomically, write_json
from latentarena.judge.score import SAMPLES
from latentarena.pictures import grid, png
from latentarena.report.poster import write_poster
from latentarena.report.report import write_report
from latentarena.report.scorecard import SHOWN
from latentarena.train.shelter import Shelter
from latentarena.train.stages import Watch

BUNDLE, SCORE, REPORT, PICTURE, POSTER = "bundle", "score.json", "report.html", "samples.png", "card.png"
FILES = {"bundle": BUNDLE, "score card": SCORE, "report": REPORT, "samples": PICTURE, "card": POSTER}
"""What people look at in the folder of a run, by what it is; of a run that was not judged, the bundle alone."""
Ran = tuple[Path, ScoreCard | None]
"""The folder of a run, and its score card; None if it was not judged."""


def finished(folder: Path) -> ScoreCard | None:
    """The score card in the folder of a run that came to its end; None where it did not."""
    try:
        card = read_card(folder / SCORE)
        return card if open_bundle(folder / BUNDLE, trust=OWN).digest == card.bundle else None
    except (ConfigError, BundleError):
        return None


def judge_run(
    bundle: NativeBundle,
    data: Dataset,
    shelter: Shelter,
    watch: Watch,
    samples: int = SAMPLES,
    others: Mapping[int, ScoreCard] | None = None,
    own: Sequence[OwnMetric] = (),
    waterfall: bool = False,
) -> Ran:
    """Judge a run's bundle and write score card, pictures of samples and card, and the report into its folder.

    What was judged before, as it would be now, is not judged again.

    Raises:
        OutputError: the disk is full; what the judge found is kept in the run's refuge.
    """
    panel, seed = panel_for(data, watch=watch), bundle.card.provenance.recipe["seed"]
    before = finished(shelter.folder)
    whole = all((shelter.folder / name).exists() for name in FILES.values())
    if before is not None and whole and _as_asked(before, panel, samples, own, waterfall):
        card = with_trainings(before, seed, others or {})
        if card == before:
            return shelter.settle(), card
    with shelter.set_aside():
        found = judge_bundle(bundle, panel, samples, own=own, waterfall=waterfall)
    findings = found.findings
    card = with_trainings(found.card, seed, others or {})
    shelter.reach(shelter.home, lambda folder: (folder / SCORE).unlink(missing_ok=True))

    def write(folder: Path) -> None:
        write_atomically(folder / PICTURE, png(grid(findings.generated[:SHOWN])))
        write_poster(folder / POSTER, card, findings, data)
        write_report(folder / REPORT, bundle, data, panel.judge, card, findings, shelter.folder / "logs")
        write_json(folder / SCORE, card.model_dump(mode="json"))  # last: a run that has it is finished

    shelter.reach(shelter.home, write)
    return shelter.settle(), card


def _as_asked(card: ScoreCard, panel: Panel, samples: int, own: Sequence[OwnMetric], waterfall: bool) -> bool:
    """Whether a run's card is what judging it now would give."""
    metrics = {one.kind: (one.model_dump(mode="json"), OWN_METRICS.foreign[one.kind].digest) for one in own}
    return (
        (card.judge_hash, card.samples, card.source) == (panel.judge.digest, samples, source_digest())
        and (card.waterfall is not None or not waterfall)
        and {name: (one.settings, one.digest) for name, one in card.own.items()} == metrics
    )
