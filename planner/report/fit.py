"""What a fit gave, as text and as a document."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from planner.memory_model.corrections import FEWEST_ROWS
from planner.memory_model.laws import Coefficients
from planner.nouns.measurement import Measurement
from planner.report.layout import Style
from planner.text.units import format_size
from planner.wire.fit import FITTED


def fit_document(
    fitted: Coefficients, own: Sequence[Measurement], path: Path | None, kept: Path | None
) -> dict[str, Any]:
    """The corrections of a fit as plain data; `kept` is the file of an earlier fit where nothing was written."""
    return FITTED.write(
        fitted,
        own_rows=Counter(measurement.outcome for measurement in own),
        path=path,
        path_reason=None if path else _not_written(kept),
    )


def fit_report(
    fitted: Coefficients, own: Sequence[Measurement], path: Path | None, kept: Path | None, style: Style
) -> str:
    """The corrections of a fit for people."""
    counts = Counter(f"{measurement.kind}, {measurement.outcome}" for measurement in own)
    mine = "; ".join(f"{count} {what}" for what, count in counts.items()) or "none"
    lines = [
        f"Memory model {fitted.memory_model}, fitted to {', '.join(fitted.profiles)}",
        f"rows of your own: {mine}",
        "",
    ]
    if fitted.corrections:
        rows = [["GPU", "runtime", "rows", "allocated", "reserved", "context", "bound", "coverage"]]
        for one in fitted.corrections:
            n = one.margin.rows
            context = "assumed" if one.context_bytes is None else format_size(one.context_bytes)
            ratios = (f"x {one.allocated_ratio:.3f}", f"x {one.reserved_ratio:.3f}")
            rows.append(
                [one.gpu, one.runtime, str(n), *ratios, context, f"+{one.margin.ratio:.1%}", f"{n / (n + 1):.0%}"]
            )
        lines += style.table(rows, range(2, 8), keys=2, indent="")
        lines += [f"! {one.gpu}, {one.runtime}: {note}" for one in fitted.corrections for note in one.notes]
    else:
        lines.append(
            f"No GPU has {FEWEST_ROWS} measured rows of one runtime, so nothing is corrected: sam2-plan measure"
        )
    return style.page([*lines, "", f"written  {path}" if path else f"{_not_written(kept)}."])


def _not_written(kept: Path | None) -> str:
    words = "Nothing was written: nothing differs from what ships"
    return f"{words}, but {kept} of an earlier fit stays in force until it is deleted" if kept else words
