"""Types of torch that precisions stand for."""

from __future__ import annotations

import torch

WEIGHTS = {"bfloat16": torch.bfloat16, "float16": torch.float16}
"""Type of the weights where it is not float32."""
AUTOCAST = {"autocast_bfloat16": torch.bfloat16, "autocast_float16": torch.float16}
