"""The torch that is to be rehearsed: its version, and where the CUDA wheels beside it lie. None of it is imported."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from planner.errors import EnvironmentFailure

OLDEST_CUDNN = (9, 8)
"""The first whose backend makes plans for a described device (release notes: CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR)."""
_INSTALL = "Install its CUDA build, which on Linux is what this gives: pip install torch"
_LOOK = """
import importlib.util, json
def folder(name):
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):
        spec = None
    return list(spec.submodule_search_locations or ()) if spec else []
print(json.dumps({name: folder(name) for name in ("torch", "torchvision", "nvidia")}))
"""


@dataclass(frozen=True, slots=True)
class Wheels:
    """An installed CUDA build of torch."""

    version: str
    """torch's, such as "2.14.1+cu130"."""
    cuda: int
    """Major number: it is part of the names of CUDA's libraries."""
    cudnn_version: tuple[int, int, int]
    cudnn: Path
    """The real library."""
    headers: tuple[Path, ...]
    scanned: tuple[Path, ...]
    """Every library that may ask for CUDA's."""

    def header(self, name: str) -> str:
        """Text of one of CUDA's headers. Raises EnvironmentFailure where the wheels lack it."""
        for folder in self.headers:
            if (folder / name).is_file():
                return (folder / name).read_text(encoding="utf-8", errors="replace")
        raise EnvironmentFailure(
            f"The CUDA wheels of torch {self.version} have no {name}.",
            "Install torch with its dependencies (pip install torch), not without them.",
        )


def find_wheels(python: str | None = None) -> Wheels:
    """The torch of that interpreter; of this one where none is said.

    Raises EnvironmentFailure where there is none that can be rehearsed, with what is missing.
    """
    folders = _folders(python)
    whose = f" of {python}" if python and python != sys.executable else " here"
    if not folders["torch"]:
        raise EnvironmentFailure(f"The Python{whose} has no torch, whose CUDA build rehearsing runs.", _INSTALL)
    torch = folders["torch"][0]
    text = _read(torch / "version.py")
    version = _said(r"^__version__ = '([^']+)'", text) or "of an unknown version"
    cuda = _said(r"^cuda\b[^=]*= '([^']+)'", text)
    if cuda is None:
        raise EnvironmentFailure(f"The torch{whose} is {version}, a build without CUDA.", _INSTALL)
    major = int(cuda.partition(".")[0])
    # Wheels of one torch lie beside it; a layered environment may show those of another below.
    nvidia = sorted(folders["nvidia"], key=lambda folder: folder.parent != torch.parent)
    cudnn = next((f / "cudnn" for f in nvidia if (f / "cudnn/lib/libcudnn.so.9").is_file()), None)
    if cudnn is None:
        raise EnvironmentFailure(
            f"torch {version} is here without NVIDIA's wheels: there is no nvidia/cudnn/lib/libcudnn.so.9.",
            "Rehearsing works with the wheels that pip installs with torch, not with conda's or a system's CUDA.",
        )
    numbers = re.findall(
        r"^#define CUDNN_(?:MAJOR|MINOR|PATCHLEVEL) (\d+)", _read(cudnn / "include/cudnn_version.h"), re.M
    )
    cudnn_version = tuple(map(int, [*numbers, "0", "0", "0"][:3]))
    if cudnn_version[:2] < OLDEST_CUDNN:
        raise EnvironmentFailure(
            f"torch {version} comes with cuDNN {'.'.join(map(str, cudnn_version))}, which plans nothing without a GPU.",
            f"It takes cuDNN {OLDEST_CUDNN[0]}.{OLDEST_CUDNN[1]} or later: install torch 2.8 or later.",
        )
    beside = cudnn.parent
    one = beside / f"cu{major}" / "include"  # since CUDA 13 one folder for all
    headers = [one] if one.is_dir() else [beside / "cuda_runtime/include", beside / "cublas/include"]
    libraries = [*(torch / "lib").glob("*.so*"), *(v for f in folders["torchvision"] for v in f.glob("*.so*"))]
    libraries += beside.glob("*/lib/*.so*")
    return Wheels(
        version=version,
        cuda=major,
        cudnn_version=(cudnn_version[0], cudnn_version[1], cudnn_version[2]),
        cudnn=cudnn / "lib/libcudnn.so.9",
        headers=(*headers, cudnn / "include"),
        scanned=tuple(sorted(libraries)),
    )


def _folders(python: str | None) -> dict[str, list[Path]]:
    if python is None or python == sys.executable:
        found = {name: _here(name) for name in ("torch", "torchvision", "nvidia")}
    else:
        try:
            answer = subprocess.run([python, "-c", _LOOK], capture_output=True, text=True, check=True, timeout=60)
            found = json.loads(answer.stdout)
        except (OSError, subprocess.SubprocessError, ValueError) as error:
            raise EnvironmentFailure(f"{python} does not say which torch it has: {error}.") from error
    return {name: [Path(folder) for folder in folders] for name, folders in found.items()}


def _here(name: str) -> list[str]:
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError):  # something of that name that is no package
        spec = None
    return list(spec.submodule_search_locations or ()) if spec else []


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def _said(pattern: str, text: str) -> str | None:
    match = re.search(pattern, text, re.MULTILINE)
    return match[1] if match else None
