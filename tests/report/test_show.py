"""Pictures of a model from inside: planes, fields and ways are what they say, and every file can be looked at."""

from __future__ import annotations

import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.decomposition import PCA
from torch import Tensor

from command import TINY, Arena
from latentarena.bundle import OWN, NativeBundle, open_bundle
from latentarena.data.digits import embedded_digits
from latentarena.distill import straightness
from latentarena.errors import ConfigError
from latentarena.latents import Standardiser
from latentarena.model.latent_model import Architecture, LatentModel
from latentarena.pictures import LARGEST, ffmpeg, save_animation
from latentarena.randomness import stream
from latentarena.report.planes import FINE, field_slices, solver_paths
from latentarena.report.rows import UNUSED, guidance_scales, numbers
from latentarena.report.show import VIEWS, embedded_views, show_to_file
from latentarena.report.shown import ShownModel
from latentarena.train.recipe import load_recipe, to_yaml
from latentarena.use.sampling import sample_to_file, turning
from latentarena.use.views import Plane, estimate, field, states


def latents(*shape: int) -> Tensor:
    rows = torch.randn(500, *shape, generator=stream("views"))
    return rows * torch.linspace(0.5, 2, rows[0].numel()).reshape(shape) + 1


def test_a_plane_is_that_of_scikit_learns_principal_components() -> None:
    rows = latents(7)
    plane, known = Plane.of(rows), PCA(2).fit(rows.double().numpy())
    assert (torch.tensor(known.components_).float() @ plane.directions.T).abs() == pytest.approx(torch.eye(2), abs=1e-4)
    assert plane.spread.square().numpy() == pytest.approx(known.explained_variance_, rel=1e-4)
    places = torch.randn(9, 2, generator=stream("places"))
    torch.testing.assert_close(plane.project(plane.lift(places)), places, atol=1e-5, rtol=1e-5)
    assert Plane.of(latents(2, 3, 3)).lift(places).shape == (9, 2, 3, 3)


def test_latents_of_two_numbers_are_their_own_plane() -> None:
    rows = latents(2)
    plane = Plane.of(rows)
    torch.testing.assert_close(plane.project(rows) + plane.mean, rows)


def test_a_lattice_is_read_from_the_upper_left() -> None:
    plane = Plane.of(latents(4))
    places = plane.lattice(3, 2.0) / plane.spread
    assert places.tolist()[:4] == [pytest.approx(one, abs=1e-6) for one in ([-2, 2], [0, 2], [2, 2], [-2, 0])]


def test_the_field_is_the_direction_in_which_a_small_step_goes(tiny_bundle: NativeBundle) -> None:
    model = tiny_bundle.model
    plane = Plane.of(model.scale(model.encode(embedded_digits().test.batch(slice(None)))))
    places, how = plane.lattice(4, 2.0), model.architecture.sampling
    step = SmallStep(model, 0.5, 0.499)
    moved = plane.project(step(plane.lift(places))) - places
    torch.testing.assert_close(moved / 0.001, field(model, plane, places, 0.5, how, None), atol=1e-2, rtol=1e-2)


class SmallStep:
    """Euler's step between two times, by the model's own solver."""

    def __init__(self, model: object, start: float, end: float) -> None:
        self.model, self.times = model, [start, end]

    def __call__(self, x: Tensor) -> Tensor:
        how = self.model.architecture.sampling.but("euler", 1)
        *_, last = self.model.walk(x, None, how, self.times, None)
        return self.model.scale(last)


def test_what_is_expected_at_the_end_is_what_comes_out(tiny_bundle: NativeBundle) -> None:
    """The states are those of the sampler, and from the last one nothing more is to come."""
    model, how = tiny_bundle.model, tiny_bundle.model.architecture.sampling
    noise = model.noise(5, 3)
    walked = states(model, noise, None, how, 3)
    torch.testing.assert_close(walked[0], noise, atol=1e-5, rtol=1e-5)
    image = model.generate(noise, seed=3)
    torch.testing.assert_close(model.decode(model.scale.invert(walked[-1])), image, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        estimate(model, walked[-1], model.times(how)[-1], None, how), image, atol=0.05, rtol=0.05
    )


@pytest.mark.parametrize(
    ("view", "suffix"), [*((view, ".png") for view in VIEWS if view != "guidance"), ("latent", ".svg")]
)
def test_every_view_is_a_picture(view: str, suffix: str, tiny_bundle: NativeBundle, tmp_path: Path) -> None:
    path = tmp_path / "made" / f"{view}{suffix}"
    said = show_to_file(tiny_bundle, embedded_digits(), view, path, None, 0)
    assert said == f"{view} of {tiny_bundle.card.name}, seed 0"
    if suffix == ".svg":
        assert ElementTree.parse(path).getroot().tag.endswith("svg")
    else:
        picture = Image.open(path).convert("L")
        assert min(picture.size) > 400
        assert len(set(picture.tobytes())) > 50


def test_denoising_moves_forever_and_fits_a_message(tiny_bundle: NativeBundle, tmp_path: Path) -> None:
    path = tmp_path / "denoise.gif"
    show_to_file(tiny_bundle, embedded_digits(), "denoise", path, None, 0)
    film = Image.open(path)
    assert film.info["loop"] == 0
    assert film.n_frames == len(tiny_bundle.model.times(tiny_bundle.model.architecture.sampling))
    assert film.width >= 4 * 6 * 28  # four times as large
    assert path.stat().st_size <= LARGEST


def test_an_animation_of_pure_noise_still_fits_a_megabyte(tmp_path: Path) -> None:
    frames = [torch.rand(36, 3, 14, 14, generator=stream("film", i)) for i in range(30)]
    save_animation(tmp_path / "a.gif", frames, [f"t = {i}" for i in range(30)])
    assert (tmp_path / "a.gif").stat().st_size <= LARGEST
    assert Image.open(tmp_path / "a.gif").n_frames >= 3


@pytest.mark.skipif(ffmpeg() is None, reason="MP4 NOT CHECKED, no ffmpeg here: pip install imageio-ffmpeg")
def test_an_mp4_holds_the_same_pictures(tiny_bundle: NativeBundle, tmp_path: Path) -> None:
    path = tmp_path / "denoise.mp4"
    show_to_file(tiny_bundle, embedded_digits(), "denoise", path, None, 0)
    assert path.stat().st_size <= LARGEST
    greys = [torch.full((3, 1, 9, 9), i / 4) for i in range(5)]
    save_animation(tmp_path / "grey.mp4", greys)
    command = [ffmpeg(), "-loglevel", "error", "-i", tmp_path / "grey.mp4", "-f", "rawvideo", "-pix_fmt", "gray", "-"]
    found = torch.frombuffer(
        bytearray(subprocess.run(command, capture_output=True, check=True).stdout), dtype=torch.uint8
    )
    frames = found.reshape(-1, 80, 80)[:, 10:30, 10:30].float().mean((1, 2))
    assert frames[:5].tolist() == pytest.approx([0, 64, 128, 191, 255], abs=4)
    assert len(frames) > 5  # the last one rests
    assert frames[5:].tolist() == pytest.approx([255] * (len(frames) - 5), abs=4)


def test_an_mp4_without_ffmpeg_is_refused_with_the_way_out(
    tiny_bundle: NativeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ConfigError, match=r"a.mp4: no ffmpeg here; pip install 'latentarena\[mp4\]', or choose .gif"):
        sample_to_file(tiny_bundle, tmp_path / "a.mp4", 4, 0, None)


def test_turned_noise_is_standard_normal_and_comes_back() -> None:
    start, across = (torch.randn(20_000, 3, generator=stream("turn", i)) for i in "ab")
    rounds = list(turning(start, across, 8))
    torch.testing.assert_close(rounds[0], start)
    torch.testing.assert_close(rounds[4], -start)
    assert all(abs(float(one.std()) - 1) < 0.02 for one in rounds)


def test_impossible_pictures_are_refused_in_one_line(tiny_run: Path, arena_here: Arena) -> None:
    for options, words in (
        (["maze"], "choose from latent, field, paths, traverse, denoise, guidance"),
        (["latent", "--out", "a.gif"], ".png or .svg or .pdf"),
        (["field", "--label", "3"], "--label 3: this model is unconditional; leave --label out"),
        (["guidance"], "nothing to be guided by"),
        (["guidance", "--scales", "1,x"], "--scales 1,x: give numbers from 0 to 100, such as 0,1,2,4,7"),
    ):
        done = arena_here("show", options[0], tiny_run / "bundle", *options[1:])
        assert done.returncode != 0
        assert words in " ".join(done.stderr.split()).replace("│ ", "")
        assert "Traceback" not in done.stderr


def test_latents_of_one_number_have_no_plane(tiny_bundle: NativeBundle) -> None:
    subject = ShownModel(tiny_bundle, embedded_digits(), torch.zeros(5, 1), torch.zeros(5), None, 0, Standardiser((1,)))
    with pytest.raises(ConfigError, match="no plane; try traverse"):
        subject.plane()


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (
            {"conditional": True},
            "classifier-free guidance{}\nscale 0: no label; 1: the label",
        ),
        ({"classifier": {}}, "classifier guidance{}\nscale 0: no label; 1: the classifier"),
        (
            {"weaker": {"kind": "mlp"}},
            "autoguidance{}\nscale 0: the weaker network alone; 1",
        ),
        (
            {"conditional": True, "classifier": {}},
            "classifier-free guidance, and a classifier's as well{}\nscale 0: no label; 1: the label",
        ),
    ],
)
def test_each_kind_of_guidance_says_what_its_scales_mean(
    parts: dict[str, object], words: str, tiny_bundle: NativeBundle
) -> None:
    known = tiny_bundle.model.architecture
    given = {"generator": known.generator.model_dump() | parts}
    if "classifier's" in words:
        given["sampling"] = known.sampling.model_dump() | {"guide": {"kind": "with_classifier"}}
    model = LatentModel(Architecture.model_validate(known.model_dump() | given))
    subject = ShownModel.of(replace(tiny_bundle, model=model), embedded_digits(), None, 0, (0.0, 1.0, 3.0))
    (axes,) = guidance_scales(subject).axes
    assert words.format(", the same noises in each row") in axes.get_title()
    assert [name.get_text() for name in axes.get_yticklabels()] == ["scale 0", "scale 1", "scale 3"]


def reflowed(bundle: NativeBundle, run: Path, folder: Path, times: str) -> ShownModel:
    """A run's model as if its last stage had been a reflow, with the run's checkpoints in a folder."""
    recipe = load_recipe("quickstart-digits", [*TINY, f"training.reflow={{epochs: 1, times: {times}}}"])
    made = bundle.card.provenance.model_copy(update={"recipe": recipe.model_dump(mode="json")})
    shutil.copytree(run / "checkpoints", folder / "checkpoints")
    (folder / "recipe.yaml").write_text(to_yaml(recipe))
    card = bundle.card.model_copy(update={"provenance": made})
    return ShownModel.of(replace(bundle, card=card, place=folder / "bundle"), embedded_digits(), None, 3)


def test_drawn_trajectories_start_at_the_noise_and_end_where_the_sampler_ends(tiny_bundle: NativeBundle) -> None:
    subject = ShownModel.of(tiny_bundle, embedded_digits(), None, 3)
    model, how = tiny_bundle.model, tiny_bundle.model.architecture.sampling
    [axes] = [one for one in solver_paths(subject).axes if one.get_title().startswith(f"{how.solver} x {how.steps}:")]
    noise, plane = model.noise(16, 3), subject.plane()
    ends = plane.project(model.scale(list(model.trajectory(noise, None, how, 3))[-1]))
    torch.testing.assert_close(torch.tensor(axes.collections[0].get_offsets()).float(), ends, atol=1e-4, rtol=1e-4)
    ways = [line.get_xydata() for line in axes.lines if len(line.get_xydata()) == how.steps + 1]
    torch.testing.assert_close(torch.tensor(np.stack([one[0] for one in ways])).float(), plane.project(noise))
    torch.testing.assert_close(torch.tensor(np.stack([one[-1] for one in ways])).float(), ends, atol=1e-4, rtol=1e-4)


def test_flows_before_and_after_reflow_stand_beside_each_other(
    tiny_bundle: NativeBundle, tiny_run: Path, tmp_path: Path
) -> None:
    subject = reflowed(tiny_bundle, tiny_run, tmp_path, "uniform")
    titles = [axes.get_title() for axes in solver_paths(subject).axes]
    model = tiny_bundle.model
    bend = straightness(model.path, model.denoise, model.noise(16, 3), None, FINE)
    assert titles[:2] == [f"Flow-1; straightness {bend:.3g}", f"Flow-2; straightness {bend:.3g}"]  # the same weights
    assert titles[2].startswith(f"euler x {model.architecture.sampling.steps}: ends")


def test_a_student_is_drawn_beside_its_flow_and_by_no_other_solver(
    tiny_bundle: NativeBundle, tiny_run: Path, tmp_path: Path
) -> None:
    subject = reflowed(tiny_bundle, tiny_run, tmp_path, "end")
    first, second = [axes.get_title() for axes in solver_paths(subject).axes]
    assert first.startswith("Flow-1; straightness")
    assert second == f"this model, heun x {tiny_bundle.model.architecture.sampling.steps}"
    assert "Flow-1, which it was distilled from" in field_slices(subject).get_suptitle()
    with pytest.raises(ConfigError, match="name the bundle in there"):
        field_slices(replace(subject, before={}))


def test_checkpoints_of_another_run_are_not_drawn(tiny_bundle: NativeBundle, tiny_run: Path, tmp_path: Path) -> None:
    subject = reflowed(tiny_bundle, tiny_run, tmp_path, "uniform")
    assert list(subject.before) == ["Flow-1"]
    other = load_recipe("quickstart-digits", [*TINY, "training.reflow={epochs: 1}", "seed=7"])
    (tmp_path / "recipe.yaml").write_text(to_yaml(other))
    assert ShownModel.of(subject.bundle, embedded_digits(), None, 3).before == {}


def test_latents_of_three_numbers_are_drawn_in_space(tiny_bundle: NativeBundle) -> None:
    known = tiny_bundle.model.architecture
    parts = known.autoencoder.model_dump() | {"latent": [3]}
    model = LatentModel(Architecture.model_validate(known.model_dump() | {"autoencoder": parts}))
    subject = ShownModel.of(replace(tiny_bundle, model=model.eval()), embedded_digits(), None, 0)
    for draw in (field_slices, solver_paths):
        assert {axes.name for axes in draw(subject).axes} == {"3d"}
    space = subject.space()
    torch.testing.assert_close(space.lift(space.project(subject.latents)), subject.latents, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("shape", [(28,), (16,), (3,), (53,), (8, 2, 2), (1, 7, 7), (4, 4, 4)])
def test_every_number_of_a_state_is_seen(shape: tuple[int, ...]) -> None:
    latents = torch.randn(2, *shape, generator=stream("numbers")).clamp(-2.9, 2.9)
    seen = {round(value, 4) for value in numbers(latents, (1, 28, 28)).flatten().tolist()}
    there = {round(value, 4) for value in (latents / 6 + 0.5).flatten().tolist()}
    assert there <= seen <= there | ({UNUSED} if shape == (53,) else set())


def test_portable_bundles_show_their_latents_and_say_what_they_cannot(portable_folder: Path, tmp_path: Path) -> None:
    with open_bundle(portable_folder, trust=OWN) as bundle:
        for view in ("latent", "traverse"):
            show_to_file(bundle, embedded_digits(), view, tmp_path / f"{view}.png", None, 0)
            assert min(Image.open(tmp_path / f"{view}.png").size) > 400
        for view in ("field", "paths", "denoise", "guidance"):
            with pytest.raises(ConfigError, match="there are latent and traverse; name the native bundle"):
                show_to_file(bundle, embedded_digits(), view, tmp_path / "a.png", None, 0)


def test_pictures_that_a_model_lacks_are_left_out_of_its_report(tiny_bundle: NativeBundle) -> None:
    subject = ShownModel.of(tiny_bundle, embedded_digits(), None, 0)
    shown = [picture.alt for picture in embedded_views(subject)]
    assert shown == [view.alt for name, view in VIEWS.items() if name != "guidance"]
