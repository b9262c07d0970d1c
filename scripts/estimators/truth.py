"""What estimates are held against: a real run on the CPU, and figures that others published."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from estimators.cases import CAPABILITY, CUDA, FRAME_SIZE, REHEARSED, Answer, Case
from planner.nouns.run import SWITCHES
from planner.profiles.rehearsed import RehearsedRun, read_runs


def cpu_run(case: Case) -> Answer:
    """Run the case for real under torch.profiler and add up its memory events, from the building of the model on.

    The events are those of torch's CPU allocator: tensors, and the buffers that kernels take as tensors.
    """
    from torch.profiler import ProfilerActivity, profile

    from estimators import harness

    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        harness.run(case, harness.build(case))
    results: Any = profiler.profiler.kineto_results
    live_bytes = peak_bytes = 0
    for event in results.events():
        if event.name() == "[memory]":
            live_bytes += event.nbytes()
            peak_bytes = max(peak_bytes, live_bytes)
    return Answer(peak_bytes=peak_bytes)


def published(case: Case, folder: Path) -> Answer:
    """The allocated peak that a profile in `folder` gives for the case's variant, version, resolution and precision."""
    import yaml

    for path in sorted(folder.glob("*.yaml")):
        profile = yaml.safe_load(path.read_text(encoding="utf-8"))
        for measurement in profile.get("measurements", ()):
            if _same(measurement, case):
                for figure in measurement["figures"]:
                    if figure.get("metric") == "allocated" and figure.get("of") == "peak":
                        implementation = profile["environment"].get("implementation") or "implementation not stated"
                        note = f"{profile['source']['url']}: {implementation}"
                        return Answer(peak_bytes=int(figure["bytes"]), note=note)
    return Answer(reason=f"no such figure in {folder.name}/ of the profiles")


def rehearsed(folder: Path) -> dict[Case, Answer]:
    """Allocated bytes of the rows in a folder of rehearsed profiles (TSV) whose run the harness can do as well.

    Those are the stock predictors' of one object. The note has what was reserved.
    """
    found = {}
    for one in read_runs(folder / "stock.tsv")[0]:
        if not _is_run_here(one):
            continue
        configuration, workload, usage = one.run.configuration, one.run.workload, one.usage
        assert usage.allocated_bytes is not None
        assert usage.reserved_bytes is not None
        case = Case(
            run=workload.task,
            variant=configuration.variant,
            version=configuration.version,
            side=configuration.resolution[0],
            precision=configuration.precision,
            frames=workload.frames or 1,
            device=CUDA,
            truth=REHEARSED,
        )
        found[case] = Answer(
            peak_bytes=usage.allocated_bytes, note=f"stock.tsv, {one.use}: reserved {usage.reserved_bytes:,} B"
        )
    return found


def _is_run_here(one: RehearsedRun) -> bool:
    configuration, workload = one.run.configuration, one.run.workload
    return (
        workload.task in ("image", "video")
        and configuration.precision in ("float32", "autocast_bfloat16")
        and configuration.resolution[0] == configuration.resolution[1]
        and configuration.attention == "auto"
        and not any(getattr(configuration, switch) for switch in SWITCHES)
        and (workload.objects, workload.frame_size, one.capability) == (1, FRAME_SIZE, CAPABILITY)
    )


def _same(measurement: dict[str, Any], case: Case) -> bool:
    configuration = measurement["configuration"]
    return (
        measurement["workload"]["task"] == case.run
        and configuration["variant"] == case.variant
        and str(configuration["version"]) == case.version
        and configuration["resolution"] == [case.side, case.side]
        and configuration["precision"] == case.precision
    )
