"""Slurm: scripts that bash and a real sbatch accept, and that end with 3 where the check says so."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.errors import UsageError
from planner.machine.cap import cap_from
from planner.nouns.machine import CAP_VARIABLE
from planner.placement.placement import ShareTooLarge
from planner.placement.slurm import place_on_slurm
from planner.report.placement import placement_text
from tests.placement.conftest import bound_of, job_of
from tests.placement.slurm_cluster import NoCluster, slurm_cluster
from tests.placement.test_kubernetes import NASTY

GB = 10**9


def script(plan: planner.Plan, **asked: Any) -> str:
    common = {"source": "clip.mp4", "checkpoint": "sam2.1_hiera_large.pt", "arguments": ("--point", "960,540")}
    return plan.slurm_script(**{**common, **asked})


def options(text: str) -> dict[str, str]:
    """What the script asks of sbatch."""
    pairs = (line.removeprefix("#SBATCH --").partition("=") for line in text.splitlines() if line.startswith("#SBATCH"))
    return {name: value for name, _, value in pairs}


# -- the text ---------------------------------------------------------------------------------------------


def test_a_whole_gpu_is_asked_for_once_and_never_again(plan: planner.Plan) -> None:
    asked = options(script(plan))
    assert asked["gres"] == "gpu:1"
    assert (asked["nodes"], asked["ntasks"]) == ("1", "1")
    assert "no-requeue" in asked
    assert not {"mem", "time", "cpus-per-task"} & set(asked), "nothing is made up of the host"


def test_the_host_is_what_the_user_says(plan: planner.Plan) -> None:
    text = script(plan, memory="8GB", cpus=4, time="1-12:00:00", gpu_type="a100", name="night")
    asked = options(text)
    assert (asked["job-name"], asked["gres"], asked["time"]) == ("night", "gpu:a100:1", "1-12:00:00")
    assert 8 * GB <= int(asked["mem"].removesuffix("M")) * 2**20 < 8 * GB + 2**20
    assert asked["cpus-per-task"] == "4"
    assert text.count("srun --cpus-per-task=4 sam2-plan") == 2, "srun does not take it over by itself"


def test_the_worker_is_capped_at_its_share_to_the_byte(plan: planner.Plan) -> None:
    assert plan.estimate is not None
    [value] = re.findall(rf"^export {CAP_VARIABLE}=(\S+)$", script(plan), re.MULTILINE)
    assert cap_from({CAP_VARIABLE: value}) == bound_of(plan)


@pytest.mark.parametrize("shards", [1, 2, 7, 64, 24_000])
def test_so_many_shards_are_asked_for_as_hold_the_share(plan: planner.Plan, shards: int) -> None:
    assert plan.estimate is not None
    asked = options(script(plan, gpu="24GB", shards_per_gpu=shards, gpu_type="l4"))["gres"]
    count = int(asked.removeprefix("shard:l4:"))
    assert count * 24 * GB >= bound_of(plan) * shards > (count - 1) * 24 * GB
    assert count <= shards


@pytest.mark.parametrize("nasty", NASTY)
def test_bash_reads_every_word_as_it_was_given(plan: planner.Plan, tmp_path: Path, nasty: str) -> None:
    """With stand-ins for srun and sam2-plan that keep their arguments; and `bash -n` finds nothing."""
    for name, what in (
        ("srun", 'exec "$@"'),
        ("sam2-plan", f'printf "%s\\0" "$@" "${CAP_VARIABLE}" >> "{tmp_path}/seen"'),
    ):
        (tmp_path / name).write_text(f"#!/bin/sh\n{what}\n")
        (tmp_path / name).chmod(0o755)
    found = place_on_slurm(plan, job_of(source=nasty, out=nasty, checkpoint=nasty, plan_path=nasty))
    text = placement_text(found)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    subprocess.run(["bash", "-c", text], env=environment, check=True, timeout=30)
    common = ["--out", nasty, "--checkpoint", nasty]
    cap = text.partition(f"export {CAP_VARIABLE}=")[2].split()[0]
    checked = ["check", nasty, "--input", nasty, *common, "--wait", "60s", cap]
    ran = ["run", nasty, nasty, *common, "--point", "960,540", cap]
    assert (tmp_path / "seen").read_text().split("\0")[:-1] == [*checked, *ran]


def test_a_name_out_of_an_edited_plan_does_not_become_a_line_of_the_script(named: planner.Plan) -> None:
    from dataclasses import replace

    assert named.budget.gpu is not None
    evil = replace(named.budget.gpu, name="A100\n#SBATCH --account=root\nrm -rf /")
    text = placement_text(place_on_slurm(replace(named, budget=replace(named.budget, gpu=evil)), job_of()))
    assert "account" not in options(text)
    assert not [line for line in text.splitlines() if line.startswith("rm")]
    assert text.startswith("#!/bin/bash\n# ")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"name": "Night Run"}, "Near: night-run"),
        ({"name": 'x"; reboot'}, "schedulers take"),
        ({"gpu_type": "a100:2"}, "type of a GPU"),
        ({"gpu_type": "a b"}, "type of a GPU"),
        ({"time": "soon"}, "time limit"),
        ({"time": "1:00\n#SBATCH --account=root"}, "time limit"),
        ({"shards_per_gpu": 4}, "neither the plan nor you"),
        ({"shards_per_gpu": 0, "gpu": "24GB"}, "number of shards|0 shards"),
        ({"memory": "8"}, "no unit"),
        ({"cpus": 0}, "0 cpus"),
    ],
    ids=str,
)
def test_what_sbatch_would_refuse_is_refused(plan: planner.Plan, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        script(plan, **asked)
    assert caught.value.hint


def test_a_share_larger_than_the_gpu_is_refused(plan: planner.Plan) -> None:
    with pytest.raises(ShareTooLarge, match=r"24.0 GB.*16.0 GB"):
        script(plan, gpu="16GB", share="budget", shards_per_gpu=4)


def test_a_plan_that_chose_nothing_is_refused(hopeless: planner.Plan) -> None:
    with pytest.raises(planner.DoesNotFit):
        script(hopeless)


# -- a real Slurm -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def cluster() -> Iterator[dict[str, str]]:
    """One node with a GPU of type a100, which is cut into four shards."""
    try:
        with slurm_cluster() as environment:
            yield environment
    except NoCluster as reason:
        pytest.skip(str(reason))


def sbatch(environment: dict[str, str], text: str, *words: str, folder: Path | None = None) -> Any:
    return subprocess.run(
        ["sbatch", *words], input=text, env=environment, cwd=folder, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"gpu_type": "a100"},
        {"shards_per_gpu": 4, "gpu": "24GB"},
        {"shards_per_gpu": 4, "gpu": "24GB", "share": "budget"},
        {"time": "30", "memory": "500MB", "cpus": 1},
        {"time": "1-12:00:00"},
        {"time": "2:00:00"},
    ],
    ids=str,
)
def test_sbatch_accepts_the_script(cluster: dict[str, str], plan: planner.Plan, asked: dict[str, Any]) -> None:
    done = sbatch(cluster, script(plan, **asked), "--test-only")
    assert done.returncode == 0, done.stderr
    assert "to start at" in done.stderr


@pytest.mark.parametrize(
    "asked",
    [{"gpu_type": "h100"}, {"shards_per_gpu": 64, "gpu": "24GB"}, {"memory": "80GB"}],
    ids=["a type it has not", "more shards than it has", "more memory than it has"],
)
def test_sbatch_refuses_what_the_cluster_lacks(
    cluster: dict[str, str], plan: planner.Plan, asked: dict[str, Any]
) -> None:
    done = sbatch(cluster, script(plan, **asked), "--test-only")
    assert done.returncode != 0
    assert "node configuration is not available" in done.stderr


@pytest.mark.parametrize("code", [3, 0], ids=["does not fit", "fits"])
def test_a_job_whose_check_says_3_ends_with_3_runs_nothing_and_does_not_come_back(
    cluster: dict[str, str], plan: planner.Plan, tmp_path: Path, code: int
) -> None:
    stub = tmp_path / "bin" / "sam2-plan"
    stub.parent.mkdir()
    stub.write_text(
        f'#!/bin/sh\necho "$1 ${CAP_VARIABLE} $SLURM_JOB_GPUS" >> "{tmp_path}/seen"\n[ "$1" = run ] || exit {code}\n'
    )
    stub.chmod(0o755)
    environment = {**cluster, "PATH": f"{stub.parent}:{cluster['PATH']}"}
    done = sbatch(environment, script(plan), "--parsable", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    number = done.stdout.strip()
    _wait_for(lambda: facts_of(cluster, number)["JobState"] not in ("PENDING", "RUNNING", "COMPLETING"))
    facts = facts_of(cluster, number)
    assert facts["ExitCode"] == f"{code}:0"
    assert facts["JobState"] == ("FAILED" if code else "COMPLETED")
    assert (facts["Requeue"], facts["Restarts"]) == ("0", "0")
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert [line[0] for line in seen] == (["check"] if code else ["check", "run"])
    assert plan.estimate is not None
    assert {cap_from({CAP_VARIABLE: line[1]}) for line in seen} == {bound_of(plan)}


def test_two_jobs_share_the_gpu_by_shards_and_one_more_waits(
    cluster: dict[str, str], plan: planner.Plan, tmp_path: Path
) -> None:
    """Of four shards each takes two; the third begins when one of them ends."""
    stub = tmp_path / "bin" / "sam2-plan"
    stub.parent.mkdir()
    stub.write_text(f'#!/bin/sh\n[ "$1" = run ] || exit 0\nwhile [ ! -e "{tmp_path}/go" ]; do sleep 0.1; done\n')
    stub.chmod(0o755)
    environment = {**cluster, "PATH": f"{stub.parent}:{cluster['PATH']}"}
    half = bound_of(plan) * 2
    # The node has eight cores and 1,000 MB: neither is what the third waits for.
    text = script(plan, gpu=half, shards_per_gpu=4, memory="50MB")
    assert options(text)["gres"] == "shard:2"
    numbers = [sbatch(environment, text, "--parsable", folder=tmp_path).stdout.strip() for _ in range(3)]

    def states() -> list[str]:
        return [facts_of(cluster, number)["JobState"] for number in numbers]

    _wait_for(lambda: states()[:2] == ["RUNNING", "RUNNING"])
    assert states()[2] == "PENDING"
    (tmp_path / "go").touch()
    _wait_for(lambda: states() == ["COMPLETED"] * 3)


def facts_of(cluster: dict[str, str], number: str) -> dict[str, str]:
    """What the controller says of a job."""
    asked = ["scontrol", "show", "job", number]
    shown = subprocess.run(asked, env=cluster, capture_output=True, text=True, check=True).stdout
    return dict(re.findall(r"(\w+)=(\S+)", shown))


def _wait_for(condition: Any) -> None:
    until = time.monotonic() + 90
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.2)
