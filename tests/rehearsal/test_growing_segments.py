"""Our runtime has torch's allocator grow its segments, unless the user or the driver says otherwise."""

from __future__ import annotations

import json
from typing import Any

import pytest

pytest.importorskip("sam2", reason="runs the sam2 package")

from tests.rehearsal.test_commands_on_cuda import START
from tests.stages import python_on_stage

KINDS = """
import torch
def kinds():
    return sorted({segment["is_expandable"] for segment in torch.cuda.memory_snapshot()})
"""
LOADED = KINDS + "session = load(resolution=(1024, 1024))\nsession.segment(pictures[0], boxes=[10, 20, 60, 80])\n"
TOLD = "print(json.dumps([kinds(), torch.cuda.memory_reserved()]))\n"


def found(program: str, **environment: str) -> Any:
    """What a program prints as JSON, with these variables set."""
    return json.loads(python_on_stage(START + program, variables=environment))


def test_segments_grow_and_less_is_reserved_for_it() -> None:
    grown, fixed = found(LOADED + TOLD), found(LOADED + TOLD, PYTORCH_CUDA_ALLOC_CONF="expandable_segments:False")
    assert (grown[0], fixed[0]) == ([True], [False])
    assert grown[1] < fixed[1]


def test_what_else_the_user_set_stays_set() -> None:
    """A setting that is not said again would be forgotten: here blocks are rounded up to halves of powers of two."""
    program = LOADED + "before = torch.cuda.memory_allocated()\nfive = torch.empty(5 * 2**20, device='cuda')\n"
    program += "print(json.dumps([kinds(), torch.cuda.memory_allocated() - before]))\n"
    assert found(program) == [[True], 20 * 2**20]
    assert found(program, PYTORCH_CUDA_ALLOC_CONF="roundup_power2_divisions:2") == [[True], 24 * 2**20]


@pytest.mark.parametrize(
    "cause",
    [
        pytest.param("ctypes.CDLL = lambda name: (_ for _ in ()).throw(OSError(name))", id="there is no such driver"),
        pytest.param("import planner.runtime.allocator as a; a.VIRTUAL_MEMORY = 9999", id="it says it cannot"),
        pytest.param("import platform; platform.system = lambda: 'Windows'", id="torch cannot there"),
        pytest.param(
            "import platform; platform.release = lambda: '5.15.167.4-microsoft-standard-WSL2'", id="it promises in vain"
        ),
        pytest.param(
            "empty = torch.empty\ndef refused(*words, **more):\n    torch.empty = empty\n"
            "    raise RuntimeError('CUDA driver error: operation not supported')\ntorch.empty = refused",
            id="it says it can, and cannot",
        ),
    ],
)
def test_where_memory_cannot_be_mapped_all_stays_as_torch_has_it(cause: str) -> None:
    program = f"import ctypes, torch\ntorch.cuda.init()\n{cause}\n{LOADED}print(json.dumps(kinds()))\n"
    assert found(program) == [False]


def test_what_was_there_before_stays_as_it_is() -> None:
    program = "import torch\nbefore = torch.zeros(50_000_000, device='cuda')\n" + LOADED
    assert found(program + "print(json.dumps([kinds(), before.sum().numel()]))\n") == [[False, True], 1]
