"""The same request on another package's code of SAM 2; a module of its own, since few ask for it."""

from __future__ import annotations

from dataclasses import dataclass

from planner.nouns.plan import Stock
from planner.nouns.words import Runtime


@dataclass(frozen=True, slots=True, kw_only=True)
class Elsewhere(Stock):
    """The same request on transformers or Ultralytics, as their guides have it."""

    runtime: Runtime
    streaming: bool = False
    """Of transformers: whether frames are given one by one, instead of the whole clip at first."""
