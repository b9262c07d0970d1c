"""What a shared library asks of others, read from its ELF file: names with the version node they are bound to.

Only what is needed of the format (the System V ABI's "Symbol Table", and the LSB's "Symbol Versioning"): 64 bits,
little endian. Libraries of gigabytes cost no more than their tables, for the file is mapped.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path

_DYNSYM, _VERNEED, _VERSYM = 11, 0x6FFFFFFE, 0x6FFFFFFF
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SYMBOL = struct.Struct("<IBBHQQ")


def asked_of_others(path: Path) -> list[tuple[str, str]]:
    """(name, version node) of each symbol that the library does not define; the node is "" where there is none.

    A file that is not such a library asks for nothing.
    """
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError:  # an empty file
            return []
        with data:
            return _asked(data) if data[:6] == b"\x7fELF\x02\x01" else []


def _asked(data: mmap.mmap) -> list[tuple[str, str]]:
    (offset,) = struct.unpack_from("<Q", data, 40)
    size, count = struct.unpack_from("<HH", data, 58)
    sections = [_SECTION.unpack_from(data, offset + size * number) for number in range(count)]
    table = next((section for section in sections if section[1] == _DYNSYM), None)
    if table is None:
        return []
    strings = sections[table[6]][4]
    nodes = _nodes(data, sections)
    versions = next((section for section in sections if section[1] == _VERSYM), None)
    found = []
    for index, symbol in enumerate(_SYMBOL.iter_unpack(data[table[4] : table[4] + table[5]])):
        if symbol[3] or not symbol[0]:  # defined here, or nameless
            continue
        node = ""
        if versions is not None:
            (number,) = struct.unpack_from("<H", data, versions[4] + 2 * index)
            node = nodes.get(number & 0x7FFF, "")
        found.append((_text(data, strings + symbol[0]), node))
    return found


def _nodes(data: mmap.mmap, sections: list[tuple[int, ...]]) -> dict[int, str]:
    """The version nodes of other libraries, by their numbers in this one."""
    needed = next((section for section in sections if section[1] == _VERNEED), None)
    nodes: dict[int, str] = {}
    if needed is None:
        return nodes
    strings, at = sections[needed[6]][4], needed[4]
    for _ in range(needed[7]):
        _, count, _, first, following = struct.unpack_from("<HHIII", data, at)
        inner = at + first
        for _ in range(count):
            _, _, number, name, after = struct.unpack_from("<IHHII", data, inner)
            nodes[number] = _text(data, strings + name)
            inner += after
        at += following
    return nodes


def _text(data: mmap.mmap, at: int) -> str:
    return data[at : data.find(b"\0", at)].decode("ascii", "replace")
