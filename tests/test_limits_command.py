"""`limits`: each figure fits and the next one does not, asked anew with planner.predict and planner.plan."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.nouns.words import PRECISIONS, VARIANTS
from tests.checker import Document
from tests.conftest import document_of, invoke

LARGEST_SIDE, SMALLEST_SIDE, MOST_OBJECTS = 8192, 64, 10**6
WAYS = {
    "video": [(batch, offload) for batch in (1, 2, 4, 8) for offload in (False, True)],
    "image": [(1, False)],
    "automask": [(batch, False) for batch in (64, 32, 16, 8, 4, 2, 1)],
}
ASKED = st.fixed_dictionaries(
    {
        "vram": st.integers(4 * 10**8, 3 * 10**10),
        "objects": st.sampled_from((1, 1, 3, 40)),
        "frame_size": st.sampled_from(((1080, 1920), (2160, 3840), (1920, 1080), (500, 500), (40, 9000))),
        "headroom": st.sampled_from(("auto", "none", "12.5%", "100MB")),
        "variant": st.none() | st.sampled_from(VARIANTS),
        "precision": st.none() | st.sampled_from(PRECISIONS),
        "resolution": st.none() | st.sampled_from(((576, 1024), (2048, 2048))),
        "attention": st.sampled_from((None, None, "math")),
    }
)


class Row:
    """One row of the answer, and what predict says of it."""

    def __init__(self, answer: Document, row: Document) -> None:
        self.row, self.request, self.configuration = row, answer["request"], row["configuration"]
        self.gpu = answer["budget"]["gpu"]["name"] if answer["budget"]["gpu"] else None
        self.vram = None if self.gpu else answer["budget"]["total_bytes"]
        self.task = self.request["task"]

    def ask(self, way: tuple[int, bool], **changed: Any) -> Any:
        batch, offload = way
        asked = {
            "task": self.task,
            "variant": self.configuration["variant"],
            "precision": self.configuration["precision"],
            "attention": self.configuration["attention"],
            "resolution": tuple(self.configuration["resolution"]),
            "objects": self.request["objects"],
            "frames": self.request["frames"] if self.task == "video" else None,
            "frame_size": tuple(self.request["frame_size"]),
            "object_batch": batch,
            "offload_state": offload,
            "gpu": self.gpu,
            "vram": self.vram,
        }
        return planner.predict(**(asked | changed))

    def ways(self, **changed: Any) -> list[Any]:
        """Estimates of every way of running it."""
        objects = changed.get("objects", self.request["objects"])
        ways = [way for way in WAYS[self.task] if self.task != "video" or way[0] <= objects]
        return [self.ask(way, **changed) for way in ways]

    def least(self, **changed: Any) -> int:
        return min(estimate.least_bytes for estimate in self.ways(**changed))

    def surely(self, **changed: Any) -> int:
        return min(estimate.upper_bytes for estimate in self.ways(**changed))

    def on_gpu(self, **changed: Any) -> int:
        return int(self.ask((1, False), **changed).least_bytes)


def shape_of(frame: list[int], longer: int) -> tuple[int, int]:
    height, width = frame
    shorter = max(SMALLEST_SIDE, 32 * round(longer * min(height, width) / max(height, width) / 32))
    return (shorter, longer) if height < width else (longer, shorter)


def check_sizes(found: Row, name: str, frame: list[int], usable: int) -> None:
    for figure, need in ((f"max_{name}", found.least), (f"sure_{name}", found.surely)):
        size = found.row[figure]
        longer = max(size) if size else 0
        if size:
            assert tuple(size) == shape_of(frame, longer)
            assert need(resolution=tuple(size)) <= usable, figure
        else:
            assert found.row["reasons"][figure]
        larger = longer + 32 if longer else SMALLEST_SIDE
        if larger <= LARGEST_SIDE:
            assert need(resolution=shape_of(frame, larger)) > usable, figure


def check_objects(found: Row, usable: int) -> None:
    row = found.row
    if found.task != "video":
        assert (row["max_objects"], row["sure_objects"], row["max_frames"]) == (None, None, None)
        assert row["reasons"]["max_objects"]
        assert row["reasons"]["max_frames"]
        return
    for figure, need in (("max_objects", found.least), ("sure_objects", found.surely), ("gpu_objects", found.on_gpu)):
        most = row[figure] or 0
        assert most or row[figure] == 0 or row["reasons"][figure]
        if most:
            assert need(objects=most) <= usable, figure
        if most < MOST_OBJECTS:
            assert need(objects=most + 1) > usable, figure
    assert row["max_frames"] == ("unlimited" if found.least(frames=None) <= usable else None)


@settings(max_examples=25)
@given(asked=ASKED, task=st.sampled_from(("video", "video", "image", "automask")))
def test_each_figure_fits_and_the_next_does_not(asked: dict[str, Any], task: str) -> None:
    objects = 1 if task == "automask" else asked["objects"]
    words = words_of(asked | {"task": task, "objects": objects})
    answer = document_of(["limits", *words])
    usable = answer["budget"]["usable_bytes"]
    assert answer["reach"]
    for row in answer["reach"]:
        found = Row(answer, row)
        assert row["need_bytes"] == found.least()
        assert row["upper_bytes"] == found.surely()
        assert row["limit_bytes"] == usable
        assert row["short_by_bytes"] == (row["need_bytes"] - usable if row["need_bytes"] > usable else None)
        check_objects(found, usable)
        check_sizes(found, "square", [1, 1], usable)
        check_sizes(found, "shaped", answer["request"]["frame_size"], usable)
    assert answer["exit_code"] == (0 if any(row["max_square"] for row in answer["reach"]) else 3)


def words_of(asked: dict[str, Any]) -> list[str]:
    """Options of a command line that ask for it."""
    words = []
    for name, value in asked.items():
        if value is not None:
            text = "x".join(map(str, value)) if isinstance(value, tuple) else str(value)
            words += [f"--{name.replace('_', '-')}", f"{text[:-9] or 0}.{text[-9:]:0>9}GB" if name == "vram" else text]
    return words


@settings(max_examples=12)
@given(asked=ASKED)
def test_planning_with_the_largest_resolution_fits_and_with_the_next_does_not(asked: dict[str, Any]) -> None:
    request = {name: value for name, value in asked.items() if name not in ("variant", "precision", "resolution")}
    for reach in planner.limits(**asked).reach:
        pins = {"variant": reach.configuration.variant, "precision": reach.configuration.precision, "top": 0}
        side = reach.max_square[0] if reach.max_square else 32
        if reach.max_square:
            assert planner.plan(**request, **pins, resolution=side).fits
        if side < LARGEST_SIDE:
            assert not planner.plan(**request, **pins, resolution=side + 32).fits
        if reach.sure_square:
            assert planner.plan(**request, **pins, resolution=reach.sure_square).verdict == "fits"


@settings(max_examples=20)
@given(asked=ASKED, more=st.integers(1, 10**10))
def test_more_memory_never_carries_less(asked: dict[str, Any], more: int) -> None:
    less, larger = planner.limits(**asked), planner.limits(**(asked | {"vram": asked["vram"] + more}))
    for small, large in zip(less.reach, larger.reach, strict=True):
        assert small.configuration == large.configuration
        for name in ("max_objects", "sure_objects"):
            assert (getattr(small, name) or 0) <= (getattr(large, name) or 0)
        for name in ("max_square", "sure_square", "max_shaped", "sure_shaped"):
            assert math.prod(getattr(small, name) or (0,)) <= math.prod(getattr(large, name) or (0,))


@settings(max_examples=20)
@given(
    vram=st.integers(10**9, 8 * 10**10),
    objects=st.integers(1, 30),
    variant=st.sampled_from(VARIANTS),
    resolution=st.sampled_from((None, 512, (576, 1024))),
)
def test_stock_runs_clips_of_so_many_frames_and_no_more(vram: int, objects: int, variant: str, resolution: Any) -> None:
    words = words_of({"vram": vram, "objects": objects, "variant": variant, "resolution": resolution})
    (stock,) = document_of(["limits", *words])["stock"]
    if isinstance(resolution, tuple):
        assert stock["max_frames"] is None
        assert "square" in stock["reason"]
        return

    def least(frames: int) -> int:
        return planner.predict(
            task="video", variant=variant, resolution=resolution or 1024, objects=objects, frames=frames,
            runtime="stock", vram=vram,
        ).least_bytes  # fmt: skip

    most = stock["max_frames"]
    assert stock["fits"] == (most > 0)
    assert most == 0 or least(most) <= vram, "the whole budget: headroom is ours"
    assert least(most + 1) > vram


def test_the_figures_are_those_that_a_plan_names() -> None:
    plan = planner.plan(vram="8GB", variant="large")
    reach = planner.limits(vram="8GB", variant="large").reach[0]
    assert plan.chosen is not None
    assert reach.configuration == plan.chosen.configuration
    rows = planner.limits(vram="8GB", variant="large").reach
    for name in ("max_objects", "sure_objects", "gpu_objects"):
        assert max(getattr(one, name) for one in rows) == getattr(plan.limits, name)
    assert max(one.max_square or (0, 0) for one in rows) == plan.limits.max_resolution
    assert max(one.sure_square or (0, 0) for one in rows) == plan.limits.sure_resolution


def test_each_variant_has_the_official_recipe_and_what_takes_least() -> None:
    rows = document_of(["limits", "--vram", "8GB"])["reach"]
    found = [(row["configuration"]["variant"], row["configuration"]["precision"]) for row in rows]
    assert found == list(itertools.product(VARIANTS, ("autocast_bfloat16", "float16")))
    old = document_of(["limits", "--gpu", "T4", "--variant", "tiny"])["reach"]
    assert [row["configuration"]["precision"] for row in old] == ["autocast_float16", "float16"]
    pinned = document_of(["limits", "--vram", "8GB", "--variant", "tiny", "--precision", "float32"])["reach"]
    assert [row["configuration"]["precision"] for row in pinned] == ["float32"]


def test_what_the_gpu_cannot_run_says_so_in_every_figure() -> None:
    answer = document_of(["limits", "--gpu", "T4", "--precision", "bfloat16"])
    assert answer["exit_code"] == 3
    for row in answer["reach"]:
        missing = {name for name, value in row.items() if value is None} - {"upper_bytes", "short_by_bytes"}
        assert missing <= set(row["reasons"])
        assert "8.0" in row["reasons"]["max_square"]
    assert "compute capability 8.0" in invoke("limits", "--gpu", "T4", "--precision", "bfloat16").out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--vram", "8GB"), ["most objects", "~", "any number of frames", "clips of up to", "8,000,000,000 B"]),
        (("--vram", "0.4GB", "--objects", "10"), ["short by 322 MB", "none"]),
        (("--vram", "1.3GB", "--variant", "large", "--attention", "math"), ["short by 653 MB", "608x1056"]),
        (("--vram", "2GB", "--task", "image"), ["any number of objects", "largest square"]),
        (("--gpu", "T4", "--task", "automask"), ["as few points per batch as it takes", "autocast_float16"]),
        (("--gpu", "RTX 3060"), ["may also be", "planned for"]),
        (("--vram", "2GB", "--resolution", "576x1024"), ["takes at 576x1024", "square resolutions only"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_the_text_says_what_it_carries(words: tuple[str, ...], expected: list[str]) -> None:
    outcome = invoke("limits", *words)
    assert (outcome.code, outcome.err) == (0, "")
    assert [part for part in expected if part not in outcome.out] == []
    assert max(map(len, outcome.out.splitlines())) < 150


def test_nothing_that_fits_is_exit_3() -> None:
    outcome = invoke("limits", "--vram", "0.2GB")
    assert (outcome.code, outcome.err) == (3, "")
    assert "short by" in outcome.out


def test_stock_runs_in_what_the_card_has() -> None:
    """A T4 has no bfloat16: stock takes float16 in its place, and nothing where bfloat16 is pinned."""
    for one in document_of(["limits", "--gpu", "T4"])["stock"]:
        assert one["configuration"]["precision"] == "autocast_float16"
    for one in document_of(["limits", "--gpu", "T4", "--precision", "bfloat16"])["stock"]:
        assert (one["fits"], one["max_frames"]) == (False, None) and "capability 8.0" in one["reason"]
