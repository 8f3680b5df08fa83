"""The claims ledger: made of results alone, complete, and as the script makes it."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

from claims import DOCS, README, page, picture, results, shipped, with_front

FOUND = {
    "title": "Sizes",
    "command": "arena study sizes",
    "machine": "two cores",
    "verdicts": [
        {"claim": "mse[a] < mse[b]", "word": "undecided", "effects": ["mse[a] - mse[b] = -1 [-3, 1]"], "beside": ""}
    ],
    "arms": [{"arm": "a", "seeds": [0, 1]}, {"arm": "b", "seeds": [0, 1, 2]}, {"arm": "c", "seeds": [0]}],
}


def test_the_page_is_what_the_script_makes_of_the_results() -> None:
    assert (DOCS / "claims.md").read_text() == page(results(DOCS / "studies"), shipped())


def test_the_readme_shows_what_the_script_makes_of_the_results() -> None:
    readme = README.read_text()
    assert with_front(readme, results(DOCS / "studies")) == readme


def test_the_picture_has_a_dot_for_each_training() -> None:
    found = results(DOCS / "studies")
    panel = picture({"sizes": found["sizes"]}).axes[0]
    arms = [arm["figures"]["frechet"]["values"] for arm in found["sizes"]["arms"]]
    assert [line.get_xdata().tolist() for line in panel.lines[::2]] == arms


def test_every_claim_of_every_shipped_study_stands_on_it() -> None:
    text = page(results(DOCS / "studies"), shipped())
    for name, study in shipped().items():
        lines = [line for line in text.splitlines() if f"`arena study {name}" in line]
        assert all(any(f"`{claim}`" in line for line in lines) for claim in study["claims"]), name


def test_a_verdict_comes_from_results_alone(tmp_path: Path) -> None:
    (tmp_path / "sizes.json").write_text(json.dumps(FOUND))
    study = {"title": "Other", "claims": ["mse[a] < mse[b]"], "origin": "Somebody", "quick": 0.2}
    decided, waiting = page(results(tmp_path), {"sizes": study, "other": study}).split("## Not yet run")
    row = "| `mse[a] < mse[b]` | Somebody | **undecided** | mse[a] - mse[b] = -1 [-3, 1] | 2 to 3 |"
    assert row in decided
    assert "holds" not in waiting
    assert "| Other | `mse[a] < mse[b]` | Somebody | `arena study other` | `--budget 0.2` |" in waiting
    assert "arena study sizes" not in waiting
