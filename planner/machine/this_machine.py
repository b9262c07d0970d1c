"""The machine that would run a plan: its GPUs, the host's memory, and what is installed.

Knows nothing of plans. Everything that is read is a parameter with the real thing as default, as in present.py; a
machine may also come from the report of another one (planner.wire.machine_reader).
"""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from planner.machine.allowance import container_of, host_memory, read_limits
from planner.machine.present import look
from planner.nouns.machine import Machine

PACKAGES = (
    "torch",
    "torchvision",
    "sam2",
    "av",
    "pillow",
    "pycocotools",
    "numpy",
    "nvidia-ml-py",
    "nvidia-cuda-runtime",
    "nvidia-cuda-runtime-cu12",
)
"""Whose versions decide whether a plan runs, and in how many bytes. Wheels of torch bring the CUDA runtime under one
of the last two names."""


def this_machine(binding: Any = None, environment: Mapping[str, str] | None = None, root: Path = Path("/")) -> Machine:
    """The machine that this process runs on.

    `binding` is pynvml or what answers like it, `root` where the file system begins. Raises UsageError for a limit of
    GPU memory that cannot be read.
    """
    environment = os.environ if environment is None else environment
    gpus, reason = look(binding, environment, root)
    host = host_memory(root)
    reasons = {} if reason is None else {"gpus": reason}
    if host is None:
        reasons["host_bytes"] = reasons["host_free_bytes"] = "/proc/meminfo does not say"
    processors = os.cpu_count()
    if processors is None:
        reasons["processors"] = "the system does not say"
    return Machine(
        system=f"{platform.system()} {platform.release()}",
        architecture=platform.machine(),
        processors=processors,
        python=platform.python_version(),
        container=container_of(environment, root),
        host_bytes=host[0] if host else None,
        host_free_bytes=host[1] if host else None,
        host_limit_bytes=read_limits(environment, root).host_bytes,
        gpus=tuple(gpus),
        versions=installed(PACKAGES),
        reasons=reasons,
    )


def installed(packages: tuple[str, ...]) -> dict[str, str | None]:
    """Versions of the packages, read from their metadata: nothing is imported. None is not installed."""
    from importlib.metadata import PackageNotFoundError, version  # only those who ask pay for it

    found: dict[str, str | None] = {}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = None
    return found
