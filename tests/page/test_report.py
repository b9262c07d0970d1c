"""The page as a file: what is in it, what is refused, and that nothing in a plan can break out of its data."""

from __future__ import annotations

import base64
import json
import re
import subprocess
import sys
import zlib
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.errors import EnvironmentFailure, FileError, UsageError
from planner.page import html
from tests.conftest import invoke, refusal

HOSTILE = "</script><img src=x onerror=alert(1)><!--<script>&\u2028"


def data_of(path: Path) -> dict[str, Any]:
    """The one block of JSON of a page."""
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', path.read_text("utf-8"), re.DOTALL)
    assert found is not None
    data: dict[str, Any] = json.loads(found[1])
    return data


def unpacked(text: str) -> Any:
    return json.loads(zlib.decompress(base64.b64decode(text)))


def hostile_plan(folder: Path) -> Path:
    """A plan that somebody wrote by hand, with markup wherever text may stand."""
    document = planner.plan(vram="600MB", variant="large", objects=10).to_dict()
    document["warnings"] = [HOSTILE]
    document["try"] = [{"change": HOSTILE, "command": HOSTILE}]
    document["provenance"]["versions"] = {HOSTILE: HOSTILE}
    document["provenance"]["profiles"] = [HOSTILE]
    for one in document["rejected"]:
        one["reason"] = one["component"] = HOSTILE
    document["stock"]["reason"] = HOSTILE
    path = folder / "<b>hostile.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    return path


def test_a_report_of_a_saved_plan_holds_it_as_it_is(tmp_path: Path) -> None:
    plan = planner.plan(vram="6GB", objects=10, frames=2000)
    plan.save(tmp_path / "plan.yaml")
    document = invoke(
        "report", str(tmp_path / "plan.yaml"), "-o", str(tmp_path / "report.html"), "--format", "json"
    ).document
    assert document["bytes"] == (tmp_path / "report.html").stat().st_size < 1_500_000
    assert document["answers"] == [{"name": "plan.yaml", "kind": "plan", "verdict": "fits"}]
    (entry,) = data_of(tmp_path / "report.html")["plans"]
    assert entry["plan"] == plan.to_dict()
    candidates = unpacked(entry["candidates"])
    assert sum(one["outcome"] == "chosen" for one in candidates) == 1
    assert len(candidates) == plan.candidates / 2  # each with its memory bank on the GPU, and on the host


def test_the_same_plan_gives_the_same_page_in_every_way(tmp_path: Path) -> None:
    plan, paths = tmp_path / "plan.yaml", [tmp_path / name for name in ("a.html", "b.html", "c.html")]
    assert invoke("--vram", "2GB", "-o", str(plan), "--report", str(paths[0])).code == 0
    assert invoke("report", str(plan), "-o", str(paths[1])).code == 0
    assert planner.save_report(plan, paths[2]) == paths[2]
    assert len({path.read_bytes() for path in paths}) == 1


def test_planning_writes_no_page_unasked_and_loads_nothing_for_it(tmp_path: Path) -> None:
    program = "import sys\nfrom planner.cli.main import main\nmain(['--vram', '2GB'])\nprint(sorted(sys.modules))"
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "'planner.planning.decide'" in ran.stdout
    assert "planner.page" not in ran.stdout
    assert "planner.api.report" not in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_the_policy_lets_in_nothing_but_the_pages_own_style_and_script(tmp_path: Path) -> None:
    text = planner.save_report(planner.plan(vram="2GB"), tmp_path / "page.html").read_text("utf-8")
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)
    assert policy is not None
    rules = dict(rule.split(" ", 1) for rule in policy[1].split("; "))
    own = {}
    for name in ("style", "script"):
        content = text[text.index(f"<{name}>") + len(name) + 2 : text.index(f"</{name}>", text.index(f"<{name}>"))]
        own[f"{name}-src"] = f"'sha256-{base64.b64encode(sha256(content.encode()).digest()).decode()}'"
    assert rules == {"default-src": "'none'", **own, "base-uri": "'none'", "form-action": "'none'"}
    assert re.findall(r'\b(?:src|href)="([^"#]*)', text) == [""]
    assert not re.search(r"@import|url\((?!#)|\bimport\(|fetch\(|XMLHttpRequest|WebSocket|innerHTML|eval\(", text)
    assert "http" not in text.replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")


def test_markup_in_a_plan_stays_in_its_data(tmp_path: Path) -> None:
    page = planner.save_report(hostile_plan(tmp_path), tmp_path / "page.html")
    text = page.read_text("utf-8")
    assert text.count("<script") == 2 == text.count("</script>")
    assert "<img" not in text
    assert "\u2028" not in text
    (entry,) = data_of(page)["plans"]
    assert entry["plan"]["warnings"] == [HOSTILE]
    assert entry["name"] == "<b>hostile.json"


def test_a_packing_is_shown_with_what_starts_its_processes(tmp_path: Path) -> None:
    words = ("--vram", "8GB,24GB", "--streams", "6", "--report", str(tmp_path / "page.html"))
    document = invoke(*words, "--format", "json").document
    (entry,) = data_of(tmp_path / "page.html")["plans"]
    assert entry["packing"]["gpus"] == document["gpus"]
    assert entry["plan"] == document["plan"]
    (tmp_path / "packing.json").write_text(json.dumps(document))
    again = planner.save_report(tmp_path / "packing.json", tmp_path / "again.html")
    assert data_of(again)["plans"][0] == entry | {"name": "packing.json"}


def test_an_explained_plan_keeps_its_own_candidates(tmp_path: Path) -> None:
    plan = planner.plan(vram="1GB", explain=True)
    (entry,) = data_of(planner.save_report(plan, tmp_path / "page.html"))["plans"]
    assert unpacked(entry["candidates"]) == plan.to_dict()["explained"]
    assert not entry["weighed_now"]


def changed(**changes: Any) -> str:
    return json.dumps(planner.plan(vram="2GB").to_dict() | changes)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("[]", "must be a mapping"),
        ("{}", "schema_version"),
        ("not a plan at all", "must be a mapping"),
        (changed(schema_version=0), "schema_version is not 1"),
        (changed(kind="comparison"), "'comparison'"),
        ('{"apiVersion": "batch/v1", "kind": "Job", "metadata": {}}', "'Job'"),
        ('{"kind": ["<b>"], "schema_version": 1}', "no page is made of"),
        ('{"kind": "rehearsal", "schema_version": 2}', "schema_version is not 1"),
        ('{"kind": "packing", "schema_version": 1}', "streams"),
        ('{"error": {"code": "usage", "message": "m", "hint": "h"}}', "report of an error"),
    ],
)
def test_what_is_no_answer_is_refused_with_what_to_give(text: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text(text)
    outcome = invoke("report", str(tmp_path / "file.json"), "-o", str(tmp_path / "page.html"), "--format", "json")
    error = outcome.document["error"]
    assert outcome.code == 2
    assert said in error["message"]
    assert error["hint"]
    assert not (tmp_path / "page.html").exists()


def test_what_cannot_be_read_or_written_is_said(tmp_path: Path) -> None:
    plan = planner.plan(vram="2GB")
    assert refusal(FileError, planner.save_report, tmp_path / "none.yaml", tmp_path / "page.html") is not None
    failure = refusal(EnvironmentFailure, planner.save_report, plan, tmp_path / "no folder" / "page.html")
    assert failure is not None
    assert "page.html" in failure.message
    assert refusal(UsageError, planner.save_report, [], tmp_path / "page.html") is not None
    assert refusal(UsageError, planner.save_report, [plan, 3], tmp_path / "page.html") is not None
    assert list(tmp_path.iterdir()) == []


def test_a_page_takes_no_plans_place(tmp_path: Path) -> None:
    plan = tmp_path / "plan.yaml"
    assert invoke("--vram", "2GB", "-o", str(plan)).code == 0
    before = plan.read_bytes()
    (tmp_path / "link.html").symlink_to(plan)
    for words in (("report", str(plan), "-o", str(plan)), ("report", str(plan), "-o", str(tmp_path / "link.html"))):
        assert "take the place" in invoke(*words, "--format", "json").document["error"]["message"]
    assert invoke("--vram", "2GB", "-o", str(plan), "--report", str(plan)).code == 2
    assert plan.read_bytes() == before


def test_more_plans_than_a_page_holds_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(html, "MOST_BYTES", 100_000)
    error = refusal(UsageError, planner.save_report, planner.plan(vram="2GB"), tmp_path / "page.html")
    assert error is not None
    assert "100,000" in error.message
    assert list(tmp_path.iterdir()) == []
