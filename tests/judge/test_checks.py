"""Laws of the checks for tables, memories and parts of two functions, on models whose nature is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from scipy.stats import binomtest
from sklearn.mixture import GaussianMixture
from torch import Tensor

from latentarena.card.figure import Figure
from latentarena.card.finding import Finding, gravest
from latentarena.data import Images
from latentarena.data.digits import embedded_digits
from latentarena.judge.checks import (
    PRIOR,
    belonging,
    continuity,
    copying,
    memory,
    overfitted,
    samples_of_decoder,
    used,
    variety,
)
from latentarena.judge.classifier import Judge
from latentarena.judge.continuity import Probe, along_arc, along_line, grain, probe, walk
from latentarena.judge.examine import memories
from latentarena.judge.known import known_of
from latentarena.judge.memory import Leaning, leaning, support
from latentarena.judge.randomness import WITHOUT_BUNDLE
from latentarena.judge.subject import Sampled
from latentarena.randomness import stream

PARTS = ("pixels", "labels")
SHAPE, NOISE, N = (1, 8, 8), 6, 2000
Make = Callable[[Tensor], Tensor]


def normal(*shape: int, key: str = "normal") -> Tensor:
    return torch.randn(*shape, generator=stream("checks", key))


WEIGHTS, STORED, CENTRES = normal(NOISE, 64, key="weights"), normal(500, 64, key="stored"), normal(500, NOISE, key="c")


def smooth(noise: Tensor) -> Tensor:
    """A linear map and a sigmoid: what a network is like."""
    return (noise @ WEIGHTS / math.sqrt(NOISE)).sigmoid().view(-1, *SHAPE)


def table(noise: Tensor) -> Tensor:
    """The stored image whose centre is nearest."""
    return STORED[torch.cdist(noise, CENTRES).argmin(1)].sigmoid().view(-1, *SHAPE)


def hashed(noise: Tensor) -> Tensor:
    """A stored image by a hash of the noise."""
    return (
        STORED[((noise.double() * 1e4).sum(1).sin() * 43758.5453).frac().abs().mul(500).long()]
        .sigmoid()
        .view(-1, *SHAPE)
    )


def softened(noise: Tensor) -> Tensor:
    """The table with soft borders, continuous everywhere."""
    shares = (-60 * torch.cdist(noise, CENTRES).square()).softmax(1)
    return (shares @ STORED).sigmoid().view(-1, *SHAPE)


def mixed(noise: Tensor) -> Tensor:
    """A table for half of the noise, and a map for the rest."""
    return torch.where((noise[:, 0] > 0).view(-1, 1, 1, 1), table(noise), smooth(noise))


def curve(noise: Tensor) -> Tensor:
    """A smooth curve through all stored images, along one number of the noise."""
    place = 250 + 120 * noise[:, 0]
    shares = (-2 * (torch.arange(500) - place[:, None]).square()).softmax(1)
    return (shares @ STORED).sigmoid().view(-1, *SHAPE)


def constant(noise: Tensor) -> Tensor:
    return STORED[:1].sigmoid().view(1, *SHAPE).expand(len(noise), *SHAPE)


def levels(noise: Tensor) -> Tensor:
    """A map of a few levels of each number: what quantised latents make of it."""
    return smooth((2 * noise).round() / 2)


def probed(make: Make, step: float = 0.0) -> tuple[Tensor, Probe]:
    noise = normal(N, NOISE, key="noise")
    images = make(noise)
    return images, probe(lambda rows, labels, held: make(rows), noise, None, images, 32, 12, step)


def found(make: Make) -> dict[str, Finding]:
    images, walked = probed(make)
    findings = variety(images, walked, smooth(normal(N, NOISE, key="real"))), continuity(walked), used(walked)
    return {one.name: one for one in findings}


EXPECTED: dict[str, tuple[Make, set[str]]] = {
    "smooth": (smooth, set()),
    "table": (table, {"different images", "small changes of the noise"}),
    "hashed": (hashed, {"different images", "small changes of the noise"}),
    "softened": (softened, {"different images"}),
    "mixed": (mixed, {"different images", "small changes of the noise"}),
    "constant": (constant, {"different images", "noise that is not used"}),
}


@pytest.mark.parametrize("kind", EXPECTED)
def test_tables_are_told_from_maps(kind: str) -> None:
    make, faults = EXPECTED[kind]
    findings = found(make)
    assert {name for name, one in findings.items() if one.verdict != "clear"} == faults
    worst = gravest(findings.values())
    assert (worst is None) == (kind == "smooth")
    if kind not in ("smooth", "constant"):
        assert worst is not None
        assert worst.verdict == "refused"
        assert "a table of images" in worst.sentence
        assert worst.value > worst.limit


@pytest.mark.parametrize(("idle", "verdict"), [(17, "clear"), (25, "clear"), (26, "unranked"), (32, "unranked")])
def test_a_collapsed_model_is_not_accused_by_a_pair_too_many(idle: int, verdict: str) -> None:
    """Whose share is one half shows 26 of 32 once in four thousand times, and 17 as often as not."""
    _, walked = probed(smooth)
    ends = torch.cat([torch.zeros(idle), torch.ones(32 - idle)])
    few = replace(walked, walk=replace(walked.walk, ends=ends))
    assert used(few).verdict == verdict


def test_a_pale_model_that_changes_in_proportion_is_no_table() -> None:
    """Images that differ by few grey levels meet often, and change by less than one while the noise turns."""

    def pale(noise: Tensor) -> Tensor:
        return 0.5 + 0.04 * (smooth(noise) - 0.5)

    findings = found(pale)
    assert findings["different images"].value > findings["different images"].limit
    assert findings["different images"].verdict == "noted"


def test_a_curve_through_many_images_changes_too_much_in_a_nudge() -> None:
    assert found(lambda noise: curve(50 * noise))["small changes of the noise"].verdict == "unranked"


def components(noise: Tensor) -> Tensor:
    """A mixture's samples: one of eight far maps, by the signs of three numbers of the noise."""
    piece = ((noise[:, :3] > 0) * torch.tensor([1, 2, 4])).sum(1)
    return (2 * STORED[piece] + noise[:, 3:] @ WEIGHTS[3:] / math.sqrt(NOISE)).sigmoid().view(-1, *SHAPE)


def best_of_four(noise: Tensor) -> Tensor:
    """The first of four candidates that is accepted, as a rejection sampler has it."""
    candidates = noise.view(-1, 4, NOISE // 2)
    chosen = (candidates[..., 0] > 0.3).int().argmax(1)
    return (candidates[torch.arange(len(noise)), chosen] @ WEIGHTS[3:]).sigmoid().view(-1, *SHAPE)


@pytest.mark.parametrize(("make", "size"), [(components, NOISE), (best_of_four, 2 * NOISE)])
def test_hard_choices_of_the_noise_are_noted_and_rank(make: Make, size: int) -> None:
    noise = normal(N, size, key="choices")
    images = make(noise)
    walked = probe(lambda rows, labels, held: make(rows), noise, None, images, 32, 12)
    assert continuity(walked).verdict == "noted"
    assert gravest([variety(images, walked, images), continuity(walked), used(walked)]) is None


@pytest.mark.parametrize("jitter", [0.0, 0.2, 0.4])
def test_many_stored_images_with_a_little_noise_on_each_are_a_table(jitter: float) -> None:
    """Between jumps their pace would not take them from noise to noise, as a smooth map's does."""
    wide = 16
    centres, weights = normal(10_000, wide, key="many"), normal(wide, 64, key="wide")
    stored = normal(10_000, wide, key="codes") @ weights

    def make(noise: Tensor) -> Tensor:
        codes = stored[torch.cdist(noise, centres).argmin(1)] + jitter * noise @ weights
        return (codes / math.sqrt(wide)).sigmoid().view(-1, *SHAPE)

    noise = normal(N, wide, key="noise")
    walked = probe(lambda rows, labels, held: make(rows), noise, None, make(noise), 32, 12)
    assert continuity(walked).verdict == "unranked"


@pytest.mark.parametrize("many", [10, 100])
def test_a_mixture_of_wide_components_is_none(many: int) -> None:
    """However many there are; scikit-learn's, fitted to images, and asked for the component by the nearest centre."""
    images = embedded_digits().train.batch(slice(None)).flatten(1)
    codes = images @ torch.linalg.svd(images - images.mean(0), full_matrices=False).Vh[:12].T
    mixture = GaussianMixture(many, random_state=0, reg_covar=1e-3).fit(codes.double().numpy())
    means, spreads = torch.from_numpy(mixture.means_), torch.linalg.cholesky(torch.from_numpy(mixture.covariances_))
    centres = normal(many, 12, key="components").double()

    def make(noise: Tensor) -> Tensor:
        chosen = torch.cdist(noise.double(), centres).argmin(1)
        found = means[chosen] + torch.einsum("nij,nj->ni", spreads[chosen], noise.double())
        return found.float().view(-1, 1, 3, 4)

    noise = normal(N, 12, key="noise")
    walked = probe(lambda rows, labels, held: make(rows), noise, None, make(noise), 32, 12)
    assert continuity(walked).verdict == "noted"


def test_a_choice_by_a_hash_jumps_wherever_it_is_nudged() -> None:
    """Also where no two images are alike."""

    def make(noise: Tensor) -> Tensor:
        return (0.9 * hashed(noise) + 0.1 * smooth(noise)).clamp(0, 1)

    images, walked = probed(make)
    assert variety(images, walked, images).verdict != "refused"
    assert continuity(walked).verdict == "unranked"


def test_coarse_latents_are_no_table() -> None:
    """A generator of quantised latents jumps as far as one level does, and has no more images than its autoencoder."""
    latents = (2 * normal(N, NOISE, key="latents")).round() / 2
    step = grain(smooth, latents)
    assert step > 0
    images, walked = probed(levels, step)
    assert continuity(walked).verdict == "clear"
    assert variety(images, walked, smooth(latents)).verdict in ("clear", "noted")
    assert grain(smooth, normal(N, NOISE)) == 0  # those that are not discrete have no smallest step


def test_codes_that_hang_on_earlier_codes_are_noted_and_rank() -> None:
    """An autoregressive sampler: where one code changes, so do those after it."""

    def codes(noise: Tensor) -> Tensor:
        first, rest = noise[:, :1].sign(), noise[:, 1:]
        return torch.cat([first, (rest * first + first).mul(2).round() / 2], 1)

    step = grain(smooth, codes(normal(N, NOISE, key="latents")))
    assert step > 0
    _, walked = probed(lambda noise: smooth(codes(noise)), step)
    assert continuity(walked).verdict == "noted"


def test_walks_stay_standard_normal_and_follow_the_largest_change() -> None:
    start, end, at = normal(4000, 3), normal(4000, 3, key="end"), torch.full((4000,), 0.37)
    assert float(along_arc(start, end, at).std()) == pytest.approx(1, abs=0.03)
    assert torch.equal(along_arc(start, end, torch.zeros(4000)), start)

    def step_at(place: float) -> Callable[[Tensor, Tensor], Tensor]:
        return lambda rows, which: (rows > place).float()

    zeros, ones = torch.zeros(5, 1), torch.ones(5, 1)
    walked = walk(step_at(0.3), zeros, ones, along_line, 10)
    assert walked.last.tolist() == [1.0] * 5  # a jump is as large in a thousandth of the way
    walked = walk(lambda rows, which: rows, zeros, ones, along_line, 10)
    assert walked.last.tolist() == pytest.approx([2**-10] * 5)
    assert walked.ends.tolist() == [1.0] * 5


@pytest.mark.parametrize("size", [100, 1000, 20_000])
def test_the_birthday_estimate_holds_the_size_of_a_table(size: int) -> None:
    stored = torch.rand(size, *SHAPE, generator=stream("birthday", size))
    drawn = support(stored[torch.randint(size, (3000,), generator=stream("draws", size))])
    assert drawn.low <= drawn.value <= drawn.high
    assert drawn.low <= 1.1 * size
    assert drawn.high >= 0.9 * size
    if size >= 1000:
        assert drawn.value == pytest.approx(size, rel=0.15)


def test_images_that_are_all_different_are_drawn_from_very_many() -> None:
    drawn = support(torch.rand(3000, *SHAPE, generator=stream("different")))
    assert drawn.met == 0
    assert drawn.low > 500_000
    assert math.isinf(drawn.high)


def splits(n: int = 600) -> tuple[Tensor, Tensor]:
    return torch.rand(n, *SHAPE, generator=stream("test")), torch.rand(n, *SHAPE, generator=stream("train"))


def test_samples_that_know_neither_split_lean_to_none() -> None:
    test, train = splits()
    fresh = torch.rand(N, *SHAPE, generator=stream("fresh"))
    one = memory("pixels", leaning(fresh, test, train))
    assert one.verdict == "clear"
    assert 0.4 < one.value < 0.6


def test_copies_of_train_images_are_no_memory_of_the_test_split() -> None:
    test, train = splits()
    assert memory("pixels", leaning(train[torch.arange(N) % len(train)], test, train)).verdict == "clear"


@pytest.mark.parametrize(("share", "amount"), [(1.0, 0.0), (1.0, 0.1), (0.05, 0.1)])
def test_a_table_of_train_images_does_not_rank_though_each_is_changed_a_little(share: float, amount: float) -> None:
    test, train = splits()
    samples = torch.rand(N, *SHAPE, generator=stream("fresh"))
    kept = int(share * N)
    samples[:kept] = train[torch.arange(kept) % len(train)] + amount * normal(kept, *SHAPE)
    found = leaning(samples, test, train)
    assert copying("pixels", found).verdict == "unranked"
    assert "images of the train split are stored" in copying("pixels", found).sentence
    assert memory("pixels", found).verdict == "clear"


def test_what_has_learned_from_train_images_and_draws_others_is_no_table_of_them() -> None:
    test, train = splits()
    both = torch.cat([train, torch.rand(len(train), *SHAPE, generator=stream("fresh"))])
    blends = 0.6 * both[torch.arange(N) % len(both)] + 0.4 * both[(torch.arange(N) * 7 + 1) % len(both)]
    assert copying("pixels", leaning(blends, test, train)).verdict == "clear"
    assert copying("pixels", leaning(test[torch.arange(N) % len(test)], test, train)).verdict == "clear"


@pytest.mark.parametrize("share", [1.0, 0.05])
def test_test_images_kept_inside_are_found_though_few_samples_are_copies(share: float) -> None:
    test, train = splits()
    samples = torch.rand(N, *SHAPE, generator=stream("fresh"))
    kept = int(share * N)
    samples[:kept] = test[torch.arange(kept) % len(test)] + 0.02 * normal(kept, *SHAPE)
    one = memory("pixels", leaning(samples, test, train))
    assert one.verdict == "refused"
    assert "stored in the model" in one.sentence
    assert leaning(samples, test, train).chance < 1e-6


def test_blends_of_test_images_lean_to_the_test_split() -> None:
    test, train = splits()
    blends = 0.6 * test[torch.arange(N) % 600] + 0.4 * test[(torch.arange(N) * 7 + 1) % 600]
    assert memory("pixels", leaning(blends, test, train)).verdict != "clear"


@pytest.mark.parametrize(("test", "train"), [(0, 0), (5, 3), (20, 0), (400, 380), (3000, 2900)])
def test_the_chance_of_copies_is_scipys_binomial_tail(test: int, train: int) -> None:
    tail = binomtest(test, test + train, 0.5, "greater").pvalue if test + train else 1.0
    assert Leaning(test, train, 0.5, 100, 100).chance == pytest.approx(tail, rel=1e-6)
    assert Leaning(train, test, 0.5, 100, 100).train_chance == pytest.approx(tail, rel=1e-6)


def test_all_of_a_test_split_is_looked_at_though_it_is_larger_and_in_order_of_classes(digits_judge: Judge) -> None:
    """A hundred images of its end are kept inside; only as many test images as train images are compared."""
    digits = embedded_digits()
    whole = Images(*(torch.cat([getattr(one, part) for one in (digits.test, digits.train)]) for part in PARTS))
    order = whole.labels.argsort(stable=True)
    test, train = (Images(whole.pixels[i], whole.labels[i]) for i in (order[::2], order[1::2][:: len(order) // 400]))
    data = replace(digits, test=test, train=train)
    images = test.batch(slice(-100, None)).repeat(5, 1, 1, 1)
    sampled = Sampled(None, torch.zeros(500, 1), None, images, digits_judge.look(images).features)
    real, _ = known_of(digits_judge, digits, 1000)
    known = replace(real, test=digits_judge.look(test.batch(slice(None))), train=real.train[: len(train)])
    found = memories(data, known, sampled, None, torch.arange(len(train)), WITHOUT_BUNDLE)
    assert found[0].verdict == "refused"


def test_one_copied_image_is_not_counted_twice() -> None:
    test, train = splits()
    collapsed = test[:1].expand(500, *SHAPE)
    assert leaning(collapsed, test, train).test == 1
    assert memory("pixels", leaning(collapsed, test, train)).verdict == "clear"  # as may be by chance


def test_an_autoencoder_trained_on_the_test_split_is_seen() -> None:
    linear = Figure(value=0.98, low=0.96, high=1.0)
    assert overfitted(Figure(value=1.02, low=1.0, high=1.04), linear).verdict == "clear"
    assert overfitted(Figure(value=0.6, low=0.55, high=0.65), linear).verdict == "unranked"


INVERSE = torch.linalg.pinv(WEIGHTS / math.sqrt(NOISE))


def encode(images: Tensor) -> Tensor:
    return torch.logit(images.flatten(1), eps=1e-6) @ INVERSE


def decode_by_two(latents: Tensor) -> Tensor:
    """One decoder for latents that were encoded, which are large, and a table for normal ones."""
    return torch.where((latents.norm(dim=1) > 12).view(-1, 1, 1, 1), smooth(latents / 10), table(latents))


def decode_by_gate(latents: Tensor) -> Tensor:
    """Two maps, a soft gate between them: continuous everywhere, but normal latents are answered by another one."""
    gate = ((latents.norm(dim=1) - 12) / 2).sigmoid().view(-1, 1, 1, 1)
    return gate * smooth(latents / 10) + (1 - gate) * smooth(latents[:, torch.tensor([3, 4, 5, 0, 1, 2])])


def decode_by_size(latents: Tensor) -> Tensor:
    """The same images for normal latents as for those ten times as large, a soft gate between the two."""
    gate = ((latents.norm(dim=1) - 12) / 2).sigmoid()[:, None]
    return smooth(gate * latents / 10 + (1 - gate) * latents)


BELONGING: dict[str, tuple[Make, float, set[str]]] = {
    # decoder, scale of what the encoder gives, and what is found
    "one map": (smooth, 1.0, set()),
    "a table for normal latents": (decode_by_two, 10.0, {"one decoder", "latents that come back"}),
    "another map for normal latents": (decode_by_gate, 10.0, {"latents that come back"}),
    "normal latents answered as larger ones": (decode_by_size, 10.0, {"latents that come back"}),
    "one map of wide latents": (lambda latents: smooth(latents / 3), 3.0, set()),
}


@pytest.mark.parametrize("kind", BELONGING)
def test_distances_of_the_prior_rank_only_where_all_parts_are_one_function(kind: str) -> None:
    decode, scale, faults = BELONGING[kind]
    latents, prior = scale * normal(400, NOISE, key="codes"), normal(1000, NOISE, key="prior")
    findings = belonging(lambda images: scale * encode(images), decode, latents, prior, True, 0.0)
    assert {one.name for one in findings if one.verdict != "clear"} == faults
    assert all((one.withheld == PRIOR) == (one.verdict != "clear") for one in findings)


def test_a_decoder_of_hard_choices_ranks_without_its_prior() -> None:
    """Two experts far from test images, of which the better one is asked."""

    def experts(latents: Tensor) -> Tensor:
        return torch.where((latents[:, :1] > 0.5).view(-1, 1, 1, 1), smooth(-latents), smooth(latents))

    latents, prior = 0.1 * normal(400, NOISE, key="codes"), normal(1000, NOISE, key="prior")
    found = belonging(encode, experts, latents, prior, True, 0.0)
    assert found[0].verdict == "noted"
    assert found[0].withheld == PRIOR
    assert gravest(found) is None


def test_samples_of_another_decoder_do_not_come_back() -> None:
    images = torch.rand(50, *SHAPE, generator=stream("images"))
    assert samples_of_decoder(images, images + 0.05, 0.01).verdict == "clear"
    assert samples_of_decoder(images, images + 0.2, 0.01).withheld == PRIOR
