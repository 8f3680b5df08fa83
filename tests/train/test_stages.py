"""The stages of training: what each minimises, what a recipe may ask for, and what is not trained twice."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

from latentarena.autoencoder import ConvVAEConfig, Posterior
from latentarena.bundle import OWN, native_of, open_bundle, save_bundle
from latentarena.data import Dataset, Images
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError, TrainingError
from latentarena.latents import LatentStatistics, encode_all, latent_statistics
from latentarena.model.latent_model import LatentModel
from latentarena.randomness import Draws, stream
from latentarena.run.pipeline import prepare
from latentarena.train import reuse
from latentarena.train.adversary import PatchDiscriminator
from latentarena.train.augment import Augmentation
from latentarena.train.earlier import flows_before
from latentarena.train.fabric import make_fabric
from latentarena.train.loop import FitConfig, Tick
from latentarena.train.recipe import Recipe, load_recipe
from latentarena.train.shelf import recipe_names
from latentarena.train.shelter import Shelter
from latentarena.train.stages import AutoencoderObjective, GeneratorObjective, refuse_diverged, train_model
from latentarena.train.training import AutoencoderTraining, GeneratorTraining

STEP = 1e-9  # a budget that leaves one step of every stage
DIGITS = ["data.name=digits", "autoencoder.widths=[4,8]", "otherwise=null"]


def toy(shape: tuple[int, int, int] = (1, 28, 28), n: int = 64) -> Dataset:
    """Random images of two classes."""
    images = [
        Images(torch.randint(256, (n, *shape), dtype=torch.uint8, generator=stream(key)), torch.arange(n) % 2)
        for key in ("train", "test")
    ]
    return Dataset.of("toy", *images, classes=("one", "other"))


def trained(recipe: Recipe, data: Dataset, folder: Path) -> LatentModel:
    """The recipe's model, trained on these data."""
    model = LatentModel(recipe.architecture(data.shape, data.classes), recipe.seed)
    train_model(recipe, model, data, make_fabric("cpu"), Shelter(folder), lambda ticks, stage: ticks)
    return model


@pytest.mark.parametrize("name", recipe_names())
def test_every_recipe_trains_and_its_bundle_samples(name: str, tmp_path: Path, tiny_bundle: object) -> None:
    changes = ["training.reflow.pairs=64"] if load_recipe(name).training.reflow else []
    recipe = load_recipe(name, [*changes, "sampling.steps=2"] if name != "meanflow-latent" else changes).scaled(STEP)
    shape = {"quickstart-digits": (1, 8, 8), "rgb-folder": (3, 32, 32)}.get(name, (1, 28, 28))
    model = trained(recipe, toy(shape), tmp_path)
    logs = {path.stem for path in (tmp_path / "logs").glob("*.csv")}
    assert logs == set(recipe.training.stages())
    save_bundle(tmp_path / "bundle", name, model, tiny_bundle.card.provenance)  # type: ignore[attr-defined]
    again = native_of(open_bundle(tmp_path / "bundle", trust=OWN)).model
    labels = torch.tensor([0, 1, 1]) if model.conditional else None
    images = again.generate(model.noise(3, 0), labels)
    assert images.shape == (3, *shape)
    assert 0 <= float(images.min()) <= float(images.max()) <= 1
    torch.testing.assert_close(images, model.generate(model.noise(3, 0), labels), rtol=0, atol=0)


class TestAutoencoder:
    def losses(self, progress: float = 0.0, **config: float) -> tuple[AutoencoderObjective, dict[str, Tensor]]:
        data = toy((1, 8, 8))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            vae = ConvVAEConfig(latent=(4,), widths=(4,)).build((1, 8, 8))
            objective = AutoencoderObjective(
                vae, data.train, AutoencoderTraining(epochs=1, **config), discriminator=PatchDiscriminator(1)
            )
        objective.progress = progress
        return objective, objective(torch.arange(32), Draws(stream("test")))

    def test_beta_rises_linearly_and_stays(self) -> None:
        weights = [self.losses(progress, beta=2.0, anneal=0.5)[0].beta() for progress in (0, 0.25, 0.5, 0.9)]
        assert weights == [0, 1, 2, 2]

    def test_the_weight_of_the_divergence_is_beta(self) -> None:
        _, losses = self.losses(beta=2.0)
        torch.testing.assert_close(losses["loss"], losses["mse"] + 2.0 * losses["kl"] / 64)

    def test_free_bits_cost_nothing(self) -> None:
        objective, plain = self.losses(beta=1.0)
        objective.config = objective.config.model_copy(update={"free_bits": 1e3})
        objective.zero_grad()
        losses = objective(torch.arange(32), Draws(stream("test")))
        torch.testing.assert_close(losses["loss"], losses["mse"] + 4 * 1e3 / 64)
        slopes = torch.autograd.grad(
            losses["loss"] - losses["mse"], objective.autoencoder.log_variance, allow_unused=True
        )
        assert slopes[0] is None or not slopes[0].any()
        assert plain["kl"] == losses["kl"]

    def test_the_adversary_reaches_the_encoder(self) -> None:
        objective, losses = self.losses(beta=0.0, adversarial=1.0)
        first = next(objective.autoencoder.parameters())
        (with_adversary,) = torch.autograd.grad(losses["loss"], first, retain_graph=True)
        (without,) = torch.autograd.grad(losses["mse"], first)
        assert (with_adversary - without).abs().max() > 1e-6

    def test_images_are_varied_only_where_asked(self) -> None:
        seen: list[Tensor] = []
        for config in ({"augment": Augmentation(shift=2)}, {}):
            objective, _ = self.losses(beta=0.0, **config)  # type: ignore[arg-type]
            encode = objective.autoencoder.encode
            objective.autoencoder.encode = lambda images, encode=encode: seen.append(images) or encode(images)  # type: ignore
            objective(torch.arange(32), Draws(stream("test")))
        clean = toy((1, 8, 8)).train.batch(slice(0, 32))
        assert not torch.equal(seen[0], clean)
        assert torch.equal(seen[1], clean)

    def test_free_bits_are_those_of_each_dimension(self) -> None:
        objective, plain = self.losses(beta=1.0)
        nats = objective.autoencoder.encode(toy((1, 8, 8)).train.batch(slice(0, 32))).kl_by_dimension().detach()
        middle = float(nats.median())
        objective.config = objective.config.model_copy(update={"free_bits": middle})
        losses = objective(torch.arange(32), Draws(stream("test")))
        expected = sum(max(float(one), middle) for one in nats) / 64
        assert (losses["loss"] - losses["mse"]).item() == pytest.approx(expected, rel=1e-4)
        assert expected > float(plain["kl"]) / 64


class TestGenerator:
    def told(self, labels: Tensor, index: Tensor, **shares: float) -> tuple[Tensor, Tensor, Tensor]:
        """First numbers of the points, the times and the labels that a network is given; data are at their labels."""
        recipe = load_recipe("quickstart-digits", ["generator.conditional=true", "autoencoder.latent=[2]"])
        model, seen = LatentModel(recipe.architecture((1, 28, 28), tuple("0123456789"))), []
        latents = Posterior.certain(torch.stack([labels.float(), torch.zeros(len(labels))], 1))

        def network(x: Tensor, t: Tensor, told: Tensor) -> Tensor:
            seen.append((x[:, 0], t, told))
            return torch.zeros_like(x)

        config = GeneratorTraining(epochs=1, times="uniform", **shares)
        GeneratorObjective(model, network, latents, labels, config)(index, Draws(stream("hidden")))  # type: ignore[arg-type]
        [given] = seen
        return given

    @pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
    def test_labels_are_hidden_as_often_as_asked_and_else_are_their_datas_own(self, share: float) -> None:
        labels, index = torch.arange(4000) % 10, torch.randperm(4000, generator=stream("order"))
        x, t, told = self.told(labels, index, drop_labels=share)
        hidden = told == 10  # the row after the last class
        assert float(hidden.float().mean()) == pytest.approx(share, abs=0.03)
        assert torch.equal(told[~hidden], labels[index][~hidden])
        near = t < 0.02  # where x is all but the data
        assert int(near.sum()) > 20
        assert float((x[near] - labels[index][near]).abs().max()) < 0.5

    @pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
    def test_labels_are_wrong_as_often_as_asked_and_those_of_other_images(self, share: float) -> None:
        labels, index = torch.arange(4000) ** 2 % 10, torch.randperm(4000, generator=stream("order"))
        x, t, told = self.told(labels, index, drop_labels=0.5, wrong_labels=share)
        own, shown = labels[index], told != 10
        chance = float((torch.bincount(labels, minlength=10) / 4000).square().sum())  # that another has the same
        assert float((told != own)[shown].float().mean()) == pytest.approx(share * (1 - chance), abs=0.04)
        assert set(told[shown].tolist()) <= {0, 1, 4, 5, 6, 9}  # the classes there are
        assert float(shown.float().mean()) == pytest.approx(0.5, abs=0.03)
        near = t < 0.02
        assert float((x[near] - own[near]).abs().max()) < 0.5  # the images are what they were


class TestLatentStatistics:
    def test_a_dimension_that_says_nothing_is_dead(self) -> None:
        mean = torch.randn(2000, 5, generator=stream("means")) * torch.tensor([1.0, 2.0, 0.0, 0.01, 1.0])
        log_variance = torch.tensor([[0.01, 0.01, 1.0, 1.0, 1e-4]]).log()
        found = latent_statistics(Posterior(mean, log_variance))
        assert (found.dimensions, found.dead) == (5, 2)
        assert found.largest == pytest.approx(2.0, rel=0.05)
        assert found.smallest == 0

    def test_without_width_a_dimension_is_dead_beside_a_much_livelier_one(self) -> None:
        mean = torch.randn(2000, 4, generator=stream("means")) * torch.tensor([1.0, 0.005, 0.0, 2.0])
        assert latent_statistics(Posterior.certain(mean)).dead == 2

    def test_a_deterministic_encoder_has_no_divergence(self) -> None:
        data = toy((1, 8, 8))
        recipe = load_recipe("rf-pixel")
        model = LatentModel(recipe.architecture(data.shape, data.classes))
        assert latent_statistics(encode_all(model.autoencoder, data.train, data.digest)).kl is None

    def test_they_are_on_the_card(self, tiny_bundle: object) -> None:
        found = tiny_bundle.card.provenance.latents  # type: ignore[attr-defined]
        assert isinstance(found, LatentStatistics)
        assert found.dimensions == 6
        assert found.kl is not None


@pytest.mark.parametrize(
    ("name", "change", "reason"),
    [
        ("digitdreamer", "training.autoencoder.beta=0.1", "deterministic"),
        ("digitdreamer", "training.features=null", "features is missing"),
        ("quickstart", "training.finetune={epochs: 1}", ""),
        ("rf-pixel", "training.finetune={epochs: 1}", "finetune goes on with training.autoencoder"),
        ("fm-small", "sampling.guidance=2", "needs a generator that is conditional"),
        ("quickstart", "sampling.solver=jump", "generator.average"),
        ("fm-small", "generator.classifier={width: 8}", "go together"),
        ("meanflow-latent", "generator.target=noise", "cannot be averaged"),
        ("onestep-latent", "training.reflow.times=uniform", "needs reflow with times = end"),
        ("meanflow-latent", "training.consistency={epochs: 1}", "start from a flow"),
        ("rf-latent", "training.consistency={epochs: 1}", "choose one"),
        ("classifier-guidance-latent", "generator.conditional=true", "choose one way of guidance"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(name: str, change: str, reason: str) -> None:
    if not reason:
        assert "finetune" in load_recipe(name, [change]).training.stages()
        return
    with pytest.raises(ConfigError, match=reason) as caught:
        load_recipe(name, [change])
    assert "\n" not in str(caught.value)


class TestReuse:
    """Only what took its time is kept; here that is everything."""

    @pytest.fixture(autouse=True)
    def everything_is_kept(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        monkeypatch.setattr(reuse, "WORTHWHILE", 0.0)
        monkeypatch.setenv("LATENTARENA_CACHE", str(tmp_path / "cache"))

    def stages_trained(self, out: Path, *changes: str) -> tuple[set[str], LatentModel]:
        """The stages that are not at their end at once."""
        prepared = prepare("quickstart-digits", [*DIGITS, "generator.backbone.width=8", *changes], out, budget=0.001)
        shape, classes = prepared.data.shape, prepared.data.classes
        model = LatentModel(prepared.recipe.architecture(shape, classes), prepared.recipe.seed)
        worked = set()

        def watch(ticks, stage):  # type: ignore[no-untyped-def]
            for number, tick in enumerate(ticks):
                if number:  # the first tick says where it stands
                    worked.add(stage)
                yield tick

        train_model(prepared.recipe, model, prepared.data, make_fabric("cpu"), Shelter(out), watch)
        return worked, model

    def test_the_same_is_not_trained_twice(self, tmp_path: Path) -> None:
        first, one = self.stages_trained(tmp_path / "a")
        second, other = self.stages_trained(tmp_path / "b")
        assert first == {"autoencoder", "generator"}
        assert second == set()
        for name, weights in one.state_dict().items():
            assert torch.equal(weights, other.state_dict()[name]), name
        for stage in first:
            logs = [(tmp_path / run / "logs" / f"{stage}.csv").read_text() for run in "ab"]
            assert logs[0] == logs[1]

    @pytest.mark.parametrize(
        ("change", "expected"),
        [
            ("training.generator.lr=0.001", {"generator"}),
            ("generator.backbone.depth=1", {"generator"}),
            ("autoencoder.neck=3", {"autoencoder", "generator"}),
            ("seed=1", {"autoencoder", "generator"}),
        ],
    )
    def test_what_depends_on_a_change_is_trained_anew(self, tmp_path: Path, change: str, expected: set[str]) -> None:
        self.stages_trained(tmp_path / "a")
        assert self.stages_trained(tmp_path / "b", change)[0] == expected

    def test_another_length_of_the_average_is_taken_from_what_was_trained(self, tmp_path: Path) -> None:
        """Also for the pictures of the flow that a later stage starts from."""
        several = ["training.generator.ema=0", "training.generator.epochs=8000"]  # of which a thousandth is trained
        changes = [*several, "training.generator.ema_length=0.1"]
        _, one = self.stages_trained(tmp_path / "a", *changes)
        later = ["training.reflow={epochs: 1, pairs: 64, times: end}"]
        longer = [*several, "training.generator.ema_length=0.2"]
        second, other = self.stages_trained(tmp_path / "b", *longer)
        assert second == set()
        assert any(not torch.equal(weights, other.state_dict()[name]) for name, weights in one.state_dict().items())
        for model, keys in ((one, changes), (other, longer)):
            training = load_recipe("quickstart-digits", [*keys, *later]).training
            flow = flows_before(other, training, tmp_path / "a" / "checkpoints")["Flow-1"]
            for name, weights in model.state_dict().items():
                assert torch.equal(weights, flow.state_dict()[name]), name

    def test_who_wants_a_stage_that_another_run_trains_waits_for_it(self, tmp_path: Path) -> None:
        recipe, data = load_recipe("quickstart-digits"), embedded_digits()
        one, same, other = (
            reuse.Reuse(recipe.model_copy(update={"seed": seed}), data, make_fabric("cpu"), tmp_path / name)
            for name, seed in (("a", 0), ("b", 0), ("c", 1))
        )
        inside: list[str] = []

        def enter() -> None:
            with same.shared("autoencoder"):
                inside.append("same")

        with one.shared("autoencoder"):
            waiting = threading.Thread(target=enter)
            waiting.start()
            with other.shared("autoencoder"), same.shared("generator"):
                waiting.join(0.3)
            assert inside == []
        waiting.join(30)
        assert inside == ["same"]

    def test_a_damaged_stage_is_trained_anew(self, tmp_path: Path) -> None:
        self.stages_trained(tmp_path / "a")
        for path in (tmp_path / "cache" / "stages").iterdir():
            path.write_bytes(path.read_bytes()[:-1] + b"x")
        assert self.stages_trained(tmp_path / "b")[0] == {"autoencoder", "generator"}


def test_autoencoder_that_diverged_is_called_that_before_the_generator_is_trained(tmp_path: Path) -> None:
    settings = ("lr=1", "muon=0", "clip=0", "epochs=1")
    assignments = [f"training.autoencoder.{one}" for one in settings]
    recipe = load_recipe("quickstart-digits", assignments)
    data = embedded_digits()
    model = LatentModel(recipe.architecture(data.shape, data.classes))
    heard: list[str] = []

    def watch(ticks: Iterator[Tick], stage: str) -> Iterator[Tick]:
        heard.append(stage)
        return ticks

    with pytest.raises(
        TrainingError, match=r"autoencoder: training diverged: .*lower training\.autoencoder\.lr \(it was 1\)"
    ):
        train_model(recipe, model, data, make_fabric("cpu"), Shelter(tmp_path), watch)
    assert heard == ["autoencoder"]


@pytest.mark.parametrize(("spread", "white", "diverged"), [(0.0, 1.0, True), (0.1, 1.0, False), (0.0, 0.5, False)])
def test_latents_that_are_the_same_for_all_images_are_a_divergence(spread: float, white: float, diverged: bool) -> None:
    """With clip, lr = 1 ends in a dead encoder, whose latents need not be large, and in white images."""
    recipe, data = load_recipe("quickstart-digits"), embedded_digits()
    autoencoder = LatentModel(recipe.architecture(data.shape, data.classes)).autoencoder
    autoencoder.decode = lambda latents: torch.full((len(latents), *data.shape), white)
    shape = (len(data.train), 16)
    latents = Posterior(18 + spread * torch.randn(shape), torch.zeros(shape))
    refused = pytest.raises(
        TrainingError,
        match=r"latents reach 18 and are the same for all images; .*lr \(it was 1\) or muon \(it was 0\.02\), or",
    )
    with refused if diverged else nullcontext():
        refuse_diverged(autoencoder, data.train, latents, FitConfig(epochs=1, lr=1.0, muon=0.02))


def test_untrained_autoencoder_has_not_diverged() -> None:
    """A run cut short to nothing is bad, but not for its learning rate."""
    recipe, data = load_recipe("quickstart-digits"), embedded_digits()
    model = LatentModel(recipe.architecture(data.shape, data.classes)).requires_grad_(False)
    latents = encode_all(model.autoencoder, data.train, "untrained")
    refuse_diverged(model.autoencoder, data.train, latents, FitConfig(epochs=1, lr=1e-3))
