"""Where the weights of SAM 2 lie in what was saved and under which names, and what else it is where there are none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from planner.catalog.checkpoints import EXPECTED
from planner.catalog.pickles import Tensor
from planner.catalog.weight_files import refusal, shown
from planner.catalog.weight_names import EXPECTED_OF_TRANSFORMERS, PICTURE_POSITIONS, from_transformers
from planner.errors import FileError

WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "module", "net", "network", "weights", "params")
"""What programs call the weights beside an optimizer's state; of several in one file the first of these counts."""
INFIXES = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")
"""What torch.compile, checkpointing of activations and FSDP put into names."""
SEARCH_DEPTH = 3
EDGETAM, PERCEIVER = "EdgeTAM", "spatial_perceiver."
_FOREIGN: tuple[tuple[tuple[str, ...], str], ...] = (
    ((PERCEIVER,), EDGETAM),
    (("vision_encoder.backbone.timm_model.", "mask_decoder."), EDGETAM),
    (("detector_model.",), "SAM 3 (transformers)"),
    (("detr_decoder.",), "SAM 3's detector (transformers)"),
    (("vision_encoder.backbone.embeddings.", "mask_decoder."), "SAM 3's tracker (transformers)"),
    (("detector.", "tracker."), "SAM 3"),
    (("detector.backbone.",), "SAM 3"),
    (("vision_encoder.backbone.", "mask_decoder."), "a network of SAM 2's kind (transformers)"),
    (("vision_encoder.layers.", "mask_decoder."), "SAM 1 under the names of transformers"),
    (("mask_decoder.", "prompt_encoder."), "SAM 1, or a network of its kind"),
    (("lora_",), "LoRA layers without the network that they change"),
)
"""Beginnings (or parts) that names of another network have, all of them, after a prefix of a program."""


@dataclass(frozen=True, slots=True)
class Place:
    """The weights of SAM 2 in what was saved."""

    keys: tuple[str, ...]
    """Under which they lie; none where they are all of it."""
    named: Mapping[str, Tensor]
    """By the names in the file."""
    prefix: str
    """What a program put before each name."""
    of_transformers: bool
    """Whether they have transformers' names rather than SAM 2's own."""


@dataclass(frozen=True, slots=True)
class Names:
    """What the file calls the weights of SAM 2."""

    originals: Mapping[str, str]
    """By SAM 2's own names, those in the file."""
    unknown: tuple[str, ...]
    """Names in the file that transformers gives to no weight of SAM 2."""
    rows: Mapping[str, int]
    """By SAM 2's own names, which row of the tensor it is, where it is not all of it."""
    twins: tuple[str, str] | None
    """Two names in the file that stand for one weight: the matrix of positions, the picture's first."""
    of_transformers: bool


def names_in(place: Place) -> Names:
    """What is called what in `place`, without prefixes and infixes."""
    plain = {_plain(name)[len(place.prefix) :]: name for name in place.named if _plain(name).startswith(place.prefix)}
    if not place.of_transformers:
        return Names(plain, (), {}, None, place.of_transformers)
    originals: dict[str, str] = {}
    unknown = []
    rows: dict[str, int] = {}
    twins = None
    for name, original in plain.items():
        officials = from_transformers().get(name, ())
        if not officials:
            unknown.append(original)
        for official, row in officials:
            if official in originals:
                twins = originals[official], original
                twins = twins if twins[0].endswith(PICTURE_POSITIONS) else twins[::-1]
            originals[official] = original
            if row is not None:
                rows[official] = row
    return Names(originals, tuple(unknown), rows, twins, place.of_transformers)


def find(path: Path, tree: Any, official: str) -> Place:
    """Where the weights lie. Raises FileError where there are none, or more than one set of them.

    `official` is the name of the file that would do.
    """
    places = list(_places(tree))
    holding = [(keys, named, prefixes) for keys, named in places if (prefixes := _prefixes(named))]
    if not holding:
        raise _foreign(path, tree, places, official)
    if len(holding) > 1:
        known = [found for found in holding if not found[0] or found[0][-1] in WRAPPERS]
        holding = sorted(known, key=lambda found: [WRAPPERS.index(key) for key in found[0] if key in WRAPPERS])
    keys, named, prefixes = holding[0] if holding else ((), {}, [])
    bare = [found for found in prefixes if not found[0]]
    chosen = bare if len(bare) == 1 else prefixes
    if len(chosen) != 1:
        places_of = " and ".join(map(_said, prefixes[:3])) or "names that say nothing"
        raise refusal(
            path,
            f"holds SAM 2 more than once, under {places_of}",
            'Save the one that is meant: torch.save({"model": sam2.state_dict()}, FILE).',
        )
    (prefix, of_transformers) = chosen[0]
    if of_transformers and _has(named, PERCEIVER):  # over whatever image encoder
        raise _not_ours(path, EDGETAM, official)
    return Place(keys, named, prefix, of_transformers)


def _said(prefix: tuple[str, bool]) -> str:
    return repr(shown(prefix[0])) + (" (names of transformers)" if prefix[1] else "")


def _has(names: Iterable[str], part: str) -> bool:
    return any(name.startswith(part) or f".{part}" in name for name in names)


def _places(tree: Any) -> Iterator[tuple[tuple[str, ...], Mapping[str, Tensor]]]:
    """Each dict that holds tensors by their names, and under which keys it lies; the outer ones first."""
    waiting: list[tuple[tuple[str, ...], Any]] = [((), tree)]
    seen: set[int] = set()
    for keys, value in waiting:
        if not isinstance(value, dict) or id(value) in seen:  # a dict may hold itself, under a thousand names
            continue
        seen.add(id(value))
        named = {name: one for name, one in value.items() if isinstance(name, str) and isinstance(one, Tensor)}
        if named:
            yield keys, named
        if len(keys) < SEARCH_DEPTH:
            inner = sorted((key for key in value if isinstance(key, str)), key=lambda key: key not in WRAPPERS)
            waiting += [((*keys, key), value[key]) for key in inner]


def _prefixes(named: Mapping[str, Tensor]) -> list[tuple[str, bool]]:
    """What stands before SAM 2's names, and whether they are transformers'."""
    found = []
    for name in map(_plain, named):
        for expected in (EXPECTED, EXPECTED_OF_TRANSFORMERS):
            if name == expected or name.endswith(f".{expected}"):
                found.append((name.removesuffix(expected), expected == EXPECTED_OF_TRANSFORMERS))
    return found


def _plain(name: str) -> str:
    for infix in INFIXES:
        name = name.replace(infix, "")
    return name


def _foreign(
    path: Path, tree: Any, places: list[tuple[tuple[str, ...], Mapping[str, Tensor]]], official: str
) -> FileError:
    """The error for a file that holds tensors, but not those of SAM 2; or none."""
    if not places:
        inside = ", ".join(shown(str(key)[:30]) for key in list(tree)[:4]) if isinstance(tree, dict) else ""
        return refusal(path, f"holds no weights{f' (only {inside})' if inside else ''}", _way_out(official))
    _, named = max(places, key=lambda place: len(place[1]))
    for parts, whose in _FOREIGN:
        if all(_has(named, part) for part in parts):
            return _not_ours(path, whose, official)
    first = shown(next(iter(named)))
    return refusal(
        path, f"holds no weights of SAM 2: {EXPECTED} is missing, and the first is {first}", _way_out(official)
    )


def _not_ours(path: Path, whose: str, official: str) -> FileError:
    return refusal(path, f"holds the weights of {whose}", _way_out(official))


def _way_out(official: str) -> str:
    return f"Give {official}: sam2-plan checkpoints lists the official files."
