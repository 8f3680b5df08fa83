"""Erasing an entry: database and object store together."""

from __future__ import annotations

from datetime import UTC, datetime

from latentarena.arena.objects import Objects
from latentarena.arena.store import Store


def erase_entry(store: Store, objects: Objects, submission: str, actor: str) -> list[str]:
    """Forget a submission and its files, but for those that another one has too; the hashes of what is gone.

    Raises:
        NotThere: there is none.
    """
    files = store.submissions.erase(submission, actor, datetime.now(UTC))
    return [one for one in files if store.references.discard(one, objects.remove)]
