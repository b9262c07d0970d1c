"""Prompts in a JSON file: {"prompts": [...]}, or the list alone."""

from __future__ import annotations

import sys
from pathlib import Path

from planner.errors import FileError
from planner.prompts.prompts import PROMPT_FORMS, Prompt, checked
from planner.text import strict_yaml as documents

FILE_FORMS = f'Write {{"prompts": [...]}}. {PROMPT_FORMS}'


def read_prompts(
    path: str | Path, size: tuple[int, int], length: int | None, orientation: str = ""
) -> tuple[Prompt, ...]:
    """The prompts of a file, checked against the clip's (height, width) and its frames if known.

    `-` is standard input. Entries are those of `prompts_from`; a mask is a path relative to the file, or COCO run
    lengths. The file's schema ships as prompts.schema.json. Raises FileError with the line.
    """
    path = Path(path)
    if str(path) == "-":
        path = Path("standard input")
        document = documents.parse(_typed(), str(path))
    else:
        document = documents.read(path, "a file of prompts")
    if isinstance(document, dict):
        fields = documents.Fields(document, str(path), "the file")
        items = fields.items("prompts")
        fields.end()
    elif isinstance(document, list):
        items = document
    else:
        raise FileError(f"{path} holds no list of prompts.", FILE_FORMS)
    if not items:
        raise FileError(f"{path} holds no prompts: its list is empty.", FILE_FORMS)
    return checked(items, size, length, path, orientation)


def _typed() -> str:
    """What comes by standard input."""
    try:
        text = sys.stdin.read(documents.MAXIMUM_BYTES + 1)
    except (OSError, ValueError) as error:
        raise FileError(f"Standard input cannot be read: {error}.", FILE_FORMS) from None
    if len(text) > documents.MAXIMUM_BYTES:
        raise FileError("Standard input holds more than 16 MiB, which no list of prompts needs.", FILE_FORMS)
    return text
