"""Official checkpoints: their names, their sums, and what a file holds, found without torch and without running it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from planner.catalog.variants import check_source
from planner.documents import Fields, read
from planner.domain import VARIANTS, VERSIONS, Configuration
from planner.errors import FileError
from planner.locations import profiles_folder

BLOCKS = {12: "tiny", 16: "small", 24: "base_plus", 48: "large"}
"""Blocks of the image encoder (sam2/configs, sum of stages)."""
BLOCK_PREFIX = "image_encoder.trunk.blocks."
NEWER_ONLY = "no_obj_embed_spatial"
"""A weight that version 2.1 has and 2.0 has not."""
EXPECTED = "image_encoder.trunk.patch_embed.proj.weight"
HEX_DIGITS = 64
_CHUNK_BYTES = 2**22
_INDEX_BYTES = 2**20
"""An official file's list of tensors takes 0.1 MB."""


@dataclass(frozen=True, slots=True)
class Held:
    """What a checkpoint file holds, by the names of its tensors."""

    variant: str | None
    """One of VARIANTS; None for a number of blocks that none has."""
    version: str
    """One of VERSIONS."""


def official_name(configuration: Configuration) -> str:
    """File name of the official checkpoint (sam2.build_sam.HF_MODEL_ID_TO_FILENAMES)."""
    return f"{_family(configuration)}_hiera_{configuration.variant}.pt"


def local_path(configuration: Configuration, checkpoint: str | Path) -> Path:
    """Where `checkpoint`, a file or a folder of official files, would be; it need not be there."""
    # os.path, because pathlib raises for a user that is not known and a folder that may not be looked into.
    path = Path(os.path.expanduser(checkpoint))
    return path / official_name(configuration) if os.path.isdir(path) else path


def official_hub_id(configuration: Configuration) -> str:
    """The id of the official checkpoint on the hub (sam2.build_sam.HF_MODEL_ID_TO_FILENAMES)."""
    return f"facebook/{_family(configuration)}-hiera-{configuration.variant.replace('_', '-')}"


def _family(configuration: Configuration) -> str:
    return "sam2.1" if configuration.version == "2.1" else "sam2"


@lru_cache(maxsize=1)
def official_sums() -> dict[tuple[str, str], str]:
    """SHA-256 by (variant, version), from profiles/checkpoints.yaml. Raises FileError if that is broken."""
    path = profiles_folder() / "checkpoints.yaml"
    fields = Fields(read(path), str(path), "the list of checkpoints")
    sources = {name for name, _ in fields.fields("sources").named()}
    sums: dict[tuple[str, str], str] = {}
    for entry in fields.entries("checkpoints"):
        check_source(entry, sources)
        sums[entry.text("variant", VARIANTS), entry.text("version", VERSIONS)] = entry.text("sha256")
    return sums


def sum_of(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """SHA-256 of a file in hexadecimal; `progress(done, total)` in bytes. Raises FileError."""
    import hashlib

    digest = hashlib.sha256()
    try:
        total, done = path.stat().st_size, 0
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                done += len(chunk)
                if progress:
                    progress(done, max(done, total))
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Check the path and its permissions.") from None
    return digest.hexdigest()


def held_by(path: Path) -> Held | None:
    """What a checkpoint holds; None where it is no zip archive of torch's, or lists no weights of SAM 2.

    The list is read as opcodes, none of which is carried out: a file that would run code runs none here.
    """
    import lzma
    import pickletools
    import zipfile
    import zlib

    try:
        with zipfile.ZipFile(path) as archive:
            name = next((name for name in archive.namelist() if name.endswith("/data.pkl")), None)
            if name is None:
                return None
            with archive.open(name) as file:
                index = file.read(_INDEX_BYTES)
        return held_of({word for code, word, _ in pickletools.genops(index) if "UNICODE" in code.name})
    except (
        OSError, ValueError, KeyError, NotImplementedError, RuntimeError, EOFError,
        zipfile.BadZipFile, zlib.error, lzma.LZMAError,
    ):  # fmt: skip
        return None  # damaged, encrypted, or packed in a way that torch does not use


def held_of(names: Iterable[object]) -> Held | None:
    """The variant and version whose weights have these names; None for other names."""
    texts = {name for name in names if isinstance(name, str)}
    if EXPECTED not in texts:
        return None
    blocks = {name.split(".")[3] for name in texts if name.startswith(BLOCK_PREFIX)}
    return Held(BLOCKS.get(len(blocks)), "2.1" if NEWER_ONLY in texts else "2.0")
