"""Slurm: a batch script that checks the plan where it came to, then runs it.

Options: https://slurm.schedmd.com/sbatch.html; shares of a GPU: https://slurm.schedmd.com/gres.html#Sharding.
"""

from __future__ import annotations

import re

from planner.errors import UsageError
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Plan
from planner.nouns.words import ShareKind
from planner.placement.placement import ANY_HOST, MEBIBYTE, Card, Host, Job, Placement, Share, rounded_up
from planner.placement.share import allot, cautions
from planner.text.units import exact_size, parse_count

TIME = re.compile(r"(\d{1,4}-)?\d{1,6}(:\d{1,2}){0,2}", re.ASCII)
TIME_FORMS = "Write minutes, H:MM:SS or D-HH:MM:SS, such as 30, 2:00:00 or 1-12:00:00."
_TYPE = re.compile(r"[A-Za-z0-9][-_.A-Za-z0-9]{0,63}", re.ASCII)


def place_on_slurm(
    plan: Plan,
    job: Job,
    *,
    gpu: str | int | None = None,
    gpu_type: str | None = None,
    share: ShareKind = "bound",
    shards_per_gpu: int | str | None = None,
    time: str | None = None,
    host: Host = ANY_HOST,
) -> Placement:
    """An sbatch script.

    gpu_type: the cluster's own name of the GPU or MIG slice (gres.conf). shards_per_gpu: into how many shards the
    cluster cuts a GPU; then as many are asked for as hold the share. Slurm enforces neither: the cap does.
    Raises UsageError for what sbatch would refuse, ShareTooLarge where the card is too small.
    """
    configuration, allotted, card = allot(plan, share, gpu)
    gres = _gres(allotted, card, gpu_type, shards_per_gpu)
    lines = [f"--job-name={job.name}", "--nodes=1", "--ntasks=1", f"--gres={gres}"]
    if host.cpus is not None:
        lines.append(f"--cpus-per-task={host.cpus}")
    if host.memory_bytes is not None:
        lines.append(f"--mem={rounded_up(host.memory_bytes, MEBIBYTE)}M")
    if time is not None:
        lines.append(f"--time={_time(time)}")
    # A site may put jobs that failed back in the queue; one whose plan does not fit would come back for ever.
    lines.append("--no-requeue")
    # srun does not take --cpus-per-task over from sbatch since Slurm 22.05.
    step = "srun" if host.cpus is None else f"srun --cpus-per-task={host.cpus}"
    script = [
        "#!/bin/bash",
        *(f"#SBATCH {line}" for line in lines),
        "",
        "set -euo pipefail",
        f"export {CAP_VARIABLE}={exact_size(allotted.bytes)}",
        f"{step} {job.check}",
        f"{step} {job.run}",
        "",
    ]
    return Placement(
        engine="slurm",
        configuration=configuration,
        share=allotted,
        card=card,
        manifest="\n".join(script),
        warnings=(*cautions(plan, card, gpu), *_any(card, gpu_type)),
    )


def _any(card: Card | None, gpu_type: str | None) -> tuple[str, ...]:
    if card is None or card.name is None or gpu_type is not None:
        return ()
    return (f"Slurm gives any GPU, not only {card.name}: say the cluster's name of it with --gpu-type",)


def _gres(share: Share, card: Card | None, gpu_type: str | None, shards_per_gpu: int | str | None) -> str:
    if gpu_type is not None and not _TYPE.fullmatch(gpu_type):
        raise UsageError(f"{gpu_type!r} is not the type of a GPU.", "Write it as sinfo -o %G shows it, such as a100.")
    kind = "" if gpu_type is None else f"{gpu_type}:"
    if shards_per_gpu is None:
        return f"gpu:{kind}1"
    shards = parse_count(shards_per_gpu, "shards")
    if card is None:
        raise UsageError(
            "How many shards hold the share depends on the GPU, and neither the plan nor you say which.",
            'Give its name or memory: gpu="24GB" (--gpu 24GB).',
        )
    return f"shard:{kind}{rounded_up(share.bytes * shards, card.total_bytes)}"


def _time(text: str) -> str:
    if TIME.fullmatch(text) is None:
        raise UsageError(f"{text!r} is not a time limit.", TIME_FORMS)
    return text
