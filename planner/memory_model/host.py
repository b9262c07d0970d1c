"""What a run holds in the host's memory, by component: sums of arrays of known sizes and of one assumed allowance.

Nothing here is fitted. What decides is the largest stretch of a run: loading the weights, the frames, tracking. Masks
that a caller keeps, and those that automatic masks find, depend on caller and picture, and are not counted.
"""

from __future__ import annotations

from planner.catalog import Catalog
from planner.memory_model import arrays
from planner.nouns.estimate import Component
from planner.nouns.run import Configuration, Transformers, Workload
from planner.nouns.words import OTHER_RUNTIMES, Runtime

PROCESS_BYTES = 550_000_000
"""Assumed: what a process takes that has imported torch 2.14.1 and sam2, on a CPU (docs/log.md). What CUDA adds is not
known."""
PICTURES = 8
"""Source pictures at once: at work, two ready and one being made (planner/runtime/shots.py, AHEAD), two decoded
before they are wanted (planner/sources/folders.py, DECODERS), and two whose masks are being written
(planner/outputs/behind.py, DEPTH)."""
PREPARED = 4
"""Resized frames at once: the first four of these."""
WRITTEN = 3
"""Frames whose masks are on the host at once: at work, and the two being written. Those at work come through pinned
memory (planner/runtime/cuda.py, to_host)."""
REMEMBERED = 8
"""Memory features of one object with the bank on the host: the prompted frame, six before, and the seventh, which only
a correction reads (planner/runtime/memory_bank.py). With the bank on the GPU the seventh alone is here."""
CHANNELS = 3
PICTURE_COPIES = 2
"""sam2's transforms and ours hold a picture as it is and as float32 (SAM2Transforms: ToTensor)."""
UNKNOWN_RUNTIME = "what a published re-implementation keeps on the host was not published"


Stretches = dict[str, tuple[Component, ...]]


def host_components(
    configuration: Configuration,
    workload: Workload,
    runtime: Runtime,
    catalog: Catalog,
    *,
    async_loading: bool = False,
    transformers: Transformers | None = None,
) -> tuple[Component, ...] | None:
    """What the host holds at its peak, as components with bytes above zero; None where nothing is known of `runtime`.

    async_loading: of stock's init_state. transformers: how that runtime is called. A clip without end has no peak where
    all is kept: estimates refuse it, and here it counts as one frame.
    """
    if runtime == "reimplementation":
        return None
    if runtime in OTHER_RUNTIMES:
        found = _others(configuration, workload, runtime, catalog, transformers or Transformers())
    else:
        found = stretches(configuration, workload, runtime, catalog, async_loading)
    largest = max(found.values(), key=_sum)
    return Component("process", PROCESS_BYTES, "assumed"), *(part for part in largest if part.bytes)


def host_bytes(configuration: Configuration, workload: Workload, runtime: Runtime, catalog: Catalog) -> int | None:
    """The sum of host_components; None where it is not known."""
    found = host_components(configuration, workload, runtime, catalog)
    return None if found is None else _sum(found)


def stretches(
    configuration: Configuration, workload: Workload, runtime: Runtime, catalog: Catalog, async_loading: bool = False
) -> Stretches:
    """What the host holds beside the process, of "own" or "stock", by stretch of the run: the largest is its peak."""
    weights = catalog.shapes[configuration.variant].parameters * arrays.FLOAT32
    if runtime == "own":
        # The file is mapped, and its pages become the parameters (planner/runtime/weights.py).
        return {"loading": (_loaded(weights),), "running": _own(configuration, workload)}
    # build_sam2 makes the model on the CPU, and load_state_dict copies a second set of weights into it.
    found = {"loading": (_loaded(2 * weights),)}
    if workload.task != "video":
        return found | {"running": _stock_picture(workload)}
    return found | _stock_video(configuration, workload, async_loading)


def _others(
    configuration: Configuration, workload: Workload, runtime: Runtime, catalog: Catalog, transformers: Transformers
) -> Stretches:
    """Of transformers and Ultralytics; the weights are read once, from a file that is mapped."""
    weights = catalog.shapes[configuration.variant].parameters * arrays.FLOAT32
    found = {"loading": (_loaded(weights),)}
    height, width = workload.frame_size
    picture, count = height * width * CHANNELS, workload.frames or 1
    if workload.task != "video" or runtime == "ultralytics" or transformers.streaming:
        # A picture as it is and as float32; masks leave as float32 at its size.
        one = picture * (1 + arrays.FLOAT32 * PICTURE_COPIES)
        kept = _kept_by_transformers(configuration, workload) if runtime == "transformers" else {}
        return found | {
            "running": _parts(
                frames=one + kept.get("frames", 0),
                bank=kept.get("bank", 0),
                masks=workload.objects * height * width * arrays.FLOAT32,
            )
        }
    # The clip as it was decoded, and with its channels first (BaseVideoProcessor._prepare_input_videos).
    clip = 2 * count * picture
    pixels = configuration.resolution[0] * configuration.resolution[1]
    prepared = 0
    if transformers.processing_device == "cpu":
        prepared = count * (arrays.prepared_frame(pixels, height * width, max) - picture)
    kept = _kept_by_transformers(configuration, workload)
    return found | {
        "frames": _parts(frames=clip + round(prepared)),
        "tracking": _parts(frames=count * picture + kept["frames"], bank=kept["bank"]),
    }


def _kept_by_transformers(configuration: Configuration, workload: Workload) -> dict[str, int]:
    """What its session keeps on the host of a video."""
    if workload.task != "video":
        return {"frames": 0, "bank": 0}
    pixels = configuration.resolution[0] * configuration.resolution[1]
    half = configuration.precision in ("float16", "bfloat16")
    frame = round(arrays.frames(1, pixels)) // (2 if half else 1)
    variant, precision = configuration.variant, configuration.precision
    everything, on_gpu = (arrays.transformers_state(variant, pixels, precision, off) for off in (False, True))
    count = workload.frames or 1
    return {
        "frames": count * frame if configuration.offload_video else 0,
        "bank": count * workload.objects * round(everything - on_gpu) if configuration.offload_state else 0,
    }


def _own(configuration: Configuration, workload: Workload) -> tuple[Component, ...]:
    height, width = workload.frame_size
    pixels = configuration.resolution[0] * configuration.resolution[1]
    picture = height * width * CHANNELS
    if workload.task != "video":
        masks = height * width * (1 if workload.task == "automask" else 2 * workload.objects)
        return _parts(frames=picture * (1 + arrays.FLOAT32 * PICTURE_COPIES), masks=masks)
    one = _pinned(round(arrays.memory_per_frame(pixels)))
    prepared = _pinned(pixels * CHANNELS)
    return _parts(
        frames=workload.streams * (PICTURES * picture + PREPARED * prepared),
        bank=workload.remembered_objects * one * (REMEMBERED if configuration.offload_state else 1),
        masks=WRITTEN * workload.remembered_objects * height * width + workload.objects * _pinned(height * width),
    )


def _stock_picture(workload: Workload) -> tuple[Component, ...]:
    height, width = workload.frame_size
    picture = height * width * CHANNELS * (1 + arrays.FLOAT32 * PICTURE_COPIES)
    # SAM2ImagePredictor.predict returns its candidates as float32.
    returned = workload.objects * arrays.CANDIDATE_MASKS * arrays.FLOAT32 if workload.task == "image" else 1
    return _parts(frames=picture, masks=height * width * returned)


def _stock_video(configuration: Configuration, workload: Workload, async_loading: bool) -> Stretches:
    pixels = configuration.resolution[0] * configuration.resolution[1]
    count = workload.frames or 1
    # The whole clip is stacked on the host before any of it moves, and each frame decoded as float64
    # (load_video_frames and _load_img_as_tensor, sam2/utils/misc.py).
    frame, decoded = round(arrays.frames(1, pixels)), 2 * round(arrays.frames(1, pixels))
    clip = count * frame
    if async_loading:
        # One by one as they are decoded, and kept where they are wanted (AsyncVideoFrameLoader).
        clip = count * decoded if configuration.offload_video else 0
    kept = clip if configuration.offload_video else 0
    found = {"frames": _parts(frames=clip + decoded)}
    if not configuration.offload_state:
        return found
    # Features and small masks go to the storage device, pointers stay on the GPU (_run_single_frame_inference).
    small = round(arrays.low_resolution_mask(pixels))
    memory = round(arrays.memory_per_frame(pixels))
    # Masks of a prompted frame are put together there at the video's size, and one is resized on the way
    # (_consolidate_temp_output_across_obj).
    consolidated = round(arrays.output_masks(workload.objects + 2, workload.frame_size[0] * workload.frame_size[1]))
    found["prompting"] = _parts(frames=kept, bank=workload.objects * small, masks=consolidated)
    found["tracking"] = _parts(frames=kept, bank=count * workload.objects * (memory + small))
    return found


def _loaded(size_bytes: int) -> Component:
    return Component("weights being loaded", size_bytes, "derived")


def _parts(frames: int = 0, bank: int = 0, masks: int = 0) -> tuple[Component, ...]:
    named = {"frames": frames, "memory bank": bank, "masks": masks}
    return tuple(Component(name, size, "derived") for name, size in named.items())


def _sum(components: tuple[Component, ...]) -> int:
    return sum(part.bytes for part in components)


def _pinned(size_bytes: int) -> int:
    """What torch takes for a tensor in pinned memory: the next power of two.

    aten/src/ATen/core/CachingHostAllocator.h.
    """
    return 1 << (size_bytes - 1).bit_length()
