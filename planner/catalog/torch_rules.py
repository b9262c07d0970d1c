"""What a release of torch takes on a GPU beside tensors that users see, by release and compute capability; no torch.

Workspaces of cuBLAS and cuBLASLt, copies of weights that autocast keeps, and the kernel that attention prefers. The
simulator reads the workspaces from profiles/workspaces.yaml, which says where each figure comes from; a test holds
this module to it, because planning has no time to read YAML.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from planner.catalog.torch_builds import WHEELS, Capability, TorchBuild, build_of, compiled, planned_build, why_no_code
from planner.errors import UsageError

SMALL_WORKSPACE_BYTES = 8_519_680
"""2 x 4096 KiB + 8 x 16 KiB of cuBLAS: parseChosenWorkspaceSize, aten/src/ATen/cuda/CublasHandlePool.cpp."""
LARGE_WORKSPACE_BYTES = 32 << 20
"""The same on Hopper, and on Blackwell since LARGE_ON_BLACKWELL."""
LARGE_ON_BLACKWELL = (2, 12)
"""pytorch/pytorch pull request 175344, of February 2026; the release follows from the date."""
LT_WORKSPACE_BYTES = 1 << 20
"""Workspace of cuBLASLt: _parseChosenWorkspaceSize, aten/src/ATen/cuda/CUDABlas.cpp."""
LT_KEPT = (2, 9)
"""From here cuBLASLt's is kept for each handle and stream (getCUDABlasLtWorkspace); until then it is given back."""
ONE_FOR_BOTH = (2, 12)
"""From here cuBLASLt uses the workspace of cuBLAS (unified_cublas_and_lt_workspaces)."""
NOTHING_KEPT = (2, 15)
"""From here every product takes its workspace and gives it back: pytorch/pytorch pull request 194311."""
CASTS_DROPPED = (2, 11)
"""The first release whose autocast keeps no copies of weights under torch.inference_mode, only under torch.no_grad.

pytorch/pytorch pull request 165068, merged on 10 December 2025, after the branch of 2.10 was cut; the release notes of
thop 2.2.4 say the same of the releases. Rehearsed: torch 2.8.0 keeps them, 2.14.1 does not.
"""
CUDNN_ATTENTION_FIRST = (2, 11)
"""The first release that prefers cuDNN's attention on capabilities 9 and 10: its wheels bring the cuDNN above 9.15
that check_prefer_cudnn_attention (aten/src/ATen/native/transformers/cuda/sdp_utils.cpp) asks for; huggingface/
transformers pull request 48163 has the history. Wheels for CUDA 12.6 bring cuDNN 9.10 and so prefer flash."""
OLDEST, NEWEST = min(WHEELS), max(WHEELS)
_ASKED = re.compile(r"(\d{1,2})\.(\d{1,3})(?:\.\d+)*(?:(?:\.post|rc|a|b|\.dev)\d+)?(?:\+[\w.]+)?", re.ASCII)

Release = tuple[int, int]


class TorchRules(NamedTuple):
    """The rules of a release."""

    release: Release

    def __str__(self) -> str:
        return f"torch {said(self.release)}"

    def workspace_bytes(self, capability: Capability | None) -> int:
        """Bytes of cuBLAS and cuBLASLt that are held at a peak; of a capability that is not known the smallest.

        What is given back after every product is counted too, the larger of both: a peak is mostly at a product.
        """
        kept = LT_WORKSPACE_BYTES if LT_KEPT <= self.release < ONE_FOR_BOTH else 0
        return self.cublas_bytes(capability) + kept

    def cublas_bytes(self, capability: Capability | None) -> int:
        """Bytes of the workspace of cuBLAS alone."""
        major = capability[0] if capability else 0
        # From 2.15 on by generation at large: 9, 10, 11 and 12 (profiles/workspaces.yaml).
        blackwell = (10, 11, 12) if self.release >= NOTHING_KEPT else (10, 12)
        large = major == 9 or (major in blackwell and self.release >= LARGE_ON_BLACKWELL)
        return LARGE_WORKSPACE_BYTES if large else SMALL_WORKSPACE_BYTES

    @property
    def keeps_casts(self) -> bool:
        """Whether autocast keeps its copies of weights under torch.inference_mode."""
        return self.release < CASTS_DROPPED

    def prefers_cudnn_attention(self, capability: Capability) -> bool:
        """Whether scaled_dot_product_attention tries cuDNN's kernel first, where it is asked for none."""
        return self.release >= CUDNN_ATTENTION_FIRST and capability[0] in (9, 10) and capability[1] in (0, 3)


def release_of(version: str) -> Release:
    """The release of a version that a user named, such as "2.11" or "2.11.0+cu130".

    Raises UsageError for what is no version, and for a release whose rules are not known.
    """
    match = _ASKED.fullmatch(version.strip()) if isinstance(version, str) else None
    if match is None:
        raise UsageError(f"{version!r} is not a version of torch.", f'Write it as "{said(NEWEST)}". {known_releases()}')
    release = int(match[1]), int(match[2])
    if release not in WHEELS:
        older = "older than sam2 runs with" if release < OLDEST else "not a release that is known"
        raise UsageError(f"torch {said(release)} is {older}.", known_releases())
    return release


def build_named(version: str, capability: Capability | None = None) -> TorchBuild:
    """The build of a version that a user named, with the newest CUDA whose wheel has code for the capability, if one.

    Raises UsageError as release_of does, and for a CUDA that no wheel of the release is built with.
    """
    release = release_of(version)
    named = build_of(version.strip())
    known = sorted(WHEELS[release], key=lambda cuda: tuple(map(int, cuda.split("."))))
    if named is not None and named.cuda not in known:
        raise UsageError(f"{named} is not a known wheel.", f"torch {said(release)} has wheels for {', '.join(known)}.")
    builds = [named] if named else [TorchBuild(release, cuda) for cuda in known]
    able = [b for b in builds if capability is None or ((code := compiled(b, capability)) and code.runs(capability))]
    return (able or builds)[-1]


def check_code(version: str, capability: Capability, on: str) -> None:
    """Raises UsageError where no wheel of the version has code for a GPU of the capability; `on` names the GPU."""
    reason = why_no_code(capability, build_named(version, capability))
    if reason is not None:
        raise UsageError(
            f"torch {version} cannot run on {on}: {reason}.", "Name a release that can, or leave torch out."
        )


def rules_of(version: str | None = None) -> TorchRules:
    """The rules of a version; of None those of the torch that plans are for: installed, else the newest known.

    An installed release that is newer or older than those known has the rules of the nearest. Raises UsageError as
    release_of does.
    """
    release = planned_build().release if version is None else release_of(version)
    return TorchRules(min(max(release, OLDEST), NEWEST))


def known_releases() -> str:
    """A sentence: which releases may be asked for."""
    return f"Known are {said(OLDEST)} to {said(NEWEST)}; left out, those of the installed torch count."


def said(release: Release) -> str:
    """Such as "2.11"."""
    return f"{release[0]}.{release[1]}"
