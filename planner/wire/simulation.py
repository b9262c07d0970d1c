"""What `sam2-plan simulate` prints, and `Simulation.to_dict` gives."""

from __future__ import annotations

from planner.nouns.run import SWITCHES
from planner.wire import words
from planner.wire.kinds import (
    BYTES,
    FLAG,
    RESOLUTION,
    SIZE,
    TEXT,
    List,
    Maybe,
    Number,
    Pair,
    Table,
    Whole,
    Word,
)
from planner.wire.parts import COMPONENT
from planner.wire.shapes import Answer, Key, Shape

SETTINGS = Shape(
    "settings",
    task=words.TASK,
    variant=words.ANY_VARIANT,
    version=words.VERSION,
    resolution=RESOLUTION,
    frames=Key(Maybe(Whole(1)), "null: a clip without end"),
    objects=Whole(1),
    precision=words.PRECISION,
    attention=words.ATTENTION,
    **dict.fromkeys(SWITCHES, FLAG),
    async_loading=FLAG,
    runtime=words.DRIVEN_RUNTIME,
    stock=Key(FLAG, "whether runtime is stock"),
    object_batch=Whole(1),
    capability=Pair(Whole(None)),
    frame_size=SIZE,
    prompt=words.PROMPT,
    points_per_batch=Whole(1),
    kept_fraction=Number(0, 1),
    extension_present=FLAG,
    legacy=FLAG,
    position_tables=Key(
        words.POSITION_TABLES,
        "when stock makes the tables of positions that it keeps: with the model, at their first use, or never",
    ),
    streaming=Key(FLAG, "of transformers: frames are given one by one"),
    processing_device=Key(Word("cuda", "cpu"), "of transformers: where a whole clip is prepared"),
    keep_all=Key(FLAG, "of Ultralytics: every frame's memory stays"),
    torch=Key(Maybe(TEXT), "the release whose rules were asked for; null: the installed one"),
    expandable_segments=FLAG,
    vram=Key(Maybe(Whole(1)), "bytes; null: none was named"),
    full_trace=FLAG,
)

PHASE = Shape("phase", name=TEXT, components=List(COMPONENT), allocated_bytes=BYTES)

RUNS_OUT = Shape(
    "runs_out",
    phase=Word("load", "init", "encode", "prompt", "track", "output"),
    frame=Maybe(Whole()),
    requested_bytes=BYTES,
    allocated_bytes=BYTES,
    retries=Whole(),
)

WORKSPACES = Shape(
    "convolution_workspaces",
    by_source=Key(
        Table(Whole(1)),
        "how many distinct convolutions whose workspace was said by cuDNN, the shipped table, or the rule",
    ),
    fault=Key(Maybe(TEXT), "why cuDNN was not asked, or not to the end"),
)

PROVENANCE = Shape(
    "provenance",
    method=TEXT,
    versions=Table(TEXT),
    torch_rules=Key(TEXT, "the release of torch whose rules counted, such as 2.14"),
    traced_frames=Whole(1),
    reserved_estimated_frames=Key(Whole(), "frames whose reserved bytes are estimated instead of played; 0: all exact"),
    convolution_workspaces=WORKSPACES,
    assumed=Table(TEXT),
)

SIMULATION = Answer(
    "simulation",
    "What sam2-plan simulate prints",
    configuration=SETTINGS,
    allocated_bytes=BYTES,
    reserved_bytes=BYTES,
    reserved_upper_bytes=Key(BYTES, "the same where copies on a second stream are given back as late as can be"),
    context_bytes=BYTES,
    total_bytes=Key(BYTES, "reserved + context; the components add up to it"),
    least_bytes=Key(BYTES, "the smallest memory in which it completes, the context included"),
    components=List(COMPONENT),
    phases=List(PHASE),
    host_components=Key(List(COMPONENT), "they add up to host_bytes"),
    peak=Shape("peak", operation=TEXT, module=TEXT, phase=TEXT),
    growth=Maybe(Shape("growth", per_frame_bytes=BYTES, per_object_bytes=BYTES)),
    runs_out=Maybe(RUNS_OUT),
    largest_bytes=Key(BYTES, "the largest single request"),
    seconds=Number(0),
    provenance=PROVENANCE,
    host_bytes=Key(
        BYTES,
        "what the process holds in the host's memory: summed up from known arrays, not traced",
        of=lambda found: sum(component.bytes for component in found.host_components),
    ),
)
