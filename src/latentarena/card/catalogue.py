"""Every metric of the score set `arena-1`: category, direction, range and source, and what it is worth in points."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from latentarena.card.figure import Better, Figure

Worth = Callable[[float, Figure | None], float]

CATEGORIES = {
    "reconstruction": "Reconstruction",
    "consistency": "Prior and latents",
    "quality": "Sample quality",
    "diversity": "Diversity and honesty",
    "efficiency": "Efficiency",
    "training": "Training",
}
"""The six categories of the 2025 contest, by name."""

COLUMNS = ("total_params", "time_per_sample", "mse", "ssim", "entropy", "kl_div_classes", "gen_confidence")
"""The columns of the board of 2025, in its order."""


@dataclass(frozen=True)
class Margin:
    """How far a figure may lie from that of real images and still count as equivalent to it.

    Attributes:
        absolute: in the metric's unit.
        share: of the figure of real images, added to it.
    """

    absolute: float = 0.0
    share: float = 0.0

    def of(self, real: float) -> float:
        """In the metric's unit, beside this figure of real images."""
        return self.absolute + self.share * abs(real)

    @property
    def words(self) -> str:
        """Such as `5 % of the figure of real images`."""
        return f"{100 * self.share:g} % of the figure of real images" if self.share else f"{self.absolute:g}"


@dataclass(frozen=True)
class Metric:
    """One figure of the card.

    Attributes:
        title: with the unit, as people read it.
        category: of `CATEGORIES`.
        better: which way; `like real data` figures are shown, and their distance to real data is what counts.
        decimals: shown.
        smallest, largest: the range.
        what: in a sentence, with the source.
        worth: 0 to 1 for a value beside its real floor; None where the figure does not count on its own.
        margin: within which it is equivalent to that of real images; None where there is no such comparison.
        certified: counts only once the recipe has been trained anew (`arena retrain`): a bundle's own word on its
            training is shown, but neither ranked nor worth anything.
    """

    title: str
    category: str
    better: Better
    decimals: int
    smallest: float
    largest: float
    what: str
    worth: Worth | None = None
    margin: Margin | None = None
    certified: bool = False

    def like_real(self, own: Figure, real: Figure) -> bool:
        """Whether a figure is equivalent to that of as many real images: no worse by as much as the margin.

        An equivalence test: the 95 % interval of the difference has to lie within the margin, so that figures too
        uncertain to tell are not called alike (Schuirmann, 1987).
        """
        if self.margin is None:
            return False
        apart, margin = own.minus(real), self.margin.of(real.value)
        not_above, not_below = apart.high < margin, apart.low > -margin
        return {Better.LOWER: not_above, Better.HIGHER: not_below}.get(self.better, not_above and not_below)


def between(none: float, full: float) -> Worth:
    """On a logarithmic scale from `none` to `full`, whichever is larger."""
    return lambda value, _: _cut(math.log(max(value, 1e-12) / none) / math.log(full / none))


def above_floor(decades: float, margin: Margin) -> Worth:
    """Full within the margin above the figure of real images, nothing at so many powers of ten above that."""

    def worth(value: float, real: Figure | None) -> float:
        floor = max(real.value + margin.of(real.value) if real else 0.0, 1e-9)
        return _cut(1 - math.log10(max(value, floor) / floor) / decades)

    return worth


def of_real(value: float, real: Figure | None) -> float:
    """The share of what real images get."""
    return _cut(value / real.value) if real and real.value > 0 else 0.0


def near_one(width: float) -> Worth:
    """Full at 1, nothing at `width` to either side."""
    return lambda value, _: _cut(1 - abs(value - 1) / width)


def falling(width: float) -> Worth:
    """Full at 0, nothing at `width`."""
    return lambda value, _: _cut(1 - value / width)


def itself(value: float, _: Figure | None) -> float:
    """A share counts as what it is."""
    return _cut(value)


def _cut(worth: float) -> float:
    return min(1.0, max(0.0, worth))


INF = math.inf
AS_FAR = Margin(share=1.0)  # at most twice the distance that as many real images have
NEARLY = Margin(share=0.05)
KERNEL, CLASSES = Margin(0.003), Margin(0.005)  # a perfect sampler of 2,048 images has a class KL of 0.0044
METRICS = {
    # reconstruction, on the test split
    "mse": Metric(
        "MSE", "reconstruction", Better.LOWER, 5, 0, 1, "mean squared error of a pixel in [0, 1]", between(0.1, 0.0001)
    ),
    "ssim": Metric(
        "SSIM",
        "reconstruction",
        Better.HIGHER,
        4,
        -1,
        1,
        "structural similarity, 7x7 uniform window, as scikit-image's default (Wang et al., 2004)",
        itself,
    ),
    "psnr": Metric("PSNR (dB)", "reconstruction", Better.HIGHER, 2, -INF, 100, "mean over images of -10 log10 MSE"),
    "l1": Metric("L1", "reconstruction", Better.LOWER, 5, 0, 1, "mean absolute error of a pixel", between(0.1, 0.001)),
    "sharpness": Metric(
        "edge sharpness ratio",
        "reconstruction",
        Better.NEAR_ONE,
        4,
        0,
        INF,
        "squared differences of neighbouring pixels, over those of the originals; below 1 is blurred",
        near_one(1),
    ),
    # the decoder under its prior, and the latents
    "prior_confidence": Metric(
        "prior: confidence",
        "consistency",
        Better.LIKE_REAL,
        4,
        0,
        1,
        "of images decoded from N(0, I)",
        margin=Margin(0.01),
    ),
    "prior_entropy": Metric(
        "prior: entropy (nats)",
        "consistency",
        Better.LIKE_REAL,
        4,
        0,
        INF,
        "of images decoded from N(0, I)",
        margin=Margin(0.02),
    ),
    "prior_frechet": Metric(
        "prior: Frechet distance",
        "consistency",
        Better.LOWER,
        4,
        0,
        INF,
        "of images decoded from N(0, I), in the judge's features (Heusel et al., 2017)",
        above_floor(4, AS_FAR),
        margin=AS_FAR,
    ),
    "latent_dimension": Metric(
        "latent dimensions", "consistency", Better.LOWER, 0, 1, INF, "numbers between encoder and decoder"
    ),
    "latent_gap": Metric(
        "latents: gap to N(0, I) (nats/dim)",
        "consistency",
        Better.LOWER,
        4,
        0,
        INF,
        "KL divergence of the test latents' mean and covariance from the standard normal",
        between(10, 0.01),
    ),
    "probe": Metric(
        "latents: linear probe accuracy",
        "consistency",
        Better.HIGHER,
        4,
        0,
        1,
        "of a logistic regression on train latents, on test latents (Alain & Bengio, 2016)",
        itself,
    ),
    "straightness": Metric(
        "flow: straightness (0 is straight)",
        "consistency",
        Better.LOWER,
        4,
        0,
        INF,
        "mean squared difference of velocity and displacement, 0 for straight trajectories (Liu et al., 2023)",
    ),
    # what is generated
    "confidence": Metric(
        "confidence",
        "quality",
        Better.LIKE_REAL,
        4,
        0,
        1,
        "mean largest probability that the judge gives a class",
        margin=Margin(0.01),
    ),
    "entropy": Metric(
        "entropy (nats)",
        "quality",
        Better.LIKE_REAL,
        4,
        0,
        INF,
        "mean entropy of the judge's classes",
        margin=Margin(0.02),
    ),
    "confidence_gap": Metric(
        "confidence: outside the real band",
        "quality",
        Better.LOWER,
        4,
        0,
        1,
        "distance to the 95 % band of as many real test images; too sure costs as much as unsure",
        falling(0.2),
        margin=Margin(0.01),
    ),
    "entropy_gap": Metric(
        "entropy: outside the real band",
        "quality",
        Better.LOWER,
        4,
        0,
        INF,
        "the same for the entropy",
        falling(0.5),
        margin=Margin(0.02),
    ),
    "frechet": Metric(
        "Frechet distance",
        "quality",
        Better.LOWER,
        4,
        0,
        INF,
        "from the train split in the judge's features (Heusel et al., 2017)",
        above_floor(3, AS_FAR),
        margin=AS_FAR,
    ),
    "kernel_distance": Metric(
        "kernel distance",
        "quality",
        Better.LOWER,
        5,
        -INF,
        INF,
        "squared maximum mean discrepancy, cubic kernel, unbiased (Binkowski et al., 2018)",
        above_floor(3, KERNEL),
        margin=KERNEL,
    ),
    "precision": Metric(
        "precision",
        "quality",
        Better.HIGHER,
        4,
        0,
        1,
        "samples within a real neighbourhood, k = 5 (Kynkaanniemi et al., 2019)",
        of_real,
        margin=NEARLY,
    ),
    "density": Metric(
        "density",
        "quality",
        Better.HIGHER,
        4,
        0,
        INF,
        "real neighbourhoods around a sample, over k (Naeem et al., 2020)",
        of_real,
        margin=NEARLY,
    ),
    "sample_sharpness": Metric(
        "edge sharpness of samples",
        "quality",
        Better.NEAR_ONE,
        4,
        0,
        INF,
        "squared differences of neighbouring pixels, over those of real test images",
        near_one(1),
        margin=NEARLY,
    ),
    "accuracy": Metric(
        "class asked for",
        "quality",
        Better.HIGHER,
        4,
        0,
        1,
        "samples in which the judge sees the class asked for",
        itself,
    ),
    "worst_accuracy": Metric(
        "class asked for, worst class",
        "quality",
        Better.HIGHER,
        4,
        0,
        1,
        "the same for the class that does worst",
        itself,
    ),
    # how varied, and how honest
    "class_kl": Metric(
        "class KL (nats)",
        "diversity",
        Better.LOWER,
        5,
        0,
        INF,
        "of known class frequencies from those of the samples, counts smoothed by one",
        above_floor(3, CLASSES),
        margin=CLASSES,
    ),
    "classes_missing": Metric(
        "classes missing",
        "diversity",
        Better.LOWER,
        0,
        0,
        INF,
        "classes with less than a tenth of their known share",
        falling(1),
        margin=Margin(0.5),
    ),
    "recall": Metric(
        "recall",
        "diversity",
        Better.HIGHER,
        4,
        0,
        1,
        "real images within a sample's neighbourhood, k = 5 (Kynkaanniemi et al., 2019)",
        of_real,
        margin=NEARLY,
    ),
    "coverage": Metric(
        "coverage",
        "diversity",
        Better.HIGHER,
        4,
        0,
        1,
        "real images with a sample in their neighbourhood (Naeem et al., 2020)",
        of_real,
        margin=NEARLY,
    ),
    "spread": Metric(
        "spread within a class",
        "diversity",
        Better.NEAR_ONE,
        4,
        0,
        INF,
        "root mean squared distance to the class mean in the judge's features, over that of real images",
        near_one(1),
        margin=NEARLY,
    ),
    "vendi": Metric(
        "Vendi score",
        "diversity",
        Better.HIGHER,
        3,
        1,
        INF,
        "effective number of different images in the judge's features (Friedman & Dieng, 2023)",
        of_real,
        margin=Margin(share=0.02),
    ),
    "nearest_ratio": Metric(
        "distance to the nearest train image",
        "diversity",
        Better.NEAR_ONE,
        4,
        0,
        INF,
        "in pixels, over that of real test images; far below 1 is memorised, far above is off the data",
        near_one(1),
        margin=NEARLY,
    ),
    "copies": Metric(
        "copies of train images",
        "diversity",
        Better.LOWER,
        4,
        0,
        1,
        "samples three times as near to one train image as to any other (Yoon et al., 2023)",
        falling(0.1),
        margin=Margin(0.005),
    ),
    "reconstruction_gap": Metric(
        "reconstruction error, test over train",
        "diversity",
        Better.NEAR_ONE,
        4,
        0,
        INF,
        "far below what principal components have: test images were trained on",
        margin=NEARLY,
    ),
    # what it costs
    "parameters": Metric(
        "parameters",
        "efficiency",
        Better.LOWER,
        0,
        0,
        INF,
        "numbers that encoding, decoding and sampling use, packed ones as what they unpack to",
    ),
    "information": Metric(
        "information (bits)",
        "efficiency",
        Better.LOWER,
        0,
        0,
        INF,
        "code length of the weights, each tensor by the shortest of four codes",
        between(3.2e9, 3.2e5),
    ),
    "bytes": Metric("bytes", "efficiency", Better.LOWER, 0, 0, INF, "of the files that hold weights"),
    "macs": Metric(
        "multiply-adds a sample",
        "efficiency",
        Better.LOWER,
        0,
        0,
        INF,
        "of noise to image, all steps: matrix products alone",
    ),
    "operations": Metric(
        "operations a sample",
        "efficiency",
        Better.LOWER,
        0,
        0,
        INF,
        "multiply-adds, and the numbers that all other operators touch, from noise to image, all steps",
        between(1e11, 1e6),
    ),
    # how it was trained: the first two by the judge, the rest by the bundle's own word until it is trained anew
    "held_out_loss": Metric(
        "held-out loss, autoencoder",
        "training",
        Better.LOWER,
        5,
        0,
        INF,
        "squared error of a pixel on test images, from latents drawn from the posterior",
    ),
    "held_out_flow_loss": Metric(
        "held-out loss, generator",
        "training",
        Better.LOWER,
        5,
        0,
        INF,
        "the generator's own training loss on the latents of test images; comparable between equal targets only",
    ),
    "quality_macs": Metric(
        "multiply-adds to the common quality",
        "training",
        Better.LOWER,
        0,
        0,
        INF,
        "of training, forward and backward, until the Frechet distance that is the same for all is reached",
        between(1e16, 1e11),
        certified=True,
    ),
    "train_macs": Metric(
        "multiply-adds of training",
        "training",
        Better.LOWER,
        0,
        0,
        INF,
        "of all stages, forward and backward, by recipe and architecture",
        certified=True,
    ),
    "train_seconds": Metric("training (s)", "training", Better.LOWER, 1, 0, INF, "all stages", certified=True),
    "converge_seconds": Metric(
        "to within 5 % (s)",
        "training",
        Better.LOWER,
        1,
        0,
        INF,
        "until the loss stays within 5 % of its last",
        certified=True,
    ),
    "converge_steps": Metric(
        "to within 5 % (steps)", "training", Better.LOWER, 0, 0, INF, "the same in steps", certified=True
    ),
    "final_loss": Metric(
        "final loss, autoencoder", "training", Better.LOWER, 5, -INF, INF, "of its last stage", certified=True
    ),
    "final_flow_loss": Metric(
        "final loss, generator", "training", Better.LOWER, 5, -INF, INF, "as trained", certified=True
    ),
}
"""By name, in the order of the card."""


def points(figures: dict[str, float], floors: dict[str, Figure]) -> dict[str, float]:
    """What figures are worth, 0 to 100 by category: the mean of their metrics, whatever other models do.

    Returns:
        Only categories of which a figure that counts is there.
    """
    found: dict[str, list[float]] = {}
    for name, value in figures.items():
        metric = METRICS[name]
        if metric.worth is not None:
            found.setdefault(metric.category, []).append(metric.worth(value, floors.get(name)))
    return {category: 100 * sum(found[category]) / len(found[category]) for category in CATEGORIES if category in found}
