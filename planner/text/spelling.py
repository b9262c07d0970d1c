"""Whether a word is one of those known, and what people mean by those that are not: for hints, never to guess."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import TypeVar

from planner.errors import PlannerError, UsageError
from planner.nouns.words import OTHER_MODELS, VARIANTS

Word = TypeVar("Word", bound=str)

_MEANT = {
    # precisions, as torch, transformers and the trade abbreviate them
    "fp16": ("float16", "autocast_float16"),
    "f16": ("float16", "autocast_float16"),
    "half": ("float16", "autocast_float16"),
    "bf16": ("bfloat16", "autocast_bfloat16"),
    "fp32": ("float32",),
    "f32": ("float32",),
    "full": ("float32",),
    "single": ("float32",),
    "tf32": ("float32",),
    "amp": ("autocast_bfloat16", "autocast_float16"),
    "autocast": ("autocast_bfloat16", "autocast_float16"),
    "mixed": ("autocast_bfloat16", "autocast_float16"),
    # variants, as the files of the checkpoints and their configurations abbreviate them
    "base+": ("base_plus",),
    "b+": ("base_plus",),
    "b": ("base_plus",),
    "base": ("base_plus",),
    "baseplus": ("base_plus",),
    "l": ("large",),
    "s": ("small",),
    "t": ("tiny",),
    # attention kernels
    "sdpa": ("auto",),
    "default": ("auto",),
    "eager": ("math",),
    "flashattention": ("flash",),
    "flash2": ("flash",),
    "flash3": ("flash",),
    "memefficient": ("efficient",),
    "xformers": ("efficient",),
    # tasks and preferences
    "picture": ("image",),
    "photo": ("image",),
    "images": ("image",),
    "clip": ("video",),
    "videos": ("video",),
    "tracking": ("video",),
    "amg": ("automask",),
    "everything": ("automask",),
    "auto": ("automask",),
    "accuracy": ("quality",),
    "best": ("quality",),
    "fast": ("speed",),
    "fps": ("speed",),
    # versions and runtimes
    "2": ("2.0",),
    "sam2": ("stock", "2.0"),
    "sam21": ("2.1",),
    "official": ("stock",),
    # SAM 3, whose tracker alone is covered
    **dict.fromkeys(("sam3", "sam31", "sam3video", "sam3image", "sam3detector", "sam3model"), ("sam3_tracker",)),
    **dict.fromkeys(("sam3trackervideo", "sam3tracker"), ("sam3_tracker",)),
    **dict.fromkeys(("edgetamvideo", "edgetamhf", "edgesam"), ("edgetam",)),
}
_NO_LETTER = re.compile(r"[^a-z0-9+]")
_AFFIXES = re.compile(r"^(sam2(\.1)?_)?hiera_|^torch\.|_?attention$", re.IGNORECASE)
ENDLESS = ("endless", "infinite", "infinity", "inf", "none", "all", "stream", "live", "any", "max", "unbounded", "-1")
"""What people write for a clip without end."""


def check_word(
    word: object, what: str, known: tuple[Word, ...], complaint: Callable[[str], PlannerError] | None = None
) -> Word:
    """The one of `known` that was given.

    `what` names the kind of word in the error. Raises UsageError that names the word, with a remedy; or what
    `complaint` makes of the remedy, where the error has to say more, such as a file and a line.
    """
    for one in known:
        if one == word:
            return one
    hint = remedy(word, known)
    if complaint is not None:
        raise complaint(hint)
    raise UsageError(f"{word!r} is not {'an' if what[0] in 'aeiou' else 'a'} {what}.", hint)


def remedy(word: object, known: Iterable[str], lead: str = "Use one of") -> str:
    """The hint of an error for a word that is none of those known: what may have been meant, and all of them."""
    words = tuple(known)
    return f"{meant(word, words)}{lead}: {', '.join(words)}."


def meant(word: object, known: tuple[str, ...]) -> str:
    """A question for the hint of an error, "Did you mean ...? ", or nothing; `known` are the words that are taken."""
    text = _AFFIXES.sub("", str(word)[:60].strip().lower())
    plain = _NO_LETTER.sub("", text)
    if VARIANTS[0] in known and (beside := _beside_sam2(plain, known)):
        return beside
    found = [one for one in known if _NO_LETTER.sub("", one.lower()) == plain]
    found = found or [one for one in _MEANT.get(plain, ()) if one in known]
    if not found:
        from difflib import get_close_matches  # only those who misspell pay for it

        found = get_close_matches(text, known, n=1)
    return f"Did you mean {' or '.join(found)}? " if found else ""


def _beside_sam2(plain: str, known: tuple[str, ...]) -> str:
    """The same of a model that is not SAM 2, where variants are asked for; nothing of any other word."""
    found = next(iter(_MEANT.get(plain, (plain,))))
    if found not in OTHER_MODELS:
        return ""
    if found not in known:
        return (
            f"Plans are for SAM 2; {found} is run by transformers alone. Ask predict or simulate for it, with the "
            "runtime transformers; a plan of SAM 2 says with it what transformers would need. "
        )
    if plain.startswith("sam3") and "tracker" not in plain:
        return f"Did you mean {found}? SAM 3's detector is not covered, its tracker is. "
    return f"Did you mean {found}? "


def meant_size(text: str) -> str:
    """The same for a size that was not read: "8G", "1TB", "2,5GB", "8"."""
    match = re.fullmatch(r"(\d{1,6})(?:([.,])(\d{1,3}))?\s*([a-z]*)", text.strip().lower(), re.ASCII)
    if match is None:
        return ""
    whole, comma, rest, unit = match.groups()
    number = f"{whole}.{rest}" if comma else whole
    if unit in ("tb", "t", "tib", "to"):
        return f"Did you mean {float(number) * 1000:.9g}GB? "
    if not unit:
        return f"Did you mean {number}{'GB' if float(number) < 1000 else 'MB'}? "
    letter = {"k": "k", "m": "M", "g": "G"}.get(unit[0])
    if letter is None or unit[1:] not in ("", "b", "i", "ib", "o", "byte", "bytes"):
        return ""
    return f"Did you mean {number}{letter}{'iB' if unit[1:2] == 'i' else 'B'}? "


_NAMED_SIZES = {"480p": "480x854", "720p": "720x1280", "hd": "720x1280", "1080p": "1080x1920", "fhd": "1080x1920",
                "fullhd": "1080x1920", "1440p": "1440x2560", "2160p": "2160x3840", "4k": "2160x3840",
                "uhd": "2160x3840"}  # fmt: skip
"""Height x width of what a video is called by."""


def meant_frame_size(text: str) -> str:
    """The same for the size of a picture: "1080p", "1920*1080"."""
    plain = text.strip().lower()
    pair = re.fullmatch(r"(\d{1,5})\s*[*,/:by ]+\s*(\d{1,5})", plain, re.ASCII)
    named = _NAMED_SIZES.get(plain.replace(" ", "").replace("-", ""))
    # Most write the width first, and most pictures are wider than high.
    near = named or ("x".join(sorted(pair.groups(), key=int)) if pair else None)
    return f"Did you mean {near}? " if near else ""
