"""What several answers have: configuration, workload, request, GPU, budget, estimate."""

from __future__ import annotations

from planner.nouns.estimate import Component, Estimate, Exact, Phase
from planner.nouns.request import Budget, Gpu, Headroom, Pins, Request
from planner.nouns.run import Configuration, Workload
from planner.wire import words
from planner.wire.kinds import (
    BYTES,
    COUNT,
    FLAG,
    RELEASE,
    RESOLUTION,
    SIZE,
    SOME_TEXT,
    TEXT,
    Endless,
    List,
    Maybe,
    Number,
    Whole,
    Word,
)
from planner.wire.shapes import Key, Part, Same, Shape


def _configuration(variant: Word) -> Shape:
    return Shape(
        "configuration",
        Configuration,
        variant=variant,
        version=words.VERSION,
        resolution=RESOLUTION,
        precision=words.PRECISION,
        attention=words.ATTENTION,
        object_batch=COUNT,
        bounded_memory_bank=FLAG,
        offload_video=FLAG,
        offload_state=FLAG,
    )


CONFIGURATION = _configuration(words.VARIANT)
ANY_CONFIGURATION = _configuration(words.ANY_VARIANT)
"""Also of what is predicted and never planned."""

WORKLOAD = Shape(
    "workload",
    Workload,
    task=words.TASK,
    objects=COUNT,
    frames=Endless(COUNT),
    frame_size=SIZE,
    streams=Key(COUNT, "clips tracked at once by one process", before=1),
)

PINS = Shape(
    "pins",
    Pins,
    variant=Maybe(words.VARIANT),
    version=Maybe(words.VERSION),
    resolution=Maybe(RESOLUTION),
    precision=Maybe(words.PRECISION),
    attention=Maybe(words.ATTENTION),
)

REQUEST = Shape(
    "request",
    Request,
    workload=Part(WORKLOAD),
    frame_size_assumed=FLAG,
    pins=PINS,
    prefer=words.PREFERENCE,
)

GPU = Shape(
    "gpu",
    Gpu,
    name=TEXT,
    total_bytes=Whole(1),
    free_bytes=Maybe(BYTES),
    capability=Maybe(RELEASE),
    uuid=Maybe(TEXT),
    index=Maybe(Whole()),
    driver=Maybe(TEXT),
)

HEADROOM = Shape(
    "headroom",
    Headroom,
    fixed_bytes=Key(BYTES, of="bytes"),
    percent=Number(0, below=100),
)


def _why_no_host(budget: Budget) -> str | None:
    if budget.host_bytes is not None:
        return None
    if budget.source == "device":
        return "the system does not say what is available"
    return "a budget or a card by name may be on any machine: see --host-memory"


BUDGET = Shape(
    "budget",
    Budget,
    total_bytes=BYTES,
    headroom_bytes=BYTES,
    usable_bytes=BYTES,
    source=words.BUDGET_SOURCE,
    host_bytes=Key(Maybe(BYTES), "what the host has for the run; null: not known", before=None),
    host_source=Key(Maybe(words.HOST_SOURCE), before=None),
    host_bytes_reason=Key(Maybe(TEXT), "why host_bytes is null", of=_why_no_host, before=None),
    headroom=HEADROOM,
    gpu=Maybe(GPU),
)

COMPONENT = Shape("component", Component, name=TEXT, bytes=BYTES, provenance=words.PROVENANCE)

PHASE = Shape("phase", Phase, name=TEXT, allocated_bytes=BYTES, components=List(COMPONENT))

EXACT = Shape(
    "exact",
    Exact,
    method=words.EXACT_METHOD,
    gpu=Key(Maybe(SOME_TEXT), "imaginary; null of a simulation"),
    capability=Key(RELEASE, "[major, minor]"),
    torch=SOME_TEXT,
    cudnn=Maybe(SOME_TEXT),
    sam2=Maybe(SOME_TEXT),
    frames=Maybe(Whole(1)),
)

NOT_SAID = "the plan was made by a release that did not say"

ESTIMATE = Shape(
    "estimate",
    Estimate,
    allocated_bytes=BYTES,
    reserved_bytes=BYTES,
    context_bytes=BYTES,
    context_low_bytes=Key(BYTES, before=Same("context_bytes"), since="least_bytes"),
    context_high_bytes=Key(BYTES, before=Same("context_bytes"), since="least_bytes"),
    total_bytes=Key(BYTES, "reserved + context; the components add up to it"),
    least_bytes=Key(BYTES, before=Same("total_bytes")),
    upper_bytes=Key(BYTES, "one-sided bound of total_bytes"),
    components=List(COMPONENT),
    phases=List(PHASE),
    peak_phase=TEXT,
    extrapolated=FLAG,
    extrapolated_because=List(TEXT),
    host_bytes=Key(
        Maybe(BYTES), "what the process holds in the host's memory; null where host_bytes_reason says why", before=None
    ),
    host_components=Key(
        List(COMPONENT), "at the host's own peak; they add up to host_bytes", before=(), since="host_bytes"
    ),
    host_bytes_reason=Key(Maybe(SOME_TEXT), before=NOT_SAID, since="host_bytes"),
    exact=Key(Maybe(EXACT), "how the bytes were found; null of a prediction"),
)
