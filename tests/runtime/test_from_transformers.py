"""The weights of transformers: masks equal those of the official file to the last bit, and nearly transformers' own."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")
pytest.importorskip("transformers")

import planner
from planner.catalog.weight_names import PICTURE_POSITIONS, in_transformers, is_video_only, needed_tensors
from planner.catalog.weights import accept
from planner.errors import FileError, UsageError
from planner.nouns.run import Configuration
from planner.nouns.words import VARIANTS, VERSIONS
from planner.runtime.network import build
from planner.runtime.weights import read_weights
from tests.runtime.stock import checkpoint, clip, picture, pictures_of
from tests.runtime.transformers_models import config, model_of, own_name

TINY = Configuration(variant="tiny", version="2.1", resolution=(128, 128), precision="float32")
PROMPTS = (
    {"frame": 0, "object": 1, "points": [[30, 55]], "labels": [1]},
    {"frame": 0, "object": 2, "box": [95, 65, 125, 95]},
    {"frame": 12, "object": 1, "points": [[48, 60], [110, 80]], "labels": [1, 0]},
)
POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What save_pretrained writes of Sam2VideoModel, tiny 2.1."""
    path: Path = tmp_path_factory.mktemp("transformers") / "tiny"
    model_of(checkpoint("tiny", "2.1"), "tiny", "2.1").save_pretrained(path)
    assert sorted(file.name for file in path.iterdir()) == ["config.json", "model.safetensors"]
    return path


def segmented(wanted: Configuration, path: Path, task: Any = "image") -> Any:
    session = planner.load(wanted, checkpoint=path, device="cpu", task=task)
    return session.segment(picture(0), points=[[30, 55]], labels=[1], multimask=True)


def assert_same_masks(one: Any, other: Any) -> None:
    assert 0.02 < one.masks.mean() < 0.98, "the masks are too empty or too full to tell anything"
    assert numpy.array_equal(one.logits, other.logits)
    assert numpy.array_equal(one.scores, other.scores)
    assert numpy.array_equal(one.masks, other.masks)


def tracked(wanted: Configuration, path: Path, frames: int) -> list[tuple[int, dict[int, Any]]]:
    session = planner.load(wanted, checkpoint=path, device="cpu")
    return list(session.track(pictures_of(clip(frames)), PROMPTS, scores=True))


# -- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("version", VERSIONS)
def test_names_and_shapes_are_those_of_the_installed_transformers(variant: str, version: str) -> None:
    from transformers import Sam2Config, Sam2Model, Sam2VideoModel

    wanted = config(variant, version)
    with torch.device("meta"):
        video = {name: tuple(value.shape) for name, value in Sam2VideoModel(wanted).state_dict().items()}
        pictures = set(Sam2Model(Sam2Config(vision_config=wanted.vision_config)).state_dict())
    expected: dict[str, tuple[int, ...]] = {PICTURE_POSITIONS: (2, 128)}
    for name, shape in needed_tensors(variant, version).items():
        called = in_transformers(name)
        expected[called.name] = shape if called.row is None else (4, *shape[1:])
        if called.row is None:
            assert own_name(called.name) == name
    assert video == expected
    without = {in_transformers(name).name for name in needed_tensors(variant, version) if not is_video_only(name)}
    assert pictures == without | {PICTURE_POSITIONS}


# -- the same masks ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "version"),
    [
        ("tiny", "2.1"),
        ("small", "2.0"),
        pytest.param("base_plus", "2.1", marks=pytest.mark.slow),
        pytest.param("large", "2.0", marks=pytest.mark.slow),
        pytest.param("large", "2.1", marks=pytest.mark.slow),
    ],
)
def test_a_picture_is_segmented_as_with_the_official_file(variant: Any, version: Any, tmp_path: Path) -> None:
    wanted = Configuration(variant=variant, version=version, resolution=(256, 256), precision="float32")
    official = checkpoint(variant, version)
    model_of(official, variant, version).save_pretrained(tmp_path)
    given, taken = (read_weights(accept(path, wanted)) for path in (official, tmp_path / "model.safetensors"))
    assert given.keys() == taken.keys()
    assert all(torch.equal(value, taken[name]) and value.dtype == taken[name].dtype for name, value in given.items())
    assert_same_masks(segmented(wanted, official), segmented(wanted, tmp_path))


@pytest.mark.parametrize(("variant", "version"), [("tiny", "2.1"), ("small", "2.0")])
def test_a_clip_is_tracked_as_with_the_official_file(variant: Any, version: Any, tmp_path: Path) -> None:
    wanted = Configuration(variant=variant, version=version, resolution=(128, 128), precision="float32")
    official = checkpoint(variant, version)
    model_of(official, variant, version).save_pretrained(tmp_path)
    expected, found = tracked(wanted, official, 30), tracked(wanted, tmp_path, 30)
    assert len(expected) == len(found) == 30
    for (frame, masks), (other, same) in zip(expected, found, strict=True):
        assert frame == other and masks.keys() == same.keys() == {1, 2}
        assert all(numpy.array_equal(mask, same[name]) for name, mask in masks.items())
    shares = [(mask > 0).mean() for _, masks in expected for mask in masks.values()]
    assert min(shares) > 0.02 and max(shares) < 0.98 and len(set(shares)) > 30, "masks too dull to tell anything"


def test_automatic_masks_are_found_with_weights_for_pictures_alone(tmp_path: Path) -> None:
    official = checkpoint("tiny", "2.1")
    model_of(official, "tiny", "2.1", video=False).save_pretrained(tmp_path)
    every = dict(points_per_side=2, pred_iou_threshold=0.0, stability_threshold=0.0)
    expected, found = (
        planner.load(TINY, checkpoint=path, device="cpu", task="automask").automask(picture(0), **every)  # type: ignore[arg-type]
        for path in (official, tmp_path)
    )
    assert expected and len(expected) == len(found)
    assert all(one.rle == other.rle for one, other in zip(expected, found, strict=True))


def test_weights_for_pictures_alone_segment_and_do_not_track(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where what they lack is not a number: none of it may reach a mask."""

    def empty(wanted: Configuration) -> Any:
        model = build(wanted)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.fill_(torch.nan)
        return model

    official = checkpoint("tiny", "2.1")
    model_of(official, "tiny", "2.1", video=False).save_pretrained(tmp_path)
    monkeypatch.setattr("planner.runtime.weights.build", empty)
    assert_same_masks(segmented(TINY, official), segmented(TINY, tmp_path))
    with pytest.raises(FileError, match="pictures only"):
        planner.load(TINY, checkpoint=tmp_path, device="cpu")
    session = planner.load(TINY, checkpoint=tmp_path, device="cpu", task="image")
    with pytest.raises(UsageError, match="task"):
        session.track(pictures_of(clip(2)), PROMPTS[:1])


# -- the forms in which transformers saves them -----------------------------------------------------------


def weights_of(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(folder / "model.safetensors"))


def tied(weights: Mapping[str, Any]) -> dict[str, Any]:
    return {**weights, POSITIONS: weights[PICTURE_POSITIONS]}


def in_one_storage(one: Any, other: Any) -> dict[str, Any]:
    both = torch.stack([one, other])
    return {PICTURE_POSITIONS: both[0], POSITIONS: both[1]}


PICKLED: dict[str, Any] = {
    "both copies": dict,
    "tied copies, as in releases before 5": tied,
    "without the copy": lambda weights: {name: value for name, value in weights.items() if name != POSITIONS},
    "both copies in one storage": lambda weights: {**weights, **in_one_storage(weights[POSITIONS], weights[POSITIONS])},
    "parameters": lambda weights: {name: torch.nn.Parameter(value) for name, value in weights.items()},
    "under a name": lambda weights: {"state_dict": {f"model.{name}": value for name, value in weights.items()}},
}


@pytest.mark.parametrize("form", PICKLED)
def test_a_pickle_of_transformers_gives_the_same_masks(form: str, folder: Path, tmp_path: Path) -> None:
    torch.save(PICKLED[form](weights_of(folder)), tmp_path / "pytorch_model.bin")
    assert_same_masks(segmented(TINY, checkpoint("tiny", "2.1")), segmented(TINY, tmp_path))


@pytest.mark.parametrize("together", [False, True], ids=["apart", "in one storage"])
def test_positions_that_differ_are_refused_in_a_pickle_too(together: bool, folder: Path, tmp_path: Path) -> None:
    """transformers starts both at random: a model that was never loaded has two."""
    weights = weights_of(folder)
    changed = weights[POSITIONS].clone()
    changed[1, 5] += 1e-3
    positions = in_one_storage(weights[POSITIONS], changed) if together else {POSITIONS: changed}
    torch.save({**weights, **positions}, tmp_path / "pytorch_model.bin")
    with pytest.raises(FileError, match="two matrices of positions that differ"):
        planner.load(TINY, checkpoint=tmp_path, device="cpu")


def test_a_file_of_release_4_loads_where_what_release_5_makes_of_it_may_not(folder: Path, tmp_path: Path) -> None:
    """Release 4 saves one matrix of positions. 5.24.0 does not tie the other to it, but makes it up, and warns."""
    from safetensors.torch import save_file
    from transformers import Sam2VideoModel

    old, new = tmp_path / "old", tmp_path / "new"
    old.mkdir()
    (old / "config.json").write_bytes((folder / "config.json").read_bytes())
    one = {name: value for name, value in weights_of(folder).items() if name != POSITIONS}
    save_file(one, old / "model.safetensors", metadata={"format": "pt"})
    assert_same_masks(segmented(TINY, folder), segmented(TINY, old))
    Sam2VideoModel.from_pretrained(old).save_pretrained(new)
    saved = weights_of(new)
    if torch.equal(saved.get(POSITIONS, saved[PICTURE_POSITIONS]), saved[PICTURE_POSITIONS]):
        assert_same_masks(segmented(TINY, folder), segmented(TINY, new))
    else:
        with pytest.raises(FileError, match=f"{PICTURE_POSITIONS} and {POSITIONS}") as refused:
            planner.load(TINY, checkpoint=new, device="cpu")
        assert "transformers 4" in refused.value.hint


def test_parts_give_the_same_masks(folder: Path, tmp_path: Path) -> None:
    from transformers import Sam2VideoModel

    Sam2VideoModel.from_pretrained(folder).save_pretrained(tmp_path, max_shard_size="40MB")
    assert len(list(tmp_path.glob("*.safetensors"))) > 2
    for path in (tmp_path, tmp_path / "model.safetensors.index.json"):
        assert_same_masks(segmented(TINY, checkpoint("tiny", "2.1")), segmented(TINY, path))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_weights_in_half_precision_give_the_masks_of_the_rounded_ones(dtype: Any, folder: Path, tmp_path: Path) -> None:
    from transformers import Sam2VideoModel

    Sam2VideoModel.from_pretrained(folder, dtype=dtype).save_pretrained(tmp_path)
    rounded = torch.load(checkpoint("tiny", "2.1"), weights_only=True)["model"]
    torch.save({"model": {name: value.to(dtype) for name, value in rounded.items()}}, tmp_path / "rounded.pt")
    assert_same_masks(segmented(TINY, tmp_path / "rounded.pt"), segmented(TINY, tmp_path))
    assert not numpy.array_equal(segmented(TINY, folder).logits, segmented(TINY, tmp_path).logits)


def test_neither_transformers_nor_safetensors_is_needed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    monkeypatch.setitem(sys.modules, "safetensors", None)
    assert_same_masks(segmented(TINY, checkpoint("tiny", "2.1")), segmented(TINY, folder))


def test_weights_are_pages_of_the_file_and_no_copies(folder: Path) -> None:
    path = folder / "model.safetensors"
    weights = read_weights(accept(path, TINY))
    storages = {value.untyped_storage().data_ptr(): value.untyped_storage().nbytes() for value in weights.values()}
    assert list(storages.values()) == [path.stat().st_size]


def test_a_session_does_not_notice_that_its_file_is_replaced(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    path.write_bytes((folder / path.name).read_bytes())
    session = planner.load(TINY, checkpoint=tmp_path, device="cpu", task="image")
    path.write_bytes(bytes(path.stat().st_size))
    found = session.segment(picture(0), points=[[30, 55]], labels=[1], multimask=True)
    assert_same_masks(segmented(TINY, folder), found)


# -- transformers' own masks ------------------------------------------------------------------------------


@pytest.mark.parametrize(("variant", "version"), [("tiny", "2.1"), ("small", "2.0")])
def test_transformers_own_model_gives_nearly_the_same_scores(variant: Any, version: Any) -> None:
    """On pictures of the size at which SAM 2 computes, where nothing is resized before it.

    What two weights of one shape mean is known by what they do: exchanged, they would give other masks.
    """
    from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

    side, frames, point = 256, 4, [80.0, 115.0]
    official = checkpoint(variant, version)
    model = model_of(official, variant, version, side=side)
    pictures = [picture(index, (side, side)) for index in range(frames)]
    mean, deviation = (torch.tensor(v).view(3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    pixels = torch.stack([(torch.from_numpy(one).permute(2, 0, 1) / 255 - mean) / deviation for one in pictures])
    theirs = Sam2VideoInferenceSession(
        video=pixels, video_height=side, video_width=side, inference_device="cpu", dtype=torch.float32
    )
    prompt = {"point_coords": torch.tensor([[[point]]]), "point_labels": torch.ones(1, 1, 1, dtype=torch.int32)}
    theirs.add_point_inputs(theirs.obj_id_to_idx(1), 0, prompt)
    theirs.obj_with_new_inputs = [1]
    wanted = Configuration(variant=variant, version=version, resolution=(side, side), precision="float32")
    session = planner.load(wanted, checkpoint=official, device="cpu")
    ours = session.track(pictures, [{"frame": 0, "object": 1, "points": [point]}], scores=True)
    for frame, scores in ours:
        with torch.inference_mode():
            small = model(theirs, frame_idx=frame).pred_masks
        large = torch.nn.functional.interpolate(small, size=(side, side), mode="bilinear", align_corners=False)
        assert 0.02 < (scores[1] > 0).mean() < 0.98
        assert numpy.abs(large[0, 0].numpy() - scores[1]).max() < 1e-4 < numpy.ptp(scores[1])
