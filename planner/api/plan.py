"""`planner.plan`: the world's edges, such as which GPU is present, are handed in here; planning itself stays pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from planner.api.asking import check_exact, check_top, request_of
from planner.api.budgets import budget_of, gpus_of, torch_of, with_host
from planner.api.plans import Plan, with_files
from planner.catalog.torch_rules import said
from planner.errors import UsageError
from planner.memory_model import MemoryModel
from planner.memory_model.current import known_model
from planner.nouns.plan import Provenance
from planner.nouns.words import (
    Attention,
    Precision,
    Preference,
    Runtime,
    Task,
    Variant,
    Version,
)
from planner.planning import make_plan
from planner.text.units import (
    parse_headroom,
)
from planner.version import __version__

if TYPE_CHECKING:
    from planner.api.exact import Progress


def plan(
    *,
    task: Task = "video",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    vram: str | int | None = None,
    gpu: str | None = None,
    device: str | int | None = None,
    variant: Variant | None = None,
    version: Version | None = None,
    resolution: tuple[int, int] | str | int | None = None,
    precision: Precision | None = None,
    attention: Attention | None = None,
    prefer: Preference = "quality",
    headroom: str = "auto",
    top: int = 6,
    strict: bool = False,
    explain: bool = False,
    simulate_gpu: str | Path | None = None,
    host_memory: str | int | None = None,
    torch: str | None = None,
    runtimes: Sequence[Runtime] = (),
    exact: bool = False,
    progress: Progress | None = None,
    streams: int | str = 1,
) -> Plan:
    """The best configuration that fits, as a Plan.

    task: "video", "image" or "automask" (all masks of a picture).
    objects: how many are tracked in a video, or prompted in a picture.
    frames: length of the clip; None or "unlimited" is a clip without end (video only).
    frame_size: (height, width) of the source in pixels, or "1080x1920", which is assumed where none is given.
    vram, gpu, device: the budget, said in one way: a size such as "2GB" or bytes; the name of a GPU; or the index or
        UUID of a GPU of this machine, whose free memory counts. With none of them a GPU of this machine is taken.
    variant, version, resolution, precision, attention: pins, which are never overridden.
    prefer: what best means: "quality", "speed" or "balanced".
    headroom: what to hold back of the budget: "auto" (5 %), "none", a size or a percentage.
    top: how many alternatives to keep.
    strict: count a choice that fits only tightly as a failure; what surely fits is then preferred to accuracy.
    explain: keep every candidate in Plan.explained, with why it was or was not chosen.
    simulate_gpu: a report of `sam2-plan doctor --format json`, whose GPUs stand in for this machine's.
    host_memory: what the host has for the run, such as "16GB" or bytes. None: this machine's memory where the plan is
        for a GPU of this machine, and not known elsewhere.
    torch: the release whose rules count (workspaces, copies by autocast, code for the GPU), such as "2.11". None: the
        installed one, else the newest known.
    runtimes: "transformers", "ultralytics" or both: say in Plan.others what they would need, and where they run out.
    exact: rehearse the choice, and what would be preferred to it and may fit, until the best that really fits is found
        (simulate, where nothing can be rehearsed). Answers are kept in the cache folder.
    streams: how many clips of this kind one process tracks at once (video only): the weights once, a memory bank for
        each. Session.track and `sam2-plan run` do so.
    progress: called with (number, most, method, configuration) before each of the at most 8 runs of an exact plan.

    Raises UsageError for a value that cannot be planned for. An exact plan raises EnvironmentFailure without torch or
    sam2, and Interrupted where the user stops it. A request that does not fit raises nothing: see Plan.require.

    Example:
        fast = planner.plan(task="image", gpu="RTX 3060", prefer="speed")
        print(fast.verdict, fast.estimate.total_bytes if fast.estimate else fast.rejected[0].reason)
    """
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention, prefer=prefer, streams=streams,
    )  # fmt: skip
    if exact and request.workload.streams > 1:
        raise UsageError("An exact plan is of one clip at a time.", "Leave exact out, or rehearse the plan.")
    budget, warnings = budget_of(vram, gpu, device, parse_headroom(headroom), gpus_of(simulate_gpu, vram, gpu))
    budget = with_host(budget, host_memory, simulate_gpu)
    check_top(top)
    check_exact(exact, torch)
    with torch_of(simulate_gpu, torch, budget.gpu):
        model = known_model().on(budget.gpu, budget.total_bytes, torch)
        warnings += model.releases.notes(model.figures_of)
        provenance = provenance_of(model, torch)
        if exact:
            from planner.api.exact import exactly

            model, asked, notes = exactly(request, budget, model, strict, progress)
            provenance, warnings = replace(provenance, exact=asked), (*warnings, *notes)
        made = make_plan(
            request,
            budget,
            model,
            provenance,
            strict=strict,
            top=top,
            warnings=warnings,
            explain=explain,
            runtimes=runtimes,
        )
    return with_files(made)


def provenance_of(model: MemoryModel, torch: str | None = None) -> Provenance:
    """Where the figures of a model come from; torch: the version whose rules were asked for."""
    coefficients = model.coefficients
    asked = {} if torch is None else {"torch_rules": said(model.releases.torch.release)}
    return Provenance(
        profiles=coefficients.profiles,
        memory_model=coefficients.memory_model,
        # What the figures are of: those of another release may be others.
        versions={"sam2-plan": __version__, **coefficients.versions, **asked},
    )
