"""Whose rules count: releases of torch, and the sam2 that keeps fewer tables of positions."""

from __future__ import annotations

from typing import Any

import pytest

import planner
from planner.catalog import torch_builds
from planner.catalog.torch_builds import WHEELS, TorchBuild
from planner.catalog.torch_rules import LT_KEPT, ONE_FOR_BOTH, TorchRules, rules_of
from planner.errors import UsageError
from planner.memory_model.releases import ROTARY_BYTES, WARM_BYTES
from planner.simulator.workspaces import workspaces_for
from tests.conftest import invoke

MIB = 1 << 20
CAPABILITIES = ((7, 5), (8, 0), (8, 6), (8, 9), (9, 0), (10, 0), (11, 0), (12, 0), (12, 1))
STOCK: dict[str, Any] = {"task": "image", "runtime": "stock", "resolution": 512}
BLACKWELL = "RTX PRO 6000 Blackwell"


@pytest.mark.parametrize("release", sorted(WHEELS), ids=lambda release: f"{release[0]}.{release[1]}")
def test_the_rules_are_those_of_the_table_of_workspaces(release: tuple[int, int]) -> None:
    for capability in CAPABILITIES:
        said = workspaces_for(capability, f"{release[0]}.{release[1]}")
        rules = TorchRules(release)
        assert rules.cublas_bytes(capability) == said.cublas.bytes
        kept = said.cublaslt.bytes if said.cublaslt.lifetime == "kept" else 0
        assert rules.workspace_bytes(capability) == said.cublas.bytes + kept
        assert (kept > 0) == (LT_KEPT <= release < ONE_FOR_BOTH)


def test_one_product_of_matrices_holds_what_was_measured_on_an_rtx_pro_6000_with_torch_2_11() -> None:
    """profiles/published/vyomaav-engine.yaml, one-product."""
    assert rules_of("2.11.0+cu130").workspace_bytes((12, 0)) == 9.125 * MIB


def test_blackwell_takes_more_from_2_12_on() -> None:
    before, after = (
        planner.predict(variant="tiny", task="image", gpu=BLACKWELL, torch=torch).allocated_bytes
        for torch in ("2.11", "2.12")
    )
    assert after - before == 32 * MIB - 9.125 * MIB
    elsewhere = [
        planner.predict(variant="tiny", task="image", gpu="RTX 3090", torch=torch).allocated_bytes
        for torch in ("2.8", "2.12")
    ]
    assert elsewhere[0] == elsewhere[1]


@pytest.mark.parametrize("variant", ["tiny", "large"])
def test_only_stock_under_autocast_keeps_copies_of_weights_and_only_up_to_2_10(variant: str) -> None:
    def taken(torch: str, **changed: Any) -> int:
        return planner.predict(**(STOCK | {"variant": variant, "torch": torch} | changed)).allocated_bytes

    copies = taken("2.10") - taken("2.11")
    weights = planner.predict(variant=variant, **STOCK).components[0].bytes
    assert 0.40 * weights < copies < 0.53 * weights, "16-bit copies of most of the 32-bit weights"
    assert taken("2.10", precision="float32") == taken("2.11", precision="float32")
    assert taken("2.10", runtime="own") == taken("2.11", runtime="own")
    video = {"task": "video", "frames": 10}
    assert taken("2.10", **video) - taken("2.11", **video) > copies, "a video has further weights"


def test_copies_of_weights_are_a_component_where_they_are_kept() -> None:
    for torch, kept in (("2.8", True), ("2.14", False)):
        names = {part.name for part in planner.predict(variant="tiny", torch=torch, **STOCK).components}
        assert ("autocast copies" in names) is kept


def test_the_simulator_follows_the_release_as_predictions_do() -> None:
    asked = {"variant": "tiny", "task": "image", "runtime": "stock", "resolution": 512}
    old, new = (planner.simulate(**asked, torch=torch) for torch in ("2.8", "2.14"))
    predicted = [planner.predict(**asked, torch=torch).allocated_bytes for torch in ("2.8", "2.14")]
    assert {part.name: part.bytes for part in old.components}["autocast copies"] > 60 * 10**6
    assert "autocast copies" not in {part.name for part in new.components}
    assert old.allocated_bytes - new.allocated_bytes == pytest.approx(predicted[0] - predicted[1], rel=0.05)
    assert old.provenance["torch_rules"] == "2.8" != old.provenance["versions"]["torch"]


@pytest.mark.parametrize("tables", ["used", "none"])
def test_stock_without_early_tables_of_positions_is_predicted_as_simulated(tables: str) -> None:
    asked = {"variant": "tiny", "task": "image", "runtime": "stock", "resolution": 512}
    predicted = [planner.predict(**asked, position_tables=kind) for kind in ("built", tables)]
    simulated = [planner.simulate(**asked, position_tables=kind) for kind in ("built", tables)]
    change = [found[1].allocated_bytes - found[0].allocated_bytes for found in (predicted, simulated)]
    assert change[0] == pytest.approx(change[1], rel=0.01)
    assert predicted[1].allocated_bytes < predicted[0].allocated_bytes - 0.8 * WARM_BYTES
    assert predicted[1].extrapolated


def test_tables_of_positions_are_those_that_public_runs_lack() -> None:
    """138.25 MiB at 1024x1024."""
    assert WARM_BYTES + ROTARY_BYTES == 144_965_632
    asked = {"variant": "large", "task": "image", "runtime": "stock"}
    less = [planner.predict(**asked, position_tables=kind).allocated_bytes for kind in ("built", "none")]
    assert less[0] - less[1] == 144_965_632


@pytest.mark.parametrize(
    ("torch", "words"),
    [
        ("banana", "'banana' is not a version"),
        ("", "'' is not a version"),
        ("2", "'2' is not a version"),
        ("v2.11", "'v2.11' is not a version"),
        ("2.99", "torch 2.99 is not a release that is known"),
        ("3.0", "torch 3.0 is not a release that is known"),
        ("1.13", "torch 1.13 is older"),
        ("2.14+cu118", "torch 2.14 built with CUDA 11.8 is not a known wheel"),
    ],
)
def test_a_version_that_is_unknown_is_refused_by_name(torch: str, words: str) -> None:
    for ask in (
        lambda: planner.predict(variant="tiny", torch=torch),
        lambda: planner.plan(vram="4GB", torch=torch),
        lambda: planner.simulate(variant="tiny", torch=torch),
    ):
        with pytest.raises(UsageError) as caught:
            ask()
        assert words in caught.value.message
        assert caught.value.hint


def test_a_version_without_code_for_the_gpu_is_refused_with_one_that_has_it() -> None:
    with pytest.raises(
        UsageError, match=r"no code for compute capability 12\.0; torch 2\.7 built with CUDA 12\.8 does"
    ):
        planner.predict(variant="tiny", gpu="RTX 5090", torch="2.5")
    with pytest.raises(UsageError, match=r"no code for compute capability 12\.0"):
        planner.simulate(variant="tiny", capability=(12, 0), torch="2.5")
    plan = planner.plan(gpu="RTX 5090", torch="2.5")
    assert not plan.fits
    assert "torch 2.7 built with CUDA 12.8 does" in plan.rejected[0].reason
    assert planner.plan(gpu="RTX 5090", torch="2.7").fits, "its wheel for CUDA 12.8 has code, those for older ones none"


def test_tables_of_positions_are_for_stock_alone() -> None:
    with pytest.raises(UsageError, match="matter of the stock predictors"):
        planner.predict(variant="tiny", position_tables="used")
    with pytest.raises(UsageError, match="matter of the stock predictors"):
        planner.simulate(variant="tiny", position_tables="none")
    with pytest.raises(UsageError, match="is not a kind of position tables"):
        planner.predict(variant="tiny", runtime="stock", frames=2, position_tables="never")


def test_a_torch_that_is_newer_than_the_figures_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_builds, "installed_build", lambda: TorchBuild((2, 31), "13.2"))
    estimate = planner.predict(variant="tiny", task="image")
    assert any("what torch 2.31 changed is not known" in reason for reason in estimate.extrapolated_because)
    assert any("what torch 2.31 changed is not known" in warning for warning in planner.plan(vram="8GB").warnings)
    assert not planner.predict(variant="tiny", task="image", torch="2.14").extrapolated


def test_the_installed_torch_counts_where_none_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_builds, "installed_build", lambda: TorchBuild((2, 8), "12.8"))
    assert planner.predict(variant="tiny", **STOCK) == planner.predict(variant="tiny", torch="2.8", **STOCK)
    monkeypatch.setattr(torch_builds, "installed_build", lambda: None)
    newest = f"{max(WHEELS)[0]}.{max(WHEELS)[1]}"
    assert planner.predict(variant="tiny", **STOCK) == planner.predict(variant="tiny", torch=newest, **STOCK)


def test_the_command_line_takes_both() -> None:
    stock = ("predict", "--variant", "tiny", "--task", "image", "--runtime", "stock", "--format", "json")
    built, none = (
        invoke(*stock, "--torch", "2.8", "--position-tables", kind).document["estimate"]["allocated_bytes"]
        for kind in ("built", "none")
    )
    assert none < built
    plan = invoke("--vram", "4GB", "--torch", "2.11", "--format", "json")
    assert plan.code == 0
    assert plan.document["provenance"]["versions"]["torch_rules"] == "2.11"
    assert invoke("--vram", "4GB", "--torch", "2.99").code == 2
