"""torch's layers called as functions of their weights.

Calling a module and looking its weights up costs the host as much as asking for a kernel does (some 4 µs each, on the
machine of docs/log.md), and SAM 2 run eagerly waits for its host.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional


def linear(layer: Any, x: Tensor) -> Tensor:
    """nn.Linear."""
    weights = layer._parameters
    return functional.linear(x, weights["weight"], weights["bias"])


def layer_norm(layer: Any, x: Tensor) -> Tensor:
    """nn.LayerNorm."""
    weights = layer._parameters
    return functional.layer_norm(x, layer.normalized_shape, weights["weight"], weights["bias"], layer.eps)
