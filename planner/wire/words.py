"""Lists of words as kinds, each named here once: answers take them from here."""

from __future__ import annotations

from planner import answers, domain, measurement
from planner.wire.kinds import Word

ATTENTION = Word(*domain.ATTENTIONS)
BUDGET_SOURCE = Word(*domain.BUDGET_SOURCES)
EXACT_METHOD = Word(*domain.EXACT_METHODS)
HOST_SOURCE = Word(*domain.HOST_SOURCES)
LOST_BY = Word(*answers.LOST_BY)
ORIGIN = Word(*answers.ORIGINS)
OUTCOME = Word(*measurement.OUTCOMES)
PLACE = Word(*answers.OUTCOMES)
PRECISION = Word(*domain.PRECISIONS)
PREFERENCE = Word(*domain.PREFERENCES)
PROVENANCE = Word(*domain.PROVENANCES)
PURPOSE = Word(*answers.PURPOSES)
RUNTIME = Word(*domain.RUNTIMES)
TASK = Word(*domain.TASKS)
TRUTH = Word("measured", "rehearsed", "simulated")
POSITION_TABLES = Word(*domain.POSITION_TABLES)
VARIANT = Word(*domain.VARIANTS)
VERDICT = Word(*domain.VERDICTS)
VERSION = Word(*domain.VERSIONS)
