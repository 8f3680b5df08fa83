"""Bundles: what is saved is what is loaded, in any process, and every fault is named with its file."""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save
from torch import Tensor

from command import Arena
from latentarena.bundle import OWN, NativeBundle, native_of, open_bundle, save_bundle
from latentarena.bundle.exchanged import exchanged
from latentarena.compute import Compute
from latentarena.errors import BundleError
from latentarena.files import digest
from latentarena.gates import open_files
from latentarena.model.latent_model import Architecture, LatentModel
from latentarena.process import PATHS, denoiser
from latentarena.train.recipe import load_recipe
from untrained import native

CARD, WEIGHTS = "card.json", "weights.safetensors"
Tensors = dict[str, Tensor]
Card = dict[str, Any]


@pytest.fixture
def copy(tiny_run: Path, tmp_path: Path) -> Path:
    """A bundle that a test may spoil."""
    return Path(shutil.copytree(tiny_run / "bundle", tmp_path / "bundle"))


def put_weights(folder: Path, content: bytes) -> None:
    """Replace the weights and declare their hash, so that the fault inside is what is found."""
    (folder / WEIGHTS).write_bytes(content)
    card = json.loads((folder / CARD).read_text())
    (folder / CARD).write_text(json.dumps(card | {"weights": digest(content)}))


def refused(folder: Path, file: str, words: str) -> None:
    """Loading fails with one line that names the file and then the fault."""
    with pytest.raises(BundleError) as refusal:
        native_of(open_bundle(folder, trust=OWN))
    message = str(refusal.value)
    assert "\n" not in message
    assert re.search(f"{re.escape(str(folder / file))}.*{words}", message), message


def test_round_trip(tiny_bundle: NativeBundle, tmp_path: Path) -> None:
    saved = save_bundle(tmp_path / "new", tiny_bundle.card.name, tiny_bundle.model, tiny_bundle.card.provenance)
    loaded = native_of(open_bundle(tmp_path / "new", trust=OWN))
    assert loaded.card == saved.card == tiny_bundle.card
    assert loaded.digest == saved.digest == tiny_bundle.digest
    expected = tiny_bundle.model.state_dict()
    assert loaded.model.state_dict().keys() == expected.keys()
    for name, tensor in loaded.model.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_a_loaded_model_is_frozen_and_in_evaluation_mode(tiny_bundle: NativeBundle) -> None:
    assert not any(module.training for module in tiny_bundle.model.modules())
    assert not any(parameter.requires_grad for parameter in tiny_bundle.model.parameters())


def test_card_counts_every_stored_number(tiny_run: Path, tiny_bundle: NativeBundle) -> None:
    stored = load_file(tiny_run / "bundle" / WEIGHTS)
    assert sum(tiny_bundle.card.parameters.values()) == sum(tensor.numel() for tensor in stored.values())
    assert set(tiny_bundle.card.parameters) == {"encoder", "decoder", "generator"}


def test_card_tells_where_the_model_came_from(tiny_run: Path, tiny_bundle: NativeBundle) -> None:
    card = tiny_bundle.card
    assert card.weights == digest((tiny_run / "bundle" / WEIGHTS).read_bytes())
    assert card.latent == tiny_bundle.model.latent_shape == (6,)
    assert card.provenance.dataset == "digits"
    assert card.provenance.recipe["autoencoder"]["latent"] == [6]
    assert set(card.provenance.losses) == set(card.provenance.seconds) == {"autoencoder", "generator"}


def test_fresh_processes_draw_the_same_images_bit_for_bit(
    tiny_run: Path, tiny_bundle: NativeBundle, arena: Arena, tmp_path: Path
) -> None:
    drawn = []
    for name in ("one.npz", "two.npz"):
        threads = str(torch.get_num_threads())
        out = tmp_path / name
        done = arena("sample", tiny_run / "bundle", "-n", 70, "--seed", 5, "--out", out, OMP_NUM_THREADS=threads)
        assert done.returncode == 0, done.stderr
        drawn.append(np.load(out)["images"])
    model = tiny_bundle.model
    assert np.array_equal(drawn[0], drawn[1])
    assert np.array_equal(drawn[0], model.generate(model.noise(70, 5)).numpy())


def without(tensors: Tensors, name: str) -> Tensors:
    return {other: tensor for other, tensor in tensors.items() if other != name}


def spoiled(tensors: Tensors, name: str, value: float) -> Tensors:
    tensor = tensors[name].clone()
    tensor.view(-1)[-1] = value
    return tensors | {name: tensor}


LEAVE = "network.leave.bias"
WRONG_TENSORS: dict[str, tuple[Callable[[Tensors], Tensors], str]] = {
    "missing": (lambda t: without(t, LEAVE), rf"'{LEAVE}' of shape \(6,\) is missing"),
    "extra": (lambda t: t | {"network.backdoor": torch.zeros(2)}, "'network.backdoor' is not part of"),
    "renamed": (lambda t: without(t, LEAVE) | {"x": t[LEAVE]}, rf"'{LEAVE}' of shape \(6,\) is missing"),
    "shape": (lambda t: t | {LEAVE: torch.zeros(7)}, rf"'{LEAVE}' has shape \(7,\), expected \(6,\)"),
    "transposed": (
        lambda t: t | {"network.enter.weight": t["network.enter.weight"].T.contiguous()},
        r"'network.enter.weight' has shape \(6, 16\), expected \(16, 6\)",
    ),
    "type": (
        lambda t: t | {LEAVE: t[LEAVE].double()},
        rf"'{LEAVE}' holds float64, expected .*; save tensor.float",
    ),
    "integers": (lambda t: t | {LEAVE: t[LEAVE].long()}, rf"'{LEAVE}' holds int64, expected float32"),
    "nan": (lambda t: spoiled(t, LEAVE, float("nan")), rf"'{LEAVE}' holds values that are not finite"),
    "infinite": (lambda t: spoiled(t, "scale.mean", float("-inf")), "'scale.mean' holds values that are not finite"),
    "none": (lambda t: {}, "is missing"),
}


@pytest.mark.corpus  # row 12 of the threat matrix
@pytest.mark.parametrize("fault", WRONG_TENSORS)
def test_tensors_that_do_not_fit_are_refused(copy: Path, fault: str) -> None:
    change, words = WRONG_TENSORS[fault]
    put_weights(copy, save(change(load_file(copy / WEIGHTS))))
    refused(copy, WEIGHTS, words)


def test_weights_stored_in_float16_are_computed_with_in_float32(copy: Path) -> None:
    tensors = {name: tensor.clone() for name, tensor in load_file(copy / WEIGHTS).items()}  # the file is mapped
    put_weights(copy, save({name: tensor.half() for name, tensor in tensors.items()}))
    found = native_of(open_bundle(copy, trust=OWN))
    assert found.files[WEIGHTS] < 0.6 * sum(4 * tensor.numel() for tensor in tensors.values()) + 10_000
    for name, tensor in found.model.state_dict().items():
        assert tensor.dtype == torch.float32
        assert torch.equal(tensor, tensors[name].half().float())


def test_a_run_stands_for_its_bundle(copy: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    copy.rename(copy.with_name("aside"))
    run.mkdir()
    (run / "recipe.yaml").write_text("name: x\n")
    copy.with_name("aside").rename(run / "bundle")
    assert native_of(open_bundle(run, trust=OWN)).digest == native_of(open_bundle(run / "bundle", trust=OWN)).digest
    assert open_files(run) == open_files(run / "bundle")


WRONG_BYTES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda c: c[:-1],
    "half": lambda c: c[: len(c) // 2],
    "header only": lambda c: c[:8],
    "seven bytes": lambda c: c[:7],
    "empty": lambda c: b"",
    "trailing": lambda c: c + b"\0",
    "huge header": lambda c: struct.pack("<Q", 1 << 40) + c[8:],
    "header as long as the file": lambda c: struct.pack("<Q", len(c)) + c[8:],
    "largest header": lambda c: struct.pack("<Q", 2**64 - 1) + c[8:],
    "header is not JSON": lambda c: struct.pack("<Q", 16) + b"{" * 16,
    "pickle": lambda c: b"\x80\x04\x95" + bytes(200),
}


@pytest.mark.parametrize("fault", WRONG_BYTES)
def test_bytes_that_are_no_safetensors_file_are_refused(copy: Path, fault: str) -> None:
    put_weights(copy, WRONG_BYTES[fault]((copy / WEIGHTS).read_bytes()))
    refused(copy, WEIGHTS, "is no safetensors file")


def test_weights_of_another_training_are_refused(copy: Path) -> None:
    tensors = load_file(copy / WEIGHTS)
    (copy / WEIGHTS).write_bytes(save(tensors | {LEAVE: tensors[LEAVE] + 1}))
    refused(copy, WEIGHTS, "does not have the hash that card.json declares")


def changed(key: str, value: Any) -> Callable[[str], str]:
    """The card's text with a dotted key set."""

    def change(text: str) -> str:
        card: Card = json.loads(text)
        *parents, last = key.split(".")
        node = card
        for parent in parents:
            node = node[parent]
        node[last] = value
        return json.dumps(card)

    return change


WRONG_CARDS: dict[str, tuple[Callable[[str], str], str]] = {
    "unknown key": (changed("extra", 1), "unknown key 'extra'"),
    "unknown inner key": (changed("architecture.generator.backbone.widht", 1), "'widht'.*did you mean 'width'"),
    "duplicate key": (lambda t: t.replace("{", '{"name": "other",', 1), "key 'name' appears twice"),
    "NaN": (lambda t: t.replace('"output"', '"more": NaN, "output"'), "NaN is not a JSON number"),
    "Infinity": (lambda t: t.replace('"output"', '"more": -Infinity, "output"'), "-Infinity is not a JSON number"),
    "not JSON": (lambda t: t[:-3], "is not JSON"),
    "byte order mark": (lambda t: "\ufeff" + t, "save it as UTF-8 without a byte order mark"),
    "empty": (lambda t: "", "is not JSON"),
    "deep": (lambda t: "[" * 100_000, "is not JSON"),
    "list": (lambda t: f"[{t}]", ""),
    "null": (lambda t: "null", ""),
    "other latent": (changed("latent", [7]), r"latent = \[7\], but the architecture has \[6\]"),
    "other architecture": (
        changed("architecture.autoencoder.latent", [7]),
        r"latent = \[6\], but the architecture has \[7\]",
    ),
    "impossible latent": (changed("architecture.autoencoder.latent", [1, 9, 9]), r"\[1, 9, 9\] .* impossible"),
    "unknown solver": (changed("architecture.sampling.solver", "rk5"), "rk5.*euler.*heun"),
    "unknown kind": (changed("architecture.generator.backbone.kind", "gpt"), "gpt"),
    "no name": (changed("name", ""), "name"),
    "other format": (changed("format", 2), "format = 2"),
    "no hash": (changed("weights", "abc"), "weights = 'abc'"),
    "infinite seconds": (changed("provenance.seconds", {"autoencoder": 10**400}), "a number of 401 digits"),
    "digits": (
        lambda t: t.replace('"format": 1', '"format": ' + 5000 * "9"),
        "a number of 5000 digits is over the limit",
    ),
    "long latent": (
        changed("architecture.autoencoder.latent", [10**90] * 3),
        r"latent = \[10+, 10*\.\.\. has 10+\.\.\. ",
    ),
    "long widths": (
        changed("architecture.autoencoder.widths", [10**90] * 9),
        r"widths = \[10+, 10*\.\.\.: give 1 to 6 ",
    ),
    "negative images": (changed("architecture.shape", [1, -28, 28]), "shape"),
    "no channels": (changed("architecture.shape", [0, 28, 28]), "shape"),
}


@pytest.mark.corpus  # row 14
@pytest.mark.parametrize("fault", WRONG_CARDS)
def test_a_card_that_describes_no_model_is_refused(copy: Path, fault: str) -> None:
    change, words = WRONG_CARDS[fault]
    (copy / CARD).write_text(change((copy / CARD).read_text()))
    refused(copy, CARD, words)


def test_a_card_that_is_not_text_is_refused(copy: Path) -> None:
    (copy / CARD).write_bytes(b"\xff\xfe\x00" * 10)
    refused(copy, CARD, "is not JSON")


def test_an_enormous_card_is_refused_unread(copy: Path) -> None:
    (copy / CARD).write_text(" " * (2 << 20))
    refused(copy, CARD, "is larger than")


@pytest.mark.parametrize("file", [CARD, WEIGHTS])
def test_a_missing_file_is_named(copy: Path, file: str) -> None:
    (copy / file).unlink()
    refused(copy, file, "No such file.*a bundle is a folder of card.json and weights.safetensors")


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "nowhere", CARD, "No such file")


def test_command_line_says_it_in_one_line(copy: Path, arena: Arena, tmp_path: Path) -> None:
    put_weights(copy, b"")
    done = arena("sample", copy, "--out", tmp_path / "x.png")
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert f"{copy / WEIGHTS} is no safetensors file" in done.stderr
    assert not (tmp_path / "x.png").exists()


def test_a_card_cannot_lie_about_the_number_of_parameters(tiny_run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(tiny_run / "bundle", folder)
    card = json.loads((folder / "card.json").read_text())
    card["parameters"] = dict.fromkeys(card["parameters"], 1)
    (folder / "card.json").write_text(json.dumps(card))
    with pytest.raises(BundleError, match=r"card\.json: parameters = .*'encoder': 1.*but the architecture has"):
        native_of(open_bundle(folder, trust=OWN))


CHANGES = ("another class", "more weights", "another shape", "a forward of its own", "a hook", "a hook before")


@pytest.mark.parametrize("how", CHANGES)
def test_a_model_whose_network_was_exchanged_is_refused_before_anything_is_written(
    tiny_run: Path, tmp_path: Path, how: str
) -> None:
    bundle = native_of(open_bundle(tiny_run, trust=OWN))
    model, network = bundle.model, bundle.model.network
    if how == "another class":
        network.__class__ = type("Other", (type(network),), {})
    elif how == "more weights":
        network.more = torch.nn.Linear(1, 1)
    elif how == "another shape":
        model.network = torch.nn.Linear(3, 3)
    elif how == "a hook":
        network.register_forward_hook(lambda module, given, made: -made)
    elif how == "a hook before":
        network.register_forward_pre_hook(lambda module, given: given)
    else:
        network.forward = lambda x, t, labels=None: x  # type: ignore[method-assign]
    with pytest.raises(BundleError, match=r"not what its architecture makes: .*network.*export_modules"):
        save_bundle(tmp_path / "bundle", "mine", model, bundle.card.provenance)
    assert not (tmp_path / "bundle").exists()


def test_a_model_whose_method_was_exchanged_is_refused(tiny_run: Path, tmp_path: Path) -> None:
    bundle = native_of(open_bundle(tiny_run, trust=OWN))
    bundle.model.autoencoder.decode = lambda latents: latents  # type: ignore[method-assign]
    with pytest.raises(BundleError, match="'autoencoder' has a decode of its own"):
        save_bundle(tmp_path / "bundle", "mine", bundle.model, bundle.card.provenance)
    assert not (tmp_path / "bundle").exists()


def norm_of(model: LatentModel) -> torch.nn.LayerNorm:
    return next(one for one in model.network.modules() if isinstance(one, torch.nn.LayerNorm))


def with_offset(path: Path) -> Any:
    """The same path, of another offset than its class has."""
    path.span = (0.25, 0.75)  # type: ignore[attr-defined]
    return path


SETTINGS: dict[str, tuple[Callable[[LatentModel], object], str]] = {
    "a number": (lambda model: setattr(norm_of(model), "eps", 1.0), r"has eps = 1.0, expected 1e-0\d"),
    "an object": (
        lambda model: setattr(model, "path", PATHS["vp_cosine"]()),
        "the model has another path than",
    ),
    "an object's own": (lambda model: setattr(model, "path", with_offset(model.path)), "the model has another path"),
    "a function": (lambda model: setattr(model, "target", lambda at: (at.alpha, at.sigma)), "has another target"),
    "a closure": (
        lambda model: setattr(model, "denoise", denoiser(model.network, PATHS["vp_cosine"](), model.target)),
        "the model has another denoise than planned",
    ),
    "a switch": (lambda model: setattr(model, "conditional", True), "the model has conditional = True, expected False"),
    "what its class says": (lambda model: setattr(model, "repeatable", False), "the model has repeatable = False"),
}


@pytest.mark.parametrize("how", SETTINGS)
def test_a_model_whose_settings_were_exchanged_is_refused_before_anything_is_written(
    tiny_run: Path, tmp_path: Path, how: str
) -> None:
    bundle = native_of(open_bundle(tiny_run, trust=OWN))
    exchange, words = SETTINGS[how]
    exchange(bundle.model)
    with pytest.raises(BundleError, match=words):
        save_bundle(tmp_path / "bundle", "mine", bundle.model, bundle.card.provenance)
    assert not (tmp_path / "bundle").exists()


def test_what_a_model_does_not_take_along_may_change(tiny_run: Path, tmp_path: Path) -> None:
    """Weights, the mode it is in, where it runs, what its modules remember of a call."""
    bundle = native_of(open_bundle(tiny_run, trust=OWN))
    model = bundle.model.train()
    model.requires_grad_(True)
    model.network.seen = torch.ones(3)
    model.compute = Compute("cuda", "32-true")
    with torch.no_grad():
        next(model.network.parameters()).add_(1)
    model.generate(model.noise(2, 0))
    saved = save_bundle(tmp_path / "bundle", "mine", model, bundle.card.provenance)
    assert torch.equal(saved.model.generate(model.noise(2, 0)), model.eval().generate(model.noise(2, 0)))


def test_a_copy_of_a_model_is_saved_as_long_as_it_computes_what_its_weights_say(tiny_run: Path, tmp_path: Path) -> None:
    bundle = native_of(open_bundle(tiny_run, trust=OWN))
    model = deepcopy(bundle.model)
    assert save_bundle(tmp_path / "same", "mine", model, bundle.card.provenance).card.weights == bundle.card.weights
    with torch.no_grad():
        next(model.network.parameters()).add_(1)  # while its samples still come from the original's network
    with pytest.raises(BundleError, match="the model has another denoise than planned"):
        save_bundle(tmp_path / "other", "mine", model, bundle.card.provenance)


@pytest.mark.parametrize("recipe", ["meanflow-latent", "digitdreamer", "onestep-latent", "classifier-guidance-latent"])
def test_a_model_of_any_recipe_is_what_its_architecture_makes(recipe: str) -> None:
    architecture = load_recipe(recipe).architecture((1, 28, 28), tuple("0123456789"))
    assert exchanged(LatentModel(architecture, 7), LatentModel(architecture)) is None


def test_a_bundle_without_a_correction_on_its_card_learned_a_correction_to_a_gaussian(tmp_path: Path) -> None:
    """As all did before recipes could choose; and a network of zeros then samples what the noise is."""
    made = native(tmp_path, "quickstart", "autoencoder={kind: identity}", "training.autoencoder=null")
    card = json.loads((tmp_path / "card.json").read_text())
    assert card["architecture"]["generator"].pop("correction") == "gaussian"
    (tmp_path / "card.json").write_text(json.dumps(card))
    old = native_of(open_bundle(tmp_path, trust=OWN)).model
    assert torch.equal(old.generate(old.noise(4, 0)), made.model.generate(made.model.noise(4, 0)))
    plain, x = made.model.architecture.model_copy(deep=True).model_dump(), old.noise(4, 0)
    plain["generator"]["correction"] = "none"
    for model, slope in ((LatentModel(Architecture.model_validate(plain)), 0.0), (LatentModel(old.architecture), 0.8)):
        at = model.path.at(torch.tensor(0.9), x)  # backbones begin by giving zeros
        estimate = model.denoise(x, torch.tensor(0.9), None)
        velocity = at.velocity(estimate.data, estimate.noise)
        torch.testing.assert_close(velocity, slope / 0.82 * x)
