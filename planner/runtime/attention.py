"""Attention of SAM 2's memory in little memory, and the kernel that a plan asks for."""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from sam2.modeling.position_encoding import compute_axial_cis
from sam2.modeling.sam.transformer import RoPEAttention
from torch import Tensor
from torch.nn import functional
from torch.nn.attention import SDPBackend, sdpa_kernel

from planner.errors import UsageError
from planner.nouns.words import Attention, Variant
from planner.runtime.cuda import out_of_memory
from planner.runtime.layers import linear

HEAD_DIMENSIONS = {
    "tiny": (96, 256, 32, 16),
    "small": (96, 256, 32, 16),
    "base_plus": (56, 256, 32, 16),
    "large": (72, 256, 32, 16),
}
"""Dimensions of a variant's heads: image encoder, memory attention, mask decoder (sam2/configs, dim / num_heads)."""


ROTATED_BYTES = 16 * 2**20
"""What remembered frames may take in float32 while they are rotated: less than the values, which come after."""


class RotaryAttention(RoPEAttention):  # type: ignore[misc]
    """sam2's attention with rotary positions, for feature maps of any shape.

    The same values as RoPEAttention, which makes its table for a square and rotates all keys at once in float32: here
    one table serves all layers, and keys are rotated in place, some remembered frames at a time.
    """

    def __init__(
        self,
        *args: Any,
        rope_theta: float = 10000.0,
        rope_k_repeat: bool = False,
        feat_sizes: tuple[int, int] = (1, 1),
        **kwargs: Any,
    ) -> None:
        # Not RoPEAttention's own: it puts its table on the first GPU, whichever the model is for, and takes a CUDA
        # context there. `feat_sizes` are that table's.
        super(RoPEAttention, self).__init__(*args, **kwargs)
        self.compute_cis = partial(compute_axial_cis, dim=self.internal_dim // self.num_heads, theta=rope_theta)
        self.rope_k_repeat = rope_k_repeat

    def use_table(self, table: Tensor) -> None:
        """Rotate by `table`: height·width × channels/2, complex64."""
        self.freqs_cis = table

    def forward(self, q: Tensor, k: Tensor, v: Tensor, num_k_exclude_rope: int = 0) -> Tensor:
        """Attend from q (B×N×C) to k and v; the last `num_k_exclude_rope` keys have no position."""
        q = self._separate_heads(linear(self.q_proj, q), self.num_heads)
        k = self._separate_heads(linear(self.k_proj, k), self.num_heads)
        v = self._separate_heads(linear(self.v_proj, v), self.num_heads)
        _rotate(q, self.freqs_cis)
        _rotate(k[:, :, : k.shape[-2] - num_k_exclude_rope], self.freqs_cis)
        attended = functional.scaled_dot_product_attention(q, k, v)
        del q, k, v
        return linear(self.out_proj, self._recombine_heads(attended))


def _rotate(x: Tensor, table: Tensor) -> None:
    """Turn pairs of channels of B×heads×(frames·tokens)×C by the table's angles, in place.

    As sam2.modeling.position_encoding.apply_rotary_enc, some frames at once.
    """
    tokens = table.shape[0]
    each = x.shape[0] * x.shape[1] * tokens * x.shape[-1] * table.element_size() // 2
    some = x.shape[-2] if x.dtype is torch.float32 else max(1, ROTATED_BYTES // each) * tokens
    for start in range(0, x.shape[-2], some):
        part = x[:, :, start : start + some]
        exact = part.float()
        turned = torch.view_as_complex(exact.unflatten(-1, (-1, 2))).unflatten(2, (-1, tokens))
        turned.mul_(table)
        if exact is not part:
            part.copy_(exact)


@contextlib.contextmanager
def kernel(attention: Attention) -> Iterator[None]:
    """Scaled-dot-product attention by the kernel named; auto leaves the choice to torch."""
    if attention == "auto":
        yield
        return
    backend = {
        "flash": SDPBackend.FLASH_ATTENTION,
        "efficient": SDPBackend.EFFICIENT_ATTENTION,
        "cudnn": SDPBackend.CUDNN_ATTENTION,
        "math": SDPBackend.MATH,
    }[attention]
    with sdpa_kernel(backend):
        yield


def check_kernel(attention: Attention, variant: Variant, device: torch.device, dtype: torch.dtype) -> None:
    """Run the kernel once in each shape it will meet; raises UsageError where this device has none for it."""
    if attention == "auto":
        return
    for head_dim in HEAD_DIMENSIONS[variant]:
        probe = torch.zeros(1, 1, 8, head_dim, device=device, dtype=dtype)
        try:
            with _quiet(), torch.inference_mode(), kernel(attention):
                functional.scaled_dot_product_attention(probe, probe, probe)
        except RuntimeError as error:
            if out_of_memory(error):
                raise
            raise UsageError(
                f"Attention {attention!r} cannot run here: {_where(device)} has no such kernel for "
                f"{str(dtype).removeprefix('torch.')} with head dimension {head_dim}.",
                "Plan with --attention auto, or with a kernel this device has.",
            ) from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings in which torch explains why each kernel was refused."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _where(device: torch.device) -> str:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return f"{torch.cuda.get_device_name(device)} (compute capability {major}.{minor})"
    return {"cpu": "the CPU", "mps": "Apple's GPU"}.get(device.type, device.type)
