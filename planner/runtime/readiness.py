"""Whether SAM 2 can run here at all, asked before a machine is given anything. Imports torch when it is called."""

from __future__ import annotations

from planner.errors import EnvironmentFailure


def require_ready(gpu: bool) -> None:
    """Raise EnvironmentFailure where torch or sam2 cannot be imported; gpu: and where torch sees no GPU."""
    try:
        import sam2  # noqa: F401
        import torch
    except ImportError as error:
        hint = 'Run pip install "sam2-plan[run]" there.'
        raise EnvironmentFailure(f"torch or sam2 cannot be imported: {error}.", hint) from None
    if gpu and not torch.cuda.is_available():
        raise EnvironmentFailure(
            "A GPU was given to the process, and torch sees none.",
            "Install the driver there, and a torch that is built for CUDA; or use --device cpu.",
        )
