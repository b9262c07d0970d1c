"""Workspaces that ship with the package, profiles/convolutions.tsv: what cuDNN answered for the convolutions of SAM 2.

Only what is asked for exactly is found: a batch of another size is another convolution.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from planner.errors import FileError
from planner.simulator.convolutions.convolution import Convolution
from planner.text.locations import profiles_folder

FILE = profiles_folder() / "convolutions.tsv"
KEY = ("cudnn", "layout", "input", "weight", "output", "stride", "padding", "dilation", "groups", "transposed")
UNKNOWN = "-"
TORCH = {(2, 8): 91002, (2, 14): 92400}
"""Which cuDNN the wheels of a torch (for CUDA) bring: of the versions in the table, for a torch that has none."""
Key = tuple[str, ...]


def key_of(c: Convolution) -> Key:
    """A row's first cells, the version of cuDNN left out."""
    shapes = (c.input, c.weight, c.output, c.stride, c.padding, c.dilation)
    words = ("x".join(map(str, shape)) for shape in shapes)
    return ("NHWC" if c.channels_last else "NCHW", *words, str(c.groups), "yes" if c.transposed else "no")


def convolution_of(key: Key) -> Convolution:
    """The convolution of a row, as bfloat16."""
    layout, *shapes, groups, transposed = key
    words = ("input", "weight", "output", "stride", "padding", "dilation")
    numbers = {word: tuple(map(int, shape.split("x"))) for word, shape in zip(words, shapes, strict=True)}
    return Convolution(
        dtype="bfloat16",
        channels_last=layout == "NHWC",
        groups=int(groups),
        transposed=transposed == "yes",
        tf32=True,
        **numbers,
    )


def column_of(dtype: str, tf32: bool, capability: tuple[int, int]) -> str:
    """The title of the cell with the answer."""
    return f"{capability[0]}.{capability[1]} {dtype}{'' if tf32 else ' exact'}"


class Table:
    """The rows, by version of cuDNN."""

    def __init__(self, path: Path = FILE) -> None:
        """Raises FileError for a table that cannot be used."""
        self._rows: dict[int, dict[Key, list[str]]] = {}
        try:
            lines = path.read_text(encoding="utf-8").splitlines()
        except (OSError, ValueError) as error:
            raise FileError(f"{path}: cannot be read: {error}.") from error
        rows = [line.split("\t") for line in lines if line and not line.startswith("#")]
        if not rows or tuple(rows[0][: len(KEY)]) != KEY:
            raise FileError(f"{path}: is not a table of convolutions: its first line does not begin {' '.join(KEY)}.")
        self._columns = rows[0][len(KEY) :]
        for row in rows[1:]:
            cells = row[len(KEY) :]
            good = row[0].isdecimal() and all(cell.isdecimal() or cell == UNKNOWN for cell in cells)
            if not good or len(cells) != len(self._columns):
                raise FileError(f"{path}: a row is not of the form that its comments describe: {' '.join(row)[:80]!r}.")
            self._rows.setdefault(int(row[0]), {})[tuple(row[1 : len(KEY)])] = cells

    def version_for(self, version: int) -> int:
        """The version whose rows count for a cuDNN: the newest that is not newer, else the oldest."""
        return max((known for known in self._rows if known <= version), default=min(self._rows))

    def workspace_bytes(self, version: int, convolution: Convolution, capability: tuple[int, int]) -> int | None:
        """Bytes that this version of cuDNN answered, None where the table has no answer."""
        column = column_of(convolution.dtype, convolution.tf32, capability)
        cells = self._rows.get(version, {}).get(key_of(convolution))
        if cells is None or column not in self._columns:
            return None
        cell = cells[self._columns.index(column)]
        return None if cell == UNKNOWN else int(cell)

    def versions(self) -> tuple[int, ...]:
        """Versions of cuDNN, oldest first."""
        return tuple(sorted(self._rows))

    def convolutions(self) -> list[Key]:
        """Every convolution of any version, each once."""
        return list({key: None for rows in self._rows.values() for key in rows})

    def rows(self, version: int) -> list[tuple[Key, list[str]]]:
        """The rows of one version, cells in the order of the file."""
        return list(self._rows[version].items())


@lru_cache(maxsize=1)
def shipped() -> Table:
    """The table of the package, read once."""
    return Table()


def version_of_torch(torch: tuple[int, int]) -> int:
    """The cuDNN that a release of torch is taken to run with: that of the newest listed one that is not newer."""
    return TORCH[max((known for known in TORCH if known <= torch), default=min(TORCH))]
