"""Which attention kernel a GPU would choose. Pure rules after PyTorch's sources; needs no torch.

What the kernels take beside their outputs stands in kernels.py.
"""

from __future__ import annotations

from planner.errors import UsageError

HALF_TYPES = ("float16", "bfloat16")
_FLASH_MAXIMUM_HEAD = 256
"""aten/src/ATen/native/transformers/cuda/sdp_utils.cpp, check_head_dim_size_flash."""


def choose_attention(
    *,
    capability: tuple[int, int],
    dtype: str,
    head_dim: int,
    masked: bool = False,
    forced: str = "auto",
    prefer_cudnn: bool = True,
) -> str:
    """flash, efficient, cudnn or math, as torch picks for one call.

    `prefer_cudnn`: of a release whose cuDNN is new enough (planner.catalog.torch_rules), it goes first on 9.0 and 10.0.

    `dtype` as in "float16"; `head_dim` of query, key and value, which is one number in SAM 2. A forced kernel that
    this GPU, type or head dimension excludes raises UsageError, as torch raises "No available kernel".
    Source: aten/src/ATen/native/transformers/cuda/sdp_utils.cpp (priority_order, can_use_*).
    """
    possible = [
        name for name in ("flash", "efficient", "cudnn", "math") if _can_use(name, capability, dtype, head_dim, masked)
    ]
    if forced != "auto":
        if forced not in possible:
            raise UsageError(
                f"Attention {forced!r} cannot run in {dtype} with head dimension {head_dim} on compute capability "
                f"{capability[0]}.{capability[1]}.",
                f"Possible there: {', '.join(possible)}; or leave attention at auto.",
            )
        return forced
    first = prefer_cudnn and capability[0] in (9, 10) and capability[1] in (0, 3)
    order = ("cudnn", "flash", "efficient", "math") if first else ("flash", "efficient", "math")
    return next(name for name in order if name in possible)


def _can_use(name: str, capability: tuple[int, int], dtype: str, head_dim: int, masked: bool) -> bool:
    half = dtype in HALF_TYPES
    if name == "flash":
        return capability >= (8, 0) and half and not masked and head_dim <= _FLASH_MAXIMUM_HEAD
    if name == "efficient":
        typed = dtype in ("float16", "float32") or (dtype == "bfloat16" and capability >= (8, 0))
        return capability >= (5, 0) and typed and head_dim % (8 if half else 4) == 0
    if name == "cudnn":
        return capability >= (8, 0) and half and head_dim <= 256 and head_dim % 8 == 0
    return True
