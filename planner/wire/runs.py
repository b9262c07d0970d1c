"""What `sam2-plan run` prints of several inputs, and writes beside their folders as runs.json."""

from __future__ import annotations

from planner.nouns.words import CLIP_STATUSES
from planner.wire import words
from planner.wire.error import SAID
from planner.wire.kinds import TEXT, List, Maybe, Number, Whole, Word
from planner.wire.shapes import Answer, Key, Shape

COUNTS = Shape("counts", **{status: Whole() for status in CLIP_STATUSES})

CLIP = Shape(
    "clip",
    name=Key(TEXT, "of its folder below out"),
    input=Key(TEXT, of="source"),
    out=Key(TEXT, "the folder of its own, which holds run.json as that of a single run does"),
    status=words.CLIP_STATUS,
    frames=Key(Maybe(Whole()), "with masks, those of earlier calls included; null where nobody knows"),
    frames_before=Key(Whole(), "of these, done by earlier calls"),
    objects=Key(Maybe(Whole()), "tracked or prompted; automatic masks found"),
    seconds=Key(Number(0), "spent on it by all calls", of=lambda clip: round(clip.seconds, 3)),
    warnings=List(TEXT),
    error=Key(Maybe(SAID), "why it failed or was interrupted"),
)

RUNS = Answer(
    "runs",
    "What sam2-plan run prints of several inputs, and writes as runs.json",
    task=words.TASK,
    out=Key(TEXT, "the folder of their folders"),
    exit_code=Key(Word(0, 1), "1 if an input failed, was interrupted or waits"),
    counts=Key(COUNTS, "of inputs by what became of them"),
    frames=Key(Whole(), "done by this call"),
    seconds=Key(Number(0), "of this call, loading left out", of=lambda runs: round(runs.seconds, 3)),
    frames_per_second=Key(
        Maybe(Number(0)),
        "of all together",
        of=lambda runs: None if runs.frames_per_second is None else round(runs.frames_per_second, 3),
    ),
    clips=Key(List(CLIP), "in the order of the inputs"),
)
