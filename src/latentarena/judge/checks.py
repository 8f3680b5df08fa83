"""Whether a model is a model: checks for tables of images, for memories of test images, and for parts of two functions.

Limits are what the lab's recipes keep with room to spare, trained for half a minute as well as in full, and forged
models break; `benchmarks/forgeries.py` measures both. Evidence refuses a bundle: images of the test split kept inside,
which no honest model can know, and tables. What could be a poor model too is a suspicion, or only noted.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from latentarena.card.figure import Figure
from latentarena.card.finding import Finding
from latentarena.judge.continuity import NUDGE, STEP, TURN, Probe, along_line, apart, typical, walk
from latentarena.judge.heart import ByHeart
from latentarena.judge.memory import Leaning, Support, support
from latentarena.judge.metrics.latents import gaussian_gap_of
from latentarena.judge.metrics.neighbours import two_nearest

PRIOR = ("prior_confidence", "prior_entropy", "prior_frechet")
WALKS, DEPTH = 32, 12  # through the noise; halvings of the way, which is a quarter of a circle
JUMP, GRAINS = 0.25, 1.5  # of what two samples differ by; of the grain of discrete latents
JUMPING = 0.05  # share of walks, and of nudges
UNTURNED, STILL = 0.003, 0.25  # of what the whole walk changes, in its first sixteenth; share of walks
MOVING, BORDERS = 0.6, 0.16  # of what the whole walk changes, at the pace between jumps; share of turns with a jump
UNUSED, BY_LUCK = 0.5, 1e-3  # share of pairs of noise; the probability that a model of just a share is accused
SMALL = 100_000  # different images: an honest generator has more
COARSE = 0.1  # of the different reconstructions: the autoencoder itself has no more images
COPIES, CHANCE = 20, 1e-6  # images of a split that samples are copies of, and the probability of so many by chance
LEANING, DEVIATIONS = 0.06, 2.0  # nearer to the test split, above one half; that of few images is left to chance
RETURNED, CHOICES = 0.2, 100  # share of latents that are known again among so many, once decoded and encoded
NEAR_REAL = 100  # times the distance of real images: how far from them images of the prior must at least be
ELSEWHERE = 4.0  # nats between latents of test images and N(0, I), for which a decoder can tell the two
CYCLE = 1.0  # error of reconstructed samples, over that of test images
OVERFITTED = 0.9  # of what principal components have
HARDER, BENT = 1.5, 2.0  # moved images, beside those that they are made of; honest models stay below 1.25 and 1.5


def continuity(found: Probe) -> Finding:
    """Small changes of the noise are small changes of the image.

    Borders here and there are what hard choices make, as of a mixture's component or of a candidate: only noted, unless
    the image stands still between them, or there are many and it stays near what is stored: that it does by itself
    where latents are discrete. A table by a hash, or a curve through many images, jumps wherever it is nudged.
    """
    jumps, nudged = _jumps(found), found.nudged > _jump(found.typical, found.grain)
    share, limit = float(nudged.double().mean()), _by_luck(len(nudged), JUMPING)
    borders = _has_borders(jumps)
    stored = borders and found.grain == 0 and (_stands_still(found) or _stays_near(found))
    return Finding(
        name="small changes of the noise",
        value=share,
        limit=limit,
        verdict="unranked" if share > limit or stored else "noted" if borders else "clear",
        sentence=f"{int(nudged.sum())} of {len(jumps)} tiny changes of the noise, and on {int(jumps.sum())} of as many "
        f"walks through it some, change the image by more than {JUMP:.0%} of what two samples differ by"
        + (", between which it stays near what is stored: a table of images" if stored else ""),
    )


def _jumps(found: Probe) -> Tensor:
    """Walks on which the image jumps, (M,)."""
    limit = _jump(found.typical, found.grain)
    return (found.walk.last > limit) | (found.nudged > limit)


def _jump(usual: float, grain: float) -> float:
    """A change of an image that no smooth function makes in the smallest step; discrete latents make larger ones."""
    return max(JUMP * usual, GRAINS * grain)


def used(found: Probe) -> Finding:
    """Different noise makes different images, in surely one half of the pairs or more.

    A model that collapsed gives one image for about every second pair: that so few pairs are a little more than one
    half says nothing, so the limit is what a model at one half keeps but once in a thousand times.
    """
    idle = found.walk.ends <= STEP
    share, limit = float(idle.double().mean()), _by_luck(len(idle), UNUSED)
    return Finding(
        name="noise that is not used",
        value=share,
        limit=limit,
        verdict="clear" if share <= limit else "unranked",
        sentence=f"{int(idle.sum())} of {len(idle)} pairs of independent noise give one and the same image",
    )


def _has_borders(jumps: Tensor) -> bool:
    """Whether the image jumps on too many walks."""
    return float(jumps.double().mean()) > JUMPING


def _by_luck(n: int, share: float) -> float:
    """The share of n trials that a model of this share exceeds by luck alone, with the probability `BY_LUCK`."""
    from scipy.special import bdtrc  # not where a bundle is only opened

    more = bdtrc(np.arange(n + 1), n, share)  # the probability of more than so many
    return int((more <= BY_LUCK).argmax()) / n


def variety(images: Tensor, found: Probe | None, reconstructions: Tensor | None) -> Finding:
    """Fresh noise makes fresh images.

    Few images that stand still while the noise turns, and then are others, are a table; unless the model's autoencoder
    has no more images than that, as one of few discrete latents.

    Args:
        images: samples, (N, C, H, W).
        found: what the generator did on walks; None if it cannot be asked.
        reconstructions: of test images, (M, C, H, W), or None for a model of pixels.
    """
    drawn, n = support(images), len(images)
    few = drawn.high < SMALL
    still = few and found is not None and (_stands_still(found) or _has_borders(_jumps(found)))
    table = still and not (reconstructions is not None and drawn.high > COARSE * support(reconstructions).low)
    said = "no two are alike" if drawn.met == 0 else f"{drawn.met:.2%} of {n:,} samples have an equal among the others"
    words = f"{said}, so the model draws from {_number(drawn)} different images"
    if table:
        words += ", and while the noise turns the image stands still or jumps to another: a table of images"
    return Finding(
        name="different images",
        value=drawn.met,
        limit=-math.expm1(-(n - 1) / SMALL),
        verdict="refused" if table else "noted" if few else "clear",
        sentence=words,
    )


def _stands_still(found: Probe) -> bool:
    """Whether the image does nothing for a turn of the noise on too many walks whose ends differ."""
    still = (found.walk.ends * UNTURNED).clamp(max=STEP)  # a pale image changes little, and yet in proportion
    standing = (found.turned <= still) & (found.walk.ends > JUMP * found.typical)
    return bool(standing.double().mean() > STILL)


def _stays_near(found: Probe) -> bool:
    """Whether the image jumps on too many turns and, at its pace between jumps, would not get from noise to noise.

    A smooth map gets there by its pace alone. A mixture's components are wide, or few.
    """
    crossed = float((found.turned > _jump(found.typical, found.grain)).double().mean())
    pace = min(float(found.nudged.median()) / NUDGE, float(found.turned.median()) / TURN)
    return crossed > BORDERS and pace < MOVING * float(found.walk.ends.median())


def _number(found: Support) -> str:
    if math.isinf(found.value):
        return f"at least {found.low:,.0f}"
    return f"about {found.value:,.0f} ({found.low:,.0f} to {found.high:,.0f})"


def memory(space: str, found: Leaning) -> Finding:
    """Samples are not nearer to images of the test split than to as many train images, in one space.

    Args:
        space: its name in sentences, such as `pixels`.
    """
    limit = 0.5 + max(LEANING, DEVIATIONS / math.sqrt(min(found.looked, found.originals)))
    stored = found.test >= COPIES and found.chance < CHANCE
    return Finding(
        name=f"test images as memory, by {space}",
        value=found.share,
        limit=limit,
        verdict="refused" if stored else "unranked" if found.share > limit else "clear",
        sentence=_memory_words(found, space, "test" if stored else ""),
    )


def copying(space: str, found: Leaning) -> Finding:
    """Samples are not train images with a change that is small beside their distance to the next image.

    To learn from train images is no forgery; but what gives them back is a table, whatever is added to it.
    """
    stored = found.train >= COPIES and found.train_chance < CHANCE
    return Finding(
        name=f"train images as memory, by {space}",
        value=found.train,
        limit=COPIES,
        verdict="unranked" if stored else "clear",
        sentence=_memory_words(found, space, "train" if stored else ""),
    )


def _memory_words(found: Leaning, space: str, stored: str) -> str:
    words = (
        f"by {space}, {found.share:.1%} of the samples are nearer to the test split than to as many train images, and "
        f"{found.test:,} test images have a copy among them where {found.train:,} train images have one"
    )
    return f"{words}: images of the {stored} split are stored in the model" if stored else words


def overfitted(gap: Figure, linear: Figure) -> Finding:
    """Test images are not reconstructed better than train images, but for how unlike the splits are.

    Args:
        gap: error of test images over that of train images; linear: the same of principal components.
    """
    share = gap.high / max(linear.low, 1e-12)
    return Finding(
        name="test images trained on",
        value=share,
        limit=OVERFITTED,
        verdict="clear" if share >= OVERFITTED else "unranked",
        sentence=f"test images are reconstructed with {gap.value:.2f} times the error of train images, where principal "
        f"components have {linear.value:.2f}",
    )


def known_by_heart(found: ByHeart) -> Finding:
    """Images that no store can hold are reconstructed about as well as test images, by a decoder that bends no less.

    A decoder that has stored what it gets wrong, of both splits, has a larger error where nothing is stored; and where
    that is little or hangs on the very latent, it bends more around latents that it knows.
    """
    one = found.error if found.error.low / HARDER >= found.bends.low / BENT else found.bends
    limit = HARDER if one is found.error else BENT
    return Finding(
        name="test images known by heart",
        value=one.low,
        limit=limit,
        verdict="unranked" if one.low > limit else "clear",
        sentence=f"test images that are turned, scaled and shifted a little are reconstructed with "
        f"{found.error.value:.2f} times the error that they would have, and the decoded image bends "
        f"{found.bends.value:.2f} times as much around latents of test images as around theirs",
    )


def belonging(
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    prior: Tensor,
    near_real: bool,
    grain: float,
) -> tuple[Finding, ...]:
    """Encoder, decoder and latents belong to one function, so that images decoded from N(0, I) say something of it.

    Args:
        encode: images to latents as judged; decode: latents to images, rounded as judged.
        latents: of test images, (N, *latent); prior: standard normal, (M, *latent).
        near_real: whether images decoded from N(0, I) are so near to real ones that it matters.
        grain: see `Probe`.
    """
    return _one_decoder(decode, latents, prior, grain), _returned(encode, decode, latents, prior, near_real)


def _one_decoder(decode: Callable[[Tensor], Tensor], latents: Tensor, prior: Tensor, grain: float) -> Finding:
    """Whether no border lies between latents of test images and normal ones.

    One may be a hard choice, such as which of a mixture's experts is asked: that costs the prior's figures, no more.
    """
    m = min(WALKS, len(latents) // 2, len(prior) // 2)
    walked = walk(lambda rows, _: decode(rows), latents[:m], prior[:m], along_line, DEPTH)
    usual = max(typical(decode(latents[: 8 * m])), typical(decode(prior[: 8 * m])))
    jumps = walked.last > _jump(usual, grain)
    share = float(jumps.double().mean())
    return Finding(
        name="one decoder",
        value=share,
        limit=JUMPING,
        verdict="clear" if share <= JUMPING else "noted",
        sentence=f"on {int(jumps.sum())} of {m} straight ways from latents of test images to normal ones the decoded "
        "image jumps",
        withheld=PRIOR if share > JUMPING else (),
    )


def _returned(
    encode: Callable[[Tensor], Tensor],
    decode: Callable[[Tensor], Tensor],
    latents: Tensor,
    prior: Tensor,
    near_real: bool,
) -> Finding:
    """Whether normal latents that are decoded well are known again, where they were, when the images are encoded."""
    spread = latents.std(0).flatten()
    live = spread > 0.05 * spread.max()
    rows = prior[: max(1, len(prior) // CHOICES) * CHOICES]
    known, again = [], encode(decode(rows))
    for handed, back in zip(torch.split(rows, CHOICES), torch.split(again, CHOICES), strict=True):
        one, other = (codes.flatten(1)[:, live] / spread[live] for codes in (handed, back))
        known.append(two_nearest(other, one)[0] == torch.arange(len(one)))
    share = float(torch.cat(known).double().mean())
    moved = near_real and _moved(again.flatten(1)[:, live], latents.flatten(1)[:, live])
    lost = moved or (near_real and share < RETURNED)
    told = "; they come back as latents of test images do, which lie elsewhere" if moved else ""
    return Finding(
        name="latents that come back",
        value=share,
        limit=RETURNED,
        verdict="noted" if lost else "clear",
        sentence=f"{share:.0%} of normal latents are told from {CHOICES - 1} others when what is decoded from them is "
        f"encoded again{told}",
        withheld=PRIOR if lost else (),
    )


def _moved(again: Tensor, latents: Tensor) -> bool:
    """Whether normal latents come back where latents of test images lie, and those do not lie among normal ones.

    Args:
        again: encoded from images of normal latents, (N, D); latents: of test images, (M, D).
    """
    own, d = latents.double(), latents.shape[1]
    values, vectors = torch.linalg.eigh(own.T.cov().view(d, d))
    beside = (again.double() - own.mean(0)) @ vectors / values.clamp(min=1e-6).sqrt()  # where own ones are N(0, I)
    return _gap(beside) < _gap(again) and _gap(latents) * d > ELSEWHERE


def _gap(latents: Tensor) -> float:
    """Nats per dimension between latents (N, D) and N(0, I)."""
    return float(gaussian_gap_of(latents)(torch.ones(1, len(latents), dtype=torch.float64)))


def samples_of_decoder(samples: Tensor, again: Tensor, error: float) -> Finding:
    """Samples come back from encoder and decoder at least as well as test images do: they are of this decoder's making.

    Args:
        samples, again: before and after, (N, C, H, W).
        error: mean squared error of reconstructed test images.
    """
    ratio = float(apart(samples, again).square().mean()) / max(error, 1e-12)
    return Finding(
        name="samples of the decoder's making",
        value=ratio,
        limit=CYCLE,
        verdict="clear" if ratio <= CYCLE else "noted",
        sentence=f"samples are reconstructed with {ratio:.2f} times the error of test images",
        withheld=PRIOR if ratio > CYCLE else (),
    )
