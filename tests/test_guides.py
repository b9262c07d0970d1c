"""The guides: every command in them is run, every file in them is read by what it is for.

In a folder with a clip, a checkpoint file and a GPU that a doctor report stands for. What needs a cluster, an engine or
hours is stood in for: kubectl validates what it is handed by Kubernetes' schemas, sbatch by bash and the directives,
docker and sky by their words; `sam2-plan run` parses its options and segments nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.conftest import ROOT
from tests.preflight.machines import gpu, report

DOCS = ROOT / "docs"
GUIDES = (
    "arguing", "ci", "configuration", "containers", "kubernetes", "packing", "preflight", "ray", "scripts", "slurm",
)  # fmt: skip
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TITLE = re.compile(r"# (\S+)\n")
PROGRAM = """#!{python}
import sys
from planner.cli.main import cli, main
words = sys.argv[1:]
if words[:1] == ["run"]:
    import click
    cli.get_command(click.Context(cli), "run").make_context("run", words[1:])
    print("stands in for: sam2-plan", *words)
else:
    sys.exit(main())
"""
KUBECTL = """#!{python}
import sys, yaml
words = sys.argv[1:]
assert words[0] in ("apply", "wait", "get", "logs", "delete"), words
if "-f" in words:
    import kubernetes_validate
    for document in yaml.safe_load_all(open(words[words.index("-f") + 1])):
        kubernetes_validate.validate(document, "1.31", strict=True)
"""
SBATCH = """#!/usr/bin/env bash
set -e
bash -n "${@: -1}"
grep -q '^#SBATCH --gres=' "${@: -1}"
"""
WORDS = """#!/usr/bin/env bash
[ $# -gt 0 ]
"""


def blocks(guide: str, language: str) -> list[str]:
    text = (DOCS / f"{guide}.md").read_text(encoding="utf-8")
    return [body for kind, body in BLOCK.findall(text) if kind == language]


def files(guide: str, language: str) -> dict[str, str]:
    """Blocks that begin with the name of a file."""
    return {match[1]: body for body in blocks(guide, language) if (match := TITLE.match(body))}


@pytest.fixture
def workplace(tmp_path: Path) -> Path:
    """A folder as the guides take it for granted, with stand-ins on the PATH beside it."""
    from tests.preflight.test_check import clip
    from tests.preflight.test_checkpoint import checkpoint

    programs = {"sam2-plan": PROGRAM, "kubectl": KUBECTL, "sbatch": SBATCH, "docker": WORDS, "sky": WORDS}
    (tmp_path / "bin").mkdir()
    for name, text in programs.items():
        path = tmp_path / "bin" / name
        path.write_text(text.replace("{python}", sys.executable))
        path.chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    clip(folder / "clip.mp4")
    checkpoint(folder / "sam2.1_hiera_large.pt", "large")
    report(tmp_path, [gpu(0), gpu(1, card_free_bytes=9 * 10**9)])
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Of a shell on that machine: GPUs as reported, nothing of the user's."""
    machine = {"simulate-gpu": str(folder.parent / "machine.json")}
    home = folder.parent / "home"
    home.mkdir(exist_ok=True)
    # In the file of the user: what a guide sets is nearer.
    (home / "config.yaml").write_text(json.dumps({**machine, "check": machine, "pick": machine, "doctor": machine}))
    return {
        **os.environ,
        "SAM2_PLAN_HOME": str(home),
        "PATH": f"{folder.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "GITHUB_STEP_SUMMARY": str(folder.parent / "summary.md"),
    }


def run(folder: Path, script: str) -> None:
    """Run a script that ends at its first failure; a line that says `# exit 3` must end so."""
    lines = []
    for line in script.splitlines():
        expected = re.search(r"\s+# exit (\d)$", line)
        lines.append(f"{{ {line[: expected.start()]}; }} && exit 99 || [ $? -eq {expected[1]} ]" if expected else line)
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder, env=environment(folder), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, f"{script}\n{done.stdout[-1500:]}\n{done.stderr[-1500:]}"
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_of_a_guide_runs(guide: str, workplace: Path) -> None:
    found = blocks(guide, "bash")
    assert found, "a guide without a command"
    for name, body in (files(guide, "yaml") | files(guide, "dockerfile")).items():
        (workplace / Path(name).name).write_text(body, encoding="utf-8")
    if guide not in ("arguing", "packing"):
        # As in the guide before: a plan that is there already.
        run(workplace, "sam2-plan --vram 8GB --task video --objects 10 -o plan.yaml")
    for script in found:
        run(workplace, script)


@pytest.mark.parametrize("guide", GUIDES)
def test_python_of_a_guide_runs(guide: str, workplace: Path) -> None:
    for code in blocks(guide, "python"):
        if "import ray" in code:
            compile(code, guide, "exec")  # tests/placement runs these options on a Ray
            continue
        setting = "import planner\nplan = planner.plan(vram='8GB', objects=10)\nplan.save('plan.yaml')\n"
        command = [sys.executable, "-W", "error", "-c", setting + code]
        done = subprocess.run(
            command, cwd=workplace, env=environment(workplace), capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f"{code}\n{done.stderr}"


def test_the_examples_of_the_python_page_run_one_after_the_other(workplace: Path) -> None:
    (workplace / "machine.json").write_bytes((workplace.parent / "machine.json").read_bytes())
    code = "\n".join(blocks("python", "python"))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=workplace, env=environment(workplace), capture_output=True, text=True, timeout=240,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_policy_and_the_configuration_in_the_guides_are_read(workplace: Path) -> None:
    from planner.preflight.policy import read_policy
    from tests.conftest import invoke

    policy = workplace / "policy.yaml"
    policy.write_text(files("preflight", "yaml")["policy.yaml"])
    assert read_policy(policy).exceptions
    config = workplace / "config.yaml"
    config.write_text(files("configuration", "yaml")["config.yaml"])
    assert invoke("--config", str(config)).code == 0


@pytest.mark.parametrize(
    ("name", "schema"),
    [(".github/workflows/plan.yml", "vendor.github-workflows"), (".gitlab-ci.yml", "vendor.gitlab-ci")],
)
def test_pipelines_are_valid_by_the_schemas_of_their_services(name: str, schema: str, tmp_path: Path) -> None:
    path = tmp_path / "pipeline.yml"
    path.write_text(files("ci", "yaml")[name])
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema]
    if "gitlab" in schema:
        command += ["--data-transform", "gitlab-ci"]
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    path.write_text(path.read_text().replace("on: [push", "when: [push").replace("script:", "scripts:"))
    assert subprocess.run([*command, str(path)], capture_output=True, timeout=60).returncode == 1, "it can say no"


def test_the_steps_of_the_github_job_run_in_order(workplace: Path) -> None:
    job = yaml.safe_load(files("ci", "yaml")[".github/workflows/plan.yml"])["jobs"]["preflight"]
    run(workplace, blocks("ci", "bash")[0])
    steps = [step["run"] for step in job["steps"] if "run" in step and not step["run"].startswith("pip install")]
    assert len(steps) == 2
    for step in steps:
        run(workplace, step)
    assert "the plan holds" in (workplace.parent / "summary.md").read_text()
    assert (workplace / job["steps"][-1]["with"]["sarif_file"]).is_file()
    # A plan that breaks the policy fails the first step, and the second still finds the report.
    (workplace / "policy.yaml").write_text("schema_version: 1\nmaximum_bytes: 1GB\n")
    run(workplace, f"{steps[0]}  # exit 3")
    run(workplace, steps[1])
    assert "❌" in (workplace.parent / "summary.md").read_text()


def test_the_script_of_the_gitlab_job_runs(workplace: Path) -> None:
    job = yaml.safe_load(files("ci", "yaml")[".gitlab-ci.yml"])["preflight"]
    run(workplace, blocks("ci", "bash")[0])
    for line in job["script"]:
        if not line.startswith("pip install"):
            run(workplace, line)
    assert (workplace / job["artifacts"]["reports"]["junit"]).is_file()


def test_pre_commit_takes_the_hooks_and_runs_them(workplace: Path) -> None:
    """The real pre-commit, in a repository with a plan that keeps the policy, and then does not."""
    home = {
        **environment(workplace),
        "PRE_COMMIT_HOME": str(workplace.parent / "pre-commit"),
        "HOME": str(workplace.parent),
    }

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(words, cwd=workplace, env=home, capture_output=True, text=True, timeout=120)

    pre_commit = (sys.executable, "-m", "pre_commit")
    assert call(*pre_commit, "validate-manifest", str(ROOT / ".pre-commit-hooks.yaml")).returncode == 0
    (workplace / ".pre-commit-config.yaml").write_text(files("ci", "yaml")[".pre-commit-config.yaml"])
    assert call(*pre_commit, "validate-config").returncode == 0
    run(workplace, blocks("ci", "bash")[0])
    assert call("git", "init", "-q").returncode == 0 and call("git", "add", "-A").returncode == 0
    passed = call(*pre_commit, "run", "--all-files")
    assert passed.returncode == 0 and "Passed" in passed.stdout, passed.stdout + passed.stderr
    (workplace / "policy.yaml").write_text("schema_version: 1\nmaximum_bytes: 1GB\n")
    call("git", "add", "-A")
    failed = call(*pre_commit, "run", "--all-files")
    assert failed.returncode == 1 and "exit code: 3" in failed.stdout and "policy.maximum_bytes" in failed.stdout


def test_a_linter_accepts_the_dockerfile(tmp_path: Path) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    if not hadolint.exists():
        pytest.skip("hadolint is not installed beside this Python")
    path = tmp_path / "Dockerfile"
    path.write_text(files("containers", "dockerfile")["Dockerfile"])
    done = subprocess.run([hadolint, path], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (0, "")
    path.write_text(path.read_text().replace("==0.1.0", ""))
    assert subprocess.run([hadolint, path], capture_output=True, timeout=60).returncode == 1, "it can say no"


def test_the_dockerfile_installs_this_release() -> None:
    from planner import __version__

    text = files("containers", "dockerfile")["Dockerfile"]
    assert f'"sam2-plan[run]=={__version__}"' in text
    assert "SAM2_BUILD_CUDA=0" in text
