"""The fitted coefficients: a committed text file that scripts/fit_memory_model.py remakes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from planner.documents import Fields, read
from planner.locations import profiles_folder


@dataclass(frozen=True, slots=True, kw_only=True)
class Coefficients:
    """What the regression and its held-out groups gave. Bytes; pixels are those of the resolution.

    Encoder activations in float16: constant + step * h + pixels * (per_pixel + per_pixel_channel * embed_dim),
    h rising from 0 to 1 between the two `step_pixels`.
    """

    constant_bytes: float
    step_bytes: float
    per_pixel_bytes: float
    per_pixel_channel_bytes: float
    step_pixels: tuple[int, int]
    measured_resolutions: tuple[tuple[int, int], ...]
    """Shorter side first, each fitting into the next."""
    measured_precisions: tuple[str, ...]
    reserve_ratio: float
    """Reserved beyond allocated, per byte of weights and activations."""
    context_bytes: int
    margin_measured: float
    """Relative, on activations at a measured resolution: the worst of the held-out variants."""
    margin_unmeasured: float
    """Relative, on activations never measured: the worst of an inner resolution held out."""
    margin_beyond: float
    """Relative, on activations above the largest measured resolution: the worst of that one held out."""
    margin_overhead: float
    """Relative, on reserve and context: the worst of the held-out video rows, rounding included."""
    profiles: tuple[str, ...]
    memory_model: str
    """Name of this fit."""


def parse_coefficients(value: object, source: str) -> Coefficients:
    """Coefficients of plain data. Raises FileError naming line and remedy."""
    fields = Fields(value, source, "the memory model")
    if fields.integer("schema_version") != 1:
        raise fields.complaint("schema_version is not 1", "Take the file of this release.", "schema_version")
    activations, margins = fields.fields("activations"), fields.fields("margins")
    step = activations.integer("step_from_pixels"), activations.integer("step_to_pixels")
    if step[0] >= step[1]:
        raise activations.complaint("the step ends where it starts", "Make the file again.", "step_to_pixels")
    return Coefficients(
        constant_bytes=activations.number("constant_bytes"),
        step_bytes=activations.number("step_bytes"),
        per_pixel_bytes=activations.number("per_pixel_bytes"),
        per_pixel_channel_bytes=activations.number("per_pixel_channel_bytes"),
        step_pixels=step,
        measured_resolutions=tuple(fields.pairs("measured_resolutions")),
        measured_precisions=tuple(fields.texts("measured_precisions")),
        reserve_ratio=fields.number("reserve_ratio"),
        context_bytes=fields.integer("context_bytes"),
        margin_measured=margins.number("measured"),
        margin_unmeasured=margins.number("unmeasured"),
        margin_beyond=margins.number("beyond"),
        margin_overhead=margins.number("overhead"),
        profiles=tuple(fields.texts("profiles")),
        memory_model=fields.text("name"),
    )


@lru_cache(maxsize=4)
def load_coefficients(path: Path | None = None) -> Coefficients:
    """The shipped coefficients, or those at `path`. Raises FileError if they are broken."""
    path = path or profiles_folder() / "memory_model.yaml"
    return parse_coefficients(read(path), str(path))
