"""The Ray cluster: reached, and cut into workers."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from planner.errors import EnvironmentFailure, UsageError
from planner.fleet.extra import library
from planner.nouns.plan import Plan
from planner.nouns.words import ShareKind
from planner.placement.ray import UNITS, place_on_ray
from planner.text.units import counted

ANSWER_SECONDS = 10.0
KIND = "accelerator_type"
DEVICES = ("auto", "cuda", "cpu")


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """What one worker takes of a node."""

    options: Mapping[str, Any]
    """Of ray.remote."""
    warnings: tuple[str, ...] = ()

    @property
    def gpus(self) -> float:
        """Of one GPU."""
        return float(self.options.get("num_gpus", 0))


@contextmanager
def connected(address: str | None) -> Iterator[Any]:
    """Ray, connected to the cluster at an address; by default that of RAY_ADDRESS or of this machine, else a new one.

    Raises UsageError for the address of a client, EnvironmentFailure where Ray is missing, no cluster answers, or it
    runs another Ray or Python.
    """
    if address is not None and address.startswith("ray://"):
        raise UsageError(
            f"{address} is for Ray's clients, which are no part of the cluster.",
            "Run the command on a node, with --address auto, or send it to one: ray job submit -- sam2-plan run ...",
        )
    ray = library("ray")
    if ray.is_initialized():
        yield ray
        return
    address = address or os.environ.get("RAY_ADDRESS")
    _require_answer(address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except Exception as error:  # Ray raises ConnectionError, RuntimeError, ValueError and its own kinds here
        raise _unreachable(address, str(error)) from None
    try:
        yield ray
    finally:
        ray.shutdown()


def _require_answer(address: str | None) -> None:
    """Raise EnvironmentFailure where nobody listens at HOST:PORT, which Ray takes minutes to find out."""
    host, _, port = (address or "").rpartition(":")
    if not host or not port.isdecimal():  # auto, local, or what Ray refuses at once
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=ANSWER_SECONDS).close()
    except (OSError, OverflowError, UnicodeError) as error:
        raise _unreachable(address, getattr(error, "strerror", None) or str(error)) from None


def _unreachable(address: str | None, said: str) -> EnvironmentFailure:
    text = " ".join(said.split())
    where = "Ray could not be started here" if address is None else f"No Ray cluster could be joined at {address}"
    hint = "Start one (ray start --head), and give --address HOST:PORT; ray status shows whether it answers."
    if "ersion" in text:
        hint = "Give this machine and all nodes the same versions of Ray and Python."
    return EnvironmentFailure(f"{where}: {text[:400].rstrip('.') or 'it does not answer'}.", hint)


def share_of(plan: Plan, device: str, gpu: str | int | None, share: ShareKind) -> Share:
    """What a worker takes: a share of a GPU as `place` cuts it, or on the CPU one of its cores.

    On the CPU with `gpu` said it takes the share of the GPU too, and leaves it alone: that tries a fleet out. Raises as
    place_on_ray, and UsageError for a device that Ray has to choose.
    """
    if device not in DEVICES:
        raise UsageError(
            f"--device {device} is not for a fleet: Ray says which GPU a worker gets.", "Leave it out, or give cpu."
        )
    if device == "cpu" and gpu is None:
        return Share(options={"num_cpus": 1})
    placed = place_on_ray(plan, gpu=gpu, share=share)
    options = {"num_cpus": 1, **placed.manifest}
    if device == "cpu":
        del options["runtime_env"]  # the cap, which nothing on a CPU could hold it to
    return Share(options=options, warnings=placed.warnings)


def room_for(share: Share, nodes: Sequence[Mapping[str, Any]]) -> int:
    """How many workers the living nodes hold, were they empty. Nodes as ray.nodes() gives them."""
    return sum(_room_on(share, node["Resources"]) for node in nodes if node["Alive"])


def _room_on(share: Share, resources: Mapping[str, float]) -> int:
    cores = int(resources.get("CPU", 0) // share.options["num_cpus"])
    if not share.gpus:
        return cores
    kind = share.options.get(KIND)
    if kind is not None and f"{KIND}:{kind}" not in resources:
        return 0
    each = UNITS // round(share.gpus * UNITS)
    return min(cores, int(resources.get("GPU", 0)) * each)


def require_room(share: Share, nodes: Sequence[Mapping[str, Any]]) -> None:
    """Raise EnvironmentFailure where not one worker finds a place, with what is missing."""
    if room_for(share, nodes):
        return
    alive = [node["Resources"] for node in nodes if node["Alive"]]
    cores, gpus = (sum(int(node.get(name, 0)) for node in alive) for name in ("CPU", "GPU"))
    has = f"{counted(len(alive), 'node')} with {counted(cores, 'CPU')} and {counted(gpus, 'GPU')}"
    grows = "where the cluster grows on demand, --workers N asks for them"
    if not share.gpus or (gpus and not cores):
        raise EnvironmentFailure(f"The cluster has no CPU for a worker: {has}.", f"Add a node; {grows}.")
    if not gpus:
        raise EnvironmentFailure(
            f"The cluster has no GPU: {has}.", f"Add a node with one, or run on its CPUs (--device cpu); {grows}."
        )
    kinds = sorted({name.partition(":")[2] for node in alive for name in node if name.startswith(f"{KIND}:")})
    others = ", ".join(kinds) or "GPUs of no known kind"
    raise EnvironmentFailure(
        f"The plan is for {share.options.get(KIND)}, and the cluster has {others}.",
        f"Give --gpu with what it has: a name or the memory of the smallest (--gpu 24GB); {grows}.",
    )
