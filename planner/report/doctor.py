"""What `sam2-plan doctor` says: the machine, what is installed, what predictions rest on, and what is not known.

Made to be pasted into a bug report; see planner/report/machine.py for what is left out.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from planner.catalog.torch_builds import build_in, why_no_code
from planner.machine.allowance import limits_memory
from planner.nouns.machine import ALLOCATOR_VARIABLES, Machine, PresentGpu
from planner.report.layout import Style
from planner.text.units import format_size
from planner.version import __version__
from planner.wire.doctor import DOCTOR
from planner.wire.machine import machine_document, pseudonyms

NO_LIMIT = ("limit_bytes",)
"""What is null because it is not there, not because it is not known."""
NEEDED = {
    "simulate": ("torch", "torchvision", "sam2"),
    "run": ("torch", "torchvision", "sam2", "av", "pillow", "pycocotools"),
}
VISIBLE = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What predictions on this machine rest on."""

    memory_model: str
    profiles: tuple[str, ...]
    versions: Mapping[str, str]
    """Versions of the packages that the figures are of."""
    fitted: bool
    """Whether the user's own fit is in use."""
    corrected_gpus: tuple[str, ...]
    """GPUs that it has measured rows of."""
    measured_rows: int
    """In the user's own profiles, fitted or not."""
    unread: Mapping[str, str] = field(default_factory=dict)
    """What of the user's could not be read, and why."""


def doctor_document(
    machine: Machine,
    knowledge: Knowledge,
    environment: Mapping[str, str],
    options: Collection[str] | None = None,
) -> dict[str, Any]:
    """The report as plain data, which --simulate-gpu replays."""
    return DOCTOR.write(
        sam2_plan=__version__,
        machine=machine_document(machine),
        environment=shown_environment(machine, environment, options),
        predictions=knowledge,
        can={
            "plan": True,
            "simulate": not missing(machine, "simulate"),
            "run": not missing(machine, "run"),
            "measure": _can_measure(machine),
        },
        missing=sorted({name for what in NEEDED for name in missing(machine, what)}),
        unknown=[{"of": of, "what": what, "why": why} for of, what, why in unknowns(machine, knowledge)],
    )


def doctor_report(
    machine: Machine,
    knowledge: Knowledge,
    environment: Mapping[str, str],
    style: Style,
    options: Collection[str] | None = None,
) -> str:
    """The report for people."""
    lines = [style(f"sam2-plan {__version__}", bold=True) + f" on {machine.system}, {machine.architecture}", ""]
    rows = [["python", machine.python], ["processors", str(machine.processors or "not known")]]
    rows.append(["host memory", _host(machine)])
    rows.append(["container", machine.container or "no sign of one"])
    rows += [[name, version or "not installed"] for name, version in machine.versions.items()]
    rows += [[name, value] for name, value in shown_environment(machine, environment, options).items()]
    lines += [line for row in style.rows(rows) for line in row]
    lines += ["", style("GPUs", bold=True)]
    stand_ins = pseudonyms(machine)
    for gpu in machine.gpus:
        lines += [f"  {line}" for line in _gpu(gpu, stand_ins, machine.versions)]
    if not machine.gpus:
        lines.append(f"  none: {machine.reasons.get('gpus', 'the report lists none')}")
    lines += ["", style("Predictions", bold=True), *(f"  {line}" for line in _predictions(knowledge))]
    lines += ["", style("What works here", bold=True), *(f"  {line}" for line in _abilities(machine))]
    unknown = _grouped(unknowns(machine, knowledge))
    lines += (
        ["", style("Not known", bold=True), *(line for row in style.rows(unknown) for line in row)] if unknown else []
    )
    lines += ["", "For a bug report or a test fixture: sam2-plan doctor --format json"]
    return style.page(lines)


def missing(machine: Machine, what: str) -> list[str]:
    """The packages that are not installed, of those it takes to simulate or run."""
    return [name for name in NEEDED[what] if machine.versions.get(name) is None]


def unknowns(machine: Machine, knowledge: Knowledge) -> list[tuple[str, str, str]]:
    """(of what, what, why) of all that nobody could say."""
    found = [("this machine", name.replace("_", " "), why) for name, why in machine.reasons.items()]
    found += [("predictions", what, why) for what, why in knowledge.unread.items()]
    for gpu in machine.gpus:
        name = f"GPU {gpu.place}"
        known = [(what.replace("_", " "), why) for what, why in gpu.reasons.items() if what not in NO_LIMIT]
        found += [(name, what, why) for what, why in known]
        if gpu.name is not None and gpu.name not in knowledge.corrected_gpus:
            found.append((name, "how far off predictions are", "no measured rows (sam2-plan measure && sam2-plan fit)"))
    return [*found, *(("this machine", f"version of {name}", "not installed") for name in missing(machine, "run"))]


def _grouped(found: list[tuple[str, str, str]]) -> list[list[str]]:
    """Rows for people: what one thing lacks for one reason on one line."""
    groups: dict[tuple[str, str], list[str]] = {}
    for subject, what, why in found:
        groups.setdefault((subject, why), []).append(what)
    return [[subject, f"{', '.join(whats)}: {why}"] for (subject, why), whats in groups.items()]


def shown_environment(
    machine: Machine, environment: Mapping[str, str], options: Collection[str] | None = None
) -> dict[str, str]:
    """What of the environment decides: visible GPUs by their stand-ins, limits as they are, our own options by name.

    Values of our own options are left out, because some are paths. `options`: the variables that are any; None: all.
    """
    found = {name: _visible(environment[name], machine) for name in VISIBLE if name in environment}
    for name in sorted(environment):
        if limits_memory(name) or name in _ALLOCATOR:
            found[name] = environment[name] if _PLAIN.fullmatch(environment[name]) else "set"
        elif name.startswith("SAM2_PLAN_REHEARSAL_"):
            found[name] = "set: these GPUs are imaginary"
        elif name.startswith("SAM2_PLAN_"):
            known = options is None or name in options
            found[name] = "set" if known else "set, but no option of this release"
    return found


_PLAIN = re.compile(r"[\w:=,.\[\] -]{0,200}", re.ASCII)
"""What settings and sizes are made of; paths are not."""
_ALLOCATOR = (*ALLOCATOR_VARIABLES, "CUDA_MODULE_LOADING", "CUDA_DEVICE_ORDER")


def _visible(text: str, machine: Machine) -> str:
    """Entries by the stand-ins of their UUIDs; what matches no GPU, and is no number or common word, is masked."""
    stand_ins = pseudonyms(machine)
    shown = []
    for entry in (part.strip() for part in text.split(",")):
        match = next((stand for uuid, stand in stand_ins.items() if len(entry) > 4 and uuid.startswith(entry)), None)
        plain = re.fullmatch(r"-?\d{1,4}|all|none|void|", entry)
        shown.append(match or (entry if plain else "(another)"))
    return ",".join(shown)


def _host(machine: Machine) -> str:
    if machine.host_bytes is None:
        return "not known"
    free = "" if machine.host_free_bytes is None else f", {format_size(machine.host_free_bytes)} available"
    limit = ""
    if machine.host_limit_bytes is not None:
        limit = f", limited to {format_size(machine.host_limit_bytes)} by a control group"
    return f"{format_size(machine.host_bytes)}{free}{limit}"


def _gpu(gpu: PresentGpu, stand_ins: Mapping[str, str], versions: Mapping[str, str | None]) -> list[str]:
    def known(value: object) -> str:
        return "not known" if value is None else str(value)

    size = "not known" if gpu.total_bytes is None else format_size(gpu.total_bytes)
    free = "not known" if gpu.free_bytes is None else format_size(gpu.free_bytes)
    capability = "not known" if gpu.capability is None else f"{gpu.capability[0]}.{gpu.capability[1]}"
    lines = [
        f"{gpu.place}: {known(gpu.name)}, {size}, {free} free, capability {capability}, driver {known(gpu.driver)} "
        f"(CUDA {known(gpu.cuda)})"
    ]
    marks = []
    if gpu.slice:
        marks.append(f"MIG slice {gpu.slice}")
    if gpu.limit_bytes is not None:
        marks.append(f"limited to {format_size(gpu.limit_bytes)}")
    if gpu.unified:
        marks.append("shares the host's memory")
    if gpu.display_active:
        marks.append("draws the display")
    build = build_in(versions)
    if gpu.capability and build and (reason := why_no_code(gpu.capability, build)):
        marks.append(f"cannot run torch: {reason}")
    marks.append(stand_ins.get(gpu.uuid or "", "no UUID"))
    lines.append(f"   {'; '.join(marks)}")
    for process in gpu.processes or ():
        used = "bytes not known" if process.bytes is None else format_size(process.bytes)
        lines.append(f"   process {process.pid} ({process.kind}): {used}")
    return lines


def _predictions(knowledge: Knowledge) -> list[str]:
    made_of = ", ".join(f"{name} {version}" for name, version in knowledge.versions.items())
    whose = "your own fit" if knowledge.fitted else "as shipped"
    measured = ", ".join(knowledge.corrected_gpus) or "none"
    rows = f"{knowledge.measured_rows or 'no'} rows measured by you"
    if knowledge.measured_rows and not knowledge.fitted:
        rows += ", not fitted yet: sam2-plan fit"
    return [
        f"memory model {knowledge.memory_model} ({whose}), of {made_of}",
        f"profiles: {', '.join(knowledge.profiles)}",
        f"GPUs corrected by measurement: {measured}; {rows}",
    ]


def _abilities(machine: Machine) -> Sequence[str]:
    lines = ["plan, predict, check --vram: yes"]
    for what, names in (("simulate", "simulate"), ("run", "run, confirm --simulate")):
        absent = missing(machine, what)
        needs = f'no: not installed: {", ".join(absent)} (pip install "sam2-plan[run]")' if absent else "yes"
        lines.append(f"{names}: {needs}")
    lines.append(f"measure, confirm: {'yes' if _can_measure(machine) else 'no: it takes a GPU and what run needs'}")
    return lines


def _can_measure(machine: Machine) -> bool:
    return bool(machine.gpus) and not missing(machine, "run")
