"""What is asked: a workload, what is pinned, and the budget it is planned for."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from planner.nouns.run import Workload
from planner.nouns.words import (
    Attention,
    BudgetSource,
    HostSource,
    Precision,
    Preference,
    Variant,
    Version,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Gpu:
    """A GPU by name, or the one that is present."""

    name: str
    total_bytes: int
    free_bytes: int | None = None
    """None where it is not a GPU of this machine."""
    capability: tuple[int, int] | None = None
    """CUDA compute capability (major, minor); None if not known."""
    uuid: str | None = None
    index: int | None = None
    driver: str | None = None
    """Version of the GPU's driver; None where it is not a GPU of this machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Headroom:
    """What is held back of a budget: bytes, or a percentage of it."""

    bytes: int = 0
    percent: float = 0.0
    """Percentage of the budget."""

    def of(self, total_bytes: int) -> int:
        """Bytes held back of `total_bytes`."""
        return min(total_bytes, self.bytes + math.ceil(total_bytes * self.percent / 100))

    def budget_for(self, need_bytes: int) -> int:
        """The smallest budget that leaves `need_bytes` usable."""
        total = math.ceil((need_bytes + self.bytes) / (1 - self.percent / 100))
        # Floats may be a few bytes off either way.
        while total - 1 - self.of(total - 1) >= need_bytes:
            total -= 1
        while total - self.of(total) < need_bytes:
            total += 1
        return total


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """What may be used, and what is held back of it."""

    total_bytes: int
    headroom: Headroom
    source: BudgetSource
    gpu: Gpu | None = None
    host_bytes: int | None = None
    """Memory of the host that may be used; None where nobody said, and another machine may be meant."""
    host_source: HostSource | None = None
    """None where host_bytes is None."""
    shared: bool = field(default=False, compare=False)
    """Whether it is part of a GPU on which further processes run. These give no cache back for the sake of this one,
    so a configuration counts with its total, not with its least. Set while several are packed; not kept with a
    plan."""
    report: str | None = field(default=None, compare=False)
    """Path of the doctor report that the GPU comes from, in place of this machine; for commands, not kept with a
    plan."""

    @property
    def headroom_bytes(self) -> int:
        """What is held back of it."""
        return self.headroom.of(self.total_bytes)

    @property
    def usable_bytes(self) -> int:
        """The budget less its headroom."""
        return self.total_bytes - self.headroom_bytes

    @property
    def capability(self) -> tuple[int, int] | None:
        """Compute capability of the GPU, where one is named and its capability is known."""
        return self.gpu.capability if self.gpu else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pins:
    """What the user fixed; None is free. A pin is never overridden."""

    variant: Variant | None = None
    version: Version | None = None
    resolution: tuple[int, int] | None = None
    """Height and width in pixels."""
    precision: Precision | None = None
    attention: Attention | None = None

    def given(self) -> dict[str, object]:
        """The pins that are set, by name."""
        pairs = ((name, getattr(self, name)) for name in self.__slots__)
        return {name: value for name, value in pairs if value is not None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A workload with what is fixed and what is preferred about doing it."""

    workload: Workload
    pins: Pins = field(default_factory=Pins)
    prefer: Preference = "quality"
    frame_size_assumed: bool = False
    """True where the user named no frame size and the workload holds the default."""
