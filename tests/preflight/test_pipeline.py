"""A pipeline end to end, as a shell runs it: plan, save, check, a smaller budget, a policy, reports in every form."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import junitparser
import pytest
from markdown_it import MarkdownIt
from sarif_pydantic import Sarif

from tests.conftest import ROOT, validate
from tests.preflight.machines import gpu, report


@pytest.fixture
def pipeline(tmp_path: Path) -> Path:
    """An empty folder with the program on the PATH."""
    program = tmp_path / "bin" / "sam2-plan"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m planner "$@"\n')
    program.chmod(0o755)
    (tmp_path / "work").mkdir()
    return tmp_path / "work"


def run(folder: Path, script: str, **environment: str) -> subprocess.CompletedProcess[str]:
    path = f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["bash", "-c", script], cwd=folder, capture_output=True, text=True, timeout=120,
        env={**os.environ, "PATH": path, "PYTHONPATH": str(ROOT), "SAM2_PLAN_TRACEBACK": "", **environment},
    )  # fmt: skip


def test_a_pipeline_from_plan_to_policy(pipeline: Path) -> None:
    planned = run(
        pipeline, "sam2-plan --vram 3GB --task video --objects 10 -o plan.yaml && sam2-plan check plan.yaml --vram 3GB"
    )
    assert (planned.returncode, planned.stderr) == (0, "")
    assert "plan.yaml: the plan holds (large 2.1" in planned.stdout

    shrunk = run(pipeline, "sam2-plan check plan.yaml --vram 1.2GB")
    assert shrunk.returncode == 3
    assert "the plan does not hold: memory" in shrunk.stdout and "more than the 1140 MB usable" in shrunk.stdout
    remedy = next(line.split("sam2-plan ", 1)[1] for line in shrunk.stdout.splitlines() if "->" in line)
    assert run(pipeline, f"sam2-plan {remedy} && sam2-plan check plan.yaml --vram 1.2GB").returncode == 0, "it helps"

    yesterday = date.today() - timedelta(days=1)
    (pipeline / "policy.yaml").write_text(
        f"schema_version: 1\nmaximum_bytes: 1GB\nallowed_variants: [tiny]\n"
        f"exceptions:\n- {{rule: allowed_variants, until: {yesterday}, reason: trial}}\n"
    )
    run(pipeline, "sam2-plan --vram 3GB --objects 10 -o plan.yaml")
    breach = run(
        pipeline,
        "sam2-plan check plan.yaml --vram 3GB --policy policy.yaml --oneline"
        " -o out.txt -o out.json -o out.md -o out.sarif -o out.xml",
    )
    assert (breach.returncode, breach.stderr) == (3, "")
    line = json.loads(breach.stdout.splitlines()[-1])
    validate(line)
    assert line == json.loads((pipeline / "out.json").read_text())
    assert {c["name"] for c in line["checks"] if c["status"] == "fail"} == {
        "policy.maximum_bytes", "policy.allowed_variants",
    }  # fmt: skip
    (suite,) = list(junitparser.JUnitXml.fromfile(str(pipeline / "out.xml")))
    assert suite.failures == 2
    results = Sarif.model_validate_json((pipeline / "out.sarif").read_text()).runs[0].results
    assert sum(result.level == "error" for result in results) == 2
    assert MarkdownIt("commonmark").enable("table").render((pipeline / "out.md").read_text()).count("❌") == 3
    assert (pipeline / "out.txt").read_text().count("FAIL") == 2
    assert sorted(path.name for path in pipeline.iterdir()) == [
        "out.json", "out.md", "out.sarif", "out.txt", "out.xml", "plan.yaml", "policy.yaml",
    ]  # fmt: skip

    audited = run(
        pipeline, "sed -i '1a mode: audit' policy.yaml && sam2-plan check plan.yaml --vram 3GB --policy policy.yaml"
    )
    assert audited.returncode == 0 and audited.stdout.count("warn ") == 2


def test_a_gate_on_a_machine_as_it_is(pipeline: Path) -> None:
    """A shell's own control flow on the exit codes, with a replayed machine by environment."""
    free, full = pipeline.parent / "free", pipeline.parent / "full"
    for folder, size in ((free, 8 * 10**9), (full, 10**9)):
        folder.mkdir()
        report(folder, [gpu(card_free_bytes=size)])
    script = (
        "sam2-plan --vram 3GB --objects 10 -o plan.yaml >/dev/null\n"
        'if sam2-plan check plan.yaml > report.txt; then echo go; else echo "stop $?"; fi\n'
    )
    assert run(pipeline, script, SAM2_PLAN_CHECK_SIMULATE_GPU=str(free / "machine.json")).stdout == "go\n"
    assert run(pipeline, script, SAM2_PLAN_CHECK_SIMULATE_GPU=str(full / "machine.json")).stdout == "stop 3\n"
    assert "process 4242" in (pipeline / "report.txt").read_text()


def test_the_same_report_twice(pipeline: Path) -> None:
    script = (
        "sam2-plan --vram 3GB -o plan.yaml >/dev/null; "
        "sam2-plan check plan.yaml --vram 3GB -o {0}.json -o {0}.sarif -o {0}.xml"
    )
    run(pipeline, script.format("a"))
    run(pipeline, script.format("b"))
    for ending in ("json", "sarif", "xml"):
        assert (pipeline / f"a.{ending}").read_bytes() == (pipeline / f"b.{ending}").read_bytes()
