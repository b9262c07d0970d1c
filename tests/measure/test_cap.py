"""The cap of a trial, with stand-ins for torch's counters: the allocator gets what the context leaves."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="the child process needs torch")

from planner.measure import child
from planner.measure.gauge import Gauge

GB = 10**9


@pytest.fixture
def fractions(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A card of 10 GB with 6 in use, 1 of them held by this process's allocator; what it is limited to."""
    found: list[float] = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (4 * GB, 10 * GB))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda device: 1 * GB)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, device: found.append(share))
    return found


def hold(cap_bytes: int, process_bytes: int | None) -> None:
    gauge: Any = Gauge("cpu")
    gauge.on_gpu = True
    driver: Any = SimpleNamespace(process_bytes=lambda: process_bytes)
    child._cap(cap_bytes, gauge, driver)


def test_others_on_the_gpu_do_not_count_where_the_driver_tells_them_apart(fractions: list[float]) -> None:
    hold(2 * GB, process_bytes=1_500_000_000)
    assert fractions == [pytest.approx(0.15)]


def test_all_that_is_in_use_counts_where_nothing_tells_them_apart(fractions: list[float]) -> None:
    hold(8 * GB, process_bytes=None)
    assert fractions == [pytest.approx(0.3)]


def test_a_cap_above_the_card_is_the_card(fractions: list[float]) -> None:
    hold(20 * GB, process_bytes=1 * GB)
    assert fractions == [1.0]


def test_a_cap_that_the_context_alone_fills_is_out_of_memory(fractions: list[float]) -> None:
    with pytest.raises(Exception, match="context of 500,000,000 alone") as caught:
        hold(400_000_000, process_bytes=1_500_000_000)
    assert child._kind(caught.value) == "out_of_memory"
    assert fractions == []


def test_the_cap_is_set_anew_after_each_frame() -> None:
    gauge, held = Gauge("cpu"), []
    gauge.hold = lambda: held.append(1)
    gauge.tick()
    gauge.tick()
    assert len(held) == 2


@pytest.mark.parametrize(
    "message",
    [
        "CUDA error: out of memory",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
    ],
)
def test_memory_that_ran_out_beside_the_allocator_is_out_of_memory_and_no_failure(message: str) -> None:
    """For a context, pinned memory, or what cuBLAS and cuDNN take themselves torch has no error of its own."""
    assert child._kind(RuntimeError(message)) == "out_of_memory"
    assert child._kind(RuntimeError("CUDA error: an illegal memory access was encountered")) == "failed"


def test_what_was_reached_before_memory_ran_out_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda device: 3 * GB)
    monkeypatch.setattr(torch.cuda, "max_memory_reserved", lambda device: 4 * GB)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda device: None)
    gauge = Gauge("cpu")
    gauge.on_gpu = True
    assert gauge.peak("allocated_bytes") is None, "nothing was measured yet, which is not nothing"
    with pytest.raises(torch.OutOfMemoryError), gauge.phase("load"):
        raise torch.OutOfMemoryError("CUDA out of memory")
    assert gauge.under_way == "load"
    assert gauge.phases == {"load": {"allocated_bytes": 3 * GB, "reserved_bytes": 4 * GB}}
