"""A clip in parts: when the files of a part are complete, the state of tracking is saved, and last the record.

So a process may be killed at any moment and the next one goes on after the last complete part, with the same
bytes: frames are written anew, and what spans frames is made of whole parts only.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import FileError, Interrupted, PlannerError, UsageError
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.watched import MemorySample
from planner.outputs.clip import ClipPart, join_clip
from planner.outputs.layout import EARLY_ENDS, Layout
from planner.outputs.overlay_video import frame_rate
from planner.prompts.ends import ends_of
from planner.runs.interruption import Interruption
from planner.runs.job import Job
from planner.runs.record import Record
from planner.runs.watching import joined
from planner.text.files import failing_as
from planner.text.units import counted
from planner.wire.parts import CONFIGURATION

if TYPE_CHECKING:
    import numpy as np

    from planner.runtime.fallback import Step
    from planner.runtime.session import Session
    from planner.runtime.tracking import Tracking
    from planner.sources.frames import Frames

Shots = Iterator[tuple[int, "dict[int, np.ndarray]"]]


Ready = Callable[[], bool]
"""Whether a clip's next frame is there, or would have to be waited for."""


def run_clip(
    job: Job,
    layout: Layout,
    record: Record,
    interruption: Interruption | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Generator[Ready, None, Record]:
    """Track what is left of a clip, a frame at each step, and join the parts; returns the record of the finished run.

    interruption: that of several clips, which somebody else listens for; None: this one's own.

    Raises Interrupted after a first Ctrl-C, and whatever the session or the disk raises, with what is kept and how to
    go on in the hint; a second Ctrl-C comes out as KeyboardInterrupt.
    """
    run = _Run(job, layout, record, clock)
    try:
        if not record.ended:
            yield from run.track(interruption)
        run.join()
    except PlannerError as error:
        run.salvage()
        error.hint = f"{error.hint} {run.kept()}".strip()
        raise
    return run.record


class _Run:
    """The moving parts of a run: the record so far, and what this call has done."""

    def __init__(self, job: Job, layout: Layout, record: Record, clock: Callable[[], float]) -> None:
        assert job.frames is not None
        self.job, self.layout, self.record, self._clock = job, layout, record, clock
        self._frames: Frames = job.frames
        self._rate: Fraction = frame_rate(job.frames.frames_per_second)
        self._earlier = record
        self._away, self._samples = 0.0, record.samples
        self._began, self._stuck, self._loaded = 0.0, False, False

    def track(self, given: Interruption | None) -> Iterator[Ready]:
        """Write parts until the clip ends, the limit is reached, or the user stops it."""
        job, record = self.job, self.record
        if record.parts and self._is_last(record.last_frame):
            self.record = replace(record, ended=True)
            return
        resume = self.layout.state(record.parts) if record.parts else None
        session = job.load(plan_after(job.plan, record.steps))
        self._loaded = True
        with failing_as(self.layout.folder):
            self.layout.make(job.saves)
        self.record = replace(record, device=session.device)
        with Interruption() if given is None else nullcontext(given) as interruption:
            tracking = self._tracking(session, resume)
            try:
                self._began = self._clock()
                shots = iter(tracking)
                while not self.record.ended:
                    yield from self._part(session, tracking, shots, interruption)
            finally:
                tracking.close()

    def _tracking(self, session: Session, resume: Path | None) -> Any:
        """From the first frame, or after the last complete part."""
        job = self.job
        if resume is None:
            return session.track(job.frames, job.prompts, reverse=job.reverse, start=job.start)
        try:
            # What was prompted is in the memory bank; when objects end is not.
            ends = [prompt for prompt in job.prompts if prompt.end]
            return session.track(job.frames, ends, reverse=job.reverse, resume=resume)
        except (FileError, UsageError):
            self._stuck = True
            raise

    def _part(self, session: Session, tracking: Tracking, shots: Shots, interruption: Interruption) -> Iterator[Ready]:
        """One part: its files, the state after it, the record."""
        job, record = self.job, self.record
        wanted = part_end(record.frames, job.part_frames) - record.frames
        if job.limit is not None:
            wanted = min(wanted, job.limit - record.frames)
        began, count, last = self._clock() - self._away, 0, record.last_frame
        where = self.layout, record.parts, job.saves, self._frames.size, self._rate
        with ClipPart(*where, job.annotations()) as part:
            for last, masks in islice(shots, wanted):
                part.add(last, tracking.picture, masks)
                count += 1
                self._tell(session, record.frames + count)
                yield from self._pause(tracking)
                if interruption.requested:
                    break
            cut = interruption.requested and count < wanted
            if cut and self._frames.rereadable:
                part.wait()
                raise self._interrupted(record.frames + count, last)
        ended = count < wanted or record.frames + count == job.limit
        record = replace(
            self._measured(session, tracking),
            parts=record.parts + 1 if count else record.parts,
            frames=record.frames + count,
            last_frame=last,
            ended=ended,
            seconds=record.seconds + self._clock() - self._away - began,
            objects=max(record.objects, len(tracking.objects)),
            status="stopped" if cut else "running",
        )
        self._commit(record, tracking)
        if interruption.requested and not ended:
            raise self._interrupted(record.frames, last)
        if cut:
            self.join()
            raise self._interrupted(record.frames, last)

    def _pause(self, tracking: Tracking) -> Iterator[Ready]:
        """Let others have their turn; the time that they take is not this clip's."""
        left = self._clock()
        yield lambda: tracking.ready
        self._away += self._clock() - left

    def _commit(self, record: Record, tracking: Tracking) -> None:
        if not record.ended and self._frames.rereadable:
            path = self.layout.state(record.parts)
            # Nobody looks at it, torn or not, before the record speaks of it.
            with failing_as(path):
                tracking.save(path)
        record.write(self.layout.record)
        # Only now that the record speaks of the new state may the old one go.
        self.layout.state(self.record.parts).unlink(missing_ok=True)
        self.record = record
        if self.job.committed is not None:
            self.job.committed()

    def join(self) -> None:
        """The files of the whole clip, the last record, and the parts away."""
        record = self.record
        info = {"description": f"masks of {self.job.name} by sam2-plan"}
        join_clip(self.layout, record.parts, self.job.saves, self._rate, info)
        self.record = record if record.status == "stopped" else replace(record, status="finished")
        self.record.write(self.layout.record)
        self.layout.clear_parts()

    def salvage(self) -> None:
        """For a source that can be read only once: join the complete parts, since no later call can."""
        if self._frames.rereadable or self.record.status == "stopped" or not self.record.parts:
            return
        self.record = replace(self.record, status="stopped", ended=True)
        with suppress(PlannerError):
            self.join()

    def kept(self) -> str:
        """What an error has left, and how to go on."""
        record, out = self.record, self.job.out
        if not self._loaded and not record.frames:
            return ""
        if self._stuck:
            return f"The files of single frames in {out} are complete; --overwrite starts again."
        if record.status == "stopped":
            return f"What is in {out} is complete up to frame {record.last_frame}; such an input cannot go on later."
        if not self._frames.rereadable:
            return f"Nothing in {out} is complete but the files of single frames; start again with --overwrite."
        if record.ended:
            return f"All {counted(record.frames, 'frame')} are kept in {out}; the same command completes the files."
        if not record.frames:
            least = counted(part_end(0, self.job.part_frames), "frame")
            return f"Nothing is kept of fewer than {least}: the same command starts again."
        some = f"{counted(record.frames, 'frame')}, up to frame {record.last_frame},"
        kept = f"{some} {'is' if record.frames == 1 else 'are'} kept in {out}"
        return f"{kept}; the same command goes on from there."

    def _is_last(self, frame: int | None) -> bool:
        return frame == 0 if self.job.reverse else frame is not None and frame + 1 == self._frames.length

    def _interrupted(self, done: int, last: int | None) -> Interrupted:
        if last is None:
            return Interrupted("Interrupted.")
        return Interrupted(f"Interrupted after {counted(done, 'frame')}; the last was frame {last}, counted from 0.")

    def _measured(self, session: Session, tracking: Tracking) -> Record:
        """The record with the device's peaks and the steps of fallback."""
        record, memory = self.record, session.memory()
        if memory is not None:
            record = replace(
                record,
                allocated_bytes=max(record.allocated_bytes or 0, memory.peak_allocated_bytes),
                reserved_bytes=max(record.reserved_bytes or 0, memory.peak_reserved_bytes),
            )
        return replace(record, samples=self._samples, steps=(*self._earlier.steps, *map(plain_step, tracking.steps)))

    def _tell(self, session: Session, done: int) -> None:
        here, seconds = done - self._earlier.frames, self._clock() - self._away - self._began
        seen = self.job.tell(session, "frame", done, here, self._total(done), seconds)
        if seen is not None:
            sample = MemorySample(
                seconds=round(self._earlier.seconds + seconds, 3),
                frames=done,
                allocated_bytes=seen.allocated_bytes,
                reserved_bytes=seen.reserved_bytes,
                process_bytes=seen.process_bytes,
            )
            self._samples = joined(self._samples, sample)

    def _first(self) -> int:
        """The frame that tracking begins at, of a source that can be read again."""
        if self.job.start is not None:
            return self.job.start
        numbers: list[int] = [prompt.frame for prompt in self.job.prompts if not prompt.end]
        return max(numbers) if self.job.reverse else min(numbers)

    def _lasting(self) -> int | None:
        """Frames until the last object ends; None where one does not."""
        ends = ends_of(self.job.prompts, self.job.reverse)
        if not self._frames.rereadable or {prompt.object for prompt in self.job.prompts} - set(ends):
            return None
        return self._first() - min(ends.values()) if self.job.reverse else max(ends.values()) - self._first()

    def _total(self, done: int) -> int | None:
        """How many frames there will be, as far as is known: tracking begins at the first prompted frame."""
        length, limit = self._frames.length, self.job.limit
        first = 0
        if self._frames.rereadable:
            first = self._first()
            if self.job.reverse:
                first, length = 0, first + 1
        known = [
            number
            for number in (None if length is None else length - first, limit, self._lasting())
            if number is not None
        ]
        return max(done, min(known)) if known else None


def part_end(frames: int, part_frames: int) -> int:
    """How many frames are done when the part that follows `frames` is: a short run, too, has something to go on from.

    It depends on the count alone, so that an interrupted run and one that was not write the same parts.
    """
    early = [end for end in EARLY_ENDS if frames < end < part_frames]
    return early[0] if early else (frames // part_frames + 1) * part_frames


def plan_after(plan: Plan, steps: Sequence[Mapping[str, Any]]) -> Plan:
    """The plan with what fallback stepped down to as its choice, where it did."""
    if not steps or plan.chosen is None:
        return plan
    plain = steps[-1]["configuration"]
    configuration = Configuration(**{**plain, "resolution": tuple(plain["resolution"])})
    for place, choice in enumerate(plan.alternatives):
        if choice.configuration == configuration:
            return replace(plan, chosen=choice, alternatives=plan.alternatives[place + 1 :])
    return replace(plan, chosen=replace(plan.chosen, configuration=configuration))


def plain_step(step: Step) -> dict[str, Any]:
    """A step down as plain data."""
    return {
        "frame": step.frame,
        "reason": step.reason,
        "configuration": CONFIGURATION.write(step.configuration),
        "carried_over": step.carried_over,
    }
