"""Bytes that were found, by a rehearsal or a simulation of the very run, and that no law needs to predict."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from planner.nouns.estimate import Component, Estimate, Exact, Phase
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import VERSIONS, ExactMethod, Precision, Runtime

SETTLED_FRAMES = 30
"""Frames of a video on a bounded memory bank, which is full after 16: a longer clip allocates no more. What is reserved
then stays, too, but for a page of 2 MiB of small clips (simulated: docs/rehearsing.md)."""


class Known(NamedTuple):
    """What one run takes, context left out. Bytes."""

    allocated_bytes: int
    reserved_bytes: int
    reserved_upper_bytes: int
    """The same on a GPU that is behind, and gives blocks back late; else equal to reserved_bytes."""
    phases: tuple[tuple[str, int], ...]
    """What is allocated at the peak of each, in order; at least one has all of `allocated_bytes`."""
    exact: Exact


_FLOAT16: Mapping[Precision, Precision] = {"bfloat16": "float16", "autocast_bfloat16": "autocast_float16"}
Key = tuple[Runtime, Configuration, Workload, tuple[int, int] | None]
"""Whose code runs, what and on which capability: see key_of."""


def key_of(
    runtime: Runtime, configuration: Configuration, workload: Workload, capability: tuple[int, int] | None = None
) -> Key:
    """What an answer is kept under; the same for runs that take the same bytes.

    The two half precisions take the same. Checkpoints of version 2.0 lack one small table of 2.1's, tens of kilobytes,
    which stands for both here as it does in planning. A clip that fills a bounded memory bank is one without end.
    """
    precision = _FLOAT16.get(configuration.precision, configuration.precision)
    if (configuration.version, configuration.precision) != (VERSIONS[0], precision):
        configuration = replace(configuration, version=VERSIONS[0], precision=precision)
    if runtime == "own" and workload.task == "video" and (workload.frames or 0) > SETTLED_FRAMES:
        workload = replace(workload, frames=None)
    return runtime, configuration, workload, capability


def known_of(estimate: Estimate) -> Known | None:
    """What an estimate was made of, where that was found; None of a prediction."""
    if estimate.exact is None:
        return None
    phases = tuple((phase.name, phase.allocated_bytes) for phase in estimate.phases)
    upper = estimate.upper_bytes - estimate.context_high_bytes
    return Known(estimate.allocated_bytes, estimate.reserved_bytes, upper, phases, estimate.exact)


def phases_of(known: Known, laws: Sequence[Phase]) -> tuple[Phase, ...]:
    """The phases as they were found; what of each is weights and known arrays is as the laws have it."""
    by_law: Mapping[str, Phase] = {phase.name: phase for phase in laws}
    weights = [part for part in laws[0].components if part.name == "weights"]
    return tuple(
        _phase(name, size, by_law[name].components if name in by_law else weights, known.exact.method)
        for name, size in known.phases
    )


def _phase(name: str, whole_bytes: int, parts: Sequence[Component], method: ExactMethod) -> Phase:
    """Known arrays as they are, and the rest as it was found; all of it where the arrays would be more."""
    arrays = [part for part in parts if part.provenance == "derived" or part.name == "weights"]
    rest = whole_bytes - sum(part.bytes for part in arrays)
    if rest < 0:
        arrays, rest = [], whole_bytes
    name_of_rest = "activations" if arrays else "all tensors"
    return Phase(name=name, components=tuple(p for p in (*arrays, Component(name_of_rest, rest, method)) if p.bytes))
