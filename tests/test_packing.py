"""Packing: several streams on several GPUs, against a checker that tries every layout."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.nouns.request import Gpu
from planner.nouns.words import PRECISIONS, VARIANTS
from planner.report.packing import packing_document
from planner.text.units import parse_size
from tests.checker import Document, document_faults
from tests.conftest import document_of, invoke
from tests.preflight import machines
from tests.published import quality
from tests.test_limits_command import words_of

LARGEST_CONTEXT = 7 * 10**8
"""That was published of any card (profiles/contexts.tsv)."""
MEMORY = st.integers(3 * 10**8, 10**10)
REQUESTS = st.fixed_dictionaries(
    {
        "task": st.sampled_from(("video", "video", "image", "automask")),
        "prefer": st.sampled_from(("quality", "quality", "speed")),
        "variant": st.none() | st.sampled_from(VARIANTS),
        "precision": st.none() | st.sampled_from(PRECISIONS),
        "headroom": st.sampled_from(("auto", "none", "12.5%", "100MB")),
    }
)


def layouts(gpus: int, streams: int) -> Iterator[tuple[int, ...]]:
    """Every way to lay so many streams out."""
    return (counts for counts in itertools.product(range(streams + 1), repeat=gpus) if sum(counts) == streams)


def faults(packing: Document) -> list[str]:
    """What is wrong with a packing by itself, the slow and obvious way."""
    found = []
    gpus, plan = packing["gpus"], packing["plan"]
    fits = packing["verdict"] != "does_not_fit"
    if sum(gpu["streams"] for gpu in gpus) != (packing["streams"] if fits else 0):
        found.append("not all streams are placed")
    if fits != (plan["chosen"] is not None):
        found.append("verdict and plan disagree")
    certain = True
    whole, held = gpus[0]["budget"]["host_bytes"], fits and plan["estimate"]["host_bytes"]
    hosted = 10**9 if whole is None or not held else whole // held
    for gpu in gpus:
        usable, each = gpu["budget"]["usable_bytes"], gpu["process_bytes"] or 0
        # A single stream may run by giving its cache back; several do not give theirs to each other.
        if packing["streams"] == 1 == gpu["streams"]:
            each = min(each, max(usable, plan["estimate"]["least_bytes"]))
        if gpu["streams"] * each > usable:
            found.append("a GPU over its budget")
        if gpu["used_bytes"] != gpu["streams"] * each or gpu["left_bytes"] != usable - gpu["used_bytes"]:
            found.append("used and left do not add up")
        if fits and gpu["more_streams"] != min(usable // each - gpu["streams"], hosted - packing["streams"]):
            found.append("more streams would fit, or fewer")
        certain = certain and gpu["streams"] * (gpu["upper_bytes"] or 0) <= usable
        if gpu["cap_bytes"] != (usable // gpu["streams"] if gpu["streams"] else None):
            found.append("the cap is not what each has")
        if (gpu["command"] is None) == (gpu["reason"] is None) or (gpu["command"] is None) != (gpu["streams"] == 0):
            found.append("command and streams disagree")
    if fits and packing["verdict"] != ("fits" if certain else "tight"):
        found.append("the verdict is not what the bounds say")
    room = (
        sum(max(gpu["streams"], gpu["budget"]["usable_bytes"] // gpu["process_bytes"]) for gpu in gpus) if fits else 0
    )
    if fits and packing["max_streams"] != min(room, hosted):
        found.append("max_streams is neither what the GPUs nor what the host has room for")
    if fits and not packing["streams"] <= packing["max_streams"] <= packing["max_streams_smallest"]:
        found.append("the most streams are out of order")
    speed = plan["chosen"] and plan["chosen"]["frames_per_second"]
    used = [gpu for gpu in gpus if gpu["streams"]]
    if speed and abs(packing["frames_per_second"] - speed * len(used)) > 0.01:
        found.append("throughput is not one stream's for each GPU in use")
    if any(speed and abs(gpu["frames_per_second"] * gpu["streams"] - speed) > 0.01 * gpu["streams"] for gpu in used):
        found.append("streams on one GPU do not share its time")
    if (packing["frames_per_second"] is None) != (packing["frames_per_second_reason"] is not None):
        found.append("a null without its reason")
    return found


@settings(max_examples=20)
@given(memory=st.lists(MEMORY, min_size=1, max_size=3), streams=st.integers(1, 6), asked=REQUESTS)
def test_a_packing_is_what_trying_every_layout_finds(memory: list[int], streams: int, asked: dict[str, Any]) -> None:
    text = ",".join(f"{size / 10**9:.9f}GB" for size in memory)
    packing = document_of([*words_of(asked), "--vram", text, "--streams", str(streams)])
    assert faults(packing) == []
    usable = [gpu["budget"]["usable_bytes"] for gpu in packing["gpus"]]
    assert [gpu["budget"]["total_bytes"] for gpu in packing["gpus"]] == memory
    tried = list(layouts(len(usable), streams))
    share = max(min(size // count for size, count in zip(usable, counts, strict=True) if count) for counts in tried)
    request = {name: value for name, value in asked.items() if name != "headroom"}
    # The context is that of cards of a size, so one that has so much, and the rest of its memory held back.
    cards = {max(size, share, 10**6) for size in memory}
    spare = {size: f"{(size - share) / 10**9:.9f}GB" if size > share else "none" for size in cards}
    bests = [planner.plan(**request, vram=size, headroom=spare[size]).to_dict() for size in cards]
    if streams > 1 and any(best["chosen"] and best["estimate"]["total_bytes"] > share for best in bests):
        # What completes only by giving cache back is no choice for several.
        assert not packing["plan"]["chosen"] or packing["plan"]["estimate"]["total_bytes"] <= share
    else:
        assert packing["plan"]["chosen"] in [best["chosen"] for best in bests], "the best that fits so often"
    if packing["plan"]["chosen"] is None:
        assert packing["exit_code"] == 3
        return
    estimate = packing["plan"]["estimate"]
    takes = [gpu["process_bytes"] for gpu in packing["gpus"]]
    assert estimate["total_bytes"] in takes
    assert max(takes) - min(takes) < LARGEST_CONTEXT, "tensors are the same on all, the context is not"
    cache = estimate["total_bytes"] - estimate["least_bytes"] if streams == 1 else 0
    uppers = [gpu["upper_bytes"] for gpu in packing["gpus"]]
    possible, certain = (
        [c for c in tried if all(n * need <= size for n, need, size in zip(c, needs, usable, strict=True))]
        for needs in ([take - cache for take in takes], uppers)
    )
    assert packing["verdict"] == ("fits" if certain else "tight"), "certain where some layout is"
    possible = certain or possible
    counts = tuple(gpu["streams"] for gpu in packing["gpus"])
    assert counts in possible
    assert max(counts) == min(map(max, possible)), "laid out evenly"
    assert counts.count(0) == min(one.count(0) for one in possible), "no GPU is idle that need not be"
    here = estimate["upper_bytes" if certain else "total_bytes"]
    assert packing["plan"]["budget"]["total_bytes"] == min(
        size // count - (figure - here)
        for size, count, figure in zip(usable, counts, uppers if certain else takes, strict=True)
        if count
    )
    assert document_faults(packing["plan"]) == []


@settings(max_examples=12)
@given(memory=st.lists(MEMORY, min_size=1, max_size=4), streams=st.integers(1, 12), asked=REQUESTS, more=MEMORY)
def test_more_memory_never_packs_less(memory: list[int], streams: int, asked: dict[str, Any], more: int) -> None:
    larger = [memory[0] + more, *memory[1:]]
    asked["prefer"] = "quality"
    less, most = (planner.pack(**asked, vram=sizes, streams=streams) for sizes in (memory, larger))
    assert less.max_streams_smallest <= most.max_streams_smallest
    if less.plan.chosen:
        assert most.plan.chosen is not None
        chosen = (most.plan.chosen, less.plan.chosen)
        better, worse = (quality(one.variant, one.version, one.resolution) for one in chosen)
        assert (better[0], -better[1]) <= (worse[0], -worse[1])
    fewer = planner.pack(**asked, vram=memory, streams=max(1, streams - 1))
    assert fewer.plan.fits or not less.plan.fits


@settings(max_examples=12)
@given(memory=st.lists(MEMORY, min_size=1, max_size=3), asked=REQUESTS)
def test_the_most_streams_fit_and_one_more_does_not(memory: list[int], asked: dict[str, Any]) -> None:
    most = planner.pack(**asked, vram=memory, streams=10_000).max_streams_smallest
    if most:
        assert planner.pack(**asked, vram=memory, streams=most).plan.fits
    beyond = planner.pack(**asked, vram=memory, streams=most + 1)
    assert (beyond.verdict, beyond.exit_code, beyond.max_streams_smallest) == ("does_not_fit", 3, most)
    assert beyond.plan.rejected
    with pytest.raises(planner.DoesNotFit):
        beyond.plan.require()


@settings(max_examples=15)
@given(
    memory=st.lists(MEMORY, min_size=1, max_size=2),
    asked=REQUESTS,
    streams=st.integers(1, 4),
    host=st.integers(3 * 10**8, 2 * 10**10),
)
def test_streams_that_are_said_to_fit_the_host_do(
    memory: list[int], asked: dict[str, Any], streams: int, host: int
) -> None:
    asked |= {"vram": memory, "host_memory": host}
    packing = planner.pack(**asked, streams=streams)
    assert faults(packing_document(packing)) == []
    smallest = packing.max_streams_smallest
    for most in {smallest, packing.max_streams} - {0}:
        assert planner.pack(**asked, streams=most).plan.fits
    assert not planner.pack(**asked, streams=smallest + 1).plan.fits
    if packing.plan.chosen:
        one = packing.plan.chosen.configuration
        same = asked | {"variant": one.variant, "version": one.version, "resolution": one.resolution}
        more = planner.pack(**(same | {"precision": one.precision}), streams=packing.max_streams + 1).plan
        assert more.chosen is None or more.chosen.configuration != one, "it fits in another way at most"
    for tip in packing.plan.suggestions:
        followed = document_of(shlex.split(tip.command)[1:])
        assert followed["verdict"] in ("fits", "tight"), tip.command


def test_a_host_that_is_what_lacks_is_named() -> None:
    words = ("--vram", "24GB", "--host-memory", "4GB", "--streams")
    few, many = invoke(*words, "2").out, invoke(*words, "8")
    assert "0 more" in few and "2 streams of this configuration fit in all (the host holds no more)" in few
    assert many.code == 3
    said = [
        "8 streams would have 500 MB of the host's memory (and 2850 MB of a GPU) each", "5 streams fit",
        "with 5650 MB of host memory", "run 5 streams at a time",
    ]  # fmt: skip
    assert [part for part in said if part not in many.out] == []
    assert "--host-memory 4GB" in str(document_of((*words, "3"))["plan"]["command"]), "no multiple of a share"


@pytest.mark.parametrize(
    "words",
    [
        ("--gpu", "A100,H100", "--streams", "60", "--precision", "float16"),
        ("--gpu", "T4,RTX 4090", "--streams", "9"),
        ("--gpu", "T4,RTX 4090,RTX 2080 Ti", "--streams", "40", "--objects", "5"),
        ("--gpu", "RTX 5090", "--gpus", "3", "--streams", "50"),
        ("--gpu", "GTX 1650,H200", "--streams", "80", "--prefer", "balanced"),
    ],
    ids=" ".join,
)
def test_each_gpu_counts_the_context_of_its_own_generation(words: tuple[str, ...]) -> None:
    packing = document_of(words)
    assert packing["verdict"] in ("fits", "tight")
    assert faults(packing) == []
    chosen, request = packing["plan"]["chosen"], packing["plan"]["request"]
    names = ("variant", "version", "precision", "attention", "object_batch", "offload_state")
    for gpu in packing["gpus"]:
        estimate = planner.predict(
            task="video", objects=request["objects"], resolution=tuple(chosen["resolution"]),
            gpu=gpu["budget"]["gpu"]["name"], **{name: chosen[name] for name in names},
        )  # fmt: skip
        assert (gpu["process_bytes"], gpu["upper_bytes"]) == (estimate.total_bytes, estimate.upper_bytes)
    if "T4" in words[1]:
        assert "bfloat16" not in chosen["precision"], "the oldest GPU decides"


def test_one_stream_on_each_gpu_unless_told() -> None:
    packing = document_of(["--vram", "8GB,24GB"])
    assert [gpu["streams"] for gpu in packing["gpus"]] == [1, 1]
    assert document_of(["--vram", "8GB", "--gpus", "3"])["streams"] == 3
    assert document_of(["--vram", "8GB", "--streams", "3"])["gpus"][0]["streams"] == 3
    assert packing["plan"]["chosen"] == document_of(["--vram", "7.6GB", "--headroom", "none"])["chosen"]


def test_a_gpu_that_is_too_small_stays_idle_and_says_so() -> None:
    packing = document_of(["--vram", "0.2GB,24GB"])
    assert [gpu["streams"] for gpu in packing["gpus"]] == [0, 2]
    assert "does not fit" in packing["gpus"][0]["reason"]
    assert "idle" in invoke("--vram", "0.2GB,24GB").out


ADVISED = [
    ("--vram", "2GB", "--gpus", "2", "--streams", "4"),
    ("--vram", "8GB,24GB", "--streams", "40", "--prefer", "speed"),
    ("--vram", "1GB", "--streams", "3"),
    ("--vram", "1.24GB", "--streams", "2", "--headroom", "10%"),
    ("--vram", "2.5GB", "--streams", "3", "--variant", "large", "--precision", "float32"),
    ("--gpu", "T4,T4", "--streams", "200", "--task", "image"),
    ("--vram", "0.2GB,0.1GB"),
]


@pytest.mark.parametrize("words", ADVISED, ids=" ".join)
def test_every_line_of_advice_was_verified(words: tuple[str, ...]) -> None:
    packing = document_of(words)
    for line in packing["plan"]["try"]:
        program, *rest = shlex.split(line["command"])
        followed = document_of(rest)
        assert program == "sam2-plan"
        assert followed["verdict"] in ("fits", "tight"), line["command"]
        if " would allow " in line["change"]:
            chosen = followed["plan"]["chosen"]
            size = "x".join(map(str, chosen["resolution"]))
            name = f"{chosen['variant']} {chosen['version']} at {size}, {chosen['precision']}"
            assert name == line["change"].partition(" would allow ")[2]
            more = [*rest]
            more[more.index("--streams") + 1] = str(followed["streams"] + 1)
            assert document_of(more)["plan"]["chosen"] != chosen, "no more streams than these"


@pytest.mark.parametrize("words", ADVISED[:2], ids=" ".join)
def test_the_command_packs_again_and_the_saved_plan_is_that_of_one_process(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    packing = document_of([*words, "-o", str(tmp_path / "plan.json")])
    saved = planner.Plan.load(tmp_path / "plan.json")
    assert saved.to_dict() == packing["plan"]
    planning = shlex.split(packing["plan"]["command"])
    planning = planning[1 : planning.index("-o")]
    assert document_of(planning) == packing
    assert document_of(["compare", str(tmp_path / "plan.json"), str(tmp_path / "plan.json")])["equal"]
    for gpu in packing["gpus"]:
        visible, cap, *command = shlex.split(gpu["command"])
        assert visible.startswith("CUDA_VISIBLE_DEVICES=")
        assert shlex.join(command) == packing["plan"]["command"].partition(" && ")[2]
        size = cap.removeprefix("SAM2_PLAN_MEMORY_CAP=")
        assert parse_size(size) == gpu["cap_bytes"] >= packing["plan"]["budget"]["total_bytes"]
        checked = invoke("check", str(tmp_path / "plan.json"), "--vram", size)
        assert checked.code == 0, checked.out


CARDS = [
    Gpu(name="NVIDIA GeForce RTX 3060", total_bytes=12 * 2**30, free_bytes=2 * 10**9, capability=(8, 6),
        uuid="GPU-aaaa", index=0),
    Gpu(name="NVIDIA A100-SXM4-40GB", total_bytes=40 * 2**30, free_bytes=30 * 10**9, capability=(8, 0),
        uuid="GPU-bbbb", index=1),
    Gpu(name="NVIDIA A100-SXM4-40GB", total_bytes=40 * 2**30, free_bytes=20 * 10**9, capability=(8, 0),
        uuid="GPU-cccc", index=2),
]  # fmt: skip


@pytest.fixture
def three_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.machine.present.present_gpus", lambda: list(CARDS))
    monkeypatch.setattr("planner.machine.allowance.usable_host_bytes", lambda: 64 * 10**9)


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(
    ("words", "uuids"),
    [
        (("--gpus", "2"), ["GPU-bbbb", "GPU-cccc"]),
        (("--gpus", "3"), ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]),
        (("--streams", "5"), ["GPU-aaaa", "GPU-bbbb", "GPU-cccc"]),
        (("--device", "2,0"), ["GPU-cccc", "GPU-aaaa"]),
        (("--device", "GPU-aaaa, 1", "--gpus", "2"), ["GPU-aaaa", "GPU-bbbb"]),
        (("--device", "1", "--streams", "2"), ["GPU-bbbb"]),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_the_gpus_that_are_present_are_packed_from_their_free_memory(words: tuple[str, ...], uuids: list[str]) -> None:
    packing = document_of(words)
    assert [gpu["budget"]["gpu"]["uuid"] for gpu in packing["gpus"]] == uuids
    free = {card.uuid: card.free_bytes for card in CARDS}
    assert [gpu["budget"]["total_bytes"] for gpu in packing["gpus"]] == [free[uuid] for uuid in uuids]
    assert packing["plan"]["budget"]["source"] in ("vram", "gpu")
    assert document_faults(packing["plan"]) == []
    text = invoke(*words).out.partition("Next")[2]
    for gpu in packing["gpus"]:
        line = f"CUDA_VISIBLE_DEVICES={gpu['budget']['gpu']['uuid']} SAM2_PLAN_MEMORY_CAP="
        assert text.count(line) == gpu["streams"]
        assert gpu["streams"] == 0 or gpu["command"].startswith(line)
    planning = shlex.split(packing["plan"]["command"])
    assert document_of(planning[1 : planning.index("-o")]) == packing


REFUSED = {
    "a decimal comma": (("--vram", "2,5GB"), ["'2,5GB'", "2GB", "GiB", "8GB,24GB"]),
    "a comma too many": (("--vram", "8GB,"), ["'8GB,'", "2GB"]),
    "a size of several that is none": (("--vram", "8GB,lots"), ["8GB,lots", "2GB"]),
    "fewer budgets than GPUs": (("--vram", "8GB,24GB", "--gpus", "3"), ["2 of vram", "3 GPUs"]),
    "fewer names than GPUs": (("--gpu", "T4,A100", "--gpus", "5"), ["2 of gpu", "5 GPUs"]),
    "an unknown name of several": (("--gpu", "T4,RTX 3061"), ["RTX 3061", "RTX 3060"]),
    "a name too few": (("--gpu", "T4,"), ["''", "RTX 3060"]),
    "two sorts of budget": (("--vram", "8GB,24GB", "--gpu", "T4"), ["vram", "gpu", "one budget"]),
    "no GPUs": (("--vram", "8GB", "--gpus", "0"), ["0 GPUs", "1"]),
    "absurdly many GPUs": (("--vram", "8GB", "--gpus", "1001"), ["1001", "1000"]),
    "half a GPU": (("--vram", "8GB", "--gpus", "1.5"), ["1.5", "whole number"]),
    "no streams": (("--vram", "8GB", "--streams", "0"), ["0 streams", "1"]),
    "absurdly many streams": (("--vram", "8GB", "--streams", "10001"), ["10001", "10,000"]),
    "streams in words": (("--vram", "8GB", "--streams", "some"), ["some", "whole number"]),
    "a headroom of everything": (("--vram", "2GB,8GB", "--headroom", "2GB"), ["2,000,000,000", "less than the budget"]),
    "an unknown task": (("--vram", "2GB,8GB", "--task", "videos"), ["videos", "automask"]),
    "more than are present": (("--gpus", "4"), ["4 GPUs", "0: NVIDIA GeForce RTX 3060", "2: NVIDIA A100", "--vram"]),
    "a GPU twice": (("--device", "1,1"), ["named twice", "1"]),
    "a GPU twice, by two names": (("--device", "1,GPU-bbbb"), ["named twice", "1"]),
    "a GPU that is not there": (("--device", "0,7"), ["'7'", "Present"]),
    "a device for several GPUs": (("--device", "0", "--gpus", "2"), ["1 of device", "2 GPUs"]),
}


@pytest.mark.usefixtures("three_gpus")
@pytest.mark.parametrize(("words", "expected"), REFUSED.values(), ids=REFUSED)
def test_bad_input_is_exit_2_with_the_value_and_a_remedy(words: tuple[str, ...], expected: list[str]) -> None:
    outcome = invoke(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert [part for part in expected if part not in outcome.err] == []
    document = invoke(*words, "--format", "json").document
    assert document["error"]["code"] == "usage"
    assert document["error"]["hint"]


def test_no_gpu_and_no_budget_says_what_to_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("planner.machine.present.present_gpus", list)
    for words in (("--gpus", "2"), ("--streams", "2")):
        outcome = invoke(*words)
        assert (outcome.code, outcome.out) == (2, "")
        assert "present on this machine: none" in outcome.err
        assert "--vram" in outcome.err


@pytest.mark.parametrize(
    ("asked", "gpus"),
    [({"vram": ["8GB", 24 * 10**9]}, 2), ({"vram": 8 * 10**9, "gpus": 2}, 2), ({"gpu": ["T4", "A100"]}, 2),
     ({"vram": ["8GB"], "gpus": 3}, 3), ({"vram": "8GB"}, 1), ({"vram": ("8GB", "9GB"), "streams": "5"}, 2)],
    ids=str,
)  # fmt: skip
def test_lists_do_as_well_in_python(asked: dict[str, Any], gpus: int) -> None:
    packing = planner.pack(**asked)
    assert len(packing.gpus) == gpus
    assert packing.streams == int(asked.get("streams", gpus))


@pytest.mark.parametrize(
    "asked",
    [{"vram": []}, {"vram": [True]}, {"vram": 8.5}, {"vram": ["8GB", None]}, {"gpu": ()}, {"gpus": True, "vram": "8GB"},
     {"vram": "8GB", "streams": -1}, {"vram": {"8GB": 2}}],
    ids=str,
)  # fmt: skip
def test_bad_values_in_python_are_planner_errors(asked: dict[str, Any]) -> None:
    with pytest.raises(planner.PlannerError) as caught:
        planner.pack(**asked)
    assert str(caught.value)


def test_strict_and_exit_zero_decide_the_exit_code() -> None:
    tight, nothing = ("--vram", "0.56GB", "--gpus", "2", "--streams", "4"), ("--vram", "0.5GB", "--streams", "3")
    assert invoke(*tight).code == 0
    assert invoke(*tight, "--strict").code == 4
    assert invoke(*tight, "--strict", "--exit-zero").code == 0
    assert invoke(*nothing).code == 3
    assert invoke(*nothing, "--exit-zero").code == 0
    assert document_of([*tight, "--strict"])["exit_code"] == 4


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (
            ("--vram", "8GB,24GB"),
            ["8,000,000,000 B", "24,000,000,000 B", "2 streams", "33 streams", "no card"],
        ),
        (("--vram", "0.9GB", "--gpus", "3", "--streams", "4"), ["3 x 900 MB", "on the host", "Why not better", "Try"]),
        (("--gpu", "RTX 3090", "--streams", "2", "--gpus", "3"), ["at most 31 frames/s", "eager", "15.6", "idle"]),
        (("--vram", "0.5GB", "--streams", "3"), ["DOES NOT FIT", "158 MB each", "Nearest misses", "2 streams fit"]),
        (("--vram", "24GB", "--streams", "40", "--explain"), ["candidate classes", "and so on, 40 in all"]),
        (("--vram", "24GB,24GB", "--task", "image"), ["no throughput: published speeds are of video"]),
        (("--vram", "0.2GB", "--gpus", "2"), ["not even one fits"]),
    ],
    ids=lambda value: " ".join(value)[:40],
)
def test_the_text_says_where_they_run(words: tuple[str, ...], expected: list[str]) -> None:
    outcome = invoke(*words)
    assert outcome.err == ""
    assert [part for part in expected if part not in outcome.out] == []
    assert len(outcome.out.splitlines()) < 90


def test_what_comes_next_can_be_pasted_and_names_the_file_that_was_saved(tmp_path: Path) -> None:
    words = ("--vram", "8GB,24GB", "--frame-size", "480x640")
    path = tmp_path / "my plan.yaml"
    saved = shlex.quote(str(path))
    fresh, kept = (
        [line.strip() for line in out.partition("\nNext\n")[2].splitlines()[1:]]
        for out in (invoke(*words).out, invoke(*words, "-o", str(path)).out)
    )
    assert fresh[0] == "sam2-plan --vram 8GB,24GB --streams 2 --task video --frame-size 480x640 -o plan.yaml"
    assert kept == [line.replace("plan.yaml", saved) for line in fresh[1:]]
    assert kept[0] == f"sam2-plan checkpoints {saved} --download"
    for number, line in enumerate(kept[1:], 1):
        ending = f"INPUT_{number} --out masks_{number} --point 320,240 --checkpoint sam2.1_hiera_large.pt &"
        assert line.endswith(f"sam2-plan run {saved} {ending}")
    assert len(kept) == 3


@pytest.mark.parametrize(
    ("words", "most"),
    [
        (("--gpu", "RTX 4090,MX550", "--task", "automask"), 49),
        (("--gpu", "RTX 3090,GTX 1650", "--task", "image"), None),
        (("--gpu", "H100 PCIe,RTX 3060,T4", "--task", "video"), None),
    ],
)
def test_as_many_streams_as_are_said_to_fit_do_on_gpus_of_several_generations(
    words: tuple[str, ...], most: int | None
) -> None:
    """A process takes more on some generations than on others: none of them must be taken for the dearest."""
    packed = invoke(*words, "--streams", "2", "--format", "json").document
    said = packed["max_streams_smallest"]
    assert most is None or said == most
    for streams in (said, said - 1, packed["max_streams"]):
        assert invoke(*words, "--streams", str(streams), "--format", "json").code == 0, streams
    assert invoke(*words, "--streams", str(said + 1)).code == 3


def test_a_gpu_with_nothing_left_is_idle_and_no_crash(tmp_path: Path) -> None:
    full = machines.gpu(1, card_free_bytes=300_000_000)
    machine = machines.report(tmp_path, [machines.gpu(0), full])
    outcome = invoke("--simulate-gpu", str(machine), "--streams", "3", "--headroom", "500MB")
    assert outcome.code == 0 and "idle" in outcome.out
