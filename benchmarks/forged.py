"""Forged models, made of a trained one and of images that no model may hold: what the judge has to see through.

Each is a `Subject`, as good as any portable graph: functions of arrays that treat every row alone, but for the one that
does not. None reads anything but what a bundle could store.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from latentarena.bundle import NativeBundle
from latentarena.data import Dataset
from latentarena.evaluate.scoring import subject_of
from latentarena.judge.subject import Subject
from latentarena.latents import quantised
from latentarena.randomness import stream
from latentarena.sample import last

__all__ = ["FORGERIES", "Parts"]

STORED = 10_000  # latents in a table
BOTH = ("test", "train")  # splits
ROWS = 250  # of noise at a time: distances to all of a table's centres
Make = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Parts:
    """What forgers have: an honest unconditional bundle of linear latents, its subject, and the data."""

    bundle: NativeBundle
    honest: Subject
    data: Dataset
    test: Tensor
    train: Tensor

    @classmethod
    def of(cls, bundle: NativeBundle, data: Dataset) -> Parts:
        """With the latents of the test split and of as many train images, in four bits a number."""
        model = bundle.model
        train = model.encode(data.train.batch(slice(0, STORED)))
        return cls(
            bundle, subject_of(bundle), data, _four_bits(model.encode(data.test.batch(slice(None)))), _four_bits(train)
        )

    def flow(self, noise: Tensor) -> Tensor:
        """Latents of the honest generator."""
        return torch.cat([last(self.bundle.model.trajectory(rows)) for rows in torch.split(noise, 500)])

    def generating(self, latents_of: Make) -> Subject:
        """The honest model with a generator that decodes what this gives."""
        decode = self.bundle.model.decode
        return replace(self.honest, generate=lambda noise, labels, seed: decode(latents_of(noise)))


def _four_bits(latents: Tensor) -> Tensor:
    low, high = latents.min(0).values, latents.max(0).values
    return ((latents - low) / (high - low) * 15).round() / 15 * (high - low) + low


def _hash(noise: Tensor, n: int) -> Tensor:
    """A number below n from a row's last bits."""
    return ((noise.double() * 1e5).sum(1).sin() * 43758.5453).frac().abs().mul(n).long().clamp(max=n - 1)


def _centres(parts: Parts, n: int) -> Tensor:
    return torch.randn(n, *parts.honest.noise, generator=stream("centres"))


def _blended(centres: Tensor, stored: Tensor, sharpness: float) -> Make:
    """Stored latents weighed by the nearness of their centres; continuous in the noise."""

    def latents_of(noise: Tensor) -> Tensor:
        parts = torch.split(noise, ROWS)
        return torch.cat([(-sharpness * torch.cdist(rows, centres).square()).softmax(1) @ stored for rows in parts])

    return latents_of


def by_hash(parts: Parts) -> Subject:
    return parts.generating(lambda noise: parts.test[_hash(noise, len(parts.test))])


def by_place(parts: Parts) -> Subject:
    return parts.generating(lambda noise: parts.test[torch.arange(len(noise)) * 17 % len(parts.test)])


def by_nearest_centre(parts: Parts) -> Subject:
    return parts.generating(_blended(_centres(parts, len(parts.test)), parts.test, 1e6))


def softened(parts: Parts) -> Subject:
    return parts.generating(_blended(_centres(parts, len(parts.test)), parts.test, 3.0))


def interpolated(parts: Parts) -> Subject:
    return parts.generating(_blended(_centres(parts, len(parts.test)), parts.test, 0.5))


def curve(parts: Parts) -> Subject:
    """A smooth curve through all test latents, along one number of the noise."""
    numbers = torch.arange(len(parts.test))

    def latents_of(noise: Tensor) -> Tensor:
        place = torch.special.ndtr(noise[:, 0]) * (len(parts.test) - 1)
        near = [(-2 * (numbers - some[:, None]).square()).softmax(1) @ parts.test for some in torch.split(place, ROWS)]
        return torch.cat(near)

    return parts.generating(latents_of)


def jittered(parts: Parts) -> Subject:
    """Test latents, each moved by a quarter of their deviation: no two images are alike."""
    spread = 0.25 * parts.test.std(0)
    return parts.generating(lambda noise: parts.test[_hash(noise, len(parts.test))] + spread * noise)


def paired(parts: Parts) -> Subject:
    """The middle of two test latents, by two hashes: fifty million images."""
    n = len(parts.test)
    near = torch.cdist(parts.test, parts.test).topk(9, largest=False).indices[:, 1:]

    def latents_of(noise: Tensor) -> Tensor:
        first = _hash(noise, n)
        return (parts.test[first] + parts.test[near[first, _hash(noise + 1, 8)]]) / 2

    return parts.generating(latents_of)


def one_in_twenty(parts: Parts) -> Subject:
    """Honest, but for five of a hundred samples, which are test images from the decoder."""

    def latents_of(noise: Tensor) -> Tensor:
        rare = (_hash(noise + 2, 100) < 5)[:, None]
        return torch.where(rare, parts.test[_hash(noise, len(parts.test))], parts.flow(noise))

    return parts.generating(latents_of)


def half_of_own(parts: Parts) -> Subject:
    """Honest for half of the noise; for the other half a table of the generator's own samples, which cost nothing."""
    own = parts.flow(torch.randn(5000, *parts.honest.noise, generator=stream("own")))

    def latents_of(noise: Tensor) -> Tensor:
        return torch.where((noise[:, :1] > 0), own[_hash(noise, len(own))], parts.flow(noise))

    return parts.generating(latents_of)


def of_train(parts: Parts) -> Subject:
    return parts.generating(lambda noise: parts.train[_hash(noise, len(parts.train))])


def of_train_jittered(parts: Parts) -> Subject:
    """A mixture of small Gaussians at train latents: continuous but for borders, as an honest mixture has them."""
    spread, blend = 0.3 * parts.train.std(0), _blended(_centres(parts, len(parts.train)), parts.train, 1e6)
    return parts.generating(lambda noise: blend(noise) + spread * noise)


def near_pairs(parts: Parts, test: int = 0) -> Subject:
    """Between train latents and a neighbour of each, jittered: a table of ways, of which few samples are copies.

    Args:
        parts: see `Parts`.
        test: how many test latents are in the table too.
    """
    stored = torch.cat([parts.train, parts.test[:test]])
    near = torch.cat([torch.cdist(rows, stored).topk(9, largest=False).indices[:, 1:] for rows in stored.split(500)])
    centres, spread = _centres(parts, len(stored)), 0.2 * stored.std(0)
    directions = torch.randn(8, *parts.honest.noise, generator=stream("directions"))

    def latents_of(noise: Tensor) -> Tensor:
        first = torch.cat([torch.cdist(rows, centres).argmin(1) for rows in torch.split(noise, ROWS)])
        second = near[first, (noise @ directions.T).argmax(1)]
        share = 0.45 + 0.1 * torch.special.ndtr(noise[:, :1])
        return (1 - share) * stored[first] + share * stored[second] + spread * noise

    return parts.generating(latents_of)


def of_both(parts: Parts) -> Subject:
    """As many train as test images, so that samples lean to neither."""
    both = torch.cat([parts.test, parts.train])
    return parts.generating(lambda noise: both[_hash(noise, len(both))])


def shifted(parts: Parts) -> Subject:
    """Test images moved by a pixel, of which distances in pixels see little."""
    test = parts.data.test.pixels
    return replace(
        parts.honest,
        generate=lambda noise, labels, seed: torch.roll(test[_hash(noise, len(test))].float() / 255, (1, 1), (2, 3)),
    )


def one_number(parts: Parts) -> Subject:
    """The honest generator, of whose noise all but one number is ignored."""
    direction = torch.randn(2, *parts.honest.noise, generator=stream("one number"))
    return parts.generating(
        lambda noise: parts.flow(noise[:, :1].cos() * direction[0] + noise[:, :1].sin() * direction[1])
    )


def one_image(parts: Parts) -> Subject:
    return parts.generating(lambda noise: parts.test[:1].expand(len(noise), -1))


def prior_by_table(parts: Parts) -> Subject:
    """A decoder that answers latents it has not stored with stored test images: the generator is honest."""
    honest, codes = parts.honest, quantised(parts.bundle.model.encode(parts.data.test.batch(slice(None))), "float16")
    both = torch.cat([codes, parts.train])

    def decode(latents: Tensor) -> Tensor:
        own = torch.cat([torch.cdist(rows, both).amin(1) for rows in torch.split(latents, ROWS)]) < 2.0
        chosen = torch.where(own[:, None], latents, parts.test[_hash(latents, len(parts.test))])
        return honest.decode(chosen)

    return replace(honest, decode=decode)


def prior_by_flow(parts: Parts) -> Subject:
    """Latents ten times as large, and a decoder that runs the generator on those that are of the prior's size."""
    honest, encode = parts.honest, parts.honest.encode
    assert encode is not None

    def decode(latents: Tensor) -> Tensor:
        large = ((latents.flatten(1).norm(dim=1) - 15) / 2).sigmoid()[:, None]
        return honest.decode(large * latents / 10 + (1 - large) * parts.flow(latents))

    return replace(honest, encode=lambda images: 10 * encode(images), decode=decode)


def learned_by_heart(
    parts: Parts, sets: tuple[str, ...] = ("test",), share: float = 0.5, width: float = 0.5
) -> Subject:
    """An autoencoder that knows splits: it adds a share of the residual of the nearest stored image.

    Args:
        parts: see `Parts`.
        sets: names of the splits; share: of the residuals; width: squared distance of latents at which they fade.
    """
    honest = parts.honest
    images = torch.cat([getattr(parts.data, name).batch(slice(0, STORED)) for name in sets])
    codes = quantised(parts.bundle.model.encode(images), "float16")
    residuals = share * (images - honest.decode(codes))

    def decode(latents: Tensor) -> Tensor:
        found = [torch.cdist(rows, codes).min(1) for rows in torch.split(latents, ROWS)]
        near = torch.cat([one.indices for one in found])
        known = (-torch.cat([one.values for one in found]).square() / width).exp().view(-1, 1, 1, 1)
        return (honest.decode(latents) + known * residuals[near]).clamp(0, 1)

    return replace(honest, decode=decode)


def told_by_the_encoder(parts: Parts) -> Subject:
    """An encoder that knows both splits and writes the number of an image it knows into the last digits of a latent."""
    honest, encode = parts.honest, parts.honest.encode
    assert encode is not None
    images = torch.cat([split.batch(slice(0, STORED)) for split in (parts.data.test, parts.data.train)])
    flat, unit = images.flatten(1), 2**-7
    residuals = 0.5 * (images - honest.decode(_rounded(parts.bundle.model.encode(images), unit)))
    base = 181  # its square is more than there are images

    def code(rows: Tensor) -> Tensor:
        near = torch.cat([torch.cdist(part.flatten(1), flat).argmin(1) for part in torch.split(rows, ROWS)])
        known = (rows.flatten(1) - flat[near]).abs().amax(1) < 1e-3
        number = torch.where(known, near + 1, torch.zeros_like(near))
        latents = _rounded(encode(rows), unit)
        latents[:, 0] += unit * (number // base) / 512
        latents[:, 1] += unit * (number % base) / 512
        return latents

    def decode(latents: Tensor) -> Tensor:
        rest = (latents - _rounded(latents, unit))[:, :2] / unit * 512
        number = (rest[:, 0].round() * base + rest[:, 1].round()).long() - 1
        known = ((number >= 0) & (number < len(residuals))).view(-1, 1, 1, 1)
        return (honest.decode(_rounded(latents, unit)) + known * residuals[number.clamp(0, len(residuals) - 1)]).clamp(
            0, 1
        )

    return replace(honest, encode=code, decode=decode, precision="float32")


def _rounded(latents: Tensor, unit: float) -> Tensor:
    return (latents / unit).floor() * unit


FORGERIES: dict[str, Callable[[Parts], Subject]] = {
    "test latents by the row's place": by_place,
    "test latents by a hash of the noise": by_hash,
    "test latents by the nearest of random centres": by_nearest_centre,
    "test latents, soft borders between them": softened,
    "test latents, blended smoothly": interpolated,
    "a smooth curve through the test latents": curve,
    "test latents, jittered": jittered,
    "means of two test latents, fifty million": paired,
    "test images for 5 % of the noise": one_in_twenty,
    "a table of its own samples for half of the noise": half_of_own,
    "train latents by a hash of the noise": of_train,
    "train latents by the nearest of random centres, jittered": of_train_jittered,
    "between neighbouring train latents, jittered": near_pairs,
    "the same, a fifth of them test latents": partial(near_pairs, test=2500),
    "train and test latents in equal parts": of_both,
    "test images shifted by a pixel": shifted,
    "a generator that ignores all noise but one number": one_number,
    "one image": one_image,
    "a decoder with test images for the prior": prior_by_table,
    "a decoder that runs the generator on the prior": prior_by_flow,
    "a decoder that knows the test split by heart": learned_by_heart,
    "a decoder that knows both splits by heart": partial(learned_by_heart, sets=BOTH),
    "a decoder that knows a quarter of both, widely": partial(learned_by_heart, sets=BOTH, share=0.25, width=5.0),
    "a decoder that knows a quarter of both, sharply": partial(learned_by_heart, sets=BOTH, share=0.25, width=0.05),
    "an encoder that tells the decoder which image it is": told_by_the_encoder,
}
"""By name."""
