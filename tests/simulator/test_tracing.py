"""The tracer by itself: operations it does not know, births and deaths."""

import pytest

torch = pytest.importorskip("torch", reason="the trace runs torch")

from planner.simulator.torch_adapters import FakeGpu, UnknownOperation


def test_an_unknown_operation_names_itself_and_its_module():
    library = torch.library.Library("planner_test", "DEF")
    library.define("mystery(Tensor x) -> Tensor")

    class Strange(torch.nn.Module):
        def forward(self, x):
            return torch.ops.planner_test.mystery(x)

    model = torch.nn.Sequential(Strange())
    gpu = FakeGpu()
    with gpu.run(), torch.inference_mode(), pytest.raises(UnknownOperation, match=r"planner_test::mystery.* in 0"):
        gpu.name_modules(model)
        model(torch.zeros(4, device="cuda:0"))


def test_a_view_keeps_its_whole_storage():
    gpu = FakeGpu()
    with gpu.run(), torch.inference_mode():
        whole = torch.zeros(1000, device="cuda:0")
        part = whole[:1]
        del whole
        assert gpu.trace.curve_bytes()[-1] == 4000
        del part
        assert gpu.trace.curve_bytes()[-1] == 0


def test_a_fused_attention_makes_no_scores():
    gpu = FakeGpu()
    with gpu.run(), torch.inference_mode():
        query = torch.zeros(1, 1, 4096, 64, dtype=torch.float16, device="cuda:0")
        before = len(gpu.trace.allocations)
        torch.nn.functional.scaled_dot_product_attention(query, query, query)
    assert max(allocation.size_bytes for allocation in gpu.trace.allocations[before:]) < 4096 * 4096


@pytest.mark.parametrize("device", ["cuda", "cpu"])
def test_pooling_copies_only_what_is_not_dense_in_its_format(device):
    gpu = FakeGpu(device=device)
    with gpu.run(), torch.inference_mode():
        channels_last = torch.zeros(1, 8, 8, 48, device=device)
        for values in (channels_last.permute(0, 3, 1, 2), channels_last.permute(0, 3, 1, 2)[:, :16]):
            before = len(gpu.trace.allocations)
            torch.nn.functional.max_pool2d(values, 2)
            copies = [a.size_bytes for a in gpu.trace.allocations[before:] if a.operation == "max_pool2d copy"]
            assert copies == ([] if values.shape[1] == 48 else [8 * 8 * 16 * 4])
