"""Planning for several streams or GPUs: the options of planning that ask for it, and its answer."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from planner.cli.output import echo, style_of


def wanted(asked: Mapping[str, Any]) -> bool:
    """Whether several streams or GPUs are asked for: by number, or by naming several."""
    several = any("," in (asked[name] or "") for name in ("vram", "gpu", "device"))
    return several or asked["gpus"] is not None or asked["streams"] is not None


def of_one(asked: Mapping[str, Any]) -> dict[str, Any]:
    """What is left of the options for the plan of one process."""
    return {name: value for name, value in asked.items() if name not in ("gpus", "streams")}


def answer(asked: Mapping[str, Any], output: str, path: str | None) -> int:
    """Pack, save the plan of one process, print; returns the exit code."""
    from planner.questions import pack
    from planner.report.packing import packing_document, packing_report

    packing = pack(**asked)
    if path is not None:
        packing.plan.save(path)
    if output == "json":
        from planner.report.document import json_text

        echo(json_text(packing_document(packing)))
    else:
        echo(packing_report(packing, path, style_of(sys.stdout)))
    return packing.exit_code
