"""The GPU, its driver and the packages, against those that the plan's figures are of."""

from __future__ import annotations

import re
from collections.abc import Mapping

from planner.catalog.gpus import same_card
from planner.nouns.machine import ALLOCATOR_VARIABLES, Machine, allocator_settings, maps_memory
from planner.nouns.plan import Plan
from planner.nouns.request import Budget
from planner.preflight.checks import FAIL, NO_GPU_NAMED, PASS, SKIP, WARN, Check

OLDEST = {"torch": (2, 5, 1), "sam2": (1, 1, 0)}
"""As the extra `run` of setup.cfg asks; a test holds them equal."""
INSTALL = 'pip install "sam2-plan[run]"'
FIXED_TAKE = "a tenth to a half more"
"""What segments of fixed size reserved, of rehearsed runs (docs/log.md, 2026-11-28)."""
_RELEASE = re.compile(r"(\d+)\.(\d+)(?:\.(\d+))?", re.ASCII)


def check_gpu(plan: Plan, budget: Budget) -> Check:
    """The GPU at hand beside the one that the plan was made for."""
    planned, gpu = plan.budget.gpu, budget.gpu
    if gpu is None or budget.source == "vram":
        return Check(name="gpu", status=SKIP, found=NO_GPU_NAMED)
    figures = {"gpu": gpu.name, "planned_gpu": planned.name if planned else None}
    if planned is None:
        return Check(name="gpu", status=PASS, found=f"{gpu.name}; the plan names none, only a budget", figures=figures)
    if planned.name == gpu.name or (planned.uuid is not None and planned.uuid == gpu.uuid):
        return Check(name="gpu", status=PASS, found=f"{gpu.name}, as in the plan", figures=figures)
    if same_card(planned.name, gpu.name):
        return Check(name="gpu", status=PASS, found=f"{gpu.name}; the plan calls it {planned.name}", figures=figures)
    return Check(
        name="gpu",
        status=WARN,
        found=f"{gpu.name}; the plan is for {planned.name}",
        action="Make the plan again for this GPU: its CUDA context and kernels may take other bytes",
        figures=figures,
    )


def check_driver(plan: Plan, budget: Budget, machine: Machine) -> Check:
    """The driver beside the plan's, and whether it is new enough for the CUDA that torch was built with."""
    driver = budget.gpu.driver if budget.gpu else None
    planned = plan.budget.gpu.driver if plan.budget.gpu else None
    if driver is None:
        return Check(name="driver", status=SKIP, found="the driver says no version, or no GPU of this machine is meant")
    figures = {"driver": driver, "planned_driver": planned}
    cuda = next((gpu.cuda for gpu in machine.gpus if budget.gpu and gpu.uuid == budget.gpu.uuid), None)
    runtime = machine.versions.get("nvidia-cuda-runtime") or machine.versions.get("nvidia-cuda-runtime-cu12")
    if cuda and runtime and release(cuda)[:1] < release(runtime)[:1]:
        return Check(
            name="driver",
            status=FAIL,
            found=f"{driver} runs CUDA up to {cuda}, but torch was built with CUDA {runtime}",
            action="Update the driver, or install a torch that was built with an older CUDA",
            figures=figures,
        )
    if planned is not None and planned != driver:
        return Check(
            name="driver",
            status=WARN,
            found=f"{driver}; the plan was made with {planned}",
            action="Confirm the plan again, or make it again: another driver's CUDA context may take other bytes",
            figures=figures,
        )
    same = "as in the plan" if planned else "the plan names none"
    return Check(name="driver", status=PASS, found=f"{driver}, {same}", figures=figures)


def check_allocator(environment: Mapping[str, str], system: str) -> Check | None:
    """Whether the environment or the system keeps torch's allocator from growing its segments; None where neither does.

    system: name and release, as in a Machine.
    """
    if not maps_memory(system):
        found = f"on {system} torch's segments do not grow, as they do where the figures are of"
        action = f"Leave room: {FIXED_TAKE} may be reserved"
        return Check(name="allocator", status=WARN, found=found, action=action, figures={"system": system})
    for name in ALLOCATOR_VARIABLES:
        settings = allocator_settings(environment.get(name, ""))
        off = settings.get("expandable_segments") == "False"
        if off or settings.get("backend", "native") != "native":
            word = "expandable_segments:False" if off else f"backend:{settings['backend']}"
            return Check(
                name="allocator",
                status=WARN,
                found=f"{name} has {word}, and the figures are of segments that grow: {FIXED_TAKE} may be reserved",
                action=f"Take {word} out of {name}",
                figures={name: environment[name]},
            )
    return None


def check_package(plan: Plan, machine: Machine, name: str) -> Check:
    """Whether torch or sam2 is installed, new enough, and of the release that the plan's figures are of."""
    exact = plan.estimate.exact if plan.estimate else None
    planned = getattr(exact, name) if exact else plan.provenance.versions.get(name)
    version = machine.versions.get(name)
    figures = {"version": version, "planned_version": planned}
    if version is None:
        return Check(name=name, status=FAIL, found=f"{name} is not installed", action=INSTALL, figures=figures)
    if release(version) < OLDEST[name]:
        oldest = ".".join(map(str, OLDEST[name]))
        found = f"{name} {version} is older than {oldest}, the oldest that runs plans"
        return Check(name=name, status=FAIL, found=found, action=INSTALL, figures=figures)
    if planned is not None and release(planned)[:2] != release(version)[:2]:
        return Check(
            name=name,
            status=WARN,
            found=f"{version}; the plan's figures are of {planned}",
            action=f"Confirm the plan with this release, or install {name}=={planned}",
            figures=figures,
        )
    found = version if planned is None else f"{version}; the plan's figures are of {planned}"
    return Check(name=name, status=PASS, found=found, figures=figures)


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version: "2.14.1+cu130" is (2, 14, 1); () where there are none."""
    match = _RELEASE.match(version)
    return tuple(int(part or 0) for part in match.groups()) if match else ()
