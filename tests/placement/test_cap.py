"""The cap of a worker that shares a GPU: read from the environment, held as the context grows, named when it is met."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch", reason="limits torch's allocator")

import planner
from planner.errors import OutOfMemory, PlannerError, UsageError
from planner.machine import processes as nvml
from planner.machine.cap import CapWarning, allocator_bytes, cap_from, context_beside
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.run import Configuration
from planner.runtime import limiting, session
from planner.text.units import exact_size
from tests.conftest import invoke

GB = 10**9
CARD = torch.device("cuda", 0)
SMALL = Configuration(variant="tiny", version="2.1", resolution=(64, 64), precision="float32")
SAID = "CUDA out of memory. Tried to allocate 2.00 GiB."


# -- from the environment ---------------------------------------------------------------------------------


@pytest.mark.parametrize("environment", [{}, {CAP_VARIABLE: ""}, {CAP_VARIABLE: "  "}], ids=str)
def test_nothing_said_is_no_cap(environment: dict[str, str]) -> None:
    assert cap_from(environment) is None


@given(st.integers(10**6, 10**15))
def test_what_placement_writes_is_read_back_to_the_byte(size: int) -> None:
    assert cap_from({CAP_VARIABLE: exact_size(size)}) == size


@pytest.mark.parametrize("text", ["2", "0GB", "-1GB", "2,5GB", "nan", "lots", "1e3GB", "2 GB 3", "9" * 40 + "GB"])
def test_a_broken_cap_is_named_with_its_value_and_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        cap_from({CAP_VARIABLE: text})
    assert CAP_VARIABLE in caught.value.message
    assert repr(text) in caught.value.message
    assert "1907MiB" in caught.value.hint


# -- what it leaves ---------------------------------------------------------------------------------------


@given(cap=st.integers(1, 10**12), context=st.integers(0, 10**12))
def test_allocator_and_context_together_are_the_cap_or_it_is_refused(cap: int, context: int) -> None:
    if cap > context:
        assert allocator_bytes(cap, context) + context == cap
    else:
        with pytest.raises(OutOfMemory, match=f"{cap:,} bytes") as caught:
            allocator_bytes(cap, context)
        assert (caught.value.code, caught.value.exit_code) == ("out_of_memory", 5)


def test_the_context_is_what_the_process_takes_beside_its_allocator() -> None:
    assert context_beside(3 * GB, 1 * GB, otherwise_bytes=7 * GB) == 2 * GB
    assert context_beside(1 * GB, 2 * GB, otherwise_bytes=7 * GB) == 0, "two counters that were read one after another"
    assert context_beside(None, 1 * GB, otherwise_bytes=7 * GB) == 7 * GB


# -- in force, with stand-ins for torch's counters and NVML ------------------------------------------------


class Machine:
    """A card of 10 GB with 6 in use, 1 of them held by this process's allocator; and what the driver lists."""

    def __init__(self) -> None:
        self.limits: list[float] = []
        self.listed: list[tuple[int, int]] = []

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return uuid

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:  # noqa: N802
        assert handle == "GPU-1234"
        return [SimpleNamespace(pid=pid, usedGpuMemory=size) for pid, size in self.listed]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * GB, 10 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 1 * GB)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="1234"))
    monkeypatch.setattr(
        torch.cuda, "set_per_process_memory_fraction", lambda share, device: found.limits.append(round(share, 9))
    )
    monkeypatch.setitem(__import__("sys").modules, "pynvml", found)
    return found


@pytest.fixture(scope="module")
def plan() -> planner.Plan:
    return planner.plan(task="video", objects=2, vram="6GB", variant="tiny", resolution=64)


def held(plan: planner.Plan | None, cap: str = "3GB") -> limiting.MemoryCap:
    found = limiting.cap_on(CARD, plan, {CAP_VARIABLE: cap})
    assert found is not None
    return found


def test_the_allocator_gets_the_cap_less_the_context_that_the_driver_counts(
    machine: Machine, plan: planner.Plan
) -> None:
    machine.listed = [(os.getpid(), 1_500_000_000), (1, 4 * GB)]
    held(plan)
    assert machine.limits == [0.25], "3 GB less half a GB of context, of 10 GB"


def test_a_neighbour_that_alone_is_listed_is_not_taken_for_this_process(machine: Machine, plan: planner.Plan) -> None:
    machine.listed = [(os.getpid() + 1, 2_900_000_000)]
    held(plan)
    assert plan.estimate is not None
    assert machine.limits == [round((3 * GB - plan.estimate.context_bytes) / (10 * GB), 9)]


def test_without_a_plan_all_that_is_in_use_counts_where_the_driver_is_silent(machine: Machine) -> None:
    with pytest.raises(OutOfMemory, match="context of 5,000,000,000 alone"):
        held(None)
    held(None, cap="7GB")
    assert machine.limits == [0.2]


def test_a_context_that_grows_is_taken_off_while_kernels_load_and_seldom_later(
    machine: Machine, plan: planner.Plan
) -> None:
    machine.listed = [(os.getpid(), 1_500_000_000)]
    cap = held(plan)
    machine.listed = [(os.getpid(), 2_000_000_000)]
    cap.renew()
    assert machine.limits == [0.25, 0.2]
    for _ in range(1, 3 * limiting.SELDOM):
        cap.renew()
    assert len(machine.limits) == 1 + limiting.UNSETTLED + 3


def test_a_cap_above_the_card_is_the_card(machine: Machine, plan: planner.Plan) -> None:
    held(plan, cap="20GB")
    assert machine.limits == [1.0]


def test_no_driver_and_no_binding_leave_the_prediction(machine: Machine, plan: planner.Plan) -> None:
    machine.nvmlInit = lambda: 1 / 0  # type: ignore[method-assign]
    assert nvml.Driver("GPU-1234").listed_bytes() is None
    held(plan)
    assert len(machine.limits) == 1


# -- planner.load -----------------------------------------------------------------------------------------


def load(**options: Any) -> planner.Session:
    pytest.importorskip("sam2", reason="loads the sam2 package")
    return planner.load(SMALL, random_weights=True, device="cpu", **options)


def test_on_a_cpu_it_is_said_that_nothing_is_enforced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAP_VARIABLE, "2GB")
    with pytest.warns(CapWarning, match="SAM2_PLAN_MEMORY_CAP=2GB is not enforced: on cpu"):
        load()


def test_a_broken_cap_is_refused_before_anything_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CAP_VARIABLE, "plenty")
    with pytest.raises(UsageError, match="plenty"):
        load()


class Cap:
    """Stands in for a cap on a GPU."""

    renewed = 0

    def renew(self) -> None:
        self.renewed += 1

    def __str__(self) -> str:
        return "SAM2_PLAN_MEMORY_CAP holds this process to 2000 MB"


@pytest.fixture
def cap(monkeypatch: pytest.MonkeyPatch) -> Cap:
    found = Cap()
    monkeypatch.setattr(session, "cap_on", lambda device, plan: found)
    return found


def test_out_of_memory_while_loading_names_the_cap(cap: Cap, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr(session, "place", full)
    with pytest.raises(OutOfMemory) as caught:
        load()
    assert "tiny 2.1 at 64x64, float32 was loaded" in caught.value.message
    assert "holds this process to 2000 MB" in caught.value.message
    assert caught.value.hint


def test_another_error_while_loading_stays_what_it_is(cap: Cap, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any, **options: Any) -> None:
        raise RuntimeError("some bug")

    monkeypatch.setattr(session, "place", broken)
    with pytest.raises(RuntimeError, match="some bug"):
        load()


def test_out_of_memory_on_a_frame_names_the_cap_which_is_renewed_frame_by_frame(
    cap: Cap, monkeypatch: pytest.MonkeyPatch
) -> None:
    from planner.runtime import tracker

    clip = [numpy_picture() for _ in range(5)]
    tracking = load().track(iter(clip), [{"frame": 0, "object": 1, "box": [4, 4, 30, 30]}])
    next(tracking)
    after_one = cap.renewed
    next(tracking)
    assert cap.renewed > after_one > 0

    def full(*arguments: Any, **options: Any) -> None:
        raise torch.OutOfMemoryError(SAID)

    monkeypatch.setattr(tracker, "encode", full)
    with pytest.raises(PlannerError) as caught:
        next(tracking)
    assert caught.value.exit_code == 5
    assert "frame 2" in caught.value.message
    assert "holds this process to 2000 MB" in caught.value.message


def numpy_picture() -> Any:
    import numpy

    return numpy.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=numpy.uint8)


def test_a_run_says_in_its_summary_that_the_cap_is_not_enforced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sam2", reason="runs the sam2 package")
    from PIL import Image

    monkeypatch.setenv(CAP_VARIABLE, "2GB")
    Image.fromarray(numpy_picture()).save(tmp_path / "picture.png")
    made = planner.plan(task="image", vram="2GB", variant="tiny", version="2.1", resolution=64, precision="float32")
    made.save(tmp_path / "plan.yaml")
    document = invoke(
        "run", str(tmp_path / "plan.yaml"), str(tmp_path / "picture.png"), "--out", str(tmp_path / "masks"),
        "--point", "9,9", "--random-weights", "--device", "cpu", "--format", "json",
    ).document  # fmt: skip
    assert [text for text in document["warnings"] if "SAM2_PLAN_MEMORY_CAP=2GB is not enforced" in text]


def test_a_trial_that_is_measured_has_its_own_cap_and_not_the_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.measure import trial
    from planner.nouns.run import Workload

    seen: dict[str, str] = {}

    def popen(command: list[str], *, env: dict[str, str], **options: Any) -> Any:
        seen.update(env)
        raise InterruptedError("far enough")

    monkeypatch.setenv(CAP_VARIABLE, "2GB")
    monkeypatch.setattr(trial.subprocess, "Popen", popen)
    with pytest.raises(InterruptedError):
        trial.run_trial(trial.Trial(runtime="own", configuration=SMALL, workload=Workload(task="image")))
    assert "PATH" in seen and CAP_VARIABLE not in seen


# -- the real thing ---------------------------------------------------------------------------------------


@pytest.mark.gpu
def test_on_a_gpu_a_worker_that_overruns_its_cap_fails_and_goes_on_within_it(monkeypatch: pytest.MonkeyPatch) -> None:
    device = torch.device("cuda", 0)
    monkeypatch.setenv(CAP_VARIABLE, "2GB")
    try:
        found = limiting.cap_on(device, None)
        assert found is not None
        with pytest.raises(torch.OutOfMemoryError):
            torch.empty(2 * GB, dtype=torch.uint8, device=device)
        torch.empty(GB // 2, dtype=torch.uint8, device=device)
        free, total = torch.cuda.mem_get_info(device)
        assert torch.cuda.memory_reserved(device) + limiting.in_use_beside(device) == total - free
        assert torch.cuda.memory_reserved(device) <= 2 * GB
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, device)
