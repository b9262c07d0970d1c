"""A plan against the world: every candidate predicted anew, limits tried on both sides, advice followed.

Uses planner.predict and the command line, and nothing of planner.planning or planner.report.
"""

from __future__ import annotations

import itertools
import math
import shlex
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import planner
from tests.checker import RECIPE, Document, Fault, label, outranks, pace, with_certainty
from tests.conftest import document_of
from tests.published import VARIANTS, quality

SQUARES = (512, 640, 768, 896, 1024, 1280, 1536, 2048)
LARGEST_SIDE, SMALLEST_SIDE = 8192, 64
STEPS_BEYOND = 3
MOST_OBJECTS = 10**6
POINTS = (64, 32, 16, 8, 4, 2, 1)
HALF = (8, 0)
"""bfloat16, flash and cuDNN attention are there from this compute capability on."""

predict = lru_cache(maxsize=200_000)(planner.predict)


def world_faults(plan: Document, follow_advice: bool = True) -> list[Fault]:
    """Everything that the memory model and the command line have to say against a plan."""
    found = [*_prediction(plan), *_better(plan), *_limits(plan), *_stock(plan)]
    if follow_advice:
        found += [*_smallest(plan), *_advice(plan), *_command(plan)]
    return found


def _estimate(plan: Document, configuration: Document, **changed: Any) -> Any:
    request, gpu = plan["request"], plan["budget"]["gpu"]
    names = ("variant", "version", "precision", "attention", "object_batch", "bounded_memory_bank")
    asked = {name: configuration[name] for name in (*names, "offload_video", "offload_state")}
    asked |= {
        "resolution": tuple(configuration["resolution"]),
        "task": request["task"],
        "objects": request["objects"],
        "frames": request["frames"] if request["task"] == "video" else None,
        "frame_size": tuple(request["frame_size"]),
        "gpu": gpu["name"] if gpu else None,
        "vram": None if gpu else plan["budget"]["total_bytes"],
    }
    return predict(**(asked | changed))


def _prediction(plan: Document) -> Iterator[Fault]:
    entries = [entry for entry in (*plan["alternatives"], plan) if entry["chosen"]]
    for entry in entries:
        again, said = _estimate(plan, entry["chosen"]), entry["estimate"]
        figures = ("least_bytes", "total_bytes", "upper_bytes")
        if any(getattr(again, name) != said[name] for name in figures):
            yield Fault("the plan and predict disagree", label(entry["chosen"]))


def _candidates(plan: Document) -> Iterator[Document]:
    """Every configuration that the pins leave open, with its worth; members of a class by what they cost."""
    pins, request = plan["request"]["pins"], plan["request"]
    shown = [entry["chosen"] for entry in (plan, *plan["alternatives"]) if entry["chosen"]]
    shown += [entry["configuration"] for entry in plan["rejected"]]
    sizes = {(side, side) for side in SQUARES} | {tuple(entry["resolution"]) for entry in shown}
    if pins["resolution"]:
        sizes = {tuple(pins["resolution"])}
    attention = pins["attention"] or "auto"
    capability = plan["budget"]["gpu"]["capability"] if plan["budget"]["gpu"] else None
    old = capability is not None and tuple(capability) < HALF
    precisions = [pins["precision"]] if pins["precision"] else RECIPE
    for variant, version, size, precision in itertools.product(
        [pins["variant"]] if pins["variant"] else VARIANTS,
        [pins["version"]] if pins["version"] else ("2.1", "2.0"),
        sorted(sizes),
        precisions,
    ):
        if attention in ("flash", "cudnn") and precision == "float32":
            continue
        if old and ("bfloat16" in precision or attention in ("flash", "cudnn")):
            continue
        batches = POINTS if request["task"] == "automask" else (1,)
        for batch, offload in itertools.product(batches, (False, True) if request["task"] == "video" else (False,)):
            yield {
                "variant": variant, "version": version, "resolution": list(size), "precision": precision,
                "attention": attention, "object_batch": batch, "bounded_memory_bank": True, "offload_video": False,
                "offload_state": offload,
            }  # fmt: skip


def _better(plan: Document) -> Iterator[Fault]:
    """No candidate that fits ranks above the choice; and with no choice, none fits."""
    prefer, chosen = plan["request"]["prefer"], plan["chosen"]
    if prefer == "balanced" and chosen:
        yield from _knee(plan, chosen)
        return
    if chosen:
        chosen = with_certainty(plan, chosen, plan["estimate"]["total_bytes"], plan["estimate"]["upper_bytes"])
    for candidate in _candidates(plan):
        estimate = _estimate(plan, candidate)
        if not _fits(plan, estimate):
            continue
        if chosen is None:
            yield Fault("something does fit", label(candidate))
            return
        judged = with_certainty(plan, candidate, estimate.total_bytes, estimate.upper_bytes)
        if outranks(judged, chosen, prefer, plan["strict"]):
            yield Fault("something better fits", f"{label(candidate)} instead of {label(chosen)}")
            return


def _knee(plan: Document, chosen: Document) -> Iterator[Fault]:
    """Balanced: of what fits the farthest above the line from the most accurate to the fastest of all."""
    candidates = list(_candidates(plan))
    points = [(_quality(one), math.log(pace(one, False))) for one in candidates]
    best, fastest = max(points), max(points, key=lambda point: (point[1], point[0]))
    spans = best[0] - fastest[0], fastest[1] - best[1]
    if min(spans) <= 0:
        return

    def height(one: Document) -> float:
        quality, speed = _quality(one), math.log(pace(one, False))
        return float((quality - fastest[0]) / spans[0] + (speed - best[1]) / spans[1])

    surely = plan["strict"] and plan["verdict"] == "fits"
    fitting = (one for one in candidates if _fits(plan, _estimate(plan, one), surely))
    if height(chosen) < max(map(height, fitting)) - 0.02:
        yield Fault("something better fits", f"{label(chosen)} is not the knee")


def _fits(plan: Document, estimate: Any, surely: bool = False) -> bool:
    """Whether it completes on the GPU (surely: with its bound), and on the host where its memory is known."""
    need = estimate.upper_bytes if surely else estimate.least_bytes
    return bool(need <= plan["budget"]["usable_bytes"]) and _held_by_host(plan, estimate)


def _held_by_host(plan: Document, estimate: Any) -> bool:
    limit = plan["budget"]["host_bytes"]
    return limit is None or (estimate.host_bytes or 0) <= limit


def _quality(choice: Document) -> float:
    return quality(choice["variant"], choice["version"], (choice["resolution"][0], choice["resolution"][1]))[1]


def _limits(plan: Document) -> Iterator[Fault]:
    limits, chosen = plan["limits"], plan["chosen"]
    for name in ("max_objects", "max_frames", "max_resolution", "smallest_total_bytes"):
        if limits[name] is None and not limits["reasons"].get(name):
            yield Fault("a limit is unknown without a reason", name)
    if chosen is None:
        return
    for name, surely in (("max_objects", False), ("sure_objects", True)):
        most = limits[name]
        if most is None:
            continue
        if not surely and most < plan["request"]["objects"]:
            yield Fault("the request is beyond its limit", f"{name} {most}")
        if not _any_way(plan, surely, objects=most):
            yield Fault(f"{name} does not fit", str(most))
        if most < max(MOST_OBJECTS, plan["request"]["objects"]) and _any_way(plan, surely, objects=most + 1):
            yield Fault(f"{name} is not the most", str(most))
    if limits["max_frames"] == "unlimited":
        if not _any_way(plan, False, frames=10**6) or not _any_way(plan, False, frames=None):
            yield Fault("max_frames does not fit", "unlimited")
    elif limits["max_frames"] is not None:
        most = limits["max_frames"]
        if not _any_way(plan, False, frames=most) or _any_way(plan, False, frames=most + 1):
            yield Fault("max_frames is not the most", str(most))
    for name, surely in (("max_resolution", False), ("sure_resolution", True)):
        if limits[name] is None:
            continue
        height, width = limits[name]
        if not _any_way(plan, surely, resolution=(height, width)):
            yield Fault(f"{name} does not fit", f"{height}x{width}")
        ratio = min(chosen["resolution"]) / max(chosen["resolution"])
        # Reserved bytes step, so what lies beyond the next resolution may fit where that does not.
        for longer in range(max(height, width) + 32, min(LARGEST_SIDE, max(height, width) + 32 * STEPS_BEYOND) + 1, 32):
            shorter = max(SMALLEST_SIDE, round(longer * ratio / 32) * 32)
            larger = (shorter, longer) if height < width else (longer, shorter)
            if _any_way(plan, surely, resolution=larger):
                yield Fault(f"{name} is not the most", f"{larger} fits too")


def _any_way(plan: Document, surely: bool, **changed: Any) -> bool:
    """Whether the chosen variant fits in any precision that is open and any way of running it."""
    chosen, request = plan["chosen"], plan["request"]
    capability = plan["budget"]["gpu"]["capability"] if plan["budget"]["gpu"] else None
    old = capability is not None and tuple(capability) < HALF
    precisions = [request["pins"]["precision"]] if request["pins"]["precision"] else list(RECIPE)
    kernel = chosen["attention"]
    for precision, batch, offload in itertools.product(
        precisions, POINTS if request["task"] == "automask" else (1,), (False, True)
    ):
        if kernel in ("flash", "cudnn") and precision == "float32":
            continue
        if old and "bfloat16" in precision:
            continue
        if offload and request["task"] != "video":
            continue
        way = {"precision": precision, "object_batch": batch, "offload_state": offload}
        if _fits(plan, _estimate(plan, chosen, **(way | changed)), surely):
            return True
    return False


def _stock(plan: Document) -> Iterator[Fault]:
    """The stock predictor runs out at the whole budget: headroom is the planner's own caution."""
    stock, request = plan["stock"], plan["request"]
    configuration, total = stock["configuration"], plan["budget"]["total_bytes"]
    if configuration["bounded_memory_bank"]:
        yield Fault("stock with a bounded memory bank", label(configuration))
    if not stock["fits"] and not stock["reason"]:
        yield Fault("stock does not fit without a reason", label(configuration))
    if stock["total_bytes"] is not None:
        again = _estimate(plan, configuration)
        if (stock["total_bytes"], stock["least_bytes"]) != (again.total_bytes, again.least_bytes):
            yield Fault("stock and predict disagree", str(stock["total_bytes"]))
        if stock["fits"] != (again.least_bytes <= total and _held_by_host(plan, again)):
            yield Fault("stock's verdict is wrong", str(stock["total_bytes"]))
        if stock["tight"] != (stock["fits"] and again.total_bytes > total):
            yield Fault("stock is tight, or is not", str(stock["total_bytes"]))
    first = stock["first_frame_out_of_memory"]
    if first is None or request["frames"] != "unlimited":
        return
    there = _estimate(plan, configuration, frames=first)
    if there.least_bytes <= total and _held_by_host(plan, there):
        yield Fault("stock's first frame out of memory fits", str(first))
    if first > 1 and _estimate(plan, configuration, frames=first - 1).least_bytes > total:
        yield Fault("stock runs out earlier", str(first))


def _smallest(plan: Document) -> Iterator[Fault]:
    """smallest_total_bytes has a plan, one byte less has none."""
    smallest = plan["limits"]["smallest_total_bytes"]
    gpu = plan["budget"]["gpu"]
    if smallest is None or (gpu and gpu["capability"]):
        return
    request, policy = plan["request"], plan["budget"]["headroom"]
    pins = {name: tuple(pin) if isinstance(pin, list) else pin for name, pin in request["pins"].items()}
    held = f"{policy['percent']}%" if policy["percent"] else "none"
    if policy["fixed_bytes"]:
        held = f"{policy['fixed_bytes'] / 10**9:.9f}GB"
    asked: dict[str, Any] = {
        "task": request["task"],
        "objects": request["objects"],
        "frames": request["frames"] if request["task"] == "video" else None,
        "frame_size": tuple(request["frame_size"]),
        "headroom": held,
        "host_memory": plan["budget"]["host_bytes"],
        **pins,
    }
    if not planner.plan(vram=smallest, **asked).fits:
        yield Fault("smallest_total_bytes has no plan", str(smallest))
    if planner.plan(vram=smallest - 1, **asked).fits:
        yield Fault("smallest_total_bytes is not the smallest", str(smallest))


def _command(plan: Document) -> Iterator[Fault]:
    """`command` plans the same again, keeps it, and runs what was kept with a prompt and the official weights."""
    if plan["command"] is None:
        return
    words = shlex.split(plan["command"])
    planning, running = words[: words.index("&&")], words[words.index("&&") + 1 :]
    family = "sam2.1" if plan["chosen"]["version"] == "2.1" else "sam2"
    height, width = plan["request"]["frame_size"]
    prompt = [] if plan["request"]["task"] == "automask" else ["--point", f"{width // 2},{height // 2}"]
    expected = ["sam2-plan", "run", "plan.yaml", "INPUT", "--out", "masks", *prompt]
    expected += ["--checkpoint", f"{family}_hiera_{plan['chosen']['variant']}.pt"]
    if running != expected or planning[-2:] != ["-o", "plan.yaml"]:
        yield Fault("the command does not run what it keeps", plan["command"])
    elif document_of(planning[1:-2])["chosen"] != plan["chosen"]:
        yield Fault("the command plans something else", plan["command"])


def _advice(plan: Document) -> Iterator[Fault]:
    """Every `try` line gives a plan when it is run."""
    for line in plan["try"]:
        program, *words = shlex.split(line["command"])
        followed = document_of(words) if program == "sam2-plan" else {}
        if followed.get("verdict") not in ("fits", "tight"):
            yield Fault("advice that does not fit", line["command"])
        elif "upper bound" in line["change"] and followed["verdict"] != "fits":
            yield Fault("advice that does not keep its word", line["command"])
        elif " would allow " in line["change"]:
            chosen = followed["chosen"]
            size = "x".join(map(str, chosen["resolution"]))
            given = f"{chosen['variant']} {chosen['version']} at {size}, {chosen['precision']}"
            if given != line["change"].partition(" would allow ")[2]:
                yield Fault("advice that does not keep its word", f"{line['change']}: gives {given}")
