"""Features of networks that are no judges: transformers and ONNX graphs, held against these run by hand."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor, nn

import latentarena as la
from command import Arena
from latentarena.data.digits import embedded_digits
from latentarena.errors import ConfigError
from latentarena.judge.compared import compare_images
from latentarena.judge.extractors import MEAN, Extractor, open_extractor
from latentarena.judge.metrics import frechet_distance
from latentarena.randomness import stream

transformers = pytest.importorskip("transformers")
FIGURES = {"frechet", "kernel_distance", "precision", "density", "recall", "coverage", "vendi"}


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny DINOv2 of random weights."""
    folder = tmp_path_factory.mktemp("dinov2")
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_ratio": 2}
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.Dinov2Model(transformers.Dinov2Config(image_size=28, patch_size=14, **sizes))
    model.save_pretrained(folder)
    return folder


class Moments(nn.Module):
    """Mean and deviation of each third of the rows."""

    def forward(self, images: Tensor) -> Tensor:
        rows = images.flatten(2).unfold(2, 84, 84)
        return torch.cat([rows.mean(3).flatten(1), rows.std(3).flatten(1)], 1)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An ONNX graph of colour images."""
    path = tmp_path_factory.mktemp("graph") / "moments.onnx"
    rows = {"images": {0: torch.export.Dim("n")}}
    torch.onnx.export(Moments().eval(), (torch.rand(2, 3, 28, 28),), path, dynamic_shapes=rows, input_names=["images"])
    return path


class Kept(nn.Module):
    """The pixels times a number."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1) * self.factor


@pytest.mark.parametrize(
    ("factor", "shape", "says"),
    [
        (float("nan"), (3, 28, 28), "gives numbers that are not finite; its weights may be damaged"),
        (float("inf"), (3, 28, 28), "gives numbers that are not finite; its weights may be damaged"),
        (
            1.0,
            (3, 32, 24),
            "a graph from images [n, 3, H, W] to features is wanted, in float32 and of square images or any",
        ),
        (
            1.0,
            (1, 28, 28),
            "a graph from images [n, 3, H, W] to features is wanted, in float32 and of square images or any",
        ),
    ],
    ids=["nan", "infinite", "not square", "grey"],
)
def test_a_graph_that_is_no_extractor_is_one_line(
    factor: float, shape: tuple[int, ...], says: str, tmp_path: Path
) -> None:
    path, rows = tmp_path / "odd.onnx", {"images": {0: torch.export.Dim("n")}}
    torch.onnx.export(Kept(factor).eval(), (torch.rand(2, *shape),), path, dynamic_shapes=rows, input_names=["images"])
    with pytest.raises(ConfigError) as refused:
        open_extractor(str(path)).look(torch.rand(4, 1, 28, 28) + 0.1)
    assert says in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_transformer_sees_what_it_sees_by_itself(dinov2: Path) -> None:
    extractor = open_extractor(f"transformers:{dinov2}")
    images = torch.rand(7, 1, 28, 28, generator=stream("images"))
    model = transformers.AutoModel.from_pretrained(dinov2).eval()
    mean, deviation = torch.tensor(MEAN).view(3, 1, 1), torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    with torch.no_grad():
        expected = model(pixel_values=(images.repeat(1, 3, 1, 1) - mean) / deviation).last_hidden_state[:, 0]
    torch.testing.assert_close(extractor.look(images), expected)
    torch.testing.assert_close(extractor.look(images[:3]), extractor.look(images)[:3])


def test_a_model_is_normalised_as_its_folder_says(dinov2: Path, tmp_path: Path) -> None:
    for file in dinov2.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    plain = {"image_mean": [0.0] * 3, "image_std": [1.0] * 3}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(plain))
    one, other = (open_extractor(f"transformers:{folder}") for folder in (dinov2, tmp_path))
    images, mean = torch.rand(3, 3, 28, 28, generator=stream("images")), torch.tensor(MEAN).view(3, 1, 1)
    deviation = torch.tensor((0.229, 0.224, 0.225)).view(3, 1, 1)
    torch.testing.assert_close(other.look((images - mean) / deviation), one.look(images))
    assert one.digest != other.digest


@pytest.mark.parametrize(
    ("file", "changed"),
    [("config.json", {"hidden_act": "relu"}), ("preprocessor_config.json", {"image_mean": [0.9] * 3})],
)
def test_features_are_kept_for_each_of_the_files_that_decide_them(
    file: str, changed: dict[str, object], dinov2: Path, tmp_path: Path
) -> None:
    """The same weights make other features then, for which those that were kept of the first are not taken."""
    same, other = (Path(shutil.copytree(dinov2, tmp_path / name)) for name in ("same", "other"))
    path = other / file
    path.write_text(json.dumps((json.loads(path.read_text()) if path.exists() else {}) | changed))
    one, moved, unlike = (open_extractor(f"transformers:{folder}") for folder in (dinov2, same, other))
    assert one.digest == moved.digest != unlike.digest
    data = embedded_digits()
    images = data.test.batch(slice(0, 120))
    first, second = (compare_images(images, data, extractor)["frechet"].value for extractor in (one, unlike))
    real, seen = (unlike.look(part).double() for part in (data.train.batch(slice(None)), images))
    expected = frechet_distance(seen.mean(0), seen.T.cov(), real.mean(0), real.T.cov())
    assert second == pytest.approx(expected, rel=1e-4)
    assert first != pytest.approx(second, rel=1e-2)


def test_images_are_made_as_large_as_the_network_sees_them(dinov2: Path) -> None:
    extractor = open_extractor(f"transformers:{dinov2}")
    grey = torch.full((2, 1, 11, 11), 0.3)
    torch.testing.assert_close(extractor.look(grey), extractor.look(torch.full((2, 3, 28, 28), 0.3)))
    with pytest.raises(ConfigError, match="grey or colour images, not 2 channels"):
        extractor.look(torch.zeros(2, 2, 28, 28))


def test_a_graph_sees_what_its_module_does(graph: Path) -> None:
    images = torch.rand(61, 1, 28, 28, generator=stream("images"))
    torch.testing.assert_close(open_extractor(str(graph)).look(images), Moments()(images.repeat(1, 3, 1, 1)))


@pytest.mark.parametrize("beside", ["small.onnx.data", "small.onnx_data", "weights.bin"])
def test_a_graph_whose_weights_lie_beside_it_is_known_by_them(beside: str, tmp_path: Path) -> None:
    path, digests = tmp_path / "small.onnx", []
    for weight in (1.0, 2.0):
        shape = "float[n,3,8,8]"
        graph = onnx.parser.parse_graph(f"small ({shape} images) => ({shape} seen) {{ seen = Mul(images, w) }}")
        graph.initializer.append(onnx.numpy_helper.from_array(np.full((3, 8, 8), weight, np.float32), "w"))
        model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
        onnx.save(model, path, save_as_external_data=True, location=beside, size_threshold=0)
        digests.append((path.read_bytes(), open_extractor(str(path)).digest))
        (tmp_path / beside).unlink()  # else more is written behind it
    assert digests[0][0] == digests[1][0]
    assert digests[0][1] != digests[1][1]


def test_figures_are_those_of_the_features(graph: Path) -> None:
    data, extractor = embedded_digits(), open_extractor(str(graph))
    images = data.test.batch(slice(0, 150)) * 0.8
    for _ in range(2):  # the second time real features come from the cache
        found = compare_images(images, data, extractor)
        assert set(found) == FIGURES
        real, seen = (extractor.look(one).double() for one in (data.train.batch(slice(None)), images))
        expected = frechet_distance(seen.mean(0), seen.T.cov(), real.mean(0), real.T.cov())
        assert found["frechet"].value == pytest.approx(expected, rel=1e-4)
    darker = compare_images(images * 0.5, data, extractor)
    assert found["frechet"].value < darker["frechet"].value
    assert found["frechet"].real is not None
    assert found["frechet"].real.value < found["frechet"].value


def test_other_images_take_the_place_of_the_train_split() -> None:
    data = embedded_digits()
    pixels = Extractor("pixels", "0" * 64, 0, lambda images: images[:, 0, ::7, ::7])
    images = data.test.batch(slice(0, 120))
    assert compare_images(images, data, pixels, images)["frechet"].value == pytest.approx(0, abs=1e-6)


def test_the_command_and_the_function_find_the_same(dinov2: Path, tmp_path: Path, arena_here: Arena) -> None:
    images = embedded_digits().test.batch(slice(0, 120))
    np.savez(tmp_path / "images.npz", images=images.numpy())
    named = f"transformers:{dinov2}"
    how = ("judge", tmp_path / "images.npz", "--dataset", "digits", "--features", named)
    done = arena_here(*how, "--json", tmp_path / "found.json")
    assert done.returncode == 0, done.stderr
    words = " ".join(done.stdout.split())
    assert f"the features are those of {named}, which is no judge of digits" in words
    assert "the dataset's own judge" in words
    scores = json.loads((tmp_path / "found.json").read_text())["scores"]
    found = la.judge(images, dataset="digits", features=named, progress=False)
    assert {name: one.value for name, one in found.items()} == {name: one["value"] for name, one in scores.items()}
    refused = arena_here(*how, "--judge", tmp_path / "judge.safetensors")
    assert refused.returncode != 0
    assert "takes the judge's place; leave --metric and --judge out" in " ".join(refused.stderr.split())


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("incepton", r"did you mean 'inception'\? choose from dinov2-small, .*, inception, transformers:NAME"),
        ("inception:", "or timm:NAME, or give an .onnx file, which can be made of any other network"),
        ("timm:", "choose from dinov2-small, .*, transformers:FOLDER or timm:NAME"),
        ("nothing.onnx", "nothing.onnx: No such file or directory; give the path of an ONNX file"),
        ("transformers:{empty}", "the weights of .* are not at hand .*give a folder that holds them"),
    ],
)
def test_what_is_not_at_hand_is_told_in_a_line(named: str, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said) as refusal:
        open_extractor(named.format(empty=tmp_path))
    assert "\n" not in str(refusal.value)


def test_a_graph_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.onnx"
    torch.onnx.export(nn.Linear(3, 2).eval(), (torch.rand(2, 3),), path)
    with pytest.raises(ConfigError, match=r"a graph from images \[n, 3, H, W\] to features is wanted"):
        open_extractor(str(path))
