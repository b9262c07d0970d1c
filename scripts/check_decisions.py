#!/usr/bin/env python3
"""Hold the planner's choices against rehearsals under the budgets themselves.

    python scripts/check_decisions.py [--requests 1000] [--journal decisions.jsonl] [--out docs/decisions.md]

Random requests are planned by predictions. Then what was chosen, unless it fits by its upper bound, runs on an
imaginary GPU with just the usable bytes; and so does what would have been preferred and was turned down, where it is
predicted to complete in up to BAND more than there is. A decision is the oracle's if the choice completes and nothing
does that was turned down. Interrupt it at any time and run it again: the journal keeps every finished run.
"""

from __future__ import annotations

import argparse
import os
import random
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.measure.forking import Forks, kept
from planner.measure.trial import OUT_OF_MEMORY, RAN, Trial
from planner.memory_model import MemoryModel
from planner.nouns.plan import Plan, Provenance
from planner.nouns.request import Budget, Gpu, Headroom, Pins, Request
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import PREFERENCES, TASKS, VARIANTS
from planner.planning import make_plan
from planner.rehearsal.machine import imaginary_gpu
from planner.text.command_lines import describe
from planner.text.files import read_journal, write
from planner.text.units import format_size

BAND = 0.1
"""What is predicted to need more than this beyond the budget is taken not to complete."""
CARDS = ("Tesla T4", "GeForce RTX 3060", "GeForce RTX 4060", "GeForce RTX 5070")
"""Whose capabilities most cards have; their memory is the request's."""
OBJECTS, OBJECT_WEIGHTS = (1, 3, 10, 30), (7, 4, 4, 1)
FULL_BANK, MEMORIES_FULL, MANY_OBJECTS = 18, 9, 4
"""Frames of a clip without end that are run: of many objects fewer, as in planner.measure.grid."""
SIZES = ((480, 640), (1080, 1920), (2160, 3840))
PROVENANCE = Provenance(profiles=(), memory_model="", versions={})


@dataclass(frozen=True)
class Question:
    """Whether a run completes in so many bytes, context included."""

    run: Run
    gpu: Gpu
    bytes: int
    context_bytes: int

    @property
    def id(self) -> str:
        """A name that says all."""
        return f"{self.run.id} {self.gpu.name} {self.bytes} {self.context_bytes}"


@dataclass(frozen=True)
class Decision:
    """One request, its plan, and what is asked about it."""

    plan: Plan
    chosen: Question | None
    """None where the upper bound fits, or nothing does."""
    turned_down: tuple[Question, ...]


def decisions(count: int) -> list[Decision]:
    """Random requests, planned: 0.5 to 80 GB, all tasks, 1 to 30 objects, preferences and pins."""
    chance, model = random.Random(20), MemoryModel()
    on = {name: find(name, model) for name in CARDS}
    return [_decision(chance, *on[chance.choice(CARDS)]) for _ in range(count)]


def find(name: str, model: MemoryModel) -> tuple[Gpu, MemoryModel]:
    """A card, and the model on it."""
    from planner.catalog.gpus import find_gpu

    gpu = find_gpu(name).gpu
    return gpu, model.on(gpu)


def _decision(chance: random.Random, card: Gpu, model: MemoryModel) -> Decision:
    task = chance.choices(TASKS, (5, 3, 2))[0]
    workload = Workload(
        task=task,
        objects=1 if task == "automask" else chance.choices(OBJECTS, OBJECT_WEIGHTS)[0],
        frames=None if task == "video" else 1,
        frame_size=chance.choice(SIZES),
    )
    pins = Pins(
        variant=chance.choice(VARIANTS) if chance.random() < 0.25 else None,
        precision=chance.choice(("float16", "float32")) if chance.random() < 0.15 else None,
        resolution=chance.choice(((512, 512), (1024, 1024), (1536, 1536))) if chance.random() < 0.1 else None,
    )
    # Small budgets decide, large ones are easy: as many of each.
    total = round(0.5e9 * (4 if chance.random() < 0.6 else 160) ** chance.random())
    gpu = replace(card, total_bytes=total)
    budget = Budget(total_bytes=total, headroom=Headroom(percent=5.0), source="gpu", gpu=gpu)
    request = Request(workload=workload, pins=pins, prefer=chance.choice(PREFERENCES))
    plan = make_plan(request, budget, model, PROVENANCE, top=0)
    usable = budget.usable_bytes

    def question(configuration: Configuration, context_bytes: int) -> Question:
        frames = FULL_BANK if workload.objects <= MANY_OBJECTS else MEMORIES_FULL
        shown = replace(workload, frames=frames) if task == "video" else workload
        return Question(Run(runtime="own", configuration=configuration, workload=shown), gpu, usable, context_bytes)

    context = model.context.bytes if model.context else 0
    sure = plan.chosen is None or plan.chosen.estimate.upper_bytes <= usable
    near = {
        # Versions and half precisions take the same bytes.
        (one.configuration.variant, one.configuration.resolution, one.configuration.precision[-9:]): one.configuration
        for one in plan.rejected
        if one.component not in ("host", "capability") and (one.need_bytes or 0) <= usable * (1 + BAND)
    }
    return Decision(
        plan=plan,
        chosen=None if sure or plan.chosen is None else question(plan.chosen.configuration, context),
        turned_down=tuple(question(configuration, context) for configuration in near.values()),
    )


def answer(forks: Forks, question: Question) -> dict[str, Any]:
    """Whether it completes, by running it."""
    gpu = imaginary_gpu(question.gpu.name, total_bytes=question.bytes, context_bytes=question.context_bytes)
    found = forks.run(Trial.of(question.run), gpu)
    if found.outcome not in (RAN, OUT_OF_MEMORY):
        return {"id": question.id, "error": found.error}
    return {"id": question.id, "completes": found.outcome == RAN}


def ask(questions: Sequence[Question], journal: Path, jobs: int) -> dict[str, dict[str, Any]]:
    """All answers by id, running what the journal lacks."""
    known = read_journal(journal)
    todo = list({question.id: question for question in questions if question.id not in known}.values())
    for number, row in enumerate(kept(journal, todo, answer, jobs), 1):
        known[row["id"]] = row
        print(f"[{number}/{len(todo)}] {row}", file=sys.stderr, flush=True)
    return known


def main() -> int:
    """Plan, rehearse what decides, compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000)
    parser.add_argument("--journal", type=Path, default=Path("decisions.jsonl"), help="finished runs")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="runs side by side")
    parser.add_argument("--out", type=Path, help="write the page too")
    arguments = parser.parse_args()
    made = decisions(arguments.requests)
    questions = [one for decision in made for one in (decision.chosen, *decision.turned_down) if one is not None]
    known = ask(questions, arguments.journal, arguments.jobs)
    text = page(made, known)
    print(text)
    if arguments.out:
        write(arguments.out, text)
    return 0


def page(made: Sequence[Decision], known: Mapping[str, Mapping[str, Any]]) -> str:
    """The comparison as Markdown."""

    def completes(question: Question) -> bool:
        return bool(known[question.id].get("completes"))

    over = [one for one in made if one.chosen is not None and not completes(one.chosen)]
    wronged = [(one, found) for one in made for found in one.turned_down if completes(found)]
    wrong = {id(one) for one in over} | {id(one) for one, _ in wronged}
    sure = sum(one.plan.verdict == "fits" for one in made)
    same = len(made) - len(wrong)
    lines = [
        "<!-- Made by scripts/check_decisions.py. -->",
        "",
        "# Decisions",
        "",
        "The planner's choice compared with rehearsals under the same budget: of the choice, unless it fits by its",
        f"upper bound, and of all that would be preferred and is predicted to need at most {BAND:.0%} too much.",
        f"{len(made)} random requests on four GPUs ({', '.join(CARDS)}, with 0.5 to 80 GB in place of their own), 5 %",
        "headroom, all tasks, 1 to 30 objects, clips without end, preferences and pins; own runtime; rehearsed, not",
        "measured.",
        "",
        f"- the same choice: {same} of {len(made)} ({same / len(made):.1%})",
        f"- choices that do not complete within the budget: {len(over)}",
        f"- turned down, though they complete: {len(wronged)}, in {len({id(one) for one, _ in wronged})} requests",
        f"- {sure} choices fit by their upper bound and were not run; {len(known)} runs were",
        "",
    ]
    if wrong:
        lines += ["| GPU and budget | request | choice | what was wrong |", "|---|---|---|---|"]
    rows = [(one, "it does not complete") for one in over]
    rows += [(one, f"{_name(found.run.configuration)} completes") for one, found in wronged]
    for one, what in rows:
        request, chosen = one.plan.request, one.plan.chosen
        pins = ", ".join(f"{name} {value}" for name, value in request.pins.given().items())
        workload = request.workload
        asked = f"{workload.task}, {workload.objects} objects, {request.prefer}{', ' + pins if pins else ''}"
        gpu = one.plan.budget.gpu
        budget = f"{gpu.name if gpu else ''}, {format_size(one.plan.budget.total_bytes)}"
        lines.append(f"| {budget} | {asked} | {_name(chosen.configuration if chosen else None)} | {what} |")
    return "\n".join(lines) + "\n"


def _name(configuration: Configuration | None) -> str:
    if configuration is None:
        return "nothing fits"
    host = ", memory bank on the host" if configuration.offload_state else ""
    return f"{describe(configuration)}, {configuration.object_batch} a pass{host}"


if __name__ == "__main__":
    sys.exit(main())
