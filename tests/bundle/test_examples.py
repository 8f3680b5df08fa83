"""The examples of bundles from other frameworks, and the published schema of the card that is written for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import torch
from jsonschema import Draft202012Validator

from latentarena.bundle.pack import pack_graphs
from latentarena.bundle.portable import GRAPHS, PortableCard
from latentarena.config import validate
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError
from latentarena.gates import open_files

ROOT = Path(__file__).parents[2]
EXAMPLES = {"from_numpy": None, "from_pytorch": None, "from_sklearn": "skl2onnx", "from_jax": "jax2onnx"}
CLASSES = tuple("0123456789")
SCHEMA = Draft202012Validator(json.loads((ROOT / "docs" / "portable-card.schema.json").read_text()))


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_example_makes_a_model_of_digits(name: str, tmp_path: Path) -> None:
    if EXAMPLES[name] is not None:
        pytest.importorskip(EXAMPLES[name])
    script = ROOT / "examples" / "bundles" / f"{name}.py"
    here = {"cwd": tmp_path, "env": os.environ | {"PYTHONWARNINGS": "ignore"}}
    subprocess.run([sys.executable, script], check=True, capture_output=True, **here)  # type: ignore[call-overload]
    files = {graph: tmp_path / f"{graph}.onnx" for graph in GRAPHS}
    bundle = pack_graphs(tmp_path / "bundle", name, files, "digits", CLASSES)
    assert len(open_files(tmp_path / "bundle")) == 4
    SCHEMA.validate(json.loads((tmp_path / "bundle" / "card.json").read_text()))
    data = embedded_digits()
    test = data.test.batch(slice(0, 200))
    error = (bundle.model.decode(bundle.model.encode(test)) - test).square().mean()
    assert error < 0.5 * (data.train.batch(slice(None)).mean(0) - test).square().mean()
    labels = torch.arange(200) % 10 if bundle.card.conditional else None
    samples = bundle.model.generate(bundle.model.noise(200, 0), labels)
    assert (samples.mean() - test.mean()).abs() < 0.1
    assert samples.std(0).mean() > 0.5 * test.std(0).mean()  # they differ, as digits do


def test_every_example_is_tested() -> None:
    assert {path.stem for path in (ROOT / "examples" / "bundles").glob("*.py")} == set(EXAMPLES)


CARD: dict[str, Any] = {
    "name": "mine",
    "latent": [16],
    "parameters": {"encoder": 3, "decoder": 4, "generator": 0},
    "form": "portable",
    "shape": [1, 28, 28],
    "noise": [16],
    "classes": [],
    "conditional": False,
    "hashes": dict.fromkeys(GRAPHS, "0" * 64),
}


def changed(**changes: Any) -> dict[str, Any]:
    return deepcopy(CARD) | changes


WRONG = {
    "unknown key": changed(author="me"),
    "no name": {key: value for key, value in CARD.items() if key != "name"},
    "long name": changed(name="x" * 81),
    "flat image": changed(shape=[28, 28]),
    "short hash": changed(hashes=dict.fromkeys(GRAPHS, "0" * 63)),
    "graph without hash": changed(hashes={"encode": "0" * 64}),
    "other form": changed(form="native"),
    "no number": changed(latent=["16"]),
    "no latent": changed(latent=[]),
    "other precision": changed(precision="int4"),
}


def test_the_schema_is_one_and_takes_a_card() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    validate(PortableCard, CARD, "card")
    assert SCHEMA.is_valid(CARD)


@pytest.mark.parametrize("fault", WRONG)
def test_what_the_schema_refuses_the_program_refuses_too(fault: str) -> None:
    assert not SCHEMA.is_valid(WRONG[fault])
    with pytest.raises(ConfigError):
        validate(PortableCard, WRONG[fault], "card")
