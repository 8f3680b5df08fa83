"""The catalogue: every metric of the score set `arena-1`, the categories, and points."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial

from latentarena.card.figure import Better, Figure
from latentarena.card.metric import Margin, Metric, around_one, as_share, linear, log_scale, near_real, share_of_real

CATEGORIES = {
    "reconstruction": "Reconstruction",
    "consistency": "Prior and latents",
    "quality": "Sample quality",
    "diversity": "Diversity and honesty",
    "efficiency": "Efficiency",
    "training": "Training",
}
"""The six categories of the 2025 contest, by name."""

INF = math.inf
LOWER, HIGHER, NEAR_ONE, LIKE_REAL = Better
reconstruction, consistency, quality, diversity, efficiency, training = (partial(Metric, name) for name in CATEGORIES)
AS_FAR = Margin(share=1.0)  # at most twice the distance that as many real images have
NEARLY = Margin(share=0.05)
ENTROPY = Margin(0.02, most=0.5)  # the judge is so sure of real digits that 0.02 is more than their whole entropy
KERNEL, CLASSES = Margin(0.003), Margin(0.005)  # a perfect sampler of 2,048 images has a class KL of 0.0044
METRICS = {
    # reconstruction, on the test split
    "mse": reconstruction(
        "MSE",
        LOWER,
        "mean squared error of a pixel in [0, 1]",
        decimals=5,
        largest=1,
        worth=log_scale(zero_at=0.1, full_at=0.0001),
    ),
    "ssim": reconstruction(
        "SSIM",
        HIGHER,
        "structural similarity, 7x7 uniform window, as scikit-image's default (Wang et al., 2004)",
        smallest=-1,
        largest=1,
        worth=as_share,
    ),
    "psnr": reconstruction(
        "PSNR (dB)", HIGHER, "mean over images of -10 log10 MSE", decimals=2, smallest=-INF, largest=100
    ),
    "l1": reconstruction(
        "L1",
        LOWER,
        "mean absolute error of a pixel",
        decimals=5,
        largest=1,
        worth=log_scale(zero_at=0.1, full_at=0.001),
    ),
    "sharpness": reconstruction(
        "edge sharpness ratio",
        NEAR_ONE,
        "squared differences of neighbouring pixels, over those of the originals; below 1 is blurred",
        worth=around_one(zero_at=1),
    ),
    # the decoder under its prior, and the latents
    "prior_confidence": consistency(
        "prior: confidence", LIKE_REAL, "of images decoded from N(0, I)", largest=1, margin=Margin(0.01)
    ),
    "prior_entropy": consistency("prior: entropy (nats)", LIKE_REAL, "of images decoded from N(0, I)", margin=ENTROPY),
    "prior_frechet": consistency(
        "prior: Frechet distance",
        LOWER,
        "of images decoded from N(0, I), in the judge's features (Heusel et al., 2017)",
        worth=near_real(decades=4, margin=AS_FAR),
        margin=AS_FAR,
    ),
    "latent_dimension": consistency(
        "latent dimensions", LOWER, "numbers between encoder and decoder", decimals=0, smallest=1
    ),
    "latent_gap": consistency(
        "latents: gap to N(0, I) (nats/dim)",
        LOWER,
        "KL divergence of the test latents' mean and covariance from the standard normal",
        worth=log_scale(zero_at=10, full_at=0.01),
    ),
    "probe": consistency(
        "latents: linear probe accuracy",
        HIGHER,
        "of a logistic regression on train latents, on test latents (Alain & Bengio, 2016)",
        largest=1,
        worth=as_share,
    ),
    "straightness": consistency(
        "flow: straightness (0 is straight)",
        LOWER,
        "mean squared difference of velocity and displacement, 0 for straight trajectories (Liu et al., 2023)",
    ),
    # what is generated
    "confidence": quality(
        "confidence", LIKE_REAL, "mean largest probability that the judge gives a class", largest=1, margin=Margin(0.01)
    ),
    "entropy": quality("entropy (nats)", LIKE_REAL, "mean entropy of the judge's classes", margin=ENTROPY),
    "confidence_gap": quality(
        "confidence: outside the real band",
        LOWER,
        "distance to the 95 % band of as many real test images; too sure costs as much as unsure",
        largest=1,
        worth=linear(zero_at=0.2),
        margin=Margin(0.01),
    ),
    "entropy_gap": quality(
        "entropy: outside the real band",
        LOWER,
        "the same for the entropy",
        worth=linear(zero_at=0.5),
        margin=Margin(0.005),
    ),
    "frechet": quality(
        "Frechet distance",
        LOWER,
        "from the train split in the judge's features (Heusel et al., 2017)",
        worth=near_real(decades=3, margin=AS_FAR),
        margin=AS_FAR,
    ),
    "kernel_distance": quality(
        "kernel distance",
        LOWER,
        "squared maximum mean discrepancy, cubic kernel, unbiased (Binkowski et al., 2018)",
        decimals=5,
        smallest=-INF,
        worth=near_real(decades=3, margin=KERNEL),
        margin=KERNEL,
    ),
    "precision": quality(
        "precision",
        HIGHER,
        "samples within a real neighbourhood, k = 5 (Kynkaanniemi et al., 2019)",
        largest=1,
        worth=share_of_real,
        margin=NEARLY,
    ),
    "density": quality(
        "density",
        HIGHER,
        "real neighbourhoods around a sample, over k (Naeem et al., 2020)",
        worth=share_of_real,
        margin=NEARLY,
    ),
    "sample_sharpness": quality(
        "edge sharpness of samples",
        NEAR_ONE,
        "squared differences of neighbouring pixels, over those of real test images",
        worth=around_one(zero_at=1),
        margin=NEARLY,
    ),
    "accuracy": quality(
        "class asked for", HIGHER, "samples in which the judge sees the class asked for", largest=1, worth=as_share
    ),
    "worst_accuracy": quality(
        "class asked for, worst class", HIGHER, "the same for the class that does worst", largest=1, worth=as_share
    ),
    # how varied, and how honest
    "class_kl": diversity(
        "class KL (nats)",
        LOWER,
        "of known class frequencies from those of the samples, counts smoothed by one",
        decimals=5,
        worth=near_real(decades=3, margin=CLASSES),
        margin=CLASSES,
    ),
    "classes_missing": diversity(
        "classes missing",
        LOWER,
        "classes with less than a tenth of their known share",
        decimals=0,
        worth=linear(zero_at=1),
        margin=Margin(0.5),
    ),
    "recall": diversity(
        "recall",
        HIGHER,
        "real images within a sample's neighbourhood, k = 5 (Kynkaanniemi et al., 2019)",
        largest=1,
        worth=share_of_real,
        margin=NEARLY,
    ),
    "coverage": diversity(
        "coverage",
        HIGHER,
        "real images with a sample in their neighbourhood (Naeem et al., 2020)",
        largest=1,
        worth=share_of_real,
        margin=NEARLY,
    ),
    "spread": diversity(
        "spread within a class",
        NEAR_ONE,
        "root mean squared distance to the class mean in the judge's features, over that of real images",
        worth=around_one(zero_at=1),
        margin=NEARLY,
    ),
    "vendi": diversity(
        "Vendi score",
        HIGHER,
        "effective number of different images in the judge's features (Friedman & Dieng, 2023)",
        decimals=3,
        smallest=1,
        worth=share_of_real,
        margin=Margin(share=0.02),
    ),
    "nearest_ratio": diversity(
        "distance to the nearest train image",
        NEAR_ONE,
        "in pixels, over that of real test images; far below 1 is memorised, far above is off the data",
        worth=around_one(zero_at=1),
        margin=NEARLY,
    ),
    "copies": diversity(
        "copies of train images",
        LOWER,
        "samples three times as near to one train image as to any other (Yoon et al., 2023)",
        largest=1,
        worth=linear(zero_at=0.1),
        margin=Margin(0.005),
    ),
    "reconstruction_gap": diversity(
        "reconstruction error, test over train",
        NEAR_ONE,
        "far below what principal components have: test images were trained on",
        margin=NEARLY,
    ),
    # what it costs
    "parameters": efficiency(
        "parameters",
        LOWER,
        "numbers that encoding, decoding and sampling use, packed ones as what they unpack to",
        decimals=0,
    ),
    "information": efficiency(
        "information (bits)",
        LOWER,
        "code length of the weights, each tensor by the shortest of four codes",
        decimals=0,
        worth=log_scale(zero_at=3.2e9, full_at=3.2e5),
    ),
    "bytes": efficiency("bytes", LOWER, "of the files that hold weights", decimals=0),
    "macs": efficiency(
        "multiply-adds a sample", LOWER, "of noise to image, all steps: matrix products alone", decimals=0
    ),
    "operations": efficiency(
        "operations a sample",
        LOWER,
        "multiply-adds, and the numbers that all other operators touch, from noise to image, all steps",
        decimals=0,
        worth=log_scale(zero_at=1e11, full_at=1e6),
    ),
    # how it was trained: the first two by the judge, the rest by the bundle's own word until it is trained anew
    "held_out_loss": training(
        "held-out loss, autoencoder",
        LOWER,
        "squared error of a pixel on test images, from latents drawn from the posterior",
        decimals=5,
    ),
    "held_out_flow_loss": training(
        "held-out loss, generator",
        LOWER,
        "the generator's own training loss on the latents of test images; comparable between equal targets only",
        decimals=5,
    ),
    "quality_macs": training(
        "multiply-adds to the common quality",
        LOWER,
        "of training, forward and backward, until the Frechet distance that is the same for all is reached",
        decimals=0,
        worth=log_scale(zero_at=1e16, full_at=1e11),
        certified=True,
    ),
    "train_macs": training(
        "multiply-adds of training",
        LOWER,
        "of all stages, forward and backward, by recipe and architecture",
        decimals=0,
        certified=True,
    ),
    "train_seconds": training("training (s)", LOWER, "all stages", decimals=1, certified=True),
    "converge_seconds": training(
        "to within 5 % (s)", LOWER, "until the loss stays within 5 % of its last", decimals=1, certified=True
    ),
    "converge_steps": training("to within 5 % (steps)", LOWER, "the same in steps", decimals=0, certified=True),
    "final_loss": training(
        "final loss, autoencoder", LOWER, "of its last stage", decimals=5, smallest=-INF, certified=True
    ),
    "final_flow_loss": training(
        "final loss, generator", LOWER, "as trained", decimals=5, smallest=-INF, certified=True
    ),
}
"""By name, in the order of the card. Where a metric is measured its name stands again: see `judge/metrics`."""


def points(figures: Mapping[str, float], floors: Mapping[str, Figure]) -> dict[str, float]:
    """Points of 100 by category: the mean of what its metrics are worth, whatever other models do.

    Args:
        figures: by metric; floors: of real images.

    Returns:
        Only categories of which a figure that counts is there.
    """
    found: dict[str, list[float]] = {}
    for name, value in figures.items():
        metric = METRICS[name]
        if metric.worth is not None:
            found.setdefault(metric.category, []).append(metric.worth(value, floors.get(name)))
    return {category: 100 * sum(found[category]) / len(found[category]) for category in CATEGORIES if category in found}
