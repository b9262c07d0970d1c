"""What planning answers where several streams or GPUs are asked for."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from planner.cli.output import echo, style_of


def answer(asked: Mapping[str, Any], output: str, path: str | None) -> int:
    """Pack, save the plan of one process, print; returns the exit code."""
    from planner.questions import pack
    from planner.report.packing import packing_document, packing_report

    packing = pack(**asked)
    if path is not None:
        packing.plan.save(path)
    if output == "json":
        from planner.wire.text import json_text

        echo(json_text(packing_document(packing)))
    else:
        echo(packing_report(packing, path, style_of(sys.stdout)))
    return packing.exit_code
