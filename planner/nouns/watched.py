"""What a run took of the GPU at one moment."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySample:
    """Bytes of the process, the most in the time since the sample before."""

    seconds: float
    """Time that the run had taken, without loading."""
    frames: int
    """Frames that were done."""
    allocated_bytes: int
    """Tensors."""
    reserved_bytes: int
    """What the caching allocator held."""
    process_bytes: int | None
    """What the driver counts for the process, context included; None where it does not say."""

    def with_most_of(self, earlier: MemorySample) -> MemorySample:
        """This sample, for the time of an earlier one too."""
        known = [one for one in (earlier.process_bytes, self.process_bytes) if one is not None]
        return MemorySample(
            seconds=self.seconds,
            frames=self.frames,
            allocated_bytes=max(earlier.allocated_bytes, self.allocated_bytes),
            reserved_bytes=max(earlier.reserved_bytes, self.reserved_bytes),
            process_bytes=max(known, default=None),
        )
