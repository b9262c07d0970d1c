"""A pre-flight as SARIF 2.1.0, which code scanning services read.

Source: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html; numbers of sections stand where a choice
follows them.
"""

from __future__ import annotations

from pathlib import PurePath
from typing import Any
from urllib.parse import quote

from planner.preflight.checks import FAIL, WARN, Check, Preflight
from planner.report.preflight import summary
from planner.version import __version__

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {WARN: "warning", FAIL: "error"}
QUESTIONS = {
    "plan": "The plan chose a configuration",
    "gpu": "The GPU is the plan's, and can run the configuration",
    "driver": "The driver is the plan's, and new enough for torch",
    "memory": "The memory suffices, as predicted today",
    "memory cap": "What this process is held to suffices, as predicted today",
    "prediction": "Today's prediction is no worse than the plan's, in bytes and in quality",
    "torch": "The release of torch is the plan's",
    "sam2": "The release of sam2 is the plan's",
    "checkpoint": "The checkpoint is there and is the one that was meant",
    "input": "The input can be read, and is of the planned size and length",
    "disk": "There is room for the outputs",
    "host memory": "The host has memory for weights and offloads",
}


def preflight_sarif(found: Preflight, exit_code: int | None = None) -> dict[str, Any]:
    """The log: one run, a rule for each check, and a result for each that warns, fails or is excepted.

    Code scanning services show every result as a problem, whatever its kind (3.27.9), so what passes has none.
    """
    code = found.exit_code if exit_code is None else exit_code
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "sam2-plan",
                        "semanticVersion": __version__,
                        "rules": [_rule(check) for check in found.checks],
                    }
                },
                "invocations": [
                    # 3.20.14: successful as long as the tool did its work, whatever it found.
                    {"executionSuccessful": True, "exitCode": code, "exitCodeDescription": summary(found)}
                ],
                "results": [
                    _result(index, check, found.name)
                    for index, check in enumerate(found.checks)
                    if check.status in _LEVELS or check.excepted
                ],
                "columnKind": "unicodeCodePoints",
            }
        ],
    }


def rule_id(check: Check) -> str:
    """Stable, without spaces."""
    return check.name.replace(" ", "-")


def _rule(check: Check) -> dict[str, Any]:
    name = check.name.removeprefix("policy.").replace("_", " ")
    text = QUESTIONS.get(check.name, f"The policy's rule on {name} is kept")
    return {
        "id": rule_id(check),
        "shortDescription": {"text": f"{text}."},
        "defaultConfiguration": {"level": "error"},
    }


def _result(index: int, check: Check, plan: str) -> dict[str, Any]:
    text = f"{check.found}." + (f" {check.action}." if check.action else "")
    result: dict[str, Any] = {
        "ruleId": rule_id(check),
        "ruleIndex": index,
        "kind": "fail",
        "level": _LEVELS.get(check.status, "note"),
        "message": {"text": text},
        "locations": [{"physicalLocation": {"artifactLocation": {"uri": _uri(plan)}, "region": {"startLine": 1}}}],
        "partialFingerprints": {"check/v1": rule_id(check)},
        "properties": dict(check.figures),
    }
    if check.excepted:
        # A breach that an exception covers is one that was looked at and let through (3.35); some services ignore it.
        result["suppressions"] = [
            {
                "kind": "external",
                "status": "accepted",
                "justification": f"{check.excepted.reason} (until {check.excepted.until.isoformat()})",
            }
        ]
    return result


def _uri(path: str) -> str:
    """A path as a relative URI reference, as services want it; an absolute one as a file URI."""
    pure = PurePath(path)
    reference = quote(pure.as_posix(), errors="replace")
    return f"file://{reference}" if pure.is_absolute() else reference
