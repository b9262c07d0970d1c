"""The memory model's coefficients as data for the page: what its sliders can reach, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from planner.catalog.capability import why_unsupported
from planner.catalog.torch_builds import why_no_code
from planner.catalog.torch_rules import build_named
from planner.memory_model import MemoryModel
from planner.memory_model.arrays import weight_bytes
from planner.memory_model.coefficients_text import correction_entry, group_entry
from planner.memory_model.contexts import Context, context_on, load_contexts, nominal_sizes
from planner.memory_model.laws import GENERATIONS, Correction
from planner.nouns.request import Gpu
from planner.nouns.words import DRIVEN_RUNTIMES, OTHER_RUNTIMES, PRECISIONS, VARIANTS, WIDTHS, Runtime, Task
from planner.text.packages import installed_version

ANY = "any"
"""In a capability's place, where no GPU is named."""


def laws(model: MemoryModel, tasks: Collection[Task], gpus: Sequence[Gpu], torch: str | None = None) -> dict[str, Any]:
    """What planner/page/model.js reads: the laws of the tasks, the contexts of GPUs, what the release of torch changes.

    model: on no GPU in particular. gpus: those that can be chosen on the page. torch: the version whose rules were
    asked for, of which the wheel counts that has code for a GPU; of None the torch that plans are for.
    """
    coefficients, releases = model.coefficients, model.releases
    sets = _Corrections(model)
    cards = [_card(gpu, model, sets, torch) for gpu in gpus]
    capabilities = {gpu.capability for gpu in gpus if gpu.capability} | {None}
    return {
        "groups": {
            " ".join(key): group_entry(coefficients.groups[key]) for key in coefficients.groups if _reached(key, tasks)
        },
        "margins": {" ".join(key): margin.ratio for key, margin in coefficients.margins.items() if key[1] in tasks},
        "least": {" ".join(key): share for key, share in coefficients.least.items() if key[1] in tasks},
        "beyond": coefficients.beyond,
        "weight_bytes": {
            f"{runtime} {width}": weight_bytes(runtime, width) for runtime in DRIVEN_RUNTIMES for width in WIDTHS
        },
        "shapes": {
            name: {
                "parameters": model.catalog.shapes[name].parameters,
                "heads": model.catalog.shapes[name].global_attention_heads,
            }
            for name in VARIANTS
        },
        "workspaces": {
            f"{_said(capability)} {generation}": releases.workspace_bytes(capability, generation)
            for capability in sorted(capabilities, key=str)
            for generation in GENERATIONS
        },
        "casts": {
            f"stock {task} {width} {variant}": list(found)
            for task in tasks
            for width in WIDTHS
            for variant in VARIANTS
            if any(found := releases.casts("stock", task, width, variant))
        },
        "as_fitted": releases.as_fitted,
        "notes": list(releases.notes(model.figures_of)),
        "packages": _packages(model),
        "contexts": _contexts(),
        "corrections": sets.found,
        "gpus": cards,
    }


class _Corrections:
    """The sets of what was measured, each once; the first is of no GPU in particular."""

    def __init__(self, model: MemoryModel) -> None:
        self.found: list[dict[str, Any]] = []
        self.place_of(model.on(None).corrections)

    def place_of(self, corrections: Mapping[Runtime, Correction]) -> int:
        """Where a set stands among those found."""
        entry: dict[str, Any] = {runtime: correction_entry(one) for runtime, one in corrections.items()}
        if entry not in self.found:
            self.found.append(entry)
        return self.found.index(entry)


def _reached(key: tuple[str, ...], tasks: Collection[Task]) -> bool:
    return key[0] in DRIVEN_RUNTIMES and key[1] in tasks


def _said(capability: tuple[int, int] | None) -> str:
    return ANY if capability is None else f"{capability[0]}.{capability[1]}"


def _card(gpu: Gpu, model: MemoryModel, sets: _Corrections, torch: str | None) -> dict[str, Any]:
    build = None if torch is None else build_named(torch, gpu.capability)

    measured = bool(model.coefficients.corrections)
    lacks = {p: why for p in PRECISIONS if (why := why_unsupported(p, "auto", gpu.capability, build))}
    return {
        "name": gpu.name,
        "total_bytes": gpu.total_bytes,
        "capability": None if gpu.capability is None else list(gpu.capability),
        "context": _context(context_on(gpu)),
        "no_code": why_no_code(gpu.capability, build) if gpu.capability else None,
        "lacks": lacks,
        "corrections": sets.place_of(model.on(gpu).corrections) if measured else 0,
    }


def _context(found: Context) -> dict[str, Any]:
    return {
        "bytes": found.bytes,
        "low": found.low_bytes,
        "high": found.high_bytes,
        "provenance": found.provenance,
        "note": found.note,
    }


def _contexts() -> dict[str, Any]:
    """The current cards by size, of which one that nobody named may be."""
    known = load_contexts()
    sizes = [{"bytes": size.bytes, "contexts": list(size.contexts)} for size in nominal_sizes(None)]
    return {"sizes": sizes, "below": known.below, "above": known.above}


def _packages(model: MemoryModel) -> dict[str, str]:
    """What is to be said of a runtime whose package is installed in another release than the figures are of."""
    found: dict[str, str] = {}
    for package in OTHER_RUNTIMES:
        fitted, installed = model.coefficients.versions.get(package), installed_version(package)
        if installed not in (None, fitted):
            found[package] = (
                f"the figures are of {package} {fitted}, and {installed} is installed: simulate traces that"
            )
    return found
