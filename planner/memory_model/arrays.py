"""Sizes of the arrays that SAM 2's code is known to hold, in bytes.

Each function is arithmetic only and takes Python numbers or numpy arrays alike. A resolution of H x W has
H*W pixels and H*W/256 tokens (stride 16, image_embedding of 256 channels). Sources are modules of
facebookresearch/sam2 at 2b90b9f.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from planner.catalog.variants import Shape
from planner.nouns.words import Precision, Runtime, Task, Variant, Width

Number = Any
"""An int or float, or a numpy array of them."""

TOKEN_PIXELS = 256
SAM3_TOKEN_PIXELS = 14 * 14
"""Of SAM 3, whose patches are of 14 pixels."""
MASK_PIXELS_OF_TOKEN = 16
"""Of the low-resolution mask, four a side, in SAM 2 and in SAM 3."""
EDGETAM_LATENTS = 512
"""What EdgeTAM makes of one memory: perceiver_resampler_num_latents and _2d (transformers,
models/edgetam_video/configuration_edgetam_video.py)."""
EMBEDDING_CHANNELS = 256
MEMORY_CHANNELS = 64
"""Channels of memory features: mem_dim of sam2/configs/*.yaml."""
MEMORY_FRAMES = 7
"""num_maskmem, sam2/modeling/sam2_base.py: one conditioning frame and six before the current one."""
POINTER_FRAMES = 16
"""max_obj_ptrs_in_encoder, sam2/modeling/sam2_base.py."""
POINTER_TOKENS = 64
"""16 pointers of 256 channels, split into 4 tokens of 64 each."""
GRID_POINTS = 32 * 32
"""points_per_side of SAM2AutomaticMaskGenerator, squared."""
CANDIDATE_MASKS = 3
"""Masks of one point (num_multimask_outputs, sam2/modeling/sam/mask_decoder.py)."""
ENLARGED_BYTES = 64 * 2**20
"""What the own runtime lets automatic masks take at the picture's size (planner/runtime/automatic.py)."""
VIDEO_PARAMETERS = 7_520_753
"""Parameters of memory attention, memory encoder and object pointers (counted in sam2 1.1.0, version 2.1, the same in
every variant): the own runtime leaves them out for images and automatic masks (planner/runtime/network.py, place), and
transformers has a model without them (Sam2Model)."""
FLOAT32, HALF = 4, 2
SCORE_BYTES = FLOAT32 * 2 + 1
"""Of one score where math attention holds it: itself, its softmax, and whether it is infinite (_safe_softmax of
aten/src/ATen/native/transformers/attention.cpp, since torch 2.5). Rehearsed: 1.12 times the two alone."""
SMALL_BLOCK = 1 << 20
"""Bytes of the largest block of the allocator's small pool: kSmallSize (planner/simulator/rules.py has the line)."""
WEIGHT_BYTES: dict[Width, int] = {"half": HALF, "autocast": FLOAT32, "float32": FLOAT32}
"""Bytes of one parameter, by the width of precisions; the narrowest first."""


def weight_bytes(runtime: Runtime, width: Width) -> int:
    """Bytes of one parameter on the GPU. The own runtime casts what autocast would cast, all but a thousandth, once.

    See planner/runtime/network.py, CAST_WHOLE.
    """
    return HALF if (runtime, width) == ("own", "autocast") else WEIGHT_BYTES[width]


def weights(runtime: Runtime, task: Task, parameters: Number, item_bytes: int) -> Number:
    """Weights on the GPU."""
    left_out = VIDEO_PARAMETERS if runtime in ("own", "transformers") and task != "video" else 0
    return (parameters - left_out) * item_bytes


def weights_of(shape: Shape, runtime: Runtime, task: Task, item_bytes: int) -> Number:
    """The same of a variant: of a model that is not SAM 2, what its own model for pictures has."""
    if shape.picture_parameters is not None:
        return (shape.parameters if task == "video" else shape.picture_parameters) * item_bytes
    return weights(runtime, task, shape.parameters, item_bytes)


def frames(count: Number, pixels: Number) -> Number:
    """Decoded frames: float32, three channels (sam2/utils/misc.py, load_video_frames)."""
    return count * pixels * 3 * FLOAT32


def memory_per_frame(pixels: Number) -> Number:
    """Memory features of one object and frame: always bfloat16 (sam2_video_predictor.py, _run_memory_encoder)."""
    return pixels / TOKEN_PIXELS * MEMORY_CHANNELS * HALF


def pointer() -> int:
    """The object pointer of one object and frame, at its widest."""
    return EMBEDDING_CHANNELS * FLOAT32


def low_resolution_mask(pixels: Number) -> Number:
    """The mask of one object and frame at a quarter of each side, float32."""
    return pixels / 16 * FLOAT32


def stock_state(pixels: Number) -> Number:
    """What the stock predictor keeps for ever of one object and frame: 0.787 MB at 1024x1024."""
    return memory_per_frame(pixels) + low_resolution_mask(pixels) + pointer()


def transformers_state(variant: Variant, pixels: Number, precision: Precision, offload_state: bool) -> Number:
    """What transformers keeps for ever on the GPU of one object and frame: 4.98 MB at 1024x1024 in float32.

    Masks at the model's size and at a quarter of it, the pointer and a score, in the precision of the model; memory
    features in bfloat16, and under autocast to float16 their positions too, cast anew for each frame. On the host go
    the masks alone (Sam2VideoInferenceSession.store_output: what is assigned later, the features, stays; transformers
    5.24). Rehearsed byte for byte.

    EdgeTAM keeps no masks at the model's size, and of each memory its latents and their positions, in the type of the
    masks; all but pointer and score go to the host with the masks: 0.26 MB in bfloat16, 514 bytes on the GPU then.
    """
    item_bytes = FLOAT32 if precision == "float32" else HALF
    # Under autocast pointers are float32: they are mixed with a parameter.
    pointer_bytes = EMBEDDING_CHANNELS * (HALF if precision in ("float16", "bfloat16") else FLOAT32) + item_bytes
    tokens = pixels / (SAM3_TOKEN_PIXELS if variant == "sam3_tracker" else TOKEN_PIXELS)
    small = tokens * MASK_PIXELS_OF_TOKEN * item_bytes
    if variant == "edgetam":
        latents = EDGETAM_LATENTS * MEMORY_CHANNELS * 2 * item_bytes
        return pointer_bytes + (0 if offload_state else small + latents)
    features = tokens * MEMORY_CHANNELS * HALF * (2 if precision == "autocast_float16" else 1)
    masks = 0 if offload_state else pixels * item_bytes + small
    return features + masks + pointer_bytes


KEPT_BY_ULTRALYTICS = 9
"""Frames whose state Ultralytics keeps when it prunes: the prompted one and eight more (8.4.190, rehearsed). Of each
frame it keeps what transformers keeps, masks at the model's size among it."""


def prepared_frame(pixels: Number, frame_pixels: Number, maximum: Callable[[Number, Number], Number]) -> Number:
    """What preparing one frame of a whole clip takes at the peak, on the device that does it.

    The clip as it comes is there, and either a float32 copy of it and the resized clip, or the resized clip in 8 bits
    and twice in float32 (Sam2VideoVideoProcessor: resize, rescale and normalise; transformers 5.24).
    """
    source, resized = frame_pixels * 3, pixels * 3
    return source + maximum(source * FLOAT32 + resized * FLOAT32, resized * (1 + 2 * FLOAT32))


def prepared_segments(pixels: Number, frame_pixels: Number, where: Callable[[Any, Number, Number], Number]) -> Number:
    """The same as the allocator reserves it.

    The second float32 copy takes the place of the source's, where that holds it and the resized clip in 8 bits, which
    is there first.
    """
    source, resized = frame_pixels * 3, pixels * 3
    again = where(source * FLOAT32 >= resized * (1 + FLOAT32), 0, resized * FLOAT32)
    return source * (1 + FLOAT32) + resized * FLOAT32 + again


def read_state(pixels: Number, memories: Number, pointers: Number) -> Number:
    """What SAM 2 reads of one object's past: memories and pointers of so many frames, and the current mask."""
    return memories * memory_per_frame(pixels) + pointers * pointer() + low_resolution_mask(pixels)


def encoder_scores(pixels: Number, heads: Number) -> Number:
    """Scores of one full-frame attention of the encoder, and what is made of them, where math attention holds them.

    In float32 whatever the precision is: the kernel casts half types up (_scaled_dot_product_attention_math of
    aten/src/ATen/native/transformers/attention.cpp, allowFP16BF16ReductionMathSDP).
    """
    tokens = pixels / TOKEN_PIXELS
    return heads * tokens * tokens * SCORE_BYTES


def memory_scores(pixels: Number, memories: Number) -> Number:
    """Scores of memory attention over so many frames for one object, and what is made of them, as above.

    Nine objects in float32 at 1024x1024 ask for 3.95 GiB at once (ultralytics issue 18211): the scores alone.
    """
    tokens = pixels / TOKEN_PIXELS
    return tokens * (memories * tokens + POINTER_TOKENS) * SCORE_BYTES


def lengthening_scores(pixels: Number, memories: Number) -> Number:
    """Those of one memory, of two, up to so many, together: each is longer than any block that the last one left."""
    tokens = pixels / TOKEN_PIXELS
    return tokens * (memories * (memories + 1) / 2 * tokens + memories * POINTER_TOKENS) * SCORE_BYTES


def kept_masks(pixels: Number) -> Number:
    """Low-resolution masks of all points of the automatic masks' grid, if every mask is kept, float32.

    SAM2AutomaticMaskGenerator concatenates them batch by batch (sam2/automatic_mask_generator.py, _process_crop).
    """
    return GRID_POINTS * CANDIDATE_MASKS * low_resolution_mask(pixels)


def output_masks(count: Number, frame_pixels: Number) -> Number:
    """Masks at the source's size, float32."""
    return count * frame_pixels * FLOAT32
