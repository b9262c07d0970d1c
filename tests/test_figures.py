"""Figures that can be believed: what is printed of accuracy and speed is published, and runtimes stand side by side."""

from __future__ import annotations

import re
import shlex
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.catalog.gpus import known_gpus, same_card
from planner.nouns.words import PRECISIONS, TASKS, VARIANTS, VERSIONS
from planner.profiles import load_folder
from tests.checker import document_faults
from tests.conftest import ROOT, document_of, invoke

EAGER_3090 = {
    "large": {1024: 64, 512: 17, 256: 12}, "base_plus": {1024: 37, 512: 10, 256: 9}, "tiny": {1024: 26, 512: 8, 256: 7},
}  # fmt: skip
"""Milliseconds per frame, sam2 issue 257."""
EAGER_A6000 = {"tiny": {1024: 18.8, 512: 19.0}, "large": {1024: 10.9, 512: 10.9}}
"""Frames per second, sam2 issue 768."""
COMPILED_A100 = {"tiny": 91.2, "small": 84.8, "base_plus": 64.1, "large": 39.5}
"""Frames per second of version 2.1 at 1024x1024: sam2's README."""
CUSTOMERS = "--variant large --resolution 2048 --task image --precision float16"


def published_speed(card: str, variant: str, side: int) -> float | None:
    if same_card("RTX 3090", card):
        milliseconds = EAGER_3090.get(variant, {}).get(side)
        return None if milliseconds is None else 1000 / milliseconds
    if same_card("RTX A6000", card):
        return EAGER_A6000.get(variant, {}).get(side)
    return COMPILED_A100[variant] if same_card("A100", card) and side == 1024 else None


CARDS = ["RTX 3090", "NVIDIA GeForce RTX 3090", "RTX A6000", "A100", "RTX 4090", "RTX 3090 Ti", "GTX 970", "T4", "H100"]


@settings(max_examples=80)
@given(
    card=st.sampled_from(CARDS),
    variant=st.sampled_from(VARIANTS),
    side=st.sampled_from((256, 512, 768, 1024, 2048)),
    objects=st.sampled_from((1, 1, 2, 10)),
    task=st.sampled_from(TASKS),
    precision=st.sampled_from(PRECISIONS),
)
def test_a_speed_is_that_of_the_card_at_hand_and_as_published_or_none(
    card: str, variant: str, side: int, objects: int, task: str, precision: str
) -> None:
    asked: dict[str, Any] = {"variant": variant, "version": "2.1", "resolution": side, "precision": precision}
    asked |= {"task": task, "objects": objects if task != "automask" else 1}
    plan = planner.plan(gpu=card, **asked, top=0)
    choice = plan.chosen
    if choice is None:
        return
    expected = published_speed(plan.budget.gpu.name, variant, side)  # type: ignore[union-attr]
    if task != "video" or objects > 1 or precision != "autocast_bfloat16":
        expected = None
    assert choice.frames_per_second == (None if expected is None else pytest.approx(expected, abs=0.05))
    assert (choice.frames_per_second_of is None) == (expected is None) != (choice.frames_per_second_reason is None)
    if expected is not None:
        assert re.search(r"eager|compiled", str(choice.frames_per_second_of))
        assert ("compiled" in str(choice.frames_per_second_of)) == ("A100" in card)


def test_no_other_card_than_the_published_ones_gets_a_speed() -> None:
    for card in known_gpus()[::60]:
        if not any(same_card(name, card.name) for name in ("RTX 3090", "RTX A6000", "A100")):
            assert "frames/s" not in invoke("--gpu", card.name).out
    assert "frames/s" not in invoke("--vram", "8GB", "--explain").out


@settings(max_examples=60)
@given(
    task=st.sampled_from(TASKS),
    variant=st.sampled_from(VARIANTS),
    version=st.sampled_from(VERSIONS),
    steps=st.tuples(st.integers(2, 80), st.integers(2, 80)),
)
def test_an_accuracy_is_published_for_the_task_or_not_known(
    task: str, variant: str, version: str, steps: tuple[int, int]
) -> None:
    size = f"{steps[0] * 32}x{steps[1] * 32}"
    plan = planner.plan(vram="900GB", task=task, variant=variant, version=version, resolution=size, top=0).to_dict()
    assert document_faults(plan) == [], "the checker knows what is published"
    chosen = plan["chosen"]
    if chosen["quality"] is None:
        assert chosen["quality_metric"] is None and chosen["quality_reason"]
    else:
        assert chosen["quality_metric"].startswith("J&F" if task == "video" else "mIoU")


def test_the_text_says_no_accuracy_that_the_json_does_not() -> None:
    for words in (
        "--task automask",
        "--task image",
        "--variant large --resolution 64",
        "--task image --variant base_plus",
    ):
        plan, text = document_of(["--vram", "8GB", *words.split()]), invoke("--vram", "8GB", *words.split()).out
        quality = plan["chosen"]["quality"]
        assert ("accuracy not known" in text) == (quality is None)
        assert quality is None or f"accuracy {quality} (mIoU on SA-23, one click; published)" in text
        assert "J&F" not in text


def test_what_would_be_slow_beyond_measure_is_still_ranked_by_speed() -> None:
    for prefer in ("balanced", "speed"):
        plan = planner.plan(vram="1GB", objects=5_000, prefer=prefer, version="2.1")
        assert plan.chosen is not None and plan.chosen.variant != "large"
        few = planner.plan(vram="1GB", objects=10, prefer=prefer, version="2.1")
        assert few.chosen is not None
    assert planner.plan(vram="8GB", objects=50_000, prefer="speed").chosen.variant == "tiny"  # type: ignore[union-attr]


def test_a_policys_floor_is_not_kept_by_what_is_not_known(tmp_path: Any) -> None:
    path, policy = tmp_path / "plan.yaml", tmp_path / "policy.yaml"
    policy.write_text("schema_version: 1\nminimum_quality: 50\n")
    for words, code in (((), 0), (("--task", "image"), 3), (("--resolution", "64"), 3)):
        assert invoke("--vram", "8GB", *words, "-o", str(path)).code == 0
        outcome = invoke("check", str(path), "--vram", "8GB", "--policy", str(policy))
        assert outcome.code == code, outcome.out
        assert code == 0 or "is not known" in outcome.out


def test_who_knows_the_publication_finds_it_beside_ours_and_stocks() -> None:
    words = ("predict", *shlex.split(CUSTOMERS))
    text = invoke(*words).out
    assert "1626 MB" in text and "Why ours takes less" in text and "issues/118" in text
    rows = document_of(words)["runtimes"]
    assert [(one["runtime"], one["origin"]) for one in rows] == [
        ("own", "predicted"), ("stock", "predicted"), ("reimplementation", "published"),
    ]  # fmt: skip
    own, stock, published = (one["allocated_bytes"] for one in rows)
    assert (published, own < published < stock) == (1_626_000_000, True)


def test_every_published_row_is_shown_where_it_was_measured_and_nowhere_else() -> None:
    rows = [one for one in load_folder(ROOT / "profiles" / "published") if one.runtime and one.variant]
    assert len(rows) == 12
    for row in rows:
        assert row.variant and row.resolution
        size = "x".join(map(str, row.resolution))
        words = ("predict", "--variant", row.variant, "--resolution", size, "--task", row.task)
        shown = [one for one in document_of(words)["runtimes"] if one["origin"] == "published"]
        figure = row.figures[0]
        assert [one[f"{figure.metric or figure.read_as}_bytes"] for one in shown] == [figure.bytes]
        if row.task == "video":
            more = document_of((*words, "--objects", "2"))["runtimes"]
            assert {one["origin"] for one in more} == {"predicted"}


@settings(max_examples=40)
@given(
    variant=st.sampled_from(VARIANTS),
    task=st.sampled_from(TASKS),
    frames=st.one_of(st.none(), st.integers(1, 3000)),
    size=st.sampled_from(("512", "576x1024", "1024", "2048")),
    precision=st.sampled_from(PRECISIONS),
    runtime=st.sampled_from(("own", "stock")),
)
def test_runtimes_beside_each_other_are_what_each_predicts_alone(
    variant: str, task: str, frames: int | None, size: str, precision: str, runtime: str
) -> None:
    asked = {"variant": variant, "task": task, "resolution": size, "precision": precision}
    asked |= {"frames": str(frames)} if task == "video" and frames else {}
    words = [part for name, value in asked.items() for part in (f"--{name}", str(value))]
    outcome = invoke("predict", *words, "--runtime", runtime, "--format", "json")
    if outcome.code:
        return
    for one in outcome.document["runtimes"]:
        if one["origin"] == "published":
            continue
        if one["total_bytes"] is None:
            assert one["runtime"] == "stock" and one["note"]
            continue
        alone = planner.predict(**asked, runtime=one["runtime"])  # type: ignore[arg-type]
        names = ("allocated_bytes", "reserved_bytes", "total_bytes", "upper_bytes", "host_bytes")
        assert [one[name] for name in names] == [getattr(alone, name) for name in names]
