"""What Ultralytics is asked for, and what is said where it cannot do that."""

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec

import pytest

from planner.catalog.ultralytics import checkpoint_name, why_not
from planner.errors import EnvironmentFailure, UsageError
from planner.nouns.run import Configuration, Run, Workload

VIDEO = Run(
    runtime="ultralytics",
    configuration=Configuration(
        variant="base_plus", version="2.1", resolution=(640, 640), precision="float16", object_batch=2
    ),
    workload=Workload(task="video", objects=2, frames=30),
)


def run(task=None, prompt="box", **configuration):
    workload = VIDEO.workload if task is None else replace(VIDEO.workload, task=task, frames=1)
    changed = replace(VIDEO.configuration, **configuration)
    return replace(VIDEO, configuration=changed, workload=workload, prompt=prompt)


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        (run(precision="bfloat16"), "bfloat16"),
        (run(resolution=(640, 1024)), "640x1024"),
        (run(resolution=(656, 656)), "656"),
        (run(object_batch=1), "2, not 1 by 1"),
        (run(offload_state=True), "offload"),
        (run(offload_video=True), "offload"),
        (run("image", prompt="mask"), "mask"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_it_cannot_do_is_named(asked, words):
    assert words.lower() in str(why_not(asked)).lower()


def test_a_clip_without_end_needs_pruning():
    endless = replace(VIDEO, workload=replace(VIDEO.workload, frames=None))
    assert why_not(endless) is None
    kept = replace(endless, configuration=replace(VIDEO.configuration, bounded_memory_bank=False))
    assert "without end" in str(why_not(kept))


@pytest.mark.parametrize(
    "asked",
    [
        VIDEO,
        run(prompt="mask"),
        run(precision="autocast_bfloat16"),
        run("image", precision="float32", resolution=(1024, 1024)),
        run("automask", object_batch=64),
    ],
)
def test_what_it_can_do_is_not_refused(asked):
    assert why_not(asked) is None


def test_names_of_checkpoints_decide_the_model():
    assert checkpoint_name(VIDEO) == "sam2.1_b.pt"
    assert checkpoint_name(run(version="2.0", variant="tiny")) == "sam2_t.pt"


def test_what_it_cannot_do_is_said_without_torch():
    code = "import sys; import planner.catalog.ultralytics; assert not {'torch', 'ultralytics'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def driver():
    pytest.importorskip("torch")
    from planner.driving import ultralytics

    return ultralytics


def test_a_missing_package_names_its_extra(monkeypatch):
    for name in ("ultralytics", "ultralytics.models"):  # whatever ran before in this process
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(EnvironmentFailure, match=r"sam2-plan\[ultralytics\]"):
        driver().prepare(VIDEO)


def test_what_it_cannot_do_is_refused_before_anything_is_loaded():
    with pytest.raises(UsageError, match="bfloat16"):
        driver().prepare(run(precision="bfloat16"))


def test_a_release_that_does_not_prune_is_told_from_one_that_does(monkeypatch):
    if find_spec("ultralytics") is None:
        pytest.skip("needs Ultralytics")
    driver().prepare(VIDEO)
    sam = sys.modules["ultralytics.models.sam"]
    monkeypatch.delattr(sam.SAM2VideoPredictor, "_prune_non_cond_memory")
    with pytest.raises(EnvironmentFailure, match="does not prune"):
        driver().prepare(VIDEO)
    driver().prepare(run(bounded_memory_bank=False))


def test_a_checkpoint_of_another_name_is_refused():
    if find_spec("ultralytics") is None:
        pytest.skip("needs Ultralytics")
    from planner.driving.watch import Watch

    with pytest.raises(UsageError, match=r"sam2\.1_b\.pt"):
        driver().load(VIDEO, "cpu", Watch(), "weights/sam2.1_hiera_base_plus.pt")


def test_a_release_that_builds_otherwise_is_named(monkeypatch):
    if find_spec("ultralytics") is None:
        pytest.skip("needs Ultralytics")
    from planner.driving.watch import Watch

    driver().prepare(VIDEO)
    build = sys.modules["ultralytics.models.sam.build"]
    monkeypatch.delattr(build, "attempt_download_asset")
    with pytest.raises(EnvironmentFailure, match="attempt_download_asset"):
        driver().load(VIDEO, "cpu", Watch())


def test_a_run_on_the_host_tells_what_it_holds():
    """The real thing, on the CPU: every object counts as seen, and the bank holds no more than is pruned to."""
    if find_spec("ultralytics") is None:
        pytest.skip("needs Ultralytics")
    from planner.driving.clips import Noise
    from planner.driving.watch import Watch

    class Told(Watch):
        def __init__(self):
            self.outputs, self.bank, self.sections = [], [], []

        def section(self, name):
            self.sections.append(name)

        def holds(self, component, held):
            if component == "outputs":
                self.outputs.append(tuple(held[0].shape))
            elif component == "memory bank" and "non_cond_frame_outputs" in held:
                self.bank.append(len(held["non_cond_frame_outputs"]))

    asked = run(variant="tiny", precision="float32", resolution=(64, 64))
    frames, told = 11, Told()
    asked = replace(asked, workload=replace(asked.workload, frames=frames, frame_size=(48, 80)))
    with driver().computing(asked, "cpu"):
        predictor = driver().load(asked, "cpu", told)
        driver().drive(asked, predictor, told, Noise(frames, (48, 80)))
    assert told.outputs == [(2, 48, 80)] * frames
    assert max(told.bank) == told.bank[-1] == 8  # the frame and seven before it
    assert told.sections == ["propagate", *(f"frame {number + 1}" for number in range(frames))]


def test_importing_it_leaves_pillow_and_torch_as_they_were() -> None:
    """In a process of its own: it is imported once."""
    program = (
        "import torch; from PIL import Image; before = Image.open, torch.save\n"
        "from planner.driving.ultralytics import _sam; _sam()\n"
        "import sys; assert 'ultralytics' in sys.modules and (Image.open, torch.save) == before"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
