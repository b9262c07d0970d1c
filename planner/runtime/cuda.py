"""CUDA, started, on a device that has its index; memory that ran out, by whatever error; pinned memory, if any.

Half of torch.cuda's functions start CUDA when they are first called and take a device without an index; the other
half do neither, and say so in words that help nobody ("Invalid device argument"). So a device is brought here before
it goes anywhere else.
"""

from __future__ import annotations

import gc

import torch

from planner.errors import EnvironmentFailure

SIGNS = ("out of memory", "can't allocate memory", "not enough memory", "STATUS_ALLOC_FAILED")
"""Signs of memory that ran out, where torch's error has no type of its own: the driver for a context or pinned memory,
the host's allocator, cuBLAS and cuDNN for what they allocate themselves."""


def out_of_memory(error: RuntimeError) -> str | None:
    """What torch says, where `error` means that a device's memory, or the host's, ran out."""
    text = str(error)
    if isinstance(error, torch.OutOfMemoryError) or any(sign in text for sign in SIGNS):
        return text.splitlines()[0] if text else "out of memory"
    return None


def started(device: torch.device) -> torch.device:
    """The device by its index, CUDA started; one that is not CUDA's as it is.

    Raises EnvironmentFailure where CUDA cannot be started.
    """
    if device.type != "cuda":
        return device
    try:
        torch.cuda.init()
        return torch.device("cuda", torch.cuda.current_device() if device.index is None else device.index)
    except (RuntimeError, AssertionError) as error:  # AssertionError: this torch was built without CUDA
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
        raise EnvironmentFailure(
            f"CUDA cannot be started on this machine: {reason}.", "Check the driver with nvidia-smi, or use a CPU."
        ) from None


def host_tensor(shape: tuple[int, ...], dtype: torch.dtype, *, pinned: bool) -> torch.Tensor:
    """A tensor on the host without values; in pinned memory, if that is wanted and there is any.

    Pinned memory makes copies faster and no more than that: where the driver has none left, other memory does.
    """
    if pinned:
        try:
            return torch.empty(shape, dtype=dtype, pin_memory=True)
        except RuntimeError as error:
            if out_of_memory(error) is None:
                raise
    return torch.empty(shape, dtype=dtype)


def to_host(values: torch.Tensor) -> torch.Tensor:
    """The values on the host, from a GPU in pinned memory: not there before wait_for(device)."""
    if values.device.type != "cuda":
        return values.cpu()
    kept = host_tensor(tuple(values.shape), values.dtype, pinned=True)
    return kept.copy_(values, non_blocking=kept.is_pinned())


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done what was asked of it on the current stream; elsewhere all is done already."""
    if device.type == "cuda":
        torch.cuda.current_stream(device).synchronize()


def give_back(device: torch.device) -> None:
    """Give back what nothing holds any more: the allocator's cache and cuBLAS' workspaces, and pinned memory.

    Whatever else this process has on the device stays: a workspace is taken again when it is needed.
    """
    gc.collect()  # modules refer to themselves
    if device.type == "mps":
        torch.mps.empty_cache()
    if device.type != "cuda" or not torch.cuda.is_initialized():
        return
    with torch.cuda.device(device):
        torch.cuda.synchronize()
        for name in ("_cuda_clearCublasWorkspaces", "_host_emptyCache"):
            # They have no public name; a torch without them keeps some megabytes.
            getattr(torch._C, name, lambda: None)()
        torch.cuda.empty_cache()
