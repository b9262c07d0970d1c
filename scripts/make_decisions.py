#!/usr/bin/env python3
"""Make tests/decisions.json: all that each golden plan of tests/cases decides, to the byte.

    python scripts/make_decisions.py

A case says what must hold, by hand; this is what the program answers besides, so that a change of any of it shows.
"""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from tests.conftest import document_of  # noqa: E402

CASES = sorted((ROOT / "tests" / "cases").glob("*.yaml"))
FILE = ROOT / "tests" / "decisions.json"
TORCH = "2.14"
"""Whose rules count where a case names none, so that the installed one decides nothing."""


def decision(arguments: str) -> dict[str, Any]:
    """The whole decision of a command line."""
    words = shlex.split(arguments)
    plan = document_of(words if "--torch" in words else [*words, "--torch", TORCH])
    estimate = plan["estimate"] or {}
    return {
        "verdict": plan["verdict"],
        "chosen": plan["chosen"],
        **{name: estimate.get(name) for name in ("least_bytes", "total_bytes", "upper_bytes")},
        "first_rejection": plan["rejected"][0] if plan["rejected"] else None,
        "limits": plan["limits"],
    }


def main() -> int:
    """Write the file."""
    made = {path.stem: decision(yaml.safe_load(path.read_text(encoding="utf-8"))["arguments"]) for path in CASES}
    lines = (f"{json.dumps(name)}: {json.dumps(found)}" for name, found in made.items())
    FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
