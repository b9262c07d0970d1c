"""A Slurm of its own for the tests: munge, controller and one node with a GPU that is only a name, on free ports."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "sinfo", "scontrol")
PATHS = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"
SECONDS = 60


class NoCluster(Exception):
    """Why there is none."""


@contextmanager
def slurm_cluster() -> Iterator[dict[str, str]]:
    """The environment in which Slurm's commands speak to it. Raises NoCluster where it cannot be started."""
    missing = [name for name in PROGRAMS if shutil.which(name, path=PATHS) is None]
    if missing:
        raise NoCluster(f"Slurm is not installed: no {', '.join(missing)}")
    if os.getuid() != 0:
        raise NoCluster("slurmd starts jobs as their users, which takes root")
    # Sockets have short paths, so pytest's own folder will not do.
    folder = Path(tempfile.mkdtemp(prefix="slurm-", dir="/tmp"))
    folder.chmod(0o755)
    daemons: list[subprocess.Popen[bytes]] = []
    try:
        environment = {**os.environ, "PATH": PATHS, "SLURM_CONF": str(_configured(folder))}
        munged = ["munged", "--foreground", "--force", f"--socket={folder}/munge", f"--key-file={folder}/key"]
        munged += [f"--{kind}-file={folder}/munge.{kind}" for kind in ("pid", "log", "seed")]
        with (folder / "daemons.log").open("wb") as log:
            for command in (munged, ["slurmctld", "-D"], ["slurmd", "-D"]):
                daemons.append(subprocess.Popen(command, env=environment, stdout=log, stderr=log))
                time.sleep(0.3)
        _wait_until_idle(environment, daemons, folder)
        yield environment
    finally:
        for daemon in reversed(daemons):
            _end(daemon)
        shutil.rmtree(folder, ignore_errors=True)


def _configured(folder: Path) -> Path:
    host = socket.gethostname().partition(".")[0]
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "key").write_bytes(os.urandom(128))
    (folder / "key").chmod(0o400)
    controller, node = _free_ports()
    (folder / "gres.conf").write_text(
        f"NodeName={host} Name=gpu Type=a100 File=/dev/null\nNodeName={host} Name=shard Type=a100 Count=4\n"
    )
    (folder / "slurm.conf").write_text(
        f"""ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge
SlurmctldPort={controller}
SlurmdPort={node}
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
GresTypes=gpu,shard
NodeName={host} NodeAddr=127.0.0.1 CPUs=8 RealMemory=1000 Gres=gpu:a100:1,shard:a100:4
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
    )
    return folder / "slurm.conf"


def _free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as other:
        for held in (one, other):
            held.bind(("127.0.0.1", 0))
        return one.getsockname()[1], other.getsockname()[1]


def _wait_until_idle(environment: dict[str, str], daemons: list[subprocess.Popen[bytes]], folder: Path) -> None:
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        asked = ["sinfo", "--noheader", "--format=%T"]
        state = subprocess.run(asked, env=environment, capture_output=True, text=True, check=False).stdout.strip()
        if state == "idle":
            return
        if any(daemon.poll() is not None for daemon in daemons):
            break
        time.sleep(0.2)
    last = (folder / "daemons.log").read_text(errors="replace").strip().splitlines()[-1:]
    raise NoCluster(f"Slurm did not start: {''.join(last)[:200]}")


def _end(daemon: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(timeout=10)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()
