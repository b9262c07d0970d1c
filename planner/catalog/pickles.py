"""What a pickle of torch's would build, read as a list of instructions of which none is carried out.

torch.load(weights_only=True) accepts a few instructions and a few names (torch/_weights_only_unpickler.py); the same
ones are read here, without torch. A file that would run code runs none: names stay names, calls stay calls.
"""

from __future__ import annotations

import math
import pickletools
import re
from dataclasses import dataclass, field
from io import BytesIO
from itertools import islice
from typing import Any

INSTRUCTIONS = 10**6
"""Read at most: the list of an official file has 40,000, a training checkpoint's three times as many."""
NAME_LETTERS = 1000
"""Longest name of a weight or a program: a longer one would be searched for long, and names nothing."""
DIMENSIONS, SIZE = 64, 2**63
"""Most dimensions of a tensor (most of torch takes no more), each of fewer elements than int64 counts."""
_ALLOWED = re.compile(
    r"collections\.(OrderedDict|Counter)|torch\.nn\.parameter\.Parameter|torch\.(Size|device|Tensor)"
    r"|torch\.serialization\._get_layout|_codecs\.encode|(builtins|__builtin__)\.(bytearray|set|complex)"
    r"|torch\.(cuda\.)?\w+(Storage|Tensor)|torch\.(storage\.)?(Untyped|Typed)Storage"
    r"|torch\.(bool|b?float\d*\w*|bits\w+|q?u?int\d+\w*|complex\d+|per_\w+)"
    r"|torch\._utils\._rebuild_\w+|torch\._tensor\._rebuild_from_type_v2",
    re.ASCII,
)
_TYPES = {
    "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Double": "float64", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool", "Untyped": "uint8",
}  # fmt: skip
"""The type of a storage's elements, by the name of its class."""
ITEM_BYTES = {
    "float32": 4, "float16": 2, "bfloat16": 2, "float64": 8, "int64": 8, "int32": 4, "int16": 2, "int8": 1,
    "uint8": 1, "bool": 1,
}  # fmt: skip


class Unreadable(Exception):
    """No pickle that torch.load(weights_only=True) would read; the text says why, the hint (or none) what to do."""

    def __init__(self, why: str, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


class RunsCode(Unreadable):
    """It names something of a program, which loading would call or make."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True, slots=True)
class Storage:
    """Where elements of tensors lie: its key in the file, their type and number."""

    key: str
    type: str
    items: int


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor by its shape and type (a word of torch's, such as float32)."""

    shape: tuple[int, ...]
    type: str
    storage: Storage | None = None
    items: int = 0
    """Elements of the storage that it reaches."""
    begin: int | None = None
    """Where its bytes begin in the file, in safetensors."""


@dataclass(frozen=True, slots=True)
class _Name:
    text: str


@dataclass(slots=True)
class _Machine:
    """The stack of a pickle, filled with plain data, names and tensors without content."""

    stack: list[Any] = field(default_factory=list)
    marks: list[list[Any]] = field(default_factory=list)
    memo: dict[int, Any] = field(default_factory=dict)

    def do(self, code: str, argument: Any) -> None:
        """One instruction."""
        stack = self.stack
        if code in _CONSTANTS:
            stack.append(_CONSTANTS[code]())
        elif code in _VALUES:
            stack.append(argument)
        elif code in ("BINPUT", "LONG_BINPUT"):
            self.memo[argument] = stack[-1]
        elif code in ("BINGET", "LONG_BINGET"):
            stack.append(self.memo[argument])
        elif code == "GLOBAL":
            stack.append(_allowed(argument))
        elif code == "MARK":
            self.marks.append(stack)
            self.stack = []
        elif code in ("TUPLE1", "TUPLE2", "TUPLE3"):
            count = int(code[-1])
            stack[-count:] = [tuple(stack[len(stack) - count :])]
        elif code in ("TUPLE", "APPENDS", "SETITEMS"):
            self.stack = self.marks.pop()
            self._gathered(code, stack)
        elif code in ("APPEND", "SETITEM"):
            count = 1 if code == "APPEND" else 2
            items = stack[len(stack) - count :]
            del stack[len(stack) - count :]
            self._gathered(code, items)
        elif code in ("REDUCE", "NEWOBJ"):
            arguments = stack.pop()
            stack[-1] = _called(stack[-1], arguments)
        elif code == "BUILD":
            stack.pop()
        elif code == "BINPERSID":
            stack[-1] = _storage(stack[-1])
        elif code == "STACK_GLOBAL":
            module, name = stack[-2:]
            if type(module) is not str or type(name) is not str:  # the text of anything else may have no end
                raise Unreadable("it names a thing without a name")
            stack[-2:] = [_allowed(f"{module} {name}")]
        elif code == "MEMOIZE":
            self.memo[len(self.memo)] = stack[-1]
        elif code not in ("PROTO", "FRAME"):
            raise Unreadable(f"its list of contents has the instruction {code}", _AS_USUAL)

    def _gathered(self, code: str, items: list[Any]) -> None:
        if code == "TUPLE":
            self.stack.append(tuple(items))
            return
        target = self.stack[-1]
        if code.startswith("SETITEM"):
            if isinstance(target, dict):
                pairs = zip(items[::2], items[1::2], strict=True)
                target.update({key: value for key, value in pairs if _is_key(key)})
        elif isinstance(target, list):
            target.extend(items)


_CONSTANTS: dict[str, Any] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_TUPLE": tuple,
    "EMPTY_LIST": list, "EMPTY_DICT": dict, "EMPTY_SET": list,
}  # fmt: skip
_VALUES = ("BININT", "BININT1", "BININT2", "BINFLOAT", "BINUNICODE", "SHORT_BINSTRING", "LONG1", "SHORT_BINUNICODE")
PROTOCOL = 2
"""What torch.save writes unless told otherwise; torch reads no newer one without running what it holds."""
_AS_USUAL = f"In the program that wrote it, save it as torch.save does by default (pickle_protocol={PROTOCOL})."


def read_pickle(file: BytesIO) -> Any:
    """What the next pickle of a file would build: dicts, lists, tuples, numbers, text and `Tensor`s.

    Raises RunsCode for one that names a program, Unreadable for one that torch would not read either.
    """
    machine, protocol = _Machine(), 0
    try:
        for code, argument, _ in islice(pickletools.genops(file), INSTRUCTIONS):
            protocol = max(protocol, code.proto)
            if code.name == "STOP":
                if protocol > PROTOCOL:
                    raise Unreadable(f"it is pickled by protocol {protocol}", _AS_USUAL)
                return machine.stack[-1]
            machine.do(code.name, argument)
    except Unreadable:
        raise
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, OverflowError, RecursionError,
            MemoryError) as error:  # fmt: skip
        raise Unreadable(f"its list of contents is cut short or damaged ({type(error).__name__})") from None
    raise Unreadable("its list of contents is longer than any checkpoint's")


def _allowed(argument: str) -> _Name:
    name = ".".join(argument.split(" ", 1))
    if len(name) > NAME_LETTERS or not _ALLOWED.fullmatch(name):
        raise RunsCode(name)
    return _Name(name)


def _is_key(key: Any) -> bool:
    """Whether it may name a weight; hashing tuples of tuples could take the stack."""
    return type(key) is int or (type(key) is str and len(key) <= NAME_LETTERS)


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 <= value < SIZE


def _called(function: Any, arguments: Any) -> Any:
    """What a call gives: of those that torch allows, the tensors; of all others nothing."""
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise Unreadable("it calls what is no function")
    name = function.text.rpartition(".")[2]
    if name in ("OrderedDict", "Counter"):
        return {}
    if name in ("Parameter", "_rebuild_parameter", "_rebuild_parameter_with_state"):
        return arguments[0]
    if name in ("_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3"):
        return _tensor(*arguments[:4], *arguments[6:7] if name.endswith("3") else ())
    return None


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, dtype: _Name | None = None) -> Tensor:
    if not isinstance(storage, Storage):
        raise Unreadable("a tensor has no storage")
    if not isinstance(shape, (tuple, list)) or not isinstance(stride, (tuple, list)):
        raise Unreadable("a tensor has no shape")
    if not len(shape) == len(stride) <= DIMENSIONS or not all(map(_is_size, (offset, *shape, *stride))):
        raise Unreadable("a tensor has no shape")
    sizes = tuple(shape)
    reach = sum((size - 1) * step for size, step in zip(sizes, stride, strict=True)) if math.prod(sizes) else -1
    word = storage.type if dtype is None else dtype.text.removeprefix("torch.")
    items = offset + reach + 1
    if storage.items < items * (1 if dtype is None else ITEM_BYTES.get(word, 1)):
        raise Unreadable("a tensor is larger than its storage")
    return Tensor(sizes, word, storage, items)


def _storage(identity: Any) -> Storage:
    """From ("storage", its class, key, device, elements, ...)."""
    kind, name, key, _, items = identity[:5]
    if kind != "storage" or not isinstance(name, _Name) or type(key) is not str or not _is_size(items):
        raise Unreadable("it names something else than a storage")
    word = name.text.rpartition(".")[2].removesuffix("Storage")
    return Storage(key, _TYPES.get(word, word), items)
