"""What the judge says of models whose fault is known, and that it says the same twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate, pad

from latentarena.card.catalogue import CATEGORIES, METRICS, points
from latentarena.card.metric import Likeness
from latentarena.data import Dataset
from latentarena.data.digits import embedded_digits
from latentarena.errors import JudgeError
from latentarena.judge.classifier import Judge
from latentarena.judge.contest2025 import contest_2025
from latentarena.judge.diagnosis import diagnose
from latentarena.judge.metrics import Figure
from latentarena.judge.randomness import WITHOUT_BUNDLE
from latentarena.judge.score import Findings, score
from latentarena.judge.subject import Subject, hand_out, judge_labels
from latentarena.latents import quantised
from latentarena.precision import coarser
from latentarena.randomness import RowNoise, stream

SAMPLES = 300


@pytest.fixture(scope="module")
def data() -> Dataset:
    return embedded_digits()


@pytest.fixture(scope="module")
def honest(data: Dataset) -> Subject:
    """Draws test images by the judge's noise; its latents are 24 principal components of train images, whitened."""
    train = data.train.batch(slice(None)).flatten(1)
    mean = train.mean(0)
    values, vectors = torch.linalg.eigh(train.T.cov())
    scale, directions = values[-24:].sqrt(), vectors[:, -24:]
    test = data.test.batch(slice(None))

    def generate(noise: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        return test[_drawn(noise, len(test))]

    return Subject(
        noise=(24,),
        conditional=False,
        generate=generate,
        encode=lambda images: (images.flatten(1) - mean) @ directions / scale,
        decode=lambda codes: (codes * scale @ directions.T + mean).clamp(0, 1).view(-1, *data.shape),
    )


def _drawn(noise: Tensor, n: int) -> Tensor:
    """One of n things for each row of noise, each as likely."""
    return (torch.special.ndtr(noise[:, 0].double()) * n).long().clamp(max=n - 1)


def generating(subject: Subject, change: Callable[[Tensor], Tensor]) -> Subject:
    """The subject with its samples changed."""
    return replace(subject, generate=lambda *handed: change(subject.generate(*handed)))


def judged(subject: Subject, data: Dataset, judge: Judge) -> Findings:
    return score(subject, data, judge, samples=SAMPLES, seeds=(1, 2))


def faults(found: Findings, data: Dataset, by_steps: dict[int, float] | None = None) -> set[str]:
    by_steps = by_steps or {4: 1.0, 8: 1.0}
    return {one.fault for one in diagnose(found, found.scores, by_steps, 4, data.classes)}


@pytest.fixture(scope="module")
def found(honest: Subject, data: Dataset, digits_judge: Judge) -> Findings:
    return judged(honest, data, digits_judge)


def test_the_same_model_gets_the_same_scores_bit_for_bit(
    honest: Subject, data: Dataset, digits_judge: Judge, found: Findings
) -> None:
    torch.manual_seed(3)  # what is global has no say
    assert judged(honest, data, digits_judge).scores == found.scores


def test_scores_do_not_depend_on_whether_real_images_are_known_already(
    honest: Subject,
    data: Dataset,
    digits_judge: Judge,
    found: Findings,
    tmp_path: object,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path))
    assert judged(honest, data, digits_judge).scores == found.scores


def test_every_score_is_catalogued_and_holds_its_value(found: Findings) -> None:
    for name, one in found.scores.items():
        assert METRICS[name].category in CATEGORIES
        assert METRICS[name].smallest - 1e-9 <= one.value <= METRICS[name].largest + 1e-9, name
        assert one.low <= one.value <= one.high, name


def test_real_images_are_found_without_fault(found: Findings, data: Dataset) -> None:
    frechet = found.scores["frechet"]
    assert frechet.real is not None
    assert frechet.meets(frechet.real)
    assert faults(found, data) <= {"blurred"}  # principal components do blur


def test_seeds_share_the_samples_and_each_has_its_own(digits_judge: Judge) -> None:
    batches = list(hand_out((3,), digits_judge.frequencies, 10, (1, 2, 3)))
    assert [len(noise) for noise, _ in batches] == [4, 3, 3]
    assert torch.equal(batches[1][0], WITHOUT_BUNDLE.noise(3, (3,), "sample", 2))
    assert not torch.equal(batches[1][0], batches[2][0])


def test_labels_are_asked_for_in_proportion() -> None:
    labels = judge_labels(torch.tensor([0.7, 0.1, 0.2]), 1000, stream("labels"))
    assert torch.bincount(labels).tolist() == [700, 100, 200]
    assert labels[:100].unique().tolist() == [0, 1, 2]


REFUSED = {
    "[-1, 1]": (lambda x: 2 * x - 1, "reach from -1 to 1, outside the declared range .*return \\(x \\+ 1\\) / 2"),
    "logits": (lambda x: 8 * x - 4, "looks? like logits|look like logits"),
    "bytes": (lambda x: 255 * x, "look like bytes: divide by 255"),
    "overshoot": (lambda x: 1.2 * x, "reach from 0 to 1.2, outside .*clamp them"),
    "nan": (lambda x: torch.where(x > 0.5, torch.nan, x), "not finite"),
    "flat": (lambda x: x.flatten(1), "have the shape"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_images_that_break_the_declared_form_are_refused_with_a_guess(
    name: str, honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    change, message = REFUSED[name]
    with pytest.raises(JudgeError, match=message):
        judged(generating(honest, change), data, digits_judge)


def test_latents_that_are_not_finite_are_refused(honest: Subject, data: Dataset, digits_judge: Judge) -> None:
    broken = replace(honest, encode=lambda images: honest.encode(images) * torch.nan)  # type: ignore[misc]
    with pytest.raises(JudgeError, match="latents of test images"):
        judged(broken, data, digits_judge)


HIDDEN = 13  # bits of a float32 that a float16 does not have


def _stashing(subject: Subject) -> Subject:
    """The image itself, of 8x8 pixels in 16 shades, in the last bits of latents that look honest."""
    assert subject.encode is not None
    encode, powers = subject.encode, 2 ** torch.arange(HIDDEN)

    def stash(images: Tensor) -> Tensor:
        codes = encode(images)
        shades = (interpolate(images, size=(8, 8), mode="area").flatten(1) * 15).round().int()
        bits = (shades[..., None] >> torch.arange(4)) & 1  # (N, 64, 4)
        payload = pad(bits.flatten(1), (0, HIDDEN * codes.shape[1] - bits[0].numel()))
        words = (payload.view(len(codes), -1, HIDDEN) * powers).sum(2)
        return ((codes.view(torch.int32) & ~(2**HIDDEN - 1)) | words.int()).view(torch.float32)

    def restore(codes: Tensor) -> Tensor:
        words = codes.contiguous().view(torch.int32) & (2**HIDDEN - 1)
        bits = ((words[..., None] >> torch.arange(HIDDEN)) & 1).flatten(1)[:, : 64 * 4].view(-1, 64, 4)
        coarse = ((bits * 2 ** torch.arange(4)).sum(2) / 15).view(-1, 1, 8, 8)
        return interpolate(coarse, size=(28, 28), mode="bicubic").clamp(0, 1)

    return replace(subject, encode=stash, decode=restore)


def test_an_image_in_the_last_bits_of_latents_does_not_survive_their_rounding(
    honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    cheat = _stashing(honest)
    seen = judged(replace(cheat, precision="float32"), data, digits_judge)
    assert seen.scores["mse"].value < 0.005  # as good as 8x8 pixels can be
    rounded = judged(cheat, data, digits_judge)
    assert rounded.scores["mse"].value > 10 * seen.scores["mse"].value
    assert rounded.latents is not None
    assert torch.equal(rounded.latents[0], rounded.latents[0].half().float())


def test_rounding_costs_an_honest_model_next_to_nothing(
    honest: Subject, data: Dataset, digits_judge: Judge, found: Findings
) -> None:
    exact = judged(replace(honest, precision="float32"), data, digits_judge)
    for name, one in exact.scores.items():
        assert found.scores[name].value == pytest.approx(one.value, rel=1e-3, abs=1e-3), name


def test_a_bitmap_in_float16_latents_does_not_survive_in_float8(
    honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    """196 pixels, black or white, as ten bits of each latent: numbers that float16 holds exactly."""
    powers = 2.0 ** torch.arange(10)

    def pack(images: Tensor) -> Tensor:
        bits = pad((interpolate(images, size=(14, 14), mode="area") > 0.4).flatten(1).float(), (0, 4))  # (N, 200)
        return ((bits.view(-1, 20, 10) * powers).sum(2) - 512) / 4

    def unpack(codes: Tensor) -> Tensor:
        words = (codes * 4 + 512).round().int()
        bits = ((words[..., None] >> torch.arange(10)) & 1).flatten(1)[:, :196].view(-1, 1, 14, 14).float()
        return interpolate(bits, size=(28, 28), mode="bilinear").clamp(0, 1)

    cheat = replace(honest, encode=pack, decode=unpack)
    hidden, shown = (judged(replace(cheat, precision=kind), data, digits_judge) for kind in ("float16", "float8"))
    assert shown.scores["mse"].value > 3 * hidden.scores["mse"].value
    assert shown.latents is not None
    assert len(shown.latents[0].unique()) < 256


def test_rounding_to_eight_bits_keeps_four_of_them_significant() -> None:
    every = torch.arange(1 << 16, dtype=torch.int32).to(torch.int16).view(torch.float16).float()
    inside = every[every.isfinite() & (every.abs() >= 2**-6) & (every.abs() <= 448)]
    rounded = quantised(inside, "float8")
    assert len(rounded.unique()) <= 256
    assert torch.equal(quantised(rounded, "float8"), rounded)
    assert ((rounded - inside).abs() <= inside.abs() / 16).all()
    assert not quantised(torch.tensor([1e4, -1e4]), "float8").isfinite().any()
    assert coarser("float16", "float8") == coarser("float8", "float16") == coarser("float8", None) == "float8"


def test_latents_that_their_precision_cannot_hold_are_refused(
    honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    huge = replace(honest, encode=lambda images: honest.encode(images) * 1e6)  # type: ignore[misc]
    with pytest.raises(JudgeError, match=r"reach \S+e\+06, more than float16 holds; divide them by a constant"):
        judged(huge, data, digits_judge)


def _scaled(subject: Subject, factor: float) -> Subject:
    """Samples decoded from latents of the wrong scale."""
    assert subject.encode is not None
    encode = subject.encode
    return generating(subject, lambda images: subject.decode(factor * encode(images)))


def _collapsed(subject: Subject) -> Subject:
    assert subject.encode is not None
    mask, encode = (torch.arange(24) >= 4).float(), subject.encode
    return replace(subject, encode=lambda images: encode(images) * mask)


def _moved(subject: Subject, factor: float, shift: float) -> Subject:
    """The same model with latents of another size and place, judged in eight bits."""
    assert subject.encode is not None
    encode, decode = subject.encode, subject.decode
    return replace(
        subject,
        encode=lambda images: encode(images) * factor + shift,
        decode=lambda codes: decode((codes - shift) / factor),
        precision="float8",
    )


def _prior(subject: Subject) -> Subject:
    return replace(subject, generate=lambda noise, labels, seed: subject.decode(noise))


def _ones(subject: Subject, data: Dataset) -> Subject:
    images = data.test.batch(data.test.labels == 1)
    return replace(subject, generate=lambda noise, labels, seed: images[_drawn(noise, len(images))])


def _copies(subject: Subject, data: Dataset) -> Subject:
    images = data.train.batch(slice(0, 900))
    return replace(subject, generate=lambda noise, labels, seed: images[_drawn(noise, len(images))])


def _contaminated(subject: Subject, data: Dataset) -> Subject:
    """An autoencoder that knows test images by heart and blurs all others."""
    assert subject.encode is not None
    honest, sums = subject.encode, data.test.pixels.flatten(1).sum(1)

    def encode(images: Tensor) -> Tensor:
        known = torch.isin((255 * images).round().long().flatten(1).sum(1), sums)
        blurred = avg_pool2d(pad(images, (1, 1, 1, 1)), 3, 1)
        return honest(torch.where(known[:, None, None, None], images, blurred))

    return replace(subject, encode=encode)


MADE: dict[str, Callable[[Subject, Dataset], Subject]] = {
    "double sigmoid": lambda s, d: generating(s, lambda x: (8 * x - 4).sigmoid().sigmoid()),
    "blurred": lambda s, d: generating(s, lambda x: avg_pool2d(pad(x, (2, 2, 2, 2)), 5, 1)),
    "noisy": lambda s, d: generating(s, lambda x: (x + 0.4 * RowNoise(x, 0)(x)).clamp(0, 1)),
    "latent scale mismatch": lambda s, d: _scaled(s, 0.4),
    "collapsed latents": lambda s, d: _collapsed(s),
    "no better than the prior": lambda s, d: _prior(s),
    "classes missing": _ones,
    "copies of train images": _copies,
    "test images trained on": _contaminated,
}


@pytest.mark.parametrize(("factor", "shift", "lost"), [(1, 0, False), (1e-3, 0, True), (1, 100, True)])
def test_latents_that_eight_bits_cannot_tell_apart_are_named(
    factor: float, shift: float, lost: bool, honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    found = judged(_moved(honest, factor, shift), data, digits_judge)
    assert ("latents lost in rounding" in faults(found, data)) is lost


def test_latents_that_say_nothing_at_all_are_called_collapsed_and_not_of_another_scale(
    honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    """As after a training with a beta of 1,000."""
    assert honest.encode is not None
    encode, decode, mean = honest.encode, honest.decode, data.train.images.mean(0)
    nothing = replace(
        honest,
        encode=lambda images: 1e-3 * encode(images),
        decode=lambda codes: (mean + 1e-3 * (decode(codes) - 0.5)).clamp(0, 1),
        generate=lambda noise, labels, seed: (mean + 1e-6 * decode(noise)).clamp(0, 1),
    )
    named = faults(judged(nothing, data, digits_judge), data)
    assert "collapsed latents" in named
    assert not {"latent scale mismatch", "latents lost in rounding"} & set(named)


@pytest.mark.parametrize("fault", MADE)
def test_a_known_fault_is_named(fault: str, honest: Subject, data: Dataset, digits_judge: Judge) -> None:
    assert fault in faults(judged(MADE[fault](honest, data), data, digits_judge), data)


def test_edges_beside_images_of_one_colour_are_no_ratio(found: Findings, data: Dataset) -> None:
    sharp = found.scores["sample_sharpness"].model_copy(update={"value": 2e10, "low": 1e10, "high": 3e10})
    beside = replace(found, scores={**found.scores, "sample_sharpness": sharp})
    said = [one.text for one in diagnose(beside, beside.scores, {4: 1.0}, 4, data.classes) if one.fault == "noisy"]
    assert said == ["the samples have edges, real images hardly any"]


@pytest.mark.parametrize(("more", "expected"), [(0.5, True), (0.9, False)])
def test_too_few_steps_are_named(more: float, expected: bool, found: Findings, data: Dataset) -> None:
    assert ("too few steps" in faults(found, data, {4: 1.0, 8: more})) is expected


def test_a_model_that_does_not_obey_is_named_and_scored_by_class(
    honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    pools = [data.test.batch(data.test.labels == k) for k in range(10)]

    def generate(noise: Tensor, labels: Tensor | None, seed: int) -> Tensor:
        assert labels is not None
        drawn = _drawn(noise, 20).tolist()
        return torch.stack([pools[8 if k == 3 else k][i] for i, k in zip(drawn, labels.tolist(), strict=True)])

    found = judged(replace(honest, conditional=True, generate=generate), data, digits_judge)
    assert found.by_class is not None
    assert float(found.by_class[3]) < 0.2 < 0.9 < float(found.by_class[4])
    assert found.scores["worst_accuracy"].value == pytest.approx(float(found.by_class[3]))
    assert "class not obeyed" in faults(found, data)


def test_pixel_models_are_scored_without_latents(honest: Subject, data: Dataset, digits_judge: Judge) -> None:
    found = judged(replace(honest, encode=None), data, digits_judge)
    assert found.reconstructed is None
    assert {METRICS[name].category for name in found.scores} == {"quality", "diversity"}


def test_points_are_full_at_the_floor_and_fall_with_the_distance() -> None:
    floor = Figure(value=0.03, low=0.02, high=0.04)
    worth = [points({"frechet": value}, {"frechet": floor})["quality"] for value in (0.01, 0.06, 0.6, 6.0, 600.0)]
    assert worth[0] == worth[1] == 100
    assert worth[2:] == pytest.approx([100 * 2 / 3, 100 / 3, 0])


def test_points_do_not_depend_on_other_models() -> None:
    alone = points({"mse": 0.004, "ssim": 0.95}, {})
    assert alone == points({"mse": 0.004, "ssim": 0.95}, {})
    assert set(alone) == {"reconstruction"}


def test_contest_columns_follow_the_published_formulas(found: Findings, data: Dataset) -> None:
    test, seen, real = data.test.batch(slice(None)), found.seen, found.known.test
    columns = contest_2025(1234, test, found.reconstructed, real, seen)
    p = seen.probabilities.double()
    assert found.reconstructed is not None
    assert columns["total_params"] == 1234
    assert columns["mse"] == pytest.approx(float((test[:256] - found.reconstructed[:256]).double().square().mean()))
    assert columns["entropy"] == pytest.approx(float(-(p * (p + 1e-8).log()).sum(1).mean()))
    assert columns["gen_confidence"] == pytest.approx(float(p.max(1).values.mean()))
    shares = [torch.bincount(x.labels, minlength=10).double() / len(x.labels) for x in (real, seen)]
    expected = sum(float(r * (r.log() - g.log())) for r, g in zip(*shares, strict=True))
    assert columns["kl_div_classes"] == pytest.approx(expected, rel=1e-5)


def test_the_contest_divergence_of_a_missing_class_is_infinite(
    honest: Subject, data: Dataset, digits_judge: Judge
) -> None:
    found = judged(_ones(honest, data), data, digits_judge)
    test = data.test.batch(slice(None))
    assert contest_2025(1, test, None, found.known.test, found.seen)["kl_div_classes"] is None


LIKE, DIFFERENT, UNTOLD = Likeness
REAL = Figure(value=0.03, low=0.02, high=0.045)  # a Frechet distance of many real images
FEW = Figure(value=0.048, low=0.0, high=0.371)  # of 355: nobody can tell


@pytest.mark.parametrize(
    ("own", "real", "like"),
    [
        ((0.031, 0.022, 0.043), REAL, LIKE),
        ((0.01, 0.005, 0.02), REAL, LIKE),  # nearer than real images is no fault of a distance
        ((0.08, 0.065, 0.09), REAL, DIFFERENT),
        ((0.031, 0.0, 0.2), REAL, UNTOLD),
        ((0.278, 0.2, 0.35), FEW, UNTOLD),
        ((0.048, 0.0, 0.371), FEW, UNTOLD),
        ((0.9, 0.8, 1.0), FEW, DIFFERENT),  # so far off that few images are enough
    ],
)
def test_a_distance_is_like_real_once_it_is_shown_to_be(
    own: tuple[float, float, float], real: Figure, like: Likeness
) -> None:
    value, low, high = own
    assert METRICS["frechet"].likeness(Figure(value=value, low=low, high=high), real) is like


def test_a_figure_that_real_images_bound_on_both_sides_is_unlike_them_on_both_sides() -> None:
    real = Figure(value=0.99, low=0.989, high=0.991)
    near, sure, unsure = (Figure(value=v, low=v - 0.001, high=v + 0.001) for v in (0.992, 1.003, 0.977))
    assert [METRICS["confidence"].likeness(one, real) for one in (near, sure, unsure)] == [LIKE, DIFFERENT, DIFFERENT]


def test_no_copies_among_few_images_show_nothing() -> None:
    """The interval of none among 200 reaches further than the margin: no result could be called like real."""
    none = Figure(value=0.0, low=0.0, high=0.0188)
    assert METRICS["copies"].likeness(none, none) is UNTOLD
    many = Figure(value=0.0, low=0.0, high=0.0004)
    assert METRICS["copies"].likeness(many, many) is LIKE


def test_a_margin_is_no_more_than_half_of_a_small_entropy() -> None:
    real = Figure(value=0.014, low=0.0135, high=0.0145)
    near, half_more, far = (Figure(value=v, low=v - 5e-4, high=v + 5e-4) for v in (0.0145, 0.0241, 0.05))
    assert [METRICS["entropy"].likeness(one, real) for one in (near, half_more, far)] == [LIKE, DIFFERENT, DIFFERENT]
    assert METRICS["entropy"].margin.of(0.8) == 0.02  # type: ignore[union-attr]
    assert METRICS["mse"].likeness(near, real) is None


def test_an_equivalence_test_is_wrong_as_seldom_as_it_says() -> None:
    """A mean that lies one margin above that of real images passes in at most 2.5 % of trials; an equal one mostly."""
    noise = torch.randn(2, 2000, 400, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    means, half = 0.9 + 0.1 * noise.mean(2), 1.96 * 0.1 / 20
    real, own = ([Figure(value=v, low=v - half, high=v + half) for v in row] for row in means.tolist())
    shift = METRICS["recall"].margin.of(0.9)  # type: ignore[union-attr]
    worse = [Figure(value=e.value - shift, low=e.low - shift, high=e.high - shift) for e in own]
    wrong, right = (list(map(METRICS["recall"].likeness, some, real)) for some in (worse, own))
    assert wrong.count(LIKE) / 2000 < 0.035
    assert wrong.count(DIFFERENT) / 2000 > 0.95
    assert right.count(LIKE) / 2000 > 0.95
    assert right.count(DIFFERENT) / 2000 < 0.035


def test_few_real_images_are_seldom_called_different_and_never_by_omission() -> None:
    """A tenth of the images: most comparisons cannot tell, and real ones are still not called different."""
    noise = torch.randn(2, 2000, 20, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    means, half = 0.9 + 0.1 * noise.mean(2), 1.96 * 0.1 / 20**0.5
    real, own = ([Figure(value=v, low=v - half, high=v + half) for v in row] for row in means.tolist())
    found = list(map(METRICS["recall"].likeness, own, real))
    assert found.count(DIFFERENT) / 2000 < 0.035
    assert found.count(UNTOLD) / 2000 > 0.5


def test_samples_are_compared_with_real_images_at_equal_numbers(
    honest: Subject, data: Dataset, digits_judge: Judge, found: Findings
) -> None:
    real = len(data.test)
    many = score(honest, data, digits_judge, samples=8 * real)
    assert all(one.equal is None for one in found.scores.values() if one.real)  # there are as many real images
    distance = many.scores["frechet"]
    assert distance.equal is not None
    assert distance.equal.value > distance.value  # fewer samples are farther away: that is what the floor is like
    assert distance.matched == distance.equal
