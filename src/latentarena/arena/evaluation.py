"""One evaluation as a process of its own: started, watched, killed, and its folder read with care. Imports no torch."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from latentarena.arena.records import Outcome, Refusal, Trained
from latentarena.card.certificate import read_certificate
from latentarena.card.score_card import ScoreCard, read_card
from latentarena.config import Config, validate
from latentarena.contest.contest import Certify, Contest
from latentarena.contest.eligibility import Eligibility
from latentarena.documents import parse_json
from latentarena.errors import ConfigError
from latentarena.key import Key
from latentarena.system import end_with_parent

EVALUATE = (sys.executable, "-P", "-m", "latentarena.evaluate.evaluate")  # -P: nothing is imported from where it stands
RETRAIN = (sys.executable, "-P", "-m", "latentarena.run.retrain")
TRAINED = "arena-training-"  # of the folders that repeated trainings are resumed from
LAID_BY = 14 * 24 * 3600.0  # seconds after which nobody will go on with a repeated training
LARGEST = 64 << 20  # bytes of a file that an evaluation leaves
PLENTY = 40  # files that it may leave
LOG, LONGEST = "log.txt", 64 << 10  # what an evaluation says of itself; bytes of it that are kept
NAME = re.compile(rf"[a-z0-9][a-z0-9_-]{{0,40}}\.(png|html|json|zip)|{re.escape(LOG)}")
CRASHES = (signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSYS)
PASSED_ON = (
    "PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV",
    "LD_LIBRARY_PATH", "XDG_CACHE_HOME", "LATENTARENA_DATA", "LATENTARENA_CACHE", "OMP_NUM_THREADS",
)  # fmt: skip
"""The variables that an evaluation sees: none that may hold a secret."""
LOGGER = logging.getLogger(__name__)


class _Said(Config):
    """What `refusal.json` holds."""

    state: Literal["refused", "failed"]
    reason: str = Field(min_length=1)
    sentence: str
    log: str = ""
    name: str = ""
    form: str = ""


@dataclass(frozen=True)
class EvaluationEnd:
    """What an evaluation came to, and the files that belong to it by name."""

    end: Outcome | Refusal | Trained
    files: dict[str, Path]


class EvaluationProcess:
    """A running evaluation: killed with all that it started, and dead when the worker is, however that dies."""

    def __init__(
        self, command: Sequence[str], bundle: Path, out: Path, options: Sequence[str] = (), key: Key | None = None
    ) -> None:
        """Start it.

        Args:
            command: the program, called with the bundle and `--out`.
            bundle: to be evaluated; out: an empty folder for what it finds.
            options: further arguments.
            key: of the contest, which it reads from its standard input: arguments are seen by everybody on the machine.
                None is the public one.
        """
        self.began = time.monotonic()
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `end`
        self._process = subprocess.Popen(
            [*command, str(bundle), "--out", str(out), *options, *(["--keyed"] if key else [])],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env={name: os.environ[name] for name in PASSED_ON if name in os.environ},
            start_new_session=True,
            preexec_fn=partial(end_with_parent, signal.SIGKILL),
        )
        assert self._process.stdin is not None
        with suppress(BrokenPipeError), self._process.stdin as stdin:  # it may have ended already
            stdin.write(f"{key.text}\n".encode() if key else b"")

    def wait(self, seconds: float) -> int | None:
        """Its exit status, negative for a signal; None if it still runs after so many seconds."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> str:
        """Kill what still runs of it; returns the end of what it wrote to stderr, which is for organisers only."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        with self._errors as errors:
            errors.seek(max(0, errors.seek(0, os.SEEK_END) - 4000))
            return errors.read().decode("utf-8", "replace")


def options_of(rules: Eligibility) -> list[str]:
    """What the program is told of a contest's rules: these, as data."""
    return ["--rules", rules.model_dump_json()]


def training_options(contest: Contest, work: Path) -> list[str]:
    """What the program that repeats a training is told of a contest's rules."""
    certify = contest.certify or Certify()
    options = ["--work", str(work), "--dataset", contest.dataset, "--seeds", str(certify.seeds)]
    return [*options, "--quality", str(certify.quality), "--macs", str(certify.macs)]


def workshop(job: str) -> Path:
    """Where a repeated training is gone on with, whoever began it on this machine; those laid by are removed."""
    home = Path(tempfile.gettempdir())
    for folder in home.glob(f"{TRAINED}*"):
        with suppress(OSError):
            if time.time() - folder.stat().st_mtime > LAID_BY:
                shutil.rmtree(folder, ignore_errors=True)
    made = home / f"{TRAINED}{os.getuid()}-{job}"
    made.mkdir(mode=0o700, exist_ok=True)
    if made.is_symlink() or made.stat().st_uid != os.getuid():
        raise OSError(f"{made} belongs to somebody else")
    os.utime(made)
    return made


def certificate_left_in(out: Path) -> EvaluationEnd | None:
    """What a repeated training left in its folder; None if it left nothing that can be read: then it died."""
    files = dict(_plain_files(out))
    try:
        if "refusal.json" in files:
            return _refusal_in(files["refusal.json"])
        if "certificate.json" in files:
            return EvaluationEnd(Trained(read_certificate(files["certificate.json"]).model_dump_json()), {})
    except (ConfigError, ValueError, OSError) as error:
        LOGGER.error("a repeated training left what cannot be read: %s", error)
    return None


def _refusal_in(path: Path) -> EvaluationEnd:
    said = validate(_Said, parse_json(path.read_bytes()), "refusal.json")
    return EvaluationEnd(Refusal(**said.model_dump()), {})


def verdict_in(out: Path) -> EvaluationEnd | None:
    """What an evaluation left in its folder; None if it left no verdict: then it died.

    Files that are no plain files, of other names or too large are ignored. A card that cannot be read is no verdict.
    """
    files = dict(sorted(_plain_files(out))[:PLENTY])
    log = files.pop(LOG, None)
    try:
        if "refusal.json" in files:
            return _refusal_in(files["refusal.json"])
        if "card.json" not in files:
            return None
        card = read_card(files.pop("card.json"))
        bundle = parse_json(files.pop("bundle.json").read_bytes()) if "bundle.json" in files else {}
        words = log.read_bytes()[-LONGEST:].decode(errors="replace") if log else ""
        return EvaluationEnd(_outcome(card, bundle, words), files)
    except (ConfigError, ValueError, OSError) as error:
        LOGGER.error("an evaluation left what cannot be read: %s", error)
        return None


def crash_of(status: int) -> EvaluationEnd | None:
    """The verdict on an evaluation that left none: a bundle that crashes the program would crash it again.

    Args:
        status: its exit status, negative for a signal.

    Returns:
        a refusal where a crash of native code ended it, or where it ended well and left what cannot be read; None where
        it was killed from outside or said itself that something is wrong with this machine.
    """
    if -status in CRASHES:
        said = f"its evaluation crashed ({signal.Signals(-status).name}); export the model anew, or with plainer parts"
        return EvaluationEnd(Refusal("failed", "crashed", said), {})
    if status == 0:
        return EvaluationEnd(
            Refusal("failed", "unreadable", "its evaluation left a score card that cannot be read"), {}
        )
    return None


def _outcome(card: ScoreCard, bundle: Any, log: str) -> Outcome:
    bundle = bundle if isinstance(bundle, dict) else {}
    form = bundle.get("form")
    return Outcome(
        name=card.model,
        form=form if isinstance(form, str) else "native",
        judge=card.judge_hash,
        source=card.source,
        fingerprint=card.fingerprint,
        tier=card.sandbox,
        card=card.model_dump_json(),
        bundle=json.dumps(bundle),
        files={},
        log=log,
    )


def _plain_files(folder: Path) -> Iterator[tuple[str, Path]]:
    for path in folder.iterdir():
        found = path.lstat()
        if NAME.fullmatch(path.name) and stat.S_ISREG(found.st_mode) and found.st_size <= LARGEST:
            yield path.name, path
