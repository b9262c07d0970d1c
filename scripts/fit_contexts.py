#!/usr/bin/env python3
"""Remake profiles/contexts.json from profiles/contexts.tsv and the cards known by name. With --check compare only.

Fits MiB = a + b x multiprocessors x threads to the figures "run", one for each GPU: the mean of its rows, weighted by
how many figures each is the median of. Least squares of the relative error, every GPU alike: GPUs differ among each
other more than the figures of one do, so that many figures of one GPU say little more than one, and an estimator that
is robust to outliers would have to call every tenth card one. The band is split conformal, from each GPU held out.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import sys
from collections.abc import Sequence
from math import ceil
from statistics import median
from typing import Any, NamedTuple

import numpy as np
from committed import is_current
from sklearn.linear_model import LinearRegression

from planner.catalog.gpu_cards import known_cards, multiprocessors_of
from planner.catalog.gpu_names import same_card
from planner.memory_model.contexts import FILE, OLDEST, SCHEMA_VERSION, threads_of
from planner.memory_model.laws import conformal_rank
from planner.planning.choice_limits import CARD_SIZES
from planner.rehearsal.machine import ARCHITECTURES
from planner.text.files import write
from planner.text.locations import profiles_folder

MIB = 2**20
_FOR_MINING = re.compile("CMP ")
"""Cards that were sold for mining, and compute little else."""


class Figure(NamedTuple):
    """What is known of one GPU."""

    gpu: str
    threads: int
    """That can be resident on all of it."""
    mib: float
    capability: tuple[int, int]


def figures() -> list[Figure]:
    """One figure for each GPU after a run."""
    with (profiles_folder() / "contexts.tsv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader((line for line in lines if not line.startswith("#")), delimiter="\t"))
    found = []
    for gpu in dict.fromkeys(row["gpu"] for row in rows if row["state"] == "run"):
        own = [row for row in rows if row["gpu"] == gpu and row["state"] == "run"]
        count = sum(int(row["figures"]) for row in own)
        mib = sum(float(row["mib"]) * int(row["figures"]) for row in own) / count
        threads = int(own[0]["multiprocessors"]) * int(own[0]["threads"])
        found.append(Figure(gpu, threads, round(mib, 1), _capability_of(gpu)))
    return found


def _capability_of(gpu: str) -> tuple[int, int]:
    from planner.catalog.gpus import find_gpu

    capability = find_gpu(gpu.split(", ")[0]).gpu.capability
    assert capability is not None, gpu
    return capability


def fitted(known: Sequence[Figure]) -> LinearRegression:
    """MiB over threads: relative errors count."""
    sizes = np.array([one.mib for one in known])
    threads = np.array([[one.threads] for one in known])
    return LinearRegression().fit(threads, sizes, sample_weight=sizes**-2.0)


def held_out(known: Sequence[Figure]) -> dict[str, float]:
    """By GPU: figure / prediction - 1, from a line that was fitted without it."""
    found = {}
    for one in known:
        line = fitted([other for other in known if other is not one])
        found[one.gpu] = float(one.mib / line.predict([[one.threads]])[0] - 1)
    return found


def usual(known: Sequence[Figure], line: LinearRegression) -> dict[str, int]:
    """Bytes on the card most often met with a capability, which is what rehearsals and simulations take for it."""
    found = {}
    for (major, minor), one in ARCHITECTURES.items():
        count = multiprocessors_of(one.card)
        assert count is not None, one.card
        found[f"{major}.{minor}"] = context_of(one.card, count * one.threads, known, line)
    return found


def context_of(name: str, threads: int, known: Sequence[Figure], line: LinearRegression) -> int:
    """Bytes on a card: its own figure where there is one, else the line's."""
    own = (one.mib for one in known if any(same_card(alike, name) for alike in one.gpu.split(", ")))
    mib = next(own, None)
    base_bytes, thread_bytes = coefficients(line)
    return round(base_bytes + thread_bytes * threads if mib is None else mib * MIB)


def coefficients(line: LinearRegression) -> tuple[int, float]:
    """In bytes, as the file has them."""
    return round(float(line.intercept_) * MIB), round(float(line.coef_[0]) * MIB, 2)


def cards(known: Sequence[Figure], line: LinearRegression) -> dict[str, dict[str, list[int]]]:
    """Bytes by nominal size and capability, of the cards that a budget without a name may be of."""
    found: dict[int, dict[tuple[int, int], set[int]]] = {}
    for card in known_cards():
        capability, count = card.gpu.capability, card.multiprocessors
        if (
            card.unified
            or capability is None
            or capability < OLDEST
            or count is None
            or _FOR_MINING.match(card.gpu.name)
        ):
            continue
        size = min(size for size in CARD_SIZES if size * 2**30 >= card.gpu.total_bytes)
        context = context_of(card.gpu.name, count * threads_of(capability), known, line)
        found.setdefault(size, {}).setdefault(capability, set()).add(context)
    return {
        str(size): {f"{major}.{minor}": sorted(contexts) for (major, minor), contexts in sorted(by_capability.items())}
        for size, by_capability in sorted(found.items())
    }


def document() -> dict[str, Any]:
    """What the file holds."""
    known = figures()
    line, errors = fitted(known), held_out(known)
    rank = conformal_rank(len(errors))
    above, below = sorted(errors.values())[rank - 1], sorted(-error for error in errors.values())[rank - 1]
    return {
        "schema_version": SCHEMA_VERSION,
        "line": dict(zip(("base_bytes", "thread_bytes"), coefficients(line), strict=True)),
        "band": {"below": ceil(below * 1000) / 1000, "above": ceil(above * 1000) / 1000},
        "held_out": {
            "gpus": len(errors),
            "coverage": round(rank / (len(errors) + 1), 3),
            "median": round(median(map(abs, errors.values())), 4),
            "errors": {gpu: round(error, 4) for gpu, error in errors.items()},
        },
        "measured_bytes": {name: round(one.mib * MIB) for one in known for name in one.gpu.split(", ")},
        "generations": sorted({one.capability[0] for one in known}),
        "usual_bytes": usual(known, line),
        "cards": cards(known, line),
    }


def text() -> str:
    """The file; each size of card on a line."""
    made = document()
    sizes = made.pop("cards")
    lines = [f'    "{size}": {json.dumps(of)}' for size, of in sizes.items()]
    return json.dumps(made, indent=2)[:-2] + ',\n  "cards": {\n' + ",\n".join(lines) + "\n  }\n}\n"


def main() -> int:
    """Fit and write, or compare with, the committed file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed file, write nothing")
    arguments = parser.parse_args()
    made = text()
    if arguments.check:
        current = is_current(FILE, made)
        print("the committed contexts are what the table gives" if current else "they differ")
        return 0 if current else 1
    write(FILE, made)
    for one in figures():
        assert _threads_agree(one), f"{one.gpu}: threads of {one.capability}"
    print(f"{FILE.name}: fitted to {len(figures())} GPUs")
    return 0


def _threads_agree(one: Figure) -> bool:
    return one.threads % threads_of(one.capability) == 0


if __name__ == "__main__":
    sys.exit(main())
