"""Shapes: the keys of an object in their order, each with its kind; an answer is one that says what it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from planner.wire.kinds import Constant, Kind, Schema

if TYPE_CHECKING:
    from planner.text.strict_yaml import Fields

SCHEMA_VERSION = 1
DIALECT = "https://json-schema.org/draft/2020-12/schema"
REQUIRED = object()


class Same(NamedTuple):
    """Stands for a key that files of earlier releases do not have: what another key of theirs holds."""

    key: str


class Key(NamedTuple):
    """What stands under one key, where its kind alone does not say all."""

    kind: Kind
    description: str | None = None
    """Of what its name does not say."""
    of: str | Callable[[Any], Any] | None = None
    """Where the value is from: an attribute of another name, or what is made of the noun."""
    before: Any = REQUIRED
    """What an earlier release's file, which does not have the key, is read with: a value, or Same as another key."""
    since: str | None = None
    """The key that came with it, if any: the two are in a file, or neither is."""
    optional: bool = False
    """Of a file that people write: the key may be left out."""

    def of_noun(self, noun: Any, name: str) -> Any:
        """The value in a noun; what is plain data already has it under its name."""
        if isinstance(noun, Mapping):
            return noun[name]
        if callable(self.of):
            return self.of(noun)
        return getattr(noun, self.of or name)


class Part(NamedTuple):
    """An attribute whose own keys stand among those of what it is a part of."""

    shape: Shape


class Shape(Kind):
    """An object with exactly these keys, in this order.

    `name` is what schemas call it. What is written is any noun with these attributes, or plain data. What is read is
    `noun`: a dataclass of the keys that are its fields, or what a function makes of all; without one a dictionary.
    """

    def __init__(self, name: str, noun: Any = None, /, **keys: Kind | Key | Part) -> None:
        super().__init__()
        self.name, self._noun = name, noun
        self.keys = {name: Key(one) if isinstance(one, Kind) else one for name, one in keys.items()}

    def under(self, **rules: Any) -> Shape:
        """The same shape with rules of JSON Schema about several keys at once."""
        self.described = rules
        return self

    def write(self, value: Any = None, /, **given: Any) -> dict[str, Any]:
        """Plain data of a noun. `given` are the values that it does not have."""
        written: dict[str, Any] = {}
        for name, key in self.keys.items():
            if isinstance(key, Part):
                written |= key.shape.write(value if isinstance(value, Mapping) else getattr(value, name))
            elif isinstance(key.kind, Constant):
                written[name] = key.kind.write(None)
            else:
                written[name] = key.kind.write(given[name] if name in given else key.of_noun(value, name))
        return written

    def read(self, fields: Fields, key: str) -> Any:
        """The noun under a key."""
        return self.noun(fields.fields(key))

    def read_all(self, fields: Fields, key: str) -> tuple[Any, ...]:
        """The nouns of the list under a key."""
        return tuple(self.noun(entry) for entry in fields.entries(key))

    def noun(self, fields: Fields) -> Any:
        """The noun of a mapping. Raises FileError for a key that is missing, unknown or holds something else."""
        values = self._values(fields)
        fields.end()
        return self._made(values)

    def _made(self, values: dict[str, Any]) -> Any:
        if self._noun is None:
            return values
        names = getattr(self._noun, "__dataclass_fields__", values)
        return self._noun(**{name: value for name, value in values.items() if name in names})

    def _values(self, fields: Fields) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for name, key in self.keys.items():
            if isinstance(key, Part):
                values[name] = key.shape._made(key.shape._values(fields))
                continue
            source, kind = key.of if isinstance(key.of, str) else name, key.kind
            if key.before is REQUIRED or (key.since or name) in fields:
                values[source] = kind.read(fields, name)
            else:
                values[source] = kind.read(fields, key.before.key) if isinstance(key.before, Same) else key.before
        return values

    def schema(self, definitions: dict[str, Schema]) -> Schema:
        """A reference to what stands among the definitions under its name."""
        whole = self.whole_schema(definitions)
        if definitions.setdefault(self.name, whole) != whole:
            raise ValueError(f"two shapes are called {self.name}")
        return {"$ref": f"#/$defs/{self.name}"}

    def whole_schema(self, definitions: dict[str, Schema]) -> Schema:
        """Its JSON Schema, written out."""
        keys = self._all_keys()
        described = {}
        for name, key in keys.items():
            words = {} if key.description is None else {"description": key.description}
            described[name] = key.kind.schema(definitions) | words
        required = [name for name, key in keys.items() if not key.optional]
        whole: Schema = {"type": "object", "properties": described, "required": required, "additionalProperties": False}
        return whole | self.described

    def _all_keys(self) -> dict[str, Key]:
        found: dict[str, Key] = {}
        for name, key in self.keys.items():
            found |= key.shape._all_keys() if isinstance(key, Part) else {name: key}
        return found


class Document(Shape):
    """What stands alone, on stdout or in a file."""

    def __init__(self, name: str, title: str, noun: Any = None, /, **keys: Kind | Key | Part) -> None:
        super().__init__(name, noun, **keys)
        self.title = title


class Answer(Document):
    """What a command prints, or a file holds: a document that says which version of which kind it is."""

    def __init__(self, kind: str, title: str, noun: Any = None, /, **keys: Kind | Key | Part) -> None:
        super().__init__(kind, title, noun, schema_version=Constant(SCHEMA_VERSION), kind=Constant(kind), **keys)


class Either:
    """One of several kinds that stand alone, such as documents; only its schema is one."""

    def __init__(self, title: str, *kinds: Kind) -> None:
        self.title, self._kinds = title, kinds

    def whole_schema(self, definitions: dict[str, Schema]) -> Schema:
        """Exactly one of theirs."""
        return {
            "oneOf": [
                kind.whole_schema(definitions) if isinstance(kind, Shape) else kind.schema(definitions)
                for kind in self._kinds
            ]
        }


def json_schema(document: Document | Either) -> Schema:
    """The JSON Schema that ships for a document."""
    definitions: dict[str, Schema] = {}
    found = {"$schema": DIALECT, "title": document.title, **document.whole_schema(definitions)}
    return found | ({"$defs": definitions} if definitions else {})
