"""libcublasLt's stand-in (cublaslt.c), compiled once into the user's cache folder by the machine's C compiler."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from planner.text.locations import cache_folder

SOURCE = Path(__file__).with_name("cublaslt.c")
_COMPILERS = ("cc", "gcc", "clang")
_PATIENCE_SECONDS = 60


def stand_in(soname: str) -> Path | None:
    """A library under this name, such as "libcublasLt.so.13"; None where it cannot be made.

    Two processes may make it at once: each puts a whole file in its place.
    """
    compiler = next(filter(None, map(shutil.which, _COMPILERS)), None)
    if not sys.platform.startswith("linux"):
        return None
    major = soname.rpartition(".")[2]
    try:
        told = hashlib.sha256(SOURCE.read_bytes() + soname.encode()).hexdigest()[:12]
        path = cache_folder() / "convolutions" / f"{told}-{soname}"
        if path.is_file():
            return path
        if compiler is None:
            return None
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            made = Path(folder) / soname
            options = ["-shared", "-fPIC", "-O1", "-fvisibility=hidden", f"-DSTAND_IN_VERSION={major}0100"]
            subprocess.run(
                [compiler, *options, f"-Wl,-soname,{soname}", str(SOURCE), "-o", str(made)],
                check=True,
                timeout=_PATIENCE_SECONDS,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            os.replace(made, path)
    except (OSError, subprocess.SubprocessError):
        return None
    return path
