"""The contest in force: its file, the judge that was adopted, and its secret key."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import ContestRow, KeyRow
from latentarena.arena.store.rows import bump, latest_contest, note
from latentarena.contest.contest import Contest
from latentarena.key import Key


class Rules(StorePart):
    """Contest files, judges and keys; of each the latest is in force."""

    def put(self, name: str, content: str, now: datetime) -> None:
        """Note the contest file that is in force from now on, if it is another than before.

        A judge that was adopted stays, unless the file now names another one than it did.
        """
        digest = hashlib.sha256(content.encode()).hexdigest()
        with self._database.writing() as session:
            latest = latest_contest(session)
            if latest is None or latest.digest != digest:
                same = latest is not None and _judge_in(latest.content) == _judge_in(content)
                judge = latest.judge if latest is not None and same else None
                session.merge(ContestRow(digest=digest, name=name, content=content, since=now, judge=judge))
                note(session, now, "site", "contest", name, digest)
                bump(session)

    def contest(self) -> str | None:
        """The contest file in force, as JSON; None before the first."""
        with self._database.reading() as session:
            latest = latest_contest(session)
            return None if latest is None else latest.content

    def judge(self) -> str | None:
        """The judge that an organiser has adopted in place of the contest file's; None where nobody did."""
        with self._database.reading() as session:
            return session.scalars(select(ContestRow.judge).order_by(ContestRow.since.desc()).limit(1)).first()

    def key(self, contest: Contest, now: datetime) -> Key:
        """The key in force, made when it is first asked for; as long as the contest is open, one that nobody has seen.

        A contest that has closed may be open again, by other rules or by a clock that was set back: its key, which
        everybody may have seen by then, is followed by another.
        """
        with self._database.reading() as session:
            known = _latest_key(session, contest.name)
        if known is not None and (known.shown is not None) == contest.closed(now):
            return Key.parse(known.content)
        with self._database.writing() as session:
            known = _latest_key(session, contest.name)  # by now perhaps another's
            if known is None or (known.shown is not None and not contest.closed(now)):
                known = _new_key(session, contest.name, now, known)
            if contest.closed(now) and known.shown is None:
                known.shown = now
                note(session, now, "site", "key shown", contest.name, known.commitment)
            return Key.parse(known.content)


def _new_key(session: Session, contest: str, now: datetime, before: KeyRow | None) -> KeyRow:
    key = Key.new()
    since = now if before is None else max(now, before.since + timedelta(microseconds=1))
    row = KeyRow(commitment=key.commitment, contest=contest, content=key.text, since=since)
    session.add(row)
    note(session, now, "site", "new key", contest, key.commitment)
    bump(session)
    return row


def _latest_key(session: Session, contest: str) -> KeyRow | None:
    return session.scalar(select(KeyRow).where(KeyRow.contest == contest).order_by(KeyRow.since.desc()).limit(1))


def _judge_in(content: str) -> Any:
    return json.loads(content).get("judge")
