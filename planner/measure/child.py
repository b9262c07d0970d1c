"""The process that runs one trial: `python -m planner.measure.child`, a trial as JSON on stdin, the outcome on stdout.

What is out of memory or fails is an outcome; only what kills the process leaves none.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import torch

from planner.driving.clips import Black, Noise
from planner.machine.processes import Driver
from planner.measure.extents import extents
from planner.measure.gauge import Gauge
from planner.measure.trial import EXCERPT, FAILED, LOST, LOST_WORDS, OUT_OF_MEMORY, RAN, Outcome, Trial
from planner.nouns.run import grows_segments
from planner.nouns.words import OTHER_RUNTIMES, RunOutcome, Runtime, package_of
from planner.runtime.cuda import out_of_memory
from planner.runtime.limiting import hold, uuid_of
from planner.text.command_lines import describe
from planner.text.packages import installed_version
from planner.wire.plan_file import read_plan


def main() -> None:
    """Run what stdin says."""
    # Told by the parent: it may be gone before this process has imported torch.
    parent = int(sys.argv[1]) if len(sys.argv) > 1 else os.getppid()
    threading.Thread(target=_end_with_parent, args=(parent,), daemon=True).start()
    trial = Trial.from_dict(json.load(sys.stdin))
    answer = sys.stdout
    # What libraries print belongs to nobody; the last line of stdout is the outcome.
    with contextlib.redirect_stdout(io.StringIO()):
        outcome = run(trial)
    answer.write(json.dumps(asdict(outcome)) + "\n")


def _end_with_parent(parent: int) -> None:
    """A sweep that was killed must not leave a GPU in use for nobody, nor the next sweep think it is not alone."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


def run(trial: Trial, pictures: type[Black] = Noise) -> Outcome:
    """Run a trial in this process, on such pictures."""
    try:
        device = torch.device(trial.device)
        facts = _facts(device)
        gauge = Gauge(trial.device)
        if gauge.imaginary and grows_segments(trial.runtime):
            gauge.note_extents()
    except Exception as error:
        return Outcome(outcome=_kind(error), error=_excerpt(error))
    driver = Driver(facts["uuid"])
    try:
        if trial.cap_bytes is not None and gauge.on_gpu:
            gauge.hold = partial(_cap, trial.cap_bytes, gauge, driver)
            gauge.hold()
        clip = pictures(trial.workload.frames or trial.frames, trial.workload.frame_size)
        _driver_of(trial)(trial, gauge, clip)
    except Exception as error:
        return Outcome(
            outcome=_kind(error),
            error=_excerpt(error),
            phase=gauge.under_way,
            **_figures(gauge, driver, trial.runtime),
            **facts,
        )
    small, large = extents(gauge.device) if gauge.notes_extents else (None, {})
    figures = _figures(gauge, driver, trial.runtime)
    return Outcome(outcome=RAN, small_bytes=small, extents=large, **figures, **facts)


def _figures(gauge: Gauge, driver: Driver, runtime: Runtime) -> dict[str, Any]:
    alone = driver.alone() if gauge.on_gpu else None
    return {
        "allocated_bytes": gauge.peak("allocated_bytes"),
        "reserved_bytes": gauge.peak("reserved_bytes"),
        # Where others are there too, what is in use beyond the allocator is theirs as well.
        "context_bytes": gauge.context_bytes() if alone else None,
        "process_bytes": driver.process_bytes() if gauge.on_gpu else None,
        "phases": gauge.phases if gauge.on_gpu else {},
        "alone": alone,
        "seconds_per_frame": gauge.seconds_per_frame(),
        "frames": len(gauge.seconds),
        "retries": gauge.retries(),
        "kernels_per_frame": gauge.kernels_per_frame(),
        "imaginary": gauge.imaginary,
        "steps": tuple(gauge.steps),
        "versions": _versions(driver, runtime),
    }


def _facts(device: torch.device) -> dict[str, Any]:
    if device.type != "cuda":
        return {"gpu": None, "uuid": None, "capability": None, "total_bytes": None}
    torch.cuda.mem_get_info(device)  # makes the context, and no segment before ours says how they are made
    properties = torch.cuda.get_device_properties(device)
    return {
        "gpu": properties.name,
        "uuid": uuid_of(device),
        "capability": (properties.major, properties.minor),
        "total_bytes": int(properties.total_memory),
    }


def _versions(driver: Driver, runtime: Runtime) -> dict[str, str | None]:
    backend: Any = torch.backends.cudnn
    cudnn = backend.version() if backend.is_available() else None
    return {
        # As the package is installed: torch itself adds what CUDA it was built with.
        "torch": installed_version("torch"),
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "driver": driver.version(),
        **{package: installed_version(package) for package in dict.fromkeys(("sam2", package_of(runtime)))},
    }


def _cap(cap_bytes: int, gauge: Gauge, driver: Driver) -> None:
    """Hold the allocator to what the cap leaves beside the context. Raises OutOfMemory where that is nothing.

    Where the driver does not say what this process takes, all that is in use counts, others' memory too: not knowing
    is no reason to take more.
    """
    hold(gauge.device, cap_bytes, driver.process_bytes(), gauge.context_bytes() or 0)


def _kind(error: Exception) -> RunOutcome:
    short = isinstance(error, RuntimeError) and out_of_memory(error) is not None
    if short or getattr(error, "code", "") == "out_of_memory":
        return OUT_OF_MEMORY
    return LOST if any(words in str(error) for words in LOST_WORDS) else FAILED


def _excerpt(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:EXCERPT]


def _driver_of(trial: Trial) -> Callable[[Trial, Gauge, Black], None]:
    """Imported before anything is loaded: an import leaves the frames of its callers, and what they hold, in cycles."""
    if trial.runtime == "own":
        from planner.driving import own

        return partial(_drive_own, own)
    from planner.driving.others import driver_of

    driver = driver_of(trial.runtime)
    if trial.runtime in OTHER_RUNTIMES:
        driver.prepare(trial)
    return partial(_drive_other, driver)


def _drive_own(own: Any, trial: Trial, gauge: Gauge, clip: Black) -> None:
    plan = None if trial.plan is None else read_plan(Path(trial.plan))
    session = own.load(trial, trial.device, gauge, trial.checkpoint, plan)
    own.drive(trial, session, gauge, clip)
    gauge.steps = [describe(step.configuration) for step in session.steps]


def _drive_other(driver: Any, trial: Trial, gauge: Gauge, clip: Black) -> None:
    with driver.computing(trial, trial.device):
        model = driver.load(trial, trial.device, gauge, trial.checkpoint)
        driver.drive(trial, model, gauge, clip)


if __name__ == "__main__":
    main()
