"""Checkpoints of transformers, looked into without torch: a file, a folder, parts, and what only resembles them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.catalog.checkpoints import local_path, sum_of
from planner.catalog.weight_files import look_into
from planner.catalog.weight_names import PICTURE_POSITIONS, is_video_only
from planner.catalog.weights import accept, require_checkpoint
from planner.errors import FileError
from planner.nouns.run import Configuration
from planner.preflight.checks import FAIL, PASS, WARN
from tests.checkpoint_files import Fake, legacy, of_transformers, safetensors, weights, zipped
from tests.conftest import invoke
from tests.preflight.test_check import checks

TINY_2_1 = Configuration(variant="tiny", version="2.1", resolution=(1024, 1024), precision="float32")
POINTS = "prompt_encoder.point_embed.weight"
POSITIONS = "prompt_encoder.shared_embedding.positional_embedding"
Files = dict[str, Fake]


@pytest.fixture
def plan_path(tmp_path: Path) -> Path:
    """A saved plan for the smallest variant, whose files are hashed soonest."""
    path = tmp_path / "plan.yaml"
    assert invoke("--vram", "2GB", "--task", "video", "--variant", "tiny", "-o", str(path)).code == 0
    return path


def check(plan_path: Path, checkpoint: Path, code: int = 0, *words: str) -> dict[str, Any]:
    return checks(str(plan_path), "--vram", "3GB", "--checkpoint", str(checkpoint), *words, code=code)["checkpoint"]


def split(folder: Path, found: Files) -> Path:
    """Two files and their index, as save_pretrained(max_shard_size=...) writes them."""
    names = list(found)
    shards = {"model-00001-of-00002.safetensors": names[::2], "model-00002-of-00002.safetensors": names[1::2]}
    for file, part in shards.items():
        safetensors(folder / file, {name: found[name] for name in part}, head=2**16)
    index = {
        "metadata": {"total_size": 1},
        "weight_map": {name: file for file, part in shards.items() for name in part},
    }
    path = folder / "model.safetensors.index.json"
    path.write_text(json.dumps(index))
    return path


# -- taken ------------------------------------------------------------------------------------------------


TAKEN: dict[str, tuple[Callable[[Path], object], str]] = {
    "a file": (lambda folder: safetensors(folder / "model.safetensors", of_transformers("tiny")), "transformers)"),
    "with the copy left out, as releases before 5 save it": (
        lambda folder: safetensors(
            folder / "model.safetensors", {n: t for n, t in of_transformers("tiny").items() if n != POSITIONS}
        ),
        "transformers)",
    ),
    "with the other copy left out": (
        lambda folder: safetensors(
            folder / "model.safetensors",
            {n: t for n, t in of_transformers("tiny").items() if n != PICTURE_POSITIONS},
        ),
        "transformers)",
    ),
    "a pickle": (lambda folder: zipped(folder / "pytorch_model.bin", of_transformers("tiny")), "transformers)"),
    "parts": (lambda folder: split(folder, of_transformers("tiny")), "transformers)"),
    "of a training run": (
        lambda folder: zipped(
            folder / "pytorch_model.bin",
            {"state_dict": {f"model.{name}": tensor for name, tensor in of_transformers("tiny").items()}, "epoch": 3},
        ),
        'transformers, under "state_dict", each name after "model.")',
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", TAKEN)
@pytest.mark.parametrize("below", ["", "sam2.1-hiera-tiny"], ids=["the folder", "a folder inside"])
def test_a_folder_of_transformers_passes_and_says_so(form: str, below: str, plan_path: Path, tmp_path: Path) -> None:
    save, said = TAKEN[form]
    folder = tmp_path / "mine" / below
    folder.mkdir(parents=True)
    (folder / "config.json").write_text('{"model_type": "sam2_video"}')
    save(folder)
    found = check(plan_path, tmp_path / "mine")
    assert found["status"] == WARN
    assert "holds tiny 2.1 (under the names of transformers" in found["found"] and said in found["found"]


def test_the_official_file_of_a_folder_counts_before_that_of_transformers(tmp_path: Path) -> None:
    """The repositories on the hub hold both."""
    safetensors(tmp_path / "model.safetensors", of_transformers("tiny"))
    assert local_path(TINY_2_1, tmp_path).name == "model.safetensors"
    zipped(tmp_path / "sam2.1_hiera_tiny.pt", {"model": weights("tiny")})
    assert local_path(TINY_2_1, tmp_path).name == "sam2.1_hiera_tiny.pt"


def test_parts_are_pinned_by_the_sum_of_all_of_them(plan_path: Path, tmp_path: Path) -> None:
    index = split(tmp_path, of_transformers("tiny"))
    figures = check(plan_path, tmp_path)["figures"]
    parts = sorted(tmp_path.glob("*.safetensors"))
    joined = tmp_path / "joined"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    assert figures["sha256"] == sum_of(joined)
    assert figures["file_bytes"] == joined.stat().st_size
    assert check(plan_path, index, 0, "--sha256", figures["sha256"])["status"] == PASS
    with parts[0].open("r+b") as file:
        file.seek(-1, 2)
        file.write(b"\1")
    assert check(plan_path, index, 2, "--sha256", figures["sha256"])["status"] == FAIL


def test_weights_for_pictures_pass_for_pictures_and_not_for_videos(plan_path: Path, tmp_path: Path) -> None:
    path = safetensors(tmp_path / "model.safetensors", of_transformers("tiny", video=False))
    found = check(plan_path, path, 2)
    assert "pictures only" in found["found"] and "Sam2VideoModel" in found["action"]
    with pytest.raises(FileError, match="pictures only"):
        require_checkpoint(TINY_2_1, path)
    require_checkpoint(TINY_2_1, path, video=False)
    image = tmp_path / "image.yaml"
    assert invoke("--vram", "2GB", "--task", "image", "--variant", "tiny", "-o", str(image)).code == 0
    assert "holds tiny 2.1 (under the names of transformers, for pictures only)" in check(image, path)["found"]


def test_weights_for_pictures_of_the_sam2_package_are_no_other_case(tmp_path: Path) -> None:
    found = {name: tensor for name, tensor in weights("tiny").items() if not is_video_only(name)}
    path = zipped(tmp_path / "mine.pt", {"model": found})
    assert accept(path, TINY_2_1, video=False).shape == 'under "model", for pictures only'
    with pytest.raises(FileError, match="pictures only") as refused:
        accept(path, TINY_2_1)
    assert "sam2.1_hiera_tiny.pt" in refused.value.hint


# -- refused ----------------------------------------------------------------------------------------------


def changed(**changes: Any) -> Callable[[Path], Path]:
    """The weights with some of another kind, or gone (None)."""

    def save(folder: Path) -> Path:
        kept = {**of_transformers("tiny"), **changes}
        return safetensors(folder / "model.safetensors", {n: t for n, t in kept.items() if t is not None})

    return save


def cut(share: float) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        path = changed()(folder)
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * share))
        return path

    return save


def whole_numbers(folder: Path) -> Path:
    """One weight as F16 with the word of another type, of the same size."""
    path = changed()(folder)
    content = path.read_bytes()[:200_000]
    with path.open("r+b") as file:
        file.write(
            content.replace(b'"no_memory_embedding": {"dtype": "F16"', b'"no_memory_embedding": {"dtype": "I16"')
        )
    return path


def two_positions(folder: Path) -> Path:
    path = changed()(folder)
    begin = look_into(path).tree[PICTURE_POSITIONS].begin
    with path.open("r+b") as file:
        file.seek(begin)
        file.write(b"\1")
    return path


def two_positions_in_parts(folder: Path) -> Path:
    """Both at the same place, each in its file."""
    first = {PICTURE_POSITIONS: Fake((2, 128)), POSITIONS: Fake((2, 128))}
    index = split(folder, {**first, **of_transformers("tiny")})
    contents = look_into(index)
    assert contents.files is not None and contents.tree[POSITIONS] == contents.tree[PICTURE_POSITIONS]
    with contents.files[POSITIONS].open("r+b") as file:
        file.seek(contents.tree[POSITIONS].begin)
        file.write(b"\1")
    return index


def index_of(change: Callable[[Path], object]) -> Callable[[Path], Path]:
    def save(folder: Path) -> Path:
        index = split(folder, of_transformers("tiny"))
        change(index)
        return index

    return save


def rewritten(index: Path, old: str, new: str) -> None:
    index.write_text(index.read_text().replace(old, new))


FIRST = "model-00001-of-00002.safetensors"
REFUSED: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a weight too few": (changed(no_memory_embedding=None), "1 of the 471 weights of tiny 2.1 are missing, such as"),
    "no positions": (
        changed(**{POSITIONS: None, PICTURE_POSITIONS: None}),
        "such as prompt_encoder.shared_embedding.positional_embedding",
    ),
    "no point embeddings": (changed(**{POINTS: None}), "4 of the 471 weights of tiny 2.1 are missing, such as"),
    "a weight of video too few": (changed(no_object_pointer=None), "such as no_object_pointer"),
    "a weight too many": (changed(**{"adapter.weight": Fake((2,))}), "such as adapter.weight"),
    "SAM 2's own name among them": (changed(maskmem_tpos_enc=Fake((7, 1, 1, 64))), "such as maskmem_tpos_enc"),
    "LoRA layers": (changed(**{"mask_decoder.lora_A.weight": Fake((2,))}), "such as mask_decoder.lora_A.weight"),
    "a weight of another shape": (
        changed(memory_temporal_positional_encoding=Fake((3, 1, 1, 64))),
        "holds memory_temporal_positional_encoding in the shape (3, 1, 1, 64)",
    ),
    "three point embeddings": (changed(**{POINTS: Fake((3, 256))}), "(3, 256) and the type float16, not (4, 256)"),
    "whole numbers": (whole_numbers, "type int16"),
    "positions that differ": (two_positions, "two matrices of positions that differ"),
    "positions that differ, in parts": (two_positions_in_parts, "two matrices of positions that differ"),
    "positions of two shapes": (changed(**{POSITIONS: Fake((2, 64))}), "(2, 64)"),
    "cut short": (cut(0.9), "cut short"),
    "cut within the list": (cut(1e-6), "cut short"),
    "another variant": (lambda f: safetensors(f / "model.safetensors", of_transformers("small")), "holds small 2.1"),
    "another version": (
        lambda f: safetensors(f / "model.safetensors", of_transformers("tiny", "2.0")), "holds tiny 2.0",
    ),
    "another image encoder": (changed(**{"vision_encoder.backbone.pos_embed_window": None}), "another image encoder"),
    "both names at once": (
        lambda f: safetensors(f / "model.safetensors", {**of_transformers("tiny"), **weights("tiny")}),
        "more than once, under '' (names of transformers) and ''",
    ),
    "the format before zip files": (
        lambda f: legacy(f / "pytorch_model.bin", of_transformers("tiny")), "format that torch wrote before 1.6",
    ),
    "SAM 1": (
        lambda f: zipped(
            f / "pytorch_model.bin", dict.fromkeys(("vision_encoder.layers.0.x", "mask_decoder.x"), Fake((3,)))
        ),
        "SAM 1 under the names of transformers",
    ),
    "EdgeTAM over Hiera": (changed(**{"spatial_perceiver.latents_1d": Fake((2,))}), "the weights of EdgeTAM"),
    "a part that is not there": (
        index_of(lambda index: index.with_name(FIRST).unlink()), f"names {FIRST}, which is not there",
    ),
    "a part of another kind": (
        index_of(lambda index: zipped(index.with_name(FIRST), {"a": Fake((3,))})), "is not safetensors",
    ),
    "a part cut short": (
        index_of(lambda index: index.with_name(FIRST).write_bytes(b"\x10" + bytes(7) + b"{")), "cut short",
    ),
    "a part without its weights": (
        index_of(lambda index: safetensors(index.with_name(FIRST), {"a": Fake((3,))})), "lacks",
    ),
    "parts elsewhere": (index_of(lambda index: rewritten(index, FIRST, "../x.safetensors")), "'../x.safetensors'"),
    "parts that are pickles": (index_of(lambda index: rewritten(index, FIRST, "model.bin")), "'model.bin'"),
    "an index that is none": (index_of(lambda index: index.write_text('{"weight_map": [1]}')), "no list of files"),
    "an index cut short": (index_of(lambda index: index.write_text('{"weight_map": {')), "no list of files"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_checkpoint_for_the_plan_is_named_and_says_the_way_out(
    kind: str, plan_path: Path, tmp_path: Path
) -> None:
    save, named = REFUSED[kind]
    path = save(tmp_path)
    found = check(plan_path, path, 2)
    assert found["status"] == FAIL and found["action"]
    assert found["found"].startswith(str(tmp_path)) and named in found["found"], found
    pytest.importorskip("sam2", reason="the runtime runs the sam2 package")
    pytest.importorskip("torch", reason="the runtime runs the sam2 package")
    with pytest.raises(FileError) as refused:
        planner.load(planner.Plan.load(plan_path), checkpoint=path, device="cpu")
    assert refused.value.message == f"{found['found']}." and refused.value.hint == f"{found['action']}."


def test_a_folder_without_weights_says_which_would_do(plan_path: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    found = check(plan_path, tmp_path, 2)
    assert f"no checkpoint {tmp_path / 'sam2.1_hiera_tiny.pt'}" in found["found"]
    assert "model.safetensors" in found["action"]


OTHERS = {
    "Sam": "SAM 1 under the names of transformers",
    "SamHQ": "SAM 1 under the names of transformers",
    "EdgeTam": "EdgeTAM",
    "EdgeTamVideo": "EdgeTAM",
    "Sam3": "SAM 3's detector (transformers)",
    "Sam3Video": "SAM 3 (transformers)",
    "Sam3Tracker": "SAM 3's tracker (transformers)",
    "Sam3TrackerVideo": "SAM 3's tracker (transformers)",
}


@pytest.mark.parametrize("name", OTHERS)
def test_other_networks_of_transformers_are_called_by_their_names(name: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    if not hasattr(transformers, f"{name}Model"):
        pytest.skip(f"transformers {transformers.__version__} has no {name}Model")
    with torch.device("meta"):
        model = getattr(transformers, f"{name}Model")(getattr(transformers, f"{name}Config")())
    found = {key: Fake(tuple(value.shape)) for key, value in model.state_dict().items()}
    with pytest.raises(FileError) as refused:
        accept(safetensors(tmp_path / "model.safetensors", found), TINY_2_1)
    assert f"holds the weights of {OTHERS[name]}." in refused.value.message
