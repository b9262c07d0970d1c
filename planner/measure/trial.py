"""One run to be measured, what came of it, and how a child process is asked for it.

A fresh process for each run: what one leaves in the allocator, the context and torch's caches would be in the next.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.run import Configuration, Run, Sam2, Transformers, Usage, Workload
from planner.nouns.words import RUN_OUTCOMES, RunOutcome

RAN, OUT_OF_MEMORY, FAILED, LOST = RUN_OUTCOMES
"""lost: the GPU was not there any more."""
TIMEOUT_SECONDS = 900.0
EXCERPT = 1500
"""Characters of an error that are kept."""
LOST_WORDS = ("GPU is lost", "fallen off the bus", "no CUDA-capable device", "unspecified launch failure")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial(Run):
    """A run, and how a process is to do it. A clip without end is run over `frames` frames."""

    frames: int = 30
    """How many frames of a clip without end are run: the memory bank is full after 16."""
    cap_bytes: int | None = None
    """What the process may take on the GPU, context included; None: all there is."""
    device: str = "cuda"
    """As torch names it, or the UUID of a GPU or MIG slice."""
    checkpoint: str | None = None
    """None: random weights. Memory does not depend on their values."""
    plan: str | None = None
    """A saved plan whose choice this is: where memory runs out, what it falls back to is tried. None: nothing is."""

    @classmethod
    def of(cls, run: Run, **how: Any) -> Trial:
        """A run as a process does it; `how` are the other fields."""
        return cls(**{one.name: getattr(run, one.name) for one in fields(Run)}, **how)

    @property
    def id(self) -> str:
        """A name that says all of it, the same in every sweep."""
        words = [super(Trial, self).id]
        words += [f"cap{self.cap_bytes}"] * (self.cap_bytes is not None)
        words += ["fallback"] * (self.plan is not None)
        return "-".join(words)

    def to_dict(self) -> dict[str, Any]:
        """Plain data. Of the run without what is usual and rows of earlier versions do not have."""
        usual = {"prompt": "box", "sam2": asdict(Sam2()), "transformers": asdict(Transformers())}
        plain = {name: value for name, value in asdict(self).items() if name not in usual or value != usual[name]}
        if self.workload.streams == 1:
            del plain["workload"]["streams"]
        return plain

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Trial:
        """What to_dict gave."""
        known = {name: value[name] for name in value if name in {one.name for one in fields(cls)}}
        known["configuration"] = Configuration(**_with_tuple(value["configuration"], "resolution"))
        known["workload"] = Workload(**_with_tuple(value["workload"], "frame_size"))
        known["sam2"] = Sam2(**value.get("sam2", {}))
        known["transformers"] = Transformers(**value.get("transformers", {}))
        return cls(**known)


def _with_tuple(value: Mapping[str, Any], name: str) -> dict[str, Any]:
    """JSON has no tuples."""
    return {**value, name: tuple(value[name])}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of a trial. Bytes are null where nothing counts them (a CPU)."""

    outcome: RunOutcome
    allocated_bytes: int | None = None
    """torch.cuda.max_memory_allocated over the run."""
    reserved_bytes: int | None = None
    """torch.cuda.max_memory_reserved over the run."""
    context_bytes: int | None = None
    """Taken on the GPU beside what the allocator holds; null where the process was not alone."""
    process_bytes: int | None = None
    """What the process takes on the GPU, as the driver says."""
    total_bytes: int | None = None
    """Memory of the GPU."""
    phases: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By phase in order: allocated_bytes and reserved_bytes at its peak."""
    small_bytes: int | None = None
    extents: Mapping[str, int] = field(default_factory=dict)
    """See Usage. Known for rehearsals only."""
    alone: bool | None = None
    """Whether no other process had memory on the GPU; null where that cannot be seen."""
    seconds_per_frame: float | None = None
    """Median, without the first two frames."""
    frames: int | None = None
    """How many were run."""
    retries: int | None = None
    """How often the allocator gave its cache back before the driver had enough."""
    kernels_per_frame: float | None = None
    """How many kernels a frame launched: median, after the first two. Known for rehearsals only."""
    imaginary: bool = False
    """Whether the GPU was imaginary: rehearsed then, not measured."""
    steps: tuple[str, ...] = ()
    """What fallback stepped down to, in order."""
    gpu: str | None = None
    uuid: str | None = None
    capability: tuple[int, int] | None = None
    versions: Mapping[str, str | None] = field(default_factory=dict)
    """torch, cuda, cudnn, driver, sam2."""
    phase: str | None = None
    """The phase in which it ended, where it did not run to the end."""
    error: str | None = None

    @property
    def usage(self) -> Usage:
        """What the run took."""
        return Usage(
            allocated_bytes=self.allocated_bytes,
            reserved_bytes=self.reserved_bytes,
            context_bytes=self.context_bytes,
            phases={name: peak["allocated_bytes"] for name, peak in self.phases.items()},
            small_bytes=self.small_bytes,
            extents=self.extents,
        )

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> Outcome:
        """What asdict gave."""
        capability = value.get("capability")
        steps = tuple(value.get("steps", ()))
        return cls(**{**value, "capability": tuple(capability) if capability else None, "steps": steps})


def run_trial(
    trial: Trial, *, timeout_seconds: float = TIMEOUT_SECONDS, environment: Mapping[str, str] = os.environ
) -> Outcome:
    """Run a trial in a process of its own. Whatever happens there is an outcome, not an error.

    `environment` is that process's, as of a rehearsal; what caps memory is left out of it. An interrupt ends the
    child too and goes on to the caller.
    """
    command = [sys.executable, "-m", "planner.measure.child", str(os.getpid())]
    # What a trial may take is said by the trial, and recorded with it.
    environment = {name: value for name, value in environment.items() if name != CAP_VARIABLE}
    if trial.device.startswith(("GPU-", "MIG-")):
        environment["CUDA_VISIBLE_DEVICES"] = trial.device
        trial = replace(trial, device="cuda")
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    ) as child:
        try:
            out, err = child.communicate(json.dumps(trial.to_dict()), timeout=timeout_seconds)
        except subprocess.TimeoutExpired:
            child.kill()
            return Outcome(outcome=FAILED, error=f"It took longer than {timeout_seconds:g} s.")
        except BaseException:
            child.kill()
            raise
    lines = [line for line in out.splitlines() if line.startswith("{")]
    if child.returncode == 0 and lines:
        return Outcome.from_dict(json.loads(lines[-1]))
    return Outcome(outcome=FAILED, error=died(child.returncode, err))


def died(code: int, text: str) -> str:
    """Why a child ended without an answer."""
    last = text.strip()[-EXCERPT:]
    signal = f"It was ended by signal {-code}" if code < 0 else f"It ended with exit code {code}"
    killed = "; the machine may be out of host memory" if code == -9 else ""
    return f"{signal}{killed}.{' ' + last if last else ''}"
