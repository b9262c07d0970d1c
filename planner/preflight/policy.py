"""A team's rules for plans, as a YAML file: what may be deployed, and what is set aside until when."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from planner.errors import UsageError
from planner.nouns.request import Headroom
from planner.nouns.words import (
    POLICY_MODES,
    POLICY_RULES,
    PRECISIONS,
    VARIANTS,
    PolicyMode,
    PolicyRule,
    Precision,
    Variant,
)
from planner.preflight.checks import PolicyException
from planner.text.spelling import Word
from planner.text.strict_yaml import Fields, read
from planner.text.units import check_size, parse_headroom, parse_size

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """Rules; None is no rule."""

    source: str
    mode: PolicyMode
    minimum_quality: float | None = None
    """J&F on SA-V test in percent, as plans give it."""
    maximum_bytes: int | None = None
    """That the process may take on the GPU, its CUDA context included."""
    required_headroom: Headroom | None = None
    """That must be left of the memory that there is: bytes, or a percentage of it."""
    allowed_variants: tuple[Variant, ...] | None = None
    allowed_precisions: tuple[Precision, ...] | None = None
    exceptions: tuple[PolicyException, ...] = ()

    def exception_for(self, rule: PolicyRule) -> PolicyException | None:
        """The one that lasts longest, expired or not."""
        found = [one for one in self.exceptions if one.rule == rule]
        return max(found, key=lambda one: one.until, default=None)


def read_policy(path: Path) -> Policy:
    """The policy in a file. Raises FileError naming line and remedy for a file that is none.

    Every rule may be left out; a key that is not known is refused, because most are misspelt.
    """
    fields = Fields(read(path, "a policy"), str(path), "a policy")
    if fields.integer("schema_version") != 1:
        raise fields.complaint("schema_version is not 1", "Write schema_version: 1.", "schema_version")
    policy = Policy(
        source=str(path),
        mode=fields.text("mode", POLICY_MODES) if "mode" in fields else POLICY_MODES[0],
        minimum_quality=_optional(fields, "minimum_quality", lambda key: fields.number(key, 0, 100)),
        maximum_bytes=_optional(fields, "maximum_bytes", lambda key: _size(fields, key)),
        required_headroom=_optional(fields, "required_headroom", lambda key: _headroom(fields, key)),
        allowed_variants=_optional(fields, "allowed_variants", lambda key: _words(fields, key, VARIANTS)),
        allowed_precisions=_optional(fields, "allowed_precisions", lambda key: _words(fields, key, PRECISIONS)),
        exceptions=tuple(map(_exception, fields.entries("exceptions"))) if "exceptions" in fields else (),
    )
    fields.end(("mode", "exceptions", *POLICY_RULES))
    return policy


def _optional(fields: Fields, key: str, read_value: Callable[[str], Any]) -> Any:
    return None if key not in fields or fields.or_none(key) else read_value(key)


def _size(fields: Fields, key: str) -> int:
    value = fields.any(key)
    try:
        return check_size(value) if isinstance(value, int) else parse_size(value)
    except UsageError as error:
        raise fields.complaint(f"{key}: {error.message.rstrip('.')}", error.hint, key) from None


def _headroom(fields: Fields, key: str) -> Headroom:
    try:
        return parse_headroom(fields.any(key))
    except UsageError as error:
        raise fields.complaint(f"{key}: {error.message.rstrip('.')}", error.hint, key) from None


def _words(fields: Fields, key: str, known: tuple[Word, ...]) -> tuple[Word, ...]:
    words = fields.texts(key, known)
    if not words:
        raise fields.complaint(f"{key} is empty, which nothing obeys", "Name what is allowed, or leave it out.", key)
    return tuple(words)


def _exception(fields: Fields) -> PolicyException:
    rule, reason, text = fields.text("rule", POLICY_RULES), fields.text("reason"), fields.text("until")
    fields.end()
    try:
        if not _DATE.fullmatch(text):
            raise ValueError
        return PolicyException(rule=rule, until=date.fromisoformat(text), reason=reason)
    except ValueError:
        raise fields.complaint(f"until is {text[:40]!r}", "Write a day such as 2026-12-31.", "until") from None
