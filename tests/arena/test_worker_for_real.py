"""From an upload to the board with nothing stood in for: a worker, its evaluation with torch, gates and judge."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

from arena_parts import Parts, now
from latentarena.arena.client import pack
from latentarena.arena.contest_files import load_contest
from latentarena.arena.evaluation import EVALUATE
from latentarena.bundle import OWN, open_bundle
from latentarena.card.score_card import ScoreCard
from latentarena.contest.contest import Contest, Quotas
from latentarena.contest.entries import entry_of
from latentarena.contest.making import make_board
from latentarena.judge.classifier import Judge


def test_a_bundle_that_is_handed_in_comes_to_stand_on_the_board(
    tiny_run: Path, digits_judge: Judge, tmp_path: Path
) -> None:
    contest = Contest.model_validate(load_contest("open").model_dump() | {"name": "digits", "dataset": "digits"})
    with closing(Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path, lease=5)) as parts:
        parts.store.rules.put("digits", contest.model_dump_json(), now())
        team = parts.team()
        contents = [pack(tiny_run / "bundle"), b"PK\x03\x04 and then nothing of a zip"]
        ids = [
            parts.store.submissions.add(team, parts.objects.put(one), len(one), "official", Quotas(), now())[0].id
            for one in contents
        ]
        assert parts.worker(once=True, patience=280, program=EVALUATE).wait(290) == 0, (
            parts.folder / "log"
        ).read_text()
        good, bad = (parts.store.submissions.one(id_) for id_ in ids)
        assert (good.state, good.form, good.sentence) == ("scored", "native", "")
        assert (bad.state, parts.store.cards.of(bad.id)) == ("refused", [])
        assert bad.reason.startswith("zip")
        assert [line.split()[0] for line in good.log.splitlines()] == ["files", "card", "tensors", "judge", "scored"]
        [(_, evaluation, _)] = parts.store.rejudging.state().entries
        card = ScoreCard.model_validate_json(evaluation.card)
        assert (card.bundle, card.judge_hash) == (
            open_bundle(tiny_run / "bundle", trust=OWN).digest,
            digits_judge.digest,
        )
        assert {"samples.png", "reconstructions.png", "card.html"} <= set(evaluation.files)
        assert all(parts.objects.read(one) for one in evaluation.files.values())
        bundle = json.loads(evaluation.bundle)
        entry = entry_of(card, contest, good.id, good.team.name, bundle=bundle, form=good.form, verified=True)
        [line] = make_board([entry], contest).lines
        assert (line.id, line.place, line.verified) == (good.id, 1, True)
