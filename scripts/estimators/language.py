"""Planners of memory for language models: what they say when they are asked about SAM 2, in its published form."""

from __future__ import annotations

import contextlib
import io
import json
import tempfile
from pathlib import Path
from typing import Any

from estimators.cases import Answer, Case

_HEADS = {"tiny": 1, "small": 1, "base_plus": 2, "large": 2}
_WIDTHS = {"tiny": 96, "small": 96, "base_plus": 112, "large": 144}
_BLOCKS = {"tiny": [1, 2, 7, 2], "small": [1, 2, 11, 2], "base_plus": [2, 3, 16, 3], "large": [2, 6, 36, 4]}
"""num_heads, embed_dim and stages of the trunk in sam2's own configuration files (sam2/configs/sam2.1)."""


def configuration_of(case: Case) -> dict[str, Any]:
    """The config.json that transformers writes for SAM 2: these tools read that form and no other."""
    width = _WIDTHS[case.variant]
    trunk = {
        "model_type": "sam2_hiera_det_model",
        "hidden_size": width,
        "num_attention_heads": _HEADS[case.variant],
        "blocks_per_stage": _BLOCKS[case.variant],
        "embed_dim_per_stage": [width << stage for stage in range(4)],
    }
    return {
        "architectures": ["Sam2VideoModel"],
        "model_type": "sam2_video",
        "image_size": case.side,
        "torch_dtype": "float32",
        "vision_config": {"model_type": "sam2_vision_model", "fpn_hidden_size": 256, "backbone_config": trunk},
    }


def fitcheck(case: Case) -> Answer:
    """fitcheck-llm's own reading of the configuration; its memory formulas begin after that."""
    from fitcheck import config_parser

    raw = configuration_of(case)
    config_parser._reject_unsupported(raw, f"sam2 {case.variant}")
    config_parser._parse_fields(raw)
    return Answer(reason="it reads the configuration, and has no formula for pictures")


def vramscout(case: Case) -> Answer:
    """What the command vramscout prints for the configuration."""
    from vramscout.cli import main

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "config.json"
        path.write_text(json.dumps(configuration_of(case)), encoding="utf-8")
        said = io.StringIO()
        words = [str(path), "--vram-gib", "24", "--context", "1", "--json"]
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said), contextlib.suppress(SystemExit):
            main(words)
    answer = json.loads(said.getvalue())
    if "error" in answer:
        return Answer(reason=str(answer["error"]).replace(str(path), "config.json"))
    return Answer(reason=f"it answers with {', '.join(sorted(answer))}: no bytes of a picture's run")
