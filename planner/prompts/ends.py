"""When objects end, which prompts say that point at nothing."""

from __future__ import annotations

from collections.abc import Iterable

from planner.errors import UsageError
from planner.prompts.prompts import Prompt


def ends_of(prompts: Iterable[Prompt], reverse: bool = False) -> dict[int, int]:
    """The frame from which on each object that ends is not there any more, in the direction of tracking.

    Raises UsageError for an object that is prompted at its end or after it, or ends without being prompted.
    """
    given = tuple(prompts)
    step = -1 if reverse else 1
    ends = {prompt.object: prompt.frame for prompt in given if prompt.end}
    for name, frame in ends.items():
        frames = [prompt.frame for prompt in given if prompt.object == name and not prompt.end]
        if len([prompt for prompt in given if prompt.object == name and prompt.end]) > 1:
            raise UsageError(f"Object {name} ends more than once.", "Give it one end.")
        late = [other for other in frames if (other - frame) * step >= 0]
        if late:
            raise UsageError(
                f"Object {name} ends at frame {frame} and is prompted on frame {late[0]}, where it is gone.",
                "Give what comes back another number.",
            )
        if not frames:
            raise UsageError(f"Object {name} ends at frame {frame} and is never prompted.", "Prompt it first.")
    return ends
