"""The bytes of one configuration, or of a table of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from planner.api.asking import (
    bounded_memory_bank_of,
    check_exact,
    configuration_and_workload,
    named_gpu,
    object_batch_of,
)
from planner.catalog.capability import what_it_lacks
from planner.catalog.runtimes import check_keep_all, check_run
from planner.catalog.torch_rules import build_named, check_code
from planner.errors import UsageError
from planner.memory_model import MemoryModel
from planner.memory_model.current import known_model
from planner.memory_model.releases import check_tables
from planner.nouns.estimate import Estimate
from planner.nouns.request import Gpu
from planner.nouns.run import Configuration, Run, Transformers, runtime_of
from planner.nouns.words import (
    OTHER_RUNTIMES,
    PROCESSING_DEVICES,
    Attention,
    PositionTables,
    Precision,
    ProcessingDevice,
    Runtime,
    Task,
    Variant,
    Version,
    package_of,
)
from planner.planning.stock import OFFICIAL_PRECISION, OLDER_PRECISION
from planner.text.packages import installed_version
from planner.text.spelling import check_word
from planner.text.units import (
    check_size,
    parse_size,
)

if TYPE_CHECKING:
    from planner.api.exact import Progress


def predict(
    *,
    variant: Variant,
    resolution: tuple[int, int] | str | int | None = None,
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
    streaming: bool = False,
    processing_device: ProcessingDevice = "cuda",
    keep_all: bool = False,
    exact: bool = False,
    progress: Progress | None = None,
) -> Estimate:
    """The bytes that one configuration takes for a workload.

    variant, version, resolution, precision, attention: the configuration. Without a precision it is the official
        recipe: autocast_bfloat16, or autocast_float16 on a GPU without bfloat16. Without a resolution it is that of the
        checkpoints: 1024. Beside SAM 2's variants there are "edgetam" and "sam3_tracker" (SAM 3 without its detector,
        at 1008), of the runtime "transformers".
    task, objects, frames, frame_size: the workload, as in plan.
    object_batch: objects per pass through the mask decoder, 1 by default; of automatic masks points, 64 by default.
    bounded_memory_bank: keep only what SAM 2 reads again; False means the stock predictor, as runtime="stock" does.
    offload_video, offload_state: keep decoded frames, or the memory bank, on the host (transformers:
        video_storage_device and inference_state_device).
    gpu: the name of a GPU, from which everything is taken that depends on the GPU.
    vram: a size such as "8GB", or bytes, of a GPU that is not named: the CUDA context is that of cards of this size.
        With neither gpu nor vram it may be the context of any current card, and the upper bound holds for all.
    runtime: whose code runs: "own" (what planner.load runs; the default), "stock" (the predictors of the sam2 package,
        which keep all frames and state), "transformers" or "ultralytics" (their own predictors, at 1024x1024 and at
        imgsz), or "reimplementation" (a published one; image and video in float16).
    streaming, processing_device: of transformers: frames are given one by one; where a whole clip is prepared.
    keep_all: of Ultralytics: every frame's memory stays (clear_non_cond_mem=False).
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
    check_keep_all(keep_all, runtime or "own")
    bounded_memory_bank = bounded_memory_bank_of(runtime, bounded_memory_bank and not keep_all)
    object_batch = object_batch_of(runtime, task, objects, object_batch)
    configuration, workload = configuration_and_workload(
        variant=variant, resolution=resolution, task=task, version=version, precision=precision, attention=attention,
        objects=objects, frames=frames, frame_size=frame_size, object_batch=object_batch,
        bounded_memory_bank=bounded_memory_bank, offload_video=offload_video, offload_state=offload_state,
    )  # fmt: skip
    check_tables(position_tables, runtime or runtime_of(configuration))
    check_word(processing_device, "device", PROCESSING_DEVICES)
    ways = Transformers(streaming=streaming, processing_device=processing_device)
    run = Run(
        runtime=runtime or runtime_of(configuration), configuration=configuration, workload=workload, transformers=ways
    )
    check_run(run)
    card, model = model_for(gpu, vram, torch, position_tables)
    if torch is not None:
        build_named(torch)  # which refuses a CUDA that no wheel is built with
    check_exact(exact, torch, runtime or runtime_of(configuration))
    if exact:
        from planner.api.exact import known_run

        model = known_run(configuration, workload, card, model, progress)
    capability, notes = None, model.releases.notes(model.figures_of)
    if card is not None:
        no_code = _checked_on(card, configuration, torch)
        capability, notes = card.capability, (*notes, *([no_code] if no_code else []))
    estimate = model.estimate(configuration, workload, capability, run.runtime, ways)
    because = (*estimate.extrapolated_because, *notes, *_other_release(run.runtime, model))
    return replace(estimate, extrapolated=bool(because), extrapolated_because=because)


def _other_release(runtime: Runtime, model: MemoryModel) -> tuple[str, ...]:
    """That another release of a package of its own is installed than the figures are of."""
    if runtime not in OTHER_RUNTIMES:
        return ()
    package = package_of(runtime)
    fitted, installed = model.coefficients.versions.get(package), installed_version(package)
    if installed in (None, fitted):
        return ()
    return (f"the figures are of {package} {fitted}, and {installed} is installed: simulate traces that",)


def model_for(
    gpu: str | None, vram: str | int | None, torch: str | None = None, position_tables: PositionTables = "built"
) -> tuple[Gpu | None, MemoryModel]:
    """The card of that name, if any, and the memory model for it, or for a card of that size.

    Raises UsageError for both, an unknown name, and no size.
    """
    if gpu is not None and vram is not None:
        raise UsageError("gpu and vram contradict each other.", "Name the GPU, or say how much memory it has.")
    card = named_gpu(gpu)
    size = None if vram is None else check_size(vram) if isinstance(vram, int) else parse_size(vram)
    return card, known_model().on(card, size, torch, position_tables)


def usual_precision(gpu: str | None = None) -> Precision:
    """The official recipe on the GPU of that name: in float16 where it has no bfloat16."""
    card = named_gpu(gpu)
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
