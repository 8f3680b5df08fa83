"""A forged model from its files to the refusal, as a contest meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from boxes import BOXED
from latentarena.arena.contest_files import load_contest
from latentarena.bundle import export_modules
from latentarena.card.finding import Finding
from latentarena.card.words import check_words
from latentarena.contest.entries import entry_of, refusal
from latentarena.data.digits import embedded_digits
from latentarena.errors import GateError
from latentarena.evaluate.evaluate import evaluate, main
from latentarena.judge.checks import PRIOR
from latentarena.judge.classifier import Judge
from latentarena.randomness import stream
from score_cards import made_card

DIMENSIONS = 24


class Linear(nn.Module):
    """Principal components of the train split and back: an honest autoencoder."""

    def __init__(self, back: bool) -> None:
        super().__init__()
        train = embedded_digits().train.batch(slice(None)).flatten(1)
        values, vectors = torch.linalg.eigh(train.T.cov())
        self.back = back
        self.mean = nn.Parameter(train.mean(0), requires_grad=False)
        self.scale = nn.Parameter(values[-DIMENSIONS:].sqrt(), requires_grad=False)
        self.directions = nn.Parameter(vectors[:, -DIMENSIONS:].contiguous(), requires_grad=False)

    def forward(self, rows: Tensor) -> Tensor:
        if self.back:
            return ((rows * self.scale) @ self.directions.T + self.mean).clamp(0, 1).view(-1, 1, 28, 28)
        return (rows.flatten(1) - self.mean) @ self.directions / self.scale


class Table(nn.Module):
    """No generator at all: the test image whose random centre is nearest to the noise."""

    def __init__(self) -> None:
        super().__init__()
        test = embedded_digits().test.batch(slice(None))
        self.images = nn.Parameter(test.flatten(1).contiguous(), requires_grad=False)
        centres = torch.randn(len(test), DIMENSIONS, generator=stream("centres"))
        self.centres = nn.Parameter(torch.nn.functional.normalize(centres), requires_grad=False)

    def forward(self, noise: Tensor) -> Tensor:
        return self.images[(noise @ self.centres.T).argmax(1)].view(-1, 1, 28, 28)


@pytest.fixture(scope="module")
def forged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forged") / "bundle"
    shapes = {"image_shape": (1, 28, 28), "latent_shape": (DIMENSIONS,), "noise_shape": (DIMENSIONS,)}
    export_modules(
        folder,
        "forged",
        Linear(back=False),
        Linear(back=True),
        Table(),
        classes=tuple("0123456789"),
        dataset="digits",
        **shapes,  # type: ignore[arg-type]
    )
    return folder


@BOXED
def test_a_table_of_test_images_is_refused_with_the_reason(forged: Path, digits_judge: Judge, tmp_path: Path) -> None:
    with pytest.raises(GateError, match=r"'forged': .*(a table of images|stored in the model)") as refused:
        evaluate(forged, samples=1000, timed=False)
    assert refused.value.reason == "forged"
    assert main([str(forged), "--out", str(tmp_path), "--samples", "1000"]) == 0
    said = json.loads((tmp_path / "refusal.json").read_text())
    assert (said["state"], said["reason"]) == ("refused", "forged")
    assert not (tmp_path / "card.json").exists()


SUSPECT = Finding(
    name="small changes of the noise",
    value=0.4,
    limit=0.05,
    verdict="unranked",
    sentence="on 13 of 32 walks through the noise the image jumps",
)
WITHHELD = Finding(
    name="one decoder", value=1, limit=0.05, verdict="noted", sentence="the decoded image jumps", withheld=PRIOR
)


def test_a_suspicion_keeps_an_entry_from_being_ranked_and_says_why() -> None:
    rules = load_contest("open")
    entry = entry_of(made_card("suspect", checks=(SUSPECT,)), rules, "1", "Ada", verified=True)
    assert refusal(entry, rules) == f"{SUSPECT.name}: {SUSPECT.sentence}"
    assert refusal(entry_of(made_card("honest"), rules, "2", "Bob", verified=True), rules) == ""


def test_distances_of_the_prior_are_withheld_from_ranks_rules_and_points() -> None:
    rules = load_contest("open")
    kept, card = made_card("kept", prior_frechet=0.1), made_card("withheld", prior_frechet=0.1, checks=(WITHHELD,))
    entry = entry_of(card, rules, "1", "Ada", verified=True)
    assert "prior_frechet" in entry.figures  # it is shown
    assert "prior_frechet" not in entry.counted
    assert "prior_frechet" not in entry.facts
    assert "prior_frechet" in entry_of(kept, rules, "2", "Bob").counted
    assert card.points["consistency"] == kept.points["consistency"]  # a figure without a floor is worth nothing either


def test_what_checks_came_to_is_said_in_words() -> None:
    said, lines = check_words(made_card("suspect", checks=(SUSPECT, WITHHELD)))
    assert said.startswith("0 of 2 checks")
    assert lines[0] == f"cannot be ranked, {SUSPECT.name}: {SUSPECT.sentence}"
    assert "not ranked: prior: confidence" in lines[1]


def test_checks_of_few_samples_say_that_a_full_check_decides() -> None:
    clear = WITHHELD.model_copy(update={"verdict": "clear", "withheld": ()})
    made = "2 of 2 checks for tables and memories of images are clear"
    assert check_words(made_card("whole", checks=(clear, clear)))[0] == f"{made}."
    assert check_words(made_card("first look", checks=(clear, clear), samples=1000))[0] == (
        f"{made} on 1,000 of 10,000 samples, which do not show what only more of them do: a full arena check decides."
    )
