"""The command line that says a request: what plans and suggestions print for people to paste."""

from __future__ import annotations

import shlex

from planner.domain import Budget, Configuration, Request
from planner.units import AUTO_HEADROOM_PERCENT, exact_size, format_resolution

PIN_OPTIONS = {name: f"--{name}" for name in ("variant", "version", "resolution", "precision", "attention")}


def planning_command(request: Request, budget: Budget, *extra: str) -> str:
    """`sam2-plan ...` with the options that give this request and budget; `extra` is appended."""
    words = ["sam2-plan", *_budget(budget), "--task", request.workload.task]
    workload = request.workload
    if workload.task != "automask" and workload.objects != 1:
        words += ["--objects", str(workload.objects)]
    if workload.task == "video" and workload.frames is not None:
        words += ["--frames", str(workload.frames)]
    if not request.frame_size_assumed:
        words += ["--frame-size", format_resolution(workload.frame_size)]
    for name, value in request.pins.given().items():
        words += [PIN_OPTIONS[name], _word(value)]
    if request.prefer != "quality":
        words += ["--prefer", request.prefer]
    return shlex.join([*words, *extra])


def running_command(request: Request, budget: Budget) -> str:
    """What makes the plan again, keeps it and runs it; INPUT stands for the user's file, prompts and weights follow."""
    return f"{planning_command(request, budget, '-o', 'plan.yaml')} && sam2-plan run plan.yaml INPUT --out masks"


def describe(configuration: Configuration) -> str:
    """A configuration in a few words: "large 2.1 at 1024x1024, float16"."""
    text = f"{configuration.variant} {configuration.version} at {format_resolution(configuration.resolution)}"
    return f"{text}, {configuration.precision}"


def _budget(budget: Budget) -> list[str]:
    if budget.source == "gpu" and budget.gpu:
        words = ["--gpu", budget.gpu.name]
    elif budget.source == "device" and budget.gpu and budget.gpu.index is not None:
        words = ["--device", str(budget.gpu.index)]
    else:
        words = ["--vram", exact_size(budget.total_bytes)]
    headroom = budget.headroom
    if headroom.bytes:
        words += ["--headroom", exact_size(headroom.bytes)]
    elif headroom.percent == 0:
        words += ["--headroom", "none"]
    elif headroom.percent != AUTO_HEADROOM_PERCENT:
        words += ["--headroom", f"{headroom.percent:g}%"]
    return words


def _word(value: object) -> str:
    return format_resolution(value) if isinstance(value, tuple) else str(value)
