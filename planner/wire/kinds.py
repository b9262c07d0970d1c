"""Kinds of values: how each is written as plain data, read back, and described by a JSON Schema.

Writing changes no value that JSON has itself, and checks nothing: an answer that breaks its own schema is still an
answer. Reading goes through `Fields`, whose complaints name file, line, value and remedy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from planner.text.units import MAXIMUM_COUNT, resolution_field

if TYPE_CHECKING:
    from planner.text.strict_yaml import Fields

UNLIMITED = "unlimited"
Schema = dict[str, Any]
Reader = Callable[["Fields", str], Any]


class Kind:
    """A kind of values: plain ones, written as they are and never read. The others derive from it.

    `described` is what the JSON Schema says of them.
    """

    def __init__(self, **described: Any) -> None:
        self.described = described

    def write(self, value: Any) -> Any:
        """Plain data of a value; what is plain already stays as it is."""
        return list(value) if isinstance(value, tuple) else value

    def read(self, fields: Fields, key: str) -> Any:
        """The value under a key. Raises FileError for any other kind."""
        raise NotImplementedError(f"nobody reads {key}")

    def read_all(self, fields: Fields, key: str) -> tuple[Any, ...]:
        """The values of the list under a key."""
        raise NotImplementedError(f"nobody reads the entries of {key}")

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Its JSON Schema; what it refers to goes into `definitions`."""
        return dict(self.described)


class Whole(Kind):
    """Whole numbers from `least` (None: negative too) to `most`; `readable`: the most that is read from a file."""

    def __init__(self, least: int | None = 0, most: int | None = None, readable: int = 10**40) -> None:
        super().__init__(type="integer", **_bounds(minimum=least, maximum=most))
        self._most = readable if most is None else most
        self._least = -self._most if least is None else least

    def read(self, fields: Fields, key: str) -> int:
        """As its limits say."""
        return fields.integer(key, self._least, self._most)


class Number(Kind):
    """Numbers within limits; `below` is one that they do not reach."""

    def __init__(self, least: float | None = None, most: float | None = None, below: float | None = None) -> None:
        super().__init__(type="number", **_bounds(minimum=least, maximum=most, exclusiveMaximum=below))
        self._least, self._most = least or 0, most if below is None else below * (1 - 1e-9)

    def read(self, fields: Fields, key: str) -> float:
        """As its limits say."""
        return fields.number(key, self._least, 1e18 if self._most is None else self._most)


class Text(Kind):
    """Text, also that of a path or a day. `some`: never empty; `none_too`: may be empty in a file as well."""

    def __init__(self, some: bool = False, none_too: bool = False, **described: Any) -> None:
        super().__init__(type="string", **_bounds(minLength=1 if some else None), **described)
        self._none_too = none_too

    def write(self, value: Any) -> str:
        """As it prints."""
        return str(value)

    def read(self, fields: Fields, key: str) -> str:
        """What is not empty, as a rule."""
        return "" if self._none_too and fields.any(key) == "" else fields.text(key)

    def read_all(self, fields: Fields, key: str) -> tuple[str, ...]:
        """Empty ones too."""
        return tuple(fields.texts(key))


class Word(Kind):
    """One of a few words, or of a few numbers."""

    def __init__(self, *words: Any) -> None:
        super().__init__(**({"const": words[0]} if len(words) == 1 else {"enum": list(words)}))
        self._words = words

    def read(self, fields: Fields, key: str) -> Any:
        """One of them."""
        if isinstance(self._words[0], str):
            return fields.text(key, self._words)
        if fields.any(key) not in self._words:
            hint = f"Use one of: {', '.join(map(str, self._words))}."
            raise fields.complaint(f"{key} is {str(fields.any(key))[:60]}", hint, key)
        return fields.any(key)


class Constant(Word):
    """What is always the same."""

    def write(self, value: Any) -> Any:
        """It, whatever is given."""
        return self._words[0]


class Flag(Kind):
    """True or false."""

    def __init__(self) -> None:
        super().__init__(type="boolean")

    def read(self, fields: Fields, key: str) -> bool:
        """True or false."""
        return fields.boolean(key)


class Pair(Kind):
    """Two numbers, such as [height, width]."""

    def __init__(self, item: Kind, reader: Reader | None = None, **described: Any) -> None:
        super().__init__(type="array", items=item.schema({}), minItems=2, maxItems=2, **described)
        self._reader = reader

    def read(self, fields: Fields, key: str) -> tuple[int, int]:
        """As its reader says."""
        assert self._reader is not None
        pair: tuple[int, int] = self._reader(fields, key)
        return pair


class Maybe(Kind):
    """Another kind, or null."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind

    def write(self, value: Any) -> Any:
        """None as null."""
        return None if value is None else self._kind.write(value)

    def read(self, fields: Fields, key: str) -> Any:
        """None for null."""
        return None if fields.or_none(key) else self._kind.read(fields, key)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Both."""
        found = self._kind.schema(definitions)
        if isinstance(found.get("type"), str):
            return found | {"type": [found["type"], "null"]}
        return found | {"enum": [*found["enum"], None]} if "enum" in found else {"anyOf": [found, {"type": "null"}]}


class OrWord(Kind):
    """Another kind, or a word in its place."""

    def __init__(self, kind: Kind, word: str) -> None:
        super().__init__()
        self._kind, self._word = kind, word

    def write(self, value: Any) -> Any:
        """The word as it is."""
        return value if value == self._word else self._kind.write(value)

    def read(self, fields: Fields, key: str) -> Any:
        """The word as it is."""
        return self._word if fields.any(key) == self._word else self._kind.read(fields, key)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Both."""
        return {"anyOf": [self._kind.schema(definitions), {"const": self._word}]}


class Endless(OrWord):
    """Whole numbers, or None, which is written as "unlimited"."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(kind, UNLIMITED)

    def write(self, value: Any) -> Any:
        """None as the word."""
        return super().write(self._word if value is None else value)

    def read(self, fields: Fields, key: str) -> Any:
        """None for the word."""
        found = super().read(fields, key)
        return None if found == self._word else found


class OneOf(Kind):
    """One of several kinds; a schema only."""

    def __init__(self, *kinds: Kind) -> None:
        super().__init__()
        self._kinds = kinds

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Exactly one of theirs."""
        return {"oneOf": [kind.schema(definitions) for kind in self._kinds]}


class List(Kind):
    """A list of one kind, as a tuple."""

    def __init__(self, kind: Kind, least: int = 0, most: int | None = None) -> None:
        super().__init__(**_bounds(minItems=least or None, maxItems=most))
        self._kind = kind

    def write(self, value: Sequence[Any]) -> list[Any]:
        """Each of them."""
        return [self._kind.write(item) for item in value]

    def read(self, fields: Fields, key: str) -> tuple[Any, ...]:
        """All of them."""
        return self._kind.read_all(fields, key)

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Of its entries."""
        return {"type": "array", "items": self._kind.schema(definitions), **self.described}


class Table(Kind):
    """Values of one kind by names that are not known beforehand."""

    def __init__(self, kind: Kind) -> None:
        super().__init__()
        self._kind = kind

    def write(self, value: Mapping[str, Any]) -> dict[str, Any]:
        """Each of them, in their order."""
        return {name: self._kind.write(one) for name, one in value.items()}

    def read(self, fields: Fields, key: str) -> dict[str, Any]:
        """All of them."""
        inner = fields.fields(key)
        return {name: self._kind.read(inner, name) for name in inner.names()}

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """Of its values."""
        return {"type": "object", "additionalProperties": self._kind.schema(definitions)}


def _release(fields: Fields, key: str) -> tuple[int, int]:
    release = fields.optional_release(key)
    if release is None:
        raise fields.complaint(f"{key} is null", "Write [major, minor].", key)
    return release


def _bounds(**bounds: Any) -> Schema:
    return {name: bound for name, bound in bounds.items() if bound is not None}


BYTES, COUNT, SIGNED = Whole(), Whole(1, readable=MAXIMUM_COUNT), Whole(None)
TEXT, SOME_TEXT, FLAG = Text(), Text(some=True), Flag()
_PIXELS = "[height, width] in pixels"
SIZE = Pair(Whole(1), lambda fields, key: fields.pair(key), description=_PIXELS)
RESOLUTION = Pair(Whole(1), resolution_field, description=_PIXELS)
RELEASE = Pair(Whole(), _release)
