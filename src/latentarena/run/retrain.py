"""Training a bundle's recipe anew: whether the bundle is what its recipe makes, and what the training really costs.

`arena retrain` calls `retrain`. A server's worker runs `python -m latentarena.run.retrain BUNDLE --out DIR --work W`
as a process that it can kill: DIR then holds `certificate.json`, or `refusal.json` where the bundle cannot be
certified. What was trained stays in W, from where the next process goes on.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from latentarena import __version__
from latentarena.bundle import BOXED, NativeBundle, native_of, open_bundle, save_bundle
from latentarena.bundle.native import BundleCard
from latentarena.card.catalogue import METRICS
from latentarena.card.certificate import QUALITY, Certificate, ProbedLoss, RepeatedTraining
from latentarena.card.score_card import ScoreCard
from latentarena.card.trainings import common, over_trainings
from latentarena.config import validate
from latentarena.contest.eligibility import Eligibility
from latentarena.documents import parse_json
from latentarena.errors import BundleError, ConfigError
from latentarena.evaluate.evaluate import refusal_of, refuse_ineligible, sentence_of
from latentarena.evaluate.scoring import Panel, data_of, judge_bundle
from latentarena.facts import machine, source_digest
from latentarena.files import digest_json, make_folder, write_json
from latentarena.judge.training import judge_for
from latentarena.key import Key
from latentarena.latents import encode_all, latent_statistics
from latentarena.model.latent_model import LatentModel, labels_for
from latentarena.modes import evaluated
from latentarena.run.agreement import COMPARED, disagreements, misdeclared, undecided
from latentarena.run.order import MOST, ORDER, Order, claimed
from latentarena.run.pipeline import Prepared, provenance_of
from latentarena.run.training_cost import StageCost, training_cost
from latentarena.system import SPARE, affordable, limit_memory
from latentarena.train.fabric import make_fabric
from latentarena.train.logs import logged
from latentarena.train.loop import Objective, Tick, fit
from latentarena.train.recipe import Recipe
from latentarena.train.shelter import Shelter, bring_back, held
from latentarena.train.stages import Watch, stages

if TYPE_CHECKING:
    from lightning_fabric import Fabric

Found = TypeVar("Found", bound=BaseModel)
SAMPLES = 1000  # images generated for a figure, of the bundle and of every training alike
PROBES = 8  # looks at the quality in a stage
CERTIFICATE, TRAINING, PROBED, DECLARED = (
    "certificate.json",
    "training.json",
    "probes.json",
    "declared.json",
)
MEMORY = 16 << 10  # MiB


def recipe_of(card: BundleCard) -> Recipe:
    """The recipe of a native bundle.

    Raises:
        BundleError: the card holds none, or one of another architecture than the model's.
    """
    try:
        recipe = validate(Recipe, card.provenance.recipe, f"the recipe of {card.name!r}")
    except ConfigError as error:
        raise BundleError(f"{error}; what has no recipe cannot be trained anew") from None
    if recipe.architecture(card.shape, card.classes) != card.architecture:
        raise BundleError(f"the recipe of {card.name!r} makes another architecture than its model has")
    return recipe


def retrain(
    order: Order,
    folder: Path,
    watch: Watch = lambda ticks, stage: ticks,
    tell: Callable[[str], None] = lambda line: None,
) -> Certificate:
    """Train the recipe of a bundle anew and write `certificate.json`.

    Args:
        order: what is to be certified, and how.
        folder: for the trainings and the certificate; one that was begun for the same order is gone on with.
        watch: wraps the training ticks, to show progress.
        tell: hears a line before each training.

    Raises:
        BundleError: the bundle has no recipe that can be trained anew, or too long a one.
        ConfigError: the folder belongs to something else, or another process uses it.
        TrainingError, Interrupted: see `fit`; what is trained is kept.
    """
    recipe = recipe_of(order.bundle.card)
    cost = training_cost(recipe, order.data.shape, order.data.classes, len(order.data.train))
    total = sum(stage.total for stage in cost.values())
    if total > order.most:
        raise BundleError(
            f"the recipe of {order.bundle.card.name!r} takes {total:.3g} multiply-adds; at most {order.most:.3g} are "
            "trained anew"
        )
    with held(folder):
        bring_back(folder)
        order, drawn = claimed(folder, order)
        place = Shelter(folder)
        declared = _declared(order, place)
        place.remember(ORDER, DECLARED)
        trainings = []
        for number in range(order.seeds):
            seed = order.randomness.seed("training", number) if number else recipe.seed
            own = recipe.model_copy(update={"seed": seed})
            tell(f"training {number + 1} of {order.seeds}, seed {own.seed}: {total:.3g} multiply-adds")
            trainings.append(_trained(order, own, cost, place, watch))
        certificate = _certificate(order, recipe, declared, trainings, drawn)
        _keep(place, place.home, CERTIFICATE, certificate)
        place.settle()
        return certificate


def _declared(order: Order, place: Shelter) -> ScoreCard:
    """What the judge finds of the bundle itself."""
    found = place.reach(place.home, partial(_kept, DECLARED, ScoreCard))
    if found is None:
        found = _judged(order, order.bundle)
        _keep(place, place.home, DECLARED, found)
    return found


def _judged(order: Order, bundle: NativeBundle) -> ScoreCard:
    panel, key = Panel(order.data, order.judge), order.randomness.key
    return judge_bundle(bundle, panel, SAMPLES, timed=False, key=key, alike=order.bundle.digest).card


def _trained(
    order: Order, recipe: Recipe, cost: dict[str, StageCost], place: Shelter, watch: Watch
) -> RepeatedTraining:
    """One training, or what is left of it, and what came of it."""
    folder = place.home / f"seed-{recipe.seed}"
    found = place.reach(folder, partial(_kept, TRAINING, RepeatedTraining))
    if found is not None:
        place.remember(f"{folder.name}/{TRAINING}")
        return found
    fabric = make_fabric()
    fabric.launch()
    model = LatentModel(recipe.architecture(order.data.shape, order.data.classes), recipe.seed)
    _Anew(order, recipe, cost, place, folder, model, fabric).run(watch)
    latents = latent_statistics(encode_all(model.cpu().autoencoder, order.data.train, order.data.digest))
    prepared = Prepared(recipe, order.data, folder, "")
    made = place.reach(folder, lambda there: provenance_of(prepared, fabric, latents, there))
    bundle = place.reach(folder, lambda there: save_bundle(there / "bundle", order.bundle.card.name, model, made))
    scores = {name: score.value for name, score in _judged(order, bundle).scores.items()}
    training = RepeatedTraining(
        seed=recipe.seed,
        weights=bundle.card.weights,
        probes=place.reach(folder, _probes),
        figures=scores | {"train_macs": sum(stage.total for stage in cost.values())},
        losses=made.losses,
    )
    _keep(place, folder, TRAINING, training)
    place.remember(f"{folder.name}/{TRAINING}")
    return training


def _kept(name: str, model: type[Found], folder: Path) -> Found | None:
    """What was found before, if it was."""
    path = folder / name
    return validate(model, parse_json(path.read_bytes()), str(path)) if path.exists() else None


def _keep(place: Shelter, folder: Path, name: str, found: BaseModel) -> None:
    """Write what was found; where the folder is full or gone, where the same order finds it again."""
    place.reach(folder, lambda there: write_json(make_folder(there) / name, found.model_dump(mode="json")))


def _looks(folder: Path) -> list[dict[str, Any]]:
    """What looks at the quality have found so far."""
    path = folder / PROBED
    return parse_json(path.read_bytes()) if path.exists() else []


def _probes(folder: Path) -> tuple[ProbedLoss, ...]:
    return tuple(ProbedLoss(macs=one["macs"], frechet=one["frechet"]) for one in _looks(folder))


@dataclass
class _Anew:
    """A training whose quality is looked at on the way; nothing of it comes from an earlier one."""

    order: Order
    recipe: Recipe
    cost: dict[str, StageCost]
    place: Shelter
    folder: Path
    model: LatentModel
    fabric: Fabric

    def run(self, watch: Watch) -> None:
        """Train every stage to its end, from the newest checkpoint in the folder."""
        spent, configs, generating = 0.0, self.recipe.training.stages(), False
        folder, reach = self.folder, self.place.reach
        for stage, objective in stages(self.recipe, self.model, self.order.data, self.fabric.device):
            generating = generating or stage == "generator"
            key = (self.recipe.seed, stage)
            trained = fit(objective, configs[stage], self.fabric, folder / "checkpoints", key, reach)
            ticks = watch(logged(trained, folder / "logs", stage, reach), stage)
            for tick in self._looked(ticks, stage, objective, spent) if generating else ticks:
                del tick
            spent += self.cost[stage].total
        self.model.eval().requires_grad_(False)

    def _looked(self, ticks: Iterator[Tick], stage: str, objective: Objective, spent: float) -> Iterator[Tick]:
        """The ticks of a stage; the quality is looked at a few times, until it is reached."""
        reach = self.place.reach
        found = reach(self.folder, _looks)
        for tick in ticks:
            due = {math.ceil(tick.steps * part / PROBES) for part in range(1, PROBES + 1)}
            known = [stage, tick.step] in [[one["stage"], one["step"]] for one in found]
            reached = any(one["frechet"] <= self.order.quality for one in found)
            if tick.step in due and not known and (not reached or tick.step == tick.steps):
                macs = spent + self.cost[stage].after(tick.step)
                with objective.averaged():
                    distance = self._distance()
                found.append({"stage": stage, "step": tick.step, "macs": macs, "frechet": distance})
                reach(self.folder, lambda folder: write_json(folder / PROBED, found))
            yield tick

    def _distance(self) -> float:
        """The Frechet distance of the model as it is."""
        noise = self.order.randomness.noise(SAMPLES, self.model.noise_shape, "certificate")
        labels = labels_for(self.model, SAMPLES)
        with evaluated(self.model):
            distance = self.order.judge.distance(self.order.judge.look(self.model.generate(noise, labels)))
        return distance if math.isfinite(distance) else sys.float_info.max


def _certificate(
    order: Order, recipe: Recipe, declared: ScoreCard, trainings: Sequence[RepeatedTraining], drawn: str | None
) -> Certificate:
    card, data = order.bundle.card, order.data
    figures = common([one.figures for one in trainings])
    reached = [_reached(one, order.quality) for one in trainings]
    costs = [macs for macs in reached if macs is not None]
    if len(costs) == len(trainings):
        figures["quality_macs"] = over_trainings(costs)
    against = list(disagreements(card, declared, trainings))
    open_ = list(undecided(card, declared, trainings))
    lies = [] if against or open_ else list(misdeclared(card, trainings))
    return Certificate(
        name=card.name,
        bundle=order.bundle.digest,
        recipe=digest_json(recipe.model_dump(mode="json", exclude={"name", "about", "otherwise", "expected", "seed"})),
        dataset=data.name,
        data=data.digest,
        judge=order.judge.digest,
        key=order.randomness.key.name,
        drawn=drawn,
        samples=SAMPLES,
        quality=order.quality,
        trainings=tuple(trainings),
        declared={name: declared.scores[name].value for name in COMPARED if name in declared.scores},
        figures={name: one for name, one in figures.items() if METRICS[name].certified},
        spread={name: one.high - one.value for name, one in figures.items() if not METRICS[name].certified},
        verdict="disagrees" if against else "undecided" if open_ else "agrees",
        reasons=tuple(reason[:300] for reason in (*against, *open_, *lies))[:20],
        source=source_digest(),
        version=__version__,
        machine=machine()[:200],
    )


def _reached(training: RepeatedTraining, quality: float) -> float | None:
    """Multiply-adds until the quality was there; None where it never was."""
    return next((probe.macs for probe in training.probes if probe.frechet <= quality), None)


def main(arguments: Sequence[str]) -> int:
    """The worker's program; the exit status is 0 where there is a certificate or a refusal."""
    chosen = _parser().parse_args(arguments)
    memory = affordable(chosen.memory)
    limit_memory(memory)
    try:
        order = _order(chosen)
        made = retrain(order, chosen.work, tell=partial(print, flush=True))
    except Exception as error:
        limit_memory(memory + SPARE)
        verdict = refusal_of(error)
        if verdict is None:
            raise
        sentence = sentence_of(error, chosen.bundle, memory)
        said = {"state": verdict[0], "reason": verdict[1], "sentence": sentence}
        write_json(make_folder(chosen.out) / "refusal.json", said)
        return 0
    write_json(make_folder(chosen.out) / CERTIFICATE, made.model_dump(mode="json"))
    return 0


def _order(chosen: argparse.Namespace) -> Order:
    bundle = native_of(open_bundle(chosen.bundle, trust=BOXED, forms=("native",)))
    refuse_ineligible(bundle, Eligibility(dataset=chosen.dataset), chosen.data)
    data = data_of(bundle, chosen.data)
    judge = judge_for(data, file=chosen.judge)
    key = Key.parse(sys.stdin.readline()) if chosen.keyed else None
    return Order(bundle, data, judge, chosen.seeds, chosen.quality, chosen.macs, key)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("latentarena.run.retrain", description="Certify a bundle; see `arena retrain`.")
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="an empty folder for the verdict")
    parser.add_argument("--work", type=Path, required=True, help="for the trainings; what is there is gone on with")
    parser.add_argument("--seeds", type=int, default=3, help="trainings")
    parser.add_argument("--quality", type=float, default=QUALITY, help="the Frechet distance to be reached")
    parser.add_argument("--macs", type=float, default=MOST, help="multiply-adds that one training may take")
    parser.add_argument("--dataset", help="what the model must be of")
    parser.add_argument("--judge", type=Path, help="the judge's file; the dataset's own unless given")
    parser.add_argument("--keyed", action="store_true", help="read the contest's key from standard input")
    parser.add_argument("--data", type=Path, help="where the dataset's files are")
    parser.add_argument("--memory", type=int, default=MEMORY, help="MiB that this process may take")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
