"""Several clips in one process: what planning makes of them, and what it refuses."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.errors import UsageError
from tests.conftest import document_of, invoke

PINS: dict[str, Any] = {"variant": "large", "resolution": 1024, "precision": "float16", "gpu": "RTX 3090"}


def bytes_of(plan: Any, name: str) -> int:
    return sum(part.bytes for part in plan.estimate.components if part.name == name)


def test_each_further_clip_adds_its_memory_bank_and_the_weights_count_once() -> None:
    plans = {streams: planner.plan(streams=streams, **PINS).require() for streams in (1, 2, 6)}
    one, two, six = (plans[streams] for streams in (1, 2, 6))
    assert bytes_of(one, "weights") == bytes_of(six, "weights")
    assert bytes_of(six, "memory bank") == pytest.approx(6 * bytes_of(one, "memory bank"), rel=0.01)
    totals = [plan.estimate.total_bytes for plan in (one, two, six)]
    assert totals == sorted(totals), "one was rehearsed, several are predicted"
    assert totals[0] < totals[2] < 1.1 * totals[0]
    assert six.estimate.upper_bytes < 1_200_000_000, "six processes would take 5.7 GB"


def test_each_clip_may_have_objects_and_they_go_through_passes_of_its_own() -> None:
    plan = planner.plan(streams=3, objects=2, variant="tiny", vram="4GB").require()
    assert plan.chosen.configuration.object_batch <= 2
    one = plan.chosen.configuration
    as_one = planner.predict(
        task="video", objects=6, frames=None, vram="4GB", object_batch=one.object_batch, variant=one.variant,
        resolution=one.resolution, precision=one.precision, offload_state=one.offload_state,
    )  # fmt: skip
    assert plan.estimate.total_bytes == as_one.total_bytes


def test_many_clips_on_a_small_card_keep_their_banks_on_the_host_or_take_less() -> None:
    few, many = (planner.plan(streams=streams, objects=5, vram="1GB") for streams in (1, 60))
    assert few.chosen and many.chosen
    assert many.estimate.total_bytes <= many.budget.usable_bytes
    assert many.chosen.configuration.offload_state or many.chosen.quality < few.chosen.quality
    assert not planner.plan(streams=60, objects=5, vram="1GB", host_memory="2GB").fits


def test_a_saved_plan_carries_it_and_an_older_file_is_of_one_clip(tmp_path: Path) -> None:
    plan = planner.plan(streams=6, variant="tiny", vram="2GB")
    plan.save(tmp_path / "plan.json")
    assert planner.Plan.load(tmp_path / "plan.json") == plan
    document = json.loads((tmp_path / "plan.json").read_text())
    assert document["request"].pop("streams") == 6
    (tmp_path / "older.json").write_text(json.dumps(document))
    assert planner.Plan.load(tmp_path / "older.json").request.workload.streams == 1


def test_the_command_that_a_plan_gives_makes_it_again() -> None:
    words = ["--vram", "2GB", "--streams", "6", "--shared", "--objects", "2"]
    found = document_of(words)
    assert (found["kind"], found["request"]["streams"]) == ("plan", 6)
    made = shlex.split(found["command"].partition(" && ")[0])[1:]
    assert document_of(made[: made.index("-o")])["chosen"] == found["chosen"]
    assert "6 clips at once in one process, each with 2 objects" in invoke(*words).out


def test_a_published_speed_is_shared_by_all_clips() -> None:
    words = ("--gpu", "RTX 3090", "--precision", "autocast_bfloat16")
    assert " frames/s, shared by 6 clips: " in invoke(*words, "--streams", "6", "--shared").out
    assert "shared" not in invoke(*words).out


def test_checking_a_plan_counts_all_of_its_clips(tmp_path: Path) -> None:
    plan = planner.plan(streams=40, objects=5, vram="3GB", **{**PINS, "gpu": None}).require()
    plan.save(tmp_path / "plan.yaml")
    one = planner.plan(objects=5, vram="3GB", **{**PINS, "gpu": None}).require()
    words = ("check", str(tmp_path / "plan.yaml"), "--format", "json", "--vram")
    assert invoke(*words, "3GB").code == 0
    enough_for_one = f"{int(one.estimate.total_bytes * 1.1) // 10**6}MB"
    assert invoke(*words, enough_for_one).code == 3
    one.save(tmp_path / "plan.yaml")
    assert invoke(*words, enough_for_one).code == 0


def test_several_gpus_get_a_process_each_with_an_equal_part() -> None:
    words = ["--vram", "2GB,2GB,8GB", "--streams", "8", "--shared", "--variant", "large"]
    found = document_of(words)
    assert (found["kind"], found["streams"]) == ("packing", 3)
    assert found["plan"]["request"]["streams"] == 3, "the last has two"
    assert [gpu["streams"] for gpu in found["gpus"]] == [1, 1, 1]
    apart = document_of(["--vram", "2GB,2GB,8GB", "--streams", "8", "--variant", "large"])
    assert sum(gpu["used_bytes"] for gpu in found["gpus"]) < sum(gpu["used_bytes"] for gpu in apart["gpus"])
    made = shlex.split(found["plan"]["command"].partition(" && ")[0])[1:]
    assert document_of(made[: made.index("-o")])["plan"]["chosen"] == found["plan"]["chosen"]
    text = invoke(*words).out
    assert "3 processes: video, 3 clips at once in one process" in text
    assert document_of(["--vram", "8GB,8GB", "--streams", "1", "--shared"])["streams"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--shared",), "was not said"),
        (("--shared", "--streams", "0"), "0"),
        (("--shared", "--streams", "100000"), "100000 streams"),
        (("--shared", "--streams", "4", "--task", "image"), "are for videos"),
        (("--shared", "--streams", "4", "--exact"), "one clip at a time"),
    ],
)
def test_what_cannot_be_shared_is_refused(words: tuple[str, ...], said: str) -> None:
    outcome = invoke("--vram", "4GB", *words)
    assert outcome.code == 2
    assert said in outcome.err and len(outcome.err.splitlines()) > 1, "with a remedy"


def test_other_runtimes_track_no_several_clips() -> None:
    with pytest.raises(UsageError, match="6 clips in one process"):
        planner.rehearse(planner.plan(streams=6, vram="4GB"), runtime="stock")


def test_a_peak_of_loading_is_judged_beside_what_running_takes() -> None:
    words = ("predict", "--task", "image", "--variant", "tiny", "--precision", "float16", "--runtime")
    stock, own = (invoke(*words, runtime, "--resolution", "256").out for runtime in ("stock", "own"))
    assert "fit at rest, but not survive loading" in stock
    assert "survive loading" not in own
    found = planner.predict(variant="tiny", task="image", precision="float16", runtime="stock", resolution=256)
    sizes = {phase.name: phase.allocated_bytes for phase in found.phases}
    assert found.load_excess_bytes == sizes.pop("load") - max(sizes.values()) > 0
