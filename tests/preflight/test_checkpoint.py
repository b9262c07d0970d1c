"""The checkpoint that a plan will run with: there, the one that was meant, and looked into without running it."""

from __future__ import annotations

import io
import pickle
import sys
import tempfile
import types
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.catalog.checkpoints import official_sums
from planner.catalog.pickles import read_pickle
from planner.catalog.weight_names import needed_tensors
from planner.catalog.weights import accept
from planner.errors import FileError
from planner.nouns.run import Configuration
from planner.nouns.words import VARIANTS, VERSIONS
from planner.preflight.checks import FAIL, PASS, WARN
from tests.checkpoint_files import LEGACY_HEAD, Fake, Name, legacy, pickled, safetensors, weights, zipped
from tests.preflight.machines import report
from tests.preflight.test_check import checks

LARGE = "facebook/sam2.1-hiera-large"
LARGE_2_1 = Configuration(variant="large", version="2.1", resolution=(1024, 1024), precision="float32")


def checkpoint(path: Path, variant: str, version: str = "2.1") -> Path:
    """A file like an official one."""
    return zipped(path, {"model": weights(variant, version)})


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


def test_a_folder_of_checkpoints_a_missing_one_and_rubbish(plan_path: Path, tmp_path: Path) -> None:
    words = (str(plan_path), "--vram", "3GB", "--checkpoint")
    checkpoint(tmp_path / "sam2.1_hiera_large.pt", "large")
    assert checks(*words, str(tmp_path), code=0)["checkpoint"]["status"] == WARN
    assert "there is no" in checks(*words, str(tmp_path / "none.pt"), code=2)["checkpoint"]["found"]
    (tmp_path / "rubbish.pt").write_bytes(b"PK\x03\x04" + bytes(100))
    assert "cut short" in checks(*words, str(tmp_path / "rubbish.pt"), code=2)["checkpoint"]["found"]


def under(**others: Any) -> Callable[[Path, dict[str, Fake]], object]:
    """Saved with torch: the weights where `W` stands, each name after `prefix`."""
    prefix = others.pop("prefix", "")
    infix = others.pop("infix", "")

    def save(path: Path, found: dict[str, Fake]) -> object:
        named = {prefix + name.replace("trunk.", f"trunk.{infix}"): tensor for name, tensor in found.items()}
        return zipped(path, _filled(others or W, named))

    return save


W = object()


def _filled(content: Any, named: dict[str, Fake]) -> Any:
    if content is W:
        return dict(named)
    return {key: _filled(value, named) for key, value in content.items()} if isinstance(content, dict) else content


ADAM = {"state": {0: {"exp_avg": Fake((3,)), "step": 5}}, "param_groups": [{"lr": 0.1, "params": [0]}]}
LOADED: dict[str, tuple[Callable[[Path, dict[str, Fake]], object], str]] = {
    "official": (under(model=W), ""),
    "bare": (under(), "without an outer name"),
    "under state_dict": (under(state_dict=W), 'under "state_dict"'),
    "of a training run": (under(model=W, optimizer=ADAM, epoch=3, loss=0.5, best_meter_values={}), ""),
    "of Lightning": (
        under(state_dict=W, **{"pytorch-lightning_version": "2.4"}, optimizer_states=[ADAM], prefix="model."),
        'under "state_dict", each name after "model."',
    ),
    "of DDP": (under(model=W, prefix="module."), 'each name after "module."'),
    "compiled": (under(model=W, prefix="_orig_mod."), ""),
    "compiled in part": (under(model=W, infix="_orig_mod."), ""),
    "inside another network": (under(net=W, prefix="module.sam2."), 'after "module.sam2."'),
    "nested": (under(checkpoint={"state_dict": W, "step": 1}), 'under "checkpoint.state_dict"'),
    "beside an average of itself": (under(ema=W, model=W), ""),
    "under two names at once": (lambda path, found: zipped(path, {"ema": found, "model": found}), ""),
    "in half precision": (
        lambda path, found: zipped(path, {"model": {n: Fake(t.shape, "HalfStorage") for n, t in found.items()}}), "",
    ),
    "in the format before zip files": (lambda path, found: legacy(path, {"model": found}), ""),
    "safetensors": (safetensors, "without an outer name"),
}  # fmt: skip


@pytest.mark.parametrize("shape", LOADED)
def test_a_checkpoint_in_any_shape_that_people_have_passes_and_says_which(
    shape: str, plan_path: Path, tmp_path: Path
) -> None:
    save, said = LOADED[shape]
    save(tmp_path / "mine.pt", weights("large"))
    found = checks(str(plan_path), "--vram", "3GB", "--checkpoint", str(tmp_path / "mine.pt"), code=0)["checkpoint"]
    assert "holds large 2.1" in found["found"] and said in found["found"]
    assert ("(" in found["found"].partition("but is not")[0]) == bool(said)


def changed(**changes: Any) -> Callable[[Path, dict[str, Fake]], object]:
    """The weights with some of another kind, or gone (None)."""

    def save(path: Path, found: dict[str, Fake]) -> object:
        kept = {**found, **changes}
        return zipped(path, {"model": {name: tensor for name, tensor in kept.items() if tensor is not None}})

    return save


def other(*names: str, **around: Any) -> Callable[[Path, dict[str, Fake]], object]:
    """Weights of another network."""
    return lambda path, _: zipped(path, around or dict.fromkeys(names, Fake((3,))))


def holding(content: bytes) -> Callable[[Path, dict[str, Fake]], object]:
    return lambda path, _: path.write_bytes(content)


def cut(save: Callable[[Path, dict[str, Fake]], object], share: float) -> Callable[[Path, dict[str, Fake]], object]:
    def saved(path: Path, found: dict[str, Fake]) -> None:
        save(path, found)
        with path.open("r+b") as file:
            file.truncate(int(path.stat().st_size * share))

    return saved


def without_bytes(path: Path, found: dict[str, Fake]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled({"model": found}))


def script(path: Path, found: dict[str, Fake]) -> None:
    zipped(path, {"model": found})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("archive/constants.pkl", b"")


REFUSED: dict[str, tuple[Callable[[Path, dict[str, Fake]], object], str]] = {
    "a pointer of Git LFS": (holding(b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "Git LFS"),
    "a web page": (holding(b"\n<!DOCTYPE html><html><body>403</body></html>"), "web page"),
    "an answer in XML": (holding(b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>'), "answer (XML)"),
    "nothing": (holding(b""), "is empty"),
    "zeros": (holding(bytes(4096)), "zeros"),
    "a picture": (holding(b"\x89PNG\r\n\x1a\n" + bytes(64)), "picture"),
    "packed": (holding(b"\x1f\x8b\x08" + bytes(64)), "gzip"),
    "text": (holding(b'{"weight_map": {}}'), "is text"),
    "a pickle of numbers": (holding(pickle.dumps({"a": 1}, 2)), "none of torch.save's"),
    "a pickle of a newer protocol": (holding(pickle.dumps({"a": 1}, 4)), "by protocol 4"),
    "a program": (script, "TorchScript"),
    "a zip archive cut short": (cut(under(model=W), 0.9), "cut short"),
    "the older format cut short": (cut(lambda path, found: legacy(path, {"model": found}), 0.9999), "cut short"),
    "safetensors cut short": (cut(safetensors, 0.9), "cut short"),
    "safetensors cut within the list": (cut(safetensors, 1e-6), "cut short"),
    "bytes that are missing": (without_bytes, "bytes of"),
    "a whole program of ultralytics": (
        other(model=Name("ultralytics.nn.tasks", "DetectionModel")), "program of ultralytics",
    ),
    "options of a training run": (other(model={}, args=Name("argparse", "Namespace")), "argparse.Namespace"),
    "SAM 1": (other("image_encoder.pos_embed", "mask_decoder.iou_token.weight", "prompt_encoder.x"), "of SAM 1"),
    "EdgeTAM": (other("image_encoder.trunk.body.stem.weight", "spatial_perceiver.latents"), "EdgeTAM"),
    "SAM 3": (other("detector.backbone.vision_backbone.trunk.x", "tracker.maskmem_tpos_enc"), "SAM 3"),
    "LoRA alone": (other("base.layers.0.lora_A.weight"), "LoRA layers"),
    "another network": (other("layer1.0.conv1.weight"), "layer1.0.conv1.weight"),
    "no tensors": (other(epoch=3, loss=0.5), "only epoch, loss"),
    "another encoder": (changed(**{"image_encoder.trunk.pos_embed_window": None}), "EfficientTAM"),
    "a weight too few": (changed(maskmem_tpos_enc=None), "1 of the 903 weights of large 2.1 are missing"),
    "a weight too many": (changed(**{"adapter.weight": Fake((2,))}), "such as adapter.weight"),
    "a weight of another shape": (changed(maskmem_tpos_enc=Fake((1, 2))), "(7, 1, 1, 64)"),
    "whole numbers": (changed(maskmem_tpos_enc=Fake((7, 1, 1, 64), "CharStorage")), "type int8"),
    "twice": (
        lambda path, found: zipped(path, {f"{prefix}.{n}": t for n, t in found.items() for prefix in ("a", "b")}),
        "more than once",
    ),
    "another variant": (lambda path, _: zipped(path, {"model": weights("tiny")}), "holds tiny 2.1"),
    "another version": (lambda path, _: zipped(path, {"model": weights("large", "2.0")}), "holds large 2.0"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_checkpoint_for_the_plan_is_named_and_says_the_way_out(
    kind: str, plan_path: Path, tmp_path: Path
) -> None:
    save, named = REFUSED[kind]
    path = tmp_path / "file.pt"
    save(path, weights("large"))
    found = checks(str(plan_path), "--vram", "3GB", "--checkpoint", str(path), code=2)["checkpoint"]
    assert found["status"] == FAIL and found["action"]
    assert found["found"].startswith(str(path)) and named in found["found"], found
    assert "weights_only" not in str(found) and "safe_globals" not in str(found)
    # The run says the same, word for word, without having started.
    pytest.importorskip("sam2", reason="the runtime runs the sam2 package")
    pytest.importorskip("torch", reason="the runtime runs the sam2 package")
    with pytest.raises(FileError) as refused:
        planner.load(planner.Plan.load(plan_path), checkpoint=path, device="cpu")
    assert refused.value.message == f"{found['found']}." and refused.value.hint == f"{found['action']}."


@given(st.binary(max_size=400))
def test_looking_into_any_list_runs_nothing_and_ends(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.pt"
        for save in (
            path.write_bytes,
            lambda data: zip_of(path, data),
            lambda data: path.write_bytes(b"\x80\x02" + data),
        ):
            save(data)
            with pytest.raises(FileError):
                accept(path, LARGE_2_1)
            path.unlink()


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
    from planner.nouns.machine import Machine
    from planner.wire.machine import read_machine

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


def zip_of(path: Path, data: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", data)
    return path


def test_of_a_small_archive_with_a_large_list_only_the_beginning_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("planner.catalog.weight_files.INDEX_BYTES", 2**16)
    monkeypatch.setattr("planner.catalog.pickles.INSTRUCTIONS", 1000)
    itself = b"".join(b"X\x03\x00\x00\x00%03dh\x00" % number for number in range(300))
    deep = b"\x80\x02" + b"]" * 500 + b"a" * 2**18
    for data in (b"N" * 2**18, b"(" * 2**18, deep, b"\x80\x02}q\x00(" + itself + b"u."):
        with pytest.raises(FileError):
            accept(zip_of(tmp_path / "bomb.pt", data), LARGE_2_1)


SHARED = b"]" + b"".join(b"q%ch%c\x86" % (i, i) for i in range(60))
"""A pair of the same pair, sixty times over: its text would have no end."""
DEEP = b"N" + b"\x85" * 100_000
LARGE_SHAPE = b"(" + b"K\x01" * 10_000 + b"tr\x00\x01\x00\x00"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n("


def storage(key: bytes = b"X\x01\x00\x00\x000", items: bytes = b"K\x01") -> bytes:
    return b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\n" + key + b"X\x03\x00\x00\x00cpu" + items + b"tQ"


HOSTILE = {
    "a key without end": storage(key=SHARED),
    "a deep key": storage(key=DEEP),
    "a number that is text": storage(items=b"X\x01\x00\x00\x001"),
    "a number that is deep": storage(items=DEEP),
    "a module without end": SHARED + b"X\x01\x00\x00\x00a\x93",
    "a deep module": DEEP + b"X\x01\x00\x00\x00a\x93",
    "a deep name": b"X\x01\x00\x00\x00a" + DEEP + b"\x93",
    "a name that is searched for long": b"ctorch\nfloat" + b"1" * 200_000 + b".\n",
    "a deep shape": TENSOR + storage() + b"K\x00" + DEEP + DEEP + b"tR",
    "a shape of deep things": TENSOR + storage() + b"K\x00" + DEEP + b"q\x00h\x00tR",
    "a large shape, often": (TENSOR + storage() + b"K\x00" + LARGE_SHAPE + b"j\x00\x01\x00\x00" + b"tR") * 20,
    "an offset that is none": TENSOR + storage() + b"G" + bytes(8) + b"))tR",
    "a tensor for a storage": TENSOR * 2 + storage() + b"K\x00))tRK\x00))tR",
}


@pytest.mark.parametrize("form", ["zip", "legacy"])
@pytest.mark.parametrize("kind", HOSTILE)
def test_a_list_made_to_take_all_memory_or_time_is_no_checkpoint(kind: str, form: str, tmp_path: Path) -> None:
    data = b"\x80\x02" + HOSTILE[kind] + b"."
    path = tmp_path / "hostile.pt"
    if form == "zip":
        zip_of(path, data)
    else:
        path.write_bytes(b"".join(map(pickled, LEGACY_HEAD)) + data + pickled(["0"]))
    with pytest.raises(FileError, match=r"cannot be read|was refused"):
        accept(path, LARGE_2_1)


@pytest.mark.parametrize("error", [RecursionError, MemoryError])
def test_a_list_that_takes_the_stack_or_the_memory_is_unreadable(
    error: type[Exception], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def do(*_: object) -> None:
        raise error

    monkeypatch.setattr("planner.catalog.pickles._Machine.do", do)
    with pytest.raises(FileError, match=f"damaged .{error.__name__}"):
        accept(zip_of(tmp_path / "any.pt", pickled({})), LARGE_2_1)


def test_a_name_that_is_too_long_names_no_weight() -> None:
    assert read_pickle(io.BytesIO(pickled({"a": 1, 2: 2, "b" * 1001: 3, (4,): 4}))) == {"a": 1, 2: 2}


def test_the_list_of_weights_is_that_of_the_installed_sam2() -> None:
    pytest.importorskip("torch", reason="builds the networks")
    pytest.importorskip("sam2", reason="builds the networks")
    from planner.runtime.network import build
    from planner.runtime.weights import without_initial_values

    for variant in VARIANTS:
        for version in VERSIONS:
            wanted = replace(LARGE_2_1, variant=variant, version=version)
            with without_initial_values():
                built = {name: tuple(tensor.shape) for name, tensor in build(wanted).state_dict().items()}
            assert needed_tensors(variant, version) == built
