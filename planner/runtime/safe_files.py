"""Files of tensors, read without running anything that they may contain."""

from __future__ import annotations

import json
import struct
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


def safe_tensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a safetensors file, on the host; pages of the file are read when they are used.

    For a file whose list planner.catalog.weight_files has looked into. Raises OSError, ValueError or RuntimeError.
    """
    with path.open("rb") as file:
        length = struct.unpack("<Q", file.read(8))[0]
        entries = json.loads(file.read(length))
    size = path.stat().st_size
    pages = torch.UntypedStorage.from_file(str(path), False, size)
    found = {}
    for name, entry in entries.items():
        if name == "__metadata__" or entry["dtype"] not in _SAFE_TYPES:
            continue
        begin, end = (8 + length + offset for offset in entry["data_offsets"])
        # Bytes first, whose offset may be any; what does not lie at a multiple of its size is copied.
        raw = torch.empty(0, dtype=torch.uint8).set_(pages, begin, (end - begin,), (1,))  # type: ignore[arg-type]
        dtype = _SAFE_TYPES[entry["dtype"]]
        aligned = raw if begin % dtype.itemsize == 0 else raw.clone()
        found[name] = aligned.view(dtype).reshape(entry["shape"])
    return found


_SAFE_TYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
"""The types that weights may have, by the words of the format."""
