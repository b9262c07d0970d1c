"""A Ray cluster of several nodes on this machine, and clips small enough for it. Its GPUs are counted only.

For tests and benchmarks of fleets. Needs ray, and for the clips PyAV and numpy.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import planner

ROOT = Path(__file__).resolve().parent.parent
SIZE = (64, 64)
CARD = "4GB"
"""A GPU of a node holds the plan's whole budget once."""
PROMPT = [{"frame": 0, "object": 1, "points": [[20, 20]], "labels": [1]}]
STORE = 80 * 2**20
AT_ONCE = {
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "2000",
    "RAY_health_check_failure_threshold": "3",
}
"""A node that is killed is known to be dead after seconds, not half a minute."""


@contextmanager
def environment(values: dict[str, str]) -> Iterator[None]:
    """Variables of this process, as long as the block."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def cluster_of(nodes: int, **node: Any) -> Iterator[Any]:
    """A cluster with a head that runs nothing, and nodes with a GPU each."""
    from ray.cluster_utils import Cluster

    # Sockets have short paths, so the folder for temporary files may not do.
    folder = tempfile.mkdtemp(prefix="ray-", dir="/tmp")
    os.mkdir(f"{folder}/ray")
    here = {
        "HOME": folder,
        "RAY_TMPDIR": folder,
        "RAY_AUTH_MODE": "disabled",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": "1",
        **AT_ONCE,
    }
    with environment(here):
        head = {"num_cpus": 0, "object_store_memory": STORE, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            for _ in range(nodes):
                add_node(cluster, **node)
            yield cluster
        finally:
            cluster.shutdown()  # type: ignore[no-untyped-call]
            shutil.rmtree(folder, ignore_errors=True)


def add_node(cluster: Any, **node: Any) -> Any:
    """Another node, with a GPU unless it is said."""
    return cluster.add_node(**{"num_cpus": 2, "num_gpus": 1, "object_store_memory": STORE, **node})


def make_clips(folder: Path, count: int, frames: int = 3) -> list[str]:
    """So many short clips of noise, each its own."""
    import av
    import numpy

    folder.mkdir(exist_ok=True)
    paths = []
    for number in range(count):
        random = numpy.random.default_rng(number)
        path = folder / f"clip{number:04d}.mp4"
        with av.open(str(path), "w") as video:
            stream = video.add_stream("libx264", rate=10)
            stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
            for _ in range(frames):
                picture = random.integers(0, 255, (*SIZE, 3), numpy.uint8)
                video.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
            video.mux(stream.encode(None))
        paths.append(str(path))
    return paths


def tiny_plan() -> planner.Plan:
    """What a CPU runs in a fraction of a second a clip."""
    return planner.plan(
        task="video", vram=CARD, frame_size=SIZE, variant="tiny", resolution=64, precision="float32"
    ).require()


def digests(folder: Path) -> dict[str, str]:
    """What lies in a folder, by path; of the records of runs, all but the time that they took."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.name != "runs.json":
            data = path.read_bytes()
            if path.name == "run.json":
                data = b"\n".join(line for line in data.split(b"\n") if b'"seconds":' not in line)
            found[path.relative_to(folder).as_posix()] = hashlib.sha256(data).hexdigest()
    return found
