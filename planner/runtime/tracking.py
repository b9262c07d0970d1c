"""A video, object by object and frame by frame, in constant memory: what Session.track returns."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch
from torch import Tensor

from planner.errors import OutOfMemory, UsageError
from planner.prompts.ends import ends_of
from planner.prompts.prompts import Prompt, prompts_from
from planner.runtime.cuda import to_host, wait_for
from planner.runtime.fallback import Ladder, Step
from planner.runtime.prepare import Form, form_for
from planner.runtime.shots import Shot, read_ahead
from planner.runtime.state import read_state, write_state
from planner.runtime.tracker import Tracker
from planner.sources.ahead import Ahead
from planner.sources.frames import Frames
from planner.text.units import counted

if TYPE_CHECKING:
    from planner.runtime.memory_bank import ObjectMemory
    from planner.runtime.network import Network


class Tracking(Iterator[tuple[int, dict[int, numpy.ndarray]]]):
    """An iterator over (frame index, {object: H×W bool}). Objects are added, corrected and removed between two frames.

    With `scores=True` the arrays are float32 mask scores instead. Close it, or use it in a `with` statement, where it
    is not run to its end. One thread at a time may use it; several of one session may each be in a thread of their own.
    """

    def __init__(
        self,
        ladder: Ladder,
        frames: Frames,
        prompts: Iterable[Mapping[str, Any] | Prompt],
        *,
        reverse: bool = False,
        start: int | None = None,
        history: int = 0,
        scores: bool = False,
        resume: str | Path | None = None,
    ) -> None:
        self.frames = frames
        """The source."""
        self.picture: numpy.ndarray | None = None
        """H×W×3 uint8: the frame last given."""
        self.steps: tuple[Step, ...] = ladder.steps
        """Steps down that running out of memory forced, those before the first frame (of loading, say) first."""
        self._ladder = ladder
        self._forms: deque[Form] = deque(maxlen=1)
        self._direction = -1 if reverse else 1
        self._scores = scores
        self._history = history
        self._last: int | None = None
        self._waiting: dict[int, list[Prompt]] = {}
        self._recent: deque[Shot] = deque(maxlen=history + 1)
        self._again: deque[Shot] = deque()
        self._masks: dict[int, numpy.ndarray] = {}
        self._shots: Ahead[Shot] | None = None
        if history < 0:
            raise UsageError(f"history {history} is negative.", "Give how many frames back a prompt may go.")
        entered = prompts_from(prompts, frames.size, frames.length, frames.orientation)
        self._ends = {prompt.object: prompt.frame for prompt in entered if prompt.end}
        """The frame from which on an object is gone."""
        self._some_ended = False
        if resume is None:
            ends_of(entered, reverse)
        self._given = [prompt for prompt in entered if not prompt.end]
        self._beginning = self._begin_again = False
        self._behind: Callable[[], object] | None = None
        """What is still to be done to follow the session, when this clip is next computed."""
        self._start = 0
        with ladder.turn:
            self._tracker = self._new_tracker()
            ladder.followers.add(self)
        if resume is not None:
            self._last, memories = read_state(Path(resume), self._tracker)
            self._start = self._last + self._direction
            self._adopt(self._last, memories)
        elif not self._given:
            raise UsageError("There is nothing to track: no prompts were given.", "Give at least one.")
        else:
            self._start = self._first_frame(start)
            self._begin()

    # -- iteration ------------------------------------------------------------------------------------

    @property
    def objects(self) -> tuple[int, ...]:
        """The objects that are known, in the order in which they came."""
        return tuple(self._tracker.memories)

    @property
    def ready(self) -> bool:
        """Whether the next frame need not be waited for: of several clips another may go first meanwhile."""
        return bool(self._again) or self._shots is None or self._shots.ready

    def __next__(self) -> tuple[int, dict[int, numpy.ndarray]]:
        while True:
            self._ladder.network  # noqa: B018 - of a session that was closed, this says so
            shot = self._next_shot()
            try:
                if self._ended(shot.frame):
                    raise StopIteration
                self._guarded(shot.frame, lambda shot=shot: self._track(shot))  # type: ignore[misc]
            except BaseException:
                # Whoever goes on after an error goes on with this frame.
                self._again.appendleft(shot)
                raise
            if self._masks or self._last is not None:
                self.picture = shot.picture
                self._last = shot.frame
                self._recent.append(shot._replace(ready=None))
                return shot.frame, self._masks
            # A stream that runs before its first prompt.

    def _ended(self, frame: int) -> bool:
        """Let go of the objects that end at `frame`; True where none is left, and none will come."""
        with self._ladder.turn:
            self._caught_up()
            return self._let_go(frame)

    def _let_go(self, frame: int) -> bool:
        hidden = {name for name in self._ends if self._is_over(name, frame)}
        for name in hidden:
            self._some_ended = True
            # A correction may go back by `history` frames, to where the object still was.
            if (frame - self._ends[name]) * self._direction > self._history or not self._history:
                del self._ends[name]
                if name in self._tracker.memories:
                    self._tracker.remove(name)
        return self._some_ended and not set(self._tracker.memories) - hidden and not self._waiting

    def _is_over(self, name: int, frame: int) -> bool:
        return name in self._ends and (frame - self._ends[name]) * self._direction >= 0

    def _track(self, shot: Shot) -> None:
        waiting = self._waiting.get(shot.frame, [])
        while waiting:
            # One that was entered is not entered again where a later one runs out of memory.
            self._tracker.prompt(waiting[0], lambda: self._tensor(shot))
            del waiting[0]
        self._waiting.pop(shot.frame, None)
        self._tracker.track(shot.frame, lambda: self._tensor(shot))
        self._masks = self._answers(shot.frame)
        if len(self._ladder.followers) > 1:
            # Only a correction of this frame would read its features again, and can have them made again: of several
            # clips each would hold a frame's.
            self._tracker.release()

    def _answers(self, frame: int) -> dict[int, numpy.ndarray]:
        """Answers for all objects on `frame`; one at a time is on the device at the source's size.

        The device is waited for once, when all copies have been asked for. What is given lies in ordinary memory: of
        pinned memory there is little, and whoever asks may keep all masks.
        """
        coming = {}
        for name in self._tracker.memories:
            if self._is_over(name, frame):
                continue
            with self._network.watch.phase("output", "outputs"):
                scores = self._tracker.scores(name, frame)
                if scores is not None:
                    coming[name] = to_host(scores if self._scores else scores > 0)
                del scores  # before the next object's are made: of 24 megapixels each takes 96 MB
        wait_for(self._network.device)
        pinned = self._network.device.type == "cuda"
        return {name: answer.numpy().copy() if pinned else answer.numpy() for name, answer in coming.items()}

    def _next_shot(self) -> Shot:
        if self._again:
            return self._again.popleft()
        if self._shots is None:
            self._shots = read_ahead(self.frames, self._forms, self._start, self._direction)
        try:
            return next(self._shots)
        except StopIteration:
            if self._waiting:
                frame = min(self._waiting)
                raise UsageError(
                    f"The prompt on frame {frame} never took effect: {self.frames.name} ended before it.",
                    "Prompt a frame that comes.",
                ) from None
            raise

    def _tensor(self, shot: Shot) -> Tensor:
        return shot.on_device(self._network, self._forms[-1])

    # -- prompts --------------------------------------------------------------------------------------

    def add(self, prompt: Mapping[str, Any] | Prompt) -> dict[int, numpy.ndarray]:
        """Enter a prompt for a new object, or correct a known one; gives the masks of its frame, as iteration does.

        The frame is the one last given, or at most `history` before it, from where tracking is then resumed. A frame
        that is still to come is prompted at once where the source can be read again, else when it arrives (gives {}).

        Raises UsageError for a frame that is gone.
        """
        with self._ladder.turn:
            return self._add(prompt)

    def _add(self, prompt: Mapping[str, Any] | Prompt) -> dict[int, numpy.ndarray]:
        entered = prompts_from([prompt], self.frames.size, self.frames.length, self.frames.orientation)[0]
        back = 0 if self._last is None else (self._last - entered.frame) * self._direction
        if entered.end:
            return self._end_later(entered, back)
        if self._last is None or back < 0:
            return self._enter_later(entered)
        shot = next((shot for shot in self._recent if shot.frame == entered.frame), None)
        if shot is None:
            raise UsageError(
                f"Frame {entered.frame} is gone: the last one was {self._last}, and a prompt may go back"
                f" {counted(self._history, 'frame')}.",
                f"Track with history={back} or more, or prompt frame {self._last}.",
            )
        self._go_back(entered.frame)
        self._prompt(entered, shot)
        self._masks = self._guarded(entered.frame, lambda: self._answers(entered.frame))
        return self._masks

    def remove(self, name: int) -> None:
        """Stop following an object. Raises UsageError for one that is not known."""
        with self._ladder.turn:
            self._tracker.remove(name)

    def _end_later(self, prompt: Prompt, back: int) -> dict[int, numpy.ndarray]:
        if self._last is not None and back >= 0:
            text = f"Object {prompt.object} cannot end at frame {prompt.frame}: frame {self._last} has been given."
            raise UsageError(text, "End it at a frame that is still to come, or call remove().")
        if prompt.object not in {*self._tracker.memories, *(entry.object for entry in self._given)}:
            raise UsageError(f"There is no object {prompt.object} to end.", "Prompt it first.")
        self._ends[prompt.object] = prompt.frame
        return {}

    def _enter_later(self, prompt: Prompt) -> dict[int, numpy.ndarray]:
        self._given.append(prompt)
        if not self.frames.rereadable:
            self._waiting.setdefault(prompt.frame, []).append(prompt)
            return {}
        if self._shots is None:
            first = min if self._direction > 0 else max
            self._start = first(self._start, prompt.frame)
        shot = self._read(prompt.frame)
        self._prompt(prompt, shot)
        return self._guarded(prompt.frame, lambda: self._answers(prompt.frame))

    def _go_back(self, frame: int) -> None:
        self._tracker.rewind(frame)
        later = [shot for shot in self._recent if (shot.frame - frame) * self._direction > 0]
        for shot in reversed(later):
            self._again.appendleft(shot)
            self._recent.remove(shot)
        self._last = frame

    # -- beginning and end ----------------------------------------------------------------------------

    def _first_frame(self, start: int | None) -> int:
        """Where to begin: the first prompted frame, backward the last; a stream at its own beginning."""
        if start is not None:
            if start < 0 or (self.frames.length is not None and start >= self.frames.length):
                raise UsageError(
                    f"The clip has no frame {start}.", f"It has {counted(self.frames.length or 0, 'frame')}."
                )
            return start
        if not self.frames.rereadable:
            return 0
        numbers = [prompt.frame for prompt in self._given]
        return min(numbers) if self._direction > 0 else max(numbers)

    def _begin(self) -> None:
        """Enter all prompts before the first frame is tracked, as sam2 does, where their frames can be read."""
        if not self.frames.rereadable:
            self._waiting.clear()
            for prompt in self._given:
                self._waiting.setdefault(prompt.frame, []).append(prompt)
            return
        self._beginning = self._begin_again = True
        while self._begin_again:
            self._begin_again = False
            self._tracker.memories.clear()
            shot: Shot | None = None
            for prompt in self._given:
                if shot is None or shot.frame != prompt.frame:
                    shot = self._read(prompt.frame)
                self._prompt(prompt, shot)
                if self._begin_again:
                    break
        self._beginning = False

    def _prompt(self, prompt: Prompt, shot: Shot) -> None:
        self._guarded(prompt.frame, lambda: self._tracker.prompt(prompt, lambda: self._tensor(shot)))

    def _read(self, frame: int) -> Shot:
        for index, picture in self.frames.read(frame, 1):
            return Shot(index, picture, None)
        raise UsageError(f"Frame {frame} cannot be read.", f"The clip has {counted(self.frames.length or 0, 'frame')}.")

    def save(self, path: str | Path) -> None:
        """Write the memory bank, so that `track(source, resume=path)` resumes after the frame last given.

        Raises UsageError before the first frame, EnvironmentFailure where the file cannot be written.
        """
        if self._last is None:
            raise UsageError("Nothing has been tracked yet.", "Save after the first frame.")
        with self._ladder.turn:
            self._caught_up()
            write_state(Path(path), self._tracker, self._last)

    def close(self) -> None:
        """Stop reading ahead and close the source."""
        if self._shots is not None:
            self._shots.close()
        self.frames.close()
        with self._ladder.turn:
            self._ladder.followers.discard(self)

    def __enter__(self) -> Tracking:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    # -- running out of memory ------------------------------------------------------------------------

    @property
    def _network(self) -> Network:
        return self._ladder.network

    def _new_tracker(self) -> Tracker:
        self._forms.append(form_for(self._network))
        return Tracker(
            self._network,
            self.frames.size,
            length=self.frames.length,
            direction=self._direction,
            history=self._history,
        )

    def _guarded(self, frame: int, action: Callable[[], Any]) -> Any:
        """Run `action`; where memory runs out, step down and run it again."""
        with self._ladder.turn:
            self._caught_up()
            return self._ladder.run(action, lambda reason: self._step_down(frame, reason))

    def _step_down(self, frame: int, reason: str) -> None:
        self._tracker.release()
        self._ladder.require_rung(frame, reason)
        memories, taken = self._tracker.memories, len(self._ladder.steps)
        self.leave()
        try:
            step = self._ladder.step_down(frame, reason, by=self)
        finally:
            self.steps += self._ladder.steps[taken:]
        self._tracker = self._new_tracker()
        if step.carried_over:
            self._adopt(frame, memories)
            return
        names = tuple(memories)
        # The old ones go before the new ones come.
        del memories
        self._prompt_again(frame, names)

    def _adopt(self, frame: int, memories: Mapping[int, ObjectMemory]) -> None:
        """Bring memories to the network in use, which may take memory: those that are there already stay."""
        self._tracker.memories = dict(memories)
        self._guarded(frame, lambda: self._tracker.adopt())

    def _prompt_again(self, frame: int, names: tuple[int, ...]) -> None:
        """Tell another network where the objects were: by their last masks, on the frame last given."""
        if self._last is None:
            # Nothing was given yet: the prompts themselves are entered again.
            self._begin_again = True
            if not self._beginning:
                self._begin()
            return
        if not self._recent:
            raise OutOfMemory(
                f"Memory ran out on frame {frame}, before any mask could be carried over.",
                "Start again with the configuration stepped down to, or plan for a smaller budget.",
            )
        shot = self._recent[-1]
        for name in names:
            mask = self._masks.get(name)
            if mask is not None:
                self._prompt(Prompt(frame=shot.frame, object=name, mask=mask > 0), shot)
        for prompt in self._given if self.frames.rereadable else ():
            if prompt.object in names and (prompt.frame - shot.frame) * self._direction > 0:
                self._prompt(prompt, self._read(prompt.frame))

    # -- following the session (planner.runtime.fallback.Follower) ------------------------------------

    def leave(self) -> None:
        """Let go of the network, whose weights are to go."""
        with suppress(AttributeError):  # it has gone before
            self._tracker.leave_network()

    def follow(self, steps: tuple[Step, ...], carried_over: bool) -> None:
        """Take the network that another clip, or a picture, had to step down to."""
        frame = self._start if self._last is None else self._last + self._direction
        why = "something else of the session ran out of memory"
        self.steps += tuple(
            replace(step, frame=frame, reason=f"{why}: {step.reason}", carried_over=carried_over) for step in steps
        )
        memories = self._tracker.memories
        self._tracker = self._new_tracker()
        if not carried_over:
            names = tuple(memories)
            self._behind = lambda: self._prompt_again(frame, names)
            return
        self._tracker.memories = memories
        self._behind = self._adopted
        if self._network.configuration.offload_state:
            # At once, not when it is computed next: that is what makes the room.
            with suppress(torch.OutOfMemoryError):
                self._tracker.adopt()

    def rest(self) -> None:
        """Bring the memory bank to the host."""
        memories = self._tracker.memories
        self._tracker = self._new_tracker()  # without features of a frame, and what came back from the host
        self._tracker.memories = memories
        self._tracker.rest()

    def wake(self) -> None:
        """Bring the memory bank back, when it is wanted."""
        if self._behind is None:
            self._behind = self._adopted

    def end(self) -> None:
        """Stop reading, and let go of the network and the memory bank."""
        self.close()
        self._behind = None
        self.leave()
        self._tracker.memories = {}

    def _caught_up(self) -> None:
        """What another's step down, or a rest, has left to do. Raises OutOfMemory, and is tried again then."""
        behind, self._behind = self._behind, None
        if behind is None:
            return
        try:
            behind()
        except BaseException:
            self._behind = behind
            raise

    def _adopted(self) -> None:
        frame = self._start if self._last is None else self._last
        self._guarded(frame, lambda: self._tracker.adopt())
