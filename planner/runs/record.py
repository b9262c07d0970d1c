"""run.json: what a run is and how far it got. Written whole, after everything that it speaks of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

from planner.errors import FileError
from planner.nouns.watched import MemorySample
from planner.nouns.words import RUN_STATUSES, RunStatus
from planner.text.files import sync_folder, write_whole
from planner.text.strict_yaml import Fields
from planner.wire.run import SAMPLE

VERSION = 1
MAXIMUM_BYTES = 2**28
HINT = "Give another folder, or move away what is there."


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """How far a run got."""

    identity: Mapping[str, Any]
    """See run_identity.identity_of."""
    status: RunStatus = "running"
    """stopped: it ended early and cannot go on."""
    parts: int = 0
    """Complete parts."""
    frames: int = 0
    """Frames of the complete parts."""
    last_frame: int | None = None
    """Index of the last of them."""
    ended: bool = False
    """Nothing is left to track, only to join."""
    seconds: float = 0.0
    """Spent on the complete parts."""
    objects: int = 0
    """Objects seen so far."""
    device: str = ""
    """Where it ran."""
    allocated_bytes: int | None = None
    """Peak; None where the device does not count."""
    reserved_bytes: int | None = None
    """Peak; None where the device does not count."""
    steps: tuple[Mapping[str, Any], ...] = field(default=())
    """Steps of fallback."""
    warnings: tuple[str, ...] = ()
    """What the user should know of the input."""
    samples: tuple[MemorySample, ...] = ()
    """How much memory it took as it went."""

    def write(self, path: Path) -> None:
        """Write it, whole or not at all. Raises EnvironmentFailure."""
        document = {"schema_version": VERSION, "kind": "run_record", **asdict(self)}
        text = json.dumps(document, indent=1, allow_nan=False) + "\n"

        def save(file: IO[bytes]) -> None:
            file.write(text.encode("ascii"))

        write_whole(path, save)
        sync_folder(path.parent)


def read_record(path: Path) -> Record:
    """The record in a file. Raises FileError for a file that is none."""
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_BYTES)
        value = json.loads(data)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.", HINT) from None
    except (ValueError, RecursionError):
        raise FileError(f"{path} is not the record of a run.", HINT) from None
    try:
        return _record(Fields(value, str(path), "the record of a run"))
    except FileError as error:
        raise FileError(error.message, HINT) from None


def _record(fields: Fields) -> Record:
    fields.integer("schema_version", VERSION, VERSION)
    fields.text("kind", ("run_record",))
    fields.fields("identity")
    steps = fields.items("steps")
    if not all(isinstance(step, dict) for step in steps):
        raise fields.complaint("steps is no list of mappings", HINT, "steps")
    found = Record(
        identity=fields.any("identity"),
        status=fields.text("status", RUN_STATUSES),
        parts=fields.integer("parts"),
        frames=fields.integer("frames"),
        last_frame=fields.optional_integer("last_frame"),
        ended=fields.boolean("ended"),
        seconds=fields.number("seconds"),
        objects=fields.integer("objects"),
        device=fields.any("device") and fields.text("device"),
        allocated_bytes=fields.optional_integer("allocated_bytes"),
        reserved_bytes=fields.optional_integer("reserved_bytes"),
        steps=tuple(steps),
        warnings=tuple(fields.texts("warnings")),
        # Runs of earlier releases kept none.
        samples=SAMPLE.read_all(fields, "samples") if "samples" in fields else (),
    )
    fields.end()
    return found
