"""The weights of SAM 2 in a file: found under whatever name they were saved, and held against what a variant needs.

What passes here is what `sam2-plan check` passes and what `planner.load` takes: both ask this module and no other.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from planner.catalog.checkpoints import EXPECTED, HUB_ID, held_of, local_path
from planner.catalog.pickles import ITEM_BYTES, Tensor
from planner.catalog.weight_files import AGAIN, CUT, ZIP, Contents, look_into, refusal, shown
from planner.errors import FileError
from planner.nouns.official import official_hub_id, official_name
from planner.nouns.run import Configuration
from planner.nouns.words import Variant, Version
from planner.text.locations import profiles_folder

WRAPPERS = ("model", "state_dict", "model_state_dict", "model_state", "module", "net", "network", "weights", "params")
"""What programs call the weights beside an optimizer's state; of several in one file the first of these counts."""
INFIXES = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")
"""What torch.compile, checkpointing of activations and FSDP put into names."""
FLOATS = ("float32", "float16", "bfloat16", "float64")
SEARCH_DEPTH = 3
HIERA_ONLY = "image_encoder.trunk.pos_embed_window"
_FOREIGN: tuple[tuple[tuple[str, ...], str], ...] = (
    (("vision_encoder.backbone.", "memory_attention."), "SAM 2 under the names of transformers"),
    (("vision_encoder.backbone.", "mask_decoder."), "SAM 2 under the names of transformers"),
    (("detector_model.",), "SAM 3 (transformers)"),
    (("detector.", "tracker."), "SAM 3"),
    (("detector.backbone.",), "SAM 3"),
    (("spatial_perceiver.",), "EdgeTAM"),
    (("vision_encoder.layers.", "mask_decoder."), "SAM 1 under the names of transformers"),
    (("mask_decoder.", "prompt_encoder."), "SAM 1, or a network of its kind"),
    (("lora_",), "LoRA layers without the network that they change"),
)
"""Beginnings (or parts) that names of another network have, all of them, after a prefix of a program."""
THE_SAME_ELSEWHERE = "SAM 2 under the names of transformers"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file whose weights are those of a variant and version, whole and of the right shapes."""

    path: Path
    form: str
    """One of the forms of planner.catalog.weight_files."""
    keys: tuple[str, ...]
    """Under which the weights lie in what was saved; none where they are all of it."""
    names: Mapping[str, str]
    """By SAM 2's own names, those in the file."""
    prefix: str
    """What a program put before each name."""

    @property
    def shape(self) -> str:
        """In what shape they were found, where it is not that of the official files; else empty."""
        if self.keys == ("model",) and not self.prefix:
            return ""
        where = f'under "{shown(".".join(self.keys))}"' if self.keys else "without an outer name"
        return where + (f', each name after "{shown(self.prefix)}"' if self.prefix else "")


def accept(path: Path, configuration: Configuration) -> Accepted:
    """The weights of a file, if `configuration` can run with them.

    Raises FileError for any other file, which says what it is or what it lacks, and the way out.
    """
    contents = look_into(path)
    keys, named, prefix = _found(path, contents.tree, official_name(configuration))
    names = {_plain(name)[len(prefix) :]: name for name in named if _plain(name).startswith(prefix)}
    tensors = {name: named[original] for name, original in names.items()}
    _check_variant(path, tensors, configuration)
    _check_names(path, tensors, configuration)
    _check_tensors(path, tensors, configuration)
    _check_storages(path, tensors, contents)
    return Accepted(path, contents.form, keys, names, prefix)


@lru_cache(maxsize=8)
def needed_tensors(variant: Variant, version: Version) -> Mapping[str, tuple[int, ...]]:
    """Shapes of a variant's weights by their names, from profiles/tensors.tsv."""
    needed: dict[str, tuple[int, ...]] = {}
    for line in (profiles_folder() / "tensors.tsv").read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        variants, versions, blocks, name, shape = line.split("\t")
        if variant in variants.split(",") and version in versions.split(","):
            sizes = tuple(map(int, shape.split("x")))
            needed.update((name.replace("#", block), sizes) for block in _numbers(blocks))
    return needed


def _numbers(ranges: str) -> Iterator[str]:
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        yield from [first] if not last else map(str, range(int(first), int(last) + 1))


# -- finding them -------------------------------------------------------------------------------------------


def _found(path: Path, tree: Any, official: str) -> tuple[tuple[str, ...], Mapping[str, Tensor], str]:
    """Where the weights of SAM 2 lie, their names and tensors, and what stands before each name."""
    places = list(_places(tree))
    holding = [(keys, named, prefixes) for keys, named in places if (prefixes := _prefixes(named))]
    if not holding:
        raise _foreign(path, tree, places, official)
    if len(holding) > 1:
        known = [found for found in holding if not found[0] or found[0][-1] in WRAPPERS]
        holding = sorted(known, key=lambda found: [WRAPPERS.index(key) for key in found[0] if key in WRAPPERS])
    keys, named, prefixes = holding[0] if holding else ((), {}, [])
    prefix = "" if "" in prefixes else prefixes[0] if len(prefixes) == 1 else None
    if prefix is None:
        places_of = " and ".join(repr(shown(prefix)) for prefix in prefixes[:3]) or "names that say nothing"
        raise refusal(
            path,
            f"holds SAM 2 more than once, under {places_of}",
            'Save the one that is meant: torch.save({"model": sam2.state_dict()}, FILE).',
        )
    return keys, named, prefix


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


def _prefixes(named: Mapping[str, Tensor]) -> list[str]:
    plain = (_plain(name) for name in named)
    return [name.removesuffix(EXPECTED) for name in plain if name == EXPECTED or name.endswith(f".{EXPECTED}")]


def _plain(name: str) -> str:
    for infix in INFIXES:
        name = name.replace(infix, "")
    return name


def _foreign(
    path: Path, tree: Any, places: list[tuple[tuple[str, ...], Mapping[str, Tensor]]], official: str
) -> FileError:
    """The error for a file that holds tensors, but not those of SAM 2; or none."""
    way_out = f"Give {official}: sam2-plan checkpoints lists the official files."
    if not places:
        inside = ", ".join(shown(str(key)[:30]) for key in list(tree)[:4]) if isinstance(tree, dict) else ""
        return refusal(path, f"holds no weights{f' (only {inside})' if inside else ''}", way_out)
    _, named = max(places, key=lambda place: len(place[1]))
    for parts, what in _FOREIGN:
        if all(any(name.startswith(part) or f".{part}" in name for name in named) for part in parts):
            if what == THE_SAME_ELSEWHERE:
                way_out = f"Give {official}, which lies beside it on the hub."
            return refusal(path, f"holds the weights of {what}", way_out)
    return refusal(
        path, f"holds no weights of SAM 2: {EXPECTED} is missing, and the first is {shown(next(iter(named)))}", way_out
    )


# -- judging them -------------------------------------------------------------------------------------------


def _check_variant(path: Path, tensors: Mapping[str, Tensor], configuration: Configuration) -> None:
    held = held_of(tensors)
    if held is None or HIERA_ONLY not in tensors:
        raise refusal(
            path,
            "holds a tracker of SAM 2's kind with another image encoder, such as EfficientTAM's",
            f"Give {official_name(configuration)}: sam2-plan checkpoints lists the official files.",
        )
    if (held.variant, held.version) != (configuration.variant, configuration.version):
        found = f"{held.variant or 'an unknown variant'} {held.version}"
        raise refusal(
            path,
            f"holds {found}, but the plan is for {configuration.variant} {configuration.version}",
            f"Give {official_name(configuration)}, or plan with --variant and --version as in the file.",
        )


def _check_names(path: Path, tensors: Mapping[str, Tensor], configuration: Configuration) -> None:
    kind = f"{configuration.variant} {configuration.version}"
    needed = needed_tensors(configuration.variant, configuration.version)
    missing = [name for name in needed if name not in tensors]
    extra = [name for name in tensors if name not in needed]
    if extra:
        raise refusal(
            path,
            f"holds a changed network: {len(extra)} weights that {kind} has not, such as {shown(extra[0])}"
            + (f", and {len(missing)} are missing" if missing else ""),
            "Merge the LoRA layers into the network before it is saved."
            if any("lora" in name.lower() for name in extra)
            else "Give weights of the unchanged network, official or trained further.",
        )
    if missing:
        raise refusal(
            path,
            f"is not a complete checkpoint: {len(missing)} of the {len(needed)} weights of {kind} are missing, such"
            f" as {missing[0]}",
            f"Give {official_name(configuration)} ({official_hub_id(configuration)}), or one saved whole.",
        )


def _check_tensors(path: Path, tensors: Mapping[str, Tensor], configuration: Configuration) -> None:
    needed = needed_tensors(configuration.variant, configuration.version)
    for name, tensor in tensors.items():
        if tensor.shape != needed[name] or tensor.type not in FLOATS:
            raise refusal(
                path,
                f"holds {name} in the shape {tensor.shape} and the type {tensor.type}, not {needed[name]} of"
                " floating-point numbers",
                f"Give {official_name(configuration)}, or weights that are neither cut down nor quantised.",
            )


def _check_storages(path: Path, tensors: Mapping[str, Tensor], contents: Contents) -> None:
    """Check that the bytes that a zip archive lists are there, not compressed."""
    if contents.form != ZIP or contents.intact is None:
        return
    for name, tensor in tensors.items():
        storage = tensor.storage
        there = None if storage is None else contents.intact.get(storage.key)
        if storage and (there is None or there < storage.items * ITEM_BYTES.get(storage.type, 1)):
            raise refusal(path, f"{CUT}: the bytes of {name} are missing", AGAIN)


def missing(configuration: Configuration, path: Path) -> FileError:
    """The error for a checkpoint that is not there."""
    fetch = f"sam2-plan checkpoints --variant {configuration.variant} --version {configuration.version} --download"
    return FileError(
        f"There is no checkpoint {path}.",
        f"Give the path of {official_name(configuration)}, a folder that holds it, or its id on the hub; `{fetch}`"
        " fetches it.",
    )


def require_checkpoint(configuration: Configuration, checkpoint: str | Path) -> None:
    """Raise FileError for a file that is not there or that `configuration` cannot run with.

    What may be an id of the hub is left to whoever fetches it.
    """
    path = local_path(configuration, checkpoint)
    if os.path.isfile(path):  # not pathlib: it raises where a folder may not be looked into
        accept(path, configuration)
    elif not HUB_ID.fullmatch(str(checkpoint)):
        raise missing(configuration, path)
