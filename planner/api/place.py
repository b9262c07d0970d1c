"""Placing a plan: what a scheduler is handed for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from planner.nouns.plan import Plan as PlainPlan
from planner.nouns.words import ENGINES, Engine
from planner.placement.job import make_host, make_job
from planner.placement.placement import Placement
from planner.text.spelling import check_word

JOB = ("source", "out", "plan_path", "checkpoint", "arguments", "name")
"""Options that say what runs."""


def place(plan: PlainPlan, engine: Engine, **options: Any) -> Placement:
    """What the engine is handed for a plan; the options are those of the methods below, an unknown one a TypeError.

    Raises DoesNotFit for a plan that chose nothing, ShareTooLarge where the card or slice is too small, UsageError for
    what the engine would refuse or what would be lost.
    """
    check_word(engine, "scheduler", ENGINES)
    if engine == "ray":
        from planner.placement.ray import place_on_ray

        return place_on_ray(plan, **options)
    host = make_host(options.pop("memory", None), options.pop("cpus", None))
    job = make_job(**{name: options.pop(name) for name in JOB})
    if engine == "slurm":
        from planner.placement.slurm import place_on_slurm

        return place_on_slurm(plan, job, host=host, **options)
    if engine == "skypilot":
        from planner.placement.skypilot import place_on_skypilot

        return place_on_skypilot(plan, job, host=host, **options)
    from planner.placement.kubernetes import place_on_kubernetes

    return place_on_kubernetes(plan, job, _carried(plan, "--fallback" in job.arguments), host=host, **options)


def _carried(plan: PlainPlan, fallback: bool) -> str:
    """The plan as a manifest carries it: what check and run read, the alternatives where there is to step down."""
    from planner.text.strict_yaml import dump
    from planner.wire.plan import PLAN

    kept = plan.alternatives if fallback else ()
    slim = replace(plan, alternatives=kept, rejected=(), suggestions=(), explained=None)
    return dump(PLAN.write(slim), compact=True)
