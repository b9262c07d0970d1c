"""What a configuration costs, by component and phase, and how that is known."""

from __future__ import annotations

from dataclasses import dataclass

from planner.nouns.brief import brief
from planner.nouns.shown import shown
from planner.nouns.words import (
    ExactMethod,
    ProvenanceKind,
)


@dataclass(frozen=True, slots=True)
class Component:
    """Some of the bytes of a run, with a name and an origin."""

    name: str
    """Such as weights, memory bank, activations or allocator cache."""
    bytes: int
    provenance: ProvenanceKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A stretch of the run and what is allocated at its peak."""

    name: str
    """Such as load, encode, prompt or track."""
    components: tuple[Component, ...]

    @property
    def allocated_bytes(self) -> int:
        """The sum of the components."""
        return sum(component.bytes for component in self.components)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exact:
    """How the bytes of an exact answer were found: by a run of this very configuration without a GPU."""

    method: ExactMethod
    gpu: str | None
    """The imaginary GPU that it was rehearsed on; None for a simulation."""
    capability: tuple[int, int]
    """CUDA compute capability that the answer is for."""
    torch: str
    """Version of the torch that ran."""
    cudnn: str | None
    sam2: str | None
    frames: int | None
    """How many frames it ran; None for other tasks than video."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What an exact plan took to make."""

    runs: int
    """How many runs were rehearsed or simulated for it."""
    remembered: int
    """How many answers came from the cache."""
    left: int
    """Candidates that may fit and would be preferred to the choice, but were left out because the runs did not
    suffice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """Predicted bytes on the GPU at the peak of a run."""

    __repr__ = brief
    _repr_html_ = shown

    allocated_bytes: int
    """Bytes of tensors (torch.cuda.max_memory_allocated)."""
    reserved_bytes: int
    """What the caching allocator holds (torch.cuda.max_memory_reserved)."""
    context_bytes: int
    """The CUDA context and loaded kernels, outside the allocator."""
    total_bytes: int
    """What the process takes: reserved + context."""
    upper_bytes: int
    """One-sided bound of total_bytes: 95 % of held-out runs stayed below theirs."""
    least_bytes: int
    """The smallest memory in which it completes: less than total_bytes where the allocator can give cache back."""
    context_low_bytes: int
    """Lower end of the band in which the context lies: on the GPU, or on any that the budget may stand for."""
    context_high_bytes: int
    """Upper end of the band."""
    components: tuple[Component, ...]
    """The parts of total_bytes at the peak phase; they add up to it."""
    phases: tuple[Phase, ...]
    peak_phase: str
    extrapolated: bool
    """True outside what was rehearsed, measured or published."""
    extrapolated_because: tuple[str, ...] = ()
    """What lies outside, and notes on the figures."""
    host_components: tuple[Component, ...] = ()
    """The parts of host_bytes at the host's own peak; they add up to it."""
    host_bytes_reason: str | None = None
    """Why host_bytes is None."""
    exact: Exact | None = None
    """How the bytes were found; None for a prediction."""

    @property
    def load_excess_bytes(self) -> int:
        """What loading takes more than anything that is done afterwards: who holds it at rest may not survive that."""
        rest = max((phase.allocated_bytes for phase in self.phases if phase.name != "load"), default=None)
        loads = [phase.allocated_bytes for phase in self.phases if phase.name == "load"]
        return 0 if rest is None or not loads else max(0, loads[0] - rest)

    @property
    def host_bytes(self) -> int | None:
        """What the process holds in the host's memory; None where that is not known."""
        return sum(part.bytes for part in self.host_components) if self.host_components else None
