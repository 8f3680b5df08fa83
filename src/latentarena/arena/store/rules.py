"""The contest in force: its file, the judge that was adopted, and its secret key."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from latentarena.arena.store.database import StorePart
from latentarena.arena.store.models import ContestRow, KeyRow
from latentarena.arena.store.rows import bump, latest_contest, note
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

    def key(self, contest: str, now: datetime) -> Key:
        """The key in force of the contest of this name, made when it is first asked for."""
        with self._database.reading() as session:
            known = _latest_key(session, contest)
        return self.new_key(contest, now, unless=True) if known is None else known

    def new_key(self, contest: str, now: datetime, unless: bool = False) -> Key:
        """Make a key, in force from now on; or, with `unless`, give the one that there is."""
        with self._database.writing() as session:
            known = _latest_key(session, contest) if unless else None
            if known is not None:
                return known
            key = Key.new()
            session.add(KeyRow(commitment=key.commitment, contest=contest, content=key.text, since=now))
            note(session, now, "site", "new key", contest, key.commitment)
            bump(session)
        return key


def _latest_key(session: Session, contest: str) -> Key | None:
    query = select(KeyRow.content).where(KeyRow.contest == contest).order_by(KeyRow.since.desc()).limit(1)
    content = session.scalar(query)
    return None if content is None else Key.parse(content)


def _judge_in(content: str) -> Any:
    return json.loads(content).get("judge")
