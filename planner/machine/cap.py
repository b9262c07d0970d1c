"""The cap of a worker that shares a GPU: where it comes from, and what it leaves the allocator.

Arithmetic only, without torch: limiting.py applies it. Schedulers hand out shares of a GPU's memory, but Ray, Slurm
and KAI enforce none of them; a worker that keeps to its cap fails alone where it needs more.
"""

from __future__ import annotations

from collections.abc import Mapping

from planner.errors import OutOfMemory, UsageError
from planner.nouns.machine import CAP_VARIABLE
from planner.text.units import SIZE_FORMS, parse_size


class CapWarning(UserWarning):
    """A cap that was asked for and cannot be enforced."""


def cap_from(environment: Mapping[str, str]) -> int | None:
    """The cap in bytes; None where there is none. Raises UsageError for one that cannot be read."""
    text = environment.get(CAP_VARIABLE, "")
    if not text.strip():
        return None
    try:
        return parse_size(text)
    except UsageError as error:
        raise UsageError(f"{CAP_VARIABLE} is {text!r}, which is not a cap. {error.message}", SIZE_FORMS) from None


def context_beside(process_bytes: int | None, reserved_bytes: int, otherwise_bytes: int) -> int:
    """What this process takes beside its allocator; `otherwise_bytes` where nobody says what it takes."""
    return otherwise_bytes if process_bytes is None else max(0, process_bytes - reserved_bytes)


def allocator_bytes(cap_bytes: int, context_bytes: int) -> int:
    """What a cap leaves the caching allocator beside the CUDA context. Raises OutOfMemory where that is nothing."""
    if cap_bytes <= context_bytes:
        raise OutOfMemory(
            f"The cap of {cap_bytes:,} bytes is no more than the context of {context_bytes:,} alone.",
            "Allow the process more, or plan for fewer processes on this GPU.",
        )
    return cap_bytes - context_bytes
