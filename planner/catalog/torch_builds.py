"""What released wheels of torch hold code for, by release and CUDA build, without importing torch.

A GPU runs code that was compiled for its own compute capability or an older minor of the same major (the CUDA C++
programming guide, "Binary Compatibility"); of a newer generation only PTX, which the driver compiles. On any other card
the first kernel ends in "no kernel image is available for execution on the device".
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

Capability = tuple[int, int]

_MAXWELL_TO_HOPPER = "5.0 6.0 7.0 7.5 8.0 8.6 9.0"
_KEPLER_TO_HOPPER = f"3.7 {_MAXWELL_TO_HOPPER}"
_VOLTA_TO_BLACKWELL = "7.0 7.5 8.0 8.6 9.0 10.0 12.0"
_TURING_TO_BLACKWELL = "7.5 8.0 8.6 9.0 10.0 12.0"
_PTX = "+PTX"

WHEELS: dict[tuple[int, int], dict[str, str]] = {
    # pytorch/builder, manywheel/build_cuda.sh of these releases; pytorch's CUDA upgrade guide for 2.7.
    (2, 5): {"11.8": _KEPLER_TO_HOPPER, "12.1": _MAXWELL_TO_HOPPER, "12.4": _MAXWELL_TO_HOPPER},
    (2, 6): {"11.8": _KEPLER_TO_HOPPER, "12.4": _MAXWELL_TO_HOPPER, "12.6": _MAXWELL_TO_HOPPER},
    (2, 7): {"11.8": _KEPLER_TO_HOPPER, "12.6": _MAXWELL_TO_HOPPER, "12.8": f"{_TURING_TO_BLACKWELL}{_PTX}"},
    # pytorch/pytorch, .ci/manywheel/build_cuda.sh, which kept Volta for issue 157517.
    (2, 8): {"12.6": _MAXWELL_TO_HOPPER, "12.8": _VOLTA_TO_BLACKWELL, "12.9": f"{_VOLTA_TO_BLACKWELL}{_PTX}"},
    # pytorch/pytorch, RELEASE.md, "PyTorch CUDA Support Matrix"; 2.11 without Volta by issue 172352.
    (2, 9): {"12.6": _MAXWELL_TO_HOPPER, "12.8": _VOLTA_TO_BLACKWELL, "13.0": f"{_TURING_TO_BLACKWELL}{_PTX}"},
    (2, 10): {"12.6": _MAXWELL_TO_HOPPER, "12.8": _VOLTA_TO_BLACKWELL, "13.0": f"{_TURING_TO_BLACKWELL}{_PTX}"},
    # From 2.11 on CUDA 13 is what the package index has, whose wheels hold no PTX (torch 2.14.1 says so itself).
    (2, 11): {"12.6": _MAXWELL_TO_HOPPER, "12.8": _TURING_TO_BLACKWELL, "13.0": _TURING_TO_BLACKWELL},
    **{
        (2, minor): {"12.6": _MAXWELL_TO_HOPPER, "13.0": _TURING_TO_BLACKWELL, "13.2": _TURING_TO_BLACKWELL}
        for minor in (12, 13, 14)
    },
    # pytorch/pytorch issue 190385 and pull request 196249: nothing for CUDA 12.6, and so for less than Turing.
    (2, 15): {"13.0": _TURING_TO_BLACKWELL, "13.2": _TURING_TO_BLACKWELL},
}
"""By release and CUDA version: the capabilities that the wheels for x86-64 are compiled for."""
ARM_ONLY = {(5, 3), (6, 2), (7, 2), (8, 7), (11, 0), (12, 1)}
"""Capabilities that exist on boards with Arm processors alone (Jetson, GB10), which take other wheels."""
ARM_WHEELS = {"12.6": "8.0 9.0", "12.8": "8.0 9.0 10.0 12.0", "12.9": "8.0 9.0 10.0 12.0"}
"""By CUDA version, for Arm (the same matrix); from 13.0 on ARM_WHEELS_13, without an entry there are none."""
ARM_WHEELS_13 = "8.0 9.0 10.0 11.0 12.0+PTX"
_VERSION = re.compile(r"^__version__ *(?::.*)?= *['\"]([^'\"]+)['\"]", re.MULTILINE)
_CUDA = re.compile(r"^cuda *(?::.*)?= *['\"]([\d.]+)['\"]", re.MULTILINE)
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.\d+)?(?:\.post\d+)?(?:\+(?:cu(\d{2})(\d+)|cpu))?", re.ASCII)
_ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)")


class TorchBuild(NamedTuple):
    """A release of torch and the CUDA that it was built with."""

    release: tuple[int, int]
    cuda: str
    """Such as "13.0"."""

    def __str__(self) -> str:
        return f"torch {self.release[0]}.{self.release[1]} built with CUDA {self.cuda}"


_JUDGED: ContextVar[TorchBuild | None] = ContextVar("judged", default=None)


class Compiled(NamedTuple):
    """What code there is."""

    binaries: frozenset[Capability]
    ptx: frozenset[Capability]

    def runs(self, capability: Capability) -> bool:
        """Whether a GPU of this capability has code that it can run."""
        major, minor = capability
        native = any(own == major and least <= minor for own, least in self.binaries)
        return native or any(one <= capability for one in self.ptx)


@lru_cache(maxsize=1)
def installed_build() -> TorchBuild | None:
    """The torch that is installed; None without one, and for one that was built elsewhere or without CUDA.

    Read from torch/version.py, because importing torch takes seconds.
    """
    from importlib.util import find_spec

    try:
        spec = find_spec("torch")
    except ImportError:  # somebody's finder refuses it
        return None
    if spec is None or spec.origin is None:
        return None
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return None
    version, cuda = _VERSION.search(text), _CUDA.search(text)
    return build_of(version[1], cuda[1] if cuda else None) if version and cuda else None


def build_of(version: str | None, cuda: str | None = None) -> TorchBuild | None:
    """The build of a version such as "2.14.1+cu130"; `cuda` is its CUDA where the version does not say.

    None where either is not known, or the version is no release (NVIDIA's containers, nightly builds, sources).
    """
    match = _RELEASE.fullmatch(version or "")
    if match is None:
        return None
    said = f"{match[3]}.{match[4]}" if match[3] else ".".join((cuda or "").split(".")[:2])
    return TorchBuild((int(match[1]), int(match[2])), said) if said else None


def build_in(versions: Mapping[str, str | None]) -> TorchBuild | None:
    """The build among the versions of packages on a machine: wheels bring the CUDA runtime as a package."""
    cuda = versions.get("nvidia-cuda-runtime") or versions.get("nvidia-cuda-runtime-cu12")
    return build_of(versions.get("torch"), cuda)


def newest_build() -> TorchBuild:
    """The newest release that is known, with its newest CUDA."""
    release = max(WHEELS)
    return TorchBuild(release, max(WHEELS[release], key=_number))


def planned_build() -> TorchBuild:
    """The build that plans are for: that of `judging`, else the one that is installed, else the newest known."""
    return _JUDGED.get() or installed_build() or newest_build()


@lru_cache(maxsize=512)
def compiled(build: TorchBuild, capability: Capability) -> Compiled | None:
    """What the wheel of that build has code for, on the processors beside GPUs of this capability; None: not known."""
    # A release newer than the table has what the newest one has of the same CUDA.
    of_release = WHEELS.get(build.release) or (WHEELS[max(WHEELS)] if build.release > max(WHEELS) else {})
    listed = of_release.get(build.cuda)
    if listed is not None and capability in ARM_ONLY:
        listed = ARM_WHEELS_13 if _number(build.cuda) >= (13, 0) else ARM_WHEELS.get(build.cuda, "")
    return None if listed is None else _of_list(listed)


@contextmanager
def judging(build: TorchBuild | None) -> Iterator[None]:
    """Within it that build counts, such as another machine's; None leaves it at this one's."""
    token = _JUDGED.set(build)
    try:
        yield
    finally:
        _JUDGED.reset(token)


def why_no_code(capability: Capability, build: TorchBuild | None = None) -> str | None:
    """Why torch cannot run on a GPU of this capability, with what could; None where it can, or is not known.

    build: whose code; left out, that of `judging`, else of the torch that is imported, which is asked itself, else of
    planned_build.
    """
    build = build or _JUDGED.get()
    asked = _imported() if build is None else None
    meant = build or planned_build()
    code = asked or compiled(meant, capability)
    if code is None or code.runs(capability):
        return None
    said = f"{capability[0]}.{capability[1]}"
    return f"{meant} has no code for compute capability {said}; {_what_does(capability, meant)}"


@lru_cache(maxsize=64)
def builds_for(capability: Capability) -> tuple[TorchBuild, ...]:
    """The known builds that have code for GPUs of this capability, oldest first."""
    every = [TorchBuild(release, cuda) for release in sorted(WHEELS) for cuda in sorted(WHEELS[release], key=_number)]
    return tuple(build for build in every if (code := compiled(build, capability)) and code.runs(capability))


def _what_does(capability: Capability, than: TorchBuild) -> str:
    """What to install instead: the same release with another CUDA, else the nearest newer release, else the newest."""
    able = builds_for(capability)
    if not able:
        oldest = min(WHEELS)
        return f"no release from {oldest[0]}.{oldest[1]} on does"
    same = [build for build in able if build.release == than.release]
    newer = [build for build in able if build.release > than.release]
    return f"{same[-1] if same else newer[0] if newer else able[-1]} does"


def _imported() -> Compiled | None:
    """What the torch that this process has imported was compiled for; None without one, or one without CUDA."""
    private = getattr(sys.modules.get("torch"), "_C", None)
    flags = getattr(private, "_cuda_getArchFlags", None)
    said = flags() if flags is not None else None
    return _of_flags(said) if said else None


@lru_cache(maxsize=4)
def _of_flags(flags: str) -> Compiled:
    """From torch's own words: "sm_75 sm_80 compute_120"."""
    found = [(kind, (int(major), int(minor))) for kind, major, minor in _ARCHITECTURE.findall(flags)]
    return Compiled(
        frozenset(one for kind, one in found if kind == "sm"), frozenset(one for kind, one in found if kind != "sm")
    )


def _of_list(listed: str) -> Compiled:
    """From a list as above, whose last entry may be marked as PTX too."""
    found = [_number(word) for word in listed.removesuffix(_PTX).split()]
    return Compiled(frozenset(found), frozenset(found[-1:] if listed.endswith(_PTX) else ()))


def _number(text: str) -> tuple[int, int]:
    major, _, minor = text.partition(".")
    return int(major), int(minor or 0)
