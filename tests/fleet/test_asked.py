"""What a fleet is asked, refused or understood before a worker starts; Ray itself is not started here."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from local_fleet import tiny_plan

import planner
from planner.errors import EnvironmentFailure, UsageError
from planner.fleet.cluster import require_room, room_for, share_of
from tests.conftest import ROOT, invoke

WEIGHTS = ("--point", "20,20", "--random-weights")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A plan and two files that look like clips."""
    tiny_plan().save(tmp_path / "plan.yaml")
    for name in ("a.mp4", "b.mp4"):
        (tmp_path / name).write_bytes(b"never read")
    return tmp_path


def refused(folder: Path, *words: str, sources: tuple[str, ...] = ("a.mp4", "b.mp4")) -> tuple[int, str]:
    """Exit code and message of a call that starts nothing."""
    inputs = [source if "://" in source else str(folder / source) for source in sources]
    outcome = invoke("run", str(folder / "plan.yaml"), *inputs, "--out", str(folder / "out"), *WEIGHTS, *words)
    assert outcome.out == ""
    return outcome.code, outcome.err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--address", "host:6379"), 2, "--address is for a cluster"),
        (("--on", "slurm"), 2, "slurm"),
        (("--on", "ray"), 2, "neither the plan nor you say of which"),
        (("--on", "ray", "--gpu", "100MB"), 3, "100 MB"),
        (("--on", "ray", "--gpu", "24GB", "--device", "cuda:1"), 2, "Ray says which GPU"),
        (("--on", "ray", "--gpu", "24GB", "--workers", "0"), 2, "0 workers"),
        (("--on", "ray", "--gpu", "24GB", "--crop-layers", "1"), 2, "for automatic masks"),
        (("--on", "ray", "--gpu", "24GB", "--save", "jpeg"), 2, "jpeg"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    folder: Path, words: tuple[str, ...], code: int, said: str
) -> None:
    found = refused(folder, *words)
    assert found[0] == code and said in found[1]
    assert not (folder / "out").exists()


def test_inputs_that_collide_or_are_not_there_are_named(folder: Path) -> None:
    fleet = ("--on", "ray", "--gpu", "24GB")
    (folder / "again").mkdir()
    (folder / "again" / "a.mp4").touch()
    code, said = refused(folder, *fleet, sources=("a.mp4", "again/a.mp4"))
    assert code == 2 and "would both write to the folder a" in said
    code, said = refused(folder, *fleet, sources=("a.mp4", "none.mp4"))
    assert code == 2 and "none.mp4" in said
    code, said = refused(folder, *fleet, sources=("a.mp4", "rtsp://camera/1"))
    assert code == 2 and "passes by once" in said


def test_without_ray_the_extra_is_named_and_nothing_else_needs_it(folder: Path) -> None:
    """In a process of its own, where ray and fsspec cannot be imported."""
    program = (
        "import sys; sys.modules.update(ray=None, fsspec=None); from planner.cli.main import main; sys.exit(main())"
    )

    def call(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", program, *words], cwd=ROOT, capture_output=True, text=True)

    plan, clip, out = (str(folder / name) for name in ("plan.yaml", "a.mp4", "out"))
    found = call("run", plan, clip, "--out", out, *WEIGHTS, "--on", "ray", "--gpu", "24GB")
    assert found.returncode == 1 and 'pip install "sam2-plan[run,ray]"' in found.stderr
    found = call("run", plan, "s3://bucket/a.mp4", "--out", out, *WEIGHTS, "--on", "ray", "--gpu", "24GB")
    assert found.returncode == 1 and "fsspec" in found.stderr
    assert call("--vram", "4GB", "--task", "video").returncode == 0
    assert "Traceback" not in found.stderr


def test_a_cluster_that_does_not_answer_or_is_another_ray_is_named(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ray = pytest.importorskip("ray", reason="a fleet runs on Ray")
    fleet = ("--on", "ray", "--gpu", "24GB", "--address")
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and listens not
        code, said = refused(folder, *fleet, f"127.0.0.1:{nobody.getsockname()[1]}")
    assert code == 1 and "No Ray cluster could be joined at 127.0.0.1" in said and "ray start --head" in said
    code, said = refused(folder, *fleet, "ray://head:10001")
    assert code == 2 and "ray job submit" in said
    code, said = refused(folder, *fleet, "neither host nor port")
    assert code == 1 and "neither host nor port" in said

    def other(**_: Any) -> None:
        raise RuntimeError("Version mismatch: The cluster was started with:\n    Ray: 2.9.0\n    Python: 3.9.1")

    monkeypatch.setattr(ray, "init", other)
    code, said = refused(folder, *fleet, "auto")
    assert code == 1 and "Ray: 2.9.0" in said and "same versions of Ray and Python" in said


# -- shares and room --------------------------------------------------------------------------------------


def node(alive: bool = True, **resources: float) -> dict[str, Any]:
    """A node as ray.nodes() describes it."""
    return {
        "Alive": alive,
        "Resources": {name.replace("type_", "accelerator_type:"): n for name, n in resources.items()},
    }


@pytest.fixture(scope="module")
def plan() -> planner.Plan:
    """Of a third of a card's memory, and a little."""
    return planner.plan(task="video", objects=3, vram="8.1GB").require()


def test_as_many_workers_as_place_cuts_shares_and_cores_allow(plan: planner.Plan) -> None:
    share = share_of(plan, "auto", "24GB", "budget")
    assert share.options["num_gpus"] == plan.ray_options(gpu="24GB", share="budget")["num_gpus"]
    assert share.options["runtime_env"]["env_vars"], "the cap"
    assert room_for(share, [node(CPU=16, GPU=2)]) == 4
    assert room_for(share, [node(CPU=3, GPU=2), node(CPU=8, GPU=1), node(CPU=8)]) == 5
    assert room_for(share, [node(CPU=8, GPU=1), node(alive=False, CPU=8, GPU=1)]) == 2


def test_on_the_cpu_a_worker_takes_a_core_or_the_share_of_a_gpu_that_it_leaves_alone(plan: planner.Plan) -> None:
    assert room_for(share_of(plan, "cpu", None, "bound"), [node(CPU=6, GPU=1)]) == 6
    tried = share_of(plan, "cpu", "24GB", "budget")
    assert "runtime_env" not in tried.options, "no cap, which a CPU could not be held to"
    assert room_for(tried, [node(CPU=6, GPU=1)]) == 2


def test_a_named_gpu_counts_where_the_cluster_has_it(plan: planner.Plan) -> None:
    share = share_of(plan, "auto", "L4", "budget")
    assert room_for(share, [node(CPU=8, GPU=1, type_L4=1), node(CPU=8, GPU=1, type_T4=1)]) == 2
    with pytest.raises(EnvironmentFailure, match="The plan is for L4, and the cluster has T4") as caught:
        require_room(share, [node(CPU=8, GPU=1, type_T4=1)])
    assert "--gpu" in caught.value.hint


def test_a_cluster_without_room_says_what_it_lacks(plan: planner.Plan) -> None:
    share = share_of(plan, "auto", "24GB", "budget")
    require_room(share, [node(CPU=1, GPU=1)])
    with pytest.raises(EnvironmentFailure, match=r"no GPU: 2 nodes with 8 CPUs"):
        require_room(share, [node(CPU=4), node(CPU=4), node(alive=False, CPU=4, GPU=4)])
    with pytest.raises(EnvironmentFailure, match="no CPU for a worker"):
        require_room(share, [node(GPU=1)])
    with pytest.raises(UsageError, match="neither the plan nor you"):
        share_of(plan, "auto", None, "bound")
