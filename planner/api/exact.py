"""`plan(exact=True)`: bytes from a run of the very configuration, without a GPU, in place of a prediction.

Rehearsed where torch's CUDA build can run on an imaginary GPU here, else simulated; each answer is kept on disk.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple

from planner.api.exact_cache import Cache
from planner.errors import EnvironmentFailure, Interrupted, PlannerError, UsageError
from planner.measure.trial import RAN, Outcome, Trial, run_trial
from planner.memory_model import MemoryModel
from planner.memory_model.exact import SETTLED_FRAMES, Known, key_of
from planner.nouns.estimate import Asked, Exact
from planner.nouns.request import Budget, Gpu, Request
from planner.nouns.run import Configuration, Usage, Workload
from planner.nouns.words import ExactMethod
from planner.planning.exactly import MOST_RUNS, settle
from planner.rehearsal.building import libraries, why_not_rehearsing
from planner.rehearsal.machine import DEFAULT_CAPABILITY, ImaginaryGpu, imaginary_gpu
from planner.rehearsal.stage import Stage
from planner.rehearsal.wheels import find_wheels
from planner.simulator.simulation import simulate_run
from planner.text.locations import cache_folder
from planner.version import __version__

Progress = Callable[[int, int, ExactMethod, Configuration], None]
"""Told before each run: its number, how many there are at most, rehearsed or simulated, and what runs."""
ROOM = 4
"""The imaginary GPU has so many times the budget: what is asked for is the need with room to spare, and what needs
more than that does not fit anyway."""
LEAST_ROOM_BYTES = 24 * 10**9
BEHIND = 10**6
"""How often an event answers that it is not done yet, on a GPU that is as far behind as can be."""
LIBRARY_VARIABLES = ("PYTORCH_", "TORCH_", "CUBLAS_", "CUBLASLT_", "CUDNN_", "NVIDIA_TF32_OVERRIDE", "SAM2_PLAN_CUDNN")
"""What begins so in the environment may change what torch asks for."""
CODE = ("runtime", "driving", "simulator", "rehearsal", "measure/child.py", "measure/gauge.py")
"""Whose files decide the bytes of an answer."""
AUTOMASK = "how many automatic masks pass depends on values, which a rehearsal lacks; it is taken that all do"
_FORMAT = 1


def exactly(
    request: Request, budget: Budget, model: MemoryModel, strict: bool, progress: Progress | None = None
) -> tuple[MemoryModel, Asked, tuple[str, ...]]:
    """The model with the bytes that decide a plan, what that took, and what there is to say of it.

    Raises EnvironmentFailure without torch or sam2, and Interrupted where the user stops it; answers are kept.
    """
    runs = Runs(request.workload, budget.gpu, ROOM * budget.total_bytes, progress)
    settled = settle(request, budget, model, runs, strict)
    notes = list(runs.notes)
    if settled.asked.left:
        notes.append(
            f"not exact yet: after {MOST_RUNS} runs {settled.asked.left} candidates are left that may fit and would be "
            "preferred; the same command goes on from there"
        )
    return settled.model, settled.asked, tuple(notes)


def known_run(
    configuration: Configuration, workload: Workload, gpu: Gpu | None, model: MemoryModel, progress: Progress | None
) -> MemoryModel:
    """The model with the bytes of one run. Raises as `exactly` does, and EnvironmentFailure where it has no answer."""
    need = model.totals(configuration, workload, gpu.capability if gpu else None, "own")
    runs = Runs(workload, gpu, ROOM * need.total, progress)
    found = runs.recall(configuration) or runs.run(configuration, 1, 1)
    if found is None:
        raise EnvironmentFailure("The run has no exact answer here.", "; ".join(runs.notes))
    key = key_of("own", configuration, workload, gpu.capability if gpu else None)
    return model.knowing({key: found})


class _Means(NamedTuple):
    """How runs are looked at here."""

    card: ImaginaryGpu | None
    """None: simulated."""
    reason: str | None
    """Why they are not rehearsed."""
    capability: tuple[int, int]
    torch: str
    cudnn: str | None
    sam2: str


class Runs:
    """The bytes of runs of one workload: remembered, rehearsed or simulated (planner.planning.exactly.Answers)."""

    def __init__(self, workload: Workload, gpu: Gpu | None, room_bytes: int, progress: Progress | None = None) -> None:
        self.workload = workload
        if workload.task == "video" and (workload.frames or 0) > SETTLED_FRAMES:
            self.workload = replace(workload, frames=None)
        self.means = _means(workload, gpu, max(room_bytes, LEAST_ROOM_BYTES))
        self.cache = Cache(cache_folder())
        self._progress = progress
        self._failures: list[str] = []
        self._code = _digest()

    @property
    def notes(self) -> list[str]:
        """What limits the answers, for people."""
        reason = self.means.reason
        simulated = [] if reason is None else [f"exact figures are simulated, not rehearsed: {reason}"]
        return [*simulated, *self._failures, *self.cache.warnings]

    def recall(self, configuration: Configuration) -> Known | None:
        """What the cache has."""
        return self.cache.read(self._key(configuration))

    def run(self, configuration: Configuration, number: int, most: int) -> Known | None:
        """Rehearse it, or simulate it where it cannot be, and keep the answer. Raises Interrupted."""
        method: ExactMethod = "rehearsed" if self.means.card else "simulated"
        if self._progress:
            self._progress(number, most, method, configuration)
        trial = Trial(runtime="own", configuration=configuration, workload=self.workload, frames=SETTLED_FRAMES)
        try:
            known = self._rehearse(trial) if self.means.card else self._simulate(trial)
        except KeyboardInterrupt:
            raise Interrupted(
                f"Interrupted in run {number} of at most {most}.",
                "What was found before is kept; the same command goes on from there.",
            ) from None
        if known is not None:
            self.cache.write(self._key(configuration), known)
        return known

    def _rehearse(self, trial: Trial) -> Known | None:
        lags = (0, BEHIND) if trial.configuration.offload_state else (0,)  # copies on a second stream: see Known
        outcomes = []
        for lag in lags:
            outcome = self._on_stage(trial, lag)
            if outcome.outcome != RAN or not outcome.allocated_bytes or not outcome.reserved_bytes:
                self._failures.append(f"{trial.id} could not be rehearsed, and is predicted: {outcome.error}")
                return None
            outcomes.append(outcome)
        upper = max(outcome.reserved_bytes or 0 for outcome in outcomes)
        return _whole(outcomes[0].usage, upper, self._exact("rehearsed", outcomes[0].frames))

    def _on_stage(self, trial: Trial, event_lag: int) -> Outcome:
        assert self.means.card is not None
        with Stage([self.means.card], event_lag=event_lag) as stage:
            return run_trial(trial, environment=stage.environment())

    def _simulate(self, trial: Trial) -> Known | None:
        try:
            found = simulate_run(trial, capability=self.means.capability)
        except EnvironmentFailure:
            raise
        except PlannerError as error:
            self._failures.append(f"{trial.id} could not be simulated, and is predicted: {error}")
            return None
        return _whole(found.usage, found.reserved_upper_bytes, self._exact("simulated", self.workload.frames))

    def _exact(self, method: ExactMethod, frames: int | None) -> Exact:
        means = self.means
        return Exact(
            method=method,
            gpu=means.card.name if means.card else None,
            capability=means.capability,
            torch=means.torch,
            cudnn=means.cudnn,
            sam2=means.sam2,
            frames=frames if self.workload.task == "video" else None,
        )

    def _key(self, configuration: Configuration) -> dict[str, Any]:
        """All that the bytes depend on."""
        means, card = self.means, self.means.card
        return {
            "format": _FORMAT,
            "planner": __version__,
            "code": self._code,
            "torch": means.torch,
            "cudnn": means.cudnn,
            "sam2": means.sam2,
            "method": "rehearsed" if card else "simulated",
            "capability": list(means.capability),
            "card": card and {"name": card.name, "multiprocessors": card.multiprocessors, "l2_bytes": card.l2_bytes},
            "configuration": asdict(configuration),
            "workload": asdict(self.workload),
            "frames": SETTLED_FRAMES,
            "environment": {n: v for n, v in sorted(os.environ.items()) if n.startswith(LIBRARY_VARIABLES)},
        }


def _means(workload: Workload, gpu: Gpu | None, room_bytes: int) -> _Means:
    versions = {name: _version(name) for name in ("torch", "sam2")}
    for name, version in versions.items():
        if version is None:
            raise EnvironmentFailure(
                f"An exact plan runs SAM 2's own code, and {name} is not installed here.",
                'Install it (pip install "sam2-plan[run]"), or leave --exact out: predictions need none of it.',
            )
    torch, sam2 = str(versions["torch"]), str(versions["sam2"])
    capability = (gpu.capability if gpu else None) or DEFAULT_CAPABILITY
    cudnn, card = None, None
    reason = why_not_rehearsing()
    if reason is None:
        wheels = find_wheels()
        torch, cudnn = wheels.version, ".".join(map(str, wheels.cudnn_version))
        if workload.task == "automask":
            reason = AUTOMASK
        else:
            card, reason = _card(gpu, room_bytes)
            try:
                libraries()
            except PlannerError as error:  # a compiler or a cache folder that does not do
                card, reason = None, error.message.rstrip(".")
    return _Means(card, reason, capability, torch, cudnn, sam2)


def _card(gpu: Gpu | None, room_bytes: int) -> tuple[ImaginaryGpu | None, str | None]:
    """The imaginary GPU for one that is planned for, or why there is none."""
    if gpu is None:
        return imaginary_gpu(total_bytes=room_bytes), None
    try:
        return imaginary_gpu(gpu.name, capability=gpu.capability, total_bytes=room_bytes), None
    except UsageError:  # a name that is in no catalogue: the card that stands for its capability
        if gpu.capability is None:
            return None, f"the capability of {gpu.name} is not known"
    try:
        return imaginary_gpu(capability=gpu.capability, total_bytes=room_bytes), None
    except UsageError as error:
        return None, error.message.rstrip(".")


def _version(package: str) -> str | None:
    """Version of an installed package that can be imported; None where it cannot."""
    try:
        found = importlib.util.find_spec(package) is not None
        return importlib.metadata.version(package) if found else None
    except (ImportError, ValueError, importlib.metadata.PackageNotFoundError):
        return None


def _digest() -> str:
    """Digest of the code whose runs are asked about: another release may take other bytes."""
    here, digest = Path(__file__).resolve().parent.parent, hashlib.sha256()
    for name in CODE:
        place = here / name
        files = sorted(file for file in place.rglob("*") if file.suffix in (".py", ".c", ".h")) or [place]
        for file in files:
            digest.update(file.relative_to(here).as_posix().encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()[:16]


def _whole(usage: Usage, upper: int, exact: Exact) -> Known:
    """An answer whose highest phase has all that is allocated: what lies between two phases counts to the highest."""
    phases, allocated, reserved = usage.phases, usage.allocated_bytes or 0, usage.reserved_bytes or 0
    highest = max(phases, key=lambda name: phases[name], default="run")
    return Known(allocated, reserved, upper, tuple({**phases, highest: allocated}.items()), exact)
