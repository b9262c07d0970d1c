"""The host's memory: shown beside the GPU's, planned within, and equal to what the real code keeps there."""

from __future__ import annotations

import shlex
import weakref
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.catalog import load_catalog
from planner.memory_model.host import stretches
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import TASKS, VARIANTS
from tests.checker import document_faults
from tests.conftest import document_of, invoke
from tests.oracle import LARGEST_SIDE
from tests.preflight.machines import report

SMALL = ("--variant", "tiny", "--frame-size", "480x640")
GIGABYTE = 10**9


def held(**asked: Any) -> int:
    found = planner.predict(**({"variant": "tiny", "task": "video"} | asked)).host_bytes
    assert found is not None
    return found


@given(
    task=st.sampled_from(TASKS),
    variant=st.sampled_from(VARIANTS),
    objects=st.integers(1, 10**6),
    side=st.integers(2, 60),
    frames=st.integers(1, 10**5),
    stock=st.booleans(),
    offload=st.booleans(),
)
def test_the_host_never_holds_less_for_more(
    task: str, variant: str, objects: int, side: int, frames: int, stock: bool, offload: bool
) -> None:
    asked: dict[str, Any] = {"task": task, "variant": variant, "resolution": side * 32}
    asked |= {"runtime": "stock"} if stock else {}
    if task != "automask":
        asked["objects"] = objects
    if task == "video":
        asked |= {"frames": frames, "offload_state": offload}
    estimate = planner.predict(**asked)
    assert estimate.host_bytes == sum(part.bytes for part in estimate.host_components)
    assert all(part.bytes > 0 for part in estimate.host_components)
    larger = [asked | {"resolution": side * 32 + 32}, asked | {"frame_size": "2000x3000"}]
    larger += [asked | {"variant": "large"}]
    larger += [asked | {"objects": objects + 1}] if task != "automask" else []
    larger += [asked | {"frames": frames + 1}, asked | {"offload_state": True}] if task == "video" else []
    assert all(estimate.host_bytes <= (planner.predict(**more).host_bytes or 0) for more in larger)


def test_what_nobody_published_is_null_with_a_reason() -> None:
    words = ("predict", "--variant", "large", "--precision", "float16", "--runtime", "reimplementation")
    estimate = document_of(words)["estimate"]
    assert (estimate["host_bytes"], estimate["host_components"]) == (None, [])
    assert "not published" in estimate["host_bytes_reason"]
    assert "on the host         not known" in invoke(*words).out


def test_every_answer_shows_what_the_host_holds(tmp_path: Path) -> None:
    long = ("--task", "video", "--frames", "9000", "--offload-video", "--offload-state")
    stock = invoke("predict", "--variant", "large", "--runtime", "stock", *long).out
    # 9000 frames of 1024x1024x3 float32, and of each 0.79 MB of state.
    assert "on the host          120.9 GB" in stock and "frames 113.2 GB, memory bank 7078 MB" in stock
    plan = document_of(("--vram", "8GB", "--objects", "100000"))
    assert plan["estimate"]["host_bytes"] > 9 * 10**11 and plan["budget"]["host_bytes"] is None
    assert any("--host-memory" in warning for warning in plan["warnings"])
    assert document_of(("--vram", "4GB", "--frames", "9000"))["stock"]["host_bytes"] > 113 * GIGABYTE
    reach = document_of(("limits", "--vram", "4GB"))["reach"]
    assert [one["host_bytes"] for one in reach] == [held(variant=one["configuration"]["variant"]) for one in reach]
    assert (
        "on the host" in invoke("--vram", "4GB").out
        and "beside it the host holds" in invoke("limits", "--vram", "4GB").out
    )


@settings(max_examples=25)
@given(
    task=st.sampled_from(TASKS),
    objects=st.integers(1, 20_000),
    vram=st.integers(600, 12_000),
    host=st.integers(500, 40_000),
)
def test_a_plan_keeps_within_the_host_and_its_limits_do(task: str, objects: int, vram: int, host: int) -> None:
    asked: dict[str, Any] = {"task": task, "vram": f"{vram}MB", "host_memory": f"{host}MB", "top": 1}
    asked |= {"objects": objects} if task != "automask" else {}
    plan = planner.plan(**asked)
    assert not document_faults(plan.to_dict())
    free = planner.plan(**(asked | {"host_memory": None}))
    most = host * 10**6
    if plan.chosen is None:
        short = [one for one in plan.rejected if one.component == "host"]
        assert all((one.need_bytes, one.limit_bytes) > (most, 0) and one.limit_bytes == most for one in short)
        assert not free.fits or short, "with any host there is a plan, so the host is what lacks"
        assert all(followed(one.command) for one in plan.suggestions)
        return
    assert plan.estimate is not None and plan.estimate.host_bytes is not None and plan.estimate.host_bytes <= most
    if free.estimate and free.estimate.host_bytes is not None and free.estimate.host_bytes <= most:
        assert plan.chosen.configuration == free.chosen.configuration  # type: ignore[union-attr]
    at_most = plan.limits.max_objects
    if at_most is not None:
        configuration = plan.chosen.configuration
        asked = {name: getattr(configuration, name) for name in ("variant", "resolution", "offload_state")}
        assert held(task=task, objects=at_most, **asked) <= most


@pytest.mark.parametrize("host", ["900MB", "2GB", "8GB"])
def test_limits_stay_within_the_host(host: str) -> None:
    found = document_of(("limits", "--vram", "6GB", "--host-memory", host))
    most = found["budget"]["host_bytes"]
    for one in found["reach"]:
        variant = one["configuration"]["variant"]
        if one["need_bytes"] is None:
            assert held(variant=variant) > most and "host" in one["reasons"]["need_bytes"]
            continue
        assert one["host_bytes"] <= most and one["sure_objects"] <= one["max_objects"]
        assert held(variant=variant, objects=one["max_objects"]) <= most
        side = one["max_square"][0]
        asked = {"variant": variant, "task": "video", "precision": one["configuration"]["precision"], "vram": "6GB"}
        for size, fits in ((side, True), (side + 32, False)):
            if size > LARGEST_SIDE:
                continue
            ways = [planner.predict(**asked, resolution=size, offload_state=offload) for offload in (False, True)]
            assert fits is any(
                way.least_bytes <= one["limit_bytes"] and (way.host_bytes or 0) <= most for way in ways
            ), f"{variant} at {size}"
    for stock in found["stock"]:
        clip = {"variant": stock["configuration"]["variant"], "runtime": "stock"}
        if stock["max_frames"]:
            assert held(frames=stock["max_frames"], **clip) <= most


def test_more_host_memory_is_advised_where_that_is_what_lacks() -> None:
    nothing = invoke("--vram", "8GB", "--objects", "1000000", "--host-memory", "32GB")
    assert nothing.code == 3 and "7600 MB on the GPU and 32.0 GB on the host" in nothing.out
    plan = document_of(("--vram", "8GB", "--host-memory", "1.2GB"))
    assert plan["rejected"][0]["component"] == "host"
    advised = next(line for line in plan["try"] if "of host memory" in line["change"])
    better = document_of(shlex.split(advised["command"])[1:])
    assert better["chosen"]["variant"] == "large" and better["verdict"] == "fits"


def followed(command: str) -> bool:
    return document_of(shlex.split(command)[1:])["verdict"] in ("fits", "tight")


def test_the_host_of_a_present_gpu_is_known_and_check_uses_the_same_rule(tmp_path: Path) -> None:
    free = report(tmp_path, host_free_bytes=9 * GIGABYTE)
    words = ("--simulate-gpu", str(free), *SMALL, "--objects", "2000")
    plan = document_of(words)
    assert (plan["budget"]["host_bytes"], plan["budget"]["host_source"]) == (9 * GIGABYTE, "machine")
    assert document_of((*words, "--host-memory", "5GB"))["budget"]["host_source"] == "given"
    assert document_of(("--gpu", "RTX 3060", *SMALL))["budget"]["host_bytes"] is None, "another machine may be meant"
    path = tmp_path / "plan.yaml"
    assert invoke(*words, "-o", str(path)).code == 0
    assert planner.Plan.load(path).to_dict() == plan
    need = plan["estimate"]["host_bytes"]
    for limit, code in ((need, 0), (need - 1, 1)):
        group = str(report(tmp_path, host_limit_bytes=limit))
        answer = document_of(("check", str(path), "--simulate-gpu", group))
        found = next(one for one in answer["checks"] if one["name"] == "host memory")
        assert (found["figures"]["need_bytes"], answer["exit_code"]) == (need, code)
        again = document_of(("--simulate-gpu", group, *SMALL, "--objects", "2000"))
        assert (again["chosen"] == plan["chosen"]) is (code == 0)


def test_streams_share_the_host() -> None:
    one = document_of(("--vram", "24GB", *SMALL, "--streams", "4", "--host-memory", "4GB"))
    assert one["plan"]["budget"]["host_bytes"] == GIGABYTE
    assert "--host-memory 4GB" in str(one["plan"]["command"])
    assert document_of(("--vram", "24GB", *SMALL, "--streams", "4", "--host-memory", "2GB"))["exit_code"] == 3


@pytest.mark.parametrize("offload", [False, True])
def test_what_stock_keeps_on_the_host_is_what_its_own_code_keeps(
    offload: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The trace of sam2's own predictor, followed on the host once the weights are there, against the derived sums."""
    pytest.importorskip("sam2", reason="the stock predictor is traced")
    from planner.simulator.torch_storages import Storages

    alive: dict[int, tuple[int, weakref.ref[Any]]] = {}
    totals: list[int] = []
    birth = Storages.birth

    def follow(self: Storages, tensor: Any, operation: str, component: str) -> None:
        storage = tensor.untyped_storage()
        if tensor.device.type == "cpu" and self.phase != "load" and storage._cdata not in alive:
            key = storage._cdata
            alive[key] = (storage.nbytes(), weakref.ref(storage, lambda _: alive.pop(key, None)))
            totals.append(sum(size for size, _ in alive.values()))
        birth(self, tensor, operation, component)

    monkeypatch.setattr(Storages, "birth", follow)
    asked: dict[str, Any] = {"variant": "tiny", "version": "2.1", "resolution": (256, 256), "precision": "float32"}
    asked |= {"offload_video": offload, "offload_state": offload}
    workload: dict[str, Any] = {"task": "video", "frames": 4, "objects": 2, "frame_size": (480, 640)}
    planner.simulate(**asked, **workload, runtime="stock", full_trace=True)
    configuration = Configuration(**asked, bounded_memory_bank=False)
    found = stretches(configuration, Workload(**workload), "stock", load_catalog())
    bytes_of = {name: {part.name: part.bytes for part in parts} for name, parts in found.items() if name != "loading"}
    assert max(totals) == pytest.approx(max(sum(parts.values()) for parts in bytes_of.values()), rel=0.01)
    if offload:
        in_the_end = totals[-1] - bytes_of["tracking"]["frames"]
        assert in_the_end == pytest.approx(bytes_of["tracking"]["memory bank"], rel=0.05)
