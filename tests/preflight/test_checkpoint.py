"""The checkpoint that a plan will run with: there, the one that was meant, and looked into without running it."""

from __future__ import annotations

import pickle
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.catalog.checkpoints import held_by, official_sums
from planner.preflight.nouns import FAIL, PASS, WARN
from tests.preflight.machines import report
from tests.preflight.test_check import checks

LARGE = "facebook/sam2.1-hiera-large"


def checkpoint(path: Path, variant: str, version: str = "2.1") -> Path:
    """A zip archive with the names of a checkpoint's tensors, as torch writes them, and no tensors."""
    blocks = {"tiny": 12, "small": 16, "base_plus": 24, "large": 48}[variant]
    names = ["image_encoder.trunk.patch_embed.proj.weight"]
    names += [f"image_encoder.trunk.blocks.{number}.norm1.weight" for number in range(blocks)]
    names += ["no_obj_embed_spatial"] if version == "2.1" else []
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps({"model": dict.fromkeys(names)}, 2))
    return path


def test_a_checkpoint_is_told_by_its_sum_and_by_what_it_holds(
    plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = checkpoint(tmp_path / "mine.pt", "large")
    words = (str(plan_path), "--vram", "3GB", "--checkpoint", str(file))
    own = checks(*words, code=0)["checkpoint"]
    assert own["status"] == WARN and "not the official file" in own["found"]
    pinned = checks(*words, "--sha256", own["figures"]["sha256"].upper(), code=0)["checkpoint"]
    assert pinned["status"] == PASS
    assert checks(*words, "--sha256", "0" * 64, code=2)["checkpoint"]["status"] == FAIL
    official = {("large", "2.1"): own["figures"]["sha256"]}
    monkeypatch.setattr("planner.preflight.files.official_sums", lambda: official)
    assert "is sam2.1_hiera_large.pt" in checks(*words, code=0)["checkpoint"]["found"]


@pytest.mark.parametrize(("variant", "version"), [("tiny", "2.1"), ("large", "2.0")])
def test_a_checkpoint_of_another_kind_is_exit_2(variant: str, version: str, plan_path: Path, tmp_path: Path) -> None:
    file = checkpoint(tmp_path / "other.pt", variant, version)
    found = checks(str(plan_path), "--vram", "3GB", "--checkpoint", str(file), code=2)["checkpoint"]
    assert f"holds {variant} {version}" in found["found"] and "sam2.1_hiera_large.pt" in found["action"]


def test_a_folder_of_checkpoints_a_missing_one_and_rubbish(plan_path: Path, tmp_path: Path) -> None:
    words = (str(plan_path), "--vram", "3GB", "--checkpoint")
    checkpoint(tmp_path / "sam2.1_hiera_large.pt", "large")
    assert checks(*words, str(tmp_path), code=0)["checkpoint"]["status"] == WARN
    assert "there is no" in checks(*words, str(tmp_path / "none.pt"), code=2)["checkpoint"]["found"]
    (tmp_path / "rubbish.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    assert "cut short" in checks(*words, str(tmp_path / "rubbish.pt"), code=2)["checkpoint"]["found"]


@given(st.binary(max_size=400))
def test_looking_into_any_file_runs_nothing_and_ends(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(suffix=".pt") as file:
        with zipfile.ZipFile(file.name, "w") as archive:
            archive.writestr("archive/data.pkl", data)
        assert held_by(Path(file.name)) is None


def test_a_real_checkpoint_is_recognised_without_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="writes a real checkpoint")
    from planner.domain import Configuration
    from planner.runtime.weights import random_model

    model = random_model(Configuration(variant="tiny", version="2.0", resolution=(256, 256), precision="float32"), 0)
    torch.save({"model": model.state_dict()}, tmp_path / "tiny.pt")
    held = held_by(tmp_path / "tiny.pt")
    assert held is not None and (held.variant, held.version) == ("tiny", "2.0")


def test_official_sums_are_there_for_every_variant_and_version() -> None:
    sums = official_sums()
    assert len(sums) == len(set(sums.values())) == 8
    assert all(len(text) == 64 and set(text) <= set("0123456789abcdef") for text in sums.values())


def hub(monkeypatch: pytest.MonkeyPatch, cached: Path | None) -> None:
    """The hub's own library, which finds this file in its cache."""
    found = types.SimpleNamespace(try_to_load_from_cache=lambda name, file: None if cached is None else str(cached))
    monkeypatch.setitem(sys.modules, "huggingface_hub", found)


def on_hub(plan_path: Path, name: str = LARGE, **asked: Any) -> Any:
    found = planner.check(planner.Plan.load(plan_path), checkpoint=name, **({"vram": "3GB"} | asked))
    return next(check for check in found.checks if check.name == "checkpoint")


def test_an_id_on_the_hub_is_the_plans_or_none(plan_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hub(monkeypatch, None)
    later = on_hub(plan_path, sha256="0" * 64)
    assert later.status == WARN and "will be fetched" in later.found and "SHA-256 cannot be compared" in later.found
    for name in ("facebook/sam2.1-hiera-tiny", "facebook/sam2-hiera-large", "facebook/sam2-hiera-nonsense"):
        other = on_hub(plan_path, name)
        assert (other.status, other.exit_code) == (FAIL, 2) and LARGE in other.action


def test_what_the_hub_has_cached_is_judged_as_any_file(
    plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub(monkeypatch, checkpoint(tmp_path / "sam2.1_hiera_large.pt", "large"))
    assert "not the official file" in on_hub(plan_path).found
    assert on_hub(plan_path, sha256="0" * 64).status == FAIL
    hub(monkeypatch, checkpoint(tmp_path / "sam2.1_hiera_large.pt", "tiny"))
    assert "holds tiny" in on_hub(plan_path).found


def test_fetching_needs_a_package_where_the_plan_will_run(
    plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.measure.machine import Machine
    from planner.report.machine import read_machine

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert on_hub(plan_path).status == WARN, "a budget need not be of this machine"
    path = report(tmp_path)
    assert on_hub(plan_path, vram=None, simulate_gpu=path).status == WARN

    def here() -> Machine:
        from dataclasses import replace

        return replace(read_machine(path), replayed=None)

    missing = on_hub(plan_path, vram=None, look=here)
    assert (missing.status, missing.exit_code) == (FAIL, 1) and "huggingface_hub" in missing.found


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_a_damaged_archive_is_no_checkpoint(method: int, plan_path: Path, tmp_path: Path) -> None:
    path = tmp_path / "damaged.pt"
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("archive/data.pkl", bytes(range(256)) * 64)
    data = bytearray(path.read_bytes())
    data[60:100] = bytes(byte ^ 0xFF for byte in data[60:100])
    path.write_bytes(data)
    found = checks(str(plan_path), "--vram", "3GB", "--checkpoint", str(path), code=2)["checkpoint"]
    assert "cut short" in found["found"]


def test_of_a_small_archive_with_a_large_list_only_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "bomb.pt"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"N" * 2**24)
    read: list[int] = []
    monkeypatch.setattr("pickletools.genops", lambda data: read.append(len(data)) or iter(()))
    assert held_by(path) is None and read == [2**20]
