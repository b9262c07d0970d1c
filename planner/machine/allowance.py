"""What environment variables and control groups leave of GPU and host memory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from planner.errors import UsageError
from planner.nouns.machine import Limits, least_known

MPS_LIMIT = "CUDA_MPS_PINNED_DEVICE_MEM_LIMIT"
HAMI_LIMIT = re.compile(r"CUDA_DEVICE_MEMORY_LIMIT(?:_(\d{1,4}))?", re.ASCII)
LIMIT_FORMS = "Write a number with k, m or g, such as 3000m."
_FACTORS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_LIMIT = re.compile(r"(\d{1,18})\s*([kmg]?)(?:i?b)?", re.IGNORECASE | re.ASCII)
_NO_LIMIT = 2**60
"""cgroup v1 writes a number near 2^63 where there is none."""


def read_limits(environment: Mapping[str, str], root: Path = Path("/")) -> Limits:
    """The limits that hold for this process. `root` is where the file system begins.

    Raises UsageError for a limit of GPU memory that cannot be read: to ignore it would plan for what is not there.
    """
    pipes = environment.get("CUDA_MPS_PIPE_DIRECTORY")
    default_pipes = root / "tmp" / "nvidia-mps"
    return Limits(
        visible=_visible(environment.get("CUDA_VISIBLE_DEVICES")),
        container_visible=environment.get("NVIDIA_VISIBLE_DEVICES"),
        gpu_bytes=_hami(environment),
        host_bytes=_host_bytes(root),
        mps=pipes or (str(default_pipes) if default_pipes.is_dir() else None),
        mps_bytes=_mps(environment.get(MPS_LIMIT)),
    )


def limits_memory(name: str) -> bool:
    """Whether a variable of that name limits GPU memory."""
    return name == MPS_LIMIT or HAMI_LIMIT.fullmatch(name) is not None


def _visible(text: str | None) -> tuple[str, ...] | None:
    """CUDA stops at the first entry that names no GPU: "-1" or an empty one hides what follows."""
    if text is None:
        return None
    entries: list[str] = []
    for entry in (part.strip() for part in text.split(",")):
        named = re.fullmatch(r"\d{1,4}|(GPU|MIG)-[-/\w]+", entry, re.ASCII)
        if named is None or entry in entries:
            break
        entries.append(entry)
    return tuple(entries)


def _hami(environment: Mapping[str, str]) -> dict[int | None, int]:
    """CUDA_DEVICE_MEMORY_LIMIT for all GPUs, CUDA_DEVICE_MEMORY_LIMIT_0 for the first; 0 is none."""
    found: dict[int | None, int] = {}
    for name, text in environment.items():
        match = HAMI_LIMIT.fullmatch(name)
        if match and text.strip():
            limit = _bytes(text, name)
            if limit:
                found[None if match[1] is None else int(match[1])] = limit
    return found


def _mps(text: str | None) -> dict[int | None, int]:
    """By the GPU's place: "0=1G,1=512M"."""
    found: dict[int | None, int] = {}
    for part in (text or "").split(","):
        place, equals, size = part.partition("=")
        if equals and place.strip().isdecimal():
            found[int(place)] = _bytes(size, MPS_LIMIT)
    return found


def _bytes(text: str, name: str) -> int:
    match = _LIMIT.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"{name} is {text!r}, which is not a size.", LIMIT_FORMS)
    return int(match[1]) * _FACTORS[match[2].lower()]


def _host_bytes(root: Path) -> int | None:
    """The limit of the innermost control group that is seen from here, version 2, else 1."""
    for path in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            text = (root / path).read_text(encoding="ascii").strip()
        except (OSError, UnicodeDecodeError):
            continue
        if text.isdecimal() and int(text) < _NO_LIMIT:
            return int(text)
    return None


def host_memory(root: Path = Path("/")) -> tuple[int, int] | None:
    """(total, available) bytes of host memory; None where /proc/meminfo does not say."""
    try:
        text = (root / "proc" / "meminfo").read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return None
    found = {name: int(value) * 1024 for name, value in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
    if "MemTotal" not in found or "MemAvailable" not in found:
        return None
    return found["MemTotal"], found["MemAvailable"]


def usable_host_bytes(root: Path = Path("/")) -> int | None:
    """Host memory that is free and allowed: what the system says is available, within a control group's limit."""
    host = host_memory(root)
    return least_known(host[1] if host else None, _host_bytes(root))


def container_of(environment: Mapping[str, str], root: Path = Path("/")) -> str | None:
    """The kind of container that this process seems to run in: kubernetes, docker or podman; None for no sign of one.

    Their own marks: the service variables of a pod, the files that docker and podman put at the root.
    """
    if "KUBERNETES_SERVICE_HOST" in environment:
        return "kubernetes"
    marks = {"docker": ".dockerenv", "podman": "run/.containerenv"}
    return next((kind for kind, mark in marks.items() if (root / mark).exists()), None)
