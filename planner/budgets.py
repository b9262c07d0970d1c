"""The budget that is asked for: a size, a GPU by name, or one that is present (here, or in a doctor report)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from planner.domain import Budget, Gpu, Headroom
from planner.errors import UsageError
from planner.units import check_size, parse_size


def budget_of(
    vram: str | int | None,
    gpu: str | None,
    device: str | int | None,
    headroom: Headroom,
    present: Callable[[], list[Gpu]],
) -> tuple[Budget, tuple[str, ...]]:
    """The budget that is asked for, with warnings; of none of them the GPU that is present, as `present` lists them.

    Raises UsageError for two of them, a value that makes no sense, or a GPU that is not there.
    """
    given = [name for name, value in (("vram", vram), ("gpu", gpu), ("device", device)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other.", "Give one budget.")
    if vram is not None:
        total = check_size(vram) if isinstance(vram, int) else parse_size(vram)
        return _checked(Budget(total_bytes=total, headroom=headroom, source="vram")), ()
    if gpu is not None:
        from planner.catalog.gpus import find_gpu

        found = find_gpu(gpu)
        budget = Budget(total_bytes=found.gpu.total_bytes, headroom=headroom, source="gpu", gpu=found.gpu)
        others = ", ".join(other.name for other in found.also)
        note = (f"{gpu} may also be {others}; planned for {found.gpu.name}",) if others else ()
        return _checked(budget), note
    from planner.measure.present import find_present

    return _checked(budget_on(find_present(None if device is None else str(device), present()), headroom)), ()


def budget_on(card: Gpu, headroom: Headroom) -> Budget:
    """What is free on a GPU that is present; all of it where the driver does not say what is."""
    free = card.free_bytes if card.free_bytes is not None else card.total_bytes
    return Budget(total_bytes=free, headroom=headroom, source="device", gpu=card)


def gpus_of(report: str | Path | None) -> Callable[[], list[Gpu]]:
    """What lists the GPUs that are present: those of a doctor report, or of None this machine's."""

    def listed() -> list[Gpu]:
        from planner.measure import present

        if report is None:
            return present.present_gpus()
        from planner.report.machine import read_machine

        return [gpu for gpu in map(present.as_gpu, read_machine(Path(report)).gpus) if gpu is not None]

    return listed


def _checked(budget: Budget) -> Budget:
    if budget.usable_bytes <= 0:
        raise UsageError(
            f"The headroom of {budget.headroom_bytes:,} bytes leaves nothing of {budget.total_bytes:,}.",
            "Hold back less than the budget.",
        )
    return budget
