"""What planning answers where several streams or GPUs are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.cli.output import answer


def pack_streams(asked: Mapping[str, Any], output: str, path: str | None, report_path: str | None = None) -> int:
    """Pack, save the plan of one process and the page, print; returns the exit code."""
    from planner.api.questions import pack
    from planner.report.packing import packing_document, packing_report

    packing = pack(**asked)
    if path is not None:
        packing.plan.save(path)
    if report_path is not None:
        from planner.cli.report import keep_page
        from planner.page.answers import Answer

        budgets = [gpu.budget for gpu in packing.gpus]
        keep_page([Answer("packing", packing_document(packing), packing.plan, budgets)], report_path, (path,))
    answer(output, lambda: packing_document(packing), lambda style: packing_report(packing, path, style))
    return packing.exit_code
