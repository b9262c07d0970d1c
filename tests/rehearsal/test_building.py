"""Building the stand-ins: what is missing is said with its remedy, and whatever happens to the cache, it is mended.

Wheels and compilers are made up, so that these run anywhere; test_imaginary_gpu.py runs what a real compiler made.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest

from planner.errors import EnvironmentFailure
from planner.rehearsal import building
from planner.rehearsal.building import libraries, why_not_rehearsing
from planner.rehearsal.symbols import asked_of_others

COMPILER = """#!/bin/sh
# Stands in for a C compiler: takes its time, and notes each library that it was asked for.
while [ $# -gt 0 ]; do
  case $1 in -o) output=$2; shift;; esac
  shift
done
sleep ${SLOWLY:-0}
echo "$(basename $output)" >> "$BUILT"
echo "library" > "$output"
"""


def site(folder: Path, *, cuda: str | None = "13.0", cudnn: tuple[int, int] = (9, 10), wheels: bool = True) -> Path:
    """A folder of packages with a torch that is nothing but what building looks at."""
    said = "None" if cuda is None else f"'{cuda}'"
    files = {
        "torch/__init__.py": "raise RuntimeError('torch was imported')",
        "torch/version.py": f"__version__ = '9.9.9'\ncuda: Optional[str] = {said}\n",
        "torch/lib/libtorch_cuda.so": "",
    }
    if wheels and cuda is not None:
        one = f"nvidia/cu{cuda.split('.')[0]}/include" if cuda.startswith("13") else "nvidia/cuda_runtime/include"
        blas = one if cuda.startswith("13") else "nvidia/cublas/include"
        files |= {
            f"{one}/cuda.h": f"#define CUDA_VERSION {cuda.replace('.', '0')}0\n",
            f"{one}/cuda_runtime_api.h": "extern cudaError_t CUDARTAPI cudaMallocManaged(void **out, size_t size);\n",
            f"{blas}/cublas_api.h": "#define CUBLAS_VER_MAJOR 13\n",
            "nvidia/cudnn/include/cudnn_version.h": f"#define CUDNN_MAJOR {cudnn[0]}\n#define CUDNN_MINOR {cudnn[1]}\n",
            "nvidia/cudnn/lib/libcudnn.so.9": "",
        }
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


@pytest.fixture
def compiler(tmp_path, monkeypatch):
    """A compiler on the PATH that builds at once; the file says what it built."""
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "gcc-of-a-test").write_text(COMPILER)
    (folder / "gcc-of-a-test").chmod(0o755)
    built = tmp_path / "built.txt"
    built.write_text("")
    monkeypatch.setenv("BUILT", str(built))
    monkeypatch.setenv("CC", str(folder / "gcc-of-a-test"))
    return built


@pytest.fixture
def python(tmp_path, fake_python):
    return fake_python(site(tmp_path / "site"))


def folders(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "rehearsal").iterdir() if path.name != ".lock")


def test_six_libraries_are_built_once_and_found_again(tmp_path, compiler, python):
    first = libraries(cache=tmp_path / "cache", python=python)
    assert sorted(compiler.read_text().split()) == sorted(path.name for path in first.preload)
    assert len(first.preload) == 6 and all(path.is_file() for path in first.preload)
    assert {"libcudart.so.13", "libcublas.so.13", "libcudnn.so.9"} <= {path.name for path in first.preload}
    assert first.folder.name.startswith("torch-9.9.9-cudnn-9.10.0-x86_64-")
    assert libraries(cache=tmp_path / "cache", python=python) == first
    assert len(compiler.read_text().split()) == 6
    assert folders(tmp_path / "cache") == [first.folder.name]


def test_the_wheels_of_cuda_12_lie_elsewhere_and_have_other_names(tmp_path, compiler, fake_python):
    found = libraries(cache=tmp_path / "cache", python=fake_python(site(tmp_path / "site", cuda="12.8")))
    assert {"libcudart.so.12", "libcublas.so.12", "libcublasLt.so.12"} <= {path.name for path in found.preload}


def test_another_torch_or_other_wheels_are_another_folder(tmp_path, compiler, fake_python):
    first = libraries(cache=tmp_path / "cache", python=fake_python(site(tmp_path / "site")))
    second = libraries(cache=tmp_path / "cache", python=fake_python(site(tmp_path / "site", cudnn=(9, 11))))
    (tmp_path / "site/torch/lib/libtorch_cuda.so").write_text("another one of the same version")
    third = libraries(cache=tmp_path / "cache", python=fake_python(tmp_path / "site"))
    assert len({first.folder, second.folder, third.folder}) == 3


@pytest.mark.parametrize("damage", ["truncated", "gone", "unfinished", "nonsense", "empty"])
def test_a_damaged_or_half_built_cache_is_built_again(tmp_path, compiler, python, damage):
    found = libraries(cache=tmp_path / "cache", python=python)
    library, manifest = found.preload[3], found.folder / "manifest.json"
    if damage == "truncated":
        library.write_text("lib")
    elif damage == "gone":
        library.unlink()
    elif damage == "unfinished":
        manifest.unlink()
    else:
        manifest.write_text("{}" if damage == "empty" else "[no json")
    assert libraries(cache=tmp_path / "cache", python=python) == found
    assert library.read_text() == "library\n"
    assert len(compiler.read_text().split()) == 12
    assert folders(tmp_path / "cache") == [found.folder.name]


def test_what_a_killed_build_left_is_cleared_away(tmp_path, compiler, python):
    left = tmp_path / "cache/rehearsal/.building-abc"
    left.mkdir(parents=True)
    (left / "libcudart.so.13").write_text("half")
    found = libraries(cache=tmp_path / "cache", python=python)
    assert folders(tmp_path / "cache") == [found.folder.name]


PROGRAM = "import sys\nfrom planner.rehearsal.building import libraries\nprint(libraries(python=sys.argv[1]).folder)"


def test_two_builds_at_once_do_the_work_once_and_both_get_all_of_it(tmp_path, compiler, python):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "xdg"), "SLOWLY": "0.5"}
    command = [sys.executable, "-c", PROGRAM, python]
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    said = [process.communicate(timeout=60)[0].strip() for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert said[0] == said[1] and (Path(said[0]) / "libcudart.so.13").is_file()
    assert len(compiler.read_text().split()) == 6


def test_a_build_that_is_killed_does_not_stand_in_the_next_ones_way(tmp_path, compiler, python):
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "xdg")}
    command = [sys.executable, "-c", PROGRAM, python]
    first = subprocess.Popen(command, env={**environment, "SLOWLY": "2"}, stdout=subprocess.PIPE)
    root = tmp_path / "xdg/sam2-plan/rehearsal"
    while not list(root.glob(".building-*")):
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.communicate(timeout=60)
    second = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, timeout=60, check=True)
    assert folders(tmp_path / "xdg/sam2-plan") == [Path(second.stdout.strip()).name]


# ---------------------------------------------------------------- what is missing


def failure(**arguments) -> EnvironmentFailure:
    with pytest.raises(EnvironmentFailure) as caught:
        libraries(**arguments)
    assert caught.value.exit_code == 1
    return caught.value


def test_without_a_compiler(tmp_path, python, monkeypatch):
    monkeypatch.delenv("CC", raising=False)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sh").symlink_to("/bin/sh")
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    error = failure(cache=tmp_path / "cache", python=python)
    assert "no C compiler" in error.message and "gcc" in error.message
    assert "apt-get install gcc" in error.hint and "$CC" in error.hint


def test_a_compiler_that_cc_names_and_that_is_not_there(tmp_path, python, monkeypatch):
    monkeypatch.setenv("CC", "no-such-cc -m64")
    assert "'no-such-cc', which $CC names" in failure(cache=tmp_path / "cache", python=python).message


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing(tmp_path, python, monkeypatch):
    path = tmp_path / "cc"
    path.write_text(
        "#!/bin/sh\necho 'In file included from x:' >&2\necho 'x.c:1: fatal error: stdio.h: no' >&2\nexit 1\n"
    )
    path.chmod(0o755)
    monkeypatch.setenv("CC", str(path))
    error = failure(cache=tmp_path / "cache", python=python)
    assert "fatal error: stdio.h" in error.message and "9.9.9" in error.message
    assert "libc6-dev" in error.hint
    assert folders(tmp_path / "cache") == []


def test_without_torch(tmp_path, compiler, fake_python):
    error = failure(cache=tmp_path / "cache", python=fake_python(None))
    assert "has no torch" in error.message and "pip install torch" in error.hint


def test_a_torch_without_cuda(tmp_path, compiler, fake_python):
    error = failure(cache=tmp_path / "cache", python=fake_python(site(tmp_path / "site", cuda=None)))
    assert "9.9.9, a build without CUDA" in error.message and error.hint


def test_a_torch_without_nvidias_wheels(tmp_path, compiler, fake_python):
    error = failure(cache=tmp_path / "cache", python=fake_python(site(tmp_path / "site", wheels=False)))
    assert "without NVIDIA's wheels" in error.message and "conda" in error.hint


def test_a_cudnn_that_plans_nothing_without_a_gpu(tmp_path, compiler, fake_python):
    error = failure(cache=tmp_path / "cache", python=fake_python(site(tmp_path / "site", cudnn=(9, 1))))
    assert "cuDNN 9.1.0" in error.message and "9.8 or later" in error.hint


def test_wheels_without_their_headers(tmp_path, compiler, fake_python):
    folder = site(tmp_path / "site")
    (folder / "nvidia/cu13/include/cuda.h").unlink()
    assert "no cuda.h" in failure(cache=tmp_path / "cache", python=fake_python(folder)).message


def test_an_interpreter_that_is_none(tmp_path):
    assert "/no/such/python" in failure(cache=tmp_path / "cache", python="/no/such/python").message
    assert "/bin/false" in failure(cache=tmp_path / "cache", python="/bin/false").message


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "arm64"), ("Windows", "AMD64"), ("Linux", "riscv64")])
def test_on_another_machine(tmp_path, python, monkeypatch, system, machine):
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: machine)
    message = failure(cache=tmp_path / "cache", python=python).message
    assert (system if system != "Linux" else machine) in message
    assert why_not_rehearsing() == message


def test_a_cache_folder_that_cannot_be_written(tmp_path, compiler, python):
    (tmp_path / "cache").write_text("a file where the folder should be")
    error = failure(cache=tmp_path / "cache", python=python)
    assert str(tmp_path / "cache") in error.message and "$XDG_CACHE_HOME" in error.hint


def test_a_cache_folder_that_may_not_be_written(tmp_path, compiler, python):
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    (tmp_path / "cache").mkdir(mode=0o500)
    error = failure(cache=tmp_path / "cache", python=python)
    assert "Permission denied" in error.message and "$XDG_CACHE_HOME" in error.hint


def test_why_not_rehearsing_builds_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(building, "_build", lambda *_: pytest.fail("it was built"))
    reason = why_not_rehearsing()
    assert reason is None or reason.endswith(".")
    assert list(tmp_path.iterdir()) == []


# ---------------------------------------------------------------- symbols and sources


def test_what_a_library_asks_of_others_is_read_with_its_version():
    path = next((p for p in map(Path, _mapped()) if p.name.startswith("libm.so")), None)
    if path is None:
        pytest.skip("this process has no libm.so mapped")
    asked = asked_of_others(path)
    assert any((node.startswith("GLIBC_") and name == "errno") or name for name, node in asked)
    assert not any(name == "cos" for name, _ in asked)


def _mapped() -> list[str]:
    import math  # noqa: F401 - brings libm

    lines = Path("/proc/self/maps").read_text().splitlines()
    return [line.split()[-1] for line in lines if "/" in line]


def test_what_is_no_library_asks_for_nothing(tmp_path):
    (tmp_path / "empty.so").write_bytes(b"")
    (tmp_path / "script.so").write_text("INPUT(libother.so)")
    assert asked_of_others(tmp_path / "empty.so") == asked_of_others(tmp_path / "script.so") == []


def test_the_real_sources_compile_without_a_warning(built):
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-Wno-deprecated-declarations", "-Wno-unknown-pragmas"]
    wheels = building.find_wheels()
    includes = [f"-I{f}" for f in (building.SOURCES, building.SOURCES / "include", *wheels.headers)]
    sources = [str(path) for path in sorted(building.SOURCES.glob("*.c"))]
    command = [*building._compiler(), *flags, "-fsyntax-only", *building._versions(wheels), *includes, *sources]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr[-3000:]
