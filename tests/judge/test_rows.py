"""What a model makes of a row may depend on that row alone: cheats by place, batch and company are found, rounding is
not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from latentarena.bundle import OWN, NativeBundle, PortableBundle, open_bundle
from latentarena.bundle.portable import GRAPHS
from latentarena.data.digits import embedded_digits
from latentarena.errors import GateError, ModelError
from latentarena.evaluate.scoring import Panel, judge_bundle
from latentarena.files import digest
from latentarena.gates import Port, check_graph
from latentarena.judge.classifier import Judge
from latentarena.judge.rows import LARGEST, ask
from latentarena.key import PRACTICE, Key
from latentarena.outputs import APART
from latentarena.randomness import RowNoise, normal_rows, stream

N = 1000
NOISE = normal_rows(N, (4,), 2025, "sample")


def asked(model: Callable[..., Tensor], seed: int = 0, **how: object) -> Tensor:
    return ask(model, [NOISE], stream("order", seed), "samples", **how)  # type: ignore[arg-type]


def honest(noise: Tensor) -> Tensor:
    return noise @ torch.linspace(-1, 1, 12).view(4, 3)


def test_answers_come_back_in_the_order_of_their_rows() -> None:
    assert torch.equal(asked(lambda noise: 2 * noise), 2 * NOISE)
    labels = torch.arange(N) % 10
    found = ask(lambda noise, labels: noise * labels[:, None], [NOISE, labels], stream("order"), "samples")
    assert torch.equal(found, NOISE * labels[:, None])


def test_every_row_is_asked_in_batches_of_varying_size_and_some_twice() -> None:
    sizes: list[int] = []
    rows: list[Tensor] = []

    def model(noise: Tensor) -> Tensor:
        sizes.append(len(noise))
        rows.append(noise)
        return noise

    asked(model)
    seen, times = torch.cat(rows).unique(dim=0, return_counts=True)
    assert len(seen) == N
    assert sizes.count(1) >= 4
    assert max(sizes) <= LARGEST
    assert len(set(sizes)) > 5
    assert N < sum(sizes) < 1.06 * N
    assert times.max() > 1
    one, sizes[:], rows[:] = list(sizes), [], []
    asked(model, seed=1)
    assert sizes != one


CHEATS: dict[str, Callable[[Tensor], Tensor]] = {
    "a table, by the place in the batch": lambda x: torch.arange(len(x))[:, None].float().expand(-1, 3) % 7,
    "the batch's own statistics": lambda x: (x - x.mean(0)) / (x.std(0, correction=0) + 1e-3),
    "the size of the batch": lambda x: x + (len(x) > 20),
    "the row before it": lambda x: x + x.roll(1, 0),
    "the order of the batch": lambda x: x[:, 0].argsort()[:, None].float().expand(-1, 3),
    "something else where it is alone": lambda x: x if len(x) > 3 else x + 1,
}


@pytest.mark.parametrize("how", CHEATS)
def test_what_depends_on_more_than_its_row_is_refused(how: str) -> None:
    with pytest.raises(GateError, match=r"samples depend on more than their own row: .* evaluation mode") as refused:
        asked(CHEATS[how])
    assert refused.value.reason == "rows"


@pytest.mark.parametrize("n", [N, 10_000])
def test_another_answer_to_a_lone_row_is_not_excused_among_many(n: int) -> None:
    """A graph can slice its weights by the number of rows, and cost nothing where one row is counted."""
    noise = normal_rows(n, (4,), 2025, "sample")
    with pytest.raises(GateError, match="depend on more than their own row"):
        ask(lambda rows: honest(rows) * (len(rows) > 1), [noise], stream("order"), "samples")


def test_rounding_that_differs_by_batch_is_no_dependence() -> None:
    def model(noise: Tensor) -> Tensor:
        return honest(noise) + 0.5 * APART * (len(noise) % 2)

    asked(model)


def test_a_quantiser_that_rarely_falls_on_the_other_side_is_no_dependence() -> None:
    seen: dict[bytes, int] = {}

    def model(noise: Tensor) -> Tensor:  # one answer in two hundred is another at the second time
        answers = honest(noise).round()
        for answer, row in zip(answers, noise, strict=True):
            again = seen[row.numpy().tobytes()] = seen.get(row.numpy().tobytes(), 0) + 1
            answer += again > 1 and float(row[0]) > 2.6
        return answers

    asked(model)


def test_what_answers_at_random_is_excused_where_it_is_known_to() -> None:
    fresh = stream("fresh")
    with pytest.raises(GateError):
        asked(lambda noise: torch.randn(noise.shape, generator=fresh))
    assert asked(lambda noise: torch.randn(noise.shape, generator=fresh), repeatable=False).shape == NOISE.shape


def test_answers_of_another_shape_are_refused() -> None:
    with pytest.raises(ModelError, match=r"samples have the shape \(\d+, 4\), not \(\d+, 3\)"):
        asked(lambda noise: noise, row=(3,))
    with pytest.raises(ModelError, match="not"):
        asked(lambda noise: noise[1:], row=(4,))


def test_fewer_rows_than_any_batch_are_asked_too() -> None:
    for n in (1, 2, 9):
        found = ask(honest, [NOISE[:n]], stream("few", n), "samples")
        torch.testing.assert_close(found, honest(NOISE[:n]))
        with pytest.raises(GateError):
            ask(lambda noise: noise + len(noise), [NOISE[:n]], stream("few", n), "samples", scale=1.0)


def test_fresh_noise_of_a_row_is_its_own_and_normal() -> None:
    starts, x = normal_rows(2000, (5,), 1, "sample"), torch.zeros(2000, 5)
    whole, part = RowNoise(starts, 3), RowNoise(starts[700:701], 3)
    first, second = whole(x), whole(x)
    assert torch.equal(part(x[:1]), first[700:701])
    assert torch.equal(part(x[:1]), second[700:701])
    both = torch.cat([first, second], 1)
    assert both.unique().numel() > 19_900
    assert both.mean().abs() < 0.03
    assert (both.T.cov() - torch.eye(10)).abs().max() < 0.1
    assert (both.T[:5] ** 4).mean() == pytest.approx(3, abs=0.3)
    assert not torch.equal(RowNoise(starts, 4)(x), first)


@pytest.mark.parametrize("solver", ["ddpm", "sde", "{solver: ddim, eta: 0.5}"])
def test_samplers_that_add_noise_make_the_same_image_of_a_row_anywhere(solver: str, tiny_bundle: NativeBundle) -> None:
    model = tiny_bundle.model
    how = model.architecture.sampling.but(solver=solver if ":" not in solver else "ddim", steps=4)
    how = how.model_copy(update={"eta": 0.5}) if ":" in solver else how
    noise = model.noise(700, 0)
    whole = model.generate(noise, None, how, seed=5)
    torch.testing.assert_close(model.generate(noise[600:603], None, how, seed=5), whole[600:603], atol=1e-4, rtol=0)
    assert not torch.allclose(model.generate(noise[:9], None, how, seed=6), whole[:9], atol=1e-3)


# a forged portable bundle: stored images, picked by what the judge is known to ask

STORED = 40
DIGITS = embedded_digits()


def forged(folder: Path, picks: str) -> PortableBundle:
    """A bundle whose generator holds test images and computes nothing: it picks one by place, or by public noise."""
    images = DIGITS.test.batch(slice(0, STORED)).numpy()
    to_pick = {
        "place": [  # 0, 1, 2 ... along the batch, modulo the number of images
            helper.make_node("CumSum", ["ones", "zero"], ["place"]),
            helper.make_node("Mod", ["place", "many"], ["index"]),
        ],
        "public noise": [  # the image stored for the noise row that is nearest: exact for noise known beforehand
            helper.make_node("MatMul", ["noise", "known"], ["product"]),
            helper.make_node("ArgMax", ["product"], ["index"], axis=1, keepdims=0),
        ],
    }[picks]
    known = normal_rows(STORED, (4,), 2025, "sample").T.contiguous().numpy()
    ones = [
        helper.make_node("ReduceSum", ["noise", "axis"], ["summed"], keepdims=0),
        helper.make_node("Mul", ["summed", "nothing"], ["none"]),
        helper.make_node("Cast", ["none"], ["zeros"], to=TensorProto.INT64),
        helper.make_node("Add", ["zeros", "one"], ["ones"]),
    ]
    constants = {
        "images_stored": images,
        "known": known,
        "axis": np.array([1]),
        "nothing": np.zeros((), np.float32),
        "one": np.array(1),
        "zero": np.array(0),
        "many": np.array(STORED),
    }
    generate = [*(ones if picks == "place" else []), *to_pick]
    generate.append(helper.make_node("Gather", ["images_stored", "index"], ["images"], axis=0))
    used = {name for node in generate for name in node.input}
    codes = [
        helper.make_node("Flatten", ["images"], ["flat"]),
        helper.make_node("MatMul", ["flat", "directions"], ["latents"]),
    ]
    decode = [
        helper.make_node("MatMul", ["latents", "back"], ["flat"]),
        helper.make_node("Sigmoid", ["flat"], ["bounded"]),
        helper.make_node("Reshape", ["bounded", "shape"], ["images"]),
    ]
    directions = normal_rows(784, (4,), 0, "directions").numpy() / 28
    graphs = {
        "generate": (generate, {name: value for name, value in constants.items() if name in used}),
        "encode": (codes, {"directions": directions}),
        "decode": (decode, {"back": directions.T.copy(), "shape": np.array([-1, *DIGITS.shape])}),
    }
    return written(folder, graphs)


def written(folder: Path, graphs: dict[str, tuple[list[object], dict[str, np.ndarray]]]) -> PortableBundle:
    folder.mkdir()
    images, latents = Port("images", "float32", DIGITS.shape), Port("latents", "float32", (4,))
    ports = {"generate": (Port("noise", "float32", (4,)), images), "encode": (images, latents)}
    ports["decode"] = (latents, images)
    facts = {}
    for name in GRAPHS:
        nodes, constants = graphs[name]
        given, made = ports[name]
        infos = [
            helper.make_tensor_value_info(port.name, TensorProto.FLOAT, ["n", *port.row]) for port in (given, made)
        ]
        stored = [numpy_helper.from_array(value, key) for key, value in constants.items()]
        graph = helper.make_graph(nodes, name, infos[:1], infos[1:], stored)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
        content = model.SerializeToString()
        (folder / f"{name}.onnx").write_bytes(content)
        facts[name] = check_graph(content, [given], made, name)
    from latentarena.bundle.portable import parameters_of

    card = {
        "form": "portable",
        "name": "forged",
        "shape": DIGITS.shape,
        "latent": [4],
        "noise": [4],
        "classes": [],
        "conditional": False,
        "hashes": {name: digest((folder / f"{name}.onnx").read_bytes()) for name in GRAPHS},
        "parameters": parameters_of(facts),
        "data": {"name": "digits"},
    }
    (folder / "card.json").write_text(json.dumps(card))
    return open_bundle(folder, trust=OWN)


def test_stored_images_picked_by_the_rows_place_are_refused(tmp_path: Path, digits_judge: Judge) -> None:
    bundle = forged(tmp_path / "forged", "place")
    assert torch.equal(bundle.model.generate(normal_rows(9, (4,), 0, "x")), DIGITS.test.batch(slice(1, 10)))
    with pytest.raises(GateError, match="samples depend on more than their own row") as refused:
        judge_bundle(bundle, Panel(DIGITS, digits_judge), samples=200, timed=False)
    assert refused.value.reason == "rows"


def test_a_table_of_answers_to_the_old_public_noise_is_not_asked_by_it(tmp_path: Path, digits_judge: Judge) -> None:
    """Every stored image once, in even shares, if the noise were what it used to be; by any key it is not."""
    bundle = forged(tmp_path / "forged", "public noise")
    old = normal_rows(STORED, (4,), 2025, "sample")
    first = bundle.model.generate(old).flatten(1).unique(dim=0)
    found = judge_bundle(bundle, Panel(DIGITS, digits_judge), samples=200, timed=False).findings
    counts = found.generated.flatten(1).unique(dim=0, return_counts=True)[1]
    assert len(first) > 0.2 * STORED
    assert counts.float().std() > counts.float().mean() * 0.3  # as uneven as the cells of a table of four dimensions


def test_another_key_or_bundle_is_asked_other_rows_and_the_same_again_the_same(
    tiny_bundle: NativeBundle, digits_judge: Judge
) -> None:
    def scored(key: Key) -> tuple[object, Tensor]:
        judged = judge_bundle(tiny_bundle, Panel(DIGITS, digits_judge), samples=100, timed=False, key=key)
        card, found = judged.card, judged.findings
        return card, found.generated

    secret = Key(bytes(range(32)))
    (one, images), (again, same), (public, others) = (scored(key) for key in (secret, secret, PRACTICE))
    a, b = one.model_dump(), again.model_dump()  # type: ignore[attr-defined]
    assert {k: (a[k], b[k]) for k in a if a[k] != b[k]} == {}
    assert torch.equal(images, same)
    assert not torch.equal(images, others)
    assert (one.noise, public.noise) == (f"secret {secret.commitment[:12]}", "public")  # type: ignore[attr-defined]
