"""Kubernetes: documents valid by the published schemas, and requests that the device plugins understand."""

from __future__ import annotations

import json
import os
import re
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

import planner
from planner.errors import UsageError
from planner.machine.cap import cap_from
from planner.nouns.machine import CAP_VARIABLE
from planner.placement.job import make_host
from planner.placement.kubernetes import place_on_kubernetes
from planner.placement.placement import ShareTooLarge
from planner.report.placement import placement_text
from planner.wire.plan_file import plan_text
from tests.placement.conftest import bound_of, job_of

MIB = 2**20
VERSIONS = ("1.29.0", "1.31.0", "1.34.0", "1.37.0")
"""Older schemas ask each rule of podFailurePolicy for both of two keys, of which the server allows one."""
NASTY = (
    'it\'s a "clip" $HOME `id` \\.mp4',
    "two\nlines.mp4",
    "späße/*.mp4",
    "a;b&c|d>e",
    "# no comment",
    "./--- x",
    "{a: 1}",
)


def documents(plan: planner.Plan, **asked: Any) -> list[dict[str, Any]]:
    common: dict[str, Any] = {
        "image": "registry.example/sam2-plan:1", "claim": "data", "source": "clip.mp4",
        "checkpoint": "sam2.1_hiera_large.pt", "arguments": ("--point", "960,540"),
    }  # fmt: skip
    return plan.kubernetes_job(**{**common, **asked})


def pod_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    return found[1]["spec"]["template"]["spec"]


def container_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    [container] = pod_of(found)["containers"]
    return container


def limits_of(found: list[dict[str, Any]]) -> dict[str, Any]:
    return container_of(found)["resources"].get("limits", {})


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("sharing", ["whole", "mig", "hami", "kai"])
def test_documents_are_valid_by_the_published_schemas(plan: planner.Plan, sharing: str, version: str) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="has Kubernetes' schemas")
    found = documents(plan, sharing=sharing, gpu="H200", namespace="vision", memory="8GB", cpus=4)
    assert [document["kind"] for document in found] == ["ConfigMap", "Job"]
    for document in found:
        schemas.validate(json.loads(json.dumps(document)), version, strict=True)


def test_the_schemas_are_strict_enough_to_notice_a_misspelt_key(plan: planner.Plan) -> None:
    schemas = pytest.importorskip("kubernetes_validate", reason="has Kubernetes' schemas")
    job = json.loads(json.dumps(documents(plan)[1]))
    job["spec"]["podFailurePolicies"] = job["spec"].pop("podFailurePolicy")
    with pytest.raises(schemas.ValidationError):
        schemas.validate(job, VERSIONS[-1], strict=True)


def test_exit_3_and_2_fail_the_job_and_a_disruption_does_not_count(plan: planner.Plan) -> None:
    job = documents(plan)[1]["spec"]
    failed, ignored = job["podFailurePolicy"]["rules"]
    assert (failed["action"], failed["onExitCodes"]["values"]) == ("FailJob", [2, 3])
    assert failed["onExitCodes"]["containerName"] == container_of(documents(plan))["name"]
    assert (ignored["action"], ignored["onPodConditions"][0]["type"]) == ("Ignore", "DisruptionTarget")
    assert job["template"]["spec"]["restartPolicy"] == "Never", "podFailurePolicy asks for it"


def test_a_whole_gpu_is_one_whose_memory_holds_the_share_and_that_runs_bfloat16(plan: planner.Plan) -> None:
    found = documents(plan)
    assert limits_of(found) == {"nvidia.com/gpu": 1}
    node = pod_of(found)["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [memory, major] = node["nodeSelectorTerms"][0]["matchExpressions"]
    least = int(memory["values"][0]) + 1  # Gt
    assert least * MIB >= bound_of(plan) > (least - 1) * MIB
    assert (memory["key"], memory["operator"]) == ("nvidia.com/gpu.memory", "Gt")
    assert (major["key"], major["values"]) == ("nvidia.com/gpu.compute.major", ["7"])


def test_a_plan_that_runs_on_any_card_asks_for_no_capability() -> None:
    made = planner.plan(task="video", vram="8GB", precision="float16")
    node = pod_of(documents(made))["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    [memory] = node["nodeSelectorTerms"][0]["matchExpressions"]
    assert memory["key"] == "nvidia.com/gpu.memory"


@pytest.mark.parametrize("share", ["bound", "budget"])
def test_hami_and_kai_are_asked_for_mebibytes_that_hold_the_share(plan: planner.Plan, share: str) -> None:
    wanted = bound_of(plan) if share == "bound" else plan.budget.total_bytes
    hami = limits_of(documents(plan, sharing="hami", share=share))
    assert hami["nvidia.com/gpu"] == 1
    kai = documents(plan, sharing="kai", share=share, queue="team.a")
    assert limits_of(kai) == {}, "KAI gives no GPU besides the share"
    template = kai[1]["spec"]["template"]
    for mebibytes in (hami["nvidia.com/gpumem"], int(template["metadata"]["annotations"]["gpu-memory"])):
        assert wanted <= mebibytes * MIB < wanted + MIB
    assert template["metadata"]["labels"]["kai.scheduler/queue"] == "team.a"
    assert template["spec"]["schedulerName"] == "kai-scheduler"
    assert "schedulerName" not in pod_of(documents(plan, sharing="hami"))


def test_every_worker_is_capped_at_its_share(plan: planner.Plan) -> None:
    assert plan.estimate is not None
    for sharing in ("whole", "mig", "hami", "kai"):
        [entry] = container_of(documents(plan, sharing=sharing, gpu="A30"))["env"]
        assert cap_from({entry["name"]: entry["value"]}) == plan.estimate.upper_bytes, sharing


def test_the_plan_goes_along_with_what_the_job_reads(plan: planner.Plan, tmp_path: Path) -> None:
    """Alternatives only where it may step down to them, and nothing of what was turned down."""
    config, job = documents(plan, name="night-run", namespace="vision")
    (tmp_path / "plan.yaml").write_text(config["data"]["plan.yaml"])
    slim = replace(plan, rejected=(), suggestions=(), explained=None)
    assert planner.Plan.load(tmp_path / "plan.yaml") == replace(slim, alternatives=())
    assert len(config["data"]["plan.yaml"].splitlines()) < 200
    falling = documents(plan, arguments=["--point", "1,2", "--fallback"])[0]
    (tmp_path / "plan.yaml").write_text(falling["data"]["plan.yaml"])
    assert planner.Plan.load(tmp_path / "plan.yaml") == slim
    volumes = {volume["name"]: volume for volume in job["spec"]["template"]["spec"]["volumes"]}
    assert volumes["plan"]["configMap"]["name"] == config["metadata"]["name"] == "night-run-plan"
    assert volumes["data"]["persistentVolumeClaim"]["claimName"] == "data"
    assert {document["metadata"]["namespace"] for document in (config, job)} == {"vision"}


def test_the_text_is_read_back_as_the_same_documents(plan: planner.Plan) -> None:
    for nasty in NASTY:
        found = place_on_kubernetes(
            plan, job_of(source=nasty, out=f"masks/{nasty}"), plan_text(plan, ".yaml"), image="i:1", claim="data"
        )
        text = placement_text(found)
        assert list(yaml.safe_load_all(text)) == found.manifest
        assert "&id" not in text and "!!" not in text, "no anchors, no tags"


def expanded(word: str) -> str:
    """As Kubernetes hands on a word of a command: $$ is a dollar, $(NAME) a variable of the container."""
    assert not re.search(r"(?<!\$)(\$\$)*\$\(", word), "a name in brackets would be expanded"
    return word.replace("$$", "$")


@pytest.mark.parametrize("exit_code", [0, 3, 1])
def test_the_command_runs_the_check_and_only_if_it_is_good_the_plan(
    plan: planner.Plan, tmp_path: Path, exit_code: int
) -> None:
    """As the container runs it, with a stand-in for sam2-plan that keeps its arguments word by word."""
    (tmp_path / "sam2-plan").write_text(
        f'#!/bin/sh\nprintf "%s\\0" "$@" >> "{tmp_path}/$1"\n[ "$1" = run ] && exit 7\nexit {exit_code}\n'
    )
    (tmp_path / "sam2-plan").chmod(0o755)
    for number, nasty in enumerate(NASTY):
        found = documents(plan, source=nasty, out=f"masks/{nasty}", checkpoint=f"weights/{nasty}")
        for name in ("check", "run"):
            (tmp_path / name).unlink(missing_ok=True)
        done = subprocess.run(
            [expanded(word) for word in container_of(found)["command"]],
            env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
            check=False,
            timeout=30,
        )
        assert done.returncode == (7 if exit_code == 0 else exit_code), number
        common = ["--out", f"masks/{nasty}", "--checkpoint", f"weights/{nasty}"]
        checked = (tmp_path / "check").read_text().split("\0")[:-1]
        assert checked == ["check", "/etc/sam2-plan/plan.yaml", "--input", nasty, *common, "--wait", "60s"]
        assert (tmp_path / "run").exists() == (exit_code == 0)
        if exit_code == 0:
            ran = (tmp_path / "run").read_text().split("\0")[:-1]
            assert ran == ["run", "/etc/sam2-plan/plan.yaml", nasty, *common, "--point", "960,540"]


def test_host_memory_is_what_the_user_says_and_nothing_else(plan: planner.Plan) -> None:
    assert "requests" not in container_of(documents(plan))["resources"]
    requests = container_of(documents(plan, memory="8GiB", cpus="4"))["resources"]["requests"]
    assert requests == {"cpu": "4", "memory": str(8 * 2**30)}


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"sharing": "mps"}, "whole, mig, hami, kai"),
        ({"sharing": "mig"}, "neither the plan nor you name one"),
        ({"sharing": "mig", "gpu": "24GB"}, "neither the plan nor you name one"),
        ({"name": "Night Run"}, "Near: night-run"),
        ({"namespace": "a/b"}, "namespace"),
        ({"image": "two words"}, "image"),
        ({"image": ""}, "image"),
        ({"claim": "Data"}, "PersistentVolumeClaim"),
        ({"claim": ""}, "PersistentVolumeClaim"),
        ({"queue": "team"}, "KAI's"),
        ({"queue": "a b", "sharing": "kai"}, "queue"),
        ({"out": "/tmp/masks"}, "gone with the pod"),
        ({"out": "../masks"}, "gone with the pod"),
        ({"out": "."}, "among the other files"),
        ({"out": "/data"}, "among the other files"),
        ({"claim": "a..b"}, "PersistentVolumeClaim"),
        ({"claim": "a.-b"}, "PersistentVolumeClaim"),
        ({"source": "a\x85b"}, "control character"),
        ({"source": "a\u2028b"}, "control character"),
    ],
    ids=str,
)
def test_what_kubernetes_would_refuse_or_lose_is_refused(plan: planner.Plan, asked: dict[str, Any], words: str) -> None:
    with pytest.raises(UsageError, match=words) as caught:
        documents(plan, **asked)
    assert caught.value.hint


@pytest.mark.parametrize("sharing", ["whole", "mig", "hami", "kai"])
def test_a_share_that_the_card_does_not_hold_is_refused(plan: planner.Plan, sharing: str) -> None:
    with pytest.raises(ShareTooLarge, match=r"24.0 GB.*16.1 GB"):
        documents(
            planner.plan(task="video", vram="24GB", precision="float16"), sharing=sharing, gpu="T4", share="budget"
        )


def test_a_plan_too_large_for_a_config_map_is_refused_with_a_remedy(plan: planner.Plan) -> None:
    with pytest.raises(UsageError, match="--top 5"):
        place_on_kubernetes(plan, job_of(), "x" * (MIB + 1), image="i", claim="c", host=make_host(None, None))


def test_a_plan_that_chose_nothing_is_refused(hopeless: planner.Plan) -> None:
    with pytest.raises(planner.DoesNotFit):
        documents(hopeless)


def test_the_variable_is_the_one_that_load_reads() -> None:
    assert CAP_VARIABLE == "SAM2_PLAN_MEMORY_CAP", "manifests that were written keep it"


def test_shared_gpus_prefer_nodes_that_run_the_configuration_and_say_so(plan: planner.Plan) -> None:
    """Whether nodes carry such labels is not known where HAMi or KAI hand out GPUs, so none is ruled out."""
    for sharing in ("hami", "kai"):
        found = place_on_kubernetes(
            plan, job_of(), plan_text(plan, ".yaml"), image="i:1", claim="data", sharing=sharing
        )
        node = pod_of(found.manifest)["affinity"]["nodeAffinity"]
        [preferred] = node["preferredDuringSchedulingIgnoredDuringExecution"]
        assert preferred["preference"]["matchExpressions"][0]["key"] == "nvidia.com/gpu.compute.major"
        assert any("compute capability 8.0" in warning for warning in found.warnings)


def test_what_only_the_image_can_hold_and_which_gpu_is_not_asked_for_is_told(plan: planner.Plan) -> None:
    found = place_on_kubernetes(
        plan, job_of(source="/home/me/clip.mp4"), plan_text(plan, ".yaml"), image="i:1", claim="data", gpu="RTX 3090"
    )
    assert any("/home/me/clip.mp4 must be in the image" in warning for warning in found.warnings)
    assert any("takes any GPU that holds it" in warning for warning in found.warnings)


def test_a_plan_of_a_slice_asks_for_slices_of_its_card(plan: planner.Plan) -> None:
    from dataclasses import replace

    from planner.nouns.request import Gpu

    slice_ = Gpu(name="NVIDIA A100-SXM4-80GB MIG 1g.10gb", total_bytes=10_200_547_328, capability=(8, 0))
    made = replace(plan, budget=replace(plan.budget, gpu=slice_, source="device"))
    assert list(limits_of(documents(made, sharing="mig"))) == ["nvidia.com/mig-1g.10gb"]
