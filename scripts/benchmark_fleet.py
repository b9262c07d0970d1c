#!/usr/bin/env python3
"""A fleet on a local Ray of several nodes against one process per GPU without Ray, and under faults: seconds, files.

Both do the same short clips with the same number of processes, on the CPU; its GPUs are imaginary. In each pair both
run one after the other, in turns, on a cluster that stands already; clips a second are counted from the first clip that
is done to the last, so that the start of processes (torch, weights) stands beside them as a figure of its own. Then
the fleet does them under faults: the command is killed after a third, a node at a half, another at two thirds; every
file is compared with a process's. Numbers are measured on this machine.

    scripts/benchmark_fleet.py --clips 1000 --pairs 1
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_fleet import CARD, PROMPT, cluster_of, digests, environment, make_clips, tiny_plan

import planner
from planner.fleet.fleet import run_on_ray
from planner.runs.run import run

TICKS = os.sysconf("SC_CLK_TCK")
RUN: dict[str, Any] = {"prompts": PROMPT, "random_weights": True, "device": "cpu"}
FLEET: dict[str, Any] = {**RUN, "gpu": CARD, "share": "budget"}


def say(text: str, end: str = "\n") -> None:
    """Print it; what Ray prints about its nodes goes nowhere."""
    print(text, end=end, file=sys.__stdout__, flush=True)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast a folder of runs came about."""

    seconds: float
    """From the call to its end."""
    per_second: float
    """Clips, from the first that was done to the last."""
    cpu_seconds: float
    """Of all processes together, Ray's own too: what a machine that is busy otherwise does not change."""


def process(sources: Sequence[str], out: str) -> None:
    """One process with one share of the clips: weights once, then clip after clip."""
    plan = tiny_plan()
    session = planner.load(plan, random_weights=True, device="cpu")
    for source in sources:
        run(plan, source, Path(out) / Path(source).stem, load=lambda _: session, **RUN)


def by_processes(sources: Sequence[str], out: Path, count: int) -> Pace:
    """So many processes, each with every so many-th clip."""
    out.mkdir()
    spawn = multiprocessing.get_context("spawn")
    began, used = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    processes = [spawn.Process(target=process, args=(sources[first::count], str(out))) for first in range(count)]
    for one in processes:
        one.start()
    for one in processes:
        one.join()
        if one.exitcode:
            raise SystemExit(f"A process ended with {one.exitcode}.")
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = now.ru_utime + now.ru_stime - used.ru_utime - used.ru_stime
    return pace_of(out, time.monotonic() - began, cpu)


def by_fleet(sources: Sequence[str], out: Path, address: str) -> Pace:
    """The fleet."""
    began, before, last = time.monotonic(), cpu_of_ray(), 0.0

    def look(progress: Any) -> None:
        """The workers are gone at the end, and with them what they used: looked at when the last clips are at work."""
        nonlocal last
        if progress.workers and progress.total - progress.done <= 4 * progress.workers:
            last = max(last, cpu_of_ray())

    summary = run_on_ray(tiny_plan(), sources, out, address=address, progress=look, **FLEET)
    if summary.exit_code:
        raise SystemExit(f"The fleet ended with {summary.counts}.")
    return pace_of(out, time.monotonic() - began, last - before)


def cpu_of_ray() -> float:
    """Seconds of this process and of all that Ray started for this cluster, as far as they live."""
    mark = f"RAY_TMPDIR={os.environ['RAY_TMPDIR']}".encode()
    total = time.process_time()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if folder.name != str(os.getpid()) and mark in (folder / "environ").read_bytes():
                total += sum(map(int, (folder / "stat").read_text().rpartition(")")[2].split()[11:13])) / TICKS
        except OSError:  # it has just ended
            continue
    return total


def pace_of(out: Path, seconds: float, cpu: float) -> Pace:
    """By the times at which records were last written."""
    times = sorted(path.stat().st_mtime for path in out.glob("*/run.json"))
    return Pace(seconds=seconds, per_second=(len(times) - 1) / (times[-1] - times[0]), cpu_seconds=cpu)


def under_faults(sources: Sequence[str], out: Path, cluster: Any, folder: Path) -> None:
    """The command is killed after a third; then a node at a half, another at two thirds."""
    tiny_plan().save(folder / "plan.yaml")
    words = ["--on", "ray", "--address", cluster.address, "--gpu", CARD, "--share", "budget", "--out", str(out)]
    words += ["--point", "20,20", "--random-weights", "--device", "cpu"]
    command = [sys.executable, "-m", "planner", "run", str(folder / "plan.yaml"), *sources, *words]
    began = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while finished(out) < len(sources) / 3:
        if began.poll() is not None:
            raise SystemExit(f"The command ended with {began.returncode} before it was killed.")
        time.sleep(0.2)
    began.send_signal(signal.SIGKILL)
    began.wait()
    say(f"  the command was killed when {finished(out):,} were done")
    at = [len(sources) / 2, len(sources) * 2 / 3]

    def kill(progress: Any) -> None:
        if at and progress.done >= at[0] and progress.workers > 1:
            at.pop(0)
            cluster.remove_node(next(iter(cluster.worker_nodes)), allow_graceful=False)
            say(f"  a node was killed when {progress.done:,} were done")

    summary = run_on_ray(
        tiny_plan(), sources, out, address=cluster.address, progress=kill, note=lambda text: say(f"  {text}"), **FLEET
    )
    counts = ", ".join(f"{count:,} {status}" for status, count in summary.counts.items() if count)
    say(f"  {counts}; exit code {summary.exit_code}; {len(at)} faults left out")


def finished(out: Path) -> int:
    """How many runs are."""

    def is_finished(path: Path) -> bool:
        return bool(json.loads(path.read_text())["status"] == "finished")

    return sum(map(is_finished, out.glob("*/run.json")))


def compared(out: Path, expected: Path) -> str:
    """What differs between two folders of runs, but for the time that they took."""
    here, there = digests(out), digests(expected)
    differing = sum(here[name] != there[name] for name in here.keys() & there.keys())
    missing, more = len(there.keys() - here.keys()), len(here.keys() - there.keys())
    return f"{len(here):,} files: {missing} missing, {more} more, {differing} with other bytes"


def main() -> int:
    """Print the pairs, their ratios, and what is left after the faults."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clips", type=int, default=1000)
    parser.add_argument("--frames", type=int, default=3, help="of a clip of 64x64")
    parser.add_argument("--nodes", type=int, default=4, help="with a GPU and a worker each, and so many processes")
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--no-faults", action="store_true")
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    say(f"{options.clips:,} clips of {options.frames} frames, {options.nodes} workers, {os.cpu_count()} cores")
    try:
        sources = make_clips(folder / "clips", options.clips, options.frames)
        # Of every process, or threads of one would be in the way of another's.
        with environment({"OMP_NUM_THREADS": "1"}), open(os.devnull, "w") as nowhere, redirect_stdout(nowhere):
            measure(sources, folder, options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


def measure(sources: Sequence[str], folder: Path, options: argparse.Namespace) -> None:
    """The pairs, then the faults."""
    ratios: dict[str, list[float]] = {"seconds": [], "clips/s": [], "CPU seconds": []}
    with cluster_of(options.nodes) as cluster:
        for pair in range(options.pairs):
            outs = folder / f"processes{pair}", folder / f"fleet{pair}"
            ways: list[Callable[[], Pace]] = [
                lambda out=outs[0]: by_processes(sources, out, options.nodes),  # type: ignore[misc]
                lambda out=outs[1]: by_fleet(sources, out, cluster.address),  # type: ignore[misc]
            ]
            turn = 1 if pair % 2 == 0 else -1
            without, fleet = [way() for way in ways[::turn]][::turn]
            ratios["seconds"].append(fleet.seconds / without.seconds)
            ratios["clips/s"].append(without.per_second / fleet.per_second)
            ratios["CPU seconds"].append(fleet.cpu_seconds / without.cpu_seconds)
            for name, pace in (("processes", without), ("fleet", fleet)):
                say(
                    f"{name} {pace.seconds:.1f} s, {pace.per_second:.2f} clips/s, CPU {pace.cpu_seconds:.1f} s",
                    end="   ",
                )
            say(compared(outs[1], outs[0]))
            shutil.rmtree(outs[1])
            if pair:
                shutil.rmtree(outs[0])
        for name, found in ratios.items():
            say(f"{name}: the fleet takes {statistics.median(found):.3f} times, median of {len(found)}")
        if not options.no_faults:
            say("under faults:")
            under_faults(sources, folder / "faults", cluster, folder)
            say(f"  {compared(folder / 'faults', folder / 'processes0')}")


if __name__ == "__main__":
    sys.exit(main())
