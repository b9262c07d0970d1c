"""Runs that the tests trace."""

from planner.nouns.run import Configuration, Run, Sam2, Workload


def stock_run(task, side, *, frames=4, objects=1, variant="tiny", precision="float32", async_loading=False, **offload):
    """Of the stock predictors, on frames of 270x480."""
    return Run(
        runtime="stock",
        configuration=Configuration(
            variant=variant,
            version="2.1",
            resolution=(side, side),
            precision=precision,
            bounded_memory_bank=False,
            **offload,
        ),
        workload=Workload(task=task, objects=objects, frames=frames, frame_size=(270, 480)),
        sam2=Sam2(async_loading=async_loading),
    )


def own_run(task, resolution, *, objects, object_batch):
    """Of our own runtime, the same."""
    return Run(
        runtime="own",
        configuration=Configuration(
            variant="tiny", version="2.1", resolution=resolution, precision="float32", object_batch=object_batch
        ),
        workload=Workload(task=task, objects=objects, frames=4, frame_size=(270, 480)),
    )
