"""What fused attention takes for a call beside its output, by shapes. Exact where the source is; pure.

Log-sum-exp is an output of the fused operations, so a trace that follows outputs has it already; the buffers of
split-KV and of the wide efficient kernel are made inside and no trace of outputs sees them.
"""

from __future__ import annotations

FLOAT_BYTES = 4
FLASH_QUERIES_PER_BLOCK = 64
"""kBlockM of the split-KV kernels. set_params_splitkv in
https://github.com/pytorch/pytorch/blob/ef3d5c9ebba11dac3e988f00b7aad0f2a147cf26/aten/src/ATen/native/transformers/cuda/flash_attn/flash_api.cpp"""
FLASH_MOST_SPLITS = 128
"""The last argument of num_splits_heuristic there."""
EFFICIENT_ALIGNMENT = 32
"""kAlignLSE: the efficient kernel's log-sum-exp is padded to it. kernel_forward.h in
https://github.com/pytorch/pytorch/blob/v2.6.0/aten/src/ATen/native/transformers/cuda/mem_eff_attention/kernel_forward.h"""
EFFICIENT_WIDEST_IN_REGISTERS = 128
"""Head dimension above which the efficient kernel no longer keeps its output in registers on capability 8.0 and later
(kSingleValueIteration = kMaxK <= kKeysPerBlock, same file; the generated kernels are 64x64, 64x128 and 32x128)."""


def log_sum_exp_bytes(kernel: str, batch: int, heads: int, queries: int) -> int:
    """Bytes of the log-sum-exp that the fused operation returns; `kernel` is flash, efficient or cudnn.

    Inference asks the efficient kernel for none (compute_log_sumexp is whether a gradient is wanted), in which case
    its tensor is empty; this is what it takes when asked.
    """
    if kernel == "efficient":
        queries = -(-queries // EFFICIENT_ALIGNMENT) * EFFICIENT_ALIGNMENT
    elif kernel not in ("flash", "cudnn"):
        return 0
    return batch * heads * queries * FLOAT_BYTES


def flash_split_bytes(
    batch: int, heads: int, queries: int, keys: int, head_dim: int, multiprocessors: int
) -> tuple[int, int]:
    """Bytes of flash attention's two split-KV buffers: partial log-sum-exp and partial outputs; (0, 0) unsplit.

    Few queries leave multiprocessors idle; the kernel then splits the keys and keeps a float32 output for each split.
    """
    splits = flash_splits(batch, heads, queries, keys, head_dim, multiprocessors)
    if splits <= 1:
        return (0, 0)
    rounded_dim = -(-head_dim // 32) * 32
    rows = splits * batch * heads * queries
    return (rows * FLOAT_BYTES, rows * rounded_dim * FLOAT_BYTES)


def flash_splits(batch: int, heads: int, queries: int, keys: int, head_dim: int, multiprocessors: int) -> int:
    """Into how many parts flash attention splits the keys (num_splits_heuristic, same file).

    The fewest parts that reach 85 % of the best occupancy; 1 where the queries alone fill the GPU.
    """
    keys_per_block = 256 if head_dim <= 64 else 128 if head_dim <= 128 else 64
    key_blocks = -(-keys // keys_per_block)
    work = batch * heads * -(-queries // FLASH_QUERIES_PER_BLOCK)
    slots = multiprocessors * 2  # 128 threads a block: two fit a multiprocessor
    if work >= 0.8 * slots:
        return 1
    efficiency = {}
    for splits in range(1, min(FLASH_MOST_SPLITS, slots, key_blocks) + 1):
        if splits == 1 or -(-key_blocks // splits) != -(-key_blocks // (splits - 1)):
            waves = work * splits / slots
            efficiency[splits] = waves / -(-work * splits // slots)
    best = max(efficiency.values(), default=0.0)
    return next((splits for splits, reached in efficiency.items() if reached >= 0.85 * best), 1)


def efficient_accumulator_bytes(batch: int, heads: int, queries: int, head_dim: int, element_bytes: int) -> int:
    """Bytes of the efficient kernel's float32 accumulator: for wide heads in half precision.

    float32 accumulates in the output itself (kNeedsOutputAccumulatorBuffer in kernel_forward.h).
    """
    if head_dim <= EFFICIENT_WIDEST_IN_REGISTERS or element_bytes >= FLOAT_BYTES:
        return 0
    return batch * heads * queries * head_dim * FLOAT_BYTES


CUDNN_SPLIT_KEYS = 4096
"""Keys from which cuDNN's attention on capability 10.0 splits them; CUDNN_SPLIT_QUERIES is what it wants more of."""
CUDNN_SPLIT_QUERIES = 128


def cudnn_attention_workspace_bytes(
    capability: tuple[int, int],
    batch: int,
    heads: int,
    queries: int,
    keys: int,
    head_dim: int,
    multiprocessors: int,
) -> int:
    """Bytes that the plan of cuDNN's attention takes for a call, in inference.

    Rehearsed: read off what cuDNN 9.24 says of 39 shapes without a device, and equal for all of them. 9.0: a constant.
    10.0: few queries leave multiprocessors idle; many keys are then split, into a power of two of parts, each with its
    float32 output and two float32 sums a row.
    """
    if capability[0] == 9:
        return 256
    if capability[0] != 10 or keys < CUDNN_SPLIT_KEYS or queries <= CUDNN_SPLIT_QUERIES:
        return 0
    tile = 128 if head_dim > 128 else 256
    possible = multiprocessors // (batch * heads * -(-queries // tile))
    splits = 1 << max(0, possible.bit_length() - 1)
    return splits * batch * heads * queries * (head_dim + 2) * FLOAT_BYTES + 128 if splits > 1 else 0


REDUCE_ONE_TILE = 4096
"""Elements that cub counts in one block, without a buffer."""
SELECT_TILE, SELECT_EXTRA_TILES, TILE_STATE_BYTES = 1280, 32, 16
CUB_ALIGNMENT = 256


def count_buffer_bytes(count: int, multiprocessors: int) -> int:
    """Bytes that cub takes to count what is not zero among `count` elements (DeviceReduce: a number for each block).

    Rehearsed, with six blocks to a multiprocessor and five waves; 1 where one block does it.
    """
    return 1 if count <= REDUCE_ONE_TILE else _cub_bytes(multiprocessors * 6 * 5 * 4)


def select_buffer_bytes(count: int) -> int:
    """Bytes that cub takes to list what is not zero (DeviceSelect: a state for each tile). Rehearsed."""
    return _cub_bytes((-(-count // SELECT_TILE) + SELECT_EXTRA_TILES) * TILE_STATE_BYTES)


def _cub_bytes(size: int) -> int:
    return -(-size // CUB_ALIGNMENT) * CUB_ALIGNMENT + CUB_ALIGNMENT - 1
