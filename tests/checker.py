"""An independent checker of plans: the slow, obvious way, from the JSON document alone.

Shares no code with planner.planning or planner.report. `document_faults` needs nothing but the document;
tests/oracle.py asks the memory model and the command line as well. A fault is a name and a detail.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.published import accuracy, frames_per_second, quality

Document = dict[str, Any]
RECIPE = ("autocast_bfloat16", "autocast_float16", "float16", "bfloat16", "float32")
"""The official numerical recipe first, then low-precision weights, float32 last."""
PROVENANCES = {"measured", "rehearsed", "published", "simulated", "derived", "assumed"}
PINS = ("variant", "version", "resolution", "precision", "attention")
SAME_SPEED = 0.02
"""Both versions run the same code; the README's speeds of them differ by up to 1.1 %, which is noise."""


class Fault(NamedTuple):
    name: str
    detail: str


def document_faults(plan: Document) -> list[Fault]:
    """Everything that is wrong with a plan by itself; empty if nothing is."""
    found = [*_budget(plan), *_verdict(plan)]
    for choice, estimate in _choices(plan):
        found += [*_estimate(estimate), *_pins(plan, choice, "chosen")]
        found += _figures(choice, plan["request"]["task"])
        usable = plan["budget"]["usable_bytes"]
        if estimate["least_bytes"] > usable:
            found.append(Fault("choice over budget", f"{estimate['least_bytes']} of {usable} usable"))
    found += [*_order(plan), *_rejected(plan), *_warnings(plan)]
    return found


def names(faults: list[Fault]) -> set[str]:
    return {fault.name for fault in faults}


def _choices(plan: Document) -> list[tuple[Document, Document]]:
    first = [(plan["chosen"], plan["estimate"])] if plan["chosen"] and plan["estimate"] else []
    return first + [(entry["chosen"], entry["estimate"]) for entry in plan["alternatives"]]


def _budget(plan: Document) -> Iterator[Fault]:
    budget = plan["budget"]
    if budget["usable_bytes"] != budget["total_bytes"] - budget["headroom_bytes"]:
        yield Fault("usable is not total less headroom", str(budget))
    policy = budget["headroom"]
    held = policy["fixed_bytes"] + math.ceil(budget["total_bytes"] * policy["percent"] / 100)
    if budget["headroom_bytes"] != min(held, budget["total_bytes"]):
        yield Fault("headroom is not its policy", f"{budget['headroom_bytes']} for {policy}")
    if budget["usable_bytes"] <= 0:
        yield Fault("nothing is usable", str(budget))
    if (budget["source"] == "vram" and budget["gpu"]) or (budget["source"] != "vram" and not budget["gpu"]):
        yield Fault("source and GPU disagree", str(budget))


def _verdict(plan: Document) -> Iterator[Fault]:
    chosen, estimate, verdict = plan["chosen"], plan["estimate"], plan["verdict"]
    if (chosen is None) != (estimate is None) or (chosen is None) != (verdict == "does_not_fit"):
        yield Fault("verdict and choice disagree", verdict)
        return
    expected = 3 if verdict == "does_not_fit" else 4 if verdict == "tight" and plan["strict"] else 0
    if plan["exit_code"] != expected:
        yield Fault("wrong exit code", f"{plan['exit_code']} for {verdict}")
    if estimate and verdict != ("fits" if estimate["upper_bytes"] <= plan["budget"]["usable_bytes"] else "tight"):
        yield Fault("verdict is not what the bound says", f"{verdict} at {estimate['upper_bytes']}")
    if (chosen is None) == (plan["command"] is not None) or (chosen is None) != (plan["command_reason"] is not None):
        yield Fault("command and choice disagree", str(plan["command"]))
    if chosen is None and plan["alternatives"]:
        yield Fault("alternatives without a choice", str(len(plan["alternatives"])))
    if chosen is None and not plan["rejected"]:
        yield Fault("nothing fits and nothing was rejected", "")


def _estimate(estimate: Document) -> Iterator[Fault]:
    parts = {part["name"]: part["bytes"] for part in estimate["components"]}
    if len(parts) != len(estimate["components"]) or any(size <= 0 for size in parts.values()):
        yield Fault("empty or repeated component", str(parts))
    if sum(parts.values()) != estimate["total_bytes"]:
        yield Fault("components do not add up", f"{sum(parts.values())} against {estimate['total_bytes']}")
    if estimate["reserved_bytes"] + estimate["context_bytes"] != estimate["total_bytes"]:
        yield Fault("reserved and context are not the total", str(estimate["total_bytes"]))
    if not 0 < estimate["allocated_bytes"] <= estimate["reserved_bytes"] < estimate["total_bytes"]:
        yield Fault("allocated, reserved and total are out of order", str(estimate["total_bytes"]))
    if (
        not estimate["allocated_bytes"] + estimate["context_bytes"]
        <= estimate["least_bytes"]
        <= estimate["total_bytes"]
    ):
        yield Fault("least is below the tensors or above the total", str(estimate["least_bytes"]))
    if estimate["upper_bytes"] < estimate["total_bytes"]:
        yield Fault("bound below the prediction", f"{estimate['upper_bytes']} < {estimate['total_bytes']}")
    phases = {phase["name"]: phase for phase in estimate["phases"]}
    for phase in phases.values():
        if sum(part["bytes"] for part in phase["components"]) != phase["allocated_bytes"]:
            yield Fault("a phase does not add up", phase["name"])
    peak = phases.get(estimate["peak_phase"])
    if peak is None or peak["allocated_bytes"] != max(phase["allocated_bytes"] for phase in phases.values()):
        yield Fault("the peak is not the largest phase", estimate["peak_phase"])
    elif peak["allocated_bytes"] != estimate["allocated_bytes"]:
        yield Fault("allocated is not the peak", str(estimate["allocated_bytes"]))
    elif any(parts.get(part["name"]) != part["bytes"] for part in peak["components"]):
        yield Fault("components are not those of the peak", str(parts))
    origins = {part["provenance"] for part in estimate["components"]}
    if not origins <= PROVENANCES:
        yield Fault("unknown provenance", str(origins))
    if estimate["extrapolated"] != bool(estimate["extrapolated_because"]):
        yield Fault("extrapolated without a reason", str(estimate["extrapolated_because"]))


def _pins(plan: Document, configuration: Document, what: str) -> Iterator[Fault]:
    for name in PINS:
        pinned = plan["request"]["pins"][name]
        if pinned is not None and configuration[name] != pinned:
            yield Fault("a pin is overridden", f"{what}: {name} {configuration[name]}, not {pinned}")


def rank(choice: Document, prefer: str) -> tuple[Any, ...]:
    """design.md's "best" as a sort key, smaller is better; speed comes in `outranks`."""
    estimate, value, recipe = _worth(choice)
    tight = 2 - choice["sure"] - choice["spare"]
    return (tight, recipe, value) if prefer == "speed" else (estimate, value, tight, recipe)


def outranks(one: Document, other: Document, prefer: str, strict: bool = False) -> bool:
    """Whether `one` is certainly better than `other`: choices that say whether they surely fit, and with room to spare.

    Speeds within SAME_SPEED are the same.
    """
    if strict and one["sure"] != other["sure"]:
        return bool(one["sure"])
    # By speed choices are compared, not ways of running them: a memory bank on the host does where it makes one sure.
    fast, slow = pace(one, prefer != "speed"), pace(other, prefer != "speed")
    faster = fast > slow * (1 + SAME_SPEED)
    if prefer == "speed":
        # A little slower may still be slower, which no rank makes up for.
        return faster or (fast >= slow and rank(one, prefer) < rank(other, prefer))
    return rank(one, prefer) < rank(other, prefer) or (rank(one, prefer) == rank(other, prefer) and faster)


def pace(choice: Document, of_its_way: bool = True) -> float:
    """What speeds are ordered by; versions run the same code, and further objects slow all down alike."""
    size = (choice["resolution"][0], choice["resolution"][1])
    return frames_per_second(choice["variant"], "2.1", size, 1, of_its_way and choice["offload_state"])


def _figures(choice: Document, task: str) -> Iterator[Fault]:
    """Accuracy is what is published for the task, or null; each null has its reason."""
    size = (choice["resolution"][0], choice["resolution"][1])
    estimate, value = accuracy(task, choice["variant"], choice["version"], size)
    if (choice["quality"], choice["quality_is_estimate"]) != (value, estimate):
        yield Fault("an accuracy that nobody published", f"{choice['quality']} for {label(choice)}")
    for name in ("quality", "frames_per_second"):
        if (choice[name] is None) != bool(choice[f"{name}_reason"]):
            yield Fault("a null without its reason, or a reason without a null", name)


def with_certainty(plan: Document, choice: Document, total_bytes: int, upper_bytes: int) -> Document:
    """The choice, and whether it surely fits, or else with room to spare as predicted."""
    usable = plan["budget"]["usable_bytes"]
    return choice | {"sure": upper_bytes <= usable, "spare": total_bytes <= usable}


def _order(plan: Document) -> Iterator[Fault]:
    choices = [
        with_certainty(plan, choice, estimate["total_bytes"], estimate["upper_bytes"])
        for choice, estimate in _choices(plan)
    ]
    differ = ("variant", "resolution", "object_batch", "offload_state", "precision")
    seen = [tuple(str(choice[name]) for name in differ) for choice in choices]
    if len(set(seen)) != len(seen):
        yield Fault("an alternative stands twice", str(seen))
    prefer = plan["request"]["prefer"]
    if prefer == "balanced":
        return
    for index, choice in enumerate(choices):
        for later in choices[index + 1 :]:
            if outranks(later, choice, prefer, plan["strict"]):
                yield Fault("alternatives are out of order", f"{label(later)} after {label(choice)}")


def _rejected(plan: Document) -> Iterator[Fault]:
    needs = []
    for entry in plan["rejected"]:
        configuration, need = entry["configuration"], entry["need_bytes"]
        yield from _pins(plan, configuration, "rejected")
        usable = plan["budget"]["host_bytes" if entry["component"] == "host" else "usable_bytes"]
        if entry["limit_bytes"] != usable:
            yield Fault("a rejection names another limit", f"{entry['limit_bytes']}, not {usable}")
        if (need is None) != (entry["component"] == "capability") or (need is None) != (
            entry["short_by_bytes"] is None
        ):
            yield Fault("a rejection without its figures", label(configuration))
        elif need is not None and need <= usable:
            yield Fault("what was rejected fits", f"{label(configuration)}: {need} of {usable}")
        elif need is not None and entry["short_by_bytes"] != need - usable:
            yield Fault("short by another amount", f"{entry['short_by_bytes']}, not {need - usable}")
        if need is not None and entry["component"] != "host" and entry["total_bytes"] < need:
            yield Fault("a rejection takes less with room to spare", label(configuration))
        if not entry["reason"]:
            yield Fault("a rejection without a reason", label(configuration))
        needs.append(math.inf if need is None else need)
        if plan["chosen"] and plan["request"]["prefer"] == "quality" and _worth(configuration) > _worth(plan["chosen"]):
            yield Fault("what was rejected ranks below the choice", label(configuration))
    if plan["chosen"] is None and needs != sorted(needs):
        yield Fault("the nearest miss does not come first", str(needs[:3]))


def _worth(configuration: Document) -> tuple[Any, ...]:
    resolution = (configuration["resolution"][0], configuration["resolution"][1])
    estimate, value = quality(configuration["variant"], configuration["version"], resolution)
    return estimate, -value, RECIPE.index(configuration["precision"])


def _warnings(plan: Document) -> Iterator[Fault]:
    text = "\n".join(plan["warnings"])
    expected = {
        "tight:": plan["verdict"] == "tight",
        "extrapolated:": bool(plan["estimate"] and plan["estimate"]["extrapolated"]),
        "is an estimate": bool(plan["chosen"] and plan["chosen"]["quality_is_estimate"]),
    }
    for words, due in expected.items():
        if (words in text) != due:
            yield Fault("a warning is missing or idle", words)


def label(configuration: Document) -> str:
    """A configuration in a few words."""
    return " ".join(str(configuration[name]) for name in PINS)
