"""A part is added by touching the files that CONTRIBUTING names, and no others: tried on a copy of the package."""

from __future__ import annotations

import copy
import json
import math
import re
from pathlib import Path

import httpx
import pytest

from arena_parts import Parts
from arena_site import running
from command import TINY
from copied import Copied, files_of
from latentarena.data.digits import embedded_digits
from latentarena.judge.known import real_index
from score_cards import made_card
from stored_entries import add_entry, keep_one

RALSTON = '''
def ralston(path: Path, denoise: Denoiser, labels: Tensor | None) -> Jump:
    """Ralston's method: second order, two evaluations a step."""
    velocity = _velocity(path, denoise, labels)

    def jump(x: Tensor, t: Tensor, s: Tensor) -> Tensor:
        here = velocity(x, t)
        there = velocity(x + 2 / 3 * (s - t) * here, t + 2 / 3 * (s - t))
        return x + (s - t) * (here + 3 * there) / 4

    return jump


def rk4('''

POOLED = '''"""Means of squares of pixels as latents, and a linear map back."""

from __future__ import annotations

from math import prod
from typing import Literal

from torch import Tensor, nn

from latentarena.autoencoder.base import Autoencoder, Posterior
from latentarena.config import Config


class PooledConfig(Config):
    """A pooled autoencoder.

    Attributes:
        latent: `[d]`, a square number.
    """

    kind: Literal["pooled"] = "pooled"
    latent: tuple[int] = (16,)
    deterministic: bool = True

    def build(self, shape: tuple[int, int, int]) -> Pooled:
        """For images of this shape."""
        return Pooled(shape, self)


class Pooled(Autoencoder):
    """Encoder without parameters but a scale, linear decoder."""

    encoding = ("scale",)

    def __init__(self, shape: tuple[int, int, int], config: PooledConfig) -> None:
        super().__init__()
        self.shape, self.latent_shape = shape, config.latent
        side = round(config.latent[0] ** 0.5)
        self.pool, self.scale = nn.AdaptiveAvgPool2d(side), nn.Linear(1, 1)
        self.out = nn.Linear(config.latent[0], prod(shape))

    def encode(self, images: Tensor) -> Posterior:
        pooled = self.pool(images).mean(1).flatten(1)
        return Posterior.certain(self.scale(pooled.unsqueeze(2)).squeeze(2))

    def decode(self, latents: Tensor) -> Tensor:
        return self.out(latents).sigmoid().unflatten(1, self.shape)
'''

INK = '''"""How bright images are."""

from __future__ import annotations

from latentarena.judge.material import Samples
from latentarena.judge.metrics.estimate import Measures, mean_of


def of_samples(samples: Samples) -> Measures:
    """Mean of all pixels."""
    return {"ink": mean_of(samples.images.double().flatten(1).mean(1))}
'''

INK_BOARD = """
name: thrift
title: Least ink
dataset: digits
self_reported: true
categories:
  - {name: ink, title: Frugality, metrics: [ink]}
  - {name: quality, title: Quality, metrics: [frechet]}
"""


LEAN = '''"""Entries by how little they compute."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from latentarena.web.rendering import page
from latentarena.web.routing import MenuLink, Part, Role, for_role
from latentarena.web.services import Shared

router = Part(MenuLink("/lean", "Leanest"))


@router.get("/lean")
@for_role(Role.PUBLIC)
async def lean(request: Request, site: Shared) -> Response:
    board = (await site.boards.get()).board
    return page(request, "lean.html", lines=sorted(board.lines, key=lambda line: line.cells["operations"].figure.value))
'''

LEAN_PAGE = """{% extends "frame.html" %}
{% block title %}Leanest{% endblock %}
{% block main %}
<h1>Leanest first</h1>
<ol>{% for line in lines %}<li>{{ line.team }}</li>{% endfor %}</ol>
{% endblock %}
"""

ERRORS = """
import sys
from pathlib import Path
from latentarena.bundle import OWN, native_of, open_bundle
from latentarena.model.config import SamplingConfig
from latentarena.modes import evaluated
import torch
model = native_of(open_bundle(Path(sys.argv[1]), trust=OWN)).model
noise = torch.randn(16, *model.noise_shape, generator=torch.Generator().manual_seed(0))
def drawn(solver, steps):
    return model.generate(noise, None, SamplingConfig(solver=solver, steps=steps)).double()
with evaluated(model), torch.no_grad():
    exact = drawn("rk4", 200)
    print(*(float((drawn("ralston", steps) - exact).abs().mean()) for steps in (16, 32)))
"""


@pytest.fixture
def copied(tmp_path: Path) -> Copied:
    return Copied(tmp_path)


def test_a_solver(copied: Copied, tiny_run: Path, tmp_path: Path) -> None:
    """Ralston's method: it draws from a bundle, converges with order 2 and is exported."""
    solver = "sample/solver.py"
    copied.change(solver, "\ndef rk4(", RALSTON)
    copied.change(solver, "    rk4=_fixed(rk4, 4, 4),\n", "    rk4=_fixed(rk4, 4, 4), ralston=_fixed(ralston, 2, 2),\n")
    assert copied.touched == files_of("A solver")

    few, many = map(float, copied.python(ERRORS, tiny_run / "bundle").split())
    assert math.log2(few / many) > 1.6
    how = [*TINY, "sampling.solver=ralston"]
    train = ("train", "quickstart-digits", *how, "--out", tmp_path / "run", "--no-judge")
    export = ("export", tmp_path / "run" / "bundle", "--out", tmp_path / "portable")
    assert "unrolling ralston x 2" in copied.commands(train, export)


def test_an_autoencoder(copied: Copied, tmp_path: Path) -> None:
    """An autoencoder of mean pixels: trained by a recipe, judged, its encoder's two numbers counted as such."""
    union = "autoencoder/__init__.py"
    known = "import MLPVAE, MLPVAEConfig\n"
    copied.write("autoencoder/pooled.py", POOLED)
    copied.change(union, known, f"{known}from latentarena.autoencoder.pooled import PooledConfig\n")
    copied.change(union, "MLPVAEConfig | IdentityConfig", "MLPVAEConfig | PooledConfig | IdentityConfig")
    assert copied.touched == files_of("An autoencoder")
    how = ["autoencoder={kind: pooled, latent: [16]}", *TINY[2:], "training.autoencoder.beta=0"]
    copied.arena("train", "quickstart-digits", *how, "--out", tmp_path / "run", "--samples", 100)
    card = json.loads((tmp_path / "run" / "score.json").read_text())
    assert card["parameters"]["encoder"] == 2
    assert card["scores"]["mse"]["value"] < 0.3


def test_a_metric(copied: Copied, tiny_run: Path, tmp_path: Path) -> None:
    """Mean brightness: measured on samples and on real images, said on the card, ranked as a category of a contest."""
    catalogue = "card/catalogue.py"
    copied.write("judge/metrics/ink.py", INK)
    line = '    "ink": quality("ink on paper", LOWER, "mean brightness of a pixel", largest=1, margin=NEARLY),\n'
    known = '    "sample_sharpness": quality('
    copied.change(catalogue, known, f"{line}{known}")
    assert copied.touched == files_of("A metric")
    assert len(copied.touched) <= 2

    entry = tmp_path / "in" / "tiny"
    how = ["--samples", 100, "--untimed", "--json", entry / "score.json", "--html", tmp_path / "card.html"]
    printed = copied.arena("judge", "bundle", tiny_run / "bundle", *how)
    card = json.loads((entry / "score.json").read_text())
    found, data = card["scores"]["ink"], embedded_digits()
    assert found["low"] < found["value"] < found["high"]
    real = data.test.batch(real_index(data, 100)).double().mean()
    assert found["real"]["value"] == pytest.approx(float(real), rel=1e-6)
    for text in (printed, (tmp_path / "card.html").read_text()):
        assert "ink on paper" in text
    assert "mean brightness of a pixel" in (tmp_path / "card.html").read_text()

    paler = copy.deepcopy(card) | {"model": "paler"}
    paler["scores"]["ink"] |= {name: found[name] / 4 for name in ("value", "low", "high")}
    (tmp_path / "in" / "paler").mkdir()
    (tmp_path / "in" / "paler" / "score.json").write_text(json.dumps(paler))
    (tmp_path / "thrift.yaml").write_text(INK_BOARD)
    copied.arena("board", "build", tmp_path / "in", "--contest", tmp_path / "thrift.yaml", "--out", tmp_path / "site")
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert {line["team"]: line["categories"]["ink"] for line in board["lines"]} == {"paler": 1, "tiny": 2}
    assert "Frugality" in (tmp_path / "site" / "index.html").read_text()


def test_a_page(copied: Copied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The ranked teams, the leanest first, served with its link in everybody's menu."""
    copied.write("web/lean.py", LEAN)
    copied.write("web/templates/lean.html", LEAN_PAGE)
    copied.change("web/app.py", "    entries,\n    organiser,\n", "    entries,\n    lean,\n    organiser,\n")
    copied.change("web/app.py", "        entries,\n        site,\n", "        entries,\n        lean,\n        site,\n")
    assert copied.touched == files_of("A page")
    assert len(copied.touched) <= 3

    parts = Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)
    with parts.database.writing() as session:
        for i in range(5):
            add_entry(session, i)
    keep_one(parts)
    parts.close()
    monkeypatch.setenv("PYTHONPATH", str(copied.home.parent))
    with running(tmp_path) as site:
        public, organiser = site.browser(), site.browser(site.organiser)
        board = httpx.get(f"{site.url}/api/v1/board").json()
        lean = sorted(board["lines"], key=lambda line: line["cells"]["operations"]["figure"]["value"])
        text = public.get("/lean").text
        assert re.findall("<li>(.*?)</li>", text) == [line["team"] for line in lean]
        assert len(lean) == 5
        assert "<title>Leanest · Latent Arena open board</title>" in text
        assert '<a href="/lean" aria-current="page">Leanest</a>' in text
        for browser in (public, organiser):
            menu = re.findall(r'<a href="[^"]*"[^>]*>([^<]*)</a>', browser.get("/").text.partition("</nav>")[0])
            assert menu[:3] == ["Board", "Compare", "Leanest"]


def test_the_layout_of_the_score_card(
    copied: Copied, tiny_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A column more, of the metrics' names: it stands on the page of a card, on a server and on a static site."""
    words, macros = "card/words.py", "card/templates/score_card.html"
    last, row = '    over_trainings: str = ""\n', "metric.title, metric.what, metric.better, metric.decimals, margin)"
    copied.change(words, last, f'{last}    name: str = ""\n')
    copied.change(words, f"return _worded(score, {row}", f"return replace(_worded(score, {row}, name=name)")
    head = '<thead><tr><th scope="col" class="text">metric</th>'
    copied.change(macros, head, f'{head}<th scope="col">name</th>')
    copied.change(
        macros, '<td class="value">{{ row.value }}', '<td>{{ row.name }}</td><td class="value">{{ row.value }}'
    )
    assert copied.touched == files_of("The score card's layout")

    (tmp_path / "in" / "one").mkdir(parents=True)
    (tmp_path / "in" / "one" / "score.json").write_text(made_card("one").model_dump_json())
    how = ("--samples", 100, "--untimed", "--html", tmp_path / "card.html")
    build = ("board", "build", tmp_path / "in", "--out", tmp_path / "site")
    copied.commands(("judge", "bundle", tiny_run / "bundle", *how), build)
    parts = Parts(f"sqlite:///{tmp_path / 'arena.db'}", tmp_path)
    with parts.database.writing() as session:
        entry = add_entry(session, 0)
    keep_one(parts)
    parts.close()
    monkeypatch.setenv("PYTHONPATH", str(copied.home.parent))
    with running(tmp_path) as site:
        served = site.browser().get(f"/entries/{entry}").text
    written = [(tmp_path / "card.html").read_text(), (tmp_path / "site" / "entries" / "one.html").read_text()]
    for page in (served, *written):
        assert '<th scope="col">name</th>' in page
        assert "<td>frechet</td>" in page


def test_a_contest_category(copied: Copied, tmp_path: Path) -> None:
    """Speed alone, as a seventh category of the open board."""
    known = "  - {name: training, "
    copied.change("contest/contests/open.yaml", known, f"  - {{name: speed, title: Speed, metrics: [macs]}}\n{known}")
    assert copied.touched == files_of("A contest category")
    for name, macs in {"slow": 9e6, "swift": 1e6}.items():
        (tmp_path / "in" / name).mkdir(parents=True)
        (tmp_path / "in" / name / "score.json").write_text(made_card(name, macs=macs).model_dump_json())
    copied.arena("board", "build", tmp_path / "in", "--out", tmp_path / "site")
    board = json.loads((tmp_path / "site" / "board.json").read_text())
    assert {line["team"]: line["categories"]["speed"] for line in board["lines"]} == {"swift": 1, "slow": 2}
    assert "Speed" in (tmp_path / "site" / "index.html").read_text()
