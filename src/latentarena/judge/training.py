"""Making a judge: `arena judge train` for the shipped one, on the fly and cached for other data."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import torch
from pydantic import Field
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import affine_grid, cross_entropy, grid_sample

from latentarena.card.shipped import SHIPPED
from latentarena.config import Config
from latentarena.data import Dataset, Images
from latentarena.errors import DataError, JudgeError, OutputError
from latentarena.files import cache_folder, digest, digest_json, make_folder, write_atomically
from latentarena.judge.classifier import Judge, JudgeFacts, measure
from latentarena.judge.networks import Kind, feature_width, freeze, network, pattern
from latentarena.randomness import Draws, stream
from latentarena.train.fabric import make_fabric
from latentarena.train.loop import FitConfig, Objective, Tick, fit

if TYPE_CHECKING:
    from lightning_fabric import Fabric

log = logging.getLogger(__name__)
OPINIONS = "opinions"  # the folder beside the official judges that holds the others
OFFICIAL: Kind = "conv"
HELD_OUT = 12  # one train image in this many calibrates the temperature
FEWEST_TRAIN, FEWEST_TEST = 16, 2  # images: a neighbourhood has five, an interval two
EXAMPLES = 100_000  # how many a judge made on the fly learns from


class JudgeConfig(Config):
    """How a judge is made; the defaults made the shipped one.

    The default width and fit work for each kind; on 28 x 28 images they give:

    | kind | weights | features | multiplications per image |
    |---|---|---|---|
    | conv | 279k | 128 | 21.9 million |
    | residual | 223k | 96 | 8.9 million |
    | patches | 98k | 64 | 5.0 million |

    Attributes:
        kind: the architecture: plain convolutions, residual blocks, or a mixer of patches.
        width: channels of the first convolution, or half the features of a patch.
        seed: of the initial weights, the order of the data and the augmentation.
        fit: how long and how fast.
    """

    kind: Kind = OFFICIAL
    width: int = Field(default=32, ge=4, le=128)
    seed: int = Field(default=0, ge=0)
    fit: FitConfig = FitConfig(epochs=20, batch=256, lr=4e-3, warmup=0.1, weight_decay=0.02)


class JudgeObjective(Objective):
    """Cross-entropy on randomly rotated, scaled, sheared and shifted train images, those of some rows."""

    def __init__(self, trained: nn.ModuleDict, images: Images, rows: Tensor) -> None:
        super().__init__()
        self.trained, self.images, self.rows, self.size = trained, images, rows, len(rows)

    def forward(self, index: Tensor, draws: Draws) -> dict[str, Tensor]:
        rows = self.rows[index]
        images = wobble(self.images.batch(rows), draws)
        logits = self.trained["head"](self.trained["body"](images))
        labels = self.images.labels[rows]
        return {"loss": cross_entropy(logits, labels), "error": (logits.argmax(1) != labels).float().mean()}


def wobble(images: Tensor, draws: Draws) -> Tensor:
    """A random small affine map of each image: +-0.2 rad, +-10 % scale and shear, +-7 % shift; (B, C, H, W)."""
    r = draws.uniform(len(images), 6) * 2 - 1
    angle, zoom, shear = 0.2 * r[:, 0], 1 + 0.1 * r[:, 1:3], 0.1 * r[:, 3]
    rows = [
        torch.stack([zoom[:, 0] * angle.cos(), -angle.sin() + shear, 0.14 * r[:, 4]], 1),
        torch.stack([angle.sin(), zoom[:, 1] * angle.cos(), 0.14 * r[:, 5]], 1),
    ]
    grid = affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return grid_sample(images, grid, align_corners=False)


def refuse_few(dataset: Dataset) -> None:
    """Refuse a dataset too small to train and judge on, before either begins.

    Raises:
        DataError: a split has fewer images than the figures of a score card are computed from.
    """
    train, test = len(dataset.train), len(dataset.test)
    if train < FEWEST_TRAIN or test < FEWEST_TEST:
        raise DataError(
            f"{dataset.name} has {train:,} train and {test:,} test images; training and judging need at least "
            f"{FEWEST_TRAIN} and {FEWEST_TEST}, and are worth it from some hundreds on: add images"
        )


def train_judge(
    dataset: Dataset,
    config: JudgeConfig,
    fabric: Fabric,
    folder: Path,
    watch: Callable[[Iterator[Tick], str], Iterator[Tick]] = lambda ticks, title: ticks,
) -> Path:
    """Train, calibrate and write a judge.

    Args:
        dataset: learns from and calibrates on the train split; the test split is only measured.
        config: size, seed and length.
        fabric: where it runs.
        folder: gets `<dataset>-<hash>.safetensors`, and the checkpoints under `checkpoints`.
        watch: wraps the training ticks, to show progress.

    Returns:
        The judge's file.

    Raises:
        DataError: there are too few images.
    """
    refuse_few(dataset)
    with torch.random.fork_rng():  # module initialisers know only the global generator
        torch.manual_seed(stream(config.seed, "judge").initial_seed())
        trained = network(config.kind, dataset.shape, len(dataset.classes), config.width)
    train = dataset.train
    held = torch.arange(len(train)) % HELD_OUT == HELD_OUT - 1
    held[-1] |= not held.any()  # however few there are
    learnt, calibrate = (~held).nonzero().squeeze(1), Images(train.pixels[held], train.labels[held])
    key = digest_json([config.model_dump(), dataset.digest])[:12]
    objective = JudgeObjective(trained, train.to(fabric.device), learnt.to(fabric.device))
    ticks = fit(objective, config.fit, fabric, folder / "checkpoints" / key, (config.seed, "judge"))
    for _ in watch(ticks, "judge"):
        pass
    content = _assembled(freeze(trained.cpu()), dataset, calibrate, config)
    name = dataset.name.split("/")[-1].replace(":", "_").replace("-", "_")
    path = make_folder(folder) / f"{name}-{digest(content)[:12]}.safetensors"
    write_atomically(path, content)
    Judge.load(path).verify(dataset)
    shutil.rmtree(folder / "checkpoints" / key, ignore_errors=True)
    return path


def _assembled(frozen: nn.ModuleDict, dataset: Dataset, calibrate: Images, config: JudgeConfig) -> bytes:
    """The judge file's bytes: float16 weights, temperature, reference statistics, self-test logits."""
    tensors = {f"network.{name}": weight.half() for name, weight in frozen.state_dict().items()}
    k, d = len(dataset.classes), feature_width(config.kind, config.width)
    tensors |= {
        "temperature": torch.ones(()),
        "reference.mean": torch.zeros(d, dtype=torch.float64),
        "reference.covariance": torch.zeros(d, d, dtype=torch.float64),
        "reference.frequencies": torch.bincount(dataset.train.labels, minlength=k) / len(dataset.train),
    }
    blank = {"accuracy": 0.0, "calibration_error": 0.0, "confidence": 0.0, "entropy": 0.0}
    made = {"kind": config.kind, "width": config.width, "seed": config.seed, "epochs": config.fit.epochs}
    what = {
        "dataset": dataset.name,
        "data": dataset.digest,
        "shape": dataset.shape,
        "classes": dataset.classes,
    }
    draft = Judge("", JudgeFacts.model_validate(what | made | blank), tensors)

    logits = draft.logits(calibrate.batch(slice(None)))
    tensors["temperature"] = torch.tensor(_temperature(logits, calibrate.labels))
    mean, covariance = draft.look(dataset.train.batch(slice(None))).statistics()
    tensors |= {"reference.mean": mean, "reference.covariance": covariance}
    tensors["self_test.logits"] = draft.logits(pattern(dataset.shape))

    calibrated = Judge("", draft.facts, tensors)
    seen = calibrated.look(dataset.test.batch(slice(None)))
    facts = JudgeFacts.model_validate(what | made | measure(seen, dataset.test.labels))
    written = facts.model_dump_json(exclude_defaults=True)  # the shipped judge is older than `kind`
    return save({name: t.contiguous() for name, t in tensors.items()}, {"facts": written})


def _temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature that minimises the negative log-likelihood (Guo et al., 2017)."""
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return float(cross_entropy(logits.double() / torch.tensor(log_temperature).exp(), labels))

    return float(torch.tensor(minimize_scalar(loss, bounds=(-3, 3), method="bounded").x).exp())


def judge_for(
    dataset: Dataset,
    watch: Callable[[Iterator[Tick], str], Iterator[Tick]] = lambda ticks, title: ticks,
    file: Path | None = None,
) -> Judge:
    """The judge of a dataset: of a file that is named, else the shipped or the cached one, else one trained now.

    Raises:
        JudgeError: a shipped judge that fails its self-test.
    """
    if file is not None:
        return Judge.load(file)
    home = _home(dataset)
    for path in sorted(SHIPPED.glob("*.safetensors")) + sorted(home.glob("*.safetensors")):
        try:
            judge = Judge.load(path)
        except JudgeError as error:
            if path.parent == SHIPPED:
                raise
            log.warning("%s; training another", error)
            path.unlink()
            continue
        if judge.facts.data == dataset.digest:
            return judge
        if judge.facts.dataset == dataset.name:
            log.warning("judge %s was made for another %s than this one and is passed over", judge.name, dataset.name)
    epochs = min(40.0, max(4.0, EXAMPLES / len(dataset.train)))
    config = JudgeConfig(width=16, fit=FitConfig(epochs=epochs, batch=128, lr=4e-3, warmup=0.1, weight_decay=0.02))
    fabric = make_fabric()
    try:
        return Judge.load(train_judge(dataset, config, fabric, make_folder(home), watch))
    except OutputError as error:
        log.warning("the judge for %s is not cached: %s", dataset.name, error)
    with TemporaryDirectory() as folder:
        return Judge.load(train_judge(dataset, config, fabric, Path(folder), watch))


def opinions_for(dataset: Dataset) -> list[Judge]:
    """The judges of a dataset beside the official one: the shipped ones, else those in the cache; none is trained.

    Raises:
        JudgeError: one of them fails its self-test.
    """
    for folder in (SHIPPED, _home(dataset)):
        judges = [Judge.load(path) for path in sorted((folder / OPINIONS).glob("*.safetensors"))]
        fitting = [j for j in judges if j.facts.data == dataset.digest and j.facts.kind != OFFICIAL]
        if fitting:
            return fitting
    return []


def _home(dataset: Dataset) -> Path:
    """Where judges of this very data are kept that are not shipped."""
    return cache_folder() / "judges" / dataset.digest[:16]
