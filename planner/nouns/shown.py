"""How answers show themselves in notebooks: `_repr_html_ = shown` in a class, and nothing imported until then."""

from __future__ import annotations

from typing import Any


def shown(value: Any) -> str:
    """The answer as HTML, for notebooks; where these have none its repr stands, a line."""
    from planner.report.notebook import html_of

    return html_of(value)
