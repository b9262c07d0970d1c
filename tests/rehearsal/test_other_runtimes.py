"""transformers and Ultralytics, unmodified: what the simulator says of them is what torch's own allocator counts."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest

from planner.measure import backends
from planner.measure.forking import Forks
from planner.measure.trial import RAN, Outcome, Trial
from planner.nouns.run import Configuration, Run, Transformers, Workload
from planner.nouns.words import DrivenRuntime
from planner.rehearsal.building import why_not_rehearsing
from planner.rehearsal.machine import imaginary_gpu

pytestmark = pytest.mark.skipif(bool(why_not_rehearsing()), reason=str(why_not_rehearsing()))
ENOUGH_BYTES = 300 * 2**30


def run_of(
    runtime: DrivenRuntime, *, objects: int = 1, frames: int = 20, task: str = "video",
    size: tuple[int, int] = (270, 480),
    ways: Transformers | None = None, prompt: str = "box", **configuration: Any,
) -> Trial:  # fmt: skip
    settings: dict[str, Any] = {
        "variant": "tiny", "version": "2.1", "resolution": (1024, 1024), "precision": "float32",
        "bounded_memory_bank": runtime == "ultralytics", "object_batch": objects if runtime == "ultralytics" else 1,
    }  # fmt: skip
    length = frames if task == "video" else 1
    workload = Workload(task=task, objects=objects, frames=length, frame_size=size)  # type: ignore[arg-type]
    run = Run(
        runtime=runtime,
        configuration=Configuration(**(settings | configuration)),
        workload=workload,
        prompt=prompt,  # type: ignore[arg-type]
        transformers=ways or Transformers(),
    )
    return Trial.of(run)


@pytest.fixture(scope="module")
def forks() -> Any:
    with Forks() as found:
        yield found


def both(forks: Forks, trial: Trial) -> tuple[Outcome, Outcome]:
    real = forks.run(trial, imaginary_gpu(capability=(8, 6), total_bytes=ENOUGH_BYTES))
    return real, backends.simulated(trial)


STREAMING = Transformers(streaming=True)
OF_TRANSFORMERS = {
    "a whole clip": run_of("transformers", precision="bfloat16", objects=2),
    "streaming": run_of("transformers", precision="bfloat16", objects=2, ways=STREAMING),
    "streaming, autocast": run_of("transformers", precision="autocast_float16", ways=STREAMING, version="2.0"),
    "all on the host": run_of(
        "transformers", offload_video=True, offload_state=True, ways=Transformers(processing_device="cpu")
    ),
    "prompts by point": run_of("transformers", frames=4, prompt="point", precision="float16"),
    "prompts by mask": run_of("transformers", frames=4, prompt="mask"),
    "a picture": run_of("transformers", task="image", objects=3, variant="small"),
}


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")
@pytest.mark.parametrize("name", OF_TRANSFORMERS)
def test_transformers_takes_what_is_simulated_to_the_byte(name: str, forks: Forks) -> None:
    real, mine = both(forks, OF_TRANSFORMERS[name])
    assert real.outcome == mine.outcome == RAN, (real.error, mine.error)
    assert (mine.allocated_bytes, mine.reserved_bytes) == (real.allocated_bytes, real.reserved_bytes)
    simulated = {phase: sizes["allocated_bytes"] for phase, sizes in mine.phases.items()}
    assert simulated == {phase: real.phases[phase]["allocated_bytes"] for phase in simulated}
    assert real.imaginary


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")
def test_transformers_keeps_of_each_frame_what_is_said_of_it() -> None:
    """Streaming in bfloat16: masks at both sizes, the memory, the pointer and the frame; publicly "nearly 10 MB"."""
    from planner.simulator.simulation import simulate_run

    found = simulate_run(run_of("transformers", precision="bfloat16", frames=40, ways=STREAMING))
    assert found.growth is not None
    masks, memory, pointer, score, frame = 2 * (1024**2 + 256**2), 64 * 64 * 64 * 2, 512, 2, 3 * 1024**2 * 2
    assert found.growth.per_frame_bytes == masks + memory + pointer + score + frame == 9_044_482


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")
def test_a_long_clip_is_as_if_every_frame_were_traced() -> None:
    from planner.simulator.simulation import simulate_run

    trial = run_of("transformers", precision="bfloat16", frames=30, objects=2)
    short, whole = simulate_run(trial), simulate_run(trial, full_trace=True)
    assert short.provenance["traced_frames"] < whole.provenance["traced_frames"] == 30
    assert (short.allocated_bytes, short.reserved_bytes) == (whole.allocated_bytes, whole.reserved_bytes)
    assert {part.name: part.bytes for part in short.components} == {part.name: part.bytes for part in whole.components}


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")
def test_what_ran_before_in_this_process_changes_nothing() -> None:
    """transformers remembers tables of positions for good, across models."""
    trial = run_of("transformers", precision="float16", frames=18, ways=STREAMING)
    alone = backends.simulated(trial)
    backends.simulated(run_of("transformers", precision="bfloat16", frames=18, ways=STREAMING))
    again = backends.simulated(trial)
    assert (again.allocated_bytes, again.reserved_bytes) == (alone.allocated_bytes, alone.reserved_bytes)


@pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")
def test_where_it_runs_out_is_where_it_is_rehearsed_to_run_out(forks: Forks) -> None:
    from planner.simulator.simulation import simulate_run

    trial = run_of("transformers", precision="bfloat16", frames=90, ways=STREAMING)
    mine = simulate_run(trial, vram=1_000_000_000)
    gpu = imaginary_gpu(capability=(8, 6), total_bytes=1_000_000_000, context_bytes=mine.context_bytes)
    real = forks.run(trial, gpu)
    assert real.outcome == "out_of_memory", real.error
    assert mine.runs_out is not None
    assert mine.runs_out.frame == real.frames, "counted from 0, so as many were done"
    assert mine.runs_out.phase == real.phase
