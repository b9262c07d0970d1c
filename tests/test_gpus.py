"""GPUs by name: the bytes their drivers report, one matching for all that names a GPU, and what torch has code for."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import planner
from planner.catalog.gpu_cards import database, known_cards
from planner.catalog.gpu_names import notes_on
from planner.catalog.gpu_parts import known_slices
from planner.catalog.gpus import card_of, find_gpu, known_gpus, same_card, search_gpus
from planner.catalog.torch_builds import (
    WHEELS,
    TorchBuild,
    build_of,
    builds_for,
    compiled,
    installed_build,
    why_no_code,
)
from planner.errors import UsageError
from planner.memory_model import MemoryModel
from planner.planning.choice_limits import CARD_SIZES, OLD_SIZES, card_size
from tests.conftest import ROOT, document_of, invoke, refusal
from tests.preflight.machines import gpu, report

GIB, MIB = 2**30, 2**20
BY_DRIVER = {
    "NVIDIA GeForce RTX 4090": ("GeForce RTX 4090", 24564),
    "NVIDIA GeForce RTX 4090 Laptop GPU": ("GeForce RTX 4090 Mobile", 16376),
    "NVIDIA GeForce RTX 3060": ("GeForce RTX 3060 8 GB", 8188),
    "NVIDIA GeForce RTX 3050 6GB Laptop GPU": ("GeForce RTX 3050 Mobile Refresh 6 GB", 6141),
    "NVIDIA GeForce GTX 1650 with Max-Q Design": ("GeForce GTX 1650 Max-Q", 4096),
    "NVIDIA RTX A2000 8GB Laptop GPU": ("RTX A2000 Mobile 8 GB", 8188),
    "NVIDIA RTX 2000 Ada Generation Laptop GPU": ("RTX 2000 Mobile Ada Generation", 8188),
    "Tesla T4": ("Tesla T4", 15360),
    "Tesla V100-SXM2-16GB": ("Tesla V100 SXM2 16 GB", 16384),
    "Tesla K80": ("Tesla K80", 12288),
    "NVIDIA A10G": ("A10G", 23028),
    "NVIDIA A16": ("A16 PCIe", 15356),
    "NVIDIA L40S": ("L40S", 46068),
    "NVIDIA A100-SXM4-40GB": ("A100 SXM4 40 GB", 40960),
    "NVIDIA A100 80GB PCIe": ("A100 PCIe 80 GB", 81920),
    "NVIDIA H100 80GB HBM3": ("H100 SXM5 80 GB", 81559),
    "NVIDIA H100 PCIe": ("H100 PCIe 80 GB", 81559),
    "NVIDIA H100 NVL": ("H100 NVL 94 GB", 95830),
    "NVIDIA H200": ("H200 SXM 141 GB", 143771),
    "NVIDIA H20": ("H20", 97871),
    "NVIDIA GH200 480GB": ("GH200 480GB", 97871),
    "NVIDIA B200": ("B200", 183359),
    "NVIDIA B300 SXM6 AC": ("B300", 275040),
    "NVIDIA GB200": ("GB200", 189471),
    "NVIDIA RTX PRO 6000 Blackwell Server Edition": ("RTX PRO 6000 Blackwell Server", 97887),
    "NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition": ("RTX PRO 6000 Blackwell Max-Q", 97887),
    "NVIDIA GB10": ("GB10", None),
    "NVIDIA Thor": ("Jetson T5000", None),
    "NVIDIA A100-SXM4-40GB MIG 1g.5gb": ("A100 40 GB MIG 1g.5gb", 4858),
    "NVIDIA H100 80GB HBM3 MIG 3g.40gb": ("H100 80 GB MIG 3g.40gb", None),
    "NVIDIA A10-24Q": ("NVIDIA A10-24Q", None),
}
"""As drivers print them: the catalogue's name, and the MiB that nvidia-smi shows (None: shared or cut by a rule)."""
SPOKEN = {
    "4090": "GeForce RTX 4090", "rtx4090": "GeForce RTX 4090", "RTX-4090": "GeForce RTX 4090",
    "RTX 4090 24 GB": "GeForce RTX 4090", "4070 ti super": "GeForce RTX 4070 Ti SUPER",
    "rtx 3060 12gb": "GeForce RTX 3060 12 GB", "A6000": "RTX A6000", "6000 Ada": "RTX 6000 Ada Generation",
    "RTX PRO 6000": "RTX PRO 6000 Blackwell", "a100 80 gb": "A100 PCIe 80 GB", "H100": "H100 PCIe 80 GB",
    "T4": "Tesla T4", "GH200": "GH200 480GB", "DGX Spark": "GB10", "Jetson AGX Thor": "Jetson T5000",
    "Jetson Orin Nano 8GB": "Jetson Orin Nano 8 GB", "Orin (nvgpu)": "Jetson Orin Nano 4 GB",
    "RTX 4090 Mobile": "GeForce RTX 4090 Mobile", "A100 1g.5gb": "A100 40 GB MIG 1g.5gb",
    "GRID RTX8000P-48Q": "GRID RTX8000P-48Q", "M6-8Q": "M6-8Q",
    "MIG 1g.10gb": "A100 80 GB MIG 1g.10gb", "mig-1g.10gb": "A100 80 GB MIG 1g.10gb", "B200 192GB": "B200",
}  # fmt: skip
TWO_DIES = {"B200": 180, "B300": 288}
"""Boards of which the database has one die; CUDA has them as one GPU."""
MODERN, OLD = TorchBuild((2, 14), "13.0"), TorchBuild((2, 14), "12.6")


# -- names ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "known"), [*SPOKEN.items(), *((name, one[0]) for name, one in BY_DRIVER.items())])
def test_a_gpu_is_found_by_the_name_people_and_drivers_use(name: str, known: str) -> None:
    found = find_gpu(name).gpu
    assert found.name == known
    assert found in search_gpus(name) or found.name == name, "what is taken for it is also listed"
    assert same_card(found.name, name)
    mib = BY_DRIVER.get(name, ("", None))[1]
    assert mib is None or found.total_bytes // MIB == mib


def test_every_card_is_itself_under_each_of_its_names() -> None:
    """In --gpu, in `gpus`, and as "the same card"; of cards that only differ in memory, with the others said."""
    assert len(known_cards()) > 450
    for card in known_cards():
        assert find_gpu(card.gpu.name).gpu == card.gpu
        for name in (card.gpu.name, card.printed or card.gpu.name):
            found = find_gpu(name)
            assert card.gpu in (found.gpu, *found.also), name
            assert card.gpu in search_gpus(name), name
            assert same_card(name, card.gpu.name) and same_card(card.gpu.name, f"NVIDIA {card.gpu.name}"), name
    for part in known_slices():
        assert find_gpu(part.name).gpu == part
        assert part in search_gpus(part.name)


def test_of_cards_with_one_name_the_smallest_is_taken_and_said() -> None:
    found = find_gpu("RTX 3060")
    assert (found.gpu.name, [other.name for other in found.also]) == (
        "GeForce RTX 3060 8 GB",
        ["GeForce RTX 3060 12 GB"],
    )
    plan = document_of(["--gpu", "RTX 3060"])
    assert plan["budget"]["total_bytes"] == found.gpu.total_bytes
    assert any("12 GB" in warning and "8 GB" in warning for warning in plan["warnings"])
    assert not find_gpu("GeForce RTX 3060 12 GB").also


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("NVIDIA H100 80GB HBM3", "H100 PCIe 80 GB"), ("NVIDIA A100-SXM4-40GB", "A100 PCIe 40 GB"),
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-80GB"), ("RTX 4090", "RTX 4090 Laptop GPU"),
        ("RTX 3060", "RTX 3060 Ti"), ("RTX 6000 Ada", "Quadro RTX 6000"), ("NVIDIA H100 PCIe", "NVIDIA H100 NVL"),
        ("NVIDIA A100-SXM4-40GB", "NVIDIA A100-SXM4-40GB MIG 1g.5gb"), ("Tesla T4", "GRID T4-8Q"),
    ],
)  # fmt: skip
def test_cards_that_a_name_tells_apart_are_two(one: str, other: str) -> None:
    assert not same_card(one, other) and not same_card(other, one)
    assert find_gpu(one).gpu != find_gpu(other).gpu


@pytest.mark.parametrize(
    ("name", "near"),
    [("RTX 3061", "RTX 3060"), ("RTX 409", "RTX 4090"), ("4095", "RTX 4090"), ("A1000000", "A1000"),
     ("RTX 4090 48GB", "4090"), ("GTX 1080 Tie", "1080 Ti")],
)  # fmt: skip
def test_near_matches_are_named(name: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        find_gpu(name)
    assert repr(name) in caught.value.message
    assert near in caught.value.hint and "--vram" in caught.value.hint
    assert not re.search(r"\b[TP]400\b", caught.value.hint)


@pytest.mark.parametrize(
    ("name", "maker"),
    [("RX 7900 XTX", "AMD"), ("7900 XTX", "AMD"), ("MI300X", "AMD"), ("Radeon 780M", "AMD"), ("gfx1100", "AMD"),
     ("M2 Max", "Apple"), ("M4", "Apple"), ("Arc A770", "Intel"), ("UHD 770", "Intel")],
)  # fmt: skip
def test_other_makers_are_recognised_in_one_sentence(name: str, maker: str) -> None:
    commands = [("--gpu", name), ("predict", "--variant", "tiny", "--gpu", name), ("gpus", *name.split())]
    for words in commands[: 2 if name == "M4" else 3]:  # there was a Tesla M4, which is listed
        outcome = invoke(*words)
        assert outcome.code == 2, words
        assert f"is {maker}'s" in outcome.err and "CUDA" in outcome.err and "--vram" in outcome.err
    assert name != "M4" or "Tesla M4" in outcome.err


def test_what_runs_no_cuda_or_no_torch_is_said() -> None:
    for name, words in (
        ("GRID T4-2B", "runs no CUDA"),
        ("GTX 690", "no release of torch"),
        ("Quadro K4000", "no release"),
    ):
        with pytest.raises(UsageError, match=words):
            find_gpu(name)
    assert find_gpu("Tesla M4").gpu.capability == (5, 2), "NVIDIA's, said so"


@given(st.text(max_size=20))
@example("1g.5gb")
@example("-8q")
@example("gb")
def test_any_text_is_a_gpu_or_a_usage_error(name: str) -> None:
    error = refusal(UsageError, find_gpu, name)
    assert error is None or repr(name) in error.message


# -- bytes ------------------------------------------------------------------------------------------------


def test_no_card_has_more_than_its_binary_size_nor_much_less() -> None:
    nominal = {spec.name: spec.memory_size_gb for spec in database() if spec.manufacturer == "NVIDIA"} | TWO_DIES
    for card in known_cards():
        if card.gpu.name in nominal:
            size = nominal[card.gpu.name] * GIB
            assert 0.92 * size <= card.gpu.total_bytes <= size, card.gpu.name
    for part in known_slices():
        whole = card_of(part)
        assert whole is not None and part.total_bytes < whole.gpu.total_bytes, part.name
    for gigabytes in (1, 4, 8):
        assert 0.98 * gigabytes * GIB < find_gpu(f"GRID T4-{gigabytes}Q").gpu.total_bytes < gigabytes * GIB
    assert find_gpu("GRID T4-16Q").gpu.total_bytes <= find_gpu("T4").gpu.total_bytes
    assert find_gpu("GRID A100-1-5C").gpu.total_bytes == find_gpu("A100 1g.5gb").gpu.total_bytes


def test_the_rule_never_promises_more_than_a_listing() -> None:
    """Of every card that a listing is known of, the rule alone would have given as much or less, and at least 92 %."""
    from planner.catalog.gpu_cards import reported_by_rule

    specs = {spec.name: spec for spec in database()}
    for card in known_cards():
        if card.listings and card.database == card.gpu.name and card.gpu.name not in TWO_DIES:
            spec = specs[card.gpu.name]
            assert card.gpu.capability is not None
            by_rule = reported_by_rule(spec.memory_size_gb, spec.name, card.gpu.capability, spec.memory_type or "")
            assert 0.92 * card.gpu.total_bytes <= by_rule <= card.gpu.total_bytes, card.gpu.name


def test_the_table_of_listings_is_used_whole() -> None:
    with (ROOT / "profiles" / "gpus.tsv").open(encoding="utf-8") as lines:
        rows = list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))
    known = {card.gpu.name: card for card in known_cards()}
    assert len(rows) == len({row["name"] for row in rows}) > 90
    for row in rows:
        card = known[row["name"]]
        assert (card.gpu.total_bytes, card.printed) == (int(row["mib"]) * MIB, row["printed"])
        assert int(row["listings"]) >= 1


def test_the_sizes_of_cards_are_the_catalogues() -> None:
    sizes = {spec.name: spec.memory_size_gb for spec in database() if spec.manufacturer == "NVIDIA"} | TWO_DIES
    own = [card.gpu for card in known_cards() if not card.unified and card.gpu.name in sizes]
    for size, mib in CARD_SIZES.items():
        alike = [gpu for gpu in own if sizes[gpu.name] == size]
        newest = max(gpu.capability or (0, 0) for gpu in alike)
        assert OLD_SIZES.get(size) == (newest if newest < (7, 5) else None), size
        least = min(gpu.total_bytes for gpu in alike if newest < (7, 5) or (gpu.capability or (0, 0)) >= (7, 5))
        assert least == mib * MIB, size
    # Nothing that is sold widely is missing.
    assert {size for size in sizes.values() if sum(sizes[gpu.name] == size for gpu in own) > 1} <= {*CARD_SIZES}
    for size, mib in CARD_SIZES.items():
        if size not in OLD_SIZES:
            assert card_size(mib * MIB) == f"{size} GB" != card_size(mib * MIB + 1)


@settings(max_examples=25)
@given(objects=st.integers(1, 400), task=st.sampled_from(("video", "image")))
def test_need_names_no_card_larger_than_the_smallest_it_lists(objects: int, task: str) -> None:
    answer = document_of(["need", "--task", task, "--objects", str(objects), "--variant", "large", "--top", "1"])
    [smallest] = answer["cards"]
    official = next(need for need in answer["needs"] if need["purpose"] == "official")
    named = int(official["card"].split()[0])
    assert smallest["total_bytes"] <= named * GIB
    assert smallest["total_bytes"] >= official["budget_bytes"]
    assert all(why_no_code(find_gpu(name).gpu.capability or (9, 0)) is None for name in smallest["names"])


def test_gpus_says_where_the_memory_is_from() -> None:
    listed = {gpu["name"]: gpu["memory_source"] for gpu in document_of(["gpus"])["gpus"]}
    assert (listed["GeForce RTX 4090"], listed["GeForce RTX 4090 Max-Q"], listed["GB10"]) == (
        "reported",
        "rule",
        "unified",
    )
    text = invoke("gpus", "4090").out
    assert "24564" in text and "~ by a rule" in text
    assert "no code for it" in invoke("gpus", "GTX", "970").out


# -- what torch has code for -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "runs", "not_"),
    [
        (MODERN, [(7, 5), (8, 7), (8, 9), (10, 3), (11, 0), (12, 1)], [(3, 7), (5, 2), (6, 1), (7, 0), (7, 2)]),
        (OLD, [(5, 2), (6, 1), (7, 0), (7, 5), (8, 9), (9, 0)], [(3, 7), (10, 0), (12, 0), (11, 0)]),
        (TorchBuild((2, 10), "12.8"), [(7, 0), (7, 5), (12, 0)], [(6, 1), (5, 2)]),
        (TorchBuild((2, 11), "12.8"), [(7, 5), (12, 0)], [(7, 0)]),
        (TorchBuild((2, 6), "11.8"), [(3, 7), (5, 0), (9, 0)], [(10, 0), (12, 0)]),
        (TorchBuild((2, 7), "12.8"), [(7, 5), (12, 0)], [(6, 1), (7, 0)]),
    ],
)
def test_a_wheel_runs_its_own_generations(
    build: TorchBuild, runs: list[tuple[int, int]], not_: list[tuple[int, int]]
) -> None:
    for capability in runs:
        assert why_no_code(capability, build) is None, capability
    for capability in not_:
        reason = why_no_code(capability, build)
        assert reason is not None and str(build) in reason
        able = [one for one in builds_for(capability) if str(one) in reason]
        assert able or (not builds_for(capability) and "no release" in reason), "what is named as a way out is one"


def test_what_torch_itself_says_is_the_table() -> None:
    torch = pytest.importorskip("torch")
    flags = torch._C._cuda_getArchFlags()
    build = build_of(torch.__version__, torch.version.cuda)
    if not flags or build is None or build.release not in WHEELS:
        pytest.skip(f"{torch.__version__} has no CUDA, or is newer than the table")
    said = {(int(one[:-1]), int(one[-1])) for one in re.findall(r"sm_(\d+)", flags)}
    code = compiled(build, (8, 0))
    assert code is not None and code.binaries == said
    assert len(code.ptx) == len(re.findall("compute_", flags))
    assert installed_build() == build, "read without importing it"


@pytest.mark.parametrize(
    ("version", "cuda", "build"),
    [
        ("2.14.1+cu130", None, MODERN), ("2.14.1", "13.0.96", MODERN), ("2.14.1+cpu", None, None),
        ("2.6.0+cu118", None, TorchBuild((2, 6), "11.8")), ("2.10.0a0+b558c986e8.nv25.11", "13.0", None),
        ("2.14.1", None, None), (None, None, None),
    ],
)  # fmt: skip
def test_a_build_is_read_from_a_version(version: str | None, cuda: str | None, build: TorchBuild | None) -> None:
    assert build_of(version, cuda) == build


@pytest.fixture
def torch_of(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Makes another torch the one that is installed; the one that tests imported is not asked."""
    from planner.catalog import torch_builds

    def become(build: TorchBuild | None) -> None:
        monkeypatch.setattr(torch_builds, "installed_build", lambda: build)
        monkeypatch.setattr(torch_builds, "_imported", lambda: None)

    return become


@pytest.mark.parametrize("name", ["GTX 970", "GTX 1060 6 GB", "V100", "Jetson AGX Xavier 32 GB"])
def test_a_card_that_torch_has_no_code_for_neither_fits_nor_passes(name: str, torch_of: Any, tmp_path: Path) -> None:
    torch_of(MODERN)
    plan = document_of(["--gpu", name])
    assert (plan["verdict"], plan["exit_code"]) == ("does_not_fit", 3)
    assert {rejected["component"] for rejected in plan["rejected"]} == {"capability"}
    assert "has no code for compute capability" in plan["rejected"][0]["reason"]
    assert plan["limits"]["smallest_total_bytes"] is None
    assert plan["stock"]["fits"] is False
    assert "runs there: torch 2.14" in invoke("--gpu", name).out
    assert "on one of the GPUs: torch 2.14" in invoke("--gpu", f"RTX 4090,{name}").out
    assert find_gpu(name).gpu.name not in str(document_of(["need", "--variant", "tiny", "--top", "1000"])["cards"])
    saved = tmp_path / "plan.yaml"
    planner.plan(vram="3GB", precision="float16").save(saved)
    checked = planner.check(planner.Plan.load(saved), gpu=name)
    assert checked.exit_code == 3
    assert any("has no code for" in check.found and "torch" in (check.action or "") for check in checked.checks)
    assert "no code for" in invoke("predict", "--variant", "tiny", "--gpu", name).out


def test_the_build_that_is_named_as_a_way_out_is_one(torch_of: Any) -> None:
    torch_of(MODERN)
    reason = document_of(["--gpu", "GTX 1060 6 GB"])["rejected"][0]["reason"]
    assert reason.endswith("torch 2.14 built with CUDA 12.6 does")
    torch_of(OLD)
    assert document_of(["--gpu", "GTX 1060 6 GB"])["verdict"] == "fits"
    assert "torch 2.14 built with CUDA 13" in document_of(["--gpu", "RTX 5090"])["rejected"][0]["reason"]
    assert document_of(["--gpu", "T4,RTX 5090", "--precision", "float16"])["verdict"] == "does_not_fit", "one of two"
    torch_of(None)
    assert document_of(["--gpu", "GTX 1060 6 GB"])["verdict"] == "does_not_fit", "the newest known torch counts"
    assert document_of(["--vram", "6GB"])["verdict"] == "fits", "no card, no generation"


def test_a_machine_in_a_report_is_judged_by_its_own_torch(tmp_path: Path) -> None:
    old = gpu(name="Tesla V100-SXM2-16GB", capability=[7, 0], card_bytes=16 * GIB, card_free_bytes=15 * GIB)
    plan = planner.plan(vram="3GB", precision="float16")
    able = {"torch": "2.10.0", "nvidia-cuda-runtime": None, "nvidia-cuda-runtime-cu12": "12.8.90"}
    for versions, exit_code in (({}, 3), (able, 0)):
        machine = report(tmp_path, [old], versions)
        assert planner.check(plan, simulate_gpu=machine).exit_code == exit_code
        assert planner.plan(simulate_gpu=machine).exit_code == exit_code, "as if on that machine"
        assert (planner.limits(simulate_gpu=machine).reach[0].max_objects is None) == (exit_code == 3)
        assert planner.pack(simulate_gpu=machine).exit_code == exit_code
        assert ("cannot run torch" in invoke("doctor", "--simulate-gpu", str(machine)).out) == (exit_code == 3)


# -- what some cards cannot do ---------------------------------------------------------------------------


def test_predict_takes_the_recipe_that_the_card_runs_and_no_other() -> None:
    for name, precision in (("GTX 1650", "autocast_float16"), ("RTX 4090", "autocast_bfloat16")):
        found = document_of(["predict", "--variant", "tiny", "--gpu", name])
        assert found["configuration"]["precision"] == precision
    said = invoke("predict", "--variant", "tiny", "--gpu", "1650").out
    assert "has no bfloat16: predicted in autocast_float16" in said and "NaN" in said
    refused = invoke("predict", "--variant", "tiny", "--gpu", "GTX 1650", "--precision", "bfloat16")
    assert refused.code == 2 and "bfloat16 needs compute capability 8.0" in refused.err
    assert planner.predict(variant="tiny", gpu="T4") == planner.predict(
        variant="tiny", gpu="T4", precision="autocast_float16"
    )


def test_half_precision_on_chips_without_tensor_cores_is_warned_of() -> None:
    for card in known_cards():
        told = any("NaN" in note for note in notes_on(card.gpu.name))
        # The GTX 1650 of chip TU106 is called like the others by its driver.
        assert told == bool(re.search(r"TU11[67]", card.chip)) or card.chip == "TU106", card.gpu.name
        assert told is False or card.gpu.capability == (7, 5)
    assert any("NaN" in warning for warning in document_of(["--gpu", "GTX 1660 Ti"])["warnings"])
    assert any("shares the host's memory" in warning for warning in document_of(["--gpu", "GB10"])["warnings"])
    assert not document_of(["--gpu", "RTX 4090"])["warnings"]


# -- measurements of a card ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["H100 SXM5 80 GB", "A100 SXM4 80 GB", "Tesla V100 SXM2 16 GB", "RTX 3080 Ti Laptop GPU"]
)
def test_rows_measured_under_a_drivers_name_count_for_the_catalogues(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Same card, one answer: what `check` calls the same is what the memory model corrects by."""
    from dataclasses import replace
    from types import SimpleNamespace

    printed = {card.gpu.name: card.printed for card in known_cards()}.get(name) or f"NVIDIA {name}"
    model = MemoryModel()
    row: Any = SimpleNamespace(gpu=printed, runtime="own", margin=SimpleNamespace(rows=3, ratio=1.0), notes=())
    monkeypatch.setattr("planner.memory_model.estimator._from_elsewhere", lambda one: "elsewhere")
    known = MemoryModel(replace(model.coefficients, corrections=(row,)), model.catalog)
    assert known.on(find_gpu(name).gpu).corrections["own"] is row
    assert known.on(find_gpu("GeForce RTX 3090").gpu).corrections["own"] == "elsewhere"
    assert known_gpus()
