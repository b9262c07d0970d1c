"""What runs on the worker, checked before a scheduler sees it: names, paths and arguments that survive the way."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from planner.errors import UsageError
from planner.placement.placement import Host, Job
from planner.text.units import check_size, parse_count, parse_size

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.ASCII)
"""A DNS-1123 label, which Kubernetes asks of the names of Jobs and namespaces
(https://kubernetes.io/docs/concepts/overview/working-with-objects/names/)."""
LABEL_FORMS = "Use lower-case letters, digits and dashes, a letter or digit first and last, at most 63 of them."
_SET_HERE = ("--out", "--checkpoint")


def make_job(
    *,
    source: str,
    out: str,
    plan_path: str,
    checkpoint: str | None,
    arguments: Sequence[str],
    name: str,
) -> Job:
    """The job. Raises UsageError for a name, a path or an argument that would not arrive as it was meant."""
    words = tuple(_word(word, "an argument") for word in arguments)
    for word in words:
        if word.partition("=")[0] in _SET_HERE:
            option = word.partition("=")[0]
            raise UsageError(f"{option} stands among the arguments of the run.", f"Give {option} itself, in front.")
    if (checkpoint is None) != ("--random-weights" in words):
        raise UsageError(
            "There are no weights." if checkpoint is None else "A checkpoint and random weights exclude each other.",
            "Give --checkpoint, or --random-weights among the arguments of the run to try memory and speed.",
        )
    return Job(
        name=label(name, "name"),
        plan_path=_path(plan_path, "the plan"),
        source=_path(source, "the input"),
        out=_path(out, "the folder for the masks"),
        checkpoint=None if checkpoint is None else _path(checkpoint, "the checkpoint"),
        arguments=words,
    )


def make_host(memory: str | int | None, cpus: str | int | None) -> Host:
    """What the job is given beside the GPU. Raises UsageError for a size or a number that makes no sense."""
    memory_bytes = None
    if memory is not None:
        memory_bytes = check_size(memory) if isinstance(memory, int) else parse_size(memory)
    return Host(memory_bytes=memory_bytes, cpus=None if cpus is None else parse_count(cpus, "cpus"))


def label(text: str, what: str) -> str:
    """The text, if it is a DNS-1123 label; else UsageError, with one that is near."""
    if isinstance(text, str) and LABEL.fullmatch(text):
        return text
    near = re.sub(r"[^a-z0-9]+", "-", str(text).lower()).strip("-")[:63].strip("-")
    hint = f"{LABEL_FORMS} Near: {near}." if near else LABEL_FORMS
    raise UsageError(f"{text!r} is not a {what} that schedulers take.", hint)


def _path(text: str, what: str) -> str:
    path = _word(str(text), what)
    if not path.strip():
        raise UsageError(f"{what[:1].upper()}{what[1:]} has no path.", "Give the path that the worker sees.")
    if path.startswith("-"):
        raise UsageError(f"{path!r} would be read as an option.", f"Write ./{path}.")
    return path


def _word(text: str, what: str) -> str:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        raise UsageError(f"{text!r} cannot be {what}: it is not UTF-8 text.", "Rename it.") from None
    # Zl and Zp are lines' and paragraphs' ends, as YAML reads them.
    if any(unicodedata.category(letter) in ("Cc", "Zl", "Zp") and letter not in "\n\t" for letter in text):
        raise UsageError(f"{text!r} cannot be {what}: it holds a control character.", "Rename it.")
    return text
