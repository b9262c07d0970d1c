"""The nouns of the GPU that is present: a card or slice, who uses it, and what a container leaves of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from planner.nouns.words import ProcessKind

CAP_VARIABLE = "SAM2_PLAN_MEMORY_CAP"
"""The environment variable that says what this process may take on the GPU, CUDA context included."""


def least_known(*sizes: int | None) -> int | None:
    """The smallest of those that are known; None where none is."""
    return min((size for size in sizes if size is not None), default=None)


@dataclass(frozen=True, slots=True)
class GpuProcess:
    """A process that holds memory on the GPU."""

    pid: int
    """As the driver numbers it; within a container that may be another number than the container's own."""
    kind: ProcessKind
    bytes: int | None
    """None where the driver does not say (Windows' own memory management)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the environment and a container leave of the machine. None: no such limit."""

    visible: tuple[str, ...] | None = None
    """CUDA_VISIBLE_DEVICES, entry by entry up to the first that names nothing; () hides all GPUs."""
    container_visible: str | None = None
    """NVIDIA_VISIBLE_DEVICES: what a container was given. Said, not applied: the driver shows no more than that."""
    gpu_bytes: Mapping[int | None, int] = field(default_factory=dict)
    """CUDA_DEVICE_MEMORY_LIMIT of HAMi, by the GPU's place among the visible ones; None is for all."""
    host_bytes: int | None = None
    """Limit of host memory, by the control group."""
    mps: str | None = None
    """Folder of the pipes of an MPS daemon, which shares the GPU among processes."""
    mps_bytes: Mapping[int | None, int] = field(default_factory=dict)
    """CUDA_MPS_PINNED_DEVICE_MEM_LIMIT, likewise by place."""

    def of_gpu(self, place: int) -> int | None:
        """The smallest limit of the GPU at that place among the visible ones."""
        found = [limits.get(place, limits.get(None)) for limits in (self.gpu_bytes, self.mps_bytes)]
        return min((limit for limit in found if limit is not None), default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class PresentGpu:
    """A GPU of this machine, or a MIG slice of one. What is None has its reason in `reasons`, under its name."""

    index: int
    """In NVML's order; of a slice its card's."""
    place: int
    """Among the visible ones: what CUDA calls cuda:N."""
    name: str | None
    uuid: str | None
    capability: tuple[int, int] | None
    card_bytes: int | None
    """The whole memory, whatever limits say."""
    card_free_bytes: int | None
    limit_bytes: int | None
    """What a container's or MPS's limit leaves of it."""
    driver: str | None
    cuda: str | None
    """The newest CUDA that the driver runs, such as "12.4"."""
    processes: tuple[GpuProcess, ...] | None
    display_attached: bool | None
    display_active: bool | None
    mig_mode: bool | None
    slice: str | None
    """Name of the MIG slice, such as "1g.10gb"; None (without a reason) for a whole card."""
    unified: bool | None
    """Whether it shares the host's memory (Jetson, GB10)."""
    reasons: Mapping[str, str] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int | None:
        """What may be used at most: the card or slice, or the limit where that is less."""
        known = [size for size in (self.card_bytes, self.limit_bytes) if size is not None]
        return min(known) if self.card_bytes is not None else None

    @property
    def free_bytes(self) -> int | None:
        """What is free of that now.

        A limit counts the processes of its container, which are those that the driver lists here.
        """
        if self.card_free_bytes is None or self.limit_bytes is None:
            return self.card_free_bytes
        used = sum(process.bytes or 0 for process in self.processes or ())
        return max(0, min(self.card_free_bytes, self.limit_bytes - used))


ALLOCATOR_VARIABLES = ("PYTORCH_ALLOC_CONF", "PYTORCH_CUDA_ALLOC_CONF")
"""Where torch's allocator is settled, the newer name first (torch 2.9)."""


def allocator_settings(text: str) -> dict[str, str]:
    """What such a variable says, by name; of what is said twice the last."""
    pairs = (part.partition(":") for part in text.split(","))
    return {name.strip(): value.strip() for name, _, value in pairs}


def maps_memory(system: str) -> bool:
    """Whether torch can have its segments grow (expandable_segments) on a system, by its name and release.

    Not on Windows; under WSL 2 the driver says that it maps memory and refuses (pytorch issue 192330).
    """
    return system.startswith("Linux ") and "microsoft" not in system.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What a plan would meet. What is None has its reason in `reasons`, under its name."""

    system: str
    """Name and release of the operating system."""
    architecture: str
    """The processor's, such as x86_64."""
    processors: int | None
    python: str
    """Version of the interpreter."""
    container: str | None
    """docker, podman or kubernetes; None (without a reason) where no sign of a container is seen."""
    host_bytes: int | None
    """Bytes of the host's memory."""
    host_free_bytes: int | None
    """What the system says is available of it."""
    host_limit_bytes: int | None
    """What a control group leaves this process of it; None (without a reason) where it sets no limit."""
    gpus: tuple[PresentGpu, ...]
    """Those that CUDA would show this process, in its order."""
    versions: Mapping[str, str | None]
    """Versions of PACKAGES; None is not installed."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    replayed: str | None = None
    """The file of the report that this was read from; None for the machine itself."""

    @property
    def host_usable_bytes(self) -> int | None:
        """Host memory that is free and allowed."""
        return least_known(self.host_free_bytes, self.host_limit_bytes)
