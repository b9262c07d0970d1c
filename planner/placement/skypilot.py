"""SkyPilot: a task that asks for a GPU which holds the plan, wherever a cloud has one.

Keys: https://docs.skypilot.co/en/latest/reference/yaml-spec.html.
"""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from planner.catalog.capability import why_unsupported
from planner.errors import UsageError
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.words import ShareKind
from planner.placement.placement import ANY_HOST, Card, Host, Job, Placement, Share, rounded_up
from planner.placement.share import allot, cautions
from planner.placement.tables import listed
from planner.text.locations import profiles_folder
from planner.text.strict_yaml import Fields, read
from planner.text.units import exact_size
from planner.version import __version__

SETUP = f'pip install "sam2-plan[run]=={__version__}"\n'
"""Installs the release that made the plan: another one may predict other bytes."""
GIBIBYTE = 2**30
IGNORED = "files that .gitignore or .git/info/exclude names are not sent along (clips and checkpoints often are)"
"""https://docs.skypilot.co/en/latest/examples/syncing-code-artifacts.html"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accelerator:
    """A GPU as SkyPilot's catalogue names it."""

    name: str
    names: tuple[str, ...]
    """As people write it."""
    gigabytes: int
    """At least so many."""
    capability: tuple[int, int]


@lru_cache(maxsize=2)
def accelerators(path: Path | None = None) -> tuple[Accelerator, ...]:
    """Those that are known here. Raises FileError if the file is broken."""
    path = path or profiles_folder() / "accelerators.yaml"
    fields = Fields(read(path), str(path), "the table of accelerators")
    if fields.integer("schema_version") != 1:
        raise fields.complaint("schema_version is not 1", "Take the file of this release.", "schema_version")
    found = tuple(
        Accelerator(
            name=entry.text("name"),
            names=(entry.text("gpu"),),
            gigabytes=entry.integer("gigabytes", 1, 10_000),
            capability=_capability(entry),
        )
        for entry in fields.entries("accelerators")
    )
    fields.end()
    return found


def _capability(entry: Fields) -> tuple[int, int]:
    major, _, minor = entry.text("capability").partition(".")
    if not (major.isdecimal() and minor.isdecimal()):
        raise entry.complaint("capability is not a version", 'Write it as "8.0".', "capability")
    return int(major), int(minor)


def place_on_skypilot(
    plan: Plan,
    job: Job,
    *,
    image: str | None = None,
    gpu: str | int | None = None,
    share: ShareKind = "bound",
    host: Host = ANY_HOST,
) -> Placement:
    """A task. The current folder goes along as its workdir, so paths are relative to it.

    image: a Docker image that has sam2-plan; else it is installed at setup. Of a GPU that is named, that one; else any
    that holds the share and runs the configuration, and SkyPilot takes the cheapest. Raises UsageError for a GPU that
    SkyPilot has no name for and paths that would not go along, ShareTooLarge where the card is too small.
    """
    configuration, allotted, card = allot(plan, share, gpu)
    _check(job, image)
    resources: dict[str, Any] = {"accelerators": dict.fromkeys(_names(allotted, card, configuration), 1)}
    if host.cpus is not None:
        resources["cpus"] = f"{host.cpus}+"
    if host.memory_bytes is not None:
        resources["memory"] = f"{rounded_up(host.memory_bytes, GIBIBYTE)}+"
    if image is not None:
        resources["image_id"] = f"docker:{image}"
    task: dict[str, Any] = {
        "name": job.name,
        "resources": resources,
        "workdir": ".",
        "envs": {CAP_VARIABLE: exact_size(allotted.bytes)},
    }
    if image is None:
        task["setup"] = SETUP
    task["run"] = f"set -eu\n{job.check}\n{job.run}\n"
    return Placement(
        engine="skypilot",
        configuration=configuration,
        share=allotted,
        card=card,
        manifest=task,
        warnings=(*cautions(plan, card, gpu), IGNORED),
    )


def _names(share: Share, card: Card | None, configuration: Configuration) -> list[str]:
    """The card's own name, or all that are large and new enough, smallest first."""
    if card is not None and card.name is not None:
        found = listed(card, accelerators())
        if found is None:
            known = ", ".join(one.names[0] for one in accelerators())
            raise UsageError(
                f"What SkyPilot calls {card.name} is not known.",
                f"Name one of: {known}; or give the memory: --gpu 24GB.",
            )
        return [found.name]
    least = share.bytes if card is None else card.total_bytes
    names = [
        one.name
        for one in accelerators()
        if one.gigabytes * 10**9 >= least
        and why_unsupported(configuration.precision, configuration.attention, one.capability) is None
    ]
    if not names:
        largest = max(one.gigabytes for one in accelerators())
        raise UsageError(f"No accelerator that is known here has {least:,} bytes.", f"The largest has {largest} GB.")
    return names


def _check(job: Job, image: str | None) -> None:
    """Raises UsageError for what would not be there on the machine that SkyPilot starts."""
    for what, path in (("plan", job.plan_path), ("input", job.source), ("checkpoint", job.checkpoint or ".")):
        outside = posixpath.isabs(path) or posixpath.normpath(path).startswith("..")
        if outside and "://" not in path:
            raise UsageError(
                f"The {what} {path} would not go along: SkyPilot sends the current folder.",
                "Put it there, and give its path relative to it.",
            )
    if image is not None and (not image or any(letter.isspace() for letter in image)):
        raise UsageError(f"{image!r} is not the name of an image.", "Write registry/name:tag, without spaces.")
