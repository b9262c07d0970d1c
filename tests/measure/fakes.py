"""A GPU that answers at once, for what is around it: sweeps, journals, profiles."""

from __future__ import annotations

from dataclasses import replace

from planner.measure.sweeps import trials
from planner.measure.trial import Outcome, Trial

GPU = "NVIDIA Imaginary 8"


def answer(trial: Trial, gpu: str = GPU, scale: float = 1.0) -> Outcome:
    """What the fake GPU says of a trial: by its pixels, so that rows differ."""
    pixels = trial.configuration.resolution[0] * trial.configuration.resolution[1]
    allocated = round((150_000_000 + 100 * pixels) * scale)
    return Outcome(
        outcome="ran",
        allocated_bytes=allocated,
        reserved_bytes=round(allocated * 1.2),
        context_bytes=450_000_000,
        process_bytes=round(allocated * 1.2) + 460_000_000,
        total_bytes=8_000_000_000,
        phases={"load": {"allocated_bytes": 150_000_000, "reserved_bytes": 160_000_000}},
        alone=True,
        seconds_per_frame=0.05,
        frames=3,
        gpu=gpu,
        capability=(8, 6),
        versions={"torch": "2.15.0", "cuda": "13.2", "driver": "600.1", "sam2": "1.1.0"},
    )


def some_trials(count: int = 20) -> list[Trial]:
    """Different ones, own runtime."""
    sides = [(256 + 32 * number, 256) for number in range(count)]
    return list(trials({"task": ["image"], "resolution": sides}, "own"))


def out_of_memory(trial: Trial) -> Outcome:
    """The fake GPU runs out."""
    known = answer(trial)
    return replace(known, outcome="out_of_memory", error="OutOfMemoryError: tried to allocate 2 GiB", phase="track")
