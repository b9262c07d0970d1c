"""Text to quantities and back: bytes, resolutions, counts.

Everything inside the package is an integer with its unit in the name; only this module and the
command line see text such as "2GB".
"""

from __future__ import annotations

import re

from planner.errors import UsageError
from planner.nouns.request import Headroom
from planner.text.spelling import ENDLESS, meant_frame_size, meant_size
from planner.text.strict_yaml import Fields

UNITS = {
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}
SIZE_FORMS = "Write a number with a unit: 2GB, 1.5GB, 800MB (powers of 10) or 2GiB, 1907MiB (powers of 2)."
RESOLUTION_FORMS = "Write a side (1024) or HxW (576x1024), in multiples of 32 from 64 to 8192."
HEADROOM_FORMS = "Write auto, none, a size (500MB) or a percentage below 100 (10%)."
AUTO_HEADROOM_PERCENT = 5.0
"""Held back where the user names nothing: for the display, other processes' small change and a driver update.
The memory model's own error is no part of it; that is upper_bytes."""
FRAME_SIZE_FORMS = "Write HxW in pixels, height first, such as 1080x1920."

DURATION_FORMS = "Write a number with a unit, at most a day: 60s, 5m or 1h."
MAXIMUM_SECONDS = 86_400.0

MINIMUM_SIZE_BYTES = 10**6
MAXIMUM_SIZE_BYTES = 10**15
RESOLUTION_STEP = 32
"""Hiera's total stride: patch stride 4, then three poolings by 2 (sam2/modeling/backbones/hieradet.py)."""
MINIMUM_SIDE, MAXIMUM_SIDE = 64, 8192
MAXIMUM_FRAME_SIDE = 32768
MAXIMUM_COUNT = 10**9

_SIZE = re.compile(r"\s*(\d{1,18}(?:\.\d{1,9})?|\.\d{1,9})\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_PAIR = re.compile(r"\s*(\d{1,6})\s*[x×]\s*(\d{1,6})\s*", re.ASCII | re.IGNORECASE)
_DURATION = re.compile(r"\s*(\d{1,6}(?:\.\d{1,3})?)\s*([smh])\s*", re.ASCII | re.IGNORECASE)
_CAPABILITY = re.compile(r"\s*(\d{1,2})\.(\d)\s*", re.ASCII)
_COUNT = re.compile(r"\s*\d{1,12}\s*", re.ASCII)


def parse_size(text: str) -> int:
    """Bytes of a size such as "2GB" (powers of 10) or "2GiB" (powers of 2), case-insensitive.

    Raises UsageError for a bare number, zero, a negative, a decimal comma, a word, or a size
    outside 1 MB to 1000 TB.
    """
    match = _SIZE.fullmatch(_text(text, "a size", SIZE_FORMS))
    if match is None:
        if re.fullmatch(r"\s*[\d.]+\s*", text, re.ASCII):
            raise UsageError(f"The size {text!r} has no unit.", meant_size(text) + SIZE_FORMS)
        raise UsageError(f"{text!r} is not a size.", meant_size(text) + SIZE_FORMS)
    number, unit = match.groups()
    factor = UNITS.get(unit.lower())
    if factor is None:
        raise UsageError(f"The size {text!r} has an unknown unit {unit!r}.", meant_size(text) + SIZE_FORMS)
    size_bytes = round(float(number) * factor)
    if size_bytes < MINIMUM_SIZE_BYTES:
        raise UsageError(f"The size {text!r} is too small: at least 1MB is needed.", SIZE_FORMS)
    if size_bytes > MAXIMUM_SIZE_BYTES:
        raise UsageError(f"The size {text!r} is absurd: no GPU has more than {MAXIMUM_SIZE_BYTES:,} bytes.", SIZE_FORMS)
    return size_bytes


def check_size(size_bytes: int) -> int:
    """A budget given as a number of bytes, within the limits of a parsed one."""
    if isinstance(size_bytes, bool) or not MINIMUM_SIZE_BYTES <= size_bytes <= MAXIMUM_SIZE_BYTES:
        limits = f"{MINIMUM_SIZE_BYTES:,} to {MAXIMUM_SIZE_BYTES:,}"
        shown = repr(size_bytes) if -(10**30) < size_bytes < 10**30 else "That number of bytes"
        raise UsageError(f"{shown} is not a budget.", f"Give bytes from {limits}, or text. {SIZE_FORMS}")
    return size_bytes


def parse_resolution(text: str | int) -> tuple[int, int]:
    """(height, width) of what SAM 2 computes at: a side, or HxW, in multiples of 32."""
    if isinstance(text, bool):
        raise UsageError(f"{text!r} is not a resolution.", RESOLUTION_FORMS)
    pair = _pair(str(text))
    if pair is None:
        if _COUNT.fullmatch(str(text)) is None:
            raise UsageError(f"{text!r} is not a resolution.", RESOLUTION_FORMS)
        pair = (int(text), int(text))
    for side in pair:
        if side % RESOLUTION_STEP or not MINIMUM_SIDE <= side <= MAXIMUM_SIDE:
            near = min(max(round(side / RESOLUTION_STEP) * RESOLUTION_STEP, MINIMUM_SIDE), MAXIMUM_SIDE)
            raise UsageError(
                f"The resolution {text!r} cannot be run: {side} is not a multiple of {RESOLUTION_STEP} "
                f"from {MINIMUM_SIDE} to {MAXIMUM_SIDE}; the nearest is {near}.",
                RESOLUTION_FORMS,
            )
    return pair


def resolution_field(fields: Fields, key: str) -> tuple[int, int]:
    """[height, width] of a document, under the same rules as an option."""
    pair = fields.pair(key)
    if any(side % RESOLUTION_STEP or not MINIMUM_SIDE <= side <= MAXIMUM_SIDE for side in pair):
        raise fields.complaint(f"{key} is {list(pair)}", "Use multiples of 32 from 64 to 8192.", key)
    return pair


def parse_frame_size(text: str) -> tuple[int, int]:
    """(height, width) of the source picture in pixels, any positive size."""
    pair = _pair(_text(text, "a frame size", FRAME_SIZE_FORMS))
    if pair is None:
        raise UsageError(f"{text!r} is not a frame size.", meant_frame_size(text) + FRAME_SIZE_FORMS)
    if not all(1 <= side <= MAXIMUM_FRAME_SIDE for side in pair):
        raise UsageError(
            f"The frame size {text!r} is out of range: each side from 1 to {MAXIMUM_FRAME_SIDE} pixels.",
            FRAME_SIZE_FORMS,
        )
    return pair


def parse_capability(text: str) -> tuple[int, int]:
    """(major, minor) of a compute capability such as "8.6"."""
    match = _CAPABILITY.fullmatch(str(text))
    if match is None or not 5 <= int(match[1]) <= 20:
        raise UsageError(f"{text!r} is not a compute capability.", "Write it as 8.6; 5.0 is the oldest torch runs on.")
    return int(match[1]), int(match[2])


def parse_count(text: str | int, what: str) -> int:
    """A count of at least 1, such as of objects or frames; `what` names it in the error."""
    if isinstance(text, bool) or _COUNT.fullmatch(str(text)) is None:
        raise UsageError(f"{text!r} is not a number of {what}.", f"Give a whole number of {what}, 1 or more.")
    count = int(text)
    if not 1 <= count <= MAXIMUM_COUNT:
        raise UsageError(
            f"{count} {what} cannot be planned for.", f"Give a whole number of {what} from 1 to {MAXIMUM_COUNT:,}."
        )
    return count


def parse_frames(text: str | int | None) -> int | None:
    """A number of frames, or None for "unlimited": a clip without end."""
    if text is None or str(text).strip().lower() == "unlimited":
        return None
    try:
        return parse_count(text, "frames")
    except UsageError as error:
        endless = "Did you mean unlimited? " if str(text).strip().lower() in ENDLESS else ""
        raise UsageError(error.message, f"{endless}{error.hint.rstrip('.')}, or unlimited.") from None


def parse_headroom(text: str) -> Headroom:
    """What to hold back: "auto" (5 %), "none", a size such as "500MB", or a percentage such as "10%"."""
    word = _text(text, "a headroom", HEADROOM_FORMS).strip().lower()
    if word == "auto":
        return Headroom(percent=AUTO_HEADROOM_PERCENT)
    if word == "none":
        return Headroom(percent=0.0)
    match = re.fullmatch(r"(\d{1,3}(?:\.\d{1,6})?)\s*%", word, re.ASCII)
    if match is None:
        try:
            return Headroom(bytes=parse_size(text))
        except UsageError as error:
            near = f"Did you mean {word}%? " if re.fullmatch(r"\d{1,2}(\.\d{1,6})?", word, re.ASCII) else ""
            raise UsageError(f"{text!r} is not a headroom: {error.message}", near + HEADROOM_FORMS) from None
    percent = float(match[1])
    if percent >= 100:
        raise UsageError(f"A headroom of {text!r} leaves nothing.", HEADROOM_FORMS)
    return Headroom(percent=percent)


def parse_duration(text: str | float) -> float:
    """Seconds of a duration such as "60s", "5m" or "1h", or of a number of seconds. At most a day."""
    if isinstance(text, str):
        match = _DURATION.fullmatch(text)
        if match is None:
            raise UsageError(f"{text!r} is not a duration.", DURATION_FORMS)
        seconds = float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2].lower()]
    else:
        seconds = float(text) if isinstance(text, int | float) and not isinstance(text, bool) else -1.0
    if not 0 <= seconds <= MAXIMUM_SECONDS:
        raise UsageError(f"{text!r} cannot be waited for.", DURATION_FORMS)
    return seconds


def format_size(size_bytes: int) -> str:
    """A size for people, in powers of 10: "463 MB", "1626 MB", "24.0 GB", "113,246 GB".

    Megabytes up to 10 GB, because publications state them: 1626 MB would not be recognised in 1.63 GB.
    """
    megabytes, gigabytes = round(abs(size_bytes) / 10**6), abs(size_bytes) / 10**9
    if gigabytes >= 1000:
        return f"{size_bytes / 10**9:,.0f} GB"
    if megabytes >= 10_000:
        return f"{size_bytes / 10**9:.1f} GB"
    if megabytes >= 1:
        return f"{size_bytes / 10**6:.0f} MB"
    return f"{size_bytes / 10**3:.0f} kB"


def format_exact_size(size_bytes: int) -> str:
    """How a size was read, in all three ways: "2,000,000,000 B = 1907 MiB"."""
    return f"{size_bytes:,} B = {size_bytes / 2**20:.0f} MiB"


def exact_size(size_bytes: int) -> str:
    """A size as an option value that parses back to the same bytes: "2GB", "1907MiB"."""
    if size_bytes >= 10**9 and size_bytes % 10**7 == 0:
        return f"{size_bytes / 10**9:.2f}".rstrip("0").rstrip(".") + "GB"
    for unit, factor in (("GiB", 2**30), ("MB", 10**6), ("MiB", 2**20), ("kB", 10**3)):
        if size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    whole, rest = divmod(size_bytes, 10**9)
    return f"{whole}.{rest:09d}GB"


def rounded_up_size(size_bytes: int) -> int:
    """The next multiple of 10 MB: a budget that people would type."""
    return -(-size_bytes // 10**7) * 10**7


def counted(count: int, noun: str) -> str:
    """A number of things whose plural takes an s: "1 frame", "1,200 frames"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def format_resolution(resolution: tuple[int, int]) -> str:
    """(576, 1024) as "576x1024", as the options take it."""
    return f"{resolution[0]}x{resolution[1]}"


def portrait(size: tuple[int, int]) -> bool:
    """Whether (height, width) stands upright: also what comes of writing the width first."""
    return size[0] > size[1]


def _text(value: object, what: str, forms: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{value!r} is not {what}.", forms)
    return value


def _pair(text: str) -> tuple[int, int] | None:
    match = _PAIR.fullmatch(text)
    return (int(match[1]), int(match[2])) if match else None
