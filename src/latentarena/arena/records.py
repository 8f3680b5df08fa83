"""What the store hands out: plain records. Only `TeamDetails` holds private names; only organisers' methods give it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

Role = Literal["team", "organiser"]
State = Literal["queued", "running", "scored", "refused", "failed", "quarantined"]


@dataclass(frozen=True)
class Team:
    """A team as anybody may see it."""

    id: str
    name: str


@dataclass(frozen=True)
class TeamDetails:
    """A team as organisers see it."""

    id: str
    name: str
    members: tuple[str, ...]
    created: datetime
    submissions: int


@dataclass(frozen=True)
class TokenHolder:
    """Who a secret belongs to; `token` is its hash, and `session` says that it was opened by a token."""

    role: Role
    team: Team | None
    token: str
    label: str
    session: bool = False


@dataclass(frozen=True)
class Submission:
    """A bundle that was handed in.

    Attributes:
        digest, size: of the bytes that were received; they lie in the object store under this hash.
        name, form: of the model; empty before it was read.
        state: queued, running, scored, refused (its own fault: a gate, a rule or a limit), failed (ours), quarantined
            (its evaluation died again and again).
        reason, sentence, log: why not scored: a stable word, a line for its owner, and what it printed.
        public: whether anybody may download it; chosen: by its team, to stand on the board.
        ahead: jobs that will be claimed before its own; None unless it waits.
    """

    id: str
    team: Team
    received: datetime
    digest: str
    size: int
    name: str
    form: str
    state: State
    reason: str
    sentence: str
    log: str
    public: bool
    chosen: bool
    ahead: int | None = None


@dataclass(frozen=True)
class Evaluation:
    """A score card of a submission, as it was written.

    Attributes:
        card, bundle: the score card and the bundle's own card, JSON text.
        files: object hashes by file name, such as `samples.png`.
        current: whether the board shows it; an older one stays for comparison.
        proposed: whether it waits for an organiser to adopt it.
    """

    id: str
    submission: str
    judge: str
    source: str
    fingerprint: str
    tier: str
    card: str
    bundle: str
    files: dict[str, str]
    started: datetime
    finished: datetime
    current: bool
    proposed: bool = False


@dataclass(frozen=True)
class Listed:
    """A scored entry as a board lists it: the submission, and the evaluation that is current; `files` is JSON text."""

    id: str
    team: str
    name: str
    form: str
    received: datetime
    chosen: bool
    evaluation: str
    files: str


@dataclass(frozen=True)
class Job:
    """A lease on an evaluation or on a repeated training (`kind`): good until `leased_until`; `fence` is the proof."""

    id: str
    submission: Submission
    judge: str
    owner: str
    fence: int
    deaths: int
    leased_until: datetime
    kind: Literal["evaluate", "retrain"] = "evaluate"


@dataclass(frozen=True)
class Outcome:
    """An evaluation that came to a score card; see `Evaluation`."""

    name: str
    form: str
    judge: str
    source: str
    fingerprint: str
    tier: str
    card: str
    bundle: str
    files: dict[str, str]
    log: str = ""


@dataclass(frozen=True)
class Trained:
    """A training that was repeated: its certificate as JSON."""

    content: str


@dataclass(frozen=True)
class Refusal:
    """An evaluation that came to none: `refused` where the bundle is at fault, `failed` where that cannot be said."""

    state: Literal["refused", "failed"]
    reason: str
    sentence: str
    log: str = ""
    name: str = ""
    form: str = ""


@dataclass(frozen=True)
class Audited:
    """What was done by whom."""

    at: datetime
    actor: str
    action: str
    subject: str
    detail: Any
