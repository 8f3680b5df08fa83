"""Laws of couplings, low-discrepancy times and loss weightings."""

from __future__ import annotations

import itertools

import numpy as np
import ot
import pytest
import torch
from torch import Tensor

from latentarena.process import (
    COUPLINGS,
    PATHS,
    TARGETS,
    TIMES,
    WEIGHTINGS,
    denoiser,
    matching_loss,
    optimal_transport,
)
from latentarena.randomness import Draws, stream


def normal(*shape: int, key: str) -> Tensor:
    """Standard normal float64 numbers, the same for the same key."""
    return torch.randn(*shape, generator=stream(key), dtype=torch.float64)


def cost(data: Tensor, noise: Tensor) -> float:
    """Total squared distance of pairs."""
    return float((data - noise).square().sum())


@pytest.mark.parametrize("name", COUPLINGS)
@pytest.mark.parametrize("shape", [(3,), (2, 4, 4)], ids=str)
def test_coupling_only_reorders_the_noise(name: str, shape: tuple[int, ...]) -> None:
    data, noise = normal(16, *shape, key="data"), normal(16, *shape, key="noise")
    kept = data.clone()
    coupled = COUPLINGS[name](data, noise)
    assert torch.equal(data, kept)
    assert sorted(map(tuple, coupled.flatten(1).tolist())) == sorted(map(tuple, noise.flatten(1).tolist()))


def test_optimal_transport_is_the_best_of_all_permutations() -> None:
    data, noise = normal(6, 3, key="data"), normal(6, 3, key="noise")
    best = min(cost(data, noise[list(order)]) for order in itertools.permutations(range(6)))
    assert cost(data, optimal_transport(data, noise)) == pytest.approx(best, rel=1e-6)


def test_optimal_transport_agrees_with_pot() -> None:
    data, noise = normal(128, 5, key="data"), normal(128, 5, key="noise")
    plan = np.full(128, 1 / 128)
    expected = ot.emd2(plan, plan, ot.dist(data.numpy(), noise.numpy()))
    assert cost(data, optimal_transport(data, noise)) / 128 == pytest.approx(expected, rel=1e-6)


def test_labels_stay_with_their_data() -> None:
    """The network sees x = (1 - t) data + t noise: at t near 0 the data, which must carry its own label."""
    data = torch.arange(8.0)[:, None] * 100
    labels = torch.arange(8)
    seen: list[Tensor] = []

    def network(x: Tensor, t: Tensor, given: Tensor | None) -> Tensor:
        assert given is not None
        seen.append((x[:, 0] / 100 / (1 - t)).round().long() - given)
        return torch.zeros_like(x)

    early = lambda draws, n: 0.01 * draws.uniform(n)  # noqa: E731
    path, target = PATHS["straight"](), TARGETS["velocity"]
    matching_loss(network, path, target, early, data, labels, Draws(stream("ot")), optimal_transport)
    assert not seen[0].any()


@pytest.mark.parametrize("world", [1, 2, 4])
def test_low_discrepancy_times_hit_every_stratum_once_over_all_processes(world: int) -> None:
    parts = [TIMES["low_discrepancy"](Draws(stream("t"), rank, world), 64 // world) for rank in range(world)]
    times = torch.cat(parts)
    assert sorted((times * 64).floor().int().tolist()) == list(range(64))
    assert torch.equal(times, TIMES["low_discrepancy"](Draws(stream("t")), 64))


@pytest.mark.parametrize("path_name", ["vp_linear", "vp_cosine"])
@pytest.mark.parametrize("target_name", TARGETS)
def test_weighting_measures_the_same_error_whatever_is_predicted(path_name: str, target_name: str) -> None:
    """The weighted error of a row equals the error of the estimate it implies, times the named factor of SNR."""
    path, target = PATHS[path_name](), TARGETS[target_name]
    t = torch.linspace(*path.span, 9, dtype=torch.float64)
    data, noise = normal(9, 4, key="data"), normal(9, 4, key="noise")
    at = path.at(t, data)
    x, (p, q) = at.mix(data, noise), target(at)
    off = normal(9, 4, key="error")
    wrong = p * data + q * noise + off
    estimate = denoiser(lambda x, t, labels: wrong, path, target)(x, t, None)
    snr = (at.alpha / at.sigma) ** 2
    expected = {
        "none": off**2,
        "data": (estimate.data - data) ** 2,
        "noise": (estimate.noise - noise) ** 2,
        "velocity": (at.velocity(estimate.data, estimate.noise) - at.velocity(data, noise)) ** 2,
        "min_snr": snr.clamp(max=5) * (estimate.data - data) ** 2,
    }
    assert set(expected) == set(WEIGHTINGS)
    for name, error in expected.items():
        torch.testing.assert_close(WEIGHTINGS[name](at, (p, q)) * off**2, error, rtol=1e-6, atol=1e-9)
