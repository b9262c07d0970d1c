"""Workspaces of convolutions: who is asked, what happens where nobody answers, what is remembered."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("torch")

import torch

import planner
from planner.errors import FileError
from planner.simulator.convolutions import asking, stand_in, table
from planner.simulator.convolutions.asking import Installed, cublaslt_of
from planner.simulator.convolutions.convolution import CUDNN, DEPTHWISE, SLOW, Convolution, kernel_of
from planner.simulator.convolutions.cudnn import strides
from planner.simulator.convolutions.devices import device_json
from planner.simulator.convolutions.remembered import file_for
from planner.simulator.convolutions.workspaces import ConvolutionWorkspaces, failed, rule_bytes
from planner.simulator.simulation import Simulation
from planner.simulator.torch_adapters import FakeGpu
from planner.simulator.torch_convolutions import installed_cudnn

LIBRARY = Path("libcudnn.so.9")
MIB = 1 << 20


def convolution(**changes: Any) -> Convolution:
    """The last layer of the mask decoder's upscaling, for one object at 1024."""
    found = Convolution(
        dtype="bfloat16",
        channels_last=False,
        input=(1, 64, 128, 128),
        weight=(64, 32, 2, 2),
        output=(1, 32, 256, 256),
        stride=(2, 2),
        padding=(0, 0),
        dilation=(1, 1),
        groups=1,
        transposed=True,
        tf32=True,
    )
    return dataclasses.replace(found, **changes)


KNOWN_BYTES = 6_307_856
"""Of `convolution()` for cuDNN 9.24 from 8.0 on: all three tensors in two bytes an element, and 16."""
STRANGE = convolution(input=(3, 64, 40, 40), output=(3, 32, 80, 80))
"""One that is in no table."""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder of the test's own, and nothing said of cuDNN."""
    monkeypatch.setattr("planner.simulator.convolutions.remembered.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.setattr("planner.simulator.convolutions.stand_in.cache_folder", lambda: tmp_path / "cache")
    monkeypatch.delenv("SAM2_PLAN_CUDNN", raising=False)
    failed.clear()
    return tmp_path / "cache"


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Put another program in the child's place."""

    def put(text: str) -> None:
        path = tmp_path / "child.py"
        path.write_text("import json, os, sys, time\n" + text)
        monkeypatch.setattr(asking, "PROGRAM", path)

    return put


ANSWERING = """
sys.stdin.readline()
print(json.dumps({"cudnn": 92400}), flush=True)
for line in sys.stdin:
    print(json.dumps({"bytes": 12345}), flush=True)
"""


def workspaces(version: int = 92400, **changes: Any) -> ConvolutionWorkspaces:
    values = {"capability": (8, 6), "multiprocessors": 82, "torch_version": (2, 14)}
    return ConvolutionWorkspaces(**(values | {"installed": Installed(LIBRARY, version)} | changes))


def answered(found: ConvolutionWorkspaces, *asked: Convolution) -> tuple[list[int], dict[str, int], str | None]:
    with found:
        sizes = [found.bytes(each) for each in asked]
    answers = found.answers()
    return sizes, answers.by_source, answers.fault


# -- cuDNN itself -------------------------------------------------------------------------------------


def real_cudnn() -> Installed:
    """The installed torch's, or a skip that says what is missing."""
    installed = installed_cudnn()
    if installed is None:
        pytest.skip("the installed torch brings no cuDNN")
    if installed.version != 92400:
        pytest.skip(f"the answers are those of cuDNN 92400, here is {installed.version}")
    cublaslt = cublaslt_of(installed.library)
    if cublaslt is None or stand_in.stand_in(cublaslt.name) is None:
        pytest.skip("no C compiler to make a stand-in of cublasLt")
    return installed


PATCH_EMBED = convolution(
    input=(1, 3, 1024, 1024), weight=(96, 3, 7, 7), output=(1, 96, 256, 256), stride=(4, 4), padding=(3, 3),
    transposed=False,
)  # fmt: skip
NECK = convolution(
    input=(1, 96, 256, 256), weight=(256, 96, 1, 1), output=(1, 256, 256, 256), stride=(1, 1), transposed=False
)


def test_cudnn_answers_as_torch_runs_it() -> None:
    # Each as cuDNN 9.24 states it to torch 2.14.1's own convolution on a described GPU.
    installed = real_cudnn()
    exact = convolution(dtype="float32", tf32=False)
    sizes, by_source, fault = answered(
        workspaces(installed=installed),
        convolution(),
        convolution(channels_last=True),
        PATCH_EMBED,
        NECK,
        convolution(dtype="float32"),
        exact,
    )
    assert fault is None
    assert sum(by_source.values()) == 6 and all("9.24.0, asked" in source for source in by_source)
    assert sizes[:4] == [KNOWN_BYTES, 0, 0, 0]
    assert sizes[4] > 0 and sizes[5] != sizes[4]
    hopper = workspaces(installed=installed, capability=(9, 0), multiprocessors=132)
    assert answered(hopper, PATCH_EMBED)[0] == [2 * (8 * 1024**2 + 96 * 256**2 + 96 * 8 * 49) + 16]


def test_what_torch_passes_over_is_passed_over() -> None:
    # torch 2.14.1 does not run the engine on cublasLt on 12.0 (plan_errata_exception), and takes the next.
    installed = real_cudnn()
    assert answered(workspaces(installed=installed, capability=(12, 0), multiprocessors=170), NECK)[0] == [384]


def test_the_shipped_table_says_what_cudnn_says() -> None:
    installed = real_cudnn()
    some = [table.convolution_of(key) for key, _ in table.shipped().rows(92400)[::9]]
    asked, by_source, _ = answered(workspaces(installed=installed), *some)
    looked_up, from_table, _ = answered(workspaces(installed=None), *some)
    assert asked == looked_up
    assert any("asked" in source for source in by_source) and any("table" in source for source in from_table)


def test_a_library_that_is_none_falls_to_the_table(tmp_path: Path) -> None:
    (tmp_path / "libcudnn.so.9").write_text("not a library")
    for path in (tmp_path / "libcudnn.so.9", tmp_path / "missing.so"):
        sizes, by_source, fault = answered(workspaces(installed=Installed(path, 92400)), convolution(), STRANGE)
        assert sizes == [KNOWN_BYTES, rule_bytes(STRANGE, (8, 6))]
        assert by_source == {"cuDNN 9.24.0, shipped table": 1, "rule": 1}
        assert fault is not None and path.name in fault


# -- a child that fails -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected_fault"),
    [
        pytest.param("os.abort()", "signal 6", id="aborts"),
        pytest.param("sys.exit(3)", "exit status 3", id="leaves"),
        pytest.param("sys.stdin.readline(); print('{\"cudnn\": 92400}', flush=True); os.abort()", "signal 6",
                     id="aborts later"),
        pytest.param("time.sleep(600)", "did not answer", id="hangs"),
        pytest.param("sys.stdin.readline(); print('{\"cudnn\": 92400}', flush=True); time.sleep(600)", "did not answer",
                     id="hangs later"),
        pytest.param("print('Hello', flush=True); time.sleep(600)", "Hello", id="babbles"),
        pytest.param("print('[]', flush=True); time.sleep(600)", "answered", id="answers with a list"),
        pytest.param("print('{\"cudnn\": 92400}\\n{\"bytes\": -1}')", "answered", id="answers with a negative size"),
        pytest.param("print('{\"cudnn\": 92400}\\n{\"bytes\": \"many\"}')", "answered", id="answers with words"),
        pytest.param("print('{\"fault\": \"finalize: status 1008: libcuda.so.1\"}')", "status 1008", id="refuses"),
        pytest.param("print('{\"cudnn\": 91002}', flush=True); time.sleep(600)", "91002", id="is another version"),
    ],
)  # fmt: skip
def test_a_child_that_fails_falls_to_the_table(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch, text: str, expected_fault: str
) -> None:
    program(text)
    monkeypatch.setattr(asking.Child.__init__, "__kwdefaults__", {"cublaslt": None, "patience_seconds": 1.0})
    monkeypatch.setattr(asking, "GRACE_SECONDS", 0.2)
    sizes, by_source, fault = answered(workspaces(), convolution(), STRANGE)
    assert sizes == [KNOWN_BYTES, rule_bytes(STRANGE, (8, 6))]
    assert by_source == {"cuDNN 9.24.0, shipped table": 1, "rule": 1}
    assert fault is not None and expected_fault in fault


def test_no_process_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    sizes, _, fault = answered(workspaces(), convolution())
    assert sizes == [KNOWN_BYTES]
    assert fault is not None and "no process" in fault


def test_a_failed_child_is_not_asked_again(program: Callable[[str], None], tmp_path: Path) -> None:
    program(f"open({str(tmp_path / 'starts')!r}, 'a').write('x'); os.abort()")
    for _ in range(2):
        sizes, _, fault = answered(workspaces(), convolution(), STRANGE)
        assert sizes[0] == KNOWN_BYTES and fault is not None and "signal 6" in fault
    assert (tmp_path / "starts").read_text() == "x"


# -- what is remembered -------------------------------------------------------------------------------


def test_an_answer_is_remembered(program: Callable[[str], None]) -> None:
    program(ANSWERING)
    assert answered(workspaces(), STRANGE) == ([12345], {"cuDNN 9.24.0, asked": 1}, None)
    program("os.abort()")
    assert answered(workspaces(), STRANGE) == ([12345], {"cuDNN 9.24.0, asked": 1}, None)


def test_another_version_or_gpu_remembers_for_itself(program: Callable[[str], None]) -> None:
    program(ANSWERING)
    answered(workspaces(), STRANGE)
    program("os.abort()")
    assert answered(workspaces(version=92500), STRANGE)[1] == {"rule": 1}
    failed.clear()
    assert answered(workspaces(capability=(9, 0), multiprocessors=132), STRANGE)[1] == {"rule": 1}


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda good: "", id="empty"),
        pytest.param(lambda good: good[: len(good) // 2], id="cut short"),
        pytest.param(lambda good: "\x00\xff" * 50 + "\n[1, 2]\nnull\n{}\n" + good, id="rubbish before"),
        pytest.param(lambda good: good.replace("12345", "-7"), id="negative"),
        pytest.param(lambda good: good.replace("12345", "true"), id="no number"),
    ],
)
def test_a_damaged_file_costs_nothing_but_time(program: Callable[[str], None], damage: Callable[[str], str]) -> None:
    program(ANSWERING)
    answered(workspaces(), STRANGE)
    path = file_for(92400, device_json((8, 6), 82))
    path.write_text(damage(path.read_text()), encoding="utf-8")
    for _ in range(2):
        assert answered(workspaces(), STRANGE) == ([12345], {"cuDNN 9.24.0, asked": 1}, None)
    program("os.abort()")
    assert answered(workspaces(), STRANGE)[0] == [12345]


def test_a_cache_that_cannot_be_written_is_no_error(program: Callable[[str], None], cache: Path) -> None:
    program(ANSWERING)
    cache.write_text("a file where the folder should be")
    assert answered(workspaces(), STRANGE) == ([12345], {"cuDNN 9.24.0, asked": 1}, None)


def test_two_at_once_lose_nothing(program: Callable[[str], None]) -> None:
    program(ANSWERING)
    batches = range(2, 42)
    many = [convolution(input=(n, 64, 40, 40), output=(n, 32, 80, 80)) for n in batches]
    threads = [threading.Thread(target=answered, args=(workspaces(), *part)) for part in (many[::2], many[1::2], many)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    program("os.abort()")
    sizes, by_source, fault = answered(workspaces(), *many)
    assert (sizes, by_source, fault) == ([12345] * len(many), {"cuDNN 9.24.0, asked": len(many)}, None)


def test_a_stand_in_is_made_once_by_two_at_once(cache: Path) -> None:
    if stand_in.stand_in("libtry.so.1") is None:
        pytest.skip("no C compiler")
    code = (
        "import sys; from pathlib import Path; from planner.simulator.convolutions import stand_in;"
        "stand_in.cache_folder = lambda: Path(sys.argv[1]); print(stand_in.stand_in('libcublasLt.so.13'))"
    )
    children = [
        subprocess.Popen([sys.executable, "-c", code, str(cache)], stdout=subprocess.PIPE, text=True) for _ in range(2)
    ]
    made = [child.communicate()[0].strip() for child in children]
    assert made[0] == made[1] and Path(made[0]).is_file()
    assert [path.name for path in Path(made[0]).parent.glob("*libcublasLt*")] == [Path(made[0]).name]


def test_without_a_compiler_products_are_left_to_the_table(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(ANSWERING)
    monkeypatch.setattr(stand_in.shutil, "which", lambda name: None)
    sizes, by_source, fault = answered(workspaces(), STRANGE, NECK)
    assert sizes == [12345, 0]
    assert by_source == {"cuDNN 9.24.0, asked": 1, "cuDNN 9.24.0, shipped table": 1}
    assert fault is not None and "compiler" in fault


# -- the variable, the table, the rule ----------------------------------------------------------------


def test_nobody_is_asked_where_the_variable_says_so(
    program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    program(ANSWERING)
    monkeypatch.setenv("SAM2_PLAN_CUDNN", "none")
    sizes, by_source, fault = answered(workspaces(), convolution(), STRANGE)
    assert sizes == [KNOWN_BYTES, rule_bytes(STRANGE, (8, 6))]
    assert by_source == {"cuDNN 9.24.0, shipped table": 1, "rule": 1}
    assert fault == "SAM2_PLAN_CUDNN is none"


def test_the_variable_names_a_library(program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    program(ANSWERING.replace("92400", "92801"))
    monkeypatch.setenv("SAM2_PLAN_CUDNN", "/opt/cudnn/lib/libcudnn.so.9")
    assert answered(workspaces(installed=None), STRANGE) == ([12345], {"cuDNN 9.28.1, asked": 1}, None)


@pytest.mark.parametrize(
    ("version", "expected"),
    [(92400, 92400), (92801, 92400), (92399, 91002), (91002, 91002), (90100, 91002)],
)
def test_the_table_of_the_nearest_older_version_counts(version: int, expected: int) -> None:
    assert table.shipped().version_for(version) == expected


def test_a_batch_of_another_size_is_not_extrapolated() -> None:
    other = convolution(input=(7, 64, 128, 128), output=(7, 32, 256, 256))
    sizes, by_source, _ = answered(workspaces(installed=None), other)
    assert by_source == {"rule": 1}
    assert sizes == [2 * 7 * (64 * 128 * 128 + 32 * 256 * 256) + 2 * 64 * 32 * 4]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("cudnn\tlayout", "cudnn\tformat", id="another heading"),
        pytest.param("\t0\t", "\tnone\t", id="a cell that is no number"),
        pytest.param("NHWC\t", "", id="a cell too few"),
        pytest.param("92400\tN", "new\tN", id="a version that is none"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, old: str, new: str) -> None:
    text = table.FILE.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "convolutions.tsv").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(FileError, match=r"convolutions\.tsv"):
        table.Table(tmp_path / "convolutions.tsv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.tsv"):
        table.Table(tmp_path / "none.tsv")


shapes = st.tuples(st.integers(1, 64), st.integers(1, 64), st.integers(1, 64), st.integers(1, 64))


@given(shapes, shapes, shapes, st.sampled_from(["float32", "float16", "bfloat16"]), st.booleans(),
       st.sampled_from([(7, 5), (8, 0), (8, 6), (9, 0), (12, 0)]))  # fmt: skip
def test_the_rule_counts_copies_of_contiguous_half_precision_only(
    first: tuple[int, ...], second: tuple[int, ...], third: tuple[int, ...], dtype: str, last: bool, on: tuple[int, int]
) -> None:
    c = convolution(input=first, weight=second, output=third, dtype=dtype, channels_last=last)
    size_bytes = rule_bytes(c, on)
    assert size_bytes in (0, c.moved_bytes)
    assert (size_bytes > 0) == (dtype != "float32" and not last and on >= (8, 0))
    twice = dataclasses.replace(c, input=(2 * first[0], *first[1:]), output=(2 * third[0], *third[1:]))
    assert size_bytes <= rule_bytes(twice, on) <= 2 * size_bytes


@given(shapes, st.booleans())
def test_strides_are_those_of_torch(shape: tuple[int, ...], last: bool) -> None:
    form = torch.channels_last if last else torch.contiguous_format
    tensor = torch.empty(shape, device="meta", memory_format=form)
    for found, expected, length in zip(strides(shape, last), tensor.stride(), shape, strict=True):
        assert found == expected or length == 1


@pytest.mark.parametrize(
    ("changes", "capability", "expected"),
    [
        ({}, (8, 6), CUDNN),
        ({}, (7, 5), SLOW),
        ({"dtype": "float16"}, (7, 5), CUDNN),
        ({"transposed": False, "groups": 64, "weight": (64, 1, 7, 7)}, (8, 6), DEPTHWISE),
        ({"transposed": False, "groups": 64, "weight": (64, 1, 7, 7), "channels_last": True}, (8, 6), CUDNN),
        ({"transposed": False, "groups": 64, "weight": (64, 1, 3, 3), "dtype": "float16"}, (8, 6), CUDNN),
        ({"transposed": False, "groups": 64, "weight": (64, 1, 3, 3)}, (8, 6), DEPTHWISE),
    ],
)
def test_which_kernel_runs_it(changes: dict[str, Any], capability: tuple[int, int], expected: str) -> None:
    assert kernel_of(convolution(**changes), capability) == expected


# -- in a trace ---------------------------------------------------------------------------------------


def sizes_of(run: Callable[[], Any], size_bytes: int) -> list[int]:
    """Births and -deaths that one convolution causes, where each takes a workspace of `size_bytes`."""

    class Fixed(ConvolutionWorkspaces):
        def bytes(self, convolution: Convolution) -> int:
            return size_bytes

    gpu = FakeGpu(convolutions=Fixed((8, 6), 82, (2, 14), None))
    with gpu.run():
        held = run()
        start = len(gpu.trace.events)
        kept = held()
        found = [
            gpu.trace.allocations[abs(event) - 1].size_bytes * (1 if event > 0 else -1)
            for event in gpu.trace.events[start:]
        ]
        del kept
    return found


@pytest.mark.parametrize("transposed", [False, True])
def test_copies_output_and_workspace_come_in_torchs_order(transposed: bool) -> None:
    # As in the history of torch 2.14.1's allocator on an imaginary GPU: of an input sliced out of a wider one,
    # of a channels-last one with contiguous weights, and of channels-last weights with a contiguous input.
    weights = (64, 32, 3, 3) if transposed else (32, 64, 3, 3)
    function = torch.nn.functional.conv_transpose2d if transposed else torch.nn.functional.conv2d
    copied, weight_bytes = 4 * 64 * 20 * 20, 4 * 64 * 32 * 9

    def prepared(kind: str) -> Callable[[], Any]:
        wide = torch.empty(1, 64, 20, 40 if kind == "sliced" else 20, device="cuda")
        values, weight = wide[..., :20], torch.empty(weights, device="cuda")
        if kind == "values":
            values = values.contiguous(memory_format=torch.channels_last)
        if kind == "weight":
            weight = weight.contiguous(memory_format=torch.channels_last)
        return lambda: function(values, weight, padding=1)

    output_bytes = 4 * 32 * 20 * 20
    expected = {
        "plain": [output_bytes, MIB, -MIB],
        "sliced": [copied, output_bytes, MIB, -MIB, -copied],
        "values": [output_bytes, weight_bytes, MIB, -MIB, -weight_bytes],
        "weight": [copied, output_bytes, MIB, -MIB, -copied],
    }
    for kind, events in expected.items():
        assert sizes_of(lambda kind=kind: prepared(kind), MIB) == events, kind


def test_a_channels_last_convolution_gives_a_channels_last_output() -> None:
    gpu = FakeGpu()
    with gpu.run():
        values = torch.empty(2, 8, 16, 16, device="cuda").contiguous(memory_format=torch.channels_last)
        found = torch.nn.functional.conv2d(values, torch.empty(4, 8, 3, 3, device="cuda"))
        assert found.stride() == (4 * 14 * 14, 1, 4 * 14, 4)
        plain = torch.nn.functional.conv2d(
            torch.empty(2, 8, 16, 16, device="cuda"), torch.empty(4, 8, 3, 3, device="cuda")
        )
        assert plain.is_contiguous()


def trust_of(found: Simulation) -> str:
    return next(component.provenance for component in found.components if component.name == "workspaces")


def test_a_simulation_says_that_the_rule_was_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_PLAN_CUDNN", "none")
    found = planner.simulate(task="image", resolution=320, runtime="stock")
    told = found.provenance["convolution_workspaces"]
    assert told["fault"] == "SAM2_PLAN_CUDNN is none"
    assert told["by_source"]["rule"] > 3
    assert "copy of input" in found.provenance["assumed"]["convolution"]
    assert trust_of(found) == "assumed"


def test_a_simulation_says_that_cudnn_answered(program: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    program(ANSWERING)
    monkeypatch.setenv("SAM2_PLAN_CUDNN", "/opt/cudnn/lib/libcudnn.so.9")
    for name in ("cublaslt_of", "stand_in"):
        monkeypatch.setattr(f"planner.simulator.convolutions.workspaces.{name}", lambda _: LIBRARY)
    found = planner.simulate(task="image", resolution=320, runtime="stock")
    told = found.provenance["convolution_workspaces"]
    assert told["fault"] is None
    assert set(told["by_source"]) == {"cuDNN 9.24.0, asked", "cuDNN 9.24.0, asked; cublasLt's own taken as none"}
    assert "convolution" not in found.provenance["assumed"]
    assert trust_of(found) == "simulated"
    assert json.loads(json.dumps(found.to_dict()))["provenance"]["convolution_workspaces"] == told


@pytest.fixture(autouse=True)
def fresh_table() -> Iterator[None]:
    yield
    table.shipped.cache_clear()
