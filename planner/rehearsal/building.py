"""Make the libraries that stand in for CUDA's, with the machine's C compiler, once for each torch.

They are built against the headers of the wheels that torch came with, into the user's cache folder; no binary is
distributed. Two builds at once do the work once; a build that was cut short, or a library that is damaged, is noticed
and made again.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from planner.errors import EnvironmentFailure, PlannerError
from planner.rehearsal.stubs import generated
from planner.rehearsal.wheels import Wheels, find_wheels
from planner.text.files import lock
from planner.text.locations import cache_folder

SOURCES = Path(__file__).resolve().parent / "sources"
COMPILERS = ("cc", "gcc", "clang")
MACHINES = ("x86_64", "aarch64")
_MANIFEST = "manifest.json"
"""Written last: a folder without it was not finished."""
_CUDART = ("stage", "devices", "errors", "memory", "pools", "copies", "streams", "kernels", "entry_points")
_FLAGS = ("-O1", "-fPIC", "-shared", "-std=gnu11", "-fvisibility=hidden", "-w")
"""Without warnings: they would be of the wheels' headers and of another machine's compiler; tests compile with them."""


@dataclass(frozen=True, slots=True)
class Libraries:
    """The libraries, built for one torch."""

    folder: Path
    preload: tuple[Path, ...]
    """All of them, for LD_PRELOAD: a library that is in the process already answers to its name."""
    cudnn: Path
    """The real cuDNN, which is asked for engines and workspaces."""


@dataclass(frozen=True, slots=True)
class _Library:
    soname: str
    sources: tuple[str, ...]
    has_node: bool = True
    """Whether its symbols carry a version node of its name, as those of CUDA's libraries do."""


def libraries(*, cache: Path | None = None, python: str | None = None) -> Libraries:
    """The libraries for the torch of that interpreter (this one's unless said), built where they are not there yet.

    Takes a few seconds the first time. Raises EnvironmentFailure, which says what is missing and what to do.
    """
    _check_machine()
    wheels = find_wheels(python)
    root = (cache_folder() if cache is None else cache) / "rehearsal"
    folder = root / _key(wheels)
    if not _whole(folder):
        with _locked(root):
            if not _whole(folder):  # another may have built it meanwhile
                _build(wheels, root, folder)
    names = [library.soname for library in _libraries(wheels.cuda)]
    return Libraries(folder, tuple(folder / name for name in names), wheels.cudnn)


def why_not_rehearsing() -> str | None:
    """Why this interpreter's torch cannot be rehearsed on this machine; None where it can. Builds nothing."""
    try:
        _check_machine()
        wheels = find_wheels()
        if not _whole(cache_folder() / "rehearsal" / _key(wheels)):
            _compiler()
    except PlannerError as error:
        return error.message
    return None


def _check_machine() -> None:
    system, machine = platform.system(), platform.machine()
    if system != "Linux":
        raise EnvironmentFailure(
            f"Rehearsing works on Linux only, and this is {system}.", "Run it in a Linux container, or on a CI machine."
        )
    if machine not in MACHINES:
        raise EnvironmentFailure(f"Rehearsing works on {' and '.join(MACHINES)}, and this machine is {machine}.")


def _libraries(cuda: int) -> tuple[_Library, ...]:
    return (
        _Library(f"libcudart.so.{cuda}", tuple(f"{noun}.c" for noun in _CUDART)),
        _Library("libcuda.so.1", (), has_node=False),
        _Library("libnvidia-ml.so.1", ("nvml.c",), has_node=False),
        _Library(f"libcublasLt.so.{cuda}", ("cublaslt.c",)),
        _Library(f"libcublas.so.{cuda}", ("cublas.c",)),
        _Library("libcudnn.so.9", ("cudnn.c",)),
    )


def _key(wheels: Wheels) -> str:
    """Name of the folder: what the libraries depend on."""
    digest = hashlib.sha256()
    for path in sorted(SOURCES.rglob("*.[ch]")) + sorted(SOURCES.parent.glob("*.py")):
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    for path in wheels.scanned:
        digest.update(f"{path.name} {path.stat().st_size}\n".encode())
    digest.update(repr(platform.libc_ver()).encode())
    cudnn = ".".join(map(str, wheels.cudnn_version))
    return f"torch-{wheels.version}-cudnn-{cudnn}-{platform.machine()}-{digest.hexdigest()[:12]}"


def _whole(folder: Path) -> bool:
    """Whether all that was built is there, as it was built."""
    try:
        manifest = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest) and all(_digest(folder / name) == digest for name, digest in manifest.items())
    except (OSError, ValueError, AttributeError):
        return False


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@contextmanager
def _locked(root: Path) -> Iterator[None]:
    """Alone in the cache. The lock goes with the process that holds it, however that ends."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        file = os.open(root / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _unwritable(root, error) from error
    try:
        lock(file, wait=True)
        yield
    finally:
        os.close(file)


def _unwritable(root: Path, error: OSError) -> EnvironmentFailure:
    return EnvironmentFailure(
        f"The cache folder {root} cannot be written: {error.strerror or error}.",
        "Name one that can be with $XDG_CACHE_HOME; a few hundred kilobytes are kept there.",
    )


def _build(wheels: Wheels, root: Path, folder: Path) -> None:
    compiler = _compiler()
    try:
        for left in root.glob(".building-*"):  # of a build that was killed: nobody else is at work here
            shutil.rmtree(left, ignore_errors=True)
        with tempfile.TemporaryDirectory(prefix=".building-", dir=root, ignore_cleanup_errors=True) as text:
            work = Path(text)
            with ThreadPoolExecutor(max_workers=4) as pool:
                jobs = [pool.submit(_compile, compiler, wheels, lib, work) for lib in _libraries(wheels.cuda)]
                names = [job.result() for job in jobs]
            done = work / "done"
            done.mkdir()
            for name in names:
                os.replace(work / name, done / name)
            manifest = {name: _digest(done / name) for name in names}
            (done / _MANIFEST).write_text(json.dumps(manifest, indent=1), encoding="utf-8")
            if folder.exists():  # damaged; processes that have it loaded keep their files
                os.replace(folder, work / "damaged")
            os.replace(done, folder)
    except OSError as error:
        raise _unwritable(root, error) from error


def _compiler() -> list[str]:
    said = shlex.split(os.environ.get("CC", ""))
    if said:
        if shutil.which(said[0]) is None:
            raise EnvironmentFailure(
                f"There is no C compiler {said[0]!r}, which $CC names.", "Unset it, or install one."
            )
        return said
    for name in COMPILERS:
        if shutil.which(name) is not None:
            return [name]
    raise EnvironmentFailure(
        f"There is no C compiler here: none of {', '.join(COMPILERS)} is on the PATH.",
        "Install one (apt-get install gcc libc6-dev), or name it with $CC.",
    )


def _compile(compiler: list[str], wheels: Wheels, library: _Library, work: Path) -> str:
    stem = library.soname.split(".")[0]
    stubs, script = work / f"{stem}_generated.c", work / f"{stem}.map"
    stubs.write_text(generated(wheels, library.soname), encoding="utf-8")
    node = library.soname if library.has_node else ""
    script.write_text(f"{node} {{ global: cu*; __cuda*; nvml*; imaginary_*; local: *; }};\n", encoding="utf-8")
    includes = [f"-I{folder}" for folder in (SOURCES, SOURCES / "include", *wheels.headers)]
    sources = [str(SOURCES / name) for name in library.sources]
    linking = [f"-Wl,-soname,{library.soname}", f"-Wl,--version-script={script}", "-ldl", "-lpthread"]
    output = ["-o", str(work / library.soname)]
    command = [*compiler, *_FLAGS, *_versions(wheels), *includes, *sources, str(stubs), *output, *linking]
    try:
        ran = subprocess.run(
            command, capture_output=True, text=True, errors="replace", env={**os.environ, "LC_ALL": "C"}, timeout=300
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise EnvironmentFailure(f"The C compiler {compiler[0]} did not run: {error}.") from error
    if ran.returncode:
        raise EnvironmentFailure(
            f"The C compiler {compiler[0]} could not build {library.soname} for torch {wheels.version}: "
            + _excerpt(ran.stderr),
            "Another one may: name it with $CC. With gcc on Debian, libc6-dev is needed too.",
        )
    return library.soname


def _excerpt(text: str) -> str:
    """The first lines that say what is wrong."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    wrong = [line for line in lines if re.search(r"\berror\b|not found|cannot", line)] or lines
    return " | ".join(wrong[:3]) or "it said nothing."


def _versions(wheels: Wheels) -> list[str]:
    """Versions of CUDA and cuBLAS, for the libraries that cannot include their headers."""
    cuda = re.search(r"^#define CUDA_VERSION (\d+)", wheels.header("cuda.h"), re.MULTILINE)
    header = wheels.header("cublas_api.h")
    parts = [re.search(rf"CUBLAS_VER_{part} (\d+)", header) for part in ("MAJOR", "MINOR", "PATCH")]
    major, minor, patch = (int(part[1]) if part else 0 for part in parts)
    return [
        f"-DIMAGINARY_CUDA_VERSION={cuda[1] if cuda else wheels.cuda * 1000}",
        f"-DIMAGINARY_CUBLAS_VERSION={major * 10000 + minor * 100 + patch}",
    ]


if __name__ == "__main__":  # two of them at once, in tests
    sys.stdout.write(f"{libraries().folder}\n")
