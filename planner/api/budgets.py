"""The budget that is asked for: a size, a GPU by name, or one that is present (here, or in a doctor report)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

from planner.errors import UsageError
from planner.nouns.request import Budget, Gpu, Headroom
from planner.text.spelling import meant_size
from planner.text.units import SIZE_FORMS, check_size, format_exact_size, parse_count, parse_size

MAXIMUM_GPUS = 1000
DRIVER_KEEPS = 0.042
"""At most, of nvidia-smi's memory.total, what is not memory.free on an idle card: 4.1 % of an A16, 2.9 % of a T4,
1.6 % of an RTX 3090, 0.9 % of an A800 (public listings of both). A budget by name is the whole of it; headroom covers
that."""

Several = str | int | list[str] | list[int] | list[str | int] | tuple[str | int, ...]
"""One value, several in a list, or several in a text with commas."""


def budget_of(
    vram: str | int | None,
    gpu: str | None,
    device: str | int | None,
    headroom: Headroom,
    present: Callable[[], list[Gpu]],
    *,
    own_headroom: bool = True,
) -> tuple[Budget, tuple[str, ...]]:
    """The budget that is asked for, with warnings; of none of them the GPU that is present, as `present` lists them.

    Raises UsageError for two of them, a value that makes no sense, a GPU that is not there, or a headroom that leaves
    nothing of a budget: where both come from one hand (`own_headroom`), one of them was mistyped.
    """
    given = [name for name, value in (("vram", vram), ("gpu", gpu), ("device", device)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} contradict each other.", "Give one budget.")
    checked = _checked if own_headroom else lambda budget: budget
    if vram is not None:
        total = check_size(vram) if isinstance(vram, int) else parse_size(vram)
        return checked(Budget(total_bytes=total, headroom=headroom, source="vram")), ()
    if gpu is not None:
        from planner.catalog.gpu_names import notes_on
        from planner.catalog.gpus import find_gpu

        found = find_gpu(gpu)
        budget = Budget(total_bytes=found.gpu.total_bytes, headroom=headroom, source="gpu", gpu=found.gpu)
        others = ", ".join(other.name for other in found.also)
        note = (f"{gpu} may also be {others}; planned for {found.gpu.name}",) if others else ()
        return checked(budget), (*note, *_kept(budget), *notes_on(found.gpu.name))
    from planner.catalog.gpu_names import notes_on
    from planner.machine.present import find_present

    card = find_present(None if device is None else str(device), present())
    return budget_on(card, headroom), notes_on(card.name)


def budgets_of(
    vram: Several | None,
    gpu: Several | None,
    device: Several | None,
    gpus: int | str | None,
    headroom: Headroom,
    present: Callable[[], list[Gpu]],
) -> tuple[list[Budget], tuple[str, ...]]:
    """The budgets of several GPUs, each with the headroom, and warnings; of none that are named those present.

    gpus: how many. One size or name counts for all of them. Raises UsageError as budget_of does, and for numbers that
    do not go together, one GPU twice, or fewer present than asked for.
    """
    count = None if gpus is None else parse_count(gpus, "GPUs")
    if count is not None and count > MAXIMUM_GPUS:
        raise UsageError(f"{count} GPUs cannot be planned for.", f"Give a number from 1 to {MAXIMUM_GPUS}.")
    given = [(name, value) for name, value in (("vram", vram), ("gpu", gpu), ("device", device)) if value is not None]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(name for name, _ in given)} contradict each other.", "Give one budget.")
    if not given:
        return [budget_on(card, headroom) for card in _freest(present(), count)], ()
    name, value = given[0]
    values = _sizes(value) if name == "vram" else _parts(value)
    if not values:
        raise UsageError(f"The list of {name} is empty.", "Name one for each GPU, or leave it out.")
    if count is not None and len(values) == 1 and name != "device":
        values = values * count
    if count is not None and len(values) != count:
        raise UsageError(
            f"There are {len(values)} of {name} for {count} GPUs.",
            f"Name as many as there are GPUs, or leave gpus out{'' if name == 'device' else '; one counts for all'}.",
        )
    cards = present() if name == "device" else []
    found = [_budget_named(name, one, headroom, cards) for one in values]
    budgets = [budget for budget, _ in found]
    _check_distinct(budgets)
    return budgets, tuple(dict.fromkeys(warning for _, warnings in found for warning in warnings))


def budget_on(card: Gpu, headroom: Headroom) -> Budget:
    """What is free on a GPU that is present; all of it where the driver does not say what is."""
    free = card.free_bytes if card.free_bytes is not None else card.total_bytes
    return Budget(total_bytes=free, headroom=headroom, source="device", gpu=card)


def gpus_of(report: str | Path | None, vram: object, gpu: object) -> Callable[[], list[Gpu]]:
    """What lists the GPUs that are present: those of a doctor report, or of None this machine's.

    Raises UsageError for a report beside a budget that is named: one of them would count for nothing.
    """
    refuse_report(report, vram, gpu)

    def listed() -> list[Gpu]:
        from planner.machine import present

        if report is None:
            return present.present_gpus()
        from planner.wire.machine import read_machine

        return [gpu for gpu in map(present.as_gpu, read_machine(Path(report)).gpus) if gpu is not None]

    return listed


def torch_of(
    report: str | Path | None, version: str | None = None, gpu: Gpu | None = None
) -> AbstractContextManager[None]:
    """Within it a version of torch counts, else that of a machine's report, where it names one; else this machine's.

    gpu: of several wheels of the version that with code for it counts. Raises UsageError for an unknown version.
    """
    if version is not None:
        from planner.catalog.torch_builds import judging
        from planner.catalog.torch_rules import build_named

        return judging(build_named(version, gpu.capability if gpu else None))
    if report is None:
        return nullcontext()
    from planner.catalog.torch_builds import build_in, judging
    from planner.wire.machine import read_machine

    return judging(build_in(read_machine(Path(report)).versions))


def with_host(budget: Budget, host_memory: str | int | None, report: str | Path | None = None) -> Budget:
    """The budget with the host's memory beside it: as given, else that of the machine whose GPU is planned for.

    host_memory: "32GB", bytes, or None. Of a budget or a card by name the host is another machine's, and stays unknown.
    report: of the machine, where it is not this one. Raises UsageError for no size.
    """
    if report is not None and budget.source == "device":
        budget = replace(budget, report=str(report))
    if host_memory is not None:
        size = check_size(host_memory) if isinstance(host_memory, int) else parse_size(host_memory)
        return replace(budget, host_bytes=size, host_source="given")
    if budget.source != "device":
        return budget
    if report is None:
        from planner.machine.allowance import usable_host_bytes

        found = usable_host_bytes()
    else:
        from planner.wire.machine import read_machine

        found = read_machine(Path(report)).host_usable_bytes
    return budget if found is None else replace(budget, host_bytes=found, host_source="machine")


def refuse_report(report: object, vram: object, gpu: object) -> None:
    """Raises UsageError for a report of a machine (`simulate_gpu`) beside a budget that is named."""
    if report is not None and (vram is not None or gpu is not None):
        raise UsageError(
            f"{'gpu' if vram is None else 'vram'} and simulate_gpu contradict each other.",
            "Give the machine or the budget; a GPU of the machine is named with device.",
        )


def _budget_named(name: str, value: str | int, headroom: Headroom, cards: list[Gpu]) -> tuple[Budget, tuple[str, ...]]:
    """One of several; `cards` are those present."""
    if name == "vram":
        return budget_of(value, None, None, headroom, list)
    if name == "gpu":
        return budget_of(None, str(value), None, headroom, list)
    return budget_of(None, None, value, headroom, lambda: cards)


def _parts(value: Several) -> list[str | int]:
    if isinstance(value, str):
        return [part.strip() for part in value.split(",")]
    return list(value) if isinstance(value, list | tuple) else [value]


def _sizes(value: Several) -> list[str | int]:
    """Sizes of several GPUs. A decimal comma is none: "2,5GB" is refused as a whole."""
    parts = _parts(value)
    if isinstance(value, str) and len(parts) > 1:
        try:
            for part in parts:
                parse_size(str(part))
        except UsageError:
            near = meant_size(value)
            raise UsageError(f"{value!r} is not a size.", f"{near}{SIZE_FORMS} Of several GPUs: 8GB,24GB.") from None
    return parts


def _freest(cards: list[Gpu], count: int | None) -> list[Gpu]:
    """So many of the GPUs that are present, those with most free memory, in their order; all without a number."""
    if not cards or (count is not None and len(cards) < count):
        known = ", ".join(f"{card.index}: {card.name}" for card in cards)
        raise UsageError(
            f"{count or 'Several'} GPUs were asked for and no budget was given; present on this machine: "
            f"{known or 'none'}.",
            'Ask for as many as there are, or pass budgets: --vram 8GB,24GB, or --gpu "RTX 3060,RTX 4090".',
        )
    freest = sorted(cards, key=lambda card: -(card.free_bytes or 0))[:count]
    return [card for card in cards if card in freest]


def _check_distinct(budgets: Sequence[Budget]) -> None:
    """Raises UsageError where a GPU that is present is named twice."""
    names = [(card.uuid, card.index) for budget in budgets if budget.source == "device" and (card := budget.gpu)]
    twice = next((index for uuid, index in names if names.count((uuid, index)) > 1), None)
    if twice is not None:
        raise UsageError(f"The GPU {twice} is named twice.", "Name each GPU once; --streams says how many run on it.")


def _kept(budget: Budget) -> tuple[str, ...]:
    """What to say where the headroom of a card's whole memory is less than its driver keeps."""
    if budget.headroom_bytes >= DRIVER_KEEPS * budget.total_bytes:
        return ()
    return ("the headroom is less than the up to 4 % of a card that its driver keeps for itself",)


def _asked(headroom: Headroom) -> str:
    return format_exact_size(headroom.bytes) if headroom.bytes else f"{headroom.percent:g} %"


def _checked(budget: Budget) -> Budget:
    if budget.usable_bytes <= 0:
        raise UsageError(
            f"A headroom of {_asked(budget.headroom)} leaves nothing of {format_exact_size(budget.total_bytes)}.",
            "Hold back less than the budget.",
        )
    return budget
