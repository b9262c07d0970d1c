"""What planner.load accepts and refuses: checkpoints, devices, kernels."""

from __future__ import annotations

import builtins
import json
import os
import pickle
import struct
import sys
import types
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

import planner
from planner.errors import DeviceWarning, EnvironmentFailure, FileError, PlannerError, UsageError
from planner.nouns.run import Configuration
from planner.runtime.session import find_device
from tests.runtime.stock import checkpoint, picture

SMALLEST = Configuration(variant="tiny", version="2.1", resolution=(64, 64), precision="float32")
ID = "facebook/sam2.1-hiera-tiny"


def refused(error: type[PlannerError], path: object, wanted: Configuration = SMALLEST, **options: Any) -> str:
    with pytest.raises(error) as caught:
        planner.load(wanted, checkpoint=path, **dict(device="cpu") | options)  # type: ignore[arg-type]
    assert caught.value.message and caught.value.hint
    return str(caught.value)


@pytest.fixture
def weights() -> dict[str, Any]:
    return dict(torch.load(checkpoint("tiny", "2.1"), weights_only=True)["model"])


def saved(path: Path, content: object, **options: Any) -> Path:
    torch.save(content, path, **options)
    return path


# -- good weights -----------------------------------------------------------------------------------------


def answer(session: planner.runtime.session.Session) -> numpy.ndarray:
    return numpy.asarray(session.segment(picture(0), points=[[30, 55]], labels=[1]).logits)


def test_a_path_as_text_a_path_object_and_a_folder_of_official_names_load_the_same(tmp_path: Path) -> None:
    path = checkpoint("tiny", "2.1")
    (tmp_path / "sam2.1_hiera_tiny.pt").symlink_to(path)
    answers = [answer(planner.load(SMALLEST, checkpoint=given, device="cpu")) for given in (path, str(path), tmp_path)]
    assert numpy.ptp(answers[0]) > 0
    assert numpy.array_equal(answers[0], answers[1])
    assert numpy.array_equal(answers[0], answers[2])


def test_a_checkpoint_in_the_format_before_zip_files_loads(tmp_path: Path, weights: dict[str, Any]) -> None:
    old = saved(tmp_path / "old.pt", {"model": weights}, _use_new_zipfile_serialization=False)
    new = answer(planner.load(SMALLEST, checkpoint=checkpoint("tiny", "2.1"), device="cpu"))
    assert numpy.array_equal(answer(planner.load(SMALLEST, checkpoint=old, device="cpu")), new)


def as_safetensors(path: Path, weights: dict[str, Any]) -> Path:
    """The weights one after the other behind their list, at odd places."""
    offset, entries, data = 1, {}, [b"\0"]
    for name, tensor in weights.items():
        data.append(tensor.contiguous().numpy().tobytes())
        end = offset + len(data[-1])
        entries[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": [offset, end]}
        offset = end
    head = json.dumps(entries).encode()
    path.write_bytes(b"".join((struct.pack("<Q", len(head)), head, *data)))
    return path


TRAINING = {"optimizer": {"state": {0: {"step": torch.tensor(3.0)}}}, "epoch": 7, "best_meter_values": {}}
SHAPES: dict[str, Any] = {
    "bare": lambda path, found: saved(path, found),
    "of a training run on several GPUs": lambda path, found: saved(
        path, {"state_dict": {f"module.model.{name}": tensor for name, tensor in found.items()}, **TRAINING}
    ),
    "parameters": lambda path, found: saved(
        path, {"model": {name: torch.nn.Parameter(tensor) for name, tensor in found.items()}}
    ),
    "safetensors": as_safetensors,
}


@pytest.mark.parametrize("shape", SHAPES)
def test_a_checkpoint_in_another_shape_gives_the_same_masks(
    shape: str, tmp_path: Path, weights: dict[str, Any]
) -> None:
    path = SHAPES[shape](tmp_path / "mine.pt", weights)
    official = answer(planner.load(SMALLEST, checkpoint=checkpoint("tiny", "2.1"), device="cpu"))
    session = planner.load(SMALLEST, checkpoint=path, device="cpu")
    path.write_bytes(bytes(path.stat().st_size))
    assert numpy.array_equal(answer(session), official)


def test_random_weights_are_those_of_their_seed_and_leave_the_random_numbers_of_the_caller_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    one = answer(planner.load(SMALLEST, random_weights=True, seed=5, device="cpu"))
    assert torch.equal(torch.rand(4), expected)
    assert numpy.array_equal(one, answer(planner.load(SMALLEST, random_weights=True, seed=5, device="cpu")))
    assert not numpy.array_equal(one, answer(planner.load(SMALLEST, random_weights=True, seed=6, device="cpu")))


def test_a_file_that_is_replaced_after_loading_changes_nothing(tmp_path: Path, weights: dict[str, Any]) -> None:
    """A download that is restarted in place must not reach into a session that runs."""
    path = saved(tmp_path / "weights.pt", {"model": weights})
    session = planner.load(SMALLEST, checkpoint=path, device="cpu")
    before = answer(session)
    with open(path, "r+b") as file:
        file.seek(2**20)
        file.write(bytes(30 * 2**20))
    assert numpy.array_equal(answer(session), before)


def test_a_session_says_what_is_loaded_and_where() -> None:
    session = planner.load(SMALLEST, random_weights=True, device="cpu")
    assert session.configuration == SMALLEST
    assert session.device == "cpu"
    assert session.memory() is None


# -- checkpoints that are refused -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "version"), [("small", "2.1"), ("tiny", "2.0"), ("base_plus", "2.1"), ("large", "2.1")]
)
def test_a_checkpoint_of_another_variant_or_version_is_named_with_what_was_expected(variant: str, version: str) -> None:
    wanted = replace(SMALLEST, variant=variant, version=version)
    message = refused(FileError, checkpoint("tiny", "2.1"), wanted)
    assert "tiny 2.1" in message
    assert f"{variant} {version}" in message


@pytest.mark.parametrize("kept", [0.0, 0.00001, 0.3, 0.999], ids=["empty", "a few bytes", "a third", "nearly all"])
@pytest.mark.parametrize("zipped", [True, False], ids=["as torch saves now", "as torch saved once"])
def test_a_file_cut_short_is_refused(tmp_path: Path, weights: dict[str, Any], kept: float, zipped: bool) -> None:
    path = saved(tmp_path / "cut.pt", {"model": weights}, _use_new_zipfile_serialization=zipped)
    os.truncate(path, int(path.stat().st_size * kept))
    assert str(path) in refused(FileError, path)


class Payload:
    """Would leave a file behind if it were unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self.trace}",)


class Opener(Payload):
    def __reduce__(self) -> Any:
        return builtins.open, (str(self.trace), "w")


class Evaluator(Payload):
    def __reduce__(self) -> Any:
        return builtins.eval, (f"__import__('pathlib').Path({str(self.trace)!r}).touch()",)


@pytest.mark.parametrize("payload", [Payload, Opener, Evaluator])
@pytest.mark.parametrize("place", ["beside the weights", "in the weights", "instead of them", "a bare pickle"])
def test_a_file_that_would_run_code_is_refused_and_runs_none(
    tmp_path: Path, weights: dict[str, Any], payload: type[Payload], place: str
) -> None:
    trace = tmp_path / "executed"
    thing = payload(trace)
    path = tmp_path / "hostile.pt"
    if place == "a bare pickle":
        path.write_bytes(pickle.dumps({"model": thing}))
    else:
        few = {name: weights[name] for name in list(weights)[:3]}
        content: object = {
            "beside the weights": {"model": few, "extra": thing},
            "in the weights": {"model": few | {"extra": thing}},
            "instead of them": thing,
        }[place]
        saved(path, content)
    message = refused(FileError, path)
    assert not trace.exists()
    assert "refused" in message and str(path) in message


def test_the_payloads_of_these_tests_would_run(tmp_path: Path) -> None:
    for number, payload in enumerate((Payload, Evaluator)):
        trace = tmp_path / str(number)
        pickle.loads(pickle.dumps(payload(trace)))
        assert trace.exists()


NO_CHECKPOINTS: dict[str, Any] = {
    "text": b"This is not a checkpoint.\n",
    "a page of a web server": b"<!DOCTYPE html><html><body>404</body></html>",
    "zeros": bytes(4096),
    "a picture": b"\x89PNG\r\n\x1a\n" + bytes(64),
    "a zip file of something else": None,
    "safetensors": struct.pack("<Q", 2) + b"{}",
    "an empty dictionary": {},
    "a list": [1, 2, 3],
    "a tensor": torch.zeros(3),
    "weights of something else": {"model": {"layer.weight": torch.zeros(3)}},
    "no tensors": {"model": {"image_encoder.trunk.patch_embed.proj.weight": 3}},
    "a training state": {"model": None, "optimizer": {}},
}


@pytest.mark.parametrize("content", NO_CHECKPOINTS.values(), ids=NO_CHECKPOINTS)
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path: Path, content: Any) -> None:
    path = tmp_path / "file.pt"
    if content is None:
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("readme.txt", "hello")
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        saved(path, content)
    assert str(path) in refused(FileError, path)


def test_missing_unknown_and_misshapen_weights_are_named(tmp_path: Path, weights: dict[str, Any]) -> None:
    name = "sam_mask_decoder.iou_token.weight"
    missing = {key: value for key, value in weights.items() if key != name}
    assert name in refused(FileError, saved(tmp_path / "missing.pt", {"model": missing}))
    extra = weights | {"something.else": torch.zeros(1)}
    assert "something.else" in refused(FileError, saved(tmp_path / "extra.pt", {"model": extra}))
    misshapen = weights | {name: torch.zeros(7, 9)}
    assert name in refused(FileError, saved(tmp_path / "misshapen.pt", {"model": misshapen}))


def test_weights_that_are_whole_numbers_or_of_the_wrong_type_do_not_crash_later(
    tmp_path: Path, weights: dict[str, Any]
) -> None:
    """Either refused, or turned into what the configuration asks for; never a crash in the first picture."""
    halves = {name: value.half() for name, value in weights.items()}
    path = saved(tmp_path / "half.pt", {"model": halves})
    try:
        session = planner.load(SMALLEST, checkpoint=path, device="cpu")
    except PlannerError as error:
        assert str(path) in str(error)
    else:
        assert numpy.isfinite(answer(session)).all()


def test_a_file_that_is_not_there_and_a_folder_without_one_are_refused(tmp_path: Path) -> None:
    assert "nowhere.pt" in refused(FileError, tmp_path / "nowhere.pt")
    assert "sam2.1_hiera_tiny.pt" in refused(FileError, tmp_path)
    refused(FileError, "")


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
def test_a_file_that_may_not_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "locked.pt"
    path.write_bytes(b"x")
    path.chmod(0)
    assert str(path) in refused(FileError, path)


def test_weights_must_come_from_somewhere_and_only_from_one_place() -> None:
    refused(UsageError, None)
    refused(UsageError, checkpoint("tiny", "2.1"), random_weights=True)


# -- the hub ----------------------------------------------------------------------------------------------


def test_an_id_of_the_hub_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    message = refused(EnvironmentFailure, ID)
    assert "huggingface_hub" in message and ID in message


def test_an_id_of_the_hub_without_a_network_is_an_error_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    def unreachable(**asked: object) -> str:
        raise ConnectionError("Name or service not known")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=unreachable))
    message = refused(EnvironmentFailure, ID)
    assert ID in message and "Name or service not known" in message


def test_an_id_of_the_hub_fetches_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def fetch(**words: object) -> str:
        asked.append(words)
        return str(checkpoint("tiny", "2.1"))

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=fetch))
    session = planner.load(SMALLEST, checkpoint=ID, device="cpu")
    assert asked == [{"repo_id": ID, "filename": "sam2.1_hiera_tiny.pt"}]
    assert numpy.array_equal(
        answer(session), answer(planner.load(SMALLEST, checkpoint=checkpoint("tiny", "2.1"), device="cpu"))
    )


def test_an_id_of_another_variant_is_refused_before_anything_is_fetched(monkeypatch: pytest.MonkeyPatch) -> None:
    def fetch(**words: object) -> str:
        raise AssertionError("nothing should be fetched")

    monkeypatch.setitem(sys.modules, "huggingface_hub", types.SimpleNamespace(hf_hub_download=fetch))
    message = refused(UsageError, "facebook/sam2.1-hiera-large")
    assert "tiny 2.1" in message


def test_an_id_that_is_not_official_is_refused() -> None:
    refused(FileError, "someone/sam2.1-hiera-tiny")


# -- devices, kernels, configurations ---------------------------------------------------------------------


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "", "tpu", "meta", "cpu:banana"])
def test_a_word_that_is_no_device_is_refused(device: str) -> None:
    with pytest.raises(UsageError) as caught:
        planner.load(SMALLEST, random_weights=True, device=device)
    assert repr(device) in str(caught.value) and "cpu" in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize("device", ["cuda", "cuda:3"])
def test_a_gpu_that_is_not_there_is_an_error_of_the_environment(device: str) -> None:
    with pytest.raises(EnvironmentFailure) as caught:
        planner.load(SMALLEST, random_weights=True, device=device)
    assert device in str(caught.value)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_auto_takes_the_cpu_where_there_is_nothing_else() -> None:
    if torch.backends.mps.is_available():
        pytest.skip("there is an MPS device")
    with pytest.warns(DeviceWarning, match=r"torch .*, so SAM 2 runs on the CPU"):
        assert planner.load(SMALLEST, random_weights=True).device == "cpu"


@pytest.mark.parametrize(("planned", "taken"), [("GPU-b", 1), ("GPU-a", 0), ("GPU-elsewhere", 0), (None, 0)])
def test_auto_takes_the_gpu_that_the_plan_was_made_for(
    planned: str | None, taken: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which is the one that `check` judges: the plan's own, else the first."""
    plan = planner.plan(gpu="RTX 3060")
    card = replace(plan.budget.gpu, uuid=planned) if plan.budget.gpu else None
    plan = replace(plan, budget=replace(plan.budget, gpu=card))
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    seen = {0: types.SimpleNamespace(uuid="a"), 1: types.SimpleNamespace(uuid="b")}
    monkeypatch.setattr("torch.cuda.get_device_properties", lambda device: seen[device.index])
    assert find_device("auto", plan) == torch.device("cuda", taken)
    assert find_device("cuda:1", plan) == torch.device("cuda", 1), "what is said counts"


@pytest.mark.parametrize("attention", ["efficient", "cudnn"])
def test_a_kernel_that_the_cpu_has_not_is_refused_with_the_reason(attention: str) -> None:
    with pytest.raises(UsageError) as caught:
        planner.load(replace(SMALLEST, attention=attention), random_weights=True, device="cpu")
    message = str(caught.value)
    assert attention in message and "CPU" in message and "float32" in message


@pytest.mark.parametrize("attention", ["math", "flash"])
def test_a_kernel_that_the_cpu_has_gives_nearly_the_same_masks(attention: str) -> None:
    """Kernels add up in different orders: float32 differs in the last bits."""
    auto = answer(planner.load(SMALLEST, checkpoint=checkpoint("tiny", "2.1"), device="cpu"))
    other = answer(
        planner.load(replace(SMALLEST, attention=attention), checkpoint=checkpoint("tiny", "2.1"), device="cpu")
    )
    assert numpy.abs(auto - other).max() < 1e-3 * numpy.ptp(auto)


def test_kernels_of_the_caller_are_not_changed_by_a_session() -> None:
    before = torch.backends.cuda.math_sdp_enabled(), torch.backends.cuda.flash_sdp_enabled()
    answer(planner.load(replace(SMALLEST, attention="math"), random_weights=True, device="cpu"))
    assert (torch.backends.cuda.math_sdp_enabled(), torch.backends.cuda.flash_sdp_enabled()) == before
    assert not torch.is_inference_mode_enabled()


@pytest.mark.parametrize("resolution", [(0, 64), (100, 64), (64, -32), (33, 33)])
def test_a_resolution_that_sam2_cannot_compute_at_is_refused(resolution: tuple[int, int]) -> None:
    with pytest.raises(UsageError) as caught:
        planner.load(replace(SMALLEST, resolution=resolution), random_weights=True, device="cpu")
    assert "32" in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [dict(precision="int8"), dict(object_batch=0), dict(variant="huge"), dict(version="3.0"), dict(attention="fast")],
    ids=lambda change: next(iter(change)),
)
def test_a_configuration_that_does_not_exist_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        planner.load(replace(SMALLEST, **change), random_weights=True, device="cpu")
    assert str(next(iter(change.values()))) in str(caught.value)


def test_what_is_neither_a_plan_nor_a_configuration_is_refused() -> None:
    for thing in ("plan.yaml", None, {"variant": "tiny"}):
        with pytest.raises(UsageError):
            planner.load(thing, random_weights=True, device="cpu")  # type: ignore[arg-type]


def test_a_plan_in_which_nothing_fits_has_nothing_to_load() -> None:
    plan = planner.plan(task="video", vram="50MB")
    assert not plan.fits
    with pytest.raises(PlannerError) as caught:
        planner.load(plan, random_weights=True, device="cpu")
    assert "fit" in str(caught.value)


def test_a_plan_loads_what_it_chose() -> None:
    plan = planner.plan(task="image", vram="2GB", variant="tiny", resolution=256, precision="float32")
    session = planner.load(plan, random_weights=True, device="cpu")
    assert plan.chosen is not None
    assert session.configuration == plan.chosen.configuration
    assert session.segment(picture(0), points=[[30, 55]], labels=[1]).masks.shape[-2:] == (120, 160)
    with pytest.raises(UsageError, match="task"):
        session.track([picture(0)], [{"frame": 0, "object": 1, "points": [[30, 55]], "labels": [1]}])


def test_a_plan_for_automatic_masks_finds_them() -> None:
    wanted = replace(SMALLEST, resolution=(64, 64), object_batch=4)
    session = planner.load(wanted, random_weights=True, device="cpu", task="automask")
    found = session.automask(picture(0), points_per_side=2, pred_iou_threshold=0.0, stability_threshold=0.0)
    assert found
