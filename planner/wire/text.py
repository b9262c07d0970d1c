"""Plain data as JSON text."""

from __future__ import annotations

import json
from typing import Any


def json_text(document: dict[str, Any]) -> str:
    """One JSON document with a newline."""
    return json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def one_line(document: dict[str, Any]) -> str:
    """One JSON document on one line, for logs."""
    return json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
