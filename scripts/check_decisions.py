#!/usr/bin/env python3
"""Hold the planner's choices against an oracle that knows what the simulator says of every candidate.

    python scripts/check_decisions.py [--requests 600] [--journal decisions.jsonl] [--out docs/decisions.md]

Random requests are planned twice: by predictions, and with the simulated totals in their place. Simulating every
candidate of every request would take months, so the oracle simulates whatever could change its mind: each choice, and
each candidate that would be preferred to it and is predicted to need up to BAND more than there is. Resumable.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from planner import domain
from planner.catalog import load_catalog
from planner.commands import describe
from planner.documents import write
from planner.domain import Budget, Configuration, Headroom, Pins, Provenance, Request, Workload
from planner.memory_model import MemoryModel
from planner.memory_model.estimator import Totals
from planner.planning import make_plan
from planner.planning.candidates import candidate_classes
from planner.simulator.grid import FULL_HD, ULTRA_HD, VGA, Point, run_grid
from planner.units import format_size

BAND = 0.08
"""Candidates predicted to need more than this beyond the budget are taken not to fit. Of the own runtime's simulated
totals in passes of one object, one in a thousand lies so far below its prediction."""
FULL_BANK_FRAMES = 26
"""From here on the length of a clip makes no difference to a bounded memory bank."""
OBJECTS, OBJECT_WEIGHTS = (1, 3, 10, 50), (7, 4, 4, 1)
FRAMES = (None, 1, 8, 300, 20_000, 100_000)
"""A few of each, so that requests share simulations."""
PROVENANCE = Provenance(profiles=(), memory_model="", versions={})


class Truth(MemoryModel):
    """Predictions, with simulated totals in the place of those that are known."""

    def __init__(self, known: Mapping[str, dict[str, Any]]) -> None:
        super().__init__()
        self._known = known

    def totals(
        self,
        configuration: Configuration,
        workload: Workload,
        capability: tuple[int, int] | None = None,
        runtime: str | None = None,
    ) -> Totals:
        """The simulated sums where they are known."""
        found = super().totals(configuration, workload, capability, runtime)
        if not configuration.bounded_memory_bank:
            return found
        row = self._known.get(point_of(configuration, workload).id)
        if row is None or "simulation" not in row:
            return found
        simulated = row["simulation"]
        return found._replace(
            allocated=simulated["allocated_bytes"],
            reserved=simulated["reserved_bytes"],
            least=found.context + simulated["reserved_bytes"],
        )


def point_of(configuration: Configuration, workload: Workload) -> Point:
    """The simulation of a candidate; long clips share one."""
    video = workload.task == "video"
    frames = workload.frames if video and (workload.frames or FULL_BANK_FRAMES) < FULL_BANK_FRAMES else None
    return Point(
        task=workload.task,
        variant=configuration.variant,
        stock=False,
        version=configuration.version,
        resolution=configuration.resolution,
        frames=frames if video else 1,
        objects=workload.objects,
        object_batch=1 if workload.task == "automask" else configuration.object_batch,
        precision=configuration.precision,
        frame_size=workload.frame_size,
        offload_state=configuration.offload_state,
        points_per_batch=configuration.object_batch if workload.task == "automask" else 64,
    )


def requests(count: int) -> list[tuple[Request, Budget]]:
    """Random requests: 0.8 to 80 GB, all tasks, 1 to 50 objects, 1 to 100,000 frames, preferences and pins."""
    source = random.Random(20)
    found = []
    for _ in range(count):
        task = source.choices(domain.TASKS, (5, 3, 2))[0]
        objects = 1 if task == "automask" else source.choices(OBJECTS, OBJECT_WEIGHTS)[0]
        frames = source.choice(FRAMES) if task == "video" else 1
        size = FULL_HD if task == "video" else source.choice((VGA, FULL_HD, ULTRA_HD))
        pins = Pins(
            variant=source.choice(domain.VARIANTS) if source.random() < 0.25 else None,
            precision=source.choice(domain.PRECISIONS) if source.random() < 0.15 else None,
            resolution=source.choice(((512, 512), (1024, 1024), (1536, 1536))) if source.random() < 0.1 else None,
        )
        workload = Workload(task=task, objects=objects, frames=frames, frame_size=size)
        request = Request(workload=workload, pins=pins, prefer=source.choice(domain.PREFERENCES))
        # Small budgets decide, large ones are easy: as many of each.
        gigabytes = 0.8 * (2.5 if source.random() < 0.6 else 100) ** source.random()
        budget = Budget(total_bytes=round(gigabytes * 1e9), headroom=Headroom(percent=5.0), source="vram")
        found.append((request, budget))
    return found


def wanted(request: Request, budget: Budget, model: Truth, known: Mapping[str, Any]) -> list[Point]:
    """What the oracle has to know before its choice stands."""
    plan = make_plan(request, budget, model, PROVENANCE, top=0)
    limit = budget.usable_bytes * (1 + BAND)
    configurations = [plan.chosen.configuration] if plan.chosen else []
    above = {_class(rejection.configuration) for rejection in plan.rejected}
    for candidate in candidate_classes(request, budget, model):
        for member in candidate.members:
            configuration = candidate.configuration(member)
            if _class(configuration) in above and member.least_bytes <= limit:
                configurations.append(configuration)
    points = [point_of(configuration, request.workload) for configuration in configurations]
    return [point for point in points if point.id not in known]


def _class(configuration: Configuration) -> tuple[Any, ...]:
    return configuration.variant, configuration.version, configuration.resolution, configuration.precision


def _accuracy(choice: domain.Choice | None) -> float:
    """By which planning orders; where it is not published, an order only."""
    if choice is None:
        return 0.0
    return load_catalog().quality(choice.variant, choice.version, choice.resolution).value


def main() -> int:
    """Plan, simulate what is missing until nothing is, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=600)
    parser.add_argument("--journal", type=Path, default=Path("decisions.jsonl"), help="finished simulations")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--out", type=Path, help="write the page too")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    asked = requests(arguments.requests)
    predicted = MemoryModel()
    chosen = [make_plan(request, budget, predicted, PROVENANCE, top=0).chosen for request, budget in asked]
    points: dict[str, Point] = {}
    for (request, _), choice in zip(asked, chosen, strict=True):
        if choice:
            point = point_of(choice.configuration, request.workload)
            points[point.id] = point

    def progress(done: int, total: int, name: str) -> None:
        print(f"[{done}/{total}] {name}", file=sys.stderr, flush=True)

    while True:
        known = run_grid(list(points.values()), arguments.journal, arguments.workers, progress)
        truth = Truth(known)
        more = [point for request, budget in asked for point in wanted(request, budget, truth, known)]
        if not more:
            break
        points |= {point.id: point for point in more}
        print(f"{len({point.id for point in more})} more to simulate", file=sys.stderr, flush=True)
    text = page(asked, chosen, truth, known)
    print(text)
    if arguments.out:
        write(arguments.out, text)
    return 0


def page(
    asked: list[tuple[Request, Budget]], chosen: list[domain.Choice | None], truth: Truth, known: Mapping[str, Any]
) -> str:
    """The comparison as Markdown."""
    same, over, misses = 0, [], []
    for (request, budget), choice in zip(asked, chosen, strict=True):
        best = make_plan(request, budget, truth, PROVENANCE, top=0).chosen
        ours = choice.configuration if choice else None
        theirs = best.configuration if best else None
        if choice and truth.totals(choice.configuration, request.workload).least > budget.total_bytes:
            over.append((request, budget, ours))
        # The two half precisions, and the two versions where they score alike, need the same bytes.
        if ours == theirs:
            same += 1
        else:
            loss = _accuracy(best) - _accuracy(choice)
            misses.append((request, budget, ours, theirs, loss))
    lines = [
        "<!-- Made by scripts/check_decisions.py. -->",
        "",
        "# Decisions",
        "",
        "The planner's choice beside that of an oracle which knows the simulated total of every candidate that could",
        f"change its mind ({len(known)} simulations): each choice, and what would be preferred to it and is",
        f"predicted to need up to {BAND:.0%} more than there is. {len(asked)} random requests, 0.8 to 80 GB, 5 %",
        "headroom, all tasks, 1 to 50 objects, clips up to 100,000 frames and without end, preferences and pins; own",
        "runtime, nothing measured.",
        "",
        f"- the same choice: {same} of {len(asked)} ({same / len(asked):.1%})",
        f"- choices that do not complete within the budget, by their simulated least: {len(over)}",
        "",
    ]
    if misses:
        lines += ["| budget | request | planner | oracle | quality lost |", "|---|---|---|---|---|"]
    for request, budget, ours, theirs, loss in misses:
        workload = request.workload
        pins = ", ".join(f"{name} {value}" for name, value in request.pins.given().items())
        what = f"{workload.task}, {workload.objects} objects, {request.prefer}{', ' + pins if pins else ''}"
        lines.append(f"| {format_size(budget.total_bytes)} | {what} | {_name(ours)} | {_name(theirs)} | {loss:+.1f} |")
    return "\n".join(lines) + "\n"


def _name(configuration: Configuration | None) -> str:
    if configuration is None:
        return "nothing fits"
    host = ", memory bank on the host" if configuration.offload_state else ""
    return f"{describe(replace(configuration))}, passes of {configuration.object_batch}{host}"


if __name__ == "__main__":
    sys.exit(main())
