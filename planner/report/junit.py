"""A pre-flight as JUnit XML: a test case for each check, which every pipeline shows."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from planner.preflight.checks import FAIL, SKIP, WARN, Preflight
from planner.report.preflight import summary

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def preflight_junit(found: Preflight) -> str:
    """One suite. A warning passes, with its words on the case's output: JUnit knows no warnings."""
    counts = {
        "tests": len(found.checks),
        "failures": sum(check.status == FAIL for check in found.checks),
        "errors": 0,
        "skipped": sum(check.status == SKIP for check in found.checks),
    }
    figures = {name: str(count) for name, count in counts.items()}
    root = ElementTree.Element("testsuites", {"name": "sam2-plan", **figures, "time": "0"})
    suite = ElementTree.SubElement(root, "testsuite", {"name": "sam2-plan check", **figures, "time": "0"})
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in (("plan", found.name), ("status", found.status), ("summary", summary(found))):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _clean(value)})
    for check in found.checks:
        attributes = {"classname": "sam2-plan.check", "name": check.name, "time": "0"}
        case = ElementTree.SubElement(suite, "testcase", attributes)
        words = _clean(f"{check.found}." + (f"\n{check.action}." if check.action else ""))
        if check.status == FAIL:
            failure = ElementTree.SubElement(case, "failure", {"message": _clean(check.found), "type": check.name})
            failure.text = words
        elif check.status == SKIP:
            ElementTree.SubElement(case, "skipped", {"message": _clean(check.found)})
        else:
            output = ElementTree.SubElement(case, "system-out")
            output.text = f"warning: {words}" if check.status == WARN else words
    ElementTree.indent(root)
    text: bytes = ElementTree.tostring(root, encoding="utf-8", xml_declaration=True)
    return text.decode("utf-8") + "\n"


def _clean(text: str) -> str:
    """Without the characters that XML 1.0 cannot hold (https://www.w3.org/TR/xml/#charsets)."""
    return _FORBIDDEN.sub("\ufffd", text)
