"""Files that hold weights, looked into without torch: torch's zip format, the one before it, and safetensors.

safetensors may be split, with an index beside the parts, as transformers does with large models.

What is none of these is named: a pointer of Git LFS, a web page, a picture, a program. Nothing of a file is run.
"""

from __future__ import annotations

import json
import lzma
import math
import os
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

from planner.catalog.pickles import ITEM_BYTES, RunsCode, Tensor, Unreadable, read_pickle
from planner.errors import FileError

ZIP, LEGACY, SAFETENSORS, SHARDED = "zip", "legacy", "safetensors", "sharded"
INDEX_ENDING = ".index.json"
"""How the name of the index of split weights ends."""
INDEX_BYTES = 2**24
"""Largest list of contents that is read: an official file's takes 0.1 MB."""
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""torch/serialization.py, MAGIC_NUMBER."""
AGAIN = "Download it again: sam2-plan checkpoints lists the official files."
CUT = "is cut short or damaged"
_SAFE_TYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip
"""The words of the format (its README, "Format"), and torch's for them."""
_BEGINNINGS: tuple[tuple[bytes, str, str], ...] = (
    (b"version https://git-lfs", "is a pointer of Git LFS, not the file that it stands for", "Run git lfs pull."),
    (b"<!doctype html", "is a web page, not a checkpoint: an error or a log-in came in its place", AGAIN),
    (b"<html", "is a web page, not a checkpoint: an error or a log-in came in its place", AGAIN),
    (b"<?xml", "is a server's answer (XML), not a checkpoint", AGAIN),
    (b"\x89png", "is a picture (PNG), not a checkpoint", "See that INPUT and --checkpoint are not exchanged."),
    (b"\xff\xd8\xff", "is a picture (JPEG), not a checkpoint", "See that INPUT and --checkpoint are not exchanged."),
    (b"\x1f\x8b", "is packed (gzip)", "Unpack it and give the file inside."),
    (b"7z\xbc\xaf", "is packed (7z)", "Unpack it and give the file inside."),
    (b"\xfd7zxz", "is packed (xz)", "Unpack it and give the file inside."),
    (b"gguf", "is a GGUF file, of another program", "Give the weights as the sam2 package saves them (.pt)."),
    (b"\x93numpy", "is an array of numpy's", "Give the weights as the sam2 package saves them (.pt)."),
)
"""What a file begins with, in lower case; what it is; the way out."""
_OTHER_PROGRAMS = {".onnx": "an ONNX graph", ".engine": "a TensorRT engine", ".tflite": "a TensorFlow Lite graph"}


@dataclass(frozen=True, slots=True)
class Contents:
    """What a file holds."""

    form: str
    """ZIP, LEGACY, SAFETENSORS or SHARDED."""
    tree: Any
    """Dicts, lists and plain data as they were saved, with `Tensor`s in place of tensors."""
    intact: Mapping[str, int] | None = None
    """In the zip format, the bytes that are there of each storage, by its key."""
    files: Mapping[str, Path] | None = None
    """Of split weights, the file of each, by its name."""


def refusal(path: Path, what: str, hint: str) -> FileError:
    """The error for a file that cannot be used; `what` goes on from its name."""
    return FileError(f"{path} {what}.", hint)


def shown(name: str) -> str:
    """A name out of a file, as a message may show it: a terminal must not obey it."""
    return "".join(letter if letter.isprintable() else "?" for letter in name[:100])


def look_into(path: Path) -> Contents:
    """What a file of weights holds, without running it. Raises FileError that names what it is instead."""
    if path.name.endswith(INDEX_ENDING):
        return _sharded(path)
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(512)
            if head.startswith(b"PK\x03\x04"):
                return _zip(path)
            if head[8:9] == b"{":
                return _safetensors(path, head, size)
            if head.startswith(b"\x80"):
                return _legacy(path, BytesIO(head + file.read(INDEX_BYTES)), size)
    except OSError as error:
        raise refusal(
            path, f"cannot be read: {error.strerror or error}", "Check the path and its permissions."
        ) from None
    except RunsCode as error:
        raise _program(path, error.name) from None
    except Unreadable as error:
        raise refusal(path, f"cannot be read as a checkpoint: {error}", error.hint or AGAIN) from None
    raise _something_else(path, head, size)


def _zip(path: Path) -> Contents:
    """What torch.save writes since 1.6: NAME/data.pkl, and a record NAME/data/KEY for each storage."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            index = next((name for name in names if name.endswith("/data.pkl")), None)
            root = "" if index is None else index.removesuffix("data.pkl")
            if index is None:
                raise refusal(path, "is a zip archive, but none of torch's", "Unpack it; give the .pt file inside.")
            if f"{root}constants.pkl" in names:
                raise refusal(
                    path, "is a program (TorchScript), not weights", "Give the weights: what state_dict() returns."
                )
            with archive.open(index) as file:
                listed = BytesIO(file.read(INDEX_BYTES))
            stored = [one for one in archive.infolist() if one.compress_type == zipfile.ZIP_STORED]
            intact = {one.filename.removeprefix(f"{root}data/"): one.file_size for one in stored}
    except (OSError, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError, zipfile.BadZipFile,
            zlib.error, lzma.LZMAError):  # fmt: skip
        raise refusal(path, CUT, AGAIN) from None
    return Contents(ZIP, read_pickle(listed), intact)


def _legacy(path: Path, file: BytesIO, size: int) -> Contents:
    """What torch.save wrote before: five pickles (magic number, protocol, system, content, keys), then storages."""
    if read_pickle(file) != LEGACY_MAGIC:
        raise refusal(path, "is a pickle, but none of torch.save's", "Save it again: torch.save(state_dict, FILE).")
    for _ in range(2):
        read_pickle(file)
    tree = read_pickle(file)
    read_pickle(file)
    storages = {tensor.storage for tensor in tensors_of(tree) if tensor.storage}
    needed = file.tell() + sum(8 + one.items * ITEM_BYTES.get(one.type, 1) for one in storages)
    if size < needed:
        raise refusal(path, f"is cut short: {size:,} bytes, where its list speaks of {needed:,}", AGAIN)
    return Contents(LEGACY, tree)


def _safetensors(path: Path, head: bytes, size: int) -> Contents:
    """A length of 8 bytes, so much JSON {name: {dtype, shape, data_offsets}}, and the tensors' bytes."""
    length = struct.unpack("<Q", head[:8])[0]
    if length > min(size - 8, INDEX_BYTES):
        raise refusal(path, CUT, AGAIN)
    with path.open("rb") as file:
        file.seek(8)
        text = file.read(length)
    try:
        entries = {name: entry for name, entry in json.loads(text).items() if name != "__metadata__"}
        found = {name: _safe_tensor(entry, 8 + length, size) for name, entry in entries.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refusal(path, f"{CUT}: its list of tensors does not hold", AGAIN) from None
    return Contents(SAFETENSORS, found)


def _safe_tensor(entry: Mapping[str, Any], start: int, size: int) -> Tensor:
    """A tensor by its entry, in a file of `size` bytes whose tensors begin at `start`."""
    begin, end = entry["data_offsets"]
    shape, word = tuple(map(int, entry["shape"])), _SAFE_TYPES.get(entry["dtype"], str(entry["dtype"]))
    items = math.prod(shape)
    if not 0 <= begin <= end <= size - start or (word in ITEM_BYTES and end - begin != items * ITEM_BYTES[word]):
        raise ValueError("beyond the file")
    return Tensor(shape, word, begin=start + begin)


def shards_of(path: Path) -> dict[str, Path]:
    """The file of each weight by its name, from the index of split weights: they lie beside it. Raises FileError."""
    try:
        with path.open("rb") as file:
            index = json.loads(file.read(INDEX_BYTES))["weight_map"]
        names = {str(name): os.fspath(shard) for name, shard in index.items()}
    except OSError as error:
        raise refusal(
            path, f"cannot be read: {error.strerror or error}", "Check the path and its permissions."
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise refusal(path, f"{CUT}: it is no list of files by weights", AGAIN) from None
    for shard in sorted(set(names.values())):
        if os.path.basename(shard) != shard or not shard.endswith(".safetensors"):
            raise refusal(
                path,
                f"names {shown(shard)!r}, which is no safetensors file beside it",
                "Save the weights again: model.save_pretrained(FOLDER).",
            )
        if not os.path.isfile(path.with_name(shard)):
            raise refusal(path, f"names {shown(shard)}, which is not there", "Copy all parts into one folder.")
    return {name: path.with_name(shard) for name, shard in names.items()}


def parts_of(path: Path) -> tuple[Path, ...]:
    """The files that hold the weights: the file itself, or those that an index names, in their order."""
    return tuple(sorted(set(shards_of(path).values()))) if path.name.endswith(INDEX_ENDING) else (path,)


def _sharded(path: Path) -> Contents:
    """What the files hold that an index names, as if it were one."""
    files = shards_of(path)
    trees = {}
    for part in sorted(set(files.values())):
        found = look_into(part)
        if found.form != SAFETENSORS:
            raise refusal(part, "is not safetensors", "Save the weights again: model.save_pretrained(FOLDER).")
        trees[part] = found.tree
    lacking = [name for name, part in files.items() if name not in trees[part]]
    if lacking:
        raise refusal(files[lacking[0]], f"lacks {shown(lacking[0])}, which {path.name} names", AGAIN)
    return Contents(SHARDED, {name: trees[part][name] for name, part in files.items()}, files=files)


def bytes_of(path: Path, contents: Contents, name: str, tensor: Tensor) -> bytes:
    """What a small tensor of a file holds, which must not be of the format before zip files. Raises FileError."""
    wanted = math.prod(tensor.shape) * ITEM_BYTES[tensor.type]
    try:
        if tensor.begin is not None:
            with (contents.files or {}).get(name, path).open("rb") as file:
                file.seek(tensor.begin)
                found = file.read(wanted)
        else:
            assert tensor.storage is not None
            with zipfile.ZipFile(path) as archive:
                record = next(one for one in archive.namelist() if one.endswith(f"/data/{tensor.storage.key}"))
                with archive.open(record) as file:
                    file.seek(tensor.items * ITEM_BYTES[tensor.type] - wanted)
                    found = file.read(wanted)
    except (OSError, ValueError, RuntimeError, StopIteration, EOFError, NotImplementedError, zipfile.BadZipFile):
        found = b""
    if len(found) != wanted:
        raise refusal(path, f"{CUT}: the bytes of {shown(name)} are missing", AGAIN)
    return found


def tensors_of(tree: Any) -> Iterator[Tensor]:
    """All tensors in what was saved."""
    waiting, seen = [tree], set()
    while waiting:
        value = waiting.pop()
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, (dict, list, tuple)) and id(value) not in seen:
            seen.add(id(value))  # a pickle may hold a thing a thousand times, or in itself
            waiting.extend(value.values() if isinstance(value, dict) else value)


def _program(path: Path, name: str) -> FileError:
    """The error for a pickle that names a thing of a program."""
    if name.startswith("ultralytics."):
        return refusal(
            path,
            f"was refused: it is a whole program of ultralytics ({shown(name)}), not weights alone",
            "Nothing of it was run. Give an official checkpoint, or the weights that were trained, saved alone.",
        )
    return refusal(
        path,
        f"was refused: it holds more than weights ({shown(name)})",
        'Nothing of it was run. In the program that wrote it, save the weights alone: torch.save({"model": '
        "model.state_dict()}, FILE).",
    )


def _something_else(path: Path, head: bytes, size: int) -> FileError:
    """The error for a file that is in none of the three forms."""
    if not size:
        return refusal(path, "is empty", AGAIN)
    start = head.lstrip().lower() if head[:1] in b" \r\n\t<" else head.lower()
    for beginning, what, hint in _BEGINNINGS:
        if start.startswith(beginning):
            return refusal(path, what, hint)
    if head[257:262] == b"ustar":
        return refusal(path, "is an archive (tar)", "Unpack it and give the file inside.")
    if not head.strip(b"\0"):
        return refusal(path, "begins with nothing but zeros: a download that did not end", AGAIN)
    program = _OTHER_PROGRAMS.get(os.path.splitext(path.name)[1].lower())
    if program:
        return refusal(path, f"is {program}, of another program", "Give the weights as the sam2 package saves them.")
    if all(byte in b"\t\n\r" or 32 <= byte < 127 for byte in head):
        return refusal(path, "is text, not a checkpoint", "Give a .pt file of torch's, or .safetensors.")
    return refusal(path, "is no checkpoint of a kind that is known", "Give a .pt file of torch's, or .safetensors.")
