"""SAM 2's memory bank, kept to what the model will read again.

At frame t the stock predictor reads, of each object: all conditioning (prompted) frames, the memories of the six
frames before, and the pointers of the fifteen before (SAM2Base._prepare_memory_conditioned_features). It keeps all
frames of all objects, with their masks, for ever; dropping the rest changes no mask.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from planner.runtime.cuda import to_host
from planner.runtime.watch import SILENT, Watch

REMEMBERED_FRAMES = 6
"""num_maskmem - 1 of every official configuration."""
REMEMBERED_POINTERS = 15
"""max_obj_ptrs_in_encoder - 1."""


@dataclass(slots=True)
class Entry:
    """What is kept of one object on one frame."""

    features: Tensor | None
    """1×64×h×w: the frame with its mask, encoded; None when only the pointer is still read."""
    pointer: Tensor
    """1×256."""
    scores: Tensor | None
    """1×1×4h×4w float32: the mask, as long as a correction may build on it."""


@dataclass(slots=True)
class ObjectMemory:
    """What is kept of one object."""

    conditioning: dict[int, Entry] = field(default_factory=dict)
    """Prompted frames, in the order in which they were prompted: attention adds up in that order."""
    recent: dict[int, Entry] = field(default_factory=dict)
    """Tracked frames."""
    tracked: set[int] = field(default_factory=set)
    """Those of the frames still known that were tracked: a prompt there is a correction."""

    def at(self, frame: int) -> Entry | None:
        """The entry of `frame`, prompted or tracked."""
        return self.conditioning.get(frame) or self.recent.get(frame)

    def entries(self) -> tuple[Entry, ...]:
        """All of them, the prompted frames first."""
        return (*self.conditioning.values(), *self.recent.values())

    def forget(self, frame: int, direction: int, history: int, shelf: Shelf) -> None:
        """Drop what no frame after `frame` reads (`direction` -1: no frame before it).

        What a correction of `frame`, or of one of the `history` before it, would read is kept on the host.
        """
        for number in list(self.recent):
            age = (frame - number) * direction
            if age > REMEMBERED_FRAMES + history:
                self.recent[number].features = None
            elif age >= REMEMBERED_FRAMES:
                shelf.retire(self.recent[number])
            if age > REMEMBERED_POINTERS + history:
                del self.recent[number]

    def forget_masks(self, frame: int, direction: int, history: int) -> None:
        """Drop the masks on which no correction builds once `frame` is begun."""
        for number, entry in (*self.recent.items(), *self.conditioning.items()):
            if (frame - number) * direction > history:
                entry.scores = None
                self.tracked.discard(number)

    def rewind(self, frame: int, direction: int) -> None:
        """Drop what was tracked after `frame`."""
        for number in [n for n in self.recent if (n - frame) * direction > 0]:
            del self.recent[number]
        self.tracked = {n for n in self.tracked if (n - frame) * direction <= 0}

    def remembered(self, frame: int, direction: int) -> list[tuple[int, Entry]]:
        """(temporal position, entry) of the memories that frame `frame` reads, in sam2's order.

        Position 0 is a conditioning frame; 1 the oldest of the recent six; 6 the frame before.
        """
        found = [(0, entry) for entry in self.conditioning.values()]
        for position in range(1, REMEMBERED_FRAMES + 1):
            entry = self.recent.get(frame - (REMEMBERED_FRAMES + 1 - position) * direction)
            if entry is not None:
                found.append((position, entry))
        return found

    def pointers(self, frame: int, direction: int, count: int) -> list[tuple[int, Entry]]:
        """(distance, entry) of the pointers that frame `frame` reads, in sam2's order: never those of the future.

        `count`: how many frames back, plus one.
        """
        found = []
        for number, entry in self.conditioning.items():
            age = (frame - number) * direction
            if age >= 0:
                found.append((age, entry))
        for age in range(1, count):
            tracked = self.recent.get(frame - age * direction)
            if tracked is not None:
                found.append((age, tracked))
        return found


class Shelf:
    """Where remembered features lie: on the device, or on the host.

    From the host they come back on a stream of their own, asked for one pass ahead, so that the copy runs beside the
    computation of the pass before.
    """

    def __init__(self, device: torch.device, *, offload: bool, watch: Watch = SILENT) -> None:
        self._device = device
        self._watch = watch
        self._offload = offload and device.type != "cpu"
        self._pinned = device.type == "cuda" and torch.cuda.is_available()
        self._stream: Any = torch.cuda.Stream(device) if self._offload and self._pinned else None
        self._coming: dict[int, Tensor] = {}

    def put(self, features: Tensor) -> Tensor:
        """`features` where they are kept."""
        return self._to_host(features) if self._offload else features

    def retire(self, entry: Entry) -> None:
        """Keep the features of `entry` on the host from now on: only a correction may still read them."""
        if entry.features is not None and entry.features.device.type == self._device.type != "cpu":
            entry.features = self._to_host(entry.features)

    def ask(self, entries: list[Entry]) -> None:
        """Start to bring the features of `entries` to the device."""
        if not self._offload:
            return
        if self._stream is not None:
            self._stream.wait_stream(torch.cuda.current_stream(self._device))
        with torch.cuda.stream(self._stream), self._watch.apart():
            for entry in entries:
                if entry.features is not None and id(entry) not in self._coming:
                    self._coming[id(entry)] = entry.features.to(self._device, non_blocking=self._stream is not None)

    def get(self, entry: Entry) -> Tensor:
        """The features of `entry` on the device."""
        assert entry.features is not None
        coming = self._coming.pop(id(entry), None)
        if coming is None:
            return entry.features.to(self._device)
        if self._stream is not None:
            current = torch.cuda.current_stream(self._device)
            current.wait_stream(self._stream)
            coming.record_stream(current)
        return coming

    def _to_host(self, features: Tensor) -> Tensor:
        # On the stream that computed them, hence after it; whoever reads them on another waits for that one.
        return to_host(features) if self._pinned else features.cpu()
