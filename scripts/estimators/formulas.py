"""Estimators that take a module, each called through its own API: accelerate, torchinfo, and two from PyPI."""

from __future__ import annotations

import logging
from typing import Any

import torch

from estimators.cases import Answer, Case
from estimators.harness import AsModule, build, precision_of

ACCELERATE_INFERENCE_FACTOR = 1.2
"""https://huggingface.co/docs/accelerate/usage_guides/model_size_estimator: "an additional 20 %" for inference."""
_NO_VIDEO = (
    "takes one module with one input tensor; the video predictor is a loop over frames that keeps state between calls"
)


def accelerate(case: Case) -> Answer:
    """Size of the weights × 1.2. Knows the weights' precision, not autocast, resolution or task."""
    from accelerate import init_empty_weights
    from accelerate.utils import calculate_maximum_sizes

    with init_empty_weights():
        model = build(case, "meta")
    weights_bytes = calculate_maximum_sizes(model)[0]
    return Answer(
        peak_bytes=round(weights_bytes * ACCELERATE_INFERENCE_FACTOR),
        parts={"weights": weights_bytes},
        note="the weights alone: the same figure for every resolution and task",
    )


def torchinfo(case: Case) -> Answer:
    """torchinfo.summary's estimated total, from a real forward pass on the CPU."""
    from torchinfo import summary

    if case.run == "video":
        return Answer(reason=_NO_VIDEO)
    module = AsModule(case, build(case))
    dtypes = [torch.float16] if case.precision == "float16" else None
    with precision_of(case, "cpu"):
        result = summary(module, input_size=(1, 3, case.side, case.side), dtypes=dtypes, device="cpu", verbose=0)
    parts = {
        "input": int(result.total_input),
        "outputs of layers, twice": int(result.total_output_bytes),
        "weights": int(result.total_param_bytes),
    }
    return Answer(peak_bytes=sum(parts.values()), parts=parts)


def torch_preflight(case: Case) -> Answer:
    """VRAMGuard's own measurement of the module, then its cost model for inference."""
    from torch_preflight.vram import PrecisionMode, estimate_config
    from torch_preflight.vram.guard import VRAMGuard

    if case.run == "video":
        return Answer(reason=_NO_VIDEO)
    modes = {"float32": PrecisionMode.FP32, "autocast_bfloat16": PrecisionMode.AMP, "float16": PrecisionMode.PURE_FP16}
    module = AsModule(case, build(case)).eval()
    example = torch.zeros((1, 3, case.side, case.side), dtype=module.model.no_mem_embed.dtype)
    guard = VRAMGuard(module, image_size=case.side, precision=modes[case.precision], example_input=example)
    if guard.activation_source != "measured":
        return Answer(reason=f"could not measure the activations (source: {guard.activation_source})")
    report = estimate_config(guard.profile, guard.config.replace(inference_only=True), with_remediations=False)
    parts = {name: int(size) for name, size in report.breakdown.items() if size}
    overheads = report.breakdown.cuda_context + report.breakdown.fragmentation
    return Answer(
        peak_bytes=report.total - overheads,
        headline_bytes=report.total,
        parts=parts,
        note="its total adds 10.5 % for fragmentation and 135 MiB of context",
    )


class _Messages(logging.Handler):
    """Keeps what a logger says."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(record.getMessage())


def torch_kitsune(case: Case) -> Answer:
    """predict_memory for inference; its log tells which of its three ways was taken, which its result does not."""
    from kitsune.predict import predict_memory

    if case.run == "video":
        return Answer(reason=_NO_VIDEO)
    if case.precision.startswith("autocast"):
        return Answer(reason="knows one dtype for weights and activations, so not autocast")
    messages = _Messages()
    logger = logging.getLogger("kitsune.predict.activation_estimator")
    logger.addHandler(messages)
    logger.setLevel(logging.DEBUG)
    module: Any = AsModule(case, build(case))
    result = predict_memory(module, (3, case.side, case.side), 1, case.precision, "none", training=False)
    failed = [text for text in messages.texts if "failed" in text]
    ways = [text.split("]")[0].strip("[") for text in messages.texts if "failed" not in text]
    note = f"way taken: {', '.join(ways)}; adds 15 % of overhead"
    if failed and "meta" not in ways:
        note += f"; {failed[-1][:120]}"
    return Answer(
        peak_bytes=result.param_bytes + result.activation_bytes,
        headline_bytes=result.total_bytes,
        parts={
            "weights": result.param_bytes,
            "activations": result.activation_bytes,
            "overhead": result.overhead_bytes,
        },
        note=note,
    )
