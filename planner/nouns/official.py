"""What Meta calls its checkpoints: file names, and ids on the hub."""

from __future__ import annotations

from typing import Protocol

_FAMILIES = {"2.1": "sam2.1", "2.0": "sam2"}


class OfVariant(Protocol):
    """A configuration, or a checkpoint."""

    @property
    def variant(self) -> str:
        """One of VARIANTS."""

    @property
    def version(self) -> str:
        """One of VERSIONS."""


def official_name(one: OfVariant) -> str:
    """File name of the official checkpoint, as in sam2.build_sam.HF_MODEL_ID_TO_FILENAMES; so is the id."""
    return f"{_FAMILIES[one.version]}_hiera_{one.variant}.pt"


def official_hub_id(one: OfVariant) -> str:
    """The id of the official checkpoint on the hub."""
    return f"facebook/{_FAMILIES[one.version]}-hiera-{one.variant.replace('_', '-')}"
