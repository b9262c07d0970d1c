"""The command line that says a request: what plans and suggestions print for people to paste."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from planner.nouns.official import official_name
from planner.nouns.request import Budget, Gpu, Headroom, Request
from planner.nouns.run import Configuration
from planner.nouns.words import OTHER_MODELS
from planner.text.units import AUTO_HEADROOM_PERCENT, exact_size, format_resolution

PROGRAM = "sam2-plan"
"""The command; jobs are called so unless they are told otherwise."""
SAVED = "plan.yaml"
"""What a plan is kept as in commands that keep it."""
PIN_OPTIONS = {name: f"--{name}" for name in ("variant", "version", "resolution", "precision", "attention")}


def planning_command(request: Request, budget: Budget, *extra: str, strict: bool = False, exact: bool = False) -> str:
    """`sam2-plan ...` with the options that give this request and budget; `extra` is appended."""
    flags = [*(["--strict"] if strict else []), *(["--exact"] if exact else [])]
    return _command(request, [*_budget(budget), *_shared(request, 1)], (*flags, *extra))


def packing_command(
    request: Request, budgets: Sequence[Budget], streams: int, *extra: str, strict: bool = False
) -> str:
    """The same for several streams on one or more GPUs, each a process; or processes, each of several streams."""
    shared = _shared(request, streams)
    words = [*_budgets(budgets), *_host(budgets[0]), *(shared or ["--streams", str(streams)])]
    return _command(request, words, (*(["--strict"] if strict else []), *extra))


def _shared(request: Request, processes: int) -> list[str]:
    """What asks for several clips in each of so many processes; nothing where each has one."""
    each = request.workload.streams
    return [] if each == 1 else ["--streams", str(processes * each), "--shared"]


def _command(request: Request, budget_words: Sequence[str], extra: Sequence[str]) -> str:
    words = [PROGRAM, *budget_words, "--task", request.workload.task]
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


def running_command(
    request: Request, budget: Budget, configuration: Configuration, strict: bool = False, exact: bool = False
) -> str:
    """What makes the plan again, keeps it and runs it; INPUT stands for the user's file."""
    planning = planning_command(request, budget, "-o", SAVED, strict=strict, exact=exact)
    return f"{planning} && {run_command(request, configuration)}"


def download_command(saved: str) -> str:
    """What fetches the official weights of a saved plan into the current folder."""
    return shlex.join([PROGRAM, "checkpoints", saved, "--download"])


def run_command(request: Request, configuration: Configuration, saved: str = SAVED) -> str:
    """What runs a saved plan: INPUT stands for the user's file, a point in the middle for whatever is wanted there."""
    words = [PROGRAM, "run", saved, "INPUT", "--out", "masks"]
    if request.workload.task != "automask":
        height, width = request.workload.frame_size
        words += ["--point", f"{width // 2},{height // 2}"]
    return shlex.join([*words, "--checkpoint", official_name(configuration)])


def describe(configuration: Configuration) -> str:
    """A configuration in a few words: "large 2.1 at 1024x1024, float16"."""
    version = "" if configuration.variant in OTHER_MODELS else f" {configuration.version}"
    text = f"{configuration.variant}{version} at {format_resolution(configuration.resolution)}"
    return f"{text}, {configuration.precision}"


def _budget(budget: Budget) -> list[str]:
    if budget.source == "gpu" and budget.gpu:
        words = ["--gpu", budget.gpu.name]
    elif budget.source == "device" and budget.gpu and budget.gpu.index is not None:
        words = ["--device", _device(budget.gpu), *_report(budget)]
    else:
        words = ["--vram", exact_size(budget.total_bytes)]
    return [*words, *_headroom(budget.headroom), *_host(budget)]


def _host(budget: Budget) -> list[str]:
    """What this machine has needs no word where the plan is for its GPU."""
    if budget.host_bytes is None or (budget.source == "device" and budget.host_source == "machine"):
        return []
    return ["--host-memory", exact_size(budget.host_bytes)]


def _device(gpu: Gpu) -> str:
    """The index; of a slice, which has its card's, the UUID."""
    return gpu.uuid if gpu.uuid and gpu.uuid.startswith("MIG-") else str(gpu.index)


def _budgets(budgets: Sequence[Budget]) -> list[str]:
    """The options for several GPUs: what all share once, with their number."""
    each = [_budget(budget)[:2] for budget in budgets]
    option, values = each[0][0], [value for _, value in each]
    words = [option, ",".join(values)]
    if len(values) > 1 and len(set(values)) == 1:
        words = [option, values[0], "--gpus", str(len(values))]
    return [*words, *_report(budgets[0]), *_headroom(budgets[0].headroom)]


def _report(budget: Budget) -> list[str]:
    return ["--simulate-gpu", budget.report] if budget.source == "device" and budget.report else []


def _headroom(headroom: Headroom) -> list[str]:
    if headroom.bytes:
        return ["--headroom", exact_size(headroom.bytes)]
    if headroom.percent == 0:
        return ["--headroom", "none"]
    percent = f"{headroom.percent:.6f}".rstrip("0").rstrip(".")
    return [] if headroom.percent == AUTO_HEADROOM_PERCENT else ["--headroom", f"{percent}%"]


def _word(value: object) -> str:
    return format_resolution(value) if isinstance(value, tuple) else str(value)
