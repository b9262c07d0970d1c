"""Files of tensors, read without running anything that they may contain."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch


def read_tensors(path: Path, *, mapped: bool = False) -> Any:
    """What torch.save wrote, on the host. Raises pickle.UnpicklingError for a file that holds more than plain data.

    `mapped`: pages of the file are read when they are used; only for torch's zip format.
    """
    with warnings.catch_warnings():
        # Of the pickle's protocol, which is torch's affair.
        warnings.simplefilter("ignore")
        return torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
