"""A fleet on a real Ray of several nodes, whose workers, nodes and command are killed: the same files in the end."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("ray", reason="a fleet runs on Ray")
pytest.importorskip("sam2", reason="workers run SAM 2")
pytest.importorskip("av", reason="running needs PyAV")

from local_fleet import CARD, PROMPT, add_node, cluster_of, digests, make_clips, tiny_plan

import planner
from planner.errors import EnvironmentFailure
from planner.fleet.fleet import run_on_ray
from planner.runs.run import run
from planner.runs.summary import RunsSummary
from tests.conftest import ROOT, validate

SECONDS = 120.0


def fleet(cluster: Any, sources: list[str], out: Path, **options: Any) -> RunsSummary:
    """A fleet on imaginary GPUs, whose workers run on the CPU."""
    asked: dict[str, Any] = {"prompts": PROMPT, "random_weights": True, "device": "cpu", "gpu": CARD, "share": "budget"}
    return run_on_ray(tiny_plan(), sources, out, address=cluster.address, **{**asked, **options})


def one_by_one(sources: list[str], out: Path) -> None:
    """The same without Ray, each in its own folder."""
    plan = tiny_plan()
    session = planner.load(plan, random_weights=True, device="cpu")
    out.mkdir()
    for source in sources:
        folder = out / Path(source).stem
        run(plan, source, folder, prompts=PROMPT, random_weights=True, device="cpu", load=lambda _: session)


def finished(out: Path) -> list[Path]:
    """Records of runs that are finished."""
    return [path for path in out.glob("*/run.json") if json.loads(path.read_text())["status"] == "finished"]


def command(cluster: Any, folder: Path, sources: list[str], out: Path) -> subprocess.Popen[bytes]:
    """The same as a command in a process of its own."""
    tiny_plan().save(folder / "plan.yaml")
    words = ("--on", "ray", "--address", cluster.address, "--gpu", CARD, "--share", "budget")
    words += ("--point", "20,20", "--random-weights", "--device", "cpu", "--out", str(out))
    return subprocess.Popen(
        [sys.executable, "-m", "planner", "run", str(folder / "plan.yaml"), *sources, *words],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for(condition: Callable[[], object]) -> None:
    until = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_a_killed_command_and_a_killed_node_cost_no_file(tmp_path: Path) -> None:
    """Six clips among a broken and an empty one: half by a command that is killed, the rest while a node is."""
    good = make_clips(tmp_path / "clips", 6)
    broken, empty = tmp_path / "clips" / "broken.mp4", tmp_path / "clips" / "empty.mp4"
    broken.write_bytes(Path(good[0]).read_bytes()[:300])
    empty.touch()
    sources, out = [str(broken), *good, str(empty)], tmp_path / "masks"
    one_by_one(good, tmp_path / "expected")
    notes: list[str] = []
    with cluster_of(2) as cluster:
        began = command(cluster, tmp_path, sources, out)
        wait_for(lambda: len(finished(out)) >= 2 or began.poll() is not None)
        began.kill()
        began.communicate()
        assert began.returncode == -signal.SIGKILL
        left = json.loads((out / "runs.json").read_text())
        validate(left)
        assert len(finished(out)) < len(good), "it was killed on the way"

        removed = False

        def kill_a_node(progress: Any) -> None:
            nonlocal removed
            if progress.workers == 2 and not removed:
                removed = True
                cluster.remove_node(cluster.list_all_nodes()[-1], allow_graceful=False)

        relative = [os.path.relpath(source) for source in sources]
        summary = fleet(cluster, relative, out, progress=kill_a_node, note=notes.append)
    assert removed and any("was lost" in note for note in notes)
    assert [clip.source for clip in summary.clips] == relative, "as they were given"
    by_name = {clip.name: clip for clip in summary.clips}
    assert [by_name[name].status for name in ("broken", "empty")] == ["failed", "failed"]
    assert summary.exit_code == 1
    counts = summary.counts
    assert counts["skipped"] >= 2 and counts["done"] + counts["resumed"] + counts["skipped"] == len(good)
    for name in ("broken", "empty"):
        shutil.rmtree(out / name, ignore_errors=True)
    assert digests(out) == digests(tmp_path / "expected")
    document = json.loads((out / "runs.json").read_text())
    validate(document)
    assert document["counts"] == dict(counts)


def node_that_begins_with(folder: Path, program: str) -> dict[str, Any]:
    """Options of a node whose Pythons run this before anything else."""
    folder.mkdir()
    (folder / "sitecustomize.py").write_text(program)
    return {"env_vars": {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}"}}


MISSING = "import sys; sys.modules['planner'] = None"
OLDER = """
import sys, types
package, module = types.ModuleType("planner"), types.ModuleType("planner.version")
package.__path__, module.__version__ = [], "0.0.1"
sys.modules.update({"planner": package, "planner.version": module})
"""
READ_ONLY = """
import errno, io, os
plain = io.open
def opened(file, mode="r", *rest, **named):
    if isinstance(file, (str, os.PathLike)) and os.fspath(file).startswith({out!r}) and set(mode) & set("wax+"):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS), os.fspath(file))
    return plain(file, mode, *rest, **named)
io.open = opened
"""
"""A node on which the folder can be read only, as far as Python opens files there."""


@pytest.mark.slow
def test_nodes_that_cannot_do_the_work_get_none_and_ctrl_c_is_resumed(tmp_path: Path) -> None:
    """Without the package, with another version, with a folder that cannot be written; and one that is well."""
    sources, out = make_clips(tmp_path / "clips", 5), tmp_path / "masks"
    one_by_one(sources, tmp_path / "expected")
    notes: list[str] = []
    with cluster_of(1) as cluster:
        [well] = cluster.worker_nodes
        began = command(cluster, tmp_path, sources, out)
        wait_for(lambda: len(finished(out)) >= 1 or began.poll() is not None)
        began.send_signal(signal.SIGINT)
        began.communicate(timeout=SECONDS)
        assert began.returncode == 1
        counts = json.loads((out / "runs.json").read_text())["counts"]
        assert counts["done"] >= 1 and counts["failed"] == 0 and counts["interrupted"] + counts["waiting"] >= 1

        programs = {"missing": MISSING, "older": OLDER, "locked": READ_ONLY.format(out=str(out))}
        for name, program in programs.items():
            add_node(cluster, **node_that_begins_with(tmp_path / name, program))
        summary = fleet(cluster, sources, out, note=notes.append, workers=4)
        assert summary.exit_code == 0
        assert digests(out) == digests(tmp_path / "expected")
        for words in ("is not installed there", "sam2-plan there is 0.0.1", "cannot be written"):
            assert any(words in note for note in notes), (words, notes)

        cluster.remove_node(well, allow_graceful=False)
        with pytest.raises(EnvironmentFailure, match="No worker can do the rest"):
            fleet(cluster, sources, tmp_path / "masks2", workers=3)
        left = json.loads((tmp_path / "masks2" / "runs.json").read_text())["counts"]
        assert left["waiting"] == len(sources)


@pytest.mark.slow
def test_forty_clips_on_four_nodes_of_which_two_are_killed_and_the_command_once(tmp_path: Path) -> None:
    """And a worker alone, on a node that stays."""
    sources, out = make_clips(tmp_path / "clips", 40, frames=2), tmp_path / "masks"
    one_by_one(sources, tmp_path / "expected")
    with cluster_of(4) as cluster:
        began = command(cluster, tmp_path, sources, out)
        wait_for(lambda: len(finished(out)) >= 10 or began.poll() is not None)
        began.kill()
        began.communicate()
        killed: list[int] = []

        def kill(progress: Any) -> None:
            """A node when 15 are done, another at 20, a worker at 25."""
            if len(killed) < 3 and progress.done >= 15 + 5 * len(killed) and progress.workers >= 2:
                killed.append(progress.done)
                if len(killed) < 3:
                    cluster.remove_node(sorted(cluster.worker_nodes, key=str)[0], allow_graceful=False)
                else:
                    os.kill(workers()[0], signal.SIGKILL)

        summary = fleet(cluster, sources, out, progress=kill)
    assert len(killed) == 3
    assert summary.exit_code == 0
    assert digests(out) == digests(tmp_path / "expected")


POISON = """
import io, os, signal
plain = io.open
def opened(file, *rest, **named):
    if isinstance(file, (str, os.PathLike)) and os.fspath(file).endswith("poison.mp4"):
        os.kill(os.getpid(), signal.SIGKILL)
    return plain(file, *rest, **named)
io.open = opened
"""
"""A node on which a file kills who opens it, as a codec's crash would."""


@pytest.mark.slow
def test_a_cluster_that_grows_and_an_input_that_takes_its_workers_along(tmp_path: Path) -> None:
    """Workers are asked for where there is no place yet; the input is given up after three, the others are done."""
    sources, out = make_clips(tmp_path / "clips", 2), tmp_path / "masks"
    poison = tmp_path / "clips" / "poison.mp4"
    shutil.copy(sources[0], poison)
    one_by_one(sources, tmp_path / "expected")
    notes: list[str] = []
    with cluster_of(0) as cluster:
        with pytest.raises(EnvironmentFailure, match="has no GPU"):
            fleet(cluster, sources, out)

        def grow(progress: Any) -> None:
            if not cluster.worker_nodes:
                add_node(cluster, **node_that_begins_with(tmp_path / "node", POISON))

        summary = fleet(cluster, [str(poison), *sources], out, workers=1, progress=grow, note=notes.append)
    by_name = {clip.name: clip for clip in summary.clips}
    assert by_name["poison"].status == "failed"
    assert "3 workers ended while they had it" in str(by_name["poison"].error)
    assert sum("was lost" in note for note in notes) == 3
    assert digests(out) == digests(tmp_path / "expected")


def workers() -> list[int]:
    """Processes of this cluster that are at work for a fleet."""
    found, mark = [], f"RAY_TMPDIR={os.environ['RAY_TMPDIR']}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                name, variables = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if name.startswith(b"ray::") and b"ClipWorker" in name and mark in variables:
                found.append(int(folder.name))
    return sorted(found)
