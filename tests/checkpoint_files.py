"""Checkpoints as torch writes them, made without torch: all weights by name and shape, of one element on disk."""

from __future__ import annotations

import io
import json
import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.catalog.weight_names import PICTURE_POSITIONS, in_transformers, is_video_only, needed_tensors

LEGACY_HEAD = (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True})


@dataclass(frozen=True)
class Name:
    """A name of a module's, which pickles as such whether or not the module is there."""

    module: str
    name: str


@dataclass(frozen=True)
class Fake:
    """A tensor whose elements are all the same one."""

    shape: tuple[int, ...]
    storage: str = "FloatStorage"


class Pickler(pickle._Pickler):
    """Pickles as torch.save does."""

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, Name):
            self.write(f"c{obj.module}\n{obj.name}\n".encode())
        elif isinstance(obj, Fake):
            self.save(Name("torch._utils", "_rebuild_tensor_v2"))
            self.write(b"(")
            self.save(("storage", Name("torch", obj.storage), "0", "cpu", 1))
            self.write(b"Q")
            for part in (0, obj.shape, (0,) * len(obj.shape), False, {}):
                self.save(part)
            self.write(b"tR")
        else:
            super().save(obj, save_persistent_id)


def pickled(content: Any) -> bytes:
    file = io.BytesIO()
    Pickler(file, 2).dump(content)
    return file.getvalue()


def weights(variant: str, version: str = "2.1", storage: str = "FloatStorage") -> dict[str, Fake]:
    """All weights of a variant, by their official names."""
    return {name: Fake(shape, storage) for name, shape in needed_tensors(variant, version).items()}


def of_transformers(variant: str, version: str = "2.1", *, video: bool = True) -> dict[str, Fake]:
    """All weights of a variant, by transformers' names; without `video` those of Sam2Model."""
    found = {PICTURE_POSITIONS: Fake((2, 128))}
    for name, shape in needed_tensors(variant, version).items():
        if video or not is_video_only(name):
            called = in_transformers(name)
            found[called.name] = Fake(shape if called.row is None else (4, *shape[1:]))
    return found


def zipped(path: Path, content: Any) -> Path:
    """As torch.save writes since 1.6."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled(content))
        archive.writestr("archive/data/0", bytes(8))
    return path


def legacy(path: Path, content: Any) -> Path:
    """As torch.save wrote before."""
    parts = (*LEGACY_HEAD, content, ["0"])
    path.write_bytes(b"".join(map(pickled, parts)) + struct.pack("<q", 1) + bytes(4))
    return path


def safetensors(path: Path, tensors: dict[str, Fake], head: int = 0) -> Path:
    """One after the other, all zeros: sparse on disk. The list takes `head` bytes at least."""
    offset, entries = 0, {}
    for name, tensor in tensors.items():
        size = 2
        for side in tensor.shape:
            size *= side
        entries[name] = {"dtype": "F16", "shape": tensor.shape, "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps({"__metadata__": {"format": "pt"}, **entries}).encode().ljust(head)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        file.truncate(8 + len(text) + offset)
    return path
