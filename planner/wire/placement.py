"""What `sam2-plan place` prints: what a scheduler is handed, and what it rests on."""

from __future__ import annotations

from planner.nouns.machine import CAP_VARIABLE
from planner.wire import words
from planner.wire.kinds import SOME_TEXT, TEXT, Constant, Kind, List, Maybe, Whole, Word
from planner.wire.parts import CONFIGURATION
from planner.wire.shapes import Answer, Key, Shape

ENGINES = {
    "ray": ("options", "object", "null"),
    "kubernetes": ("documents", "array", "string"),
    "slurm": ("script", "string", "null"),
    "skypilot": ("task", "object", "null"),
}
"""Of each engine: what its manifest is, the type of that in JSON, and that of `sharing`."""

CARD = Shape("card", name=Maybe(TEXT), total_bytes=Whole(1))

PLACEMENT = Answer(
    "placement",
    "What sam2-plan place prints",
    engine=Word(*ENGINES),
    sharing=Maybe(words.SHARING),
    configuration=CONFIGURATION,
    share=Key(words.SHARE, of=lambda found: found.share.kind),
    share_bytes=Key(
        Whole(1), "allotted to one process on the GPU, CUDA context included", of=lambda found: found.share.bytes
    ),
    share_reason=Key(SOME_TEXT, of=lambda found: found.share.reason),
    gpu=Key(Maybe(CARD), of="card"),
    gpu_reason=Maybe(TEXT),
    cap=Shape("cap", variable=Constant(CAP_VARIABLE), value=SOME_TEXT),
    warnings=List(TEXT),
    manifest_format=Key(Word(*(what for what, _, _ in ENGINES.values())), of=lambda found: ENGINES[found.engine][0]),
    manifest=Key(Kind(type=["object", "array", "string"]), "what the scheduler takes, by manifest_format"),
).under(
    oneOf=[
        {
            "properties": {
                "engine": {"const": engine},
                "manifest_format": {"const": what},
                "manifest": {"type": manifest},
                "sharing": {"type": sharing},
            }
        }
        for engine, (what, manifest, sharing) in ENGINES.items()
    ]
)
