"""What a GPU can run at all, by its compute capability."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.nouns.words import Attention, Precision

if TYPE_CHECKING:
    from planner.catalog.torch_builds import TorchBuild

HALF_CAPABILITY = (8, 0)
"""bfloat16 and flash attention from Ampere on (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp)."""
CUDNN_CAPABILITY = (8, 0)


def why_unsupported(
    precision: Precision, attention: Attention, capability: tuple[int, int] | None, build: TorchBuild | None = None
) -> str | None:
    """Why a GPU of this capability cannot run the configuration, if it cannot (None: it can, or is not known).

    build: the torch that is to run it; left out, the one that is installed here, else the newest known.
    """
    if capability is None:
        return None
    from planner.catalog.torch_builds import why_no_code  # whoever plans for a budget alone needs it not

    return why_no_code(capability, build) or what_it_lacks(precision, attention, capability)


def what_it_lacks(precision: Precision, attention: Attention, capability: tuple[int, int] | None) -> str | None:
    """The same of the GPU itself, whatever torch has code for."""
    if capability is None:
        return None
    of = f"this GPU has {capability[0]}.{capability[1]}"
    if "bfloat16" in precision and capability < HALF_CAPABILITY:
        return f"bfloat16 needs compute capability 8.0, {of}"
    if attention == "flash" and capability < HALF_CAPABILITY:
        return f"flash attention needs compute capability 8.0, {of}"
    if attention == "cudnn" and capability < CUDNN_CAPABILITY:
        return f"cudnn attention needs compute capability 8.0, {of}"
    return None
