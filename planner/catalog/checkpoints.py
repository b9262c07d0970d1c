"""Official checkpoints: their names, their sums, and what a file holds, found without torch and without running it."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from planner.catalog.variants import check_source
from planner.errors import FileError
from planner.nouns.official import official_hub_id, official_name
from planner.nouns.run import Configuration
from planner.nouns.words import VARIANTS, VERSIONS, Variant, Version
from planner.text.locations import profiles_folder
from planner.text.strict_yaml import Fields, read

BLOCKS: dict[int, Variant] = {12: "tiny", 16: "small", 24: "base_plus", 48: "large"}
"""Blocks of the image encoder (sam2/configs, sum of stages)."""
BLOCK_PREFIX = "image_encoder.trunk.blocks."
NEWER_ONLY = "no_obj_embed_spatial"
"""A weight that version 2.1 has and 2.0 has not."""
EXPECTED = "image_encoder.trunk.patch_embed.proj.weight"
HUB_ID = re.compile(r"facebook/sam2(\.1)?-hiera-[a-z-]+", re.ASCII)
"""Official ids (sam2.build_sam.HF_MODEL_ID_TO_FILENAMES)."""
OF_TRANSFORMERS = ("model.safetensors", "model.safetensors.index.json", "pytorch_model.bin")
"""What transformers calls weights in a folder of its own (utils/__init__.py, SAFE_WEIGHTS_NAME and the like)."""
HEX_DIGITS = 64
"""Hexadecimal digits of a SHA-256."""
_CHUNK_BYTES = 2**22


@dataclass(frozen=True, slots=True)
class Held:
    """What a checkpoint file holds, by the names of its tensors."""

    variant: Variant | None
    """One of VARIANTS; None for a number of blocks that none has."""
    version: Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Official:
    """A checkpoint as Meta publishes it."""

    variant: Variant
    version: Version
    file_bytes: int
    """Its size."""
    sha256: str | None
    """Its sum in hexadecimal; None where nobody is known to have published it."""
    sha256_source: str
    """Who did, for the size too; or why it is not known."""
    folder: str
    """The folder of the version, below the base address."""
    base: str
    """Where Meta's files lie."""

    @property
    def name(self) -> str:
        """Name of the file."""
        return official_name(self)

    @property
    def hub_id(self) -> str:
        """On the hub."""
        return official_hub_id(self)

    def address(self, base: str | None = None) -> str:
        """Where it is fetched from: Meta's address, or the same path below another base.

        A base that names a file (.pt) is the address itself.
        """
        chosen = (base or self.base).rstrip("/")
        return chosen if chosen.endswith(".pt") else f"{chosen}/{self.folder}/{self.name}"


def local_path(configuration: Configuration, checkpoint: str | Path) -> Path:
    """Where `checkpoint`, a file or a folder, would be; it need not be there.

    In a folder it is the official file, else what transformers wrote there, or in a folder inside that is called as the
    official repository on the hub.
    """
    # os.path, because pathlib raises for a user that is not known and a folder that may not be looked into.
    path = Path(os.path.expanduser(checkpoint))
    if not os.path.isdir(path):
        return path
    official = path / official_name(configuration)
    repository = official_hub_id(configuration).rpartition("/")[2]
    below = [folder / name for folder in (path, path / repository) for name in OF_TRANSFORMERS]
    return next(filter(os.path.isfile, (official, *below)), official)


@lru_cache(maxsize=1)
def official_checkpoints() -> tuple[Official, ...]:
    """All of them, the newest version first, from profiles/checkpoints.yaml. Raises FileError if that is broken."""
    path = profiles_folder() / "checkpoints.yaml"
    fields = Fields(read(path), str(path), "the list of checkpoints")
    sources = {name: source.text("title") for name, source in fields.fields("sources").named()}
    folders = {version: fields.fields("folders").text(version) for version in VERSIONS}
    found = []
    for entry in fields.entries("checkpoints"):
        check_source(entry, set(sources))
        variant, version = entry.text("variant", VARIANTS), entry.text("version", VERSIONS)
        found.append(
            Official(
                variant=variant,
                version=version,
                file_bytes=entry.integer("file_bytes", 1),
                sha256=entry.optional_text("sha256"),
                sha256_source=sources[entry.text("source")],
                folder=folders[version],
                base=fields.text("base"),
            )
        )
    return tuple(found)


@lru_cache(maxsize=1)
def official_sums() -> dict[tuple[str, str], str]:
    """SHA-256 by (variant, version), of those that are known."""
    return {(one.variant, one.version): one.sha256 for one in official_checkpoints() if one.sha256}


def sum_of(path: Path, progress: Callable[[int, int], None] | None = None) -> str:
    """SHA-256 of a file in hexadecimal; `progress(done, total)` in bytes. Raises FileError."""
    return sum_of_all((path,), progress)


def sum_of_all(paths: Sequence[Path], progress: Callable[[int, int], None] | None = None) -> str:
    """SHA-256 of files one after the other, as sum_of."""
    import hashlib

    digest = hashlib.sha256()
    path = paths[0]
    try:
        total, done = sum(path.stat().st_size for path in paths), 0
        for path in paths:
            with path.open("rb") as file:
                while chunk := file.read(_CHUNK_BYTES):
                    digest.update(chunk)
                    done += len(chunk)
                    if progress:
                        progress(done, max(done, total))
    except OSError as error:
        raise FileError(
            f"{error.filename or path}: {error.strerror or error}.", "Check the path and its permissions."
        ) from None
    return digest.hexdigest()


def held_of(names: Iterable[object]) -> Held | None:
    """The variant and version whose weights have these names; None for other names."""
    texts = {name for name in names if isinstance(name, str)}
    if EXPECTED not in texts:
        return None
    blocks = {name.split(".")[3] for name in texts if name.startswith(BLOCK_PREFIX)}
    return Held(BLOCKS.get(len(blocks)), "2.1" if NEWER_ONLY in texts else "2.0")
