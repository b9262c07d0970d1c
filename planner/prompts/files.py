"""Prompts in a JSON file: {"prompts": [...]}, or the list alone."""

from __future__ import annotations

from pathlib import Path

from planner import documents
from planner.errors import FileError
from planner.prompts.prompts import PROMPT_FORMS, Prompt, checked

FILE_FORMS = f'Write {{"prompts": [...]}}. {PROMPT_FORMS}'


def read_prompts(path: str | Path, size: tuple[int, int], length: int | None) -> tuple[Prompt, ...]:
    """The prompts of a file, checked against the clip's (height, width) and its frames if known.

    Entries are those of `prompts_from`; a mask is a path relative to the file, or COCO run lengths. The file's schema
    ships as prompts.schema.json. Raises FileError with the line.
    """
    path = Path(path)
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
    return checked(items, size, length, path)
