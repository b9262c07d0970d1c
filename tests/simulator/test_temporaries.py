"""What operations do to memory beside their outputs, where no run of torch is at hand to compare with."""

from __future__ import annotations

import random

import pytest
import torch

from planner.simulator.events import Trace
from planner.simulator.kernels import cudnn_attention_workspace_bytes, select_buffer_bytes
from planner.simulator.strides import view_strides
from planner.simulator.torch_adapters import FakeGpu
from planner.simulator.workspaces import workspaces_for


def traced(run, **settings) -> Trace:
    """The trace of a function on a fake GPU."""
    gpu = FakeGpu(**settings)
    with gpu.run(), torch.inference_mode():
        run(gpu)
    return gpu.trace


def signed(trace: Trace, start: int) -> list[int]:
    """Sizes of births, and of deaths as negative ones, from an event on."""
    sizes = [trace.allocations[abs(event) - 1].size_bytes for event in trace.events]
    return [size if event > 0 else -size for event, size in zip(trace.events, sizes, strict=True)][start:]


def test_views_of_tensors_with_dimensions_of_size_one_get_the_strides_that_torch_gives_real_ones() -> None:
    source = random.Random(1)
    compared = 0
    for _ in range(3000):
        shape = [source.choice([1, 1, 2, 3, 4]) for _ in range(source.randint(1, 5))]
        tensor = torch.empty(shape, device="meta").permute(*source.sample(range(len(shape)), len(shape)))
        wanted, left = [], tensor.numel()
        while left > 1:
            wanted.append(source.choice([size for size in range(1, left + 1) if left % size == 0]))
            left //= wanted[-1]
        if not wanted:
            continue
        try:
            real = tensor.view(wanted).stride()
        except RuntimeError:
            real = None
        assert view_strides(tensor.shape, tensor.stride(), wanted) == real
        compared += 1
    assert compared > 1000


def test_layer_norm_copies_an_input_that_is_not_contiguous_while_it_runs() -> None:
    def run(gpu: FakeGpu) -> None:
        values = torch.empty(1, 8, 64, device="cuda").transpose(1, 2)
        outputs = torch.native_layer_norm(values, [8], None, None, 1e-5)
        del outputs

    copy = 8 * 64 * 4
    assert signed(traced(run), 1)[:5] == [copy, copy, 64 * 4, 64 * 4, -copy]


def test_split_flash_attention_has_its_output_while_the_parts_are_there() -> None:
    def run(gpu: FakeGpu) -> None:
        query = torch.empty(1, 1, 64, 64, device="cuda", dtype=torch.float16)
        key = torch.empty(1, 1, 4096, 64, device="cuda", dtype=torch.float16)
        result = torch.nn.functional.scaled_dot_product_attention(query, key, key)
        del result

    sizes = signed(traced(run, workspaces=workspaces_for((8, 6), "2.14")), 2)
    output, sums = 64 * 64 * 2, 64 * 4
    assert sizes[:2] == [output, sums]
    split_sums, split_parts = sizes[2:4]
    assert (split_sums % sums, split_parts) == (0, split_sums * 64)
    assert sizes[4:11] == [16, 8, -split_sums, -split_parts, -sums, -16, -8]


def test_math_attention_looks_for_masked_rows_in_a_mask_of_all_scores() -> None:
    def run(gpu: FakeGpu) -> None:
        torch._safe_softmax(torch.empty(2, 16, 32, device="cuda"), -1)

    scores = 2 * 16 * 32
    assert signed(traced(run), 1)[:7] == [scores * 4, scores, 32, 4, -4, -32, -scores]


def test_interpolation_of_low_precision_weights_is_cast_under_autocast() -> None:
    def run(gpu: FakeGpu) -> None:
        with gpu.autocast(torch.float16):
            values = torch.empty(1, 2, 4, 4, device="cuda", dtype=torch.float16)
            assert torch.nn.functional.interpolate(values, size=(8, 8), mode="bicubic").dtype == torch.float32

    traced(run)


@pytest.mark.parametrize(
    ("capability", "shape", "expected"),
    [
        pytest.param((9, 0), (1, 1, 4096, 4096, 256), 256, id="9.0: a constant"),
        pytest.param((10, 0), (1, 1, 4096, 28736, 256), 16_908_416, id="10.0: memory attention, in 4 parts"),
        pytest.param((10, 0), (1, 4, 4096, 4096, 96), 12_845_184, id="10.0: tiny's global blocks, in 2"),
        pytest.param((10, 0), (1, 1, 2304, 16000, 256), 19_021_952, id="10.0: at 768, in 8"),
        pytest.param((10, 0), (3, 1, 4096, 8000, 256), 0, id="10.0: three objects fill the GPU"),
        pytest.param((10, 0), (1, 1, 1024, 4095, 256), 0, id="10.0: few keys"),
        pytest.param((10, 0), (1, 8, 9, 4096, 32), 0, id="10.0: few queries"),
        pytest.param((8, 6), (1, 1, 4096, 4096, 256), 0, id="elsewhere: none"),
    ],
)
def test_workspaces_of_cudnn_attention_are_those_that_cudnn_states(capability, shape, expected) -> None:
    assert cudnn_attention_workspace_bytes(capability, *shape, multiprocessors=148) == expected


@pytest.mark.parametrize(("count", "expected"), [(0, 767), (64, 1023), (65_536, 1791), (4_000_000, 50_943)])
def test_the_buffer_that_lists_what_is_not_zero(count: int, expected: int) -> None:
    assert select_buffer_bytes(count) == expected
