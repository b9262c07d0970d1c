"""Answers as one HTML file: data, style and scripts in it, and a policy that forbids everything else."""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

from planner.errors import UsageError
from planner.nouns.request import Gpu
from planner.page.answers import Answer, candidates_of, model_of, sides_of, torch_of
from planner.page.laws import laws
from planner.version import __version__

FOLDER = Path(__file__).parent
SCRIPTS = (
    *("features.js", "host.js", "model.js"),
    *("words.js", "charts.js", "candidates.js", "sections.js", "elsewhere.js", "whatif.js", "live.js", "page.js"),
)
"""In the order in which they are read."""
MOST_BYTES = 1_500_000
_PLACE = re.compile("@(POLICY|STYLE|SCRIPT|DATA)@")
_ESCAPES = str.maketrans({"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"})


def page(answers: Sequence[Answer]) -> str:
    """The page of one or more answers. The same answers give the same text.

    Raises UsageError where there is no plan among them, or where they are too many for a page.
    """
    if not any(answer.plan for answer in answers):
        raise UsageError("There is no plan to make a page of.", "Give the plan beside what was found of it.")
    text = _filled(page_data(answers))
    if len(text.encode()) > MOST_BYTES:
        raise UsageError(
            f"{len(answers)} answers make a page of {len(text.encode()):,} bytes; at most {MOST_BYTES:,} are written.",
            "Make several pages, or plan without --explain.",
        )
    return text


def page_data(answers: Sequence[Answer]) -> dict[str, Any]:
    """All that the page shows, as plain data; what is large is packed."""
    plans = [_plan_entry(answer) for answer in answers if answer.plan]
    return {
        "version": __version__,
        "plans": plans,
        "found": [{"name": one.name, "document": one.document} for one in answers if one.plan is None],
        "laws": _laws(answers),
    }


def _plan_entry(answer: Answer) -> dict[str, Any]:
    assert answer.plan is not None
    assert answer.budget is not None
    packing = answer.document if answer.document["kind"] == "packing" else None
    document = answer.document if packing is None else packing["plan"]
    candidates, weighed_now = candidates_of(answer)
    return {
        "name": answer.name,
        "plan": {**document, "explained": None},
        "packing": packing and {**packing, "plan": None},
        "whole": {"gpu": answer.budget.gpu and answer.budget.gpu.name, "total_bytes": answer.budget.total_bytes},
        "resolutions": [list(size) for size in sides_of(answer.plan)],
        "laws": torch_of(answer.plan) or "",
        "weighed_now": weighed_now,
        "candidates": packed(candidates),
    }


def _laws(answers: Sequence[Answer]) -> dict[str, str]:
    """The laws of each release of torch whose rules a plan names, packed."""
    from planner.catalog.gpus import known_gpus

    plans = [answer.plan for answer in answers if answer.plan]
    budgets = [answer.budget for answer in answers if answer.budget]
    tasks = sorted({plan.request.workload.task for plan in plans})
    own: dict[str, Gpu] = {budget.gpu.name: budget.gpu for budget in budgets if budget.gpu}
    gpus = [*(gpu for gpu in known_gpus() if gpu.name not in own), *own.values()]
    models = {torch_of(plan) or "": model_of(plan) for plan in plans}
    return {name: packed(laws(model, tasks, gpus, name or None)) for name, model in models.items()}


def packed(value: Any) -> str:
    """Data as a browser unpacks it by itself: JSON, deflated, in base64."""
    return base64.b64encode(zlib.compress(_json(value).encode(), 9)).decode()


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _filled(data: dict[str, Any]) -> str:
    style = _read("page.css")
    script = "\n".join(["'use strict';", *map(_read, SCRIPTS)])
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    parts = {
        "POLICY": policy,
        "STYLE": style,
        "SCRIPT": script,
        "DATA": _json(data).translate(_ESCAPES),
    }
    return _PLACE.sub(lambda found: parts[found[1]], _read("page.html"))


def _hash(text: str) -> str:
    """What a policy calls a text that it lets in."""
    return f"'sha256-{base64.b64encode(sha256(text.encode()).digest()).decode()}'"


def _read(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
