"""Evaluation of a stranger's bundle: through the gates, into boxes where it can be run, past the judge, to a card.

`arena check` calls `evaluate`. A server's worker runs `python -m latentarena.evaluate.evaluate BUNDLE --out DIR` as a
process that it can kill: DIR then holds `card.json`, `bundle.json`, `log.txt` and pictures, or `refusal.json` where the
bundle is at fault. With neither, something is wrong with the machine, and stderr says what.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path

import torch

from latentarena.bundle import BOXED, AnyBundle, open_bundle, placed
from latentarena.card.finding import gravest
from latentarena.card.score_card import FEWEST, ScoreCard
from latentarena.compute import CPU, chosen_compute
from latentarena.config import validate
from latentarena.contest.eligibility import Eligibility
from latentarena.data import FOLDER
from latentarena.documents import parse_json
from latentarena.errors import ArenaError, BundleError, ConfigError, DataMissing, GateError, ModelError
from latentarena.evaluate.contests import contests_on
from latentarena.evaluate.scoring import Judged, data_of, judge_bundle, panel_for
from latentarena.files import make_folder, write_atomically, write_json, write_text
from latentarena.judge.score import SAMPLES
from latentarena.key import PRACTICE, Key
from latentarena.pictures import grid, png, save_images
from latentarena.report.poster import write_poster
from latentarena.report.scorecard import nearest_pairs, write_page
from latentarena.sandbox import SandboxError, standing
from latentarena.system import SPARE, affordable, limit_memory, starved
from latentarena.text import plain_line
from latentarena.train.stages import Watch

SHOWN, ROW = 64, 16  # images in a picture; in a row of one
MEMORY = 8 << 10  # MiB, where the machine has as much
OURS = ("start", "machine")  # why a box failed before a stranger's code ran, or through no fault of it: tried again
UNBOXED = "no-sandbox"  # why no box was opened: none here is good enough
FAST = 1000  # samples for a first look
ANYTHING = Eligibility()


@dataclass(frozen=True)
class Step:
    """Something that is done: what it was, what came of it, and how many seconds it took."""

    name: str
    text: str
    seconds: float

    @property
    def line(self) -> str:
        """The step as one line for people."""
        return f"{self.name:>11}  {self.text}  ({self.seconds:.2f} s)"


def evaluate(
    path: Path,
    rules: Eligibility = ANYTHING,
    root: Path | None = None,
    judge_file: Path | None = None,
    samples: int = SAMPLES,
    timed: bool = True,
    tell: Callable[[Step], None] = lambda step: None,
    watch: Watch = lambda ticks, stage: ticks,
    key: Key = PRACTICE,
    allow_python: bool = False,
    accelerator: str = CPU.device,
    arithmetic: str = CPU.precision,
) -> Judged:
    """Evaluate a bundle that may be anybody's.

    Args:
        path: its folder or zip file.
        rules: what it must be; anything that can be judged unless given.
        root: where to look for data.
        judge_file: the judge; the data's own unless given.
        samples: how many to generate; timed: whether sampling is timed.
        tell: hears of each step once it is done.
        watch: shows the training of a judge, where there is none yet.
        key: of all that is random; a contest has one of its own.
        allow_python: whether Python may run at tier 1 of the sandbox too, which the score card then says.
        accelerator, arithmetic: where, and in what precision, the model runs; see `placed`.

    Raises:
        GateError: the bundle is refused, with a reason.
        SandboxError: there is no sandbox for it here, or it breaks its limits in one.
        BundleError, ModelError: it is no bundle, or what its model gives cannot be judged.
        ArenaError: something is wrong here, such as missing data.
    """
    chosen_compute(accelerator, arithmetic)  # refused before anything is opened
    clock = _Clock(tell)
    with ExitStack() as stack:
        with _blamed(path, BundleError):
            opened = open_bundle(
                path, trust=BOXED, forms=rules.forms, dataset=rules.dataset, loose=allow_python, tell=clock.done
            )
            bundle = stack.enter_context(opened)
            refuse_ineligible(bundle, rules, root)
        placed(bundle, accelerator, arithmetic)
        panel = panel_for(data_of(bundle, root), judge_file, watch)
        clock.done("judge", f"{panel.judge.name} on {panel.data.name}")
        with _blamed(path, ModelError):
            found = judge_bundle(bundle, panel, samples, timed=timed, precision=rules.latent.precision, key=key)
        card = found.card
        _refuse_forged(card)
        clock.done("scored", f"{len(card.scores)} figures of {samples:,} samples and {card.images:,} test images")
        sandbox = "" if bundle.model.native is not None else f"tier {standing().tier}"
    return replace(found, card=card.model_copy(update={"sandbox": sandbox}))


class _Clock:
    """Tells of steps and of the time since the one before."""

    def __init__(self, tell: Callable[[Step], None]) -> None:
        self.tell, self.last = tell, time.perf_counter()

    def done(self, name: str, text: str) -> None:
        now = time.perf_counter()
        self.tell(Step(name, text, now - self.last))
        self.last = now


@contextmanager
def _blamed(path: Path, fault: type[BundleError] | type[ModelError]) -> Iterator[None]:
    """Turn whatever else than a known fault comes of a bundle into `fault`: the same bundle would do it again.

    What may be a fault of this machine, such as a disk that cannot be read, passes as it is.
    """
    try:
        yield
    except ConfigError as error:  # of a setting that the bundle's card asks for
        raise fault(str(error)) from error
    except (ArenaError, OSError, MemoryError):
        raise
    except Exception as error:
        if starved(error):
            raise
        words = plain_line(str(error), 300)
        raise fault(f"{path} cannot be evaluated: {type(error).__name__}: {words}") from error


def refuse_ineligible(bundle: AnyBundle, rules: Eligibility, root: Path | None) -> None:
    """Raise a GateError where the card does not say what it must; a stranger's card is not to choose files of ours."""
    card, numbers, limits = bundle.card, prod(bundle.card.latent), rules.latent
    unmet = rules.unmet(card.form, card.data.name, numbers)
    if "latent" in unmet:
        ends = f"{limits.smallest} to {limits.largest}"
        raise GateError("latent", f"{card.name!r} has a latent of {numbers:,} numbers; {ends} are accepted")
    if "dataset" in unmet:
        fit = " or ".join(f"--contest {name}" for name in contests_on(card.data.name)) or "--contest FILE"
        said = f"{card.name!r} is a model of {card.data.name}, not of {rules.dataset}"
        raise GateError("dataset", f"{said}; for a contest on such images: {fit}")
    if not card.data.name.startswith(FOLDER) or root is not None:
        return
    if rules.dataset is not None:  # no fault of the bundle
        raise DataMissing(f"the contest's images, {rules.dataset}, are not known here; name that folder with --data")
    raise GateError("dataset", f"{card.name!r} is a model of {card.data.name}; name that folder with --data")


def _refuse_forged(card: ScoreCard) -> None:
    """Raise a GateError where a check of the score card is evidence of a table, or of images kept inside."""
    found = gravest(card.checks)
    if found is not None and found.verdict == "refused":
        raise GateError("forged", f"{card.model!r}: {found.sentence}")


def refusal_of(error: Exception) -> tuple[str, str] | None:
    """State and reason of an evaluation without a card: `refused` where the bundle is at fault, before it ran or as it
    ran; `failed` where no sandbox here is good enough for it; None where something is wrong that may pass.
    """
    if isinstance(error, SandboxError):
        state = "failed" if error.reason == UNBOXED else "refused"
        return None if error.reason in OURS else (state, error.reason)
    if isinstance(error, GateError):
        return "refused", error.reason
    if isinstance(error, BundleError):
        return "refused", "bundle"
    if isinstance(error, ModelError):
        return "refused", "output"
    return ("refused", "memory") if starved(error) else None


def sentence_of(error: Exception, bundle: Path, memory: int) -> str:
    """A refusal in one line, without the folder that the bundle lies in; `memory` is what there was, in MiB."""
    if starved(error):
        return f"its evaluation needed more than the {memory:,} MiB of memory that it may take; make the model smaller"
    return " ".join(str(error).replace(str(bundle), bundle.name).split())[:1000]


def write_evaluated(found: Judged, out: Path) -> None:
    """Write score card, bundle card, page and pictures; the score card last, so that all is there once it is.

    Raises:
        OutputError: the folder cannot be written to.
    """
    make_folder(out)
    findings, images = found.findings, found.panel.data.test.batch(slice(0, ROW)).cpu()
    save_images(out / "samples.png", findings.generated[:SHOWN], None)
    if findings.prior is not None:
        save_images(out / "prior.png", findings.prior[:SHOWN], None)
    if findings.reconstructed is not None:
        again = findings.reconstructed[:ROW]
        rows = torch.cat([images, again, 4 * (images - again).abs()])
        write_atomically(out / "reconstructions.png", png(grid(rows, len(images))))
    drawn, train, _ = nearest_pairs(findings, found.panel.data)
    write_atomically(out / "nearest.png", png(grid(torch.cat([drawn, train]), len(drawn))))
    write_page(out / "card.html", found.card, findings, found.panel.data)
    write_poster(out / "card.png", found.card, findings, found.panel.data)
    write_json(out / "bundle.json", found.bundle)
    write_json(out / "card.json", found.card.model_dump(mode="json"))


def main(arguments: Sequence[str]) -> int:
    """The worker's program; the exit status is 0 where there is a verdict. What is wrong here is raised."""
    chosen = _parser().parse_args(arguments)
    memory = affordable(chosen.memory)
    limit_memory(memory)
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    key = Key.parse(sys.stdin.readline()) if chosen.keyed else PRACTICE
    steps: list[Step] = []
    try:
        found = evaluate(
            chosen.bundle, chosen.rules, chosen.data, chosen.judge, chosen.samples, tell=steps.append, key=key
        )
        write_text(make_folder(chosen.out) / "log.txt", _log(steps, found.printed))
        with _blamed(chosen.bundle, ModelError):  # a card and pictures hold names and numbers of the bundle
            write_evaluated(found, chosen.out)
    except Exception as error:
        limit_memory(memory + SPARE)
        verdict = refusal_of(error)
        if verdict is None:
            raise
        if error.__cause__ is not None:  # nothing that was foreseen: those who run the worker will want to see where
            traceback.print_exc()
        state, reason = verdict
        sentence = sentence_of(error, chosen.bundle, memory)
        log = _log(steps, getattr(error, "log", ""))
        said = {"state": state, "reason": reason, "sentence": sentence, "log": log}
        write_json(make_folder(chosen.out) / "refusal.json", said)
    return 0


def _log(steps: Sequence[Step], printed: str) -> str:
    """What the owner of a bundle may read: what was done, and what its own code printed."""
    return "\n".join([*(step.line for step in steps), *[printed] * bool(printed)])


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("latentarena.evaluate", description="Evaluate a bundle; see `arena check`.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder")
    parser.add_argument("--rules", type=_eligibility, default=ANYTHING, help="a contest's `Eligibility` as JSON")
    parser.add_argument("--judge", type=Path, help="the judge's file; the dataset's own unless given")
    parser.add_argument("--data", type=Path, help="where the dataset's files are")
    parser.add_argument("--keyed", action="store_true", help="read the contest's key from standard input")
    parser.add_argument("--samples", type=int, default=SAMPLES, choices=range(FEWEST, SAMPLES + 1), metavar="N")
    parser.add_argument("--memory", type=int, default=MEMORY, help="MiB that this process may take")
    parser.add_argument("--threads", type=int, default=0, help="as many as there are cores unless given")
    return parser


def _eligibility(text: str) -> Eligibility:
    return validate(Eligibility, parse_json(text.encode()), "--rules")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
