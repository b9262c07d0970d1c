"""What `--format json` prints in place of an answer."""

from __future__ import annotations

from planner.wire.kinds import TEXT, Word
from planner.wire.shapes import Document, Key, Shape

CODE = Word("usage", "file", "environment", "failure", "interrupted", "does_not_fit", "out_of_memory")

SAID = Shape("said", code=CODE, message=TEXT, hint=TEXT)

ERROR = Document(
    "error",
    "What --format json prints in place of an answer",
    error=Key(SAID, of=lambda error: error),
)
