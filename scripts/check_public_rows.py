#!/usr/bin/env python3
"""Simulate the published rows of the stock predictors on real GPUs, and say how far off the simulation is.

Rows that name their torch are simulated by its rules; those that do not by ROUGHLY's. Nothing here needs a GPU. Exits 1
where a row is further off than TOLERANCE, or not within what its author rounded up to.

    python scripts/check_public_rows.py [--only ID] [--write]

--write puts them into profiles/public_rows.tsv, which `sam2-plan accuracy` reports.
"""

from __future__ import annotations

import argparse
import inspect
import sys

from planner.catalog.torch_rules import rules_of
from planner.nouns.measurement import Measurement
from planner.profiles import load_profile
from planner.profiles.public import PUBLIC_ROWS, PublicRow, public_rows_text
from planner.simulator import simulate
from planner.simulator.playback import Player, phases_of, sections_of
from planner.simulator.settings import checked, conditions_of, run_of, trace
from planner.text.files import write
from planner.text.locations import profiles_folder

PROFILES = ("vyomaav-engine", "training-rzd")
TOLERANCE = 0.002
ROUNDED_UP = 0.05
"""How far below a figure that was rounded up the truth is taken to lie at most."""
ROUGHLY = "2.7"
"""The newest that training-rzd's requirements allowed; workspaces are the same from 2.5 on to 2.8."""
FIRST_WORK = ("round 0", "init", "image")
"""Where a trace's first section after the load begins."""


def main() -> int:
    """Print a line for each row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="ID", help="the row of this id")
    parser.add_argument("--write", action="store_true", help="remake profiles/public_rows.tsv")
    options = parser.parse_args()
    only, found_rows = options.only, []
    rows = [row for name in PROFILES for row in load_profile(profiles_folder() / "published" / f"{name}.yaml")]
    fine = True
    print(f"{'row':32}{'published':>15}{'simulated':>15}{'':>10}")
    for row in rows:
        if only is not None and row.id != only:
            continue
        figure = row.figures[0]
        found = simulated(row)
        off = found / figure.bytes - 1
        fine &= -ROUNDED_UP <= off <= 0 if figure.relation == "at_most" else abs(off) <= TOLERANCE
        known = "<=" if figure.relation == "at_most" else ""
        found_rows.append(_public(row, found))
        print(f"{row.profile}/{row.id:<16} {known:>2}{figure.bytes:>13,}{found:>15,}{off:>+10.3%}", flush=True)
    if options.write:
        write(PUBLIC_ROWS, public_rows_text(found_rows))
    return 0 if fine else 1


def _public(row: Measurement, simulated_bytes: int) -> PublicRow:
    figure, environment = row.figures[0], row.environment
    what = f"stock {row.variant} {row.task}" if row.variant else "one product of matrices"
    if row.variant:
        what += f", {row.precision}"
    return PublicRow(
        what=what + (", above the load" if figure.of == "above_load" else ""),
        gpu=environment.gpu or "not named",
        torch=(environment.torch or f"not named, {ROUGHLY} taken").partition("+")[0],
        at_most=figure.relation == "at_most",
        published_bytes=figure.bytes,
        simulated_bytes=simulated_bytes,
        source=row.url or "",
    )


def simulated(row: Measurement) -> int:
    """Bytes of the row's figure: a peak, or a peak above the load."""
    torch = (row.environment.torch or ROUGHLY).partition("+")[0]
    capability = row.environment.capability or "8.6"
    major, minor = map(int, capability.split("."))
    if row.variant is None:
        return rules_of(torch).workspace_bytes((major, minor))
    settings = {name: parameter.default for name, parameter in inspect.signature(simulate).parameters.items()}
    settings |= {"task": row.task, "variant": row.variant, "version": row.version, "precision": row.precision}
    settings |= {"resolution": row.resolution, "frame_size": row.frame_size, "frames": row.frames, "runtime": "stock"}
    settings |= {"capability": (major, minor), "torch": torch}
    settings |= {"prompt": "point" if row.figures[0].of == "above_load" else "box"}
    asked = checked(settings)
    traced = trace(run_of(asked), conditions_of(asked))
    player, loaded = Player(), 0
    for number, section in enumerate(sections_of(traced.trace)):
        if section.name in FIRST_WORK:
            loaded = player.allocated_bytes
        player.play(number, section.tokens, phases_of(traced.trace, section))
    peak = player.peaks.highest.allocated_bytes
    return peak - loaded if row.figures[0].of == "above_load" else peak


if __name__ == "__main__":
    sys.exit(main())
