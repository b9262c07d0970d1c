"""A trial and its outcome as a measurement."""

from __future__ import annotations

from datetime import date

from planner.measure.trial import RAN, Outcome, Trial
from planner.nouns.measurement import Environment, Figure, Measurement
from planner.nouns.words import OTHER_RUNTIMES, Metric, Runtime, SweepKind
from planner.profiles.conversion import fields_of

IMPLEMENTATIONS: dict[Runtime, str] = {
    "own": "the runtime behind planner.load",
    "stock": "stock predictors of the sam2 package",
    "transformers": "the SAM 2 of Hugging Face transformers",
    "ultralytics": "the SAM 2 of Ultralytics",
}
COMMANDS: dict[SweepKind, str] = {
    "measured": "sam2-plan measure",
    "rehearsed": "sam2-plan measure --rehearse",
    "simulated": "sam2-plan measure --simulate",
}


def measurement(trial: Trial, outcome: Outcome, kind: SweepKind, profile: str) -> Measurement:
    """One row of a profile; what did not run is a reference, and so is what nothing counted."""
    figures = tuple(_figures(outcome))
    ran = outcome.outcome == RAN
    versions = outcome.versions
    return Measurement(
        profile=profile,
        id=trial.id,
        kind=kind,
        # Under a cap the allocator gives its cache back before it runs out: fewer bytes than it takes elsewhere. And
        # nothing is fitted to rehearsed rows yet.
        use="fit" if ran and figures and trial.cap_bytes is None and kind != "rehearsed" else "reference",
        **fields_of(trial),
        figures=figures,
        environment=Environment(
            gpu=outcome.gpu,
            driver=versions.get("driver"),
            torch=versions.get("torch"),
            cuda=versions.get("cuda"),
            sam2=versions.get("sam2"),
            command=COMMANDS[kind],
            implementation=_implementation(trial.runtime, outcome),
            uuid=outcome.uuid,
            capability=".".join(map(str, outcome.capability)) if outcome.capability else None,
        ),
        date=date.today().isoformat(),
        url=None,
        outcome=outcome.outcome,
        error=outcome.error,
        alone=outcome.alone,
        seconds_per_frame=outcome.seconds_per_frame,
    )


def _implementation(runtime: Runtime, outcome: Outcome) -> str:
    """Whose code ran; of a package of its own also which release."""
    version = outcome.versions.get(runtime) if runtime in OTHER_RUNTIMES else None
    return IMPLEMENTATIONS[runtime] + (f" {version}" if version else "")


def _figures(outcome: Outcome) -> list[Figure]:
    found: list[tuple[Metric, int | None, str | None]] = [
        ("allocated", outcome.allocated_bytes, None),
        ("reserved", outcome.reserved_bytes, None),
        ("context", outcome.context_bytes, None),
        ("process", outcome.process_bytes, None),
    ]
    if outcome.reserved_bytes is not None and outcome.context_bytes is not None:
        found.append(("total", outcome.reserved_bytes + outcome.context_bytes, None))
    for phase, sizes in outcome.phases.items():
        found.append(("allocated", sizes["allocated_bytes"], phase))
        if "reserved_bytes" in sizes:
            found.append(("reserved", sizes["reserved_bytes"], phase))
    return [exact(metric, size, phase) for metric, size, phase in found if size is not None]


def exact(metric: Metric, size_bytes: int, phase: str | None = None) -> Figure:
    """A peak as it was counted."""
    return Figure(
        metric=metric,
        read_as=metric,
        of="peak",
        relation="equal",
        value=size_bytes,
        unit="B",
        bytes=size_bytes,
        rounding_bytes=0,
        phase=phase,
    )
