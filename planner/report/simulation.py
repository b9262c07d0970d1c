"""A simulation for people and for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from planner.report.text import Style, component_bars, host_line
from planner.text.units import counted, format_resolution, format_size

if TYPE_CHECKING:
    from planner.simulator.simulation import Simulation


def simulation_report(found: Simulation, style: Style) -> str:
    """The simulation for people: who holds the peak, the phases, the growth."""
    lines = [style(simulation_title(found), bold=True), ""]
    lines.append(f"Memory at the peak (phase: {found.peak['phase']}), from a trace of {_code(found)}")
    lines += component_bars(found.components, found.total_bytes, style)
    module = f" in {found.peak['module']}" if found.peak["module"] else ""
    lines += [
        f"  reached by {found.peak['operation']}{module}",
        "",
        f"  allocated {format_size(found.allocated_bytes)}, reserved {format_size(found.reserved_bytes)}, "
        f"context {format_size(found.context_bytes)}, total {format_size(found.total_bytes)}; "
        f"completes in {format_size(found.least_bytes)}",
        host_line(found.host_components, None),
        "",
        style("Phases", bold=True),
    ]
    rows = [
        [phase.name, format_size(phase.allocated_bytes), max(phase.components, key=lambda c: c.bytes).name]
        for phase in found.phases
    ]
    lines += style.table([["phase", "allocated", "largest part"], *rows], (1,))
    if found.growth is not None:
        growth = found.growth
        lines += [
            "",
            style("Growth", bold=True),
            f"  {growth.per_frame_bytes:,} B per frame, {growth.per_object_bytes:,} B per frame and object, "
            "kept for good",
        ]
    if found.reserved_upper_bytes > found.reserved_bytes:
        upper = format_size(found.reserved_upper_bytes)
        lines += ["", f"Reserved up to {upper} where copies on the second stream are given back late."]
    if found.configuration["vram"] is not None:
        lines += ["", _end(found)]
    if estimated := found.provenance["reserved_estimated_frames"]:
        lines += ["", f"Reserved bytes are estimated for the last {estimated:,} frames; allocated bytes are exact."]
    versions = ", ".join(f"{name} {version}" for name, version in found.provenance["versions"].items())
    rules = found.provenance["torch_rules"]
    by = f" by the rules of torch {rules}" if found.configuration["torch"] else ""
    lines += ["", f"Simulated in {found.seconds:.1f} s with {versions}{by}. Nothing here was measured."]
    return style.page(lines)


def _end(found: Simulation) -> str:
    size, end = format_size(found.configuration["vram"]), found.runs_out
    if end is None:
        return f"It does not run out of {size}, the context included."
    where = f"in {end.phase}" if end.frame is None else f"on frame {end.frame:,} (from 0), in {end.phase}"
    return (
        f"It runs out of {size} {where}: {format_size(end.requested_bytes)} more than "
        f"{format_size(end.allocated_bytes)} allocated, after all cache was given back."
    )


POSITION_TABLES_IN_WORDS = {"used": "made at their first use", "none": "never kept"}


def timeline_title(found: Simulation) -> str:
    """A line over the picture, which shows the traced frames only."""
    c, traced = found.configuration, found.provenance["traced_frames"]
    text = f"{c['variant']} {c['version']} at {format_resolution(c['resolution'])}, {c['precision']}, {c['task']}"
    if c["task"] == "video" and c["frames"] is not None and c["frames"] > traced:
        peak = format_size(found.allocated_bytes)
        return f"{text}: the first {traced} of {c['frames']:,} frames (peak of all: {peak})"
    return text


def simulation_title(found: Simulation) -> str:
    """What was simulated, in one line."""
    c = found.configuration
    kind = "own runtime," if c["runtime"] == "own" else c["runtime"]
    kind += ", streaming:" * c["streaming"] + ", keeping all memories:" * c["keep_all"]
    text = (
        f"{kind} {c['variant']} {c['version']} at {format_resolution(c['resolution'])}, {c['precision']}: {c['task']}"
    )
    if c["task"] == "video":
        frames = "a clip without end" if c["frames"] is None else counted(c["frames"], "frame")
        text += f", {c['objects']} object{'s' if c['objects'] != 1 else ''}, {frames}"
    capability = ".".join(map(str, c["capability"]))
    if c["position_tables"] != "built":
        text += f", tables of positions {POSITION_TABLES_IN_WORDS[c['position_tables']]}"
    return f"{text}, pictures of {format_resolution(c['frame_size'])}, compute capability {capability}"


def _code(found: Simulation) -> str:
    return "the sam2 package" if found.configuration["stock"] else "the runtime that runs a plan"
