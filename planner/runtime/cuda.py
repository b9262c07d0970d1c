"""CUDA, started, on a device that has its index.

Half of torch.cuda's functions start CUDA when they are first called and take a device without an index; the other
half do neither, and say so in words that help nobody ("Invalid device argument"). So a device is brought here before
it goes anywhere else.
"""

from __future__ import annotations

import torch

from planner.errors import EnvironmentFailure


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
