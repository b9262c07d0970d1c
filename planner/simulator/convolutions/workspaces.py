"""Who is asked for a workspace: cuDNN first, then the shipped table, then a rule; and who answered.

SAM2_PLAN_CUDNN says which cuDNN: a path, or "none" for the table and the rule alone, which say the same on every
machine; left out, it is the installed torch's.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.simulator.convolutions import table
from planner.simulator.convolutions.asking import Child, Installed, NoAnswer, cublaslt_of, version_text
from planner.simulator.convolutions.convolution import CUDNN, Convolution, kernel_of
from planner.simulator.convolutions.devices import device_json
from planner.simulator.convolutions.remembered import Remembered, file_for
from planner.simulator.convolutions.stand_in import stand_in

_RULE, _NOT_CUDNN = "rule", "torch's own kernels"
VARIABLE = "SAM2_PLAN_CUDNN"
NOBODY = "none"
failed: dict[tuple[Path, int], str] = {}
"""Why a library does not answer for a kind of GPU: what crashed or hung once is not tried again in this process."""
RULE = (
    "no workspace for channels-last layouts, depthwise and 1x1 convolutions, float32 and GPUs before 8.0; else that of "
    "a copy of input, output and weights"
)


def rule_bytes(convolution: Convolution, capability: tuple[int, int]) -> int:
    """Bytes where nobody knows.

    Kernels for tensor cores work on channels-last tensors, so cuDNN copies others there and back: what it takes of
    contiguous 16-bit tensors from 8.0 on is mostly this to a few kilobytes. 1x1 ones are products of matrices.
    """
    half = convolution.dtype in ("float16", "bfloat16") and capability >= (8, 0)
    copied = half and not convolution.channels_last and not convolution.is_product and convolution.groups == 1
    return convolution.moved_bytes if copied else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """Who said what of the convolutions of one run, each counted once however often it was called."""

    by_source: dict[str, int]
    """How many convolutions by who answered."""
    fault: str | None
    """Why cuDNN was not asked, or not to the end; None if it was."""
    assumed: int
    """How many by the rule."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return {"by_source": self.by_source, "fault": self.fault}


class ConvolutionWorkspaces:
    """The workspaces of one run on a GPU of a capability. A context manager, which ends the child and saves."""

    def __init__(
        self,
        capability: tuple[int, int],
        multiprocessors: int,
        torch_version: tuple[int, int],
        installed: Installed | None,
    ) -> None:
        """`installed`: the cuDNN to ask, None if there is none; `torch_version` says which table counts without."""
        self.capability = capability
        self._device = device_json(capability, multiprocessors)
        self._assumed_version = table.version_of_torch(torch_version)
        self._version = installed.version if installed else None
        self._library = installed.library if installed else None
        self._fault = None if installed else "torch brings no cuDNN 9 here"
        self._remembered: Remembered | None = None
        self._child: Child | None = None
        self._cublaslt: Path | None = None
        self._answers: dict[Convolution, tuple[int, str]] = {}
        said = os.environ.get(VARIABLE)
        if said == NOBODY:
            self._library, self._fault = None, f"{VARIABLE} is {NOBODY}"
        elif said:
            self._library, self._version, self._fault = Path(said), None, None

    def __enter__(self) -> ConvolutionWorkspaces:
        """Look for remembered answers; where there are none, cuDNN loads while the run begins."""
        if self._library is not None:
            known = failed.get((self._library, self._device["deviceVer"]))
            if known is None:
                self._trying(self._begin)
            else:
                self._fault, self._library = known, None
        return self

    def __exit__(self, *_: object) -> None:
        if self._child is not None:
            self._child.close()
            self._child = None
        if self._remembered is not None:
            self._remembered.save()

    def bytes(self, convolution: Convolution) -> int:
        """Bytes that the call takes and gives back."""
        known = self._answers.get(convolution)
        if known is None:
            known = self._answers[convolution] = self._found(convolution)
        return known[0]

    def answers(self) -> Answers:
        """Who answered so far."""
        counts = Counter(source for _, source in self._answers.values())
        return Answers(by_source=dict(sorted(counts.items())), fault=self._fault, assumed=counts[_RULE])

    def known(self) -> dict[Convolution, int]:
        """Every convolution so far with its bytes."""
        return {convolution: size_bytes for convolution, (size_bytes, _) in self._answers.items()}

    def _found(self, convolution: Convolution) -> tuple[int, str]:
        if kernel_of(convolution, self.capability) != CUDNN:
            return 0, _NOT_CUDNN
        if self._library is not None and len(convolution.input) == 4:
            size_bytes = self._trying(lambda: self._asked(convolution))
            if size_bytes is not None:
                assert self._version is not None
                taken = "; cublasLt's own taken as none" if convolution.is_product else ""
                return size_bytes, f"cuDNN {version_text(self._version)}, asked{taken}"
        shipped = table.shipped()
        version = shipped.version_for(self._version or self._assumed_version)
        size_bytes = shipped.workspace_bytes(version, convolution, self.capability)
        if size_bytes is not None:
            return size_bytes, f"cuDNN {version_text(version)}, shipped table"
        return rule_bytes(convolution, self.capability), _RULE

    def _trying(self, ask: Callable[[], int | None]) -> int | None:
        """The answer; after a fault nothing is asked any more."""
        try:
            return ask()
        except NoAnswer as error:
            assert self._library is not None
            self._fault = failed[self._library, self._device["deviceVer"]] = str(error)
            self._library = None
            return None

    def _begin(self) -> None:
        if self._version is None:
            self._version = self._asker().version()
        self._remembered = Remembered(file_for(self._version, self._device))
        if not self._remembered:
            self._asker()

    def _asked(self, convolution: Convolution) -> int | None:
        assert self._remembered is not None
        if convolution.id not in self._remembered:
            child = self._asker()
            if convolution.is_product and self._cublaslt is None:
                self._fault = "cuDNN was not asked of 1x1 convolutions: no C compiler made a stand-in of cublasLt"
                return None
            if child.version() != self._version:
                raise NoAnswer(f"it is cuDNN {child.version()}, not {self._version} as torch says")
            self._remembered.add(convolution.id, child.workspace_bytes(convolution))
        return self._remembered[convolution.id]

    def _asker(self) -> Child:
        if self._child is None:
            assert self._library is not None
            real = cublaslt_of(self._library)
            # Without a GPU the real one has no kernel for anything. 9.8 and 9.10 abort where there is none at all.
            self._cublaslt = stand_in(real.name) if real else None
            self._child = Child(self._library, self._device, cublaslt=self._cublaslt or real)
        return self._child
