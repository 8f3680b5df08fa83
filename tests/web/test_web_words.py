"""Rules in words, rate limits, sparklines and zips: what the site makes of text and numbers."""

from __future__ import annotations

import subprocess
import sys
import xml.etree.ElementTree as ET
import zipfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentarena.arena.client import pack
from latentarena.arena.contest_files import load_contest
from latentarena.errors import BundleError
from latentarena.evaluate.contests import contest_names
from latentarena.web.limits import Limiter, Rate
from latentarena.web.problems import Problem
from latentarena.web.rules import rules_of
from latentarena.web.sparkline import sparkline


@pytest.mark.parametrize("name", contest_names())
def test_the_rules_say_every_number_of_the_contest(name: str) -> None:
    contest = load_contest(name)
    words = " ".join(line for lines in rules_of(contest).values() for line in lines)
    for category in contest.categories:
        assert category.label in words
    for award in contest.awards:
        assert award.name in words
    assert f"{contest.latent.smallest} to {contest.latent.largest}" in words
    assert str(contest.quotas.per_day or "") in words


def test_a_rate_is_kept_over_time_and_refills() -> None:
    now = 0.0
    limiter, rate, allowed = Limiter(lambda: now), Rate(10, 60), 0
    for second in range(120):
        now = float(second)
        with suppress(Problem):
            limiter.check("logins", "a", rate)
            limiter.spend("logins", "a", rate)
            allowed += 1
    for _ in range(10):
        limiter.spend("logins", "c", rate)
    with pytest.raises(Problem, match="try again in 6 s") as refused:
        limiter.check("logins", "c", rate)
    assert refused.value.status_code == 429
    assert refused.value.headers == {"Retry-After": "6"}
    assert 10 + 120 * rate.burst / rate.seconds - 2 <= allowed <= 10 + 120 * rate.burst / rate.seconds
    limiter.check("logins", "b", rate)


@given(st.lists(st.floats(-1e9, 1e9), min_size=1, max_size=30), st.text(max_size=20).filter(lambda t: t.isprintable()))
@settings(max_examples=50, deadline=None)
def test_a_sparkline_is_well_formed_within_its_box_and_never_markup(values: list[float], what: str) -> None:
    root = ET.fromstring(sparkline(values, what))
    assert root.attrib["aria-label"] == what
    points = [tuple(map(float, pair.split(","))) for pair in root[0].attrib["points"].split()]
    assert len(points) == len(values)
    assert all(0 <= x <= 96 and 0 <= y <= 24 for x, y in points)
    assert min(points, key=lambda p: p[1])[1] == points[values.index(max(values))][1]


def test_equal_folders_pack_to_equal_bytes(tmp_path: Path) -> None:
    for name, order in (("a", ("card.json", "weights.safetensors")), ("b", ("weights.safetensors", "card.json"))):
        (tmp_path / name).mkdir()
        for file in order:
            (tmp_path / name / file).write_bytes(file.encode() * 100)
    (tmp_path / "b" / ".hidden").write_text("no part of a bundle")
    packed = pack(tmp_path / "a")
    assert packed == pack(tmp_path / "b")
    (tmp_path / "a.zip").write_bytes(packed)
    assert pack(tmp_path / "a.zip") == packed
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        assert archive.namelist() == ["card.json", "weights.safetensors"]
    (tmp_path / "empty").mkdir()
    for wrong in ("empty", "absent"):
        with pytest.raises(BundleError, match=wrong):
            pack(tmp_path / wrong)


def test_the_site_needs_no_torch() -> None:
    code = "import sys, latentarena.web.serve, latentarena.arena.client; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"torch", "lightning_fabric", "onnx", "onnxruntime", "matplotlib", "sklearn"}.isdisjoint(done.stdout.split())
