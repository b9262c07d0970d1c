#!/usr/bin/env python3
"""Put planner.simulate beside rehearsals of the same runs: seeded random configurations, own and stock.

    python scripts/compare_with_rehearsal.py                     what the journal lacks of 150, then the docs
    python scripts/compare_with_rehearsal.py --count 20 --only 7 --journal one.jsonl --print
    python scripts/compare_with_rehearsal.py --runtime transformers --count 60 --journal hf.jsonl     of another runtime

Each configuration runs once in the real code on torch's CUDA build and an imaginary GPU, and once in the simulator.
Interrupt it at any time and run it again: the journal keeps every finished row. It takes about an hour on two cores.
The table goes into docs/rehearsing.md, every row into docs/rehearsing.tsv.
Simulated and rehearsed, both: nothing here was measured on a GPU. Automatic masks are those of which none passes the
filters, since what passes depends on values, which a rehearsal does not have.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from planner.catalog.capability import why_unsupported
from planner.measure import grid_others
from planner.measure.trial import RAN, Outcome, Trial, run_trial
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import (
    OTHER_RUNTIMES,
    SAM2_RUNTIMES,
    TASKS,
    VARIANTS,
    VERSIONS,
    Attention,
    DrivenRuntime,
    Precision,
)
from planner.profiles.rehearsed import HELD_OUT
from planner.rehearsal.machine import imaginary_gpu
from planner.rehearsal.stage import Stage
from planner.text.files import append, open_journal, read_journal, write

SEED = 12
COUNT = 150
CAPABILITIES = ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0")
SOURCES = ((480, 854), (720, 1280), (1080, 1920), (1920, 1080), (1440, 2560), (2160, 3840))
STOCK_PRECISIONS: tuple[Precision, ...] = ("autocast_bfloat16", "autocast_float16", "float32")
OWN_PRECISIONS: tuple[Precision, ...] = (*STOCK_PRECISIONS, "float16", "bfloat16")
ENOUGH_BYTES = 300 * 2**30
"""Of the imaginary GPU: nothing runs out, so that the allocator never gives cache back."""
PAGE = Path(__file__).resolve().parent.parent / "docs" / "rehearsing.md"
TARGET = PAGE.with_suffix(".tsv")
BEGIN, END = "<!-- made by scripts/compare_with_rehearsal.py -->\n", "<!-- end -->\n"
COLUMNS = ("id", "allocated", "simulated less", "%", "reserved", "simulated less", "%")


@dataclass(frozen=True, slots=True)
class Case:
    """One run, for both sides."""

    trial: Trial
    capability: str
    expandable_segments: bool

    @property
    def id(self) -> str:
        """A name that says all."""
        words = f"{self.trial.id} sm{self.capability}"
        return words + " expandable" * (self.expandable_segments and self.trial.runtime != "own")


def draw(count: int, seed: int, runtime: DrivenRuntime | None = None) -> list[Case]:
    """Random runs that the code on that capability can do, each once; of our runtime and stock unless one is said."""
    chance = random.Random(seed)
    if runtime is not None:
        points = grid_others.draw(runtime, count, chance, HELD_OUT)
        return [Case(Trial.of(point.run), "{}.{}".format(*point.capability), False) for point in points]
    found: dict[str, Case] = {}
    while len(found) < count:
        case = _case(chance)
        if case is not None:
            found.setdefault(case.id, case)
    return list(found.values())


def _case(chance: random.Random) -> Case | None:
    runtime, capability = chance.choice(SAM2_RUNTIMES), chance.choice(CAPABILITIES)
    task = chance.choices(TASKS, (3, 5, 2) if TASKS[0] == "image" else (5, 3, 2))[0]
    own = runtime == "own"
    precision = chance.choice(OWN_PRECISIONS if own else STOCK_PRECISIONS)
    attention: Attention = chance.choice(("auto",) * 6 + ("efficient", "math")) if own else "auto"
    major, minor = map(int, capability.split("."))
    # Stock asks nobody whether the GPU can: bfloat16 before 8.0 is slow there, not refused.
    if own and why_unsupported(precision, attention, (major, minor)):
        return None
    sides = ((512, 512), (768, 768), (1024, 1024), (1024, 1024))
    objects = 1 if task == "automask" else chance.choice((1, 1, 2, 3, 5, 8, 12, 20))
    many = objects > 8
    configuration = Configuration(
        variant=chance.choice(VARIANTS),
        version=chance.choice(VERSIONS),
        resolution=chance.choice(((576, 1024), (768, 1344), *sides) if own else sides),
        precision=precision,
        attention=attention,
        object_batch=chance.choice((16, 64)) if task == "automask" else chance.choice((1, 1, 2, 4, 8)) if own else 1,
        bounded_memory_bank=own,
        offload_video=not own and task == "video" and chance.random() < 0.3,
        offload_state=task == "video" and chance.random() < 0.2,
    )
    workload = Workload(
        task=task,
        objects=objects,
        # The pointers of the memory bank are all there after 16 frames, its memories after 7.
        frames=1 if task != "video" else 6 if many else 18 if objects <= 2 else 12,
        frame_size=chance.choice(SOURCES),
    )
    trial = Trial(runtime=runtime, configuration=configuration, workload=workload)
    drawn = chance.random() < 0.15  # of stock; our own always does
    return Case(trial, capability, own or drawn)


def rehearsed(case: Case) -> dict[str, Any]:
    """What the real code takes, as torch counts it."""
    gpu = imaginary_gpu(capability=_pair(case.capability), total_bytes=ENOUGH_BYTES)
    with Stage([gpu], zero_scalars=True) as stage:
        environment = stage.environment(os.environ | _allocator_settings(case))
        began = time.perf_counter()
        if case.trial.runtime == "own" and case.trial.workload.task == "automask":
            return {**_rehearsed_automask(case, environment), "seconds": round(time.perf_counter() - began, 1)}
        found = run_trial(case.trial, environment=environment)
        return _figures_of(found, time.perf_counter() - began)


AUTOMASK = """
import json, sys, numpy, torch
from planner import load
from planner.measure.trial import Trial
trial = Trial.from_dict(json.load(sys.stdin))
session = load(trial.configuration, random_weights=True, device="cuda", task="automask")
session.automask(numpy.zeros((*trial.workload.frame_size, 3), numpy.uint8))
used = session.memory()
print(json.dumps({"allocated": used.peak_allocated_bytes, "reserved": used.peak_reserved_bytes}))
"""
"""The thresholds that the simulator drives it with; a trial lowers them to nothing, so that all masks are enlarged."""


def _rehearsed_automask(case: Case, environment: Mapping[str, str]) -> dict[str, Any]:
    words = [sys.executable, "-c", AUTOMASK]
    asked = json.dumps(case.trial.to_dict())
    done = subprocess.run(words, input=asked, env=environment, capture_output=True, text=True, check=False)
    return _answer(done)


def _allocator_settings(case: Case) -> dict[str, str]:
    meant = case.expandable_segments and case.trial.runtime != "own"  # which sees to it itself
    return {"PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"} if meant else {}


def simulated(case: Case) -> dict[str, Any]:
    """What the simulator says, in a process of its own, as a user's call of it."""
    from planner.measure import backends

    began = time.perf_counter()
    found = backends.simulated(
        case.trial,
        _pair(case.capability),
        kept_fraction=0.0 if case.trial.workload.task == "automask" else 1.0,
        expandable_segments=case.expandable_segments or None,
        full_trace=case.trial.runtime not in OTHER_RUNTIMES,  # of which it is shown that repeating changes nothing
    )
    return _figures_of(found, time.perf_counter() - began)


def _figures_of(found: Outcome, seconds: float) -> dict[str, Any]:
    if found.outcome != RAN:
        return {"error": found.error}
    return {"allocated": found.allocated_bytes, "reserved": found.reserved_bytes, "seconds": round(seconds, 1)}


def _pair(capability: str) -> tuple[int, int]:
    major, minor = map(int, capability.split("."))
    return major, minor


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what is missing, and write or print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=COUNT, help="how many configurations")
    parser.add_argument("--seed", type=int, default=SEED)
    parser.add_argument("--runtime", choices=OTHER_RUNTIMES, help="of this runtime instead of own and stock")
    parser.add_argument("--only", metavar="N", help="numbers of configurations, such as 0,3,17")
    parser.add_argument("--match", default="", help="only those whose name contains this")
    parser.add_argument("--journal", type=Path, default=Path("rehearsal-comparison.jsonl"), help="finished rows")
    parser.add_argument("--side", choices=("rehearsed", "simulated"), help="this one only")
    parser.add_argument("--again", action="store_true", help="make anew what is there")
    parser.add_argument("--share", default="0/1", help="K/N: each N-th configuration from the K-th, for two processes")
    parser.add_argument("--print", action="store_true", dest="only_print", help="print instead of writing the table")
    parser.add_argument("--simulate-one", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    cases = draw(options.count, options.seed, options.runtime)
    if options.simulate_one is not None:
        print(json.dumps(simulated(cases[options.simulate_one])))
        return 0
    first, step = map(int, options.share.split("/"))
    chosen = range(len(cases)) if not options.only else [int(word) for word in options.only.split(",")]
    chosen = [number for number in chosen if number % step == first and options.match in cases[number].id]
    rows = read_journal(options.journal)
    with open_journal(options.journal) as file:
        for done, number in enumerate(chosen, 1):
            case = cases[number]
            known: Mapping[str, Any] = rows.get(case.id, {})
            row: dict[str, Any] = {"id": case.id, "torch": version("torch")}
            for side, make in (("rehearsed", rehearsed), ("simulated", partial(_simulated_apart, number, options))):
                if options.side in (None, side) and (options.again or side not in known):
                    row[side] = make(case)
            if len(row) > 2:
                rows[case.id] = {**known, **row}
                append(file, rows[case.id])
            print(f"[{done}/{len(chosen)}] {line(rows[case.id])}", file=sys.stderr)
    found = [rows[cases[number].id] for number in chosen]
    if any(side not in row for row in found for side in ("rehearsed", "simulated")):
        return 0
    text = "\n".join(["\t".join(COLUMNS), *map(line, found)]) + "\n"
    print(text, summary(found), sep="\n")
    if not options.only_print:
        target, begin = TARGET, BEGIN
        if options.runtime:
            target = PAGE.with_name(f"{PAGE.stem}-{options.runtime}.tsv")
            begin = BEGIN.replace(".py", f".py --runtime {options.runtime}")
        write(target, text)
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(begin)
        write(PAGE, f"{before}{begin}\n{summary(found)}\n{END}{rest.partition(END)[2]}")
    return 0


def _simulated_apart(number: int, options: argparse.Namespace, case: Case) -> dict[str, Any]:
    """In a process of its own: what one simulation leaves in torch's caches is not the next one's."""
    words = [sys.executable, __file__, "--simulate-one", str(number)]
    words += ["--count", str(options.count), "--seed", str(options.seed)]
    words += ["--runtime", options.runtime] if options.runtime else []
    return _answer(subprocess.run(words, capture_output=True, text=True, check=False))


def _answer(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last line of a process as JSON, or how it failed."""
    if done.returncode:
        return {"error": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "it failed"}
    answer: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return answer


def line(row: Mapping[str, Any]) -> str:
    """One row, tab-separated."""
    real, mine = row.get("rehearsed", {}), row.get("simulated", {})
    if not (real and mine):
        return f"{row['id']}\t{real or mine}"
    if "error" in real or "error" in mine:
        return f"{row['id']}\t{str(real.get('error'))[:90]}\t{str(mine.get('error'))[:90]}\t\t\t\t"
    cells = [row["id"]]
    for name in ("allocated", "reserved"):
        less = mine[name] - real[name]
        cells += [str(real[name]), f"{less:+d}", f"{100 * less / real[name]:+.3f}"]
    return "\t".join(cells)


def summary(rows: Sequence[Mapping[str, Any]]) -> str:
    """Medians and worst of all and by runtime and task, as a table in Markdown."""
    lines = [
        "| runs | rows | allocated: equal | median | worst | reserved: equal | median | worst |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    told = [row for row in rows if "error" not in row["rehearsed"] and "error" not in row["simulated"]]
    groups = [("all", told)]
    for runtime in (*SAM2_RUNTIMES, *OTHER_RUNTIMES):
        for task in TASKS:
            groups.append((f"{runtime}, {task}", [row for row in told if row["id"].startswith(f"{runtime}-{task}-")]))
    for name, group in groups:
        if group:
            lines.append(f"| {name} | {len(group)} | {_figures(group, 'allocated')} | {_figures(group, 'reserved')} |")
    failed = len(rows) - len(told)
    return "\n".join(lines) + (f"\n\n{failed} rows failed on one side.\n" if failed else "\n")


def _figures(rows: Sequence[Mapping[str, Any]], name: str) -> str:
    off = [100 * (row["simulated"][name] - row["rehearsed"][name]) / row["rehearsed"][name] for row in rows]
    worst = max(off, key=abs)
    equal = sum(value == 0 for value in off)
    return f"{equal} | {statistics.median(map(abs, off)):.3f} % | {worst:+.2f} %"


if __name__ == "__main__":
    sys.exit(main())
