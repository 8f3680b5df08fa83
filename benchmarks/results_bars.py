"""The promises that the recipes are held to, judged from the measured entries and from nothing else."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace

from results_measured import Entry

__all__ = ["Bar", "Entries", "bars", "minutes"]

Entries = Mapping[str, Entry]
ASKED_SCALE = 2.0  # of guidance, at which digitdreamer is held to its bar
FEW, MANY = 2, 50  # steps


@dataclass(frozen=True)
class Bar:
    """A promise: the limit, and the figure that is held against it, None as long as it is not measured."""

    what: str
    limit: float
    at_least: bool = False
    figure: float | None = None
    recipe: str = ""

    @property
    def reached(self) -> bool | None:
        """None as long as it is not measured."""
        if self.figure is None:
            return None
        return self.figure >= self.limit if self.at_least else self.figure <= self.limit

    @property
    def wanted(self) -> str:
        """The limit in words."""
        return f"{'at least' if self.at_least else 'at most'} {self.limit:g}"


Promise = tuple[Bar, Callable[[Entry, Entries], float | None]]  # the figure of an entry, None if it is not concerned


def bars(entries: Entries) -> Iterator[Bar]:
    """Every promise for every recipe that it concerns; without a figure where it concerns none that was measured."""
    for promise, figure in PROMISES:
        found = [(name, value) for name, entry in entries.items() if (value := figure(entry, entries)) is not None]
        yield from (replace(promise, figure=value, recipe=name) for name, value in found)
        if not found:
            yield promise


def minutes(entry: Entry) -> float:
    """Training time of all stages on a machine that does nothing else."""
    return sum(entry.undisturbed.values()) / 60


def _asked(entry: Entry, _: Entries) -> float | None:
    return next((one.accuracy for one in entry.guided if one.scale == ASKED_SCALE), None)


def _over_real(entry: Entry, _: Entries) -> float | None:
    score = entry.card.scores["frechet"]
    return score.value / score.real if score.real else None


def _over_small(entry: Entry, entries: Entries) -> float | None:
    small = entries.get("fm-small")
    return entry.card.scores["frechet"].value / small.card.scores["frechet"].value if small else None


def _over_flow_2(entry: Entry, _: Entries) -> float | None:
    before = entry.sweeps.get(f"{entry.name}, Flow-1")
    if before is None:
        return None
    after = entry.sweeps.get(f"{entry.name}, Flow-2") or entry.sweeps[entry.name]
    return before.points[FEW].frechet / after.points[FEW].frechet


def _over_teacher(entry: Entry, _: Entries) -> float | None:
    titles = (f"{entry.name}, teacher", f"{entry.name}, as a flow")
    teacher = next((entry.sweeps[title] for title in titles if title in entry.sweeps), None)
    return entry.sweeps[entry.name].points[1].frechet / teacher.points[MANY].frechet if teacher else None


def _by_classifier(entry: Entry, _: Entries) -> float | None:
    return entry.accuracy if entry.guide == "classifier" else None


def _diverse(entry: Entry, _: Entries) -> float | None:
    own = (one.diversity for one in entry.guided if one.scale == entry.scale)
    return next(own, None) if entry.guide == "classifier" else None


def _pixel_unet(entry: Entry) -> bool:
    return (entry.autoencoder, entry.backbone) == ("identity", "unet")


def _of(name: str, figure: Callable[[Entry, Entries], float | None]) -> Callable[[Entry, Entries], float | None]:
    """The figure of one recipe alone."""
    return lambda entry, entries: figure(entry, entries) if entry.name == name else None


PROMISES: tuple[Promise, ...] = (
    (
        Bar(f"share of digitdreamer's samples in the class asked for, guidance {ASKED_SCALE:g}", 0.99, at_least=True),
        _of("digitdreamer", _asked),
    ),
    (
        Bar("Frechet distance of ddpm-pixel-guided over that of real test images", 3),
        _of("ddpm-pixel-guided", _over_real),
    ),
    (Bar("Frechet distance of rf-pixel over that of real test images", 3), _of("rf-pixel", _over_real)),
    (Bar("Frechet distance of fm-large over that of fm-small", 1), _of("fm-large", _over_small)),
    (Bar(f"Frechet distance of Flow-1 over that of Flow-2, {FEW} steps each", 2, at_least=True), _over_flow_2),
    (Bar(f"Frechet distance in one step over the teacher's in {MANY}", 1.5), _over_teacher),
    (Bar("share of samples in the class that the classifier guides to", 0.99, at_least=True), _by_classifier),
    (Bar("diversity within the class that the classifier guides to, real images 1", 0.5, at_least=True), _diverse),
    (
        Bar("training of a U-Net on pixels, undisturbed (minutes)", 60),
        lambda e, _: minutes(e) if _pixel_unet(e) else None,
    ),
    (Bar("training, undisturbed (minutes)", 30), lambda e, _: None if _pixel_unet(e) else minutes(e)),
)
