"""The caching allocator's own event log of a real run, as text on disk and as data.

Format: gzipped JSON, one object with `events` = [[action, address, size], ...] in the order of
torch.cuda.memory._snapshot()["device_traces"][0], and the counters `peak_allocated_bytes` and `peak_reserved_bytes` of
the same run; `torch`, `gpu`, `configuration` and `allocator_settings` describe it. Recording began with an empty cache
and with peaks reset.

What an event's size is (record_trace in c10/cuda/CUDACachingAllocator.cpp, read at the versions named in rules.py):
alloc, free_requested and free_completed give the bytes that were *requested*, not the block's; segment events the
segment's; snapshot the bytes in active blocks. An oom event has no address in torch's snapshot and is usually dropped.
"""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from planner.errors import FileError

ALLOC, FREE_REQUESTED, FREE_COMPLETED, SNAPSHOT = "alloc", "free_requested", "free_completed", "snapshot"
RELEASES = ("segment_free", "segment_unmap")
RESERVATIONS = ("segment_alloc", "segment_map")
SILENT = ("oom", "user_defined", "annotate", "workspace_snapshot")
"""Actions that change nothing in the allocator."""
ACTIONS = frozenset((ALLOC, FREE_REQUESTED, FREE_COMPLETED, SNAPSHOT, *RELEASES, *RESERVATIONS, *SILENT))
MAXIMUM_TEXT_BYTES = 1 << 30
"""Largest unpacked log. 4 million events, the most that are recorded, take some 200 MB."""
HINT = "A log is written by torch.cuda.memory._record_memory_history as gzipped JSON with a list named events."


class HistoryError(FileError):
    """A log that cannot be replayed; the message names the file and the entry."""

    code = "history"


class HistoryEvent(NamedTuple):
    """One entry of the log."""

    action: str
    """One of ACTIONS."""
    address: int
    size_bytes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """A log and what is known of the run it comes from."""

    name: str
    """Name of the file, for messages."""
    events: tuple[HistoryEvent, ...]
    expandable_segments: bool
    peak_allocated_bytes: int | None = None
    peak_reserved_bytes: int | None = None
    torch: str = ""
    gpu: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)


def read_history(path: Path) -> History:
    """Read a log from a .json.gz file. Raises HistoryError, naming the file and the entry."""
    try:
        with gzip.open(path, "rb") as file:
            text = file.read(MAXIMUM_TEXT_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path}: cannot be read as gzip: {error}.", HINT) from error
    if len(text) > MAXIMUM_TEXT_BYTES:
        raise HistoryError(f"{path}: holds more than {MAXIMUM_TEXT_BYTES:,} B of text.", HINT)
    try:
        log = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise HistoryError(f"{path}: is not JSON: {error}.", HINT) from error
    return parse_history(log, str(path))


def parse_history(log: object, name: str) -> History:
    """A log from its JSON object; `name` stands for it in messages. Raises HistoryError."""
    if not isinstance(log, dict) or not isinstance(log.get("events"), list):
        raise HistoryError(f"{name}: has no list named events.", HINT)
    events = tuple(_event(entry, index, name) for index, entry in enumerate(log["events"]))
    settings = log.get("allocator_settings") or {}
    if not isinstance(settings, dict):
        raise HistoryError(f"{name}: allocator_settings is not an object.", HINT)
    _refuse_unmodelled(settings, name)
    mapped = any(event.action in ("segment_map", "segment_unmap") for event in events)
    configuration = log.get("configuration")
    return History(
        name=name,
        events=events,
        expandable_segments=mapped or bool(settings.get("expandable_segments")),
        peak_allocated_bytes=_counter(log, "peak_allocated_bytes", name),
        peak_reserved_bytes=_counter(log, "peak_reserved_bytes", name),
        torch=str(log.get("torch", "")),
        gpu=str(log.get("gpu", "")),
        configuration=configuration if isinstance(configuration, dict) else {},
    )


def _event(entry: object, index: int, name: str) -> HistoryEvent:
    if not isinstance(entry, list) or len(entry) != 3:
        raise HistoryError(f"{name}: entry {index} is not [action, address, size] but {_short(entry)}.", HINT)
    action, address, size_bytes = entry
    if not isinstance(action, str) or action not in ACTIONS:
        raise HistoryError(f"{name}: entry {index} has the unknown action {_short(action)}.", HINT)
    if type(address) is not int or type(size_bytes) is not int or address < 0 or size_bytes < 0:
        raise HistoryError(
            f"{name}: entry {index} ({action}) has an address or size that is none: {_short(entry)}.", HINT
        )
    return HistoryEvent(action, address, size_bytes)


def _refuse_unmodelled(settings: Mapping[str, Any], name: str) -> None:
    """Settings under which the allocator behaves in ways that the model does not follow."""
    split = settings.get("max_split_size", -1)
    rounding = settings.get("roundup_power2_divisions") or {}
    divisions = rounding.values() if isinstance(rounding, dict) else ()
    unmodelled = {
        "max_split_size": isinstance(split, int) and 0 <= split < 2**63 - 1,
        "garbage_collection_threshold": bool(settings.get("garbage_collection_threshold")),
        "roundup_power2_divisions": any(isinstance(number, int) and number > 1 for number in divisions),
    }
    for setting, used in unmodelled.items():
        if used:
            raise HistoryError(
                f"{name}: was recorded with {setting} = {_short(settings[setting])}, which the model does not follow.",
                "Record the run without PYTORCH_CUDA_ALLOC_CONF, or with expandable_segments only.",
            )


def _counter(log: Mapping[str, Any], key: str, name: str) -> int | None:
    value = log.get(key)
    if value is not None and (type(value) is not int or value < 0):
        raise HistoryError(f"{name}: {key} is not a number of bytes but {_short(value)}.", HINT)
    return value


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
