"""The Python API: plan, predict, and Plan with its files. The command line calls nothing else to plan.

The world's edges (the clock-free ones: which GPU is present, files of plans) are handed in here, so that
planning itself stays pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from planner.budgets import budget_of, gpus_of, torch_of, with_host
from planner.catalog.capability import what_it_lacks
from planner.catalog.torch_rules import build_named, check_code, said
from planner.commands import describe
from planner.domain import Choice, Provenance, Rejection, Suggestion
from planner.domain import Plan as PlainPlan
from planner.errors import EXIT_DOES_NOT_FIT, EXIT_FITS, PlannerError, UsageError
from planner.memory_model import MemoryModel
from planner.memory_model.current import known_model
from planner.memory_model.releases import check_tables
from planner.nouns.estimate import Estimate
from planner.nouns.request import Gpu, Pins, Request
from planner.nouns.run import Configuration, Workload, runtime_of
from planner.placeable import PlaceablePlan
from planner.planning import make_plan
from planner.planning.stock import OFFICIAL_PRECISION, OLDER_PRECISION
from planner.spelling import check_word
from planner.units import (
    check_size,
    format_size,
    parse_count,
    parse_frame_size,
    parse_frames,
    parse_headroom,
    parse_resolution,
    parse_size,
)
from planner.version import __version__
from planner.words import (
    ATTENTIONS,
    PRECISIONS,
    PREFERENCES,
    RUNTIMES,
    TASKS,
    VARIANTS,
    VERSIONS,
    Attention,
    PositionTables,
    Precision,
    Preference,
    Runtime,
    Task,
    Variant,
    Version,
)

__all__ = ["DoesNotFit", "Plan", "PlannerError", "plan", "predict", "predict_table"]

DEFAULT_FRAME_SIZE = (1080, 1920)
"""Assumed where no frame size is given, and said to be."""
HALF_PRECISIONS = ("float16", "bfloat16", "autocast_float16", "autocast_bfloat16")
MAXIMUM_TOP = 1000


class DoesNotFit(PlannerError):
    """Nothing fits: `rejected` has the rejections, nearest miss first, `suggestions` what was verified to help."""

    code = "does_not_fit"
    exit_code = EXIT_DOES_NOT_FIT

    def __init__(self, message: str, hint: str, rejected: Sequence[Rejection], suggestions: Sequence[Suggestion]):
        super().__init__(message, hint)
        self.rejected = tuple(rejected)
        self.suggestions = tuple(suggestions)


class Plan(PlaceablePlan):
    """The decision and everything that supports it. It can be saved, loaded, and placed on a cluster.

    Example:
        plan.save("plan.yaml")
        again = planner.Plan.load("plan.yaml")
        print(again.verdict, again.chosen, again.to_dict()["estimate"])
    """

    __slots__ = ()

    def __repr__(self) -> str:
        """The decision in a line; `to_dict` and `sam2-plan compare` have the rest."""
        usable = format_size(self.budget.usable_bytes)
        if self.chosen is None:
            return f"<Plan: {self.verdict}: nothing of {self.candidates:,} candidates in {usable}>"
        total = format_size(self.chosen.estimate.total_bytes)
        return f"<Plan: {self.verdict}: {describe(self.chosen.configuration)}; {total} of {usable}>"

    def _repr_html_(self) -> str:
        """What the command line prints, for notebooks."""
        from html import escape

        from planner.report.text import Style, plan_report

        return f"<pre>{escape(plan_report(self, Style()))}</pre>"

    def require(self) -> FittingPlan:
        """This plan, where it chose something. For type checkers its `chosen` and `estimate` are then not None.

        Raises DoesNotFit where nothing was chosen, and where the choice fits only tightly and the plan is strict.
        """
        if self.exit_code == EXIT_FITS:
            return cast("FittingPlan", self)
        if self.chosen is not None:
            raise DoesNotFit(
                "The choice fits only tightly, and the plan is strict.",
                "; ".join(self.warnings),
                self.rejected,
                self.suggestions,
            )
        nearest = self.rejected[0].reason if self.rejected else "no configuration is open"
        hint = "; ".join(f"{item.change}: {item.command}" for item in self.suggestions)
        raise DoesNotFit(f"Nothing fits. Nearest: {nearest}.", hint and f"Try: {hint}", self.rejected, self.suggestions)

    def to_dict(self) -> dict[str, Any]:
        """The plan as plain data, as `sam2-plan --format json` prints it."""
        from planner.wire.plan import PLAN

        return PLAN.write(self)

    def save(self, path: str | Path) -> None:
        """Write the plan, whole or not at all: as JSON where the name ends in .json, else as YAML.

        Raises EnvironmentFailure where the file cannot be written.
        """
        from planner.files import write
        from planner.wire.plan_file import plan_text

        write(Path(path), plan_text(self, Path(path).suffix.lower()))

    @classmethod
    def load(cls, path: str | Path) -> Plan:
        """The plan that was saved in a file.

        Raises FileError, which names the line and what to do, for a file that holds no plan.
        """
        from planner.wire.plan_file import read_plan

        return with_files(read_plan(Path(path)))


if TYPE_CHECKING:
    from planner.exact import Progress

    class FittingPlan(Plan):
        """A plan that chose something."""

        chosen: Choice

        @property
        def estimate(self) -> Estimate:
            """What the choice takes."""


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
    exact: bool = False,
    progress: Progress | None = None,
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
    exact: rehearse the choice, and what would be preferred to it and may fit, until the best that really fits is found
        (simulate, where nothing can be rehearsed). Answers are kept in the cache folder.
    progress: called with (number, most, method, configuration) before each of the at most 8 runs of an exact plan.

    Raises UsageError for a value that cannot be planned for. An exact plan raises EnvironmentFailure without torch or
    sam2, and Interrupted where the user stops it. A request that does not fit raises nothing: see Plan.require.

    Example:
        fast = planner.plan(task="image", gpu="RTX 3060", prefer="speed")
        print(fast.verdict, fast.estimate.total_bytes if fast.estimate else fast.rejected[0].reason)
    """
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention, prefer=prefer,
    )  # fmt: skip
    budget, warnings = budget_of(vram, gpu, device, parse_headroom(headroom), gpus_of(simulate_gpu, vram, gpu))
    budget = with_host(budget, host_memory, simulate_gpu)
    check_top(top)
    check_exact(exact, torch)
    with torch_of(simulate_gpu, torch, budget.gpu):
        model = known_model().on(budget.gpu, budget.total_bytes, torch)
        warnings += model.releases.notes(model.figures_of)
        provenance = provenance_of(model, torch)
        if exact:
            from planner.exact import exactly

            model, asked, notes = exactly(request, budget, model, strict, progress)
            provenance, warnings = replace(provenance, exact=asked), (*warnings, *notes)
        made = make_plan(request, budget, model, provenance, strict=strict, top=top, warnings=warnings, explain=explain)
    return with_files(made)


def predict(
    *,
    variant: Variant,
    resolution: tuple[int, int] | str | int = 1024,
    task: Task = "video",
    version: Version = "2.1",
    precision: Precision | None = None,
    attention: Attention = "auto",
    objects: int | str = 1,
    frames: int | str | None = None,
    frame_size: tuple[int, int] | str | None = None,
    object_batch: int | str | None = None,
    bounded_memory_bank: bool = True,
    offload_video: bool = False,
    offload_state: bool = False,
    gpu: str | None = None,
    vram: str | int | None = None,
    runtime: Runtime | None = None,
    torch: str | None = None,
    position_tables: PositionTables = "built",
    exact: bool = False,
    progress: Progress | None = None,
) -> Estimate:
    """The bytes that one configuration takes for a workload.

    variant, version, resolution, precision, attention: the configuration. Without a precision it is the official
        recipe: autocast_bfloat16, or autocast_float16 on a GPU without bfloat16.
    task, objects, frames, frame_size: the workload, as in plan.
    object_batch: objects per pass through the mask decoder, 1 by default; of automatic masks points, 64 by default.
    bounded_memory_bank: keep only what SAM 2 reads again; False means the stock predictor, as runtime="stock" does.
    offload_video, offload_state: keep decoded frames, or the memory bank, on the host.
    gpu: the name of a GPU, from which everything is taken that depends on the GPU.
    vram: a size such as "8GB", or bytes, of a GPU that is not named: the CUDA context is that of cards of this size.
        With neither gpu nor vram it may be the context of any current card, and the upper bound holds for all.
    runtime: whose code runs: "own" (what planner.load runs; the default), "stock" (the predictors of the sam2 package,
        which keep all frames and state) or "reimplementation" (a published one; image and video in float16).
    torch: as in plan.
    position_tables: when stock makes its tables of positions: "built" (with the model: sam2 since December 2024),
        "used" (at their first use: before) or "none" (forks without them).
    exact, progress: as in plan; for the runtime "own" only.

    Raises UsageError as plan does, for what the GPU cannot run, and where `torch` has no code for the GPU. That the
    installed torch has none is a note of the estimate.

    Example:
        estimate = planner.predict(variant="large", resolution=2048, task="image", precision="float16")
        print(estimate.allocated_bytes, estimate.total_bytes, estimate.upper_bytes)
    """
    precision = precision or usual_precision(gpu)
    bounded_memory_bank = bounded_memory_bank_of(runtime, bounded_memory_bank)
    configuration, workload = configuration_and_workload(
        variant=variant, resolution=resolution, task=task, version=version, precision=precision, attention=attention,
        objects=objects, frames=frames, frame_size=frame_size, object_batch=object_batch,
        bounded_memory_bank=bounded_memory_bank, offload_video=offload_video, offload_state=offload_state,
    )  # fmt: skip
    check_tables(position_tables, runtime or runtime_of(configuration))
    card, model = model_for(gpu, vram, torch, position_tables)
    if torch is not None:
        build_named(torch)  # which refuses a CUDA that no wheel is built with
    check_exact(exact, torch, runtime or runtime_of(configuration))
    if exact:
        from planner.exact import known_run

        model = known_run(configuration, workload, card, model, progress)
    capability, notes = None, model.releases.notes(model.figures_of)
    if card is not None:
        no_code = _checked_on(card, configuration, torch)
        capability, notes = card.capability, (*notes, *([no_code] if no_code else []))
    estimate = model.estimate(configuration, workload, capability, runtime)
    because = (*estimate.extrapolated_because, *notes)
    return replace(estimate, extrapolated=bool(because), extrapolated_because=because)


def model_for(
    gpu: str | None, vram: str | int | None, torch: str | None = None, position_tables: PositionTables = "built"
) -> tuple[Gpu | None, MemoryModel]:
    """The card of that name, if any, and the memory model for it, or for a card of that size.

    Raises UsageError for both, an unknown name, and no size.
    """
    if gpu is not None and vram is not None:
        raise UsageError("gpu and vram contradict each other.", "Name the GPU, or say how much memory it has.")
    card = _gpu(gpu)
    size = None if vram is None else check_size(vram) if isinstance(vram, int) else parse_size(vram)
    return card, known_model().on(card, size, torch, position_tables)


def check_exact(exact: bool, torch: str | None, runtime: Runtime = "own") -> None:
    """Raises UsageError for an exact answer about what is not installed here, or not ours."""
    if exact and torch is not None:
        raise UsageError(
            "exact runs the torch that is installed; torch names the rules of another.", "Leave one of the two out."
        )
    if exact and runtime != "own":
        raise UsageError(
            "Exact predictions are of the runtime own.",
            "Ask for it, or see: sam2-plan simulate --runtime stock, sam2-plan rehearse PLAN --runtime stock",
        )


def usual_precision(gpu: str | None = None) -> Precision:
    """The official recipe on the GPU of that name: in float16 where it has no bfloat16."""
    card = _gpu(gpu)
    lacking = what_it_lacks(OFFICIAL_PRECISION, "auto", card.capability if card else None)
    return OLDER_PRECISION if lacking else OFFICIAL_PRECISION


def _checked_on(card: Gpu, configuration: Configuration, torch: str | None) -> str | None:
    """Why the installed torch has no code for the card, if so.

    Raises UsageError where the card itself cannot run it, or the torch that was asked for has no code for it.
    """
    from planner.catalog.torch_builds import why_no_code

    if reason := what_it_lacks(configuration.precision, configuration.attention, card.capability):
        raise UsageError(
            f"{card.name} cannot run {configuration.precision} with {configuration.attention} attention: {reason}.",
            f"Leave the precision out ({usual_precision(card.name)} is predicted there), and attention auto.",
        )
    if torch is None:
        return why_no_code(card.capability) if card.capability else None
    if card.capability:
        check_code(torch, card.capability, card.name)
    return None


def bounded_memory_bank_of(runtime: Runtime | None, bounded: bool = True) -> bool:
    """The memory bank that goes with a runtime. Raises UsageError for an unknown runtime, or a contradiction."""
    if runtime is None:
        return bounded
    check_word(runtime, "runtime", RUNTIMES)
    if runtime != "stock" and not bounded:
        raise UsageError(
            f"The runtime {runtime} and an unbounded memory bank contradict each other.",
            "Only the stock predictor keeps everything: leave one of the two out.",
        )
    return runtime != "stock"


def predict_table(
    columns: dict[str, Any], *, task: Task, objects: Any = 1, frames: Any = None, frame_pixels: Any = 1080 * 1920
) -> dict[str, Any]:
    """The bytes of many configurations at once: 1-D int64 arrays by name, each as long as the longest column.

    columns: variant, precision (arrays of words, or one word), height and width (multiples of 32); optionally
        attention, object_batch, bounded_memory_bank, offload_video and offload_state.
    task: one for the whole table.
    objects, frames, frame_pixels: numbers or columns; frames None or 0 is a clip without end.

    Raises UsageError for a word or a column that is not known.

    Example:
        columns = {"variant": ["tiny", "large"], "precision": "float16", "height": 1024, "width": [1024, 576]}
        print(planner.predict_table(columns, task="image")["total_bytes"])
    """
    return known_model().on(None).predict(columns, task, objects, frames, frame_pixels)


def configuration_and_workload(
    *,
    variant: Variant,
    resolution: tuple[int, int] | str | int,
    task: Task,
    version: Version,
    precision: Precision,
    attention: Attention,
    objects: int | str,
    frames: int | str | None,
    frame_size: tuple[int, int] | str | None,
    object_batch: int | str | None,
    bounded_memory_bank: bool,
    offload_video: bool,
    offload_state: bool,
) -> tuple[Configuration, Workload]:
    """Checked nouns of loose values. Raises UsageError naming the value."""
    request = request_of(
        task=task, objects=objects, frames=frames, frame_size=frame_size, variant=variant, version=version,
        resolution=resolution, precision=precision, attention=attention,
    )  # fmt: skip
    pins = request.pins
    batch = 64 if task == "automask" else 1
    if object_batch is not None:
        batch = parse_count(object_batch, "objects per pass")
    assert pins.variant is not None
    assert pins.version is not None
    assert pins.resolution is not None
    assert pins.precision is not None
    configuration = Configuration(
        variant=pins.variant,
        version=pins.version,
        resolution=pins.resolution,
        precision=pins.precision,
        attention=pins.attention or "auto",
        object_batch=batch,
        bounded_memory_bank=bounded_memory_bank,
        offload_video=offload_video,
        offload_state=offload_state,
    )
    return configuration, request.workload


def request_of(
    *,
    task: Task,
    objects: int | str,
    frames: int | str | None,
    frame_size: tuple[int, int] | str | None,
    variant: Variant | None,
    version: Version | None,
    resolution: tuple[int, int] | str | int | None,
    precision: Precision | None,
    attention: Attention | None,
    prefer: Preference = "quality",
) -> Request:
    """A checked request of loose values, as plan takes them. Raises UsageError naming the value."""
    pins = _pins(variant, version, resolution, precision, attention)
    check_word(task, "task", TASKS)
    check_word(prefer, "preference", PREFERENCES)
    count = parse_count(objects, "objects")
    if task == "automask" and count != 1:
        raise UsageError(f"{count} objects cannot be asked for: automask finds them itself.", "Leave objects out.")
    if task != "video" and frames is not None:
        raise UsageError(f"frames={frames} is for videos; the task is {task}.", "Leave frames out, or use video.")
    size = DEFAULT_FRAME_SIZE
    if frame_size is not None:
        size = parse_frame_size("x".join(map(str, frame_size)) if isinstance(frame_size, tuple | list) else frame_size)
    workload = Workload(
        task=task, objects=count, frames=parse_frames(frames) if task == "video" else 1, frame_size=size
    )
    return Request(workload=workload, pins=pins, prefer=prefer, frame_size_assumed=frame_size is None)


def _pins(
    variant: Variant | None,
    version: Version | None,
    resolution: tuple[int, int] | str | int | None,
    precision: Precision | None,
    attention: Attention | None,
) -> Pins:
    words: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("variant", variant, VARIANTS),
        ("version", version, VERSIONS),
        ("precision", precision, PRECISIONS),
        ("attention", attention, ATTENTIONS),
    )
    for what, word, known in words:
        if word is not None:
            check_word(word, what, known)
    if attention in ("flash", "cudnn") and precision is not None and precision not in HALF_PRECISIONS:
        raise UsageError(
            f"{attention} attention and {precision} contradict each other: the kernel runs in half precision only.",
            "Use an autocast or half precision, or attention efficient, math or auto.",
        )
    if isinstance(resolution, tuple | list):
        resolution = "x".join(map(str, resolution))
    return Pins(
        variant=variant,
        version=version,
        resolution=None if resolution is None else parse_resolution(resolution),
        precision=precision,
        attention=attention,
    )


def _gpu(name: str | None) -> Gpu | None:
    if name is None:
        return None
    from planner.catalog.gpus import find_gpu

    return find_gpu(name).gpu


def check_top(top: int) -> None:
    """Raises UsageError for a number of entries that cannot be kept."""
    if isinstance(top, bool) or not 0 <= top <= MAXIMUM_TOP:
        raise UsageError(f"{top} alternatives cannot be kept.", f"Give a number from 0 to {MAXIMUM_TOP}.")


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


def with_files(made: PlainPlan) -> Plan:
    """The same plan, as one that can be saved."""
    return Plan(**{field.name: getattr(made, field.name) for field in fields(made)})
