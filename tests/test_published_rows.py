"""What was published comes back from the memory model."""

from __future__ import annotations

import pytest

import planner
from planner.nouns.estimate import Estimate
from planner.nouns.measurement import Measurement
from planner.profiles import load_folder
from planner.text.locations import profiles_folder

ROWS = load_folder(profiles_folder() / "published")
IMAGES = [row for row in ROWS if row.profile == "sam2-issue-118" and row.task == "image"]
VIDEOS = [row for row in ROWS if row.profile == "sam2-issue-118" and row.task == "video" and row.use == "fit"]
MB = 10**6
PUBLISHED_MB = {
    ("tiny", (576, 1024)): 240,
    ("tiny", (1024, 1024)): 458,
    ("tiny", (2048, 2048)): 1158,
    ("base_plus", (576, 1024)): 328,
    ("base_plus", (1024, 1024)): 551,
    ("base_plus", (2048, 2048)): 1275,
    ("large", (576, 1024)): 624,
    ("large", (1024, 1024)): 855,
    ("large", (2048, 2048)): 1626,
}


def predicted(row: Measurement, **changed: object) -> Estimate:
    asked = {
        "variant": row.variant,
        "version": row.version,
        "resolution": row.resolution,
        "precision": row.precision,
        "task": row.task,
        "objects": row.objects or 1,
        "frame_size": row.resolution,
        "runtime": row.runtime,
    }
    return planner.predict(**(asked | changed))  # type: ignore[arg-type]


def test_all_twelve_rows_ship_as_they_were_published() -> None:
    shipped = {(row.variant, row.resolution): row.figures[0].bytes for row in IMAGES}
    assert shipped == {key: size * MB for key, size in PUBLISHED_MB.items()}
    assert {row.variant: row.figures[0].bytes for row in VIDEOS} == {
        "tiny": 1200 * MB,
        "base_plus": 1300 * MB,
        "large": 1700 * MB,
    }
    assert {row.precision for row in IMAGES + VIDEOS} == {"float16"}
    assert {row.figures[0].metric for row in IMAGES} == {"allocated"}
    assert {row.figures[0].metric for row in VIDEOS} == {None}, "the source names no metric"
    assert all(row.url and row.kind == "published" for row in ROWS)


@pytest.mark.parametrize("row", IMAGES, ids=lambda row: row.id)
def test_an_image_row_comes_back_within_3_percent(row: Measurement) -> None:
    assert predicted(row).allocated_bytes == pytest.approx(row.figures[0].bytes, rel=0.03)


@pytest.mark.parametrize("row", IMAGES, ids=lambda row: row.id)
def test_the_bound_of_an_image_row_lies_above_what_was_measured(row: Measurement) -> None:
    estimate = predicted(row)
    outside = estimate.total_bytes - estimate.allocated_bytes
    assert estimate.upper_bytes >= row.figures[0].bytes + outside


def test_large_at_2048_is_1626_megabytes() -> None:
    asked = {"variant": "large", "resolution": 2048, "task": "image", "precision": "float16"}
    estimate = planner.predict(**asked, runtime="reimplementation")
    assert estimate.allocated_bytes == pytest.approx(1626 * MB, rel=0.03)


@pytest.mark.parametrize("row", VIDEOS, ids=lambda row: row.id)
def test_a_video_row_comes_back_within_5_percent(row: Measurement) -> None:
    estimate = predicted(row)
    assert estimate.total_bytes == pytest.approx(row.figures[0].bytes, rel=0.05)
    assert estimate.upper_bytes >= row.figures[0].bytes


@pytest.mark.parametrize("variant", ["tiny", "small", "base_plus", "large"])
@pytest.mark.parametrize("precision", ["float16", "autocast_bfloat16"])
@pytest.mark.parametrize("objects", [1, 2, 5, 10])
def test_each_further_object_adds_3_to_4_megabytes(variant: str, precision: str, objects: int) -> None:
    one, two = (
        planner.predict(variant=variant, resolution=1024, task="video", precision=precision, objects=count)
        for count in (objects, objects + 1)
    )
    assert 3 * MB <= two.allocated_bytes - one.allocated_bytes <= 4 * MB


@pytest.mark.parametrize("objects", [1, 5, 10])
def test_a_further_object_of_the_re_implementation_adds_3_to_4_megabytes_in_total(objects: int) -> None:
    asked = {"variant": "large", "task": "video", "precision": "float16", "runtime": "reimplementation"}
    one, two = (planner.predict(**asked, objects=count) for count in (objects, objects + 1))
    assert 3 * MB <= two.total_bytes - one.total_bytes <= 4 * MB


def test_large_stays_below_2_gb_for_any_length() -> None:
    for frames in (1, 16, 10**4, None):
        estimate = planner.predict(variant="large", task="video", precision="float16", frames=frames)
        assert estimate.total_bytes < 2 * 10**9


def test_loading_1581_frames_is_one_request_of_12_mebibytes_each() -> None:
    """sam2 issue 62: init_state on 1581 frames asks for 18.53 GiB."""
    estimate = planner.predict(variant="tiny", task="video", frames=1581, runtime="stock", frame_size=(1024, 1024))
    init = next(phase for phase in estimate.phases if phase.name == "init")
    frames = next(part.bytes for part in init.components if part.name == "frames")
    assert frames == pytest.approx(18.53 * 2**30, rel=0.01)


def test_the_stock_predictor_grows_by_about_a_megabyte_a_frame_while_it_propagates() -> None:
    """sam2 issue 10: 1 MB per frame, rounded to whole megabytes."""
    totals = [
        planner.predict(
            variant="large", task="video", frames=frames, bounded_memory_bank=False, offload_video=True
        ).allocated_bytes
        for frames in (100, 200)
    ]
    assert 0.5 * MB <= (totals[1] - totals[0]) / 100 <= 1.5 * MB
