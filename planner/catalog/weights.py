"""The weights of SAM 2 in a file: found under whatever name they were saved, and held against what a variant needs.

What passes here is what `sam2-plan check` passes and what `planner.load` takes: both ask this module and no other.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from planner.catalog.checkpoints import HUB_ID, held_of, local_path
from planner.catalog.pickles import ITEM_BYTES, Tensor
from planner.catalog.weight_files import AGAIN, CUT, LEGACY, ZIP, Contents, bytes_of, look_into, refusal, shown
from planner.catalog.weight_names import POINT_KINDS, in_transformers, is_video_only, needed_tensors
from planner.catalog.weight_places import Names, Place, find, names_in
from planner.errors import FileError
from planner.nouns.official import official_hub_id, official_name
from planner.nouns.run import Configuration

FLOATS = ("float32", "float16", "bfloat16", "float64")
HIERA_ONLY = "image_encoder.trunk.pos_embed_window"


@dataclass(frozen=True, slots=True)
class Accepted:
    """A file whose weights are those of a variant and version, whole and of the right shapes."""

    path: Path
    form: str
    """One of the forms of planner.catalog.weight_files."""
    place: Place
    """Where they lie in what was saved."""
    names: Names
    """What the file calls them."""
    pictures_only: bool
    """Whether the weights that only video needs are left out, as in transformers' Sam2Model."""

    @property
    def shape(self) -> str:
        """In what shape they were found, where it is not that of the official files; else empty."""
        place = self.place
        if place.of_transformers:
            where = ["under the names of transformers"]
            where += [f'under "{shown(".".join(place.keys))}"'] if place.keys else []
        elif place.keys == ("model",) and not place.prefix and not self.pictures_only:
            where = []
        else:
            where = [f'under "{shown(".".join(place.keys))}"' if place.keys else "without an outer name"]
        where += [f'each name after "{shown(place.prefix)}"'] if place.prefix else []
        where += ["for pictures only"] if self.pictures_only else []
        return ", ".join(where)


def accept(path: Path, configuration: Configuration, *, video: bool = True) -> Accepted:
    """The weights of a file, if `configuration` can run with them; without `video`, on pictures.

    Raises FileError for any other file, which says what it is or what it lacks, and the way out.
    """
    contents = look_into(path)
    place = find(path, contents.tree, official_name(configuration))
    names = names_in(place)
    tensors = {name: place.named[original] for name, original in names.originals.items()}
    pictures_only = not any(map(is_video_only, tensors))
    _check_variant(path, tensors, configuration, pictures_only)
    if pictures_only and video:
        raise refusal(
            path,
            "holds SAM 2 for pictures only: all weights of tracking are missing",
            "Save Sam2VideoModel instead of Sam2Model, or plan with --task image."
            if place.of_transformers
            else f"Give {official_name(configuration)}, or plan with --task image.",
        )
    _check_names(path, names, configuration, pictures_only)
    _check_tensors(path, tensors, names, configuration)
    _check_storages(path, tensors, contents)
    _check_twins(path, names, place, contents)
    return Accepted(path, contents.form, place, names, pictures_only)


# -- judging them -------------------------------------------------------------------------------------------


def _check_variant(
    path: Path, tensors: Mapping[str, Tensor], configuration: Configuration, pictures_only: bool
) -> None:
    held = held_of(tensors)
    if held is None or HIERA_ONLY not in tensors:
        raise refusal(
            path,
            "holds a tracker of SAM 2's kind with another image encoder, such as EfficientTAM's",
            f"Give {official_name(configuration)}: sam2-plan checkpoints lists the official files.",
        )
    # Versions differ in weights of tracking alone, so of a file without them the plan's own word is taken.
    version = configuration.version if pictures_only else held.version
    if (held.variant, version) != (configuration.variant, configuration.version):
        found = f"{held.variant or 'an unknown variant'} {version}"
        raise refusal(
            path,
            f"holds {found}, but the plan is for {configuration.variant} {configuration.version}",
            f"Give {official_name(configuration)}, or plan with --variant and --version as in the file.",
        )


def _check_names(path: Path, names: Names, configuration: Configuration, pictures_only: bool) -> None:
    kind = f"{configuration.variant} {configuration.version}"
    all_needed = needed_tensors(configuration.variant, configuration.version)
    needed = [name for name in all_needed if not (pictures_only and is_video_only(name))]
    missing = [name for name in needed if name not in names.originals]
    extra = [original for name, original in names.originals.items() if name not in all_needed] + [*names.unknown]
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
            f" as {in_transformers(missing[0]).name if names.of_transformers else missing[0]}",
            f"Give {official_name(configuration)} ({official_hub_id(configuration)}), or one saved whole.",
        )


def _check_tensors(path: Path, tensors: Mapping[str, Tensor], names: Names, configuration: Configuration) -> None:
    needed = needed_tensors(configuration.variant, configuration.version)
    for name, tensor in tensors.items():
        shape = (POINT_KINDS, *needed[name][1:]) if name in names.rows else needed[name]
        if tensor.shape != shape or tensor.type not in FLOATS:
            called = shown(names.originals[name]) if names.of_transformers else name
            raise refusal(
                path,
                f"holds {called} in the shape {tensor.shape} and the type {tensor.type}, not {shape} of"
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


def _check_twins(path: Path, names: Names, place: Place, contents: Contents) -> None:
    """Check that two tensors of the file that stand for one weight hold the same bytes.

    transformers computes the positions of points with the one and those of the picture with the other.
    """
    if names.twins is None:
        return
    if contents.form == LEGACY:
        raise refusal(
            path,
            "holds names of transformers in the format that torch wrote before 1.6",
            "Save it as transformers does: model.save_pretrained(FOLDER).",
        )
    first, second = (place.named[original] for original in names.twins)
    if first.storage is not None and first == second:
        return
    if (first.shape, first.type) != (second.shape, second.type) or (
        bytes_of(path, contents, names.twins[0], first) != bytes_of(path, contents, names.twins[1], second)
    ):
        raise refusal(
            path,
            f"holds two matrices of positions that differ ({shown(names.twins[0])} and {shown(names.twins[1])}), where"
            " SAM 2 has one",
            "Of a file that transformers 4 saved, transformers 5 makes one of them up: give that file itself, or copy"
            " the first over the second before saving.",
        )


def missing(configuration: Configuration, path: Path) -> FileError:
    """The error for a checkpoint that is not there."""
    fetch = f"sam2-plan checkpoints --variant {configuration.variant} --version {configuration.version} --download"
    return FileError(
        f"There is no checkpoint {path}.",
        f"Give the path of {official_name(configuration)}, a folder that holds it or model.safetensors, or its id on"
        f" the hub; `{fetch}` fetches it.",
    )


def require_checkpoint(configuration: Configuration, checkpoint: str | Path, *, video: bool = True) -> None:
    """Raise FileError for a file that is not there or that `configuration` cannot run with, as `accept` does.

    What may be an id of the hub is left to whoever fetches it.
    """
    path = local_path(configuration, checkpoint)
    if os.path.isfile(path):  # not pathlib: it raises where a folder may not be looked into
        accept(path, configuration, video=video)
    elif not HUB_ID.fullmatch(str(checkpoint)):
        raise missing(configuration, path)
