#!/usr/bin/env python3
"""Make every request for memory fail, one after another, and see how each run ends.

    python scripts/inject_out_of_memory.py [--task TASK]... [--every N] [--caps N] [--seed N] [--json]

On an imaginary GPU a task is run once to count its requests to the driver (device memory and pinned memory). Then, for
each k, it is run again in the same process with the k-th request refused, and the ones that torch makes for the same
tensor after giving its cache back; and with the caps of SAM2_PLAN_MEMORY_CAP from what nothing fits into to all that
it takes. Each run must end

- recovered: with every answer there once; or
- in a clean error: OutOfMemory with a hint, what was finished before still there;

leave nothing on the device, and let the same task run in the same process afterwards. Anything else is lost or leaked.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import ctypes
import gc
import importlib
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
SIZE = (96, 128)
FRAMES = 8
IN_A_ROW = 3
"""Requests refused in a row: torch asks, gives back what it has cached, and asks again."""
CAPS = 24
"""Caps between nothing and all."""
CAP = "SAM2_PLAN_MEMORY_CAP"
STAGED = "SAM2_PLAN_INJECTING"
"""Set in the process that runs on the imaginary GPU."""


@dataclass
class Tally:
    """How the runs of one task ended."""

    requests: int = 0
    """To the driver, of a run that nothing disturbs."""
    ends: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    """What was lost, leaked or not explained."""


def main() -> int:
    """Start the process on the imaginary GPU, or be it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", choices=sorted(TASKS), help="which (default: all)")
    parser.add_argument("--every", type=int, default=1, metavar="N", help="only every N-th request, from a seeded one")
    parser.add_argument("--caps", type=int, default=CAPS, metavar="N", help=f"how many caps (default: {CAPS})")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one document instead of a table")
    options = parser.parse_args()
    if STAGED not in os.environ:
        return _on_stage()
    found = {}
    with _models_built_once():
        for name in options.task or TASKS:
            found[name] = _sweep(name, options)
            if not options.json:
                _print_row(name, found[name])
    if options.json:
        print(json.dumps({name: {**vars(tally), "ends": dict(tally.ends)} for name, tally in found.items()}))
    else:
        _print_faults(found)
    return int(any(tally.faults for tally in found.values()))


def _on_stage() -> int:
    sys.path.insert(0, str(ROOT))
    from planner.rehearsal.machine import imaginary_gpu
    from planner.rehearsal.stage import Stage

    gpu = imaginary_gpu(total_bytes=8 << 30, context_bytes=100 << 20)
    with Stage([gpu], zero_scalars=True) as stage:
        environment = stage.environment({**os.environ, STAGED: "1", "PYTHONPATH": str(ROOT)})
        return subprocess.run([sys.executable, __file__, *sys.argv[1:]], env=environment).returncode


@contextlib.contextmanager
def _models_built_once() -> Iterator[None]:
    """A copy of a model takes a tenth of the second that building it does. Neither asks the driver for anything."""
    session: Any = importlib.import_module("planner.runtime.session")
    built: dict[tuple[str, str], Any] = {}

    def copied(configuration: Any, seed: int) -> Any:
        key = configuration.variant, configuration.version
        if key not in built:
            built[key] = random_model(configuration, seed)
        return copy.deepcopy(built[key])

    random_model = session.random_model
    with mock.patch.object(session, "random_model", copied):
        yield


# -- what is run ------------------------------------------------------------------------------------------


def _plan(task: Any, **pins: Any) -> Any:
    import planner

    chosen = {"variant": "tiny", "version": "2.1", "resolution": 128, "frame_size": SIZE, "vram": "2GB", **pins}
    if task != "automask":
        chosen = {"objects": 3, **chosen}
    return planner.plan(task=task, **chosen)


def _pictures() -> list[Any]:
    import numpy

    random_numbers = numpy.random.default_rng(0)
    return [random_numbers.integers(0, 255, (*SIZE, 3), dtype=numpy.uint8) for _ in range(FRAMES)]


def _prompts() -> list[dict[str, Any]]:
    import numpy

    mask = numpy.zeros(SIZE, dtype=bool)
    mask[20:60, 30:80] = True
    return [
        {"frame": 0, "object": 1, "points": [[20, 30]], "labels": [1]},
        {"frame": 0, "object": 2, "box": [10, 20, 60, 80]},
        {"frame": 2, "object": 3, "mask": mask},
    ]


def _load(plan: Any, task: Any, **changed: Any) -> Any:
    from dataclasses import replace

    import planner

    if changed:
        choice = replace(plan.chosen, configuration=replace(plan.chosen.configuration, **changed))
        plan = replace(plan, chosen=choice)
    return planner.load(plan, random_weights=True, device="cuda", fallback=True, task=task)


def _track(kept: list[Any], **changed: Any) -> None:
    session = _load(_plan("video"), "video", **changed)
    with session.track(_pictures(), _prompts()) as tracking:
        for frame, masks in tracking:
            assert masks, "a frame without masks"
            kept.append(frame)


def _correct(kept: list[Any]) -> None:
    session = _load(_plan("video"), "video")
    with session.track(iter(_pictures()), _prompts()[:2], history=2) as tracking:
        corrected = False
        for frame, masks in tracking:
            if frame not in kept:
                kept.append(frame)
            assert masks, "a frame without masks"
            if frame == 4 and not corrected:
                corrected = True
                tracking.add({"frame": 3, "object": 1, "points": [[25, 35]], "labels": [0]})
                tracking.add({"frame": 3, "object": 7, "box": [1, 1, 50, 60]})


def _resume(kept: list[Any]) -> None:
    session = _load(_plan("video"), "video")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "state"
        with session.track(_pictures(), _prompts()) as tracking:
            for frame, _ in tracking:
                kept.append(frame)
                if frame == 4:
                    break
            tracking.save(path)
        with session.track(_pictures(), resume=path) as tracking:
            kept.extend(frame for frame, _ in tracking)


def _several(kept: list[Any]) -> None:
    """Two clips in turn by one set of weights, which rests on the host for a while."""
    with _load(_plan("video"), "video") as session:
        clips = [session.track(_pictures(), _prompts()) for _ in range(2)]
        for shots in zip(*clips, strict=True):
            for frame, masks in shots:
                assert masks, "a frame without masks"
                kept.append(frame)
            if frame == 3:
                session.to("cpu").to("cuda")


def _segment(kept: list[Any]) -> None:
    session = _load(_plan("image"), "image", object_batch=2)
    for picture in _pictures()[:2]:
        found = session.segment(picture, boxes=[[1, 2, 40, 50], [3, 4, 50, 60], [20, 30, 90, 90]], multimask=True)
        assert found.masks.shape == (3, 3, *SIZE)
        kept.append(len(kept))


def _automask(kept: list[Any]) -> None:
    session = _load(_plan("automask"), "automask")
    session.automask(_pictures()[0], points_per_side=8, pred_iou_threshold=0.0, stability_threshold=0.0)
    kept.append(len(kept))


def _run(kept: list[Any]) -> None:
    """`sam2-plan run` without its command line: three parts, joined at the end."""
    from PIL import Image

    runs: Any = importlib.import_module("planner.runs.run")
    asked: Any = importlib.import_module("planner.runs.asked")
    with tempfile.TemporaryDirectory() as folder:
        source, out = Path(folder) / "clip", Path(folder) / "out"
        source.mkdir()
        for number, picture in enumerate(_pictures()):
            Image.fromarray(picture).save(source / f"{number:05d}.png")
        before, asked.PART_FRAMES = asked.PART_FRAMES, 3
        try:
            runs.run(
                _plan("video"), source, out, prompts=_prompts(), saves=("png", "npz"), random_weights=True,
                device="cuda", fallback=True,
            )  # fmt: skip
        finally:
            asked.PART_FRAMES = before
            png, npz = ({int(p.stem) for p in (out / kind).glob(f"*.{kind}")} for kind in ("png", "npz"))
            kept.extend(sorted(png & npz))


TASKS: dict[str, Callable[[list[Any]], None]] = {
    "track": _track,
    "track, bank on the host": lambda kept: _track(kept, offload_state=True),
    "track, objects in one pass": lambda kept: _track(kept, object_batch=4),
    "correct": _correct,
    "resume": _resume,
    "several clips": _several,
    "segment": _segment,
    "automask": _automask,
    "run": _run,
}


# -- the sweep --------------------------------------------------------------------------------------------


def _sweep(name: str, options: argparse.Namespace) -> Tally:
    task, tally = TASKS[name], Tally()
    driver = ctypes.CDLL(None)
    _free()
    whole: list[Any] = []
    task(whole)  # loads kernels, caches plans of cuDNN, and imports what there is to import
    _free()
    before = driver.imaginary_requests()
    task([])
    tally.requests = driver.imaginary_requests() - before
    first = random.Random(options.seed).randint(1, options.every)
    began = time.monotonic()
    for k in range(first, tally.requests + 1, options.every):
        driver.imaginary_fail_requests(k, IN_A_ROW)
        _judge(task, whole, tally, f"request {k}")
        driver.imaginary_fail_requests(0, 0)
        _tell(f"{name}: request {k} of {tally.requests}, {time.monotonic() - began:.0f} s, {dict(tally.ends)}")
    for cap_bytes in _caps(task, options.caps):
        with _capped(cap_bytes):
            _judge(task, whole, tally, f"cap {cap_bytes:,}")
        _tell(f"{name}: cap {cap_bytes:,}, {time.monotonic() - began:.0f} s, {dict(tally.ends)}")
    _judge(task, whole, tally, "undisturbed, afterwards")
    if tally.ends["recovered"] == 0:
        tally.faults.append("nothing was recovered, not even the undisturbed run")
    _tell("")
    return tally


def _judge(task: Callable[[list[Any]], None], whole: list[Any], tally: Tally, what: str) -> None:
    """Run it once and count how it ended."""
    import torch

    from planner.errors import OutOfMemory

    held = _free()
    kept: list[Any] = []
    end = "recovered"
    try:
        task(kept)
        if kept != whole:
            end = "lost"
            tally.faults.append(f"{what}: gave {kept}, not {whole}")
    except OutOfMemory as error:
        end = "clean error"
        if not error.hint or kept != whole[: len(kept)]:
            end = "lost"
            tally.faults.append(f"{what}: {error}; kept {kept}")
    except Exception as error:
        end = "lost"
        tally.faults.append(f"{what}: {type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    tally.ends[end] += 1
    after = _free()
    if after > held:
        tally.ends["leaked"] += 1
        tally.faults.append(f"{what}: {after - held:,} bytes stay allocated")
    torch.cuda.synchronize()


def _free() -> int:
    """Collect, give back all cache so that the next run asks the driver for everything, and say what stays."""
    import torch

    gc.collect()
    torch._C._cuda_clearCublasWorkspaces()
    torch.cuda.empty_cache()
    if hasattr(torch._C, "_host_emptyCache"):
        torch._C._host_emptyCache()
    return int(torch.cuda.memory_allocated())


def _caps(task: Callable[[list[Any]], None], count: int) -> list[int]:
    import torch

    _free()
    torch.cuda.reset_peak_memory_stats()
    task([])
    free, total = torch.cuda.mem_get_info()
    context = total - free - torch.cuda.memory_reserved()
    most = torch.cuda.max_memory_reserved()
    return [int(context + most * share / count) for share in range(count // 4, count + 1)] if count else []


@contextlib.contextmanager
def _capped(cap_bytes: int) -> Iterator[None]:
    import torch

    from planner.text.units import exact_size

    os.environ[CAP] = exact_size(cap_bytes)
    try:
        yield
    finally:
        del os.environ[CAP]
        torch.cuda.set_per_process_memory_fraction(1.0, 0)


def _tell(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\033[K{line}", end="", file=sys.stderr, flush=True)


def _print_row(task: str, tally: Tally) -> None:
    """At once: the whole table takes minutes."""
    names = ("recovered", "clean error", "lost", "leaked")
    runs = sum(count for end, count in tally.ends.items() if end != "leaked")
    counts = ", ".join(f"{tally.ends[name]} {name}" for name in names)
    print(f"{task:28}{tally.requests:>4} requests, {runs:>3} runs: {counts}", flush=True)


def _print_faults(found: dict[str, Tally]) -> None:
    for task, tally in found.items():
        for fault in tally.faults:
            print(f"! {task}: {fault}")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    sys.exit(main())
