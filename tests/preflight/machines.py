"""Doctor reports of machines that are not here, for --simulate-gpu."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import planner
from planner.machine.this_machine import this_machine
from planner.memory_model.current import known_model
from planner.nouns.machine import Machine
from planner.report.doctor import Knowledge, doctor_document
from tests.measure.recorded import RecordedNvml, record_of

TORCH = known_model().coefficients.versions["torch"]
"""Of which the memory model's figures are."""
OTHER_TORCH = "2.13.0"
VERSIONS = {
    "torch": TORCH, "torchvision": "0.30.0", "sam2": "1.1.0", "av": "14.0.0", "pillow": "12.0.0",
    "pycocotools": "2.0.10", "numpy": "2.4.0", "nvidia-ml-py": "13.580.65", "nvidia-cuda-runtime": "13.0.96",
    "nvidia-cuda-runtime-cu12": None,
}  # fmt: skip
NOTHING_MEASURED = Knowledge(
    memory_model="laws-1", profiles=("own",), versions={"torch": TORCH}, fitted=False, corrected_gpus=(),
    measured_rows=0,
)  # fmt: skip
GPU = {
    "index": 0, "place": 0, "name": "NVIDIA GeForce RTX 3060", "card_bytes": 12 * 10**9, "card_free_bytes": 11 * 10**9,
    "limit_bytes": None, "driver": "580.95", "cuda": "13.0", "display_attached": False, "display_active": False,
    "mig_mode": False, "slice": None, "unified": False, "uuid": "GPU-00000000-0000-0000-0000-000000000000",
    "capability": [8, 6], "processes": [{"pid": 4242, "kind": "compute", "bytes": 600_000_000}],
    "reasons": {"limit_bytes": "neither a container nor MPS sets one"},
}  # fmt: skip
HOST_BYTES = 32 * 10**9


def recorded(name: str, root: Path) -> Machine:
    """A machine of tests/measure/machines, as its NVML answers."""
    record = record_of(name)
    for path, text in record["files"].items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="ascii")
    return this_machine(RecordedNvml(record), record["environment"], root)


def report_of(name: str, folder: Path) -> Path:
    """Its doctor report in a file."""
    document = doctor_document(recorded(name, folder / f"root-{name}"), NOTHING_MEASURED, {})
    document["machine"]["versions"] = dict(VERSIONS)
    return written(document, folder / f"{name}.json")


def report(
    folder: Path,
    gpus: list[dict[str, Any]] | None = None,
    versions: dict[str, str | None] | None = None,
    **machine: Any,
) -> Path:
    """A doctor report of a sound machine with one RTX 3060, and what is changed about it."""
    document: dict[str, Any] = {
        "schema_version": 1,
        "kind": "doctor",
        "sam2_plan": "0.1.0",
        "machine": {
            "system": "Linux 6.8", "architecture": "x86_64", "processors": 8, "python": "3.11.9", "container": None,
            "host_bytes": HOST_BYTES, "host_free_bytes": HOST_BYTES // 2, "host_limit_bytes": None,
            "gpus": [GPU] if gpus is None else gpus, "versions": VERSIONS | (versions or {}), "reasons": {}, **machine,
        },
        "environment": {}, "predictions": {}, "can": {}, "missing": [], "unknown": [],
    }  # fmt: skip
    return written(document, folder / "machine.json")


def gpu(number: int = 0, **changes: Any) -> dict[str, Any]:
    """The RTX 3060 with another number and changes; None needs a reason, which is made up."""
    found = {
        **GPU,
        "index": number,
        "place": number,
        "uuid": f"GPU-{number:08d}-0000-0000-0000-000000000000",
        **changes,
    }
    reasons = {name: "not told" for name, value in found.items() if value is None and name != "slice"}
    return {**found, "reasons": reasons}


def written(document: dict[str, Any], path: Path) -> Path:
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def tight_size(plan: planner.Plan) -> str:
    """A budget, as --vram takes it, under which the plan fits but is not sure to: midway between least and bound."""
    estimate = plan.estimate
    assert estimate is not None
    # Of a card, one twentieth is held back.
    return f"{(estimate.least_bytes + estimate.upper_bytes) // 2 * 20 // 19 // 1000}kB"


def hopeless_size(objects: int = 10) -> str:
    """A budget, as --vram takes it, under which nothing fits, by what planning says is the least."""
    smallest = planner.plan(vram="50MB", objects=objects).limits.smallest_total_bytes
    assert smallest is not None
    return f"{smallest * 9 // 10 // 1000}kB"
