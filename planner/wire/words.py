"""The words of planner.nouns.words as kinds."""

from __future__ import annotations

from typing import Any, get_args

from planner.nouns import words
from planner.wire.kinds import Word


def _word(literal: Any) -> Word:
    return Word(*get_args(literal))


ATTENTION = _word(words.Attention)
BUDGET_SOURCE = _word(words.BudgetSource)
CLIP_STATUS = _word(words.ClipStatus)
DRIVEN_RUNTIME = _word(words.DrivenRuntime)
EXACT_METHOD = _word(words.ExactMethod)
HOST_SOURCE = _word(words.HostSource)
LOST_BY = _word(words.LostBy)
MEMORY_SOURCE = _word(words.MemorySource)
ORIGIN = _word(words.Origin)
OUTCOME = _word(words.RunOutcome)
POLICY_MODE = _word(words.PolicyMode)
POSITION_TABLES = _word(words.PositionTables)
PRECISION = _word(words.Precision)
PREFERENCE = _word(words.Preference)
PROCESS_KIND = _word(words.ProcessKind)
PROMPT = _word(words.PromptKind)
PROVENANCE = _word(words.ProvenanceKind)
PURPOSE = _word(words.Purpose)
RUNTIME = _word(words.Runtime)
SAVE = _word(words.Save)
SHARE = _word(words.ShareKind)
SHARING = _word(words.Sharing)
STANDING = _word(words.Standing)
STATUS = _word(words.CheckStatus)
TASK = _word(words.Task)
TRUTH = _word(words.SweepKind)
VARIANT, ANY_VARIANT = Word(*words.VARIANTS), _word(words.Variant)
VERDICT = _word(words.Verdict)
VERSION = _word(words.Version)
