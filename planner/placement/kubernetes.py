"""Kubernetes: a ConfigMap with the plan and a Job that checks it and runs it, on a whole GPU or a share of one.

Sources of the names: the device plugin and GPU feature discovery (https://github.com/NVIDIA/k8s-device-plugin,
docs/gpu-feature-discovery/README.md), HAMi (https://github.com/Project-HAMi/HAMi, examples/nvidia/default_use.yaml),
KAI (https://github.com/NVIDIA/KAI-Scheduler, docs/gpu-sharing/gpu-memory.yaml).
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import replace
from typing import Any

from planner.catalog.capability import HALF_CAPABILITY, why_unsupported
from planner.errors import EXIT_DOES_NOT_FIT, EXIT_USAGE, UsageError
from planner.nouns.machine import CAP_VARIABLE
from planner.nouns.plan import Plan
from planner.nouns.run import Configuration
from planner.nouns.words import SHARINGS, ShareKind, Sharing
from planner.placement.job import label
from planner.placement.mig import smallest_profile
from planner.placement.placement import ANY_HOST, Card, Host, Job, Placement, Share
from planner.placement.share import allot, cautions
from planner.text.spelling import check_word
from planner.text.units import exact_size

PLAN_FOLDER, PLAN_FILE = "/etc/sam2-plan", "plan.yaml"
DATA_FOLDER = "/data"
"""Where the claim is mounted, and where relative paths begin."""
BACKOFF_LIMIT = 3
"""What failed for another reason than the plan is tried so often again; a run goes on where it was stopped."""
CONFIG_MAP_BYTES = 2**20
"""A ConfigMap holds no more (https://kubernetes.io/docs/concepts/configuration/configmap/)."""
DEFAULT_QUEUE = "default-queue"
"""KAI's own example."""
_SUBDOMAIN = re.compile(r"(?=.{1,253}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*", re.ASCII)
"""https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names"""
_LABEL_VALUE = re.compile(r"[A-Za-z0-9]([-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", re.ASCII)


def place_on_kubernetes(
    plan: Plan,
    job: Job,
    plan_text: str,
    *,
    image: str,
    claim: str,
    sharing: Sharing = "whole",
    gpu: str | int | None = None,
    share: ShareKind = "bound",
    namespace: str | None = None,
    queue: str | None = None,
    host: Host = ANY_HOST,
) -> Placement:
    """A ConfigMap and a Job.

    plan_text: the plan as YAML, which the ConfigMap carries. claim: the PersistentVolumeClaim with clip, checkpoint and
    masks; relative paths lie in it. Raises UsageError for names that Kubernetes refuses, ShareTooLarge where the card
    or its largest slice is too small.
    """
    check_word(sharing, "way to share a GPU", SHARINGS)
    configuration, allotted, card = allot(plan, share, gpu)
    _check(image, claim, queue, sharing, plan_text, job)
    job = replace(job, plan_path=f"{PLAN_FOLDER}/{PLAN_FILE}")
    pod = _pod(job, image, claim, exact_size(allotted.bytes), host)
    template: dict[str, Any] = {"metadata": {"labels": {"app.kubernetes.io/name": "sam2-plan"}}, "spec": pod}
    _SHARING[sharing](template, allotted, card, configuration, queue or DEFAULT_QUEUE)
    where = {} if namespace is None else {"namespace": label(namespace, "namespace")}
    return Placement(
        engine="kubernetes",
        configuration=configuration,
        share=allotted,
        card=card,
        sharing=sharing,
        warnings=(*cautions(plan, card, gpu), *_remarks(sharing, card, configuration, job)),
        manifest=[
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": _config_map(job), **where},
                "data": {PLAN_FILE: plan_text},
            },
            {
                "apiVersion": "batch/v1",
                "kind": "Job",
                "metadata": {"name": job.name, **where, "labels": {"app.kubernetes.io/name": "sam2-plan"}},
                "spec": {
                    "backoffLimit": BACKOFF_LIMIT,
                    "podFailurePolicy": {"rules": _failure_rules()},
                    "template": template,
                },
            },
        ],
    )


def _remarks(sharing: Sharing, card: Card | None, configuration: Configuration, job: Job) -> list[str]:
    """What the Job cannot see to."""
    found = []
    if sharing in ("hami", "kai") and _generation(configuration):
        least = HALF_CAPABILITY[0]
        found.append(
            f"{configuration.precision} takes compute capability {least}.0: nodes labelled so are preferred, others "
            "are not ruled out, and there the Job fails"
        )
    if sharing != "mig" and card is not None and card.name:
        found.append(f"{card.name} is what the share is predicted for; the Job takes any GPU that holds it")
    for what, path in (("input", job.source), ("checkpoint", job.checkpoint or "")):
        if posixpath.isabs(path) and not posixpath.normpath(path).startswith(f"{DATA_FOLDER}/"):
            found.append(f"the {what} {path} must be in the image: the claim is mounted at {DATA_FOLDER}")
    return found


def _failure_rules() -> list[dict[str, Any]]:
    """A plan that does not fit, or a mistake, is not tried again; a pod that had to go for another is not counted."""
    codes = {"containerName": "sam2-plan", "operator": "In", "values": [EXIT_USAGE, EXIT_DOES_NOT_FIT]}
    return [
        {"action": "FailJob", "onExitCodes": codes},
        {"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]},
    ]


def _pod(job: Job, image: str, claim: str, cap: str, host: Host) -> dict[str, Any]:
    resources: dict[str, Any] = {}
    requests: dict[str, Any] = {}
    if host.cpus is not None:
        requests["cpu"] = str(host.cpus)
    if host.memory_bytes is not None:
        requests["memory"] = str(host.memory_bytes)
    if requests:
        resources["requests"] = requests
    container: dict[str, Any] = {
        "name": "sam2-plan",
        "image": image,
        "workingDir": DATA_FOLDER,
        # -e: where the check fails the run does not begin, and the pod ends with the check's exit code.
        # $$: Kubernetes expands $(NAME) in commands before any shell quotes it.
        "command": ["/bin/sh", "-ec", f"{job.check}\nexec {job.run}\n".replace("$", "$$")],
        "env": [{"name": CAP_VARIABLE, "value": cap}],
        "resources": resources,
        "volumeMounts": [
            {"name": "plan", "mountPath": PLAN_FOLDER, "readOnly": True},
            {"name": "data", "mountPath": DATA_FOLDER},
        ],
    }
    return {
        "restartPolicy": "Never",
        "containers": [container],
        "volumes": [
            {"name": "plan", "configMap": {"name": _config_map(job)}},
            {"name": "data", "persistentVolumeClaim": {"claimName": claim}},
        ],
    }


def _limit(template: dict[str, Any], **resources: int) -> None:
    template["spec"]["containers"][0]["resources"]["limits"] = {f"nvidia.com/{n}": v for n, v in resources.items()}


def _whole(template: dict[str, Any], share: Share, card: Card | None, configuration: Configuration, _: str) -> None:
    """A whole GPU, on a node whose GPU holds the share and runs the configuration."""
    _limit(template, gpu=1)
    terms = [{"key": "nvidia.com/gpu.memory", "operator": "Gt", "values": [str(share.mebibytes - 1)]}]
    terms += _generation(configuration)
    selector = {"nodeSelectorTerms": [{"matchExpressions": terms}]}
    template["spec"]["affinity"] = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": selector}}


def _generation(configuration: Configuration) -> list[dict[str, Any]]:
    """The label that nodes must have whose GPU can run the configuration; none where all can."""
    if why_unsupported(configuration.precision, configuration.attention, (HALF_CAPABILITY[0] - 1, 9)) is None:
        return []
    return [{"key": "nvidia.com/gpu.compute.major", "operator": "Gt", "values": [str(HALF_CAPABILITY[0] - 1)]}]


def _prefer_generation(template: dict[str, Any], configuration: Configuration) -> None:
    """Like the whole GPU's terms, but no more than preferred: where GPUs are shared, nodes may lack such labels."""
    terms = _generation(configuration)
    if terms:
        preferred = [{"weight": 100, "preference": {"matchExpressions": terms}}]
        template["spec"]["affinity"] = {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}


def _mig(template: dict[str, Any], share: Share, card: Card | None, configuration: Configuration, _: str) -> None:
    """The smallest slice that holds the share."""
    if card is None or card.name is None:
        raise UsageError(
            "Slices differ from card to card, and neither the plan nor you name one.", 'Name it: --gpu "A100 80 GB".'
        )
    profile = smallest_profile(card, share.bytes)
    template["spec"]["containers"][0]["resources"]["limits"] = {profile.resource: 1}


def _hami(template: dict[str, Any], share: Share, card: Card | None, configuration: Configuration, _: str) -> None:
    """So many MiB of a GPU, which HAMi enforces; its webhook puts the pod before its scheduler."""
    _limit(template, gpu=1, gpumem=share.mebibytes)
    _prefer_generation(template, configuration)


def _kai(template: dict[str, Any], share: Share, card: Card | None, configuration: Configuration, queue: str) -> None:
    """So many MiB of a GPU, which KAI counts and does not enforce: the cap does."""
    template["metadata"]["annotations"] = {"gpu-memory": str(share.mebibytes)}
    template["metadata"]["labels"]["kai.scheduler/queue"] = queue
    template["spec"]["schedulerName"] = "kai-scheduler"
    _prefer_generation(template, configuration)


_SHARING = {"whole": _whole, "mig": _mig, "hami": _hami, "kai": _kai}


def _config_map(job: Job) -> str:
    return f"{job.name}-plan"


def _check(image: str, claim: str, queue: str | None, sharing: Sharing, plan_text: str, job: Job) -> None:
    """Raises UsageError for what Kubernetes would refuse, or lose."""
    if not re.fullmatch(r"[!-~]+", image):
        raise UsageError(f"{image!r} is not the name of an image.", "Write registry/name:tag, without spaces.")
    if not _SUBDOMAIN.fullmatch(claim):
        forms = "Use lower-case letters, digits, dashes and dots, as in: kubectl get pvc"
        raise UsageError(f"{claim!r} is not the name of a PersistentVolumeClaim.", forms)
    if queue is not None and sharing != "kai":
        raise UsageError("A queue is KAI's.", "Leave it out, or share with kai.")
    if queue is not None and not _LABEL_VALUE.fullmatch(queue):
        raise UsageError(f"{queue!r} is not the name of a queue.", "Use letters, digits, dashes, dots and underscores.")
    if len(plan_text.encode()) > CONFIG_MAP_BYTES:
        raise UsageError(
            f"The plan has {len(plan_text.encode()):,} bytes, more than the {CONFIG_MAP_BYTES:,} of a ConfigMap.",
            "Plan with fewer alternatives: --top 5.",
        )
    inside = posixpath.normpath(posixpath.join(DATA_FOLDER, job.out))
    if inside == DATA_FOLDER:
        raise UsageError(
            "The masks would lie among the other files of the claim.", "Give a folder in it, such as masks."
        )
    if not inside.startswith(f"{DATA_FOLDER}/"):
        raise UsageError(
            f"The masks in {job.out} would be gone with the pod: only {DATA_FOLDER} is kept.",
            f"Give a folder in the claim, such as masks or {DATA_FOLDER}/masks.",
        )
