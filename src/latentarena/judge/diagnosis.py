"""The card in words: what is wrong with a model, and what to try. Each rule is a few lines and names its figure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import torch

from latentarena.card.score_card import Advice, Opinion, Score
from latentarena.judge.score import Findings

DISPUTED = 3.0  # times what honest doubt explains
BLURRED, NOISY = 0.75, 1.4  # edge energy over that of real images
NO_EDGES = 1e4  # times the edge energy of real images, which then are of one colour each
SQUEEZED = (0.4, 0.8)  # between these, pixels were put through a sigmoid twice
SCALED = (0.85, 1.18)  # spread of samples' latents over that of test latents
ROUNDED = 0.1  # of how far latents spread; four significant bits move those of a size around 1 by 0.03
EXPLAINED = 0.05  # of the test images' variance; reconstructions that are all one image have none of it
DEAD = 0.01  # of the liveliest dimension's deviation
STEPS = 1.25  # times the Frechet distance at twice the steps


def diagnose(
    found: Findings, scores: Mapping[str, Score], by_steps: Mapping[int, float], steps: int, classes: Sequence[str]
) -> tuple[Advice, ...]:
    """Everything that is wrong, worst first.

    Args:
        found: the judge's findings.
        scores: the card's, by metric.
        by_steps: Frechet distance by number of solver steps, of which `steps` is the model's own.
        classes: names of the labels.
    """
    advice = [
        *_untaught(classes),
        *_images(found),
        *_classes(found, scores, classes),
        *_latents(found),
        *_generator(scores, by_steps, steps),
    ]
    return (*advice, *_honesty(scores), *_judges(found.opinions, scores))


def _untaught(classes: Sequence[str]) -> Iterator[Advice]:
    if len(classes) < 2:
        yield Advice(
            fault="a judge of one class",
            text="the data have no classes, from which a judge learns what to look at: its features are random ones, "
            "so distances to real images say little, and class and confidence nothing",
            remedy="sort the images into a folder for each class, or compare samples with --features dinov2-small",
        )


def _images(found: Findings) -> Iterator[Advice]:
    low, high = float(found.generated.min()), float(found.generated.max())
    if low >= SQUEEZED[0] and high <= SQUEEZED[1]:
        yield Advice(
            fault="double sigmoid",
            text=f"all pixels lie between {low:.2f} and {high:.2f}, where two sigmoids one after the other end",
            remedy="take one of the two sigmoids away, most often the one after the decoder",
        )
    for name, what in (("sharpness", "reconstructions"), ("sample_sharpness", "samples")):
        score = found.scores.get(name)
        if score is None:
            continue
        if score.high < BLURRED:
            yield Advice(
                fault="blurred",
                text=f"edges of the {what} have {score.value:.0%} of the energy of real ones",
                remedy="more latent dimensions, a smaller beta, or a perceptual or adversarial loss; for samples also "
                "more solver steps",
            )
        if score.low > NOISY:
            yield Advice(
                fault="noisy",
                text=f"the {what} have edges, real images hardly any"
                if score.value > NO_EDGES
                else f"edges of the {what} have {score.value:.1f} times the energy of real ones",
                remedy="train longer, or average the weights; see whether the last solver step ends at the data",
            )


def _classes(found: Findings, scores: Mapping[str, Score], classes: Sequence[str]) -> Iterator[Advice]:
    known = found.known.frequencies
    shares = torch.bincount(found.seen.labels, minlength=len(known)) / len(found.seen.labels)
    missing = [name for name, share, usual in zip(classes, shares, known, strict=True) if share < 0.1 * usual]
    if missing:
        yield Advice(
            fault="classes missing",
            text=f"hardly any samples of {', '.join(missing)}",
            remedy="train longer or with more latent dimensions; see whether guidance is too strong",
        )
    elif scores["class_kl"].low > 0.01:
        most = classes[int((shares - known).argmax())]
        yield Advice(
            fault="classes out of balance",
            text=f"class KL {scores['class_kl'].value:.3f}; there are too many samples of {most}",
            remedy="train the generator longer, or ask for classes in the data's proportions",
        )
    accuracy = scores.get("accuracy")
    if accuracy is not None and accuracy.high < 0.95:
        yield Advice(
            fault="class not obeyed",
            text=f"{accuracy.value:.1%} of the samples show the class asked for",
            remedy="raise the guidance scale, or train longer",
        )
    if scores["spread"].high < 0.8:
        yield Advice(
            fault="samples of a class are alike",
            text=f"they spread {scores['spread'].value:.0%} as far as real ones",
            remedy="lower the guidance scale, or limit it to an interval of times",
        )


def _latents(found: Findings) -> Iterator[Advice]:
    if found.latents is None or len(found.latents[0]) < 2:
        return
    if (share := _explained(found)) < EXPLAINED:
        yield Advice(
            fault="collapsed latents",
            text=f"reconstructions hardly differ: they have {share:.1%} of what test images differ in",
            remedy="a smaller beta, free bits, or beta that is annealed up; see that the autoencoder's loss goes down",
        )
        return
    if found.rounding > ROUNDED:
        yield Advice(
            fault="latents lost in rounding",
            text=f"rounding to the precision judged moves latents by {found.rounding:.0%} of how far they spread",
            remedy="subtract their mean in `encode`, divide by their deviation, and undo both in `decode`",
        )
    test, generated = (codes.flatten(1).double() for codes in found.latents)
    deviations = test.std(0)
    dead = deviations <= DEAD * deviations.max()
    if dead.any():
        yield Advice(
            fault="collapsed latents",
            text=f"{int(dead.sum())} of {len(deviations)} latent dimensions say nothing about the image",
            remedy="a smaller beta, free bits, or beta that is annealed up; else fewer dimensions",
        )
    if dead.all():
        return
    ratio = float(generated.std(0)[~dead].square().mean().sqrt() / deviations[~dead].square().mean().sqrt())
    if not SCALED[0] <= ratio <= SCALED[1]:
        yield Advice(
            fault="latent scale mismatch",
            text=f"latents of the samples spread {ratio:.2f} times as far as those of test images",
            remedy="standardise the latents before the generator learns them, and undo it before they are decoded",
        )


def _explained(found: Findings) -> float:
    """The share of the test images' variance that their reconstructions have, the rest being error."""
    if found.reconstructed is None:
        return 1.0
    kept = float(found.reconstructed.flatten(1).double().var(0).mean())
    return kept / max(kept + found.scores["mse"].value, 1e-12)


def _generator(scores: Mapping[str, Score], by_steps: Mapping[int, float], steps: int) -> Iterator[Advice]:
    prior, own = scores.get("prior_frechet"), scores["frechet"]
    if prior is not None and own.value > 0.9 * prior.value:
        yield Advice(
            fault="no better than the prior",
            text=f"Frechet distance {own.value:.3g}, plain Gaussian latents have {prior.value:.3g}",
            remedy="see that samples are scaled back to the autoencoder's latents, and train the generator longer",
        )
    more = by_steps.get(2 * steps)
    if more is not None and by_steps[steps] > STEPS * more:
        yield Advice(
            fault="too few steps",
            text=f"Frechet distance {by_steps[steps]:.3g} in {steps} steps and {more:.3g} in {2 * steps}",
            remedy="more solver steps, a solver of higher order, or reflow",
        )
    gap = scores["confidence_gap"]
    if gap.low > 0.02:
        unsure = scores["confidence"].value < (scores["confidence"].real or gap).value
        yield Advice(
            fault="unclear samples" if unsure else "samples too easy",
            text=f"the judge's confidence lies {gap.value:.3f} outside the band of real images",
            remedy="train the generator longer, or tell it the class" if unsure else "lower the guidance scale",
        )


def _honesty(scores: Mapping[str, Score]) -> Iterator[Advice]:
    copies, gap = scores["copies"], scores.get("reconstruction_gap")
    if copies.low > 0.005 and not _meets_real(copies):
        yield Advice(
            fault="copies of train images",
            text=f"{copies.value:.1%} of the samples are nearly train images",
            remedy="a smaller generator, fewer epochs, or augmentation",
        )
    if gap is not None and not _meets_real(gap) and gap.value < 1:
        yield Advice(
            fault="test images trained on",
            text=f"test images are reconstructed with {gap.value:.2f} times the error of train images",
            remedy="train on the train split alone; a contest will ask",
        )


def _meets_real(score: Score) -> bool:
    """Whether the figure is within the error bars of that of as many real images."""
    return score.real is not None and score.matched.meets(score.real)


def _judges(opinions: Sequence[Opinion], scores: Mapping[str, Score]) -> Iterator[Advice]:
    dispute = disagreement(opinions, scores)
    if dispute is not None and dispute > DISPUTED:
        yield Advice(
            fault="judges disagree",
            text=f"every other judge is {dispute:.1f} times as far from the official one as honest doubt explains, "
            "in the classes that it sees or in the distance from real images",
            remedy="do not trust this card: the model seems tuned to the official judge",
        )


def disagreement(opinions: Sequence[Opinion], scores: Mapping[str, Score]) -> float | None:
    """How far all other judges are from the official one, as a multiple of what honest doubt explains.

    The larger of two figures, each the smallest over the others: the share of samples in which a judge sees another
    class, over twice the official judge's doubt (1 - confidence) and what the two disagree on in real images; and
    a judge's Frechet distance, over its floor, to the official one's. Honest models have about 1 or less.

    Returns:
        None where there are no others.
    """
    if not opinions:
        return None
    doubt = 1 - scores["confidence"].value
    classes = min((1 - one.agreement) / (2 * doubt + 2 * (1 - one.real_agreement) + 1e-3) for one in opinions)
    distances = min(_over_floor(one.frechet) for one in opinions) / _over_floor(scores["frechet"])
    return max(classes, distances)


def _over_floor(score: Score) -> float:
    assert score.real is not None
    return max(score.value, score.real.value) / max(score.real.value, 1e-12)
