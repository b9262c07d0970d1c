"""What a run completes in beside what it takes: tight in between, and needs that step with the resolution.

The laws of the day may be smooth and their least close to the total, so these tests bring a model of their own.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.memory_model import MemoryModel
from planner.memory_model.terms import Totals
from planner.nouns.plan import Provenance
from planner.nouns.request import Budget, Gpu, Headroom, Pins, Request
from planner.nouns.run import Configuration, Workload
from planner.nouns.words import PRECISIONS, VARIANTS
from planner.planning import make_plan
from planner.planning.candidates import resolutions
from planner.planning.needs import needed
from planner.planning.packing import make_packing
from planner.text.strict_yaml import dump
from tests.checker import document_faults

NOBODY = Provenance(profiles=(), memory_model="", versions={})
VIDEO = Request(workload=Workload(task="video", objects=3, frames=None))
IMAGE = Request(workload=Workload(task="image"))
SIDES = range(64, 8192 + 1, 32)


class Stepping(MemoryModel):
    """Reserved bytes step up and down with the resolution, as real ones do; a third of the cache can be had back."""

    def stepping_pixels(self, runtime: str, task: str) -> int:
        return 10**12

    def totals(self, configuration: Configuration, workload: Workload, *asked: Any) -> Totals:
        found = super().totals(configuration, workload, *asked)
        steps = configuration.resolution[0] * configuration.resolution[1] // 1024
        reserved = int(found.allocated * (1.02 + 0.15 * (steps * 7919 % 101) / 100))
        least = found.allocated + (reserved - found.allocated) * 2 // 3 + found.context
        return found._replace(reserved=reserved, least=least, upper=int((reserved + found.context) * 1.05))

    def estimate(self, configuration: Configuration, workload: Workload, *asked: Any) -> Any:
        totals = self.totals(configuration, workload, *asked)
        found = super().estimate(configuration, workload, *asked)
        cache = totals.reserved - found.allocated_bytes
        kept = [part for part in found.components if part.name != "allocator cache"]
        return replace(
            found,
            reserved_bytes=totals.reserved,
            total_bytes=totals.total,
            least_bytes=totals.least,
            upper_bytes=totals.upper,
            components=(*kept, replace(found.components[0], name="allocator cache", bytes=cache)),
        )

    def on(self, gpu: Gpu | str | None, budget_bytes: int | None = None) -> Stepping:
        return self


MODEL = Stepping()


def budget(size: int) -> Budget:
    return Budget(total_bytes=size, headroom=Headroom(), source="vram")


def plan(size: int, request: Request = VIDEO, **asked: Any) -> Any:
    return make_plan(request, budget(size), MODEL, NOBODY, top=2, **asked)


def every_way(request: Request, **changed: Any) -> list[tuple[Configuration, Totals]]:
    """All that the pins leave open, or with other values in their place, with what each takes."""
    pins = request.pins
    variants = changed.get("variants") or ((pins.variant,) if pins.variant else VARIANTS)
    found = []
    for variant, size, precision, offload in itertools.product(
        variants,
        changed.get("sizes") or resolutions(request),
        (pins.precision,) if pins.precision else PRECISIONS,
        (False, True) if request.workload.task == "video" else (False,),
    ):
        one = Configuration(variant=variant, version="2.1", resolution=size, precision=precision, offload_state=offload)
        found.append((one, MODEL.totals(one, request.workload)))
    return found


PINNED = [
    VIDEO,
    IMAGE,
    replace(VIDEO, pins=Pins(variant="large", precision="float32")),
    replace(IMAGE, pins=Pins(precision="autocast_bfloat16")),
]


@pytest.mark.parametrize("request_", PINNED, ids=range(len(PINNED)))
def test_the_smallest_need_is_that_of_all_that_is_open(request_: Request) -> None:
    least = min(totals.least for _, totals in every_way(request_))
    assert plan(10**8, request_).limits.smallest_total_bytes == least
    assert plan(least, request_).verdict == "tight"
    assert plan(least - 1, request_).verdict == "does_not_fit"
    answer = needed(request_, Headroom(), "own", MODEL, (), 0)
    assert min(need.budget_bytes or 0 for need in answer.needs) == least


def test_the_largest_resolution_may_lie_above_one_that_does_not_fit() -> None:
    ways = every_way(VIDEO, variants=("tiny",), sizes=[(side, side) for side in SIDES])
    missed = 0
    for size in (700_000_000, 1_500_000_000, 2_300_000_000, 3_000_000_000, 5_000_000_000, 40_000_000_000):
        found = plan(size, replace(VIDEO, pins=Pins(variant="tiny", resolution=(512, 512))))
        fits = [one.resolution for one, totals in ways if totals.least <= size]
        surely = [one.resolution for one, totals in ways if totals.upper <= size]
        assert (found.limits.max_resolution, found.limits.sure_resolution) == (max(fits), max(surely))
        missed += len({side for side in SIDES if side < max(fits)[0]} - {height for height, _ in fits})
    assert missed, "the model steps, or this test shows nothing"


def test_between_least_and_bound_a_plan_is_tight_and_says_how() -> None:
    one = replace(VIDEO, pins=Pins(variant="large", version="2.1", resolution=(1024, 1024), precision="float32"))
    takes = min((totals for _, totals in every_way(one)), key=lambda totals: totals.least)
    assert takes.least < takes.total < takes.upper
    below, least = plan(takes.least - 1, one), plan(takes.least, one)
    assert (below.verdict, below.exit_code, least.verdict, least.exit_code) == ("does_not_fit", 3, "tight", 0)
    (turned_down,) = below.rejected
    assert (turned_down.need_bytes, turned_down.total_bytes) == (takes.least, takes.total)
    assert turned_down.short_by_bytes == 1
    assert "needs at least" in turned_down.reason and "with room to spare" in turned_down.reason
    (warning,) = (text for text in least.warnings if text.startswith("tight"))
    assert "by giving cache back" in warning and "with room to spare it takes" in warning
    roomy = plan(takes.total, one)
    assert roomy.verdict == "tight" and not any("giving cache back" in text for text in roomy.warnings)
    assert plan(takes.upper, one).verdict == "fits"
    assert plan(takes.least, one, strict=True).exit_code == 4


def test_of_what_is_tight_the_way_with_room_to_spare_comes_first() -> None:
    """A memory bank on the host, predicted to fit, rather than one on the GPU that must give cache back."""
    one = replace(VIDEO, pins=Pins(variant="large", version="2.1", resolution=(1024, 1024), precision="float32"))
    one = replace(one, workload=replace(one.workload, objects=60))
    (_, on_gpu), (_, on_host) = every_way(one)
    assert on_host.total < on_gpu.total
    for size in range(on_host.least, on_gpu.upper + 1, 2_000_000):
        chosen = plan(size, one).chosen
        if chosen is None:
            continue
        grades = [(t.upper > size) + (t.total > size) + (t.least > size) for t in (on_gpu, on_host)]
        assert chosen.configuration.offload_state == (grades[1] < grades[0]), size


@pytest.mark.parametrize("request_", PINNED, ids=range(len(PINNED)))
@pytest.mark.parametrize("strict", [False, True])
def test_more_memory_is_never_worse(request_: Request, strict: bool) -> None:
    verdicts = {"fits": 0, "tight": 1, "does_not_fit": 2}
    worst: tuple[Any, ...] = (9,)
    for size in range(500_000_000, 2_500_000_000, 130_000_000):
        found = plan(size, request_, strict=strict)
        assert document_faults(planner.Plan(**vars_of(found)).to_dict()) == []
        worth: tuple[Any, ...] = (verdicts[found.verdict] == 2,)
        if found.chosen:
            order = MODEL.catalog.quality(found.chosen.variant, found.chosen.version, found.chosen.resolution)
            front = (verdicts[found.verdict],) if strict else ()
            worth = (False, *front, order.is_estimate, -order.value, verdicts[found.verdict])
        assert worth <= worst, size
        worst = worth


def vars_of(found: Any) -> dict[str, Any]:
    return {name: getattr(found, name) for name in found.__dataclass_fields__}


def test_several_on_one_gpu_count_with_their_totals_and_one_alone_with_its_least() -> None:
    """An allocator gives back its own cache only."""
    one = replace(VIDEO, pins=Pins(variant="tiny", version="2.1", resolution=(512, 512), precision="float16"))
    takes = min((totals for _, totals in every_way(one)), key=lambda totals: totals.least)

    def packed(size: int, streams: int) -> Any:
        return make_packing(
            [budget(size)], streams, one, lambda room: MODEL, lambda room, model: make_plan(one, room, model, NOBODY)
        )

    assert packed(takes.least, 1).verdict == "tight" and packed(takes.least - 1, 1).verdict == "does_not_fit"
    assert packed(2 * takes.least, 2).verdict == "does_not_fit" and packed(2 * takes.total, 2).verdict == "tight"
    assert packed(takes.least, 1).max_streams == packed(takes.least, 2).max_streams_smallest == 1


def test_stock_runs_out_where_it_does_not_complete() -> None:
    size = 3_000_000_000
    stocked = plan(size, replace(VIDEO, pins=Pins(variant="tiny"))).stock
    first = stocked.first_frame_out_of_memory
    assert first is not None and first > 1
    for frames, fits in ((first - 1, True), (first, False)):
        clip = replace(VIDEO.workload, frames=frames)
        totals = MODEL.totals(stocked.configuration, clip)
        assert (totals.least <= size) == fits
        held = plan(size, replace(VIDEO, workload=clip, pins=Pins(variant="tiny"))).stock
        assert held.fits == fits and held.tight == (fits and totals.total > size)
        assert (held.first_frame_out_of_memory is None) == fits
        assert fits or 1 < (held.first_frame_out_of_memory or 0) <= frames, "its whole clip is loaded first"


def test_a_plan_of_an_earlier_release_is_read_with_its_total_as_its_least(tmp_path: Path) -> None:
    document = planner.plan(vram="1.2GB", objects=10).to_dict()
    for estimate in (document["estimate"], *(entry["estimate"] for entry in document["alternatives"])):
        for name in ("least_bytes", "context_low_bytes", "context_high_bytes"):
            del estimate[name]
    for entry in document["rejected"]:
        del entry["total_bytes"]
    del document["stock"]["least_bytes"], document["stock"]["tight"]
    path = tmp_path / "plan.yaml"
    path.write_text(dump(document))
    held = planner.Plan.load(path)
    assert held.estimate is not None and held.estimate.least_bytes == held.estimate.total_bytes
    assert [one.total_bytes for one in held.rejected] == [one.need_bytes for one in held.rejected]
    del document["estimate"]["upper_bytes"]
    path.write_text(dump(document))
    with pytest.raises(planner.PlannerError, match="upper_bytes"):
        planner.Plan.load(path)
