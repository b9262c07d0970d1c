"""How far a budget reaches, for people."""

from __future__ import annotations

from planner.nouns.answers import Carried, Reach
from planner.nouns.plan import Stock
from planner.nouns.words import Task
from planner.planning.choice_limits import MAXIMUM_OBJECTS
from planner.report.text import Style, head
from planner.text.units import MAXIMUM_SIDE, format_resolution, format_size


def carried_report(carried: Carried, style: Style) -> str:
    """What `limits` prints for people."""
    task = carried.request.workload.task
    size = format_resolution(carried.reach[0].configuration.resolution)
    columns = ["variant", "precision", f"takes at {size}"]
    columns += ["most objects", "surely", "bank on GPU"] if task == "video" else []
    shape = format_resolution(carried.request.workload.frame_size)
    columns += ["largest square", "surely", f"shape of {shape}", "surely"]
    rows = [columns, *(_row(one, task) for one in carried.reach)]
    found = head(carried.request, carried.budget)
    found += [style(f"! {warning}", "yellow") for warning in carried.warnings]
    found += ["", style("How far it reaches", bold=True) + ", on the runtime of sam2-plan run"]
    found += style.table(
        rows,
        range(2, len(columns)),
        keys=2,
        joined=("surely", "bank on GPU"),
        colours=lambda place: None if carried.reach[place].max_square else "red",
    )
    found += [f"  {note}" for note in _notes(carried, task)]
    found += ["", style("Stock sam2", bold=True), *_stock_lines(carried, style)]
    if carried.others:
        found += ["", style("Other runtimes", bold=True), *_other_lines(carried, style)]
    return style.page(found)


def _row(one: Reach, task: Task) -> list[str]:
    configuration = one.configuration
    cells: list[str] = [configuration.variant, configuration.precision]
    if one.need_bytes is None:
        return [*cells, one.reasons["need_bytes"], *[""] * (7 if task == "video" else 4)]
    takes = format_size(one.need_bytes)
    short = f", short by {format_size(one.short_by_bytes)}" if one.short_by_bytes else ""
    cells.append(takes + short)
    if task == "video":
        cells += [_count(one.max_objects, "max_objects", one), _count(one.sure_objects, "", one)]
        cells.append(_count(one.gpu_objects or None, "", one))
    for most, name, sure in (
        (one.max_square, "max_square", one.sure_square),
        (one.max_shaped, "max_shaped", one.sure_shaped),
    ):
        cells += [_size(most, name, one), _size(sure, "", one)]
    return cells


def _count(count: int | None, name: str, one: Reach) -> str:
    if count is not None and count >= MAXIMUM_OBJECTS:
        return "any"
    return "none" if count is None else f"{'~' if name in one.extrapolated else ''}{count:,}"


def _size(size: tuple[int, int] | None, name: str, one: Reach) -> str:
    return "none" if size is None else f"{'~' if name in one.extrapolated else ''}{format_resolution(size)}"


def _notes(carried: Carried, task: Task) -> list[str]:
    """What a reader of the table has to know, each only where it applies."""
    reach = carried.reach
    notes = ["surely: with the upper bound too"]
    if task == "automask":
        notes[0] += "; each with as few points per batch as it takes"
    if any(one.extrapolated for one in reach):
        notes.append("~ lies beyond what was rehearsed: laws go on as straight lines there")
    held = [one.host_bytes for one in reach if one.host_bytes is not None]
    if held:
        least, most = format_size(min(held)), format_size(max(held))
        limit = carried.budget.host_bytes
        of = "" if limit is None else f" of {format_size(limit)}"
        notes.append(f"beside it the host holds {least if least == most else f'{least} to {most}'}{of}")
    if any(one.unlimited_frames for one in reach):
        notes.append("any number of frames: the memory bank is bounded")
    if any(one.max_objects != one.gpu_objects for one in reach):
        notes.append("beyond those on the GPU the memory bank lies on the host, in whose memory it has to fit")
    if task == "image":
        notes.append("any number of objects: they are predicted one by one")
    if any(one.max_square and one.max_square[0] == MAXIMUM_SIDE for one in reach):
        notes.append(f"{MAXIMUM_SIDE} is the longest side that may be asked for")
    if any(one.max_objects and one.max_objects >= MAXIMUM_OBJECTS for one in reach):
        notes.append("any: as many as the host's memory holds")
    if any(one.max_square and one.max_square[0] < 512 for one in reach):
        notes.append("below 512x512 nothing is known of the accuracy: planned only when pinned")
    return notes


def _stock_lines(carried: Carried, style: Style) -> list[str]:
    rows = []
    for stock in carried.stock:
        configuration = stock.configuration
        what = f"{format_resolution(configuration.resolution)}, {configuration.precision}"
        rows.append([configuration.variant, what, _stock_words(stock)])
    return [line for row in style.rows(rows) for line in row]


def _other_lines(carried: Carried, style: Style) -> list[str]:
    rows = []
    for other in carried.others:
        name = f"{other.runtime}{', streaming' if other.streaming else ''}"
        rows.append([name, other.configuration.variant, other.configuration.precision, _stock_words(other)])
    return [line for row in style.rows(rows) for line in row]


def _stock_words(stock: Stock) -> str:
    if stock.first_frame_out_of_memory is not None:
        frames = stock.first_frame_out_of_memory - 1
        return f"clips of up to {frames:,} frames" if frames else stock.reason
    if stock.total_bytes is None:
        return stock.reason
    needs = f"needs {format_size(stock.total_bytes)}"
    if not stock.fits:
        return f"{needs}: {stock.reason}"
    return f"{needs}, which fits {stock.reason}".rstrip()
