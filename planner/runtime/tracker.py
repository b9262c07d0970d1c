"""Follow objects from frame to frame: what SAM2VideoPredictor does, on one frame at a time.

Knows nothing of where frames come from or where masks go. Frames are numbered; time runs forward or backward
(`direction` 1 or -1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from planner.errors import UsageError
from planner.runtime.encoder import Features, encode
from planner.runtime.heads import (
    Clicks,
    Decoded,
    clicks,
    decode,
    decode_mask,
    earlier_scores,
    mask_input,
    use_multimask,
)
from planner.runtime.memory import form, recall, remember
from planner.runtime.memory_bank import REMEMBERED_POINTERS, Entry, ObjectMemory, Shelf
from planner.runtime.network import Network

if TYPE_CHECKING:
    from planner.prompts.prompts import Prompt

FILLED_HOLES = 8
"""Holes up to this many pixels are filled in the low-resolution masks, where sam2 has its compiled extension
(fill_hole_area of build_sam2_video_predictor)."""


class Tracker:
    """The memory of all objects, and the steps that change it."""

    def __init__(
        self,
        network: Network,
        size: tuple[int, int],
        *,
        length: int | None,
        direction: int = 1,
        history: int = 0,
    ) -> None:
        """`size` is (height, width) of the source; `length` its frames, None for a clip without end."""
        self.network = network
        self.configuration = network.configuration
        """The network's, still known when it has gone."""
        self.size = size
        self.direction = direction
        self.history = history
        self.memories: dict[int, ObjectMemory] = {}
        self._pointers = REMEMBERED_POINTERS + 1 if length is None else min(length, REMEMBERED_POINTERS + 1)
        self._shelf = Shelf(network.device, offload=network.configuration.offload_state, watch=network.watch)
        self._features: tuple[int, Features] | None = None
        self._fill = _hole_filler()

    # -- prompts --------------------------------------------------------------------------------------

    def prompt(self, prompt: Prompt, picture: Callable[[], Tensor]) -> None:
        """Enter a prompt on its frame, whose picture (1×3×H×W, normalised) `picture` gives if it is wanted.

        On a frame that the object was tracked on this is a correction: it builds on the mask and the memory there.
        """
        with self.network.watch.phase("prompt"):
            self._prompt(prompt, picture)

    def _prompt(self, prompt: Prompt, picture: Callable[[], Tensor]) -> None:
        memory = self.memories.setdefault(prompt.object, ObjectMemory())
        frame = prompt.frame
        features = self._encoded(frame, picture)
        correcting = frame in memory.tracked
        earlier = memory.at(frame)
        if prompt.mask is not None:
            mask = mask_input(self.network, torch.tensor(prompt.mask))
            decoded = decode_mask(self.network, features.coarse, features.fine, mask)
        else:
            points = clicks(self.network, prompt.points, prompt.labels, prompt.box, self.size)
            scores = earlier.scores if earlier is not None else None
            decoded = self._decode_prompt(memory, features, frame, points, scores, correcting)
        decoded = decoded._replace(scores=self._fill(decoded.scores))
        remembered = remember(self.network, features.coarse, decoded.scores, decoded.presence, prompted=True)
        entry = Entry(self._shelf.put(remembered), decoded.pointer, decoded.scores)
        # A frame that was prompted stays one; a correction of a tracked frame does not make it one, as in sam2.
        if correcting and frame not in memory.conditioning:
            memory.recent[frame] = entry
        else:
            memory.conditioning[frame] = entry

    def _decode_prompt(
        self,
        memory: ObjectMemory,
        features: Features,
        frame: int,
        points: Clicks,
        scores: Tensor | None,
        correcting: bool,
    ) -> Decoded:
        coarse = features.coarse
        if correcting:
            coarse = self._recall(features, [memory], frame)
        else:
            coarse = coarse + self.network.model.no_mem_embed.reshape(1, -1, 1, 1)
        earlier = None if scores is None else earlier_scores(scores)
        multimask = use_multimask(self.network, not correcting, points)
        return decode(self.network, coarse, features.fine, points, earlier, multimask)

    # -- tracking -------------------------------------------------------------------------------------

    def track(self, frame: int, picture: Callable[[], Tensor]) -> None:
        """Find every object on `frame`; those prompted there are known already."""
        for memory in self.memories.values():
            memory.forget_masks(frame, self.direction, self.history)
        passes = list(self._passes(frame))
        for number, objects in enumerate(passes):
            memories = [self.memories[name] for name in objects]
            if number + 1 < len(passes):
                self._ask(passes[number + 1], frame)
            features = self._encoded(frame, picture)
            coarse = self._recall(features, memories, frame)
            multimask = use_multimask(self.network, False, None)
            decoded = decode(self.network, coarse, features.fine, None, None, multimask)
            del coarse
            self._store(features, decoded, memories, frame)
            del decoded
            for memory in memories:
                # At once, not after the last object: each would hold a frame more.
                memory.forget(frame, self.direction, self.history, self._shelf)
        for memory in self.memories.values():
            memory.tracked.add(frame)

    def _passes(self, frame: int) -> Iterator[list[int]]:
        """Objects to be tracked on `frame`, as many at once as configured, whose memories have the same form."""
        groups: dict[object, list[int]] = {}
        for name, memory in self.memories.items():
            if frame not in memory.conditioning and frame not in memory.recent:
                groups.setdefault(form(memory, frame, self.direction), []).append(name)
        most = self.network.configuration.object_batch
        for group in groups.values():
            for start in range(0, len(group), most):
                yield group[start : start + most]

    def _store(self, features: Features, decoded: Decoded, memories: list[ObjectMemory], frame: int) -> None:
        remembered = remember(self.network, features.coarse, decoded.scores, decoded.presence, prompted=False)
        scores = self._fill(decoded.scores)
        for index, memory in enumerate(memories):
            one = slice(index, index + 1)
            # A slice keeps the storage of the whole pass alive: several objects are taken apart.
            alone = len(memories) == 1
            kept = remembered if alone else remembered[one].clone()
            memory.recent[frame] = Entry(
                self._shelf.put(kept),
                decoded.pointer if alone else decoded.pointer[one].clone(),
                scores if alone else scores[one].clone(),
            )

    def _recall(self, features: Features, memories: list[ObjectMemory], frame: int) -> Tensor:
        return recall(self.network, self._shelf, features.coarse, memories, frame, self.direction, self._pointers)

    def _ask(self, objects: list[int], frame: int) -> None:
        self._shelf.ask(
            [entry for name in objects for _, entry in self.memories[name].remembered(frame, self.direction)]
        )

    def _encoded(self, frame: int, picture: Callable[[], Tensor]) -> Features:
        if self._features is None or self._features[0] != frame:
            # The old features go before the new are made.
            self._features = None
            self._features = (frame, encode(self.network, picture()))
        return self._features[1]

    @property
    def features(self) -> Features | None:
        """The features of the frame seen last."""
        return self._features[1] if self._features else None

    # -- results and upkeep ---------------------------------------------------------------------------

    def scores(self, name: int, frame: int) -> Tensor | None:
        """Mask scores of an object on `frame` at the source's size, H×W float32; None where it is not known there."""
        entry = self.memories[name].at(frame)
        if entry is None or entry.scores is None:
            return None
        return self.network.enlarge(entry.scores, self.size)[0, 0]

    def rewind(self, frame: int) -> None:
        """Go back to `frame`, as if nothing had been tracked after it."""
        for memory in self.memories.values():
            memory.rewind(frame, self.direction)

    def release(self) -> None:
        """After a failure: drop the features. Objects that were done on the frame stay done; `track` goes on there."""
        self._features = None

    def leave_network(self) -> None:
        """Hold on no longer to the network, whose weights are to go; the memories can still be saved or adopted."""
        self.release()
        del self.network

    def adopt(self) -> None:
        """Bring memories of another tracker, or of a file, into this one's type and place. May be repeated."""
        kind = self.network.dtype if self.network.half else torch.bfloat16
        pointers = self.network.dtype
        for memory in self.memories.values():
            for entry in memory.entries():
                if entry.features is not None:
                    entry.features = self._shelf.put(entry.features.to(self.network.device, kind))
                entry.pointer = entry.pointer.to(self.network.device, pointers)
                if entry.scores is not None:
                    entry.scores = entry.scores.to(self.network.device)

    def rest(self) -> None:
        """Bring memories to the host; `adopt` brings them back."""
        for memory in self.memories.values():
            for entry in memory.entries():
                entry.features = None if entry.features is None else entry.features.cpu()
                entry.pointer = entry.pointer.cpu()
                entry.scores = None if entry.scores is None else entry.scores.cpu()

    def remove(self, name: int) -> None:
        """Drop an object."""
        if name not in self.memories:
            known = ", ".join(map(str, self.memories)) or "none"
            raise UsageError(f"There is no object {name}.", f"Objects tracked: {known}.")
        del self.memories[name]


def _hole_filler() -> Callable[[Tensor], Tensor]:
    """sam2's filling of small holes, where its extension is installed; without it sam2 warns and skips."""
    try:
        import sam2._C  # noqa: F401
    except ImportError:
        return lambda scores: scores
    from sam2.utils.misc import fill_holes_in_mask_scores

    return lambda scores: fill_holes_in_mask_scores(scores, FILLED_HOLES)
