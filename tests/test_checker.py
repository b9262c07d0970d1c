"""The checker finds what it is there to find: each fault seeded into a sound plan is named."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from tests.checker import document_faults, names
from tests.conftest import document_of
from tests.oracle import world_faults

Document = dict[str, Any]
TIGHT = ("--vram", "0.44GB", "--objects", "10", "--host-memory", "2GB")
NOTHING = ("--vram", "0.2GB", "--objects", "10")


@pytest.fixture(scope="module")
def tight() -> Document:
    return document_of(TIGHT)


@pytest.fixture(scope="module")
def nothing() -> Document:
    return document_of(NOTHING)


def seed(plan: Document, path: str, change: Callable[[Any], Any]) -> Document:
    """A copy with the value at a dotted path changed."""
    copied = copy.deepcopy(plan)
    at: Any = copied
    *parents, last = [int(word) if word.isdigit() else word for word in path.split(".")]
    for key in parents:
        at = at[key]
    at[last] = change(at[last])
    return copied


FAULTS = [
    ("budget.usable_bytes", lambda size: size + 1, "usable is not total less headroom"),
    ("budget.headroom.percent", lambda percent: percent + 5, "headroom is not its policy"),
    ("budget.source", lambda _: "gpu", "source and GPU disagree"),
    ("verdict", lambda _: "fits", "verdict is not what the bound says"),
    ("verdict", lambda _: "does_not_fit", "verdict and choice disagree"),
    ("exit_code", lambda _: 3, "wrong exit code"),
    ("strict", lambda _: True, "wrong exit code"),
    ("estimate", lambda _: None, "verdict and choice disagree"),
    ("estimate.components.0.bytes", lambda size: size + 1, "components do not add up"),
    ("estimate.components.0.bytes", lambda _: 0, "empty or repeated component"),
    ("estimate.components.0.name", lambda _: "activations", "empty or repeated component"),
    ("estimate.components.0.provenance", lambda _: "guessed", "unknown provenance"),
    ("estimate.context_bytes", lambda size: size - 1, "reserved and context are not the total"),
    ("estimate.allocated_bytes", lambda size: size * 2, "allocated, reserved and total are out of order"),
    ("estimate.upper_bytes", lambda size: size // 2, "bound below the prediction"),
    ("estimate.phases.0.components.0.bytes", lambda size: size - 1, "a phase does not add up"),
    ("estimate.peak_phase", lambda _: "load", "the peak is not the largest phase"),
    ("estimate.extrapolated", lambda value: not value, "extrapolated without a reason"),
    ("request.pins.variant", lambda _: "large", "a pin is overridden"),
    ("request.pins.resolution", lambda _: [1024, 1056], "a pin is overridden"),
    ("alternatives", lambda entries: [*entries, entries[0]], "an alternative stands twice"),
    ("alternatives", lambda entries: entries[::-1], "alternatives are out of order"),
    ("chosen.quality", lambda value: value - 5, "an accuracy that nobody published"),
    ("alternatives.0.estimate.least_bytes", lambda size: size * 9, "choice over budget"),
    ("estimate.least_bytes", lambda size: size // 2, "least is below the tensors or above the total"),
    ("estimate.least_bytes", lambda size: size * 2, "least is below the tensors or above the total"),
    ("rejected.0.total_bytes", lambda size: size // 2, "a rejection takes less with room to spare"),
    ("rejected.0.need_bytes", lambda _: 4 * 10**8, "what was rejected fits"),
    ("rejected.0.limit_bytes", lambda size: size + 1, "a rejection names another limit"),
    ("rejected.0.short_by_bytes", lambda size: size + 1, "short by another amount"),
    ("rejected.0.need_bytes", lambda _: None, "a rejection without its figures"),
    ("rejected.0.reason", lambda _: "", "a rejection without a reason"),
    ("rejected.0.configuration.variant", lambda _: "tiny", "what was rejected ranks below the choice"),
    ("rejected.0.configuration.resolution", lambda _: [2048, 2048], "what was rejected ranks below the choice"),
    ("warnings", lambda _: [], "a warning is missing or idle"),
]


@pytest.mark.parametrize(("path", "change", "fault"), FAULTS, ids=[f"{p}: {f}" for p, _, f in FAULTS])
def test_a_seeded_fault_is_named(tight: Document, path: str, change: Callable[[Any], Any], fault: str) -> None:
    assert document_faults(tight) == []
    assert fault in names(document_faults(seed(tight, path, change)))


def test_a_miss_that_is_not_the_nearest_first_is_named(nothing: Document) -> None:
    assert document_faults(nothing) == []
    turned = seed(nothing, "rejected", lambda entries: entries[::-1])
    assert "the nearest miss does not come first" in names(document_faults(turned))
    assert "nothing fits and nothing was rejected" in names(document_faults(seed(nothing, "rejected", lambda _: [])))


WORLD_FAULTS = [
    ("estimate.total_bytes", lambda size: size + 1, "the plan and predict disagree"),
    ("estimate.least_bytes", lambda size: size - 1, "the plan and predict disagree"),
    ("chosen.precision", lambda _: "bfloat16", "something better fits"),
    ("chosen.variant", lambda _: "tiny", "the plan and predict disagree"),
    ("budget.usable_bytes", lambda size: size * 3, "something better fits"),
    ("limits.max_objects", lambda most: most + 1, "max_objects does not fit"),
    ("limits.max_objects", lambda most: most - 1, "max_objects is not the most"),
    ("limits.max_objects", lambda _: None, "a limit is unknown without a reason"),
    ("limits.max_frames", lambda _: 100, "max_frames is not the most"),
    ("limits.max_resolution", lambda sides: [side + 32 for side in sides], "max_resolution does not fit"),
    ("limits.max_resolution", lambda sides: [side - 32 for side in sides], "max_resolution is not the most"),
    ("limits.smallest_total_bytes", lambda size: size - 1, "smallest_total_bytes has no plan"),
    ("limits.smallest_total_bytes", lambda size: size + 1, "smallest_total_bytes is not the smallest"),
    ("stock.configuration.bounded_memory_bank", lambda _: True, "stock with a bounded memory bank"),
    ("stock.reason", lambda _: "", "stock does not fit without a reason"),
    ("stock.first_frame_out_of_memory", lambda frame: frame + 5, "stock runs out earlier"),
    ("try.0.command", lambda _: "sam2-plan --vram 0.2GB --format json", "advice that does not fit"),
    ("command", lambda text: text.replace("--vram ", "--vram 2"), "the command plans something else"),
    ("command", lambda text: text.replace("run plan", "run other"), "the command does not run what it keeps"),
]


@pytest.mark.parametrize(("path", "change", "fault"), WORLD_FAULTS, ids=[f"{p}: {f}" for p, _, f in WORLD_FAULTS])
def test_a_fault_against_the_world_is_named(path: str, change: Callable[[Any], Any], fault: str) -> None:
    sound = document_of(TIGHT)
    advice = path.startswith(("try", "limits.smallest", "command"))
    assert fault not in names(world_faults(sound, follow_advice=advice))
    assert fault in names(world_faults(seed(sound, path, change), follow_advice=advice))


def test_something_that_does_fit_is_named(nothing: Document) -> None:
    richer = seed(nothing, "budget.usable_bytes", lambda _: 10**9)
    assert "something does fit" in names(world_faults(richer, follow_advice=False))


@settings(max_examples=25)
@given(
    vram=st.integers(3 * 10**8, 2 * 10**11),
    task=st.sampled_from(("video", "image", "automask")),
    objects=st.integers(1, 3000),
    frames=st.none() | st.integers(1, 5000),
    frame_size=st.tuples(st.integers(64, 4320), st.integers(64, 7680)),
    prefer=st.sampled_from(("quality", "speed", "balanced")),
    variant=st.none() | st.sampled_from(("tiny", "base_plus")),
    attention=st.none() | st.sampled_from(("math", "flash")),
    headroom=st.sampled_from(("auto", "none", "12.5%", "100MB")),
)
def test_any_request_gives_a_plan_without_fault(
    vram: int, task: str, objects: int, frames: int | None, frame_size: tuple[int, int], prefer: str, **pins: Any
) -> None:
    plan = planner.plan(
        vram=vram,
        task=task,
        objects=1 if task == "automask" else objects,
        frames=frames if task == "video" else None,
        frame_size=frame_size,
        prefer=prefer,
        **pins,
    ).to_dict()
    assert document_faults(plan) == []
    assert world_faults(plan, follow_advice=False) == []


@pytest.mark.parametrize("prefer", ["speed", "quality"])
@pytest.mark.parametrize(("vram", "objects"), [("0.75GB", 50), ("0.8GB", 60), ("0.9GB", 150)])
def test_a_memory_bank_on_the_host_costs_speed_and_ranks_so(vram: str, objects: int, prefer: str) -> None:
    plan = planner.plan(vram=vram, objects=objects, frame_size=(64, 64), prefer=prefer, top=50).to_dict()
    assert any(entry["chosen"]["offload_state"] for entry in (plan, *plan["alternatives"])), "a case that tests nothing"
    assert document_faults(plan) == []
    assert world_faults(plan, follow_advice=False) == []
