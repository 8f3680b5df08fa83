"""Features of timm's networks and of torch-fidelity's Inception, held against what these libraries give themselves."""

from __future__ import annotations

import io
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from urllib.error import URLError

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError
from latentarena.judge.extractors import open_extractor
from latentarena.randomness import stream
from photographs import library

SHAKEN = 0.1  # how far weights are from those a network begins with, some of which would hide a mistake


def shaken(network: nn.Module) -> dict[str, Tensor]:
    """A network's weights, none of them zero or one as they are at first."""
    state = {name: tensor.clone().contiguous() for name, tensor in network.state_dict().items()}
    noise = stream("shaken")
    for tensor in state.values():
        if tensor.dtype.is_floating_point:
            tensor += SHAKEN * torch.rand(tensor.shape, generator=noise)
    return state


@pytest.fixture(scope="module")
def timm() -> ModuleType:
    return library("timm")


@pytest.fixture(params=["test_resnet", "test_vit"])
def name(request: pytest.FixtureRequest) -> str:
    """A small model of timm."""
    return str(request.param)


@pytest.fixture
def weights(timm: ModuleType, name: str, tmp_path: Path) -> Path:
    """Random weights of it, as it is published."""
    path = tmp_path / "model.safetensors"
    save_file(shaken(timm.create_model(name)), path)
    return path


def by_hand(timm: ModuleType, name: str, weights: Path, images: Tensor) -> Tensor:
    """What timm itself gives, of colour images of the size that the model wants."""
    model = timm.create_model(name, num_classes=0).eval()
    state = load_file(weights)
    model.load_state_dict({one: state[one] for one in model.state_dict()})
    cfg = timm.get_pretrained_cfg(name)
    mean, deviation = (torch.tensor(one).view(3, 1, 1) for one in (cfg.mean, cfg.std))
    with torch.no_grad():
        return model((images - mean) / deviation)  # type: ignore[no-any-return]


def test_a_model_of_timm_sees_what_it_sees_by_itself(timm: ModuleType, name: str, weights: Path) -> None:
    extractor = open_extractor(f"timm:{name}:{weights}")
    _, side, _ = timm.get_pretrained_cfg(name).input_size
    assert extractor.side == side
    images = torch.rand(3, 3, side, side, generator=stream("images"))
    expected = by_hand(timm, name, weights, images)
    assert expected.std() > 0.001
    torch.testing.assert_close(extractor.look(images), expected, rtol=1e-6, atol=1e-6)
    grey = torch.full((2, 1, 28, 28), 0.3)
    torch.testing.assert_close(
        extractor.look(grey), by_hand(timm, name, weights, torch.full((2, 3, side, side), 0.3)), rtol=1e-3, atol=1e-4
    )


def test_published_weights_come_from_the_hub(
    timm: ModuleType, name: str, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def hub(*what: str) -> str:
        asked.append(what)
        return str(weights)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", hub)
    published, own = (open_extractor(f"timm:{one}") for one in (name, f"{name}:{weights}"))
    assert asked == [(timm.get_pretrained_cfg(name).hf_hub_id, "model.safetensors")]
    images = embedded_digits().test.batch(slice(0, 3))
    assert torch.equal(published.look(images), own.look(images))
    assert published.digest == own.digest


def test_weights_of_other_classes_or_of_none_are_taken(timm: ModuleType, name: str, weights: Path) -> None:
    images = embedded_digits().test.batch(slice(0, 3))
    expected = open_extractor(f"timm:{name}:{weights}").look(images)
    head = timm.get_pretrained_cfg(name).classifier
    state = load_file(weights)
    for classes in (7, 0):
        own = {one: tensor for one, tensor in state.items() if not one.startswith(f"{head}.")}
        own |= {one: state[one][:classes] for one in (f"{head}.weight", f"{head}.bias") if classes}
        save_file(own, weights)
        assert torch.equal(open_extractor(f"timm:{name}:{weights}").look(images), expected)
    save_file({f"module.{one}": tensor for one, tensor in state.items()}, weights)  # as DataParallel names them
    assert torch.equal(open_extractor(f"timm:{name}:{weights}").look(images), expected)


def test_weights_that_do_not_fit_are_told(timm: ModuleType, name: str, weights: Path, tmp_path: Path) -> None:
    state = load_file(weights)
    lost = next(one for one in state if one.endswith(".weight"))
    save_file({one: tensor for one, tensor in state.items() if one != lost}, weights)
    other = tmp_path / "weights.bin"
    other.write_bytes(b"")
    (tmp_path / "junk.safetensors").write_bytes(b"junk")
    for file, said in {
        weights: rf"{weights} holds no weights of {name}: .*[Mm]issing key.*{lost}",
        other: "weights.bin is not opened; save its weights as .safetensors",
        tmp_path / "junk.safetensors": f"junk.safetensors holds no weights of {name}: ",
    }.items():
        with pytest.raises(ConfigError, match=said) as refusal:
            open_extractor(f"timm:{name}:{file}")
        assert "\n" not in str(refusal.value)


def test_names_that_timm_does_not_know_are_told(timm: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    for named, said in {
        "timm:test_resnot": r"did you mean 'test_resnet'\? timm .* has no test_resnot: see timm.list_models\(\)",
        "timm:test_vit.mine": "timm .* has no test_vit.mine",
        f"timm:vit_base_patch16_sapiens2:{__file__}": "sees images of 1024 x 768; choose a model of square ones",
    }.items():
        with pytest.raises(ConfigError, match=said):
            open_extractor(named)

    def offline(*_: str) -> str:
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(ConfigError, match=r"not at hand \(OSError\): .* give a file, as timm:test_vit:FILE"):
        open_extractor("timm:test_vit")


@pytest.fixture(scope="module")
def inception() -> ModuleType:
    library("torch_fidelity")
    from torch_fidelity import feature_extractor_inceptionv3

    return feature_extractor_inceptionv3


@pytest.fixture(scope="module")
def published(inception: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of Inception in the format of those published, in a folder as torch keeps them."""
    path = tmp_path_factory.mktemp("torch") / "hub" / "checkpoints" / inception.URL_INCEPTION_V3.rpartition("/")[2]
    path.parent.mkdir(parents=True)
    nothing = io.BytesIO()
    torch.save({}, nothing)
    nothing.seek(0)
    with pytest.MonkeyPatch.context() as patch, torch.random.fork_rng():
        torch.manual_seed(0)
        patch.setattr(inception.FeatureExtractorInceptionV3, "load_state_dict", lambda self, state: None)
        network = inception.FeatureExtractorInceptionV3("random", ["2048"], feature_extractor_weights_path=nothing)
    kept = {one: 6**0.5 * tensor if "conv" in one else tensor for one, tensor in network.state_dict().items()}
    torch.save(kept, path)  # so that what is seen does not fade away from layer to layer
    return path


def test_inception_sees_what_torch_fidelity_sees(
    inception: ModuleType, published: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bytes_ = torch.randint(0, 256, (2, 1, 28, 28), dtype=torch.uint8, generator=stream("images"))
    theirs = inception.FeatureExtractorInceptionV3("ours", ["2048"], feature_extractor_weights_path=str(published))
    expected = theirs(bytes_.repeat(1, 3, 1, 1))[0]
    assert expected.shape == (2, 2048)
    assert (expected[0] - expected[1]).abs().max() > 1e-3
    monkeypatch.setenv("TORCH_HOME", str(published.parents[2]))
    kept, own = open_extractor("inception"), open_extractor(f"inception:{published}")
    assert torch.equal(kept.look((bytes_.float() / 255 + 0.001).clamp(max=1)), expected)  # of the nearest bytes
    assert own.digest == kept.digest


class Program:
    """What a pickle may run when it is opened."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return os.mkdir, (self.place,)


def test_weights_of_inception_run_no_program(
    inception: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trap, other, cached = tmp_path / "trap.pth", tmp_path / "other.pth", tmp_path / "hub" / "checkpoints"
    torch.save({"conv": torch.zeros(1), "more": Program(tmp_path / "ran")}, trap)
    torch.save({"conv": torch.zeros(1)}, other)
    cached.mkdir(parents=True)
    (cached / inception.URL_INCEPTION_V3.rpartition("/")[2]).write_bytes(trap.read_bytes())
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for named, said in {
        f"inception:{trap}": r"its weights are not at hand \(UnpicklingError\)",
        "inception": r"its weights are not at hand \(UnpicklingError\)",
        f"inception:{other}": "other.pth holds no weights of that network: .*[Mm]issing key",
    }.items():
        with pytest.raises(ConfigError, match=said) as refusal:
            open_extractor(named)
        assert "\n" not in str(refusal.value)
    assert not (tmp_path / "ran").exists()


def test_weights_of_inception_that_cannot_be_had_are_told(
    inception: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def offline(*_: object, **__: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", offline)
    with pytest.raises(ConfigError, match=r"not at hand \(URLError\); give a file of them, from https://.*\.pth, as"):
        open_extractor("inception")


class Absent(MetaPathFinder):
    """As if a package were not installed."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] == self.package:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


@pytest.mark.parametrize(
    ("named", "package", "extra"),
    [
        ("timm:resnet18", "timm", "timm"),
        ("inception", "torch_fidelity", "inception"),
        (f"inception:{__file__}", "torch_fidelity", "inception"),
        ("dinov2-small", "transformers", "features"),
    ],
)
def test_what_is_not_installed_is_told_with_its_extra(
    named: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in [one for one in sys.modules if one.partition(".")[0] == package]:
        monkeypatch.delitem(sys.modules, one)
    monkeypatch.setattr(sys, "meta_path", [Absent(package), *sys.meta_path])
    told = rf"^--features {named} needs {package}: pip install 'latentarena\[{extra}\]'$"
    with pytest.raises(ConfigError, match=told):
        open_extractor(named)


def test_a_torchvision_that_is_missing_is_told_with_where_it_comes_from(monkeypatch: pytest.MonkeyPatch) -> None:
    """The extra would bring one of PyPI, and the gigabytes of CUDA with it."""
    if find_spec("timm") is None:
        pytest.skip("timm is not installed")
    for one in [one for one in sys.modules if one.partition(".")[0] in ("timm", "torchvision")]:
        monkeypatch.delitem(sys.modules, one)
    monkeypatch.setattr(sys, "meta_path", [Absent("torchvision"), *sys.meta_path])
    with pytest.raises(
        ConfigError, match=r"^--features timm:resnet10t needs torchvision: install it from where torch came"
    ):
        open_extractor("timm:resnet10t")


@pytest.mark.parametrize("named", ["timm:resnet10t:none.safetensors", "inception:none.pth"])
def test_a_missing_file_is_told_before_a_library_is_looked_for(named: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "meta_path", [Absent("timm"), Absent("torch_fidelity"), *sys.meta_path])
    with pytest.raises(ConfigError, match=rf"^--features {named}: there is no such file; give the path of a"):
        open_extractor(named)


@pytest.mark.parametrize("named", ["timm:resnet18", "inception", "dinov2-small"])
def test_a_torchvision_of_another_torch_is_told(named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which otherwise breaks in the midst of them: `operator torchvision::nms does not exist`."""
    (tmp_path / "torchvision").mkdir()
    broken = "import torch\n\n@torch.library.register_fake('torchvision::not_there')\ndef _(x):\n    return x\n"
    (tmp_path / "torchvision" / "__init__.py").write_text(broken)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    with pytest.raises(
        ConfigError, match=r"the installed torchvision was not built for torch .*::not_there does not exist"
    ):
        open_extractor(named)
