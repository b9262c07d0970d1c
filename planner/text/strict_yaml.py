"""Strict YAML and JSON text to plain data that remembers its lines, and back.

Knows nothing of what a document means. Only plain data are accepted: no tags, anchors, aliases,
duplicate keys or surprising scalars, whatever the file's author intended.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, overload

import yaml

from planner.errors import FileError
from planner.text.spelling import Word, check_word, remedy

_Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_Dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)

MAXIMUM_BYTES = 16 * 2**20
MAXIMUM_DEPTH = 24
_INTEGER = re.compile(r"[-+]?\d{1,40}")
_FLOAT = re.compile(r"[-+]?(\d{1,300}\.?\d{0,30}|\.\d{1,30})(e[-+]?\d{1,3})?", re.IGNORECASE)
_WORDS: dict[str, bool | None] = {"true": True, "false": False, "null": None, "~": None, "": None}


class Mapping(dict[str, Any]):
    """A mapping that knows the line each key stands on, counted from 1."""

    lines: dict[str, int]
    line: int


class Fields:
    """Typed access to one mapping of a document; every complaint names file, line and remedy."""

    def __init__(self, value: object, source: str, what: str, line: int = 1) -> None:
        self.source, self.what = source, what
        self.line = getattr(value, "line", line)
        if not isinstance(value, dict):
            raise self.complaint(f"{what} must be a mapping, not {_kind(value)}", "Write key: value lines.")
        self._value: dict[str, Any] = value
        self._seen: set[str] = set()

    def complaint(self, message: str, hint: str, key: str | None = None) -> FileError:
        """The error for a fault at `key`, or in the mapping as a whole."""
        lines = getattr(self._value, "lines", {}) if hasattr(self, "_value") else {}
        return FileError(f"{self.source}, line {lines.get(key, self.line)}: {message}.", hint)

    def __contains__(self, key: str) -> bool:
        return key in self._value

    def any(self, key: str, nullable: bool = False) -> Any:
        """The value as it stands; the key must be there. `nullable`: null would do, which the error then says."""
        self._seen.add(key)
        if key not in self._value:
            null = " (null if it is not known)" if nullable else ""
            raise self.complaint(f"{self.what} has no {key!r}", f"Add a line {key}: ...{null}")
        return self._value[key]

    @overload
    def text(self, key: str) -> str: ...

    @overload
    def text(self, key: str, choices: tuple[Word, ...]) -> Word: ...

    def text(self, key: str, choices: tuple[Word, ...] | None = None) -> Word | str:
        """A non-empty string, one of `choices` if given."""
        value = self.any(key)
        if not isinstance(value, str) or not value:
            raise self.complaint(f"{key} must be text, not {_kind(value)}", "Put it in quotes.", key)
        if choices is None:
            return value
        return self._word(key, "is", value, choices)

    def _word(self, key: str, verb: str, value: str, choices: tuple[Word, ...]) -> Word:
        return check_word(value, key, choices, lambda hint: self.complaint(f"{key} {verb} {value!r}", hint, key))

    def integer(self, key: str, minimum: int = 0, maximum: int = 10**40) -> int:
        """A whole number within the limits."""
        value = self.any(key)
        if isinstance(value, bool) or not isinstance(value, int) or not minimum <= value <= maximum:
            hint = f"Give a whole number from {minimum} to {maximum}."
            raise self.complaint(f"{key} is {_kind(value)}", hint, key)
        return value

    def number(self, key: str, minimum: float = 0.0, maximum: float = 1e18) -> float:
        """A finite number within the limits."""
        value = self.any(key)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not minimum <= value <= maximum:
            raise self.complaint(f"{key} is {_kind(value)}", f"Give a number from {minimum:g} to {maximum:g}.", key)
        return float(value)

    def boolean(self, key: str) -> bool:
        """True or false."""
        value = self.any(key)
        if not isinstance(value, bool):
            raise self.complaint(f"{key} is {_kind(value)}", "Write true or false.", key)
        return value

    def pair(self, key: str) -> tuple[int, int]:
        """[height, width], two positive whole numbers."""
        return self._pair(key, self.any(key))

    def pairs(self, key: str) -> list[tuple[int, int]]:
        """A list, not empty, of [height, width]."""
        items = self.items(key)
        if not items:
            raise self.complaint(f"{key} is empty", "Write [height, width] entries.", key)
        return [self._pair(key, item) for item in items]

    def _pair(self, key: str, value: Any) -> tuple[int, int]:
        good = isinstance(value, list) and len(value) == 2
        if not good or not all(isinstance(v, int) and not isinstance(v, bool) and 0 < v < 10**6 for v in value):
            raise self.complaint(f"{key} is {_kind(value)}", "Write [height, width] in pixels.", key)
        return value[0], value[1]

    def fields(self, key: str) -> Fields:
        """The mapping under `key`."""
        value = self.any(key)
        return Fields(value, self.source, key, getattr(self._value, "lines", {}).get(key, self.line))

    def entries(self, key: str) -> list[Fields]:
        """The list of mappings under `key`."""
        return [Fields(item, self.source, f"an entry of {key}", self.line) for item in self.items(key)]

    def items(self, key: str) -> list[Any]:
        """The list under `key`."""
        value = self.any(key)
        if not isinstance(value, list):
            raise self.complaint(f"{key} must be a list, not {_kind(value)}", "Start each entry with a dash.", key)
        return value

    def or_none(self, key: str) -> bool:
        """True where the key holds null, which then counts as read."""
        return self.any(key, nullable=True) is None

    @overload
    def optional_text(self, key: str) -> str | None: ...

    @overload
    def optional_text(self, key: str, choices: tuple[Word, ...]) -> Word | None: ...

    def optional_text(self, key: str, choices: tuple[Word, ...] | None = None) -> Word | str | None:
        """Text, or null."""
        if self.or_none(key):
            return None
        return self.text(key) if choices is None else self.text(key, choices)

    def optional_integer(self, key: str, minimum: int = 0) -> int | None:
        """A whole number, or null."""
        return None if self.or_none(key) else self.integer(key, minimum)

    def optional_release(self, key: str) -> tuple[int, int] | None:
        """[major, minor], or null."""
        if self.or_none(key):
            return None
        value = self.items(key)
        if len(value) != 2 or not all(type(item) is int and 0 <= item < 100 for item in value):
            raise self.complaint(f"{key} is {value!r}"[:80], "Write [major, minor].", key)
        return value[0], value[1]

    @overload
    def texts(self, key: str) -> list[str]: ...

    @overload
    def texts(self, key: str, choices: tuple[Word, ...]) -> list[Word]: ...

    def texts(self, key: str, choices: tuple[Word, ...] | None = None) -> list[Word] | list[str]:
        """A list of strings, each one of `choices` if given."""
        items = self.items(key)
        if not all(isinstance(item, str) for item in items):
            raise self.complaint(f"{key} holds something else than text", "Put each entry in quotes.", key)
        if choices is None:
            return items
        return [self._word(key, "holds", item, choices) for item in items]

    def names(self) -> tuple[str, ...]:
        """The keys in their order."""
        return tuple(self._value)

    def named(self) -> Iterator[tuple[str, Fields]]:
        """Each key with the mapping under it."""
        for key in self._value:
            yield key, self.fields(key)

    def end(self, known: Iterable[str] = ()) -> None:
        """Complain of keys that nobody asked for: most are misspelt. `known`: those that might have been there."""
        for key in self._value:
            if key not in self._seen:
                hint = remedy(key, sorted({*self._seen, *known}), "Known here")
                raise self.complaint(f"{self.what} has an unknown {key[:60]!r}", hint, key)


class EmptyFile(FileError):
    """It has no content, or only comments: for some files that is fine."""


def parse(text: str, source: str) -> Any:
    """Plain data of a YAML (or JSON) text; mappings are `Mapping`s. `source` names the file in errors.

    Raises EmptyFile for one that says nothing, FileError for broken text, several documents, tags, anchors, duplicate
    keys, or deep nesting.
    """
    try:
        loader = _Loader(text)
        try:
            return _Builder(loader, source).document()
        finally:
            loader.dispose()
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "it is not YAML"
        raise FileError(
            f"{source}{line}: {problem}.", "Correct the line, or take the file as it was shipped."
        ) from None


def read(path: Path, what: str = "a plan or a profile") -> Any:
    """Plain data of a file; a FileError says why it cannot be had, and that it is not `what`."""
    try:
        with path.open("rb") as file:
            data = file.read(MAXIMUM_BYTES + 1)
    except OSError as error:
        raise FileError(f"{path}: {error.strerror or error}.", "Check the path.") from None
    except ValueError as error:
        raise FileError(f"{str(path)!r} is not a path ({error}).", "Check the path.") from None
    if len(data) > MAXIMUM_BYTES:
        raise FileError(f"{path}: larger than {MAXIMUM_BYTES >> 20} MiB.", f"This is not {what}.")
    try:
        return parse(data.decode("utf-8"), str(path))
    except UnicodeDecodeError as error:
        raise FileError(f"{path}: not UTF-8 text at byte {error.start}.", f"This is not {what}.") from None


def dump(data: object, compact: bool = False) -> str:
    """YAML text of plain data, keys in the given order, the same text for the same data.

    `compact`: lists and mappings of plain values on a line.
    """
    flow = None if compact else False
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=flow)
    return text


class _Builder:
    """Data from the parser's events. Composing nodes instead would recurse in C, beyond what can be caught."""

    def __init__(self, loader: Any, source: str) -> None:
        self._next = loader.get_event
        self._resolve = loader.resolve
        self._source = source

    def document(self) -> Any:
        """The only document of the stream."""
        self._next()
        start = self._next()
        if isinstance(start, yaml.StreamEndEvent):
            remedy = "Take another copy; it may have been cut short."
            raise EmptyFile(f"{self._source}, line 1: the file is empty.", remedy)
        value = self._value(self._next(), 0)
        self._next()
        after = self._next()
        if not isinstance(after, yaml.StreamEndEvent):
            raise self._fault(_line(after), "a second document starts", "Keep one document in a file.")
        return value

    def _value(self, event: Any, depth: int) -> Any:
        line = _line(event)
        if depth > MAXIMUM_DEPTH:
            raise self._fault(line, f"nested more than {MAXIMUM_DEPTH} deep", "Flatten it.")
        # Without aliases nothing can expand beyond its text.
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise self._fault(line, "anchors and aliases are not allowed", "Write the value out.")
        if event.tag is not None:
            raise self._fault(line, f"the tag {event.tag!r} is not allowed", "Only plain data are read.")
        if isinstance(event, yaml.ScalarEvent):
            return self._bare(event.value, line) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items = []
            while not isinstance(item := self._next(), yaml.SequenceEndEvent):
                items.append(self._value(item, depth + 1))
            return items
        return self._mapping(line, depth)

    def _mapping(self, line: int, depth: int) -> Mapping:
        result = Mapping()
        result.line, result.lines = line, {}
        while not isinstance(key := self._next(), yaml.MappingEndEvent):
            key_line = _line(key)
            if not isinstance(key, yaml.ScalarEvent):
                raise self._fault(key_line, "a key must be plain text", "Use a word as the key.")
            if key.anchor is not None or key.tag is not None:
                raise self._fault(key_line, "a key must have no anchor or tag", "Use a plain word as the key.")
            if key.value in result:
                raise self._fault(key_line, f"{key.value!r} stands twice", "Keep one of them.")
            result[key.value] = self._value(self._next(), depth + 1)
            result.lines[key.value] = key_line
        return result

    def _bare(self, text: str, line: int) -> Any:
        """An unquoted scalar: null, true, false, a decimal number, or text that YAML takes for text (or a date)."""
        tag = self._resolve(yaml.ScalarNode, text, (True, False))
        if tag.endswith(":str"):
            return text
        if text.lower() in _WORDS:
            return _WORDS[text.lower()]
        if _INTEGER.fullmatch(text):
            return int(text)
        if _FLOAT.fullmatch(text) and math.isfinite(value := float(text)):
            return value
        if tag.endswith((":int", ":float", ":bool", ":null")):
            # YAML 1.1 reads yes, 0x10, 1:30 and .nan as something else than they look like.
            raise self._fault(line, f"{text[:40]!r} is not a plain value", "Write a decimal number or quote it.")
        return text

    def _fault(self, line: int, message: str, hint: str) -> FileError:
        return FileError(f"{self._source}, line {line}: {message}.", hint)


def _line(event: Any) -> int:
    return int(event.start_mark.line) + 1


def _kind(value: object) -> str:
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "null" if value is None else repr(value)[:60]
