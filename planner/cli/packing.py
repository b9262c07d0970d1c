"""What planning answers where several streams or GPUs are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from planner.cli.looks import Saved
from planner.cli.output import answer


def pack_streams(asked: Mapping[str, Any], output: str, saved: Saved) -> int:
    """Pack, save the plan of one process, the page and the picture, print; returns the exit code."""
    from planner.api.questions import pack
    from planner.report.packing import packing_document, packing_report
    from planner.tables.plans import packing_table

    packing = pack(**asked)
    if saved.plan is not None:
        packing.plan.save(saved.plan)
    if saved.shown:
        from planner.page.answers import Answer

        budgets = [gpu.budget for gpu in packing.gpus]
        saved.show(Answer("packing", packing_document(packing), packing.plan, budgets))
    answer(
        output,
        lambda: packing_document(packing),
        lambda style: packing_report(packing, saved.plan, style),
        table=lambda: packing_table(packing),
    )
    return packing.exit_code
