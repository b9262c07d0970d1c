"""Several inputs in one process: the weights once, so many clips at a time, each into a folder of its own.

What became of a clip is its own affair: one that is broken stops no other, and each is resumed by its own record.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from planner.errors import Interrupted, PlannerError, UsageError
from planner.nouns.plan import Plan
from planner.runs.arguments import PromptsOf
from planner.runs.asked import Asked, weights_of
from planner.runs.clip import Ready
from planner.runs.folder import held_folder
from planner.runs.inputs import Input, inputs_from
from planner.runs.interruption import Interruption
from planner.runs.job import Progress, RunSummary
from planner.runs.run import hearing, performing
from planner.runs.shared import SharedSession, furthest, kept
from planner.runs.summary import ClipOutcome, RunsSummary, failed, outcome_of, waiting
from planner.runs.watching import MemoryWatch
from planner.text.files import failing_as

PAUSE_SECONDS = 0.002
"""How long to wait where no clip's next frame has been read."""
MOST_STREAMS = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class RunsProgress:
    """How far a run of several inputs is."""

    inputs: int
    """How many there are."""
    ended: int
    """How many are done, skipped or failed."""
    failed: int
    """How many of these failed."""
    streams: tuple[tuple[str, Progress], ...]
    """Those at work: their names, and how far each is."""
    unit: Literal["frame", "picture"]
    done: int
    """Units that this call did."""
    per_second: float | None
    """Of all together; None before there are any."""
    seconds_left: float | None
    """At that speed, if what waits is as long as what is known; None where it cannot be said."""
    last: Progress | None
    """Of the one that has just had its turn: what memory is taken, and a warning, are of the process."""


@dataclass(slots=True)
class _Stream:
    """An input at work."""

    entry: Input
    stack: ExitStack
    steps: Generator[Ready, None, RunSummary] | None = None
    ready: Ready = lambda: True
    heard: list[str] = field(default_factory=list)
    progress: Progress | None = None
    before: int | None = None
    """Frames that were done when this call began."""

    @property
    def here(self) -> int:
        """Frames that this call did."""
        known = self.progress is not None and self.progress.unit == "frame"
        return self.progress.done - (self.before or 0) if self.progress is not None and known else 0


def run_several(
    plan: Plan,
    sources: Sequence[str | os.PathLike[str]],
    out: str | Path,
    *,
    streams: int = 1,
    prompts: str | Path | Iterable[Any] = (),
    saves: Sequence[str] | None = None,
    checkpoint: str | Path | None = None,
    random_weights: bool = False,
    seed: int = 0,
    device: str = "auto",
    fallback: bool = False,
    overwrite: bool = False,
    progress: Callable[[RunsProgress], None] | None = None,
    ended: Callable[[ClipOutcome], None] | None = None,
    clock: Callable[[], float] = time.monotonic,
    **options: Any,
) -> RunsSummary:
    """Do what a plan is for with several inputs, each into its own folder below `out`; see planner.runs.run.run.

    sources: paths, folders of clips or of pictures, addresses; see planner.runs.inputs. streams: how many are tracked
    at once, a frame of each in turn, by one set of weights. prompts: those of `run`, for each; or a path with {name} in
    it, or a folder that holds NAME.json for each. progress: told after every frame. ended: told of each input as it
    ends. options: the others of `run`.

    An input that fails stops no other. A first Ctrl-C ends after the frames at hand; the same call resumes what is not
    done, and leaves alone what is. The folder gets runs.json, which says what became of each.

    Raises UsageError and FileError for inputs that are not there or whose folders would collide, and for what `run`
    would refuse for all; what loading raises; and KeyboardInterrupt for a second Ctrl-C.
    """
    if isinstance(streams, bool) or not isinstance(streams, int) or not 1 <= streams <= MOST_STREAMS:
        raise UsageError(f"{streams} clips cannot be tracked at once.", f"Give --streams from 1 to {MOST_STREAMS:,}.")
    asked = Asked(
        plan=plan, saves=saves, weights=weights_of(checkpoint, random_weights, seed, device, fallback), **options
    )
    entries = inputs_from(sources, out, asked.task)
    given = PromptsOf(prompts, asked.task)
    with held_folder(Path(out)) as layout:
        if layout.record.exists():
            raise UsageError(
                f"{out} holds a run of one input (run.json); several need a folder for all.", "Give another --out."
            )
        work = _Several(asked, entries, given, streams, overwrite, progress, ended, clock)
        try:
            work.run()
        finally:
            summary = work.summary(str(out))
            if work.begun:
                summary.write(Path(out))
    return summary


class _Several:
    """The moving parts."""

    def __init__(
        self,
        asked: Asked,
        entries: Sequence[Input],
        prompts: PromptsOf,
        streams: int,
        overwrite: bool,
        progress: Callable[[RunsProgress], None] | None,
        ended: Callable[[ClipOutcome], None] | None,
        clock: Callable[[], float],
    ) -> None:
        self._asked, self._entries, self._prompts = asked, entries, prompts
        self._most, self._overwrite = streams, overwrite
        self._progress, self._ended, self._clock = progress, ended, clock
        self._waiting = deque(entries)
        self._active: list[_Stream] = []
        self._current: _Stream | None = None
        self._outcomes: dict[str, ClipOutcome] = {}
        self._interruption = Interruption()
        self._watch = MemoryWatch()
        self._stack = ExitStack()
        # Before the weights are there nothing can be lost, and Ctrl-C need not wait for them.
        self._shared = SharedSession(furthest(asked.plan, entries), asked.weights, self._loaded)
        self._done, self._lengths = 0, list[int]()
        self._first: float | None = None
        self._last = 0.0
        self.begun = False
        """Whether there is anything to tell."""

    def run(self) -> None:
        """Take turns until all have ended, or the user stops it."""
        with self._stack:
            self._stack.callback(self._shared.close)
            self._stack.callback(self._leave)
            self._stack.enter_context(hearing(self._hear))
            while self._active or (self._waiting and not self._interruption.requested):
                self._fill()
                self._round()

    def _loaded(self) -> None:
        self._stack.enter_context(self._interruption)
        self._first = self._clock()

    def summary(self, out: str) -> RunsSummary:
        """What has become of all."""
        left = {outcome.name: outcome for outcome in waiting(self._entries)} | self._outcomes
        return RunsSummary(
            task=self._asked.task,
            out=out,
            clips=tuple(left[entry.name] for entry in self._entries),
            seconds=0.0 if self._first is None else self._last - self._first,
        )

    def _fill(self) -> None:
        """Begin with as many as may be at work."""
        while self._waiting and len(self._active) < self._most and not self._interruption.requested:
            self._begin(self._waiting.popleft())

    def _begin(self, entry: Input) -> None:
        stream = self._current = _Stream(entry, ExitStack())
        try:
            job = self._asked.job(
                entry.source,
                entry.out,
                self._prompts(entry),
                stream.stack,
                load=self._shared.load,
                progress=lambda progress: self._tell(stream, progress),
                watch=self._watch,
            )
            with failing_as(entry.out.parent):
                entry.out.parent.mkdir(parents=True, exist_ok=True)
            stream.steps = performing(
                job, overwrite=self._overwrite, heard=stream.heard, interruption=self._interruption
            )
        except PlannerError as error:
            self._end(stream, failed(entry, error))
            return
        self._active.append(stream)

    def _round(self) -> None:
        """A turn for each whose next frame is there; of live ones some may have to be waited for."""
        hurried = self._interruption.requested
        ready = [stream for stream in self._active if hurried or stream.ready()]
        if not ready and self._active:
            time.sleep(PAUSE_SECONDS)
        for stream in ready:
            self._step(stream)

    def _step(self, stream: _Stream) -> None:
        assert stream.steps is not None
        self._current = stream
        try:
            stream.ready = next(stream.steps)
        except StopIteration as end:
            self._end(stream, outcome_of(stream.entry, end.value))
        except Interrupted as error:
            self._end(stream, failed(stream.entry, error, "interrupted", kept(stream.entry)))
        except PlannerError as error:
            if error is self._shared.failure:
                raise
            self._end(stream, failed(stream.entry, error, frames=kept(stream.entry)))
        self._last = self._clock()

    def _end(self, stream: _Stream, outcome: ClipOutcome) -> None:
        stream.stack.close()
        if stream in self._active:
            self._active.remove(stream)
        self._done += stream.here if self._asked.task == "video" else outcome.status == "done"
        if stream.progress is not None and stream.progress.unit == "frame":
            self._lengths.append(stream.progress.total or stream.progress.done)
        self._outcomes[outcome.name] = outcome
        self.begun = True
        if self._ended is not None:
            self._ended(outcome)
        self._say(None)

    def _leave(self) -> None:
        """Whatever comes out of a turn: let go of all folders and sources."""
        for stream in self._active:
            if stream.steps is not None:
                with suppress(PlannerError):
                    stream.steps.close()
            stream.stack.close()
            if stream.entry.name not in self._outcomes:
                stopped = Interrupted("Stopped at once.", "The same command resumes it after what is kept.")
                self._outcomes[stream.entry.name] = failed(stream.entry, stopped, "interrupted", kept(stream.entry))
                self.begun = self.begun or self._shared.failure is None

    def _hear(self, text: str) -> None:
        """A warning belongs to whoever it names: readers ahead warn while others have their turn."""
        named = (stream for stream in self._active if stream.entry.source in text)
        stream = next(named, self._current)
        if stream is not None:
            stream.heard.append(text)

    def _tell(self, stream: _Stream, progress: Progress) -> None:
        if stream.before is None:
            stream.before = progress.done - 1
        stream.progress = progress
        self._say(progress)

    def _say(self, last: Progress | None) -> None:
        if self._progress is None:
            return
        done = self._done + sum(one.here for one in self._active)
        seconds = 0.0 if self._first is None else self._clock() - self._first
        speed = done / seconds if seconds > 0 and done else None
        left = self._frames_left()
        self._progress(
            RunsProgress(
                inputs=len(self._entries),
                ended=len(self._outcomes),
                failed=sum(outcome.status == "failed" for outcome in self._outcomes.values()),
                streams=tuple((one.entry.name, one.progress) for one in self._active if one.progress is not None),
                unit="frame" if self._asked.task == "video" else "picture",
                done=done,
                per_second=speed,
                seconds_left=left / speed if speed and left is not None else None,
                last=last,
            )
        )

    def _frames_left(self) -> float | None:
        known = [one.progress for one in self._active if one.progress is not None]
        totals = [progress.total for progress in known]
        if None in totals or not totals:
            return None
        lengths = [*self._lengths, *(total for total in totals if total is not None)]
        ahead = len(self._waiting) + len(self._active) - len(known)
        here = sum((progress.total or 0) - progress.done for progress in known)
        return here + ahead * sum(lengths) / len(lengths)
