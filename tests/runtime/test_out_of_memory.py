"""Running out of memory in the middle of a clip: an event with `fallback`, an error that helps without."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("sam2")

from sam2.modeling.backbones.utils import PatchEmbed
from sam2.modeling.memory_encoder import MaskDownSampler
from sam2.modeling.sam.transformer import TwoWayTransformer

import planner
from planner.errors import PlannerError
from planner.nouns.run import Configuration
from tests.runtime.stock import SIZE, checkpoint, clip, picture, pictures_of

PROMPTS = [
    {"frame": 0, "object": 1, "box": [12, 37, 48, 73]},
    {"frame": 0, "object": 2, "points": [[110, 80]], "labels": [1]},
]
SAID = "CUDA out of memory. Tried to allocate 2.00 GiB."
PLACES = {"encoding": PatchEmbed, "decoding": TwoWayTransformer, "remembering": MaskDownSampler}
SMALL = Configuration(variant="tiny", version="2.1", resolution=(64, 64), precision="float32")
pytestmark = pytest.mark.usefixtures("pictures_encoded_once")


class Trap:
    """Lets a module of sam2 run out of memory, as often as told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, module: type) -> None:
        self.failures = 0
        self.sprung = 0
        forward = module.forward

        def guarded(this: Any, *arguments: Any, **options: Any) -> Any:
            if self.failures:
                self.failures -= 1
                self.sprung += 1
                raise torch.OutOfMemoryError(SAID)
            return forward(this, *arguments, **options)

        monkeypatch.setattr(module, "forward", guarded)


@pytest.fixture(params=PLACES.values(), ids=PLACES)
def trap(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Trap:
    return Trap(monkeypatch, request.param)


@pytest.fixture
def encoding_trap(monkeypatch: pytest.MonkeyPatch) -> Trap:
    return Trap(monkeypatch, PatchEmbed)


def load(wanted: Any, fallback: bool = True) -> Any:
    return planner.load(wanted, checkpoint=checkpoint("tiny", "2.1"), device="cpu", fallback=fallback)


def run(tracking: Any, arm: Callable[[int], None] = lambda frame: None) -> list[Any]:
    """All frames; `arm` is called with each frame that is about to be asked for."""
    found = []
    arm(0)
    for frame, scores in tracking:
        found.append((frame, scores))
        arm(frame + 1)
    return found


@lru_cache(maxsize=8)
def undisturbed(frames: int, *, streamed: bool = False, planned: bool = False) -> list[Any]:
    """All frames where memory does not run out, of SMALL or of tiny_plan(); to be read only."""
    source = iter(pictures_of(clip(frames))) if streamed else clip(frames)
    return run(load(tiny_plan() if planned else SMALL).track(source, PROMPTS, scores=True))


def assert_same(one: list[Any], other: list[Any]) -> None:
    assert [frame for frame, _ in one] == [frame for frame, _ in other]
    for (frame, ours), (_, expected) in zip(one, other, strict=True):
        assert set(ours) == set(expected)
        for name in expected:
            assert numpy.array_equal(ours[name], expected[name]), f"object {name} on frame {frame}"


def tiny_plan() -> Any:
    """autocast_bfloat16, one object a pass, then float16 as the smaller one: so small both take about the same."""
    asked = {"task": "video", "objects": 2, "vram": "2GB", "variant": "tiny", "version": "2.1", "resolution": 64}
    plan, half = planner.plan(**asked), planner.plan(**asked, precision="float16").chosen
    assert plan.chosen is not None and plan.estimate is not None and half is not None
    one_by_one, less = (
        replace(choice, configuration=replace(choice.configuration, object_batch=1)) for choice in (plan.chosen, half)
    )
    least = plan.estimate.least_bytes // 2
    return replace(plan, chosen=one_by_one, alternatives=(_taking(less, least),))


def _taking(choice: Any, least_bytes: int) -> Any:
    figures = dict.fromkeys(("least_bytes", "total_bytes", "upper_bytes"), least_bytes)
    return replace(choice, estimate=replace(choice.estimate, **figures))


def two_variants_plan() -> Any:
    """small, and tiny as the smaller one."""
    plan = planner.plan(task="video", objects=2, vram="380MB", version="2.1", resolution=64, precision="float32")
    assert plan.chosen is not None and plan.chosen.variant == "small"
    assert "tiny" in [choice.variant for choice in plan.alternatives]
    return plan


# -- with fallback ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("at", [0, 1, 8])
def test_one_failure_is_got_over_without_a_changed_mask(trap: Trap, at: int) -> None:
    """The first step down moves the memory bank, which changes where masks are kept but not what they are."""
    expected = undisturbed(10, streamed=True)
    tracking = load(SMALL).track(iter(pictures_of(clip(10))), PROMPTS, scores=True)
    found = run(tracking, lambda frame: setattr(trap, "failures", int(frame == at)))
    assert trap.sprung == 1
    assert_same(found, expected)
    assert [frame for frame, _ in found] == list(range(10))
    [step] = tracking.steps
    assert step.frame == at
    assert "out of memory" in step.reason
    assert step.configuration == replace(SMALL, offload_state=True)
    assert step.carried_over


def test_objects_of_one_pass_are_taken_one_by_one_first(encoding_trap: Trap) -> None:
    session = load(replace(SMALL, object_batch=2))
    tracking = session.track(clip(8), PROMPTS, scores=True)
    found = run(tracking, lambda frame: setattr(encoding_trap, "failures", int(frame == 4)))
    assert [frame for frame, _ in found] == list(range(8))
    assert session.configuration.object_batch == 1
    assert [step.configuration.object_batch for step in tracking.steps] == [1]


def test_several_failures_step_down_the_plan_and_every_frame_is_given_once(trap: Trap) -> None:
    plan = tiny_plan()
    session = load(plan)
    tracking = session.track(clip(8), PROMPTS, scores=True)
    found = run(tracking, lambda frame: setattr(trap, "failures", int(frame in (3, 6))))
    assert trap.sprung == 2
    assert [frame for frame, _ in found] == list(range(8))
    assert all(numpy.isfinite(scores).all() for _, answer in found for scores in answer.values())
    assert all(set(answer) == {1, 2} for _, answer in found)
    assert [step.frame for step in tracking.steps] == [3, 6]
    assert all(step.carried_over for step in tracking.steps), "variant and resolution stayed the same"
    precisions = [step.configuration.precision for step in tracking.steps]
    assert precisions == ["autocast_bfloat16", "float16"]
    assert session.configuration == tracking.steps[-1].configuration


def test_what_was_given_before_the_failure_stays_as_it_was(trap: Trap) -> None:
    whole = undisturbed(6, planned=True)
    found = run(
        load(tiny_plan()).track(clip(6), PROMPTS, scores=True),
        lambda frame: setattr(trap, "failures", 2 * (frame == 4)),
    )
    assert_same(found[:4], whole[:4])
    assert not numpy.array_equal(found[4][1][1], whole[4][1][1]), "another precision went on"


def test_another_variant_is_prompted_with_the_last_masks(encoding_trap: Trap, tmp_path: Path) -> None:
    for variant in ("tiny", "small"):
        (tmp_path / f"sam2.1_hiera_{variant}.pt").symlink_to(checkpoint(variant, "2.1"))
    session = planner.load(two_variants_plan(), tmp_path, device="cpu", fallback=True)
    tracking = session.track(clip(9), PROMPTS)
    found = run(tracking, lambda frame: setattr(encoding_trap, "failures", 2 * (frame == 5)))
    assert [frame for frame, _ in found] == list(range(9))
    assert session.configuration.variant == "tiny"
    last = tracking.steps[-1]
    assert (last.frame, last.carried_over, last.configuration.variant) == (5, False, "tiny")
    # The same by hand: the smaller one, prompted with the masks of frame 4.
    assert all(mask.any() for mask in found[4][1].values())
    again = [{"frame": 4, "object": name, "mask": mask} for name, mask in found[4][1].items()]
    by_hand = planner.load(last.configuration, tmp_path, device="cpu")
    expected = list(by_hand.track(clip(9), again))
    assert_same(found[5:], expected[1:])


def test_a_failure_of_another_variant_before_any_mask_does_not_lose_the_prompts(encoding_trap: Trap) -> None:
    """Nothing was tracked yet, so the prompts themselves can be entered again, or the error says what to do."""
    session = planner.load(two_variants_plan(), random_weights=True, device="cpu", fallback=True)
    encoding_trap.failures = 2
    try:
        found = list(session.track(clip(3), PROMPTS))
    except PlannerError as error:
        assert "frame 0" in str(error) and error.hint
    else:
        assert [frame for frame, _ in found] == [0, 1, 2]
        assert all(set(masks) == {1, 2} for _, masks in found)


def test_a_failure_while_correcting_is_got_over(trap: Trap) -> None:
    correction = {"frame": 5, "object": 1, "points": [[40, 60]], "labels": [1]}

    def corrected(fail: bool) -> list[Any]:
        found = []
        with load(SMALL).track(clip(9), PROMPTS, scores=True) as tracking:
            for frame, scores in tracking:
                found.append((frame, scores))
                if frame == 5:
                    trap.failures = int(fail)
                    said = tracking.add(correction)
                    assert set(said) == {1, 2}
        return found

    expected = corrected(False)
    assert_same(corrected(True), expected)


def test_a_failure_while_reading_many_prompts_is_got_over(trap: Trap) -> None:
    expected = undisturbed(9)
    trap.failures = 1
    assert_same(run(load(SMALL).track(clip(9), PROMPTS, scores=True)), expected)
    assert trap.sprung == 1


def test_a_picture_is_segmented_by_the_next_smaller_configuration(encoding_trap: Trap) -> None:
    session = load(tiny_plan())
    encoding_trap.failures = 2
    found = session.segment(picture(0), points=[[30, 55]], labels=[1])
    assert numpy.asarray(found.masks).shape == (1, 1, *SIZE)
    assert session.configuration.precision == "float16"


def test_objects_of_a_picture_are_taken_one_by_one_when_memory_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes = [[12, 37, 48, 73], [96, 66, 124, 94]]
    expected = load(SMALL).segment(picture(0), boxes=boxes)
    trap = Trap(monkeypatch, TwoWayTransformer)
    session = load(replace(SMALL, object_batch=2))
    trap.failures = 1
    found = session.segment(picture(0), boxes=boxes)
    assert session.configuration.object_batch == 1
    assert numpy.array_equal(found.logits, expected.logits)


# -- without, or at the end of the ladder -----------------------------------------------------------------


def test_without_fallback_the_error_names_frame_need_budget_and_what_to_try(trap: Trap) -> None:
    plan = tiny_plan()
    tracking = load(plan, fallback=False).track(clip(10), PROMPTS, scores=True)
    found = []
    with pytest.raises(PlannerError) as caught:
        for frame, scores in tracking:
            found.append((frame, scores))
            trap.failures = int(frame == 5)
    assert [frame for frame, _ in found] == list(range(6)), "all frames before the failure were given"
    message = str(caught.value)
    assert caught.value.exit_code == 5
    assert "frame 6" in message
    assert "tiny 2.1 at 64x64, autocast_bfloat16" in message
    assert plan.estimate is not None
    assert f"{plan.estimate.total_bytes / 1e6:.0f} MB" in message, "what was predicted to be needed"
    assert "usable" in message
    assert "Next to try" in message and "memory bank on the host" in message
    assert tracking.steps == ()


def test_a_configuration_without_a_plan_fails_with_the_frame(encoding_trap: Trap) -> None:
    tracking = load(SMALL, fallback=False).track(clip(5), PROMPTS)
    next(tracking)
    encoding_trap.failures = 1
    with pytest.raises(PlannerError) as caught:
        next(tracking)
    assert "frame 1" in str(caught.value) and "out of memory" in str(caught.value)


def test_at_the_end_of_the_ladder_the_error_comes_out(encoding_trap: Trap) -> None:
    tracking = load(SMALL).track(clip(8), PROMPTS)
    found = []
    with pytest.raises(PlannerError) as caught:
        for frame, _ in tracking:
            found.append(frame)
            encoding_trap.failures = 100 if frame == 3 else 0
    assert found == [0, 1, 2, 3]
    assert "frame 4" in str(caught.value) and caught.value.hint
    assert encoding_trap.sprung == 2, "one step down was left"


def test_a_tracking_can_be_saved_and_resumed_after_memory_ran_out(encoding_trap: Trap, tmp_path: Path) -> None:
    """Nothing that was tracked is lost with the error."""
    whole = undisturbed(9)
    tracking = load(SMALL, fallback=False).track(clip(9), PROMPTS, scores=True)
    for _ in range(5):
        next(tracking)
    encoding_trap.failures = 1
    with pytest.raises(PlannerError):
        next(tracking)
    tracking.save(tmp_path / "state.pt")
    assert_same(run(load(SMALL).track(clip(9), resume=tmp_path / "state.pt", scores=True)), whole[5:])


@pytest.mark.parametrize("error", [RuntimeError("some bug"), KeyboardInterrupt()], ids=["a bug", "Ctrl-C"])
def test_other_errors_are_not_taken_for_a_lack_of_memory(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    session = load(SMALL)
    tracking = session.track(clip(5), PROMPTS)
    next(tracking)

    def fail(*arguments: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(PatchEmbed, "forward", fail)
    with pytest.raises(type(error)):
        next(tracking)
    assert tracking.steps == () and session.configuration == SMALL
