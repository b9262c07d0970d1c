"""SkyPilot: tasks whose accelerators hold the plan, and that SkyPilot's own parser reads where it is installed.

SAM2_PLAN_TEST_SKYPILOT_PYTHON names a Python that has it; else the tests' own is asked.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml

import planner
from planner.catalog.gpus import find_gpu
from planner.errors import FileError, UsageError
from planner.machine.cap import cap_from
from planner.nouns.machine import CAP_VARIABLE
from planner.placement.placement import Card, ShareTooLarge
from planner.placement.skypilot import accelerators, place_on_skypilot
from planner.placement.tables import listed
from planner.report.placement import placement_text
from tests.conftest import ROOT
from tests.placement.conftest import bound_of, job_of
from tests.placement.test_kubernetes import NASTY

GB = 10**9
CHECK = Path(__file__).with_name("check_skypilot.py")


def task(plan: planner.Plan, **asked: Any) -> dict[str, Any]:
    common = {"source": "clip.mp4", "checkpoint": "sam2.1_hiera_large.pt", "arguments": ("--point", "960,540")}
    return plan.skypilot_task(**{**common, **asked})


def names_of(found: dict[str, Any]) -> list[str]:
    return list(found["resources"]["accelerators"])


# -- the task ---------------------------------------------------------------------------------------------


def test_without_a_gpu_any_that_is_large_and_new_enough_will_do(plan: planner.Plan) -> None:
    assert plan.estimate is not None
    names = names_of(task(plan))
    table = {one.name: one for one in accelerators()}
    enough = {n for n, one in table.items() if one.gigabytes * GB >= bound_of(plan) and one.capability >= (8, 0)}
    assert set(names) == enough and {"L4", "A100", "H100"} <= enough
    assert not {"T4", "V100"} & enough, "bfloat16 does not run there"
    assert names_of(task(plan, gpu="80GB", share="budget")) == ["A100-80GB", "H100", "RTXPRO6000", "H200", "B200"]
    assert set(task(plan)["resources"]["accelerators"].values()) == {1}


def test_older_cards_take_part_where_the_precision_runs_there() -> None:
    made = planner.plan(task="video", vram="16GB", precision="float16")
    assert "T4" in names_of(task(made))
    assert "V100" not in names_of(task(made)), "the torch that the task installs has no code for it"


@pytest.mark.parametrize(
    ("gpu", "name"), [("A100 40 GB", "A100"), ("A100 SXM4 80 GB", "A100-80GB"), ("L4", "L4"), ("H200", "H200")]
)
def test_a_gpu_that_is_named_is_asked_for_by_skypilots_name(plan: planner.Plan, gpu: str, name: str) -> None:
    assert names_of(task(plan, gpu=gpu)) == [name]


def test_a_plan_for_a_card_asks_for_that_card(named: planner.Plan) -> None:
    assert names_of(task(named)) == ["A100-80GB"]


@pytest.mark.parametrize("name", [one.names[0] for one in accelerators()])
def test_every_card_that_an_error_proposes_is_one_of_the_catalogue(name: str) -> None:
    found = find_gpu(name).gpu
    assert listed(Card(name=found.name, total_bytes=found.total_bytes), accelerators()) is not None


def test_sizes_and_capabilities_are_the_catalogues() -> None:
    for one in accelerators():
        gpu = find_gpu(one.names[0]).gpu
        assert gpu.capability == one.capability, one.name
        assert 0.93 * one.gigabytes * 2**30 < gpu.total_bytes <= one.gigabytes * 2**30, one.name


def test_the_check_comes_first_and_a_failure_ends_the_task(plan: planner.Plan, tmp_path: Path) -> None:
    (tmp_path / "sam2-plan").write_text(
        f'#!/bin/sh\nprintf "%s\\0" "$@" >> "{tmp_path}/seen"\n[ "$1" = run ] || exit 3\n'
    )
    (tmp_path / "sam2-plan").chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    for nasty in NASTY:
        (tmp_path / "seen").unlink(missing_ok=True)
        run = task(plan, source=nasty, out=nasty, checkpoint=nasty)["run"]
        assert subprocess.run(["bash", "-c", run], env=environment, check=False, timeout=30).returncode == 3
        words = (tmp_path / "seen").read_text().split("\0")[:-1]
        common = ["--out", nasty, "--checkpoint", nasty]
        assert words == ["check", "plan.yaml", "--input", nasty, *common, "--wait", "60s"]


def test_the_worker_is_capped_and_the_folder_goes_along(plan: planner.Plan) -> None:
    assert plan.estimate is not None
    found = task(plan)
    assert cap_from(found["envs"]) == bound_of(plan) and set(found["envs"]) == {CAP_VARIABLE}
    assert found["workdir"] == "." and "sam2-plan[run]" in found["setup"]
    built = task(plan, image="registry/sam2-plan:1", memory="15.5GiB", cpus=4)
    assert "setup" not in built, "the image has it"
    assert built["resources"]["image_id"] == "docker:registry/sam2-plan:1"
    assert (built["resources"]["memory"], built["resources"]["cpus"]) == ("16+", "4+")


def test_the_text_is_read_back_as_the_same_task(plan: planner.Plan) -> None:
    for nasty in NASTY:
        found = place_on_skypilot(plan, job_of(source=nasty, out=nasty))
        assert yaml.safe_load(placement_text(found)) == found.manifest


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"gpu": "GTX 1080 Ti"}, "no code for compute capability 6.1"),
        ({"gpu": "T4"}, "bfloat16"),
        ({"gpu": "RTX 3090"}, "What SkyPilot calls GeForce RTX 3090"),
        ({"gpu": "900GB"}, "No accelerator"),
        ({"plan_path": "/home/me/plan.yaml"}, "would not go along"),
        ({"source": "../clip.mp4"}, "would not go along"),
        ({"checkpoint": "/weights/large.pt"}, "would not go along"),
        ({"image": "two words"}, "image"),
        ({"name": "Night Run"}, "Near: night-run"),
    ],
    ids=str,
)
def test_what_would_fail_there_is_refused_here(plan: planner.Plan, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        task(plan, **asked)
    assert caught.value.hint


def test_streams_and_ids_of_the_hub_need_no_file(plan: planner.Plan) -> None:
    found = task(plan, source="rtsp://camera/1", checkpoint="facebook/sam2.1-hiera-large")
    assert "rtsp://camera/1" in found["run"]


def test_a_share_larger_than_the_gpu_and_a_plan_without_a_choice_are_refused(
    plan: planner.Plan, hopeless: planner.Plan
) -> None:
    with pytest.raises(ShareTooLarge):
        task(plan, gpu="16GB", share="budget")
    with pytest.raises(planner.DoesNotFit):
        task(hopeless)


def test_a_broken_table_is_a_file_error(tmp_path: Path) -> None:
    entry = "- {name: X, gpu: X, gigabytes: 8, capability: new}"
    (tmp_path / "table.yaml").write_text(f"schema_version: 1\naccelerators:\n{entry}\n")
    with pytest.raises(FileError, match="capability"):
        accelerators(tmp_path / "table.yaml")


# -- SkyPilot's own parser --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def python() -> str:
    """A Python that has SkyPilot."""
    named = os.environ.get("SAM2_PLAN_TEST_SKYPILOT_PYTHON")
    if named:
        return named
    if find_spec("sky") is None:
        pytest.skip("SkyPilot is not installed, and SAM2_PLAN_TEST_SKYPILOT_PYTHON names no Python that has it")
    return sys.executable


def test_skypilot_reads_the_tasks_as_they_were_meant(
    python: str, plan: planner.Plan, named: planner.Plan, tmp_path: Path
) -> None:
    tasks = [
        task(plan),
        task(named, name="night-run"),
        task(plan, image="registry/sam2-plan:1", memory="16GB", cpus=4, gpu="L4"),
        *(task(plan, source=nasty, out=nasty) for nasty in NASTY),
        {**task(plan), "resorces": {}},
    ]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [python, str(CHECK)],
        input=json.dumps(tasks),
        # It writes into the home of whoever runs it, and reads the plan's folder as its workdir.
        env={**environment, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    *read, refused = json.loads(done.stdout.splitlines()[-1])
    assert "resorces" in refused["error"], "its schema is strict"
    for given, found in zip(tasks, read, strict=False):
        assert "error" not in found, found
        assert found["name"] == given["name"]
        assert found["accelerators"] == sorted(given["resources"]["accelerators"])
        assert found["envs"] == given["envs"]
        assert (found["run"], found["setup"]) == (given["run"], given.get("setup"))
    assert (read[2]["cpus"], read[2]["memory"]) == (["4+"], ["15+"])
    assert read[2]["images"] == ["{None: 'docker:registry/sam2-plan:1'}"]
