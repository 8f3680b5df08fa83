"""The error tree. Every message is one line that names the thing, the value and the way out.

ArenaError              anything this package refuses or gives up on
├── ConfigError         a recipe or an option: unknown key, bad value, impossible combination
├── DataError           a dataset: corrupt, truncated, mixed
│   └── DataMissing     a dataset that was not found and could not be downloaded
├── CheckpointError     a checkpoint that cannot be read or does not fit
├── TrainingError       training that cannot go on, such as a loss that is not finite
├── BundleError         a bundle: missing, extra or wrong-shape tensors, unreadable card
│   ├── GateError       a file that a gate refuses, with a stable reason such as `zip-bomb`
│   └── SandboxError    a program in a box: refused, too slow, too big, dead, or no sandbox good enough for it
├── JudgeError          a judge that fails its self-test, a card that cannot be verified
│   └── ModelError      a model whose images or latents cannot be judged
├── StoreError          a contest's database or files
│   ├── StoreBusy       it does not answer in time; the same request may succeed later
│   ├── StorageFull     there is no room left; what was there is kept
│   ├── NotThere        no such team, submission or object
│   ├── QuotaReached    a team has handed in as much as it may
│   └── OutOfTime       the contest is not open yet, or has closed
├── OutputError         a file that cannot be written
└── Interrupted         Ctrl-C or another signal that asks to stop
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


class ArenaError(Exception):
    """Anything this package refuses or gives up on; `exit_code` is what the command line returns."""

    exit_code = 1


class ConfigError(ArenaError):
    """A recipe or an option with an unknown key, a bad value or an impossible combination."""

    exit_code = 2


class DataError(ArenaError):
    """A dataset that is corrupt, truncated, empty or mixed."""


class DataMissing(DataError):  # noqa: N818 - it says what is the case
    """A dataset that was not found and could not be downloaded."""


class CheckpointError(ArenaError):
    """A checkpoint that cannot be read or belongs to another run."""


class TrainingError(ArenaError):
    """Training that cannot go on; the last good state is kept."""


class BundleError(ArenaError):
    """A bundle that does not describe a model."""


class GateError(BundleError):
    """A file of a bundle that a gate refuses.

    Attributes:
        reason: a stable slug for programs and statistics, such as `zip-bomb`; the message is for people.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class SandboxError(BundleError):
    """A program in a box that was refused or failed.

    `reason` is a short stable word: `no-sandbox`, `start`, `machine`, `timeout`, `memory`, `died`, `nonsense`,
    `not-finite`, `output`, `failed`, or what the program in the box named (such as `external-data`). `log` is the end
    of what it printed: not trusted.
    """

    def __init__(self, reason: str, message: str, log: str = "") -> None:
        super().__init__(message)
        self.reason, self.log = reason, log


class JudgeError(ArenaError):
    """A judge that fails its self-test."""


class StoreError(ArenaError):
    """A contest's database or files that do not do what is asked of them."""


class StoreBusy(StoreError):  # noqa: N818 - it says what is the case
    """The database does not answer in time; the same request may succeed later."""


class StorageFull(StoreError):  # noqa: N818 - it says what is the case
    """There is no room left; what was there is kept."""


class NotThere(StoreError):  # noqa: N818 - it says what is the case
    """No such team, submission or object."""


class QuotaReached(StoreError):  # noqa: N818 - it says what is the case
    """A team has handed in as much as it may."""


class OutOfTime(StoreError):  # noqa: N818 - it says what is the case
    """The contest is not open yet, or has closed."""


class ModelError(JudgeError):
    """A model whose images or latents are of the wrong shape, not finite or out of range."""


class OutputError(ArenaError):
    """A file that cannot be written."""


class Interrupted(ArenaError):  # noqa: N818 - not a fault
    """Ctrl-C, or another signal that asks to stop: what can be saved was saved first.

    Attributes:
        number: the signal's, from which the exit status follows, as shells report a signal.
    """

    exit_code = 130

    def __init__(self, message: str, number: int = 2) -> None:
        super().__init__(message)
        self.number, self.exit_code = number, 128 + number


@contextmanager
def optional(extra: str, what: str, refusal: type[ArenaError] = ConfigError) -> Iterator[None]:
    """Imports of one of the package's extras, for `what`.

    Raises:
        ArenaError: of the given class; it is not installed, and the command that installs it is named.
    """
    try:
        yield
    except ImportError as error:
        raise refusal(f"{what} needs {error.name}: pip install 'latentarena[{extra}]'") from None
