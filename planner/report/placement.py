"""A placement as the text that a scheduler reads, and as a document."""

from __future__ import annotations

import json
from typing import Any

import yaml

from planner.nouns.machine import CAP_VARIABLE
from planner.placement.placement import Placement
from planner.text.command_lines import describe
from planner.text.units import exact_size, format_size
from planner.wire.placement import PLACEMENT

NO_CARD = "neither the plan nor the command names a GPU: any that holds the share will do"
NO_NAME = "only its memory was given"


class _Dumper(yaml.SafeDumper):
    """Writes texts of several lines as blocks, so that a script inside a manifest can be read."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _text)


def placement_document(found: Placement) -> dict[str, Any]:
    """The placement as plain data. Nothing is omitted: what is not known is null, with a reason."""
    card = found.card
    return PLACEMENT.write(
        found,
        gpu_reason=NO_CARD if card is None else NO_NAME if card.name is None else None,
        cap={"variable": CAP_VARIABLE, "value": exact_size(found.share.bytes)},
    )


def placement_text(found: Placement) -> str:
    """What the scheduler, or for Ray the program, reads; what it rests on stands above it as comments."""
    comments = [_comment(line) for line in _remarks(found)]
    if found.engine == "slurm":
        shebang, _, rest = found.manifest.partition("\n")
        return "\n".join([shebang, *comments, rest])
    if found.engine == "ray":
        # Texts, numbers and mappings of them are written alike in JSON and in Python.
        return "\n".join([*comments, f"options = {json.dumps(found.manifest, indent=4)}", ""])
    documents = found.manifest if isinstance(found.manifest, list) else [found.manifest]
    return "\n".join([*comments, "---\n".join(_yaml(document) for document in documents)])


def _remarks(found: Placement) -> list[str]:
    card = found.card
    lines = [f"{describe(found.configuration)}: {format_size(found.share.bytes)} on the GPU ({found.share.reason})"]
    if card is not None:
        lines.append(f"held against {card.name or 'a GPU'} of {format_size(card.total_bytes)}")
    if found.engine == "ray":
        lines.append(
            "@ray.remote(**options) on a task or an actor; a task that gets them by .options() keeps its memory"
        )
    return [*lines, *(f"! {warning}" for warning in found.warnings)]


def _comment(text: str) -> str:
    # A name out of a plan that somebody edited must not end the comment and go on as a line of the script.
    return f"# {' '.join(text.split())}"


def _yaml(document: object) -> str:
    # Plain data of their own: what occurs twice would else be written as an anchor.
    plain = json.loads(json.dumps(document))
    text: str = yaml.dump(plain, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000)
    # A block at the end comes without its last newline, and would be read back without it.
    return text if text.endswith("\n") else f"{text}\n"
