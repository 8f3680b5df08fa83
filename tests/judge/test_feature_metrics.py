"""Metrics in feature space against brute force and other libraries, and what each has to see."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import sklearn.metrics
import sklearn.neighbors
import torch
from torch import Tensor

from latentarena.judge.metrics import (
    class_kl,
    class_kl_of,
    classes_missing_of,
    draws,
    estimate,
    frechet_of,
    gap_to_band,
    gaussian_gap_of,
    kernel_distance_of,
    memberships,
    nearest,
    neighbours,
    probe,
    radii,
    spread_of,
    spreads,
    two_nearest,
    vendi_of,
)
from latentarena.judge.metrics.features import moments
from latentarena.randomness import stream


def normal(*shape: int, key: str = "features") -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


def once(n: int) -> Tensor:
    return torch.ones(1, n, dtype=torch.float64)


def counted(n: int, key: str) -> Tensor:
    """Random counts, (1, n), that sum to n, and zero for some."""
    chosen = torch.randint(n, (n,), generator=stream(key))
    return torch.bincount(chosen, minlength=n).double()[None]


def repeated(x: Tensor, counts: Tensor) -> Tensor:
    return x.repeat_interleave(counts[0].long(), 0)


STATISTICS = {
    "frechet": lambda x: frechet_of(x, torch.zeros(6), torch.eye(6).double()),
    "vendi": vendi_of,
    "gap": gaussian_gap_of,
    "kl": lambda x: class_kl_of((x[:, 0] > 0).long(), torch.tensor([0.3, 0.7])),
    "missing": lambda x: classes_missing_of((x[:, 0] > 0).long(), torch.tensor([0.3, 0.6, 0.1])),
    "spread": lambda x: spread_of(x, (x[:, 0] > 0).long(), torch.tensor([1.0, 2.0]).double()),
    "band": lambda x: gap_to_band(x[:, 0], normal(500, key="real")),
}


@pytest.mark.parametrize("name", STATISTICS)
def test_to_count_an_image_twice_is_to_have_it_twice(name: str) -> None:
    x, counts = normal(80, 6), counted(80, "counts")
    weighted = float(STATISTICS[name](x)(counts))
    assert weighted == pytest.approx(float(STATISTICS[name](repeated(x, counts))(once(80))), rel=1e-9, abs=1e-12)


def test_frechet_distance_equals_scipy_in_float64() -> None:
    x, y = normal(400, 16), 0.7 * normal(300, 16, key="others") + 0.3
    ((m, s),) = moments(y, once(300))
    root = scipy.linalg.sqrtm(np.cov(x.numpy().T) @ np.cov(y.numpy().T)).real
    shift = np.sum((x.numpy().mean(0) - y.numpy().mean(0)) ** 2)
    expected = shift + np.trace(np.cov(x.numpy().T)) + np.trace(np.cov(y.numpy().T)) - 2 * np.trace(root)
    assert float(frechet_of(x, m, s)(once(400))) == pytest.approx(expected, abs=1e-6)


def test_kernel_distance_equals_sklearns_kernel_and_the_unbiased_formula() -> None:
    x, y = normal(60, 5), normal(50, 5, key="others") + 0.5
    kxx, kyy, kxy = (
        sklearn.metrics.pairwise.polynomial_kernel(a.numpy(), b.numpy(), degree=3, gamma=1 / 5, coef0=1)
        for a, b in ((x, x), (y, y), (x, y))
    )
    expected = (kxx.sum() - np.trace(kxx)) / (60 * 59) + (kyy.sum() - np.trace(kyy)) / (50 * 49) - 2 * kxy.mean()
    assert float(kernel_distance_of(x, y)(once(60))) == pytest.approx(expected, rel=1e-10)


def test_kernel_distance_is_zero_on_average_for_one_distribution() -> None:
    values = [
        float(kernel_distance_of(normal(60, 4, key=f"a{i}"), normal(60, 4, key=f"b{i}"))(once(60))) for i in range(60)
    ]
    mean, error = np.mean(values), np.std(values) / np.sqrt(60)
    assert abs(mean) < 4 * error
    assert min(values) < 0 < max(values)


def test_a_replicate_of_the_kernel_distance_leaves_pairs_of_an_image_with_itself_out() -> None:
    x, y, counts = normal(30, 4), normal(40, 4, key="others"), counted(30, "k")
    rows, weights = x.numpy(), counts[0].numpy()
    k = (rows @ rows.T / 4 + 1) ** 3
    w = np.outer(weights, weights)
    np.fill_diagonal(w, 0)
    across = ((rows @ y.numpy().T / 4 + 1) ** 3).mean(1) @ weights / weights.sum()
    ky = (y.numpy() @ y.numpy().T / 4 + 1) ** 3
    expected = (w * k).sum() / w.sum() + (ky.sum() - np.trace(ky)) / (40 * 39) - 2 * across
    assert float(kernel_distance_of(x, y)(counts)) == pytest.approx(expected, rel=1e-10)


def brute_force(real: np.ndarray, fake: np.ndarray, k: int) -> dict[str, float]:
    """Precision, recall, density and coverage as their papers define them, pair by pair."""

    def reach(points: np.ndarray) -> np.ndarray:
        tree = sklearn.neighbors.NearestNeighbors(n_neighbors=k + 1, algorithm="brute").fit(points)
        return tree.kneighbors(points)[0][:, -1]

    between = np.sqrt(((real[:, None] - fake[None]) ** 2).sum(2))  # (real, fake)
    in_real, in_fake = between <= reach(real)[:, None], between <= reach(fake)[None]
    return {
        "precision": in_real.any(0).mean(),
        "recall": in_fake.any(1).mean(),
        "density": in_real.sum(0).mean() / k,
        "coverage": in_real.any(1).mean(),
    }


@pytest.mark.parametrize("shift", [0.0, 0.5, 2.0, 9.0])
@pytest.mark.parametrize("k", [3, 5])
def test_neighbourhood_metrics_equal_brute_force(shift: float, k: int) -> None:
    real, fake = normal(250, 7), 0.8 * normal(180, 7, key="fake") + shift
    found = memberships(fake, real, radii(real, k), k)
    for name, expected in brute_force(real.numpy(), fake.numpy(), k).items():
        assert float(getattr(found, name)(once(180))) == pytest.approx(expected, abs=1e-12), name


def test_a_replicate_of_precision_density_and_coverage_is_that_of_the_images_drawn() -> None:
    real, fake, counts = normal(150, 5), normal(120, 5, key="fake") + 0.7, counted(120, "m")
    found, drawn = memberships(fake, real, radii(real)), repeated(fake, counts)
    expected = brute_force(real.numpy(), drawn.numpy(), 5)
    for name in ("precision", "density", "coverage"):
        assert float(getattr(found, name)(counts)) == pytest.approx(expected[name], abs=0.01), name


def test_the_interval_of_coverage_is_the_jackknifes() -> None:
    """Every generated image left out in turn; the real ones' balls stay as they are."""
    real, fake = normal(150, 5), normal(60, 5, key="fake") + 0.7
    found = memberships(fake, real, radii(real)).covered()
    rest = [torch.cat([fake[:i], fake[i + 1 :]]) for i in range(60)]
    without = np.array([brute_force(real.numpy(), one.numpy(), 5)["coverage"] for one in rest])
    half = 1.96 * np.sqrt(59 / 60 * ((without - without.mean()) ** 2).sum())
    assert found.value == pytest.approx(brute_force(real.numpy(), fake.numpy(), 5)["coverage"], abs=1e-12)
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half), abs=1e-12)


def test_the_interval_of_coverage_holds_what_fresh_samples_give() -> None:
    real = normal(1500, 6)
    reach = radii(real)
    found = [memberships(normal(150, 6, key=f"draw {i}"), real, reach).covered() for i in range(80)]
    truth = np.mean([one.value for one in found])
    assert sum(one.low <= truth <= one.high for one in found) >= 74  # of 80 at 95 %: 76; a bootstrap's held 65


def test_vendi_counts_equally_frequent_orthogonal_images() -> None:
    for different in (1, 3, 8):
        x = torch.eye(8).double()[torch.arange(240) % different]
        assert float(vendi_of(x)(once(240))) == pytest.approx(different, abs=1e-9)


def test_spread_is_one_for_the_reference_itself_and_falls_with_collapse() -> None:
    x, labels = normal(300, 6), torch.arange(300) % 3
    real = spreads(x, labels, 3, once(300))[0]
    assert float(spread_of(x, labels, real)(once(300))) == pytest.approx(1, abs=1e-12)
    assert float(spread_of(0.5 * x, labels, real)(once(300))) == pytest.approx(0.5, abs=1e-12)
    only = labels == 0
    assert float(spread_of(x[only], labels[only], real)(once(100))) == pytest.approx(1 / 3, abs=1e-12)


def test_spreads_equal_numpy() -> None:
    x, labels = normal(90, 4), torch.arange(90) % 2
    expected = [np.sqrt(x[labels == k].numpy().var(0).sum()) for k in (0, 1)]
    assert spreads(x, labels, 2, once(90))[0].tolist() == pytest.approx(expected, rel=1e-10)


def test_gap_to_the_band_is_zero_inside_and_the_same_on_both_sides() -> None:
    real = normal(4000, key="real")
    for sign in (-1, 1):
        shifted = normal(1000, key="own") - normal(1000, key="own").mean() + real.mean() + 0.5 * sign
        assert float(gap_to_band(shifted, real)(once(1000))) == pytest.approx(
            0.5 - 1.96 * float(real.std()) / 1000**0.5, abs=2e-3
        )
    assert float(gap_to_band(real[:1000] - real[:1000].mean() + real.mean(), real)(once(1000))) == 0


def test_class_kl_as_a_statistic_is_class_kl() -> None:
    labels, frequencies = torch.arange(100) % 4, torch.full((5,), 0.2)
    assert float(class_kl_of(labels, frequencies)(once(100))) == class_kl(labels, frequencies)


def test_rare_classes_are_missing_and_unknown_ones_are_not() -> None:
    labels = torch.tensor([0] * 990 + [1] * 10)
    assert float(classes_missing_of(labels, torch.tensor([0.5, 0.5, 0.0]))(once(1000))) == 1
    assert float(classes_missing_of(labels, torch.tensor([0.95, 0.05, 0.0]))(once(1000))) == 0


def test_gaussian_gap_has_its_closed_form_and_vanishes_for_the_prior() -> None:
    x = normal(200_000, 3)
    assert float(gaussian_gap_of(x)(once(len(x)))) == pytest.approx(0, abs=1e-4)
    wide = 2 * x + 1  # KL(N(1, 4) || N(0, 1)) = (4 - 1 - log 4 + 1) / 2
    assert float(gaussian_gap_of(wide)(once(len(x)))) == pytest.approx(0.5 * (4 - 1 - np.log(4) + 1), abs=0.02)
    assert float(gaussian_gap_of(0 * x)(once(len(x)))) > 5  # collapsed, and finite


def test_a_probe_reads_what_is_linear_and_no_more() -> None:
    x = normal(600, 5)
    labels = (x[:, 0] > 0).long()
    assert float(probe(x[:300], labels[:300], x[300:], labels[300:]).double().mean()) > 0.95
    guessed = torch.randint(2, (600,), generator=stream("guess"))
    assert float(probe(x[:300], guessed[:300], x[300:], guessed[300:]).double().mean()) < 0.65


def pictures(n: int, size: int = 28, key: str = "train") -> Tensor:
    """Random pictures, uint8 (n, 1, size, size)."""
    return torch.randint(256, (n, 1, size, size), generator=stream(key), dtype=torch.uint8)


def smooth_pictures(n: int, key: str) -> Tensor:
    """Pictures of few degrees of freedom, which a projection tells nearly all of, uint8 (n, 1, 28, 28)."""
    coarse = torch.rand(n, 1, 4, 4, generator=stream(key))
    return (torch.nn.functional.interpolate(coarse, (28, 28), mode="bilinear") * 255).to(torch.uint8)


@pytest.mark.parametrize("dearer", [0, neighbours.DEARER], ids=["by directions", "as few are sought"])
@pytest.mark.parametrize("kind", ["small", "random", "smooth", "off the data"])
def test_nearest_train_images_equal_sklearns(kind: str, dearer: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(neighbours, "DEARER", dearer)
    size = 8 if kind == "small" else 28
    drawn = smooth_pictures if kind in ("smooth", "off the data") else lambda n, key: pictures(n, size, key)
    train, images = drawn(700, "train"), drawn(40, "other").float() / 255
    images = pictures(40, size, "far").float() / 255 if kind == "off the data" else images
    tree = sklearn.neighbors.NearestNeighbors(n_neighbors=2, algorithm="brute").fit(train.flatten(1).numpy() / 255.0)
    distance, index = tree.kneighbors(images.flatten(1).double().numpy())
    found = nearest(images, train)
    assert found.index.tolist() == index[:, 0].tolist()
    assert found.first.tolist() == pytest.approx(distance[:, 0].tolist(), rel=1e-6)
    assert found.second.tolist() == pytest.approx(distance[:, 1].tolist(), rel=1e-6)


def test_directions_are_found_only_where_many_are_sought(monkeypatch: pytest.MonkeyPatch) -> None:
    """They cost more than to compare the pixels of a few hundred."""
    found, train = list[int](), pictures(300, 16)
    leading = neighbours._leading
    monkeypatch.setattr(neighbours, "_leading", lambda centred: found.append(len(centred)) or leading(centred))
    nearest(pictures(50, 16, "few").float() / 255, train)
    assert found == []
    nearest(pictures(2300, 16, "many").float() / 255, train)
    assert found == [300]


@pytest.mark.parametrize("n", [3, 40, 1300])
def test_nearest_others_of_the_same_rows_equal_brute_force(n: int) -> None:
    rows = normal(n, 6).float()
    apart = torch.cdist(rows.double(), rows.double(), compute_mode="donot_use_mm_for_euclid_dist")
    two = apart.fill_diagonal_(torch.inf).topk(2, largest=False)
    index, first, second = two_nearest(rows, rows, but_itself=True)
    assert index.tolist() == two.indices[:, 0].tolist()
    torch.testing.assert_close(torch.stack([first, second], 1), two.values)


def test_a_row_that_is_there_twice_has_itself_for_a_neighbour() -> None:
    rows = torch.cat([normal(5, 6), normal(5, 6)]).float()
    index, first, _ = two_nearest(rows, rows, but_itself=True)
    assert index.tolist() == [5, 6, 7, 8, 9, 0, 1, 2, 3, 4]
    assert first.tolist() == [0.0] * 10


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_copies_are_found_and_their_origin_named(noise: float) -> None:
    train = pictures(200)
    copied = train[[5, 17, 60]].float() / 255 + noise * normal(3, 1, 28, 28).float()
    images = torch.cat([copied, pictures(3, key="new").float() / 255]).clamp(0, 1)
    found = nearest(images, train)
    assert found.index[:3].tolist() == [5, 17, 60]
    assert found.copies.tolist() == [True] * 3 + [False] * 3


def test_an_image_that_the_train_split_holds_twice_is_a_copy() -> None:
    train = pictures(50)
    train[1] = train[0]
    assert bool(nearest(train[:1].float() / 255, train).copies)


def test_intervals_of_all_statistics_hold_their_value() -> None:
    x, counts = normal(120, 6), draws(120)
    for name, statistic in STATISTICS.items():
        found = estimate(statistic(x), counts)
        assert found.low <= found.value <= found.high, name
