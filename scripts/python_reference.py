"""docs/python.md: the public API as its own signatures and docstrings say it."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import re
import textwrap
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any, Literal, get_origin

import planner

SHELVES = {
    "Plan": ("plan", "Plan"),
    "Predict": ("predict", "predict_table", "simulate"),
    "Run": ("load", "Session", "Configuration"),
    "Put it to the test": ("check", "Preflight", "confirm", "Confirmation", "rehearse", "Rehearsal"),
    "Ask": ("limits", "need", "compare", "pack", "pick", "table", "plot", "save_report"),
}
ERRORS = ("PlannerError", "DoesNotFit", "NotReady")
LINE = 100
NAME = re.compile(r"[A-Za-z_][\w.]*")
CONSTANT = re.compile(r"\b(?:planner\.[\w.]+\.)?[A-Z][A-Z_]{3,}\b")
ARGUMENT = re.compile(r"(\w+(?:, \w+)*): (.*)")
INTRODUCTION = """\
```python
import planner

plan = planner.plan(task="video", objects=10, vram="2GB").require()
```

Importing costs nothing: names are loaded when they are first used. Planning needs neither torch nor a GPU;
`simulate` takes the extra `sam2-plan[sam2]`, `load`, `confirm` and `rehearse` take `sam2-plan[run]`. Bytes are integers
in fields that end in `_bytes`; sizes are (height, width) in pixels, points and boxes (x, y). Values are frozen; where a
field is None, its description or the field beside it says why. Every error that is raised on purpose is a
[`PlannerError`](#errors). How the pieces go together: [getting started](getting-started.md), [running](running.md).
The examples below go on from the lines above."""


def python_reference() -> str:
    """The page. Raises ValueError for a public name that is on no shelf, or has no docstring."""
    public = {name for name in planner.__all__ if not name.startswith("__")}
    shelved = [name for names in SHELVES.values() for name in names]
    if public != {*shelved, *ERRORS}:
        raise ValueError(f"on no shelf, or on one but not public: {sorted(public ^ {*shelved, *ERRORS})}")
    parts = ["# Python", "", INTRODUCTION, ""]
    for shelf, names in SHELVES.items():
        parts += [f"## {shelf}", ""]
        for name in names:
            parts += _entry(name, getattr(planner, name))
    values = _returned([getattr(planner, name) for name in shelved])
    parts += ["## Errors", "", *_errors("\n".join(parts)), ""]
    parts += ["## Values", "", "What the functions above return and take, and what that is made of.", ""]
    for value in values:
        parts += _entry(value.__name__, value, value=True)
    return "\n".join(parts)


def _entry(name: str, thing: Any, *, value: bool = False) -> list[str]:
    """A heading, how it is called, and what its docstring says; of a class its fields and methods too."""
    if not inspect.isclass(thing):
        return [f"### `planner.{name}`", "", *_called(f"planner.{name}", thing), *_prose(thing)]
    parts = [f"### `{name}`" if value else f"### `planner.{name}`", ""]
    bases = _bases(thing)
    parts += _prose(thing)
    fields = {field: line for base in reversed(bases) for field, line in _fields(base)}
    parts += [*fields.values(), ""] if fields else []
    for base in bases:
        methods = [method for method, found in vars(base).items() if _is_method(method, found)]
        if value:  # which are made by the functions above, not by their classes
            methods = [method for method in methods if inspect.isfunction(vars(base)[method])]
        if methods and base is not thing and base.__name__ != name:
            summary, *rest = _prose(base)
            parts += [f"#### {summary.rstrip('.')}", *rest]
        for method in methods:
            function = getattr(thing, method)
            parts += [f"#### `{name}.{method}`", "", *_called(f"{name}.{method}", function), *_prose(function)]
    return parts


def _is_method(name: str, found: Any) -> bool:
    return not name.startswith("_") and (inspect.isfunction(found) or isinstance(found, (classmethod, staticmethod)))


def _called(name: str, function: Callable[..., Any]) -> list[str]:
    """The signature in a block: on one line where it fits, else an argument a line."""
    signature = inspect.signature(function)
    given = [one for one in signature.parameters.values() if one.name != "self"]
    arguments: list[str] = []
    keywords_only = False
    for one in given:
        if one.kind is one.KEYWORD_ONLY and not keywords_only:
            arguments.append("*")
            keywords_only = True
        arguments.append(f"{one.name}: {_written(one.annotation, function.__module__)}{_default(one)}")
    result = f" -> {_written(signature.return_annotation, function.__module__)}"
    whole = f"{name}({', '.join(arguments)}){result}"
    if len(whole) > LINE:
        whole = "\n".join([f"{name}(", *(f"    {argument}," for argument in arguments), f"){result}"])
    return ["```text", whole, "```", ""]


def _default(parameter: inspect.Parameter) -> str:
    value = parameter.default
    if value is parameter.empty:
        return ""
    if value is os.environ:
        return " = os.environ"
    return f" = {json.dumps(value) if isinstance(value, str) else repr(value)}"


def _prose(thing: Any) -> list[str]:
    """A docstring as Markdown: arguments as a list, the example as code. Raises ValueError where there is none."""
    text = inspect.getdoc(thing)
    if not text:
        raise ValueError(f"{thing!r} has no docstring")
    parts: list[str] = []
    body, _, example = text.partition("\nExample:\n")
    for paragraph in body.strip().split("\n\n"):
        parts += [*(_arguments(paragraph) or [paragraph]), ""]
    if example:
        parts += ["```python", textwrap.dedent(example).strip(), "```", ""]
    return parts


def _arguments(paragraph: str) -> list[str]:
    """The items of a paragraph of arguments, each `name: text` with further lines indented; [] of another paragraph."""
    items: list[str] = []
    for line in paragraph.splitlines():
        match = ARGUMENT.fullmatch(line)
        if match:
            names = ", ".join(f"`{name}`" for name in match[1].split(", "))
            items.append(f"- {names}: {match[2]}")
        elif items and line.startswith("    "):
            items.append(f"  {line.strip()}")
        else:
            return []
    return items


def _fields(kind: type) -> Iterator[tuple[str, str]]:
    """The documented attributes and properties of a class itself, each as a line of a list."""
    tree = _class_of(kind)
    bodies = [
        tree.body,
        *(one.body for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == "__init__"),
    ]
    for body in bodies:
        for statement, following in zip(body, [*body[1:], ast.Pass()], strict=True):
            name, annotation = _declared(statement)
            if name and not name.startswith("_"):
                said = _words_of(_string(following), kind.__module__)
                yield name, f"- `{name}: {_written(annotation, kind.__module__)}`" + (f": {said}" if said else "")
    for name, found in vars(kind).items():
        if isinstance(found, property) and found.fget and not name.startswith("_"):
            said = _one_line(inspect.getdoc(found) or "")
            annotation = inspect.signature(found.fget).return_annotation
            yield name, f"- `{name}: {_written(annotation, kind.__module__)}`: {said}"


def _words_of(text: str, module: str) -> str:
    """A description with the words in it that the name of a tuple of them stands for."""

    def words(match: re.Match[str]) -> str:
        path, _, name = match[0].rpartition(".")
        found = _resolved(name, path or module)
        return ", ".join(f"`{one}`" for one in found) if isinstance(found, tuple) else match[0]

    return CONSTANT.sub(words, text)


def _declared(statement: ast.stmt) -> tuple[str, str]:
    """Name and type of `name: type` or `self.name: type = value`; empty of any other statement."""
    if not isinstance(statement, ast.AnnAssign):
        return "", ""
    target = statement.target
    name = target.id if isinstance(target, ast.Name) else target.attr if isinstance(target, ast.Attribute) else ""
    return name, ast.unparse(statement.annotation)


def _string(statement: ast.stmt) -> str:
    """What a string that stands alone says."""
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return _one_line(str(statement.value.value))
    return ""


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _class_of(kind: type) -> ast.ClassDef:
    parsed = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(parsed, ast.ClassDef)
    return parsed


def _errors(page: str) -> list[str]:
    """The errors that are public, and those that the page names."""
    named = set(NAME.findall(page))
    kinds = [getattr(planner, name) for name in ERRORS]
    others = [kind for kind in _below(kinds[0]) if kind.__name__ in named and kind not in kinds]
    lines = ["| error | `code` | `exit_code` | |", "|---|---|---|---|"]
    for kind in (*kinds, *sorted(others, key=lambda one: one.__name__)):
        where = "planner" if kind in kinds else kind.__module__
        said = _one_line(inspect.getdoc(kind) or "")
        lines.append(f"| `{where}.{kind.__name__}` | `{kind.code}` | {kind.exit_code} | {said} |")
    return lines


def _below(kind: Any) -> Iterator[Any]:
    for one in kind.__subclasses__():
        yield one
        yield from _below(one)


def _returned(things: list[Any]) -> list[type]:
    """The classes that the annotations of public things name, and theirs in turn, by name."""
    public = {thing.__name__ for thing in things}
    values: dict[str, type] = {}
    waiting = list(things)
    while waiting:
        for found in _named(waiting.pop()):
            known = values.get(found.__name__)
            # Where a class adds to one of the same name, it is the one that is returned.
            if found.__name__ not in public and (known is None or (found is not known and issubclass(found, known))):
                values[found.__name__] = found
                waiting.append(found)
    return [values[name] for name in sorted(values)]


def _named(thing: Any) -> Iterator[type]:
    """Classes of this package that the annotations of a function, or of a class's fields and methods, name."""
    if not inspect.isclass(thing):
        signature = inspect.signature(thing)
        # What is called back is described where it is handed in.
        texts = [text for one in signature.parameters.values() if "Callable" not in (text := str(one.annotation))]
        yield from _classes_in(" ".join([*texts, str(signature.return_annotation)]), thing.__module__)
        return
    for base in _bases(thing):
        yield from _classes_in(" ".join(line.split("`")[1] for _, line in _fields(base)), base.__module__)
        for name, found in vars(base).items():
            if _is_method(name, found):
                yield from _named(getattr(base, name))


def _classes_in(text: str, module: str) -> Iterator[type]:
    for name in NAME.findall(text):
        found = _resolved(name, module)
        if inspect.isclass(found) and found.__module__.startswith("planner"):
            yield found


def _bases(kind: type) -> list[type]:
    return [base for base in kind.__mro__ if base.__module__.startswith("planner")]


def _written(annotation: str, module: str) -> str:
    """A type with the words and kinds of functions spelled out that a name stands for."""

    def spelled(match: re.Match[str]) -> str:
        found = _resolved(match[0], module)
        if get_origin(found) not in (Literal, Callable):
            return match[0]
        text = str(found).replace("typing.", "").replace("collections.abc.", "")
        text = re.sub(r"planner(?:\.\w+)*\.(?=[A-Z])", "", text)
        return re.sub(r"'([^']*)'", r'"\1"', text)

    return NAME.sub(spelled, annotation)


def _resolved(name: str, module: str) -> Any:
    first, *rest = name.split(".")
    found = _namespace(module).get(first)
    for one in rest:
        found = getattr(found, one, None)
    return found


@cache
def _namespace(module: str) -> dict[str, Any]:
    """The names of a module, those that it imports for type checkers only included."""
    loaded = importlib.import_module(module)
    names: dict[str, Any] = {}
    for statement in ast.walk(ast.parse(inspect.getsource(loaded))):
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("planner"):
            source = importlib.import_module(statement.module or "")
            names |= {one.asname or one.name: getattr(source, one.name, None) for one in statement.names}
    return names | vars(loaded)
