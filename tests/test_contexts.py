"""The CUDA context by GPU: what was published, what the line says of other cards, and what is taken without a name."""

from __future__ import annotations

import csv
import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.catalog.gpu_cards import database, known_cards, multiprocessors_of
from planner.catalog.gpus import find_gpu
from planner.errors import FileError
from planner.memory_model.contexts import FILE, KnownContexts, context_on, load_contexts, threads_of
from planner.nouns.request import Gpu
from planner.rehearsal.machine import ARCHITECTURES, imaginary_gpu
from planner.report.text import Style, plan_report
from scripts import fit_contexts
from tests.conftest import ROOT, document_of, invoke
from tests.preflight.machines import gpu as present
from tests.preflight.machines import report

MIB = 2**20
COUNTED_OTHERWISE = {"A10G": 80, "L4": 58, "H20": 78}
"""Where the database is wrong: sources in profiles/gpus.tsv."""


def rows(state: str) -> list[dict[str, str]]:
    with (ROOT / "profiles" / "contexts.tsv").open(encoding="utf-8") as lines:
        found = csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t")
        return [row for row in found if row["state"] == state]


RUN = [(name, row) for row in rows("run") for name in row["gpu"].split(", ")]


# -- the figures and the line ----------------------------------------------------------------------------


def test_each_gpu_held_out_lies_near_the_line() -> None:
    """Worked out here once more, by hand: least squares of the relative error, over the GPUs that are left."""
    figures: dict[str, list[dict[str, str]]] = {}
    for row in rows("run"):
        figures.setdefault(row["gpu"], []).append(row)
    points = []
    for own in figures.values():
        count = sum(int(row["figures"]) for row in own)
        mib = sum(float(row["mib"]) * int(row["figures"]) for row in own) / count
        points.append((int(own[0]["multiprocessors"]) * int(own[0]["threads"]), mib))

    def line(known: list[tuple[int, float]]) -> tuple[float, float]:
        # min of sum((a / y + b x / y - 1)^2): two normal equations.
        weights = [mib**-2.0 for _, mib in known]
        s0 = sum(weights)
        s1 = sum(w * x for w, (x, _) in zip(weights, known, strict=True))
        s2 = sum(w * x * x for w, (x, _) in zip(weights, known, strict=True))
        t0 = sum(w * y for w, (_, y) in zip(weights, known, strict=True))
        t1 = sum(w * x * y for w, (x, y) in zip(weights, known, strict=True))
        slope = (s0 * t1 - s1 * t0) / (s0 * s2 - s1 * s1)
        return (t0 - slope * s1) / s0, slope

    errors = []
    for point in points:
        constant, slope = line([other for other in points if other is not point])
        errors.append(point[1] / (constant + slope * point[0]) - 1)
    assert max(map(abs, errors)) <= 0.12
    assert sorted(map(abs, errors))[len(errors) // 2] <= 0.05
    committed = json.loads(FILE.read_text(encoding="utf-8"))["held_out"]
    assert list(committed["errors"].values()) == pytest.approx(errors, abs=0.0005)
    assert committed["gpus"] == len(points) >= 14
    known = load_contexts()
    constant, slope = line(points)
    assert known.base_bytes == pytest.approx(constant * MIB, rel=1e-3)
    assert known.thread_bytes == pytest.approx(slope * MIB, rel=1e-3)
    assert known.above >= max(errors) and known.below >= -min(errors)
    assert known.above < max(errors) + 0.002 and known.below < -min(errors) + 0.002, "no wider than that"


@pytest.mark.parametrize(("name", "row"), RUN, ids=lambda value: value if isinstance(value, str) else "")
def test_a_gpu_of_the_table_is_taken_as_published_and_its_band_holds_every_row(name: str, row: dict[str, str]) -> None:
    found = context_on(find_gpu(name).gpu)
    mib = float(row["mib"])
    assert found.provenance == "published" and found.note is None
    assert found.low_bytes <= mib * MIB <= found.high_bytes
    if sum(other["gpu"] == row["gpu"] for other in rows("run")) == 1:
        assert found.bytes == pytest.approx(mib * MIB, abs=0.06 * MIB)
    capability = find_gpu(name).gpu.capability
    assert capability is not None
    assert threads_of(capability) == int(row["threads"])
    assert multiprocessors_of(find_gpu(name).gpu.name) == int(row["multiprocessors"])
    by_line = load_contexts().line(int(row["multiprocessors"]), capability)
    assert 0.91 < mib * MIB / by_line < 1.13


@pytest.mark.parametrize("row", rows("bare"), ids=lambda row: row["gpu"])
def test_a_context_with_nothing_loaded_takes_less_than_after_a_run(row: dict[str, str]) -> None:
    found = context_on(find_gpu(row["gpu"]).gpu)
    assert 0.75 * found.bytes < float(row["mib"]) * MIB < found.bytes


def test_another_card_follows_the_line_and_the_band_says_how_far() -> None:
    known = load_contexts()
    card = find_gpu("GeForce RTX 3060 12 GB").gpu
    found = context_on(card)
    size = known.base_bytes + known.thread_bytes * 28 * 1536
    assert found.provenance == "derived"
    assert (found.bytes, found.high_bytes) == (round(size), pytest.approx(size * (1 + known.above), abs=1))
    estimate = planner.predict(variant="tiny", gpu=card.name)
    assert estimate.context_bytes == found.bytes == estimate.total_bytes - estimate.reserved_bytes
    assert (estimate.context_low_bytes, estimate.context_high_bytes) == (found.low_bytes, found.high_bytes)
    assert not estimate.extrapolated
    larger = planner.predict(variant="tiny", gpu="RTX 5090")
    assert larger.context_bytes > 4 * found.bytes
    assert larger.reserved_bytes - estimate.reserved_bytes < larger.total_bytes - estimate.total_bytes


def test_the_committed_contexts_are_what_the_table_gives() -> None:
    assert fit_contexts.text() == FILE.read_text(encoding="utf-8"), "scripts/fit_contexts.py makes it"


# -- what is known of cards --------------------------------------------------------------------------------


def test_multiprocessors_are_the_databases_but_where_that_is_known_to_be_wrong() -> None:
    specs = {spec.name: spec for spec in database() if spec.manufacturer == "NVIDIA"}
    wrong = {
        card.gpu.name: card.multiprocessors
        for card in known_cards()
        if card.multiprocessors != specs[card.database].streaming_multiprocessors and card.multiprocessors is not None
    }
    assert wrong == COUNTED_OTHERWISE
    assert sum(card.multiprocessors is None for card in known_cards()) == 1, "the Tesla K80"
    for name, card in ((one.printed, one) for one in known_cards() if one.printed):
        assert multiprocessors_of(name or "") == card.multiprocessors or name in (
            "NVIDIA GeForce RTX 3080 Laptop GPU",
        ), "by the driver's name too"


def test_every_known_card_has_a_context_within_its_memory() -> None:
    for card in known_cards():
        found = context_on(card.gpu)
        assert 0 < found.low_bytes <= found.bytes <= found.high_bytes < 0.4 * card.gpu.total_bytes, card.gpu.name
        current = (card.gpu.capability or (0, 0)) >= (7, 0) and not card.unified
        measured = current and (card.gpu.capability or (0,))[0] not in (10, 11)
        assert (found.note is None) == measured, card.gpu.name
        assert (found.provenance in ("published", "derived")) == measured


def test_what_stands_for_a_capability_is_the_card_that_is_rehearsed_on_it() -> None:
    for capability, architecture in ARCHITECTURES.items():
        card = context_on(find_gpu(architecture.card).gpu)
        assert context_on(capability=capability).bytes == card.bytes
        assert imaginary_gpu(capability=capability).context_bytes == card.bytes
        assert imaginary_gpu(architecture.card).context_bytes == card.bytes
        assert threads_of(capability) == architecture.threads
    # Of a size it is a card of the capability that is rehearsed, as one that is simulated.
    of_a_size = context_on(capability=(8, 6), budget_bytes=8 * 10**9).bytes
    assert imaginary_gpu(total_bytes=8 * 10**9).context_bytes == of_a_size


@pytest.mark.parametrize(
    ("name", "words", "at_least"),
    [
        ("A100 40 GB MIG 1g.5gb", "MIG slice", "A100 PCIe 40 GB"),
        ("NVIDIA A10-24Q", "virtual GPU", "A10 PCIe"),
        ("GB10", "shares the host's memory", None),
        ("Jetson Orin Nano 8 GB", "shares the host's memory", None),
        ("GTX 1080 Ti", "compute capability 6.1", None),
        ("B200", "compute capability 10.0", None),
        ("Tesla K80", "multiprocessors", None),
    ],
)
def test_what_was_never_measured_has_a_wider_band_and_says_so(name: str, words: str, at_least: str | None) -> None:
    known, found = load_contexts(), context_on(find_gpu(name).gpu)
    assert found.provenance == "assumed"
    assert words in (found.note or "")
    assert found.high_bytes > found.bytes * (1 + known.above) * 1.3
    if at_least:
        assert found.high_bytes >= context_on(find_gpu(at_least).gpu).bytes, "it may be as large as the whole card's"
    estimate = planner.predict(variant="tiny", task="image", gpu=name, precision="float32")
    assert estimate.extrapolated and any(words in reason for reason in estimate.extrapolated_because)


def test_a_gpu_without_a_name_that_is_known_is_taken_for_any_of_its_capability_and_size() -> None:
    card = Gpu(name="NVIDIA GeForce RTX 9999", total_bytes=12 * 2**30 - MIB, capability=(8, 6))
    found = context_on(card)
    alike = [context_on(find_gpu(name).gpu) for name in ("GeForce RTX 3060 12 GB", "GeForce RTX 3080 Ti")]
    assert "RTX 9999" in (found.note or "") and "not known" in (found.note or "")
    assert found.low_bytes <= min(one.low_bytes for one in alike)
    assert found.high_bytes >= max(one.high_bytes for one in alike)
    assert found.high_bytes < context_on().high_bytes, "what is known of it counts"


# -- a budget that names no card ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("budget", "cards"),
    [
        (2 * 10**9, ("GeForce MX450 12W", "GeForce MX570")),
        (8 * 10**9, ("GeForce RTX 3070", "GeForce RTX 4060", "GeForce RTX 3060 Ti", "GeForce RTX 2080")),
        (24 * 10**9, ("GeForce RTX 4090", "GeForce RTX 3090", "L4", "A10G", "A30 PCIe")),
        (80 * 10**9, ("A100 PCIe 80 GB", "H100 PCIe 80 GB", "H100 SXM5 80 GB")),
    ],
)
def test_the_band_of_a_budget_holds_the_cards_of_its_size(budget: int, cards: tuple[str, ...]) -> None:
    found = context_on(budget_bytes=budget)
    contexts = [context_on(find_gpu(name).gpu) for name in cards]
    assert found.provenance == "assumed"
    assert found.low_bytes <= min(one.low_bytes for one in contexts)
    assert found.high_bytes >= max(one.high_bytes for one in contexts) - 2
    assert found.low_bytes < found.bytes < found.high_bytes


def test_a_larger_budget_never_leaves_less_beside_the_context() -> None:
    """Sizes of cards differ in what their contexts take; on the way from one to the next nothing may be lost."""
    sizes = [size * 2**30 for size in (1, 2, 4, 6, 8, 10, 11, 12, 16, 20, 24, 32, 40, 48, 64, 80, 94, 96, 141, 180)]
    budgets = sorted({size + more for size in sizes for more in (-(2**29), -(2**27), -1, 0, 1, 2**27)})
    found = [(budget, context_on(budget_bytes=budget)) for budget in budgets]
    for name in ("bytes", "high_bytes"):
        for headroom in (0.0, 0.05, 0.3):
            left = [budget * (1 - headroom) - getattr(context, name) for budget, context in found]
            assert all(one <= other + 2 for one, other in pairwise(left)), (name, headroom)


@settings(max_examples=60, deadline=None)
@given(budget=st.integers(1, 10**12), more=st.integers(0, 3 * 10**9))
def test_order_holds_between_any_two_budgets(budget: int, more: int) -> None:
    one, other = context_on(budget_bytes=budget), context_on(budget_bytes=budget + more)
    assert other.bytes - one.bytes <= more / 2 + 1 and other.high_bytes - one.high_bytes <= more / 2 + 1
    assert 0 < one.low_bytes <= one.bytes <= one.high_bytes


def test_plans_predictions_and_simulated_budgets_agree() -> None:
    plan = planner.plan(vram="8GB", objects=3)
    assert plan.estimate is not None and plan.chosen is not None
    chosen = plan.chosen.configuration
    again = planner.predict(
        variant=chosen.variant, version=chosen.version, resolution=chosen.resolution, precision=chosen.precision,
        objects=3, object_batch=chosen.object_batch, offload_state=chosen.offload_state, vram="8GB",
    )  # fmt: skip
    assert again == plan.estimate
    assert again.context_bytes == context_on(budget_bytes=8 * 10**9).bytes


def test_text_and_json_say_the_band_and_who_can_narrow_it() -> None:
    said = plan_report(planner.plan(vram="8GB", task="image"), Style())
    assert "by the card; name it with --gpu" in said
    estimate = document_of(["--vram", "8GB", "--task", "image"])["estimate"]
    assert estimate["context_low_bytes"] < estimate["context_bytes"] < estimate["context_high_bytes"]
    named = plan_report(planner.plan(gpu="RTX 4060", task="image"), Style())
    assert "context may take" in named and "name it with --gpu" not in named
    predicted = invoke("predict", "--variant", "tiny", "--task", "image").out
    assert "name it with --gpu" in predicted
    refused = invoke("predict", "--variant", "tiny", "--gpu", "T4", "--vram", "8GB")
    assert refused.code == 2 and "contradict" in refused.err
    assert invoke("predict", "--variant", "tiny", "--vram", "many").code == 2


def test_a_plan_asks_for_the_card_where_that_decides() -> None:
    pins: dict[str, Any] = {"task": "image", "variant": "large", "resolution": 1024, "precision": "float32"}
    estimate = planner.predict(**pins, vram="3GB")
    between = (
        estimate.upper_bytes + estimate.upper_bytes - estimate.context_high_bytes + estimate.context_low_bytes
    ) // 2
    decided = planner.plan(vram=between, headroom="none", **pins)
    assert decided.verdict == "tight"
    assert sum("decides" in warning and "--gpu" in warning for warning in decided.warnings) == 1
    for size in (estimate.upper_bytes + 10**7, estimate.total_bytes + 10**7):
        assert not any("decides" in warning for warning in planner.plan(vram=size, headroom="none", **pins).warnings)
    short = estimate.least_bytes - (estimate.context_bytes - estimate.context_low_bytes) // 2
    turned_down = planner.plan(vram=short, headroom="none", **pins)
    assert turned_down.verdict == "does_not_fit"
    assert any("decides" in warning for warning in turned_down.warnings)
    assert "decides" not in str(planner.plan(gpu="GTX 1650", **pins).warnings)


# -- measured, present, placed -----------------------------------------------------------------------------


def test_a_present_gpu_is_known_by_the_name_that_its_driver_prints(tmp_path: Path) -> None:
    machine = report(tmp_path, [present(0, name="NVIDIA GeForce RTX 4090", capability=[8, 9])])
    plan = planner.plan(simulate_gpu=machine, task="image")
    assert plan.estimate is not None
    assert plan.estimate.context_bytes == context_on(find_gpu("RTX 4090").gpu).bytes


def test_each_process_of_a_packing_takes_the_context_of_the_whole_card() -> None:
    packed = planner.pack(vram="24GB", streams=8, task="image")
    assert packed.plan.estimate is not None
    assert packed.plan.estimate.context_bytes == context_on(budget_bytes=24 * 10**9).bytes
    mixed = planner.pack(vram="8GB,24GB", streams=2, task="image")
    assert len({one.process_bytes for one in mixed.gpus}) == 2


# -- the file ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"schema_version": 2},
        {"line": {"base_bytes": "much", "thread_bytes": 1}},
        {"line": {"base_bytes": -1, "thread_bytes": 1}},
        {"line": {"base_bytes": float("nan"), "thread_bytes": 1}},
        {"line": {}},
        {"band": {"below": 1.5, "above": 0.1}},
        {"measured_bytes": {"T4": None}},
        {"usual_bytes": {}},
        {"usual_bytes": {"8": 5}},
        {"cards": {}},
        {"cards": {"8": {"8.6": []}}},
        {"cards": {"8": {"8.6": [0]}}},
        {"cards": {"8": {"eight": [1]}}},
        {"cards": [1]},
    ],
    ids=str,
)
def test_a_broken_file_is_named_with_the_remedy(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "contexts.json"
    path.write_text(json.dumps(json.loads(FILE.read_text(encoding="utf-8")) | change), encoding="utf-8")
    with pytest.raises(FileError, match=r"contexts\.json") as caught:
        load_contexts(path)
    assert "fit_contexts.py" in caught.value.hint


@pytest.mark.parametrize("text", [None, "", "{", "[]", "null", "[" * 100_000], ids=["missing", *map(str, range(5))])
def test_no_json_at_all_is_named_too(text: str | None, tmp_path: Path) -> None:
    path = tmp_path / "contexts.json"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match=r"contexts\.json"):
        load_contexts(path)
    assert isinstance(load_contexts(), KnownContexts)
