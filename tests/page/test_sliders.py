"""What the sliders price is planner.predict, to the byte: the laws are written twice, and must not part."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.catalog.gpus import find_gpu, known_gpus
from planner.errors import UsageError
from planner.memory_model import load_coefficients
from planner.memory_model.coefficients import FITTED_FILE
from planner.memory_model.coefficients_text import coefficients_text
from planner.memory_model.current import known_model
from planner.memory_model.laws import Correction, Margin
from planner.text.locations import user_folder
from tests.page.browser import Sight

ASKED: dict[str, dict[str, Any]] = {
    "video": {"vram": "6GB", "objects": 10, "frames": 10_000},
    "image": {"gpu": "RTX 3060", "task": "image"},
    "automask": {"vram": "8GiB", "task": "automask"},
    "older torch": {"gpu": "T4", "objects": 3, "torch": "2.8", "precision": "autocast_float16"},
    "math": {"vram": "24GB", "objects": 2, "attention": "math"},
}

DRIVE = """(settings) => {
  const { whatif } = window.sam2plan;
  return settings.map((wanted) => {
    for (const [name, at] of Object.entries(wanted)) {
      const input = document.getElementById(`w-${name}`);
      if (input.type === "checkbox") { if (input.checked !== Boolean(at)) input.click(); continue; }
      if (input.tagName === "SELECT") { input.selectedIndex = at; input.dispatchEvent(new Event("change")); continue; }
      input.value = at;
      input.dispatchEvent(new Event("input"));
    }
    const shown = {};
    for (const one of document.querySelectorAll("#w-figures data")) shown[one.dataset.of.slice(2)] = Number(one.value);
    return { settings: whatif.settings, estimate: window.sam2plan.estimate, shown,
             verdict: document.querySelector("#whatif .verdict").firstChild.textContent };
  });
}"""
CONTROLS = """() => [...document.querySelectorAll("#whatif input, #whatif select")].map((input) => [input.id.slice(2),
  input.type === "checkbox" ? 2 : input.tagName === "SELECT" ? input.options.length : Number(input.max) + 1])"""


def predicted(settings: dict[str, Any], plan: planner.Plan, torch: str | None) -> Any:
    """The same settings in Python; None for what the GPU cannot run."""
    task = plan.request.workload.task
    place = {"gpu": settings["gpu"]} if settings["gpu"] else {"vram": settings["budget"]}
    asked = {"object_batch": settings["objectBatch"]}
    if task != "automask":
        asked["objects"] = settings["objects"]
    if task == "video":
        asked |= {"frames": settings["frames"], "offload_state": settings["offloadState"]}
    try:
        return planner.predict(
            task=task,
            variant=settings["variant"],
            precision=settings["precision"],
            resolution=tuple(settings["resolution"]),
            attention=settings["attention"],
            torch=torch,
            **asked,
            **place,
        )
    except UsageError:
        return None


def verdict_of(estimate: Any, usable: int) -> str:
    if estimate is None:
        return "Cannot run"
    if estimate.upper_bytes <= usable:
        return "Fits"
    return "Fits tightly" if estimate.least_bytes <= usable else "Does not fit"


def compare(chromium: Any, folder: Path, asked: dict[str, Any], count: int, gpus: Sequence[str] = ()) -> int:
    """Moves every slider at random, and holds what the page says to Python; returns how many the GPU cannot run.

    gpus: the only ones to choose from beside none in particular; left out, all of them.
    """
    plan, draw = planner.plan(**asked), random.Random(str(asked))
    with Sight(chromium, planner.save_report(plan, folder / "page.html")) as sight:
        controls = dict(sight.page.evaluate(CONTROLS))
        names = sight.page.locator("#w-gpu option").all_inner_texts()
        wanted = [{one: draw.randrange(most) for one, most in controls.items()} for _ in range(count)]
        for place, one in enumerate(wanted):
            if gpus:
                one["gpu"] = names.index(draw.choice(gpus))
            if place % 2:
                one["gpu"] = 0  # any card of the budget's size
        found = sight.page.evaluate(DRIVE, [{}, *wanted])  # first the plan's own
    assert sight.said == []
    assert len(found) == count + 1
    return sum(not is_same(one, plan, asked) for one in found)


def is_same(found: dict[str, Any], plan: planner.Plan, asked: dict[str, Any]) -> bool:
    """Fails where the page says other than Python; False where both say that the GPU cannot run it."""
    settings, same = found["settings"], found["estimate"]
    estimate = predicted(settings | {"attention": asked.get("attention", "auto")}, plan, asked.get("torch"))
    usable = settings["budget"] - plan.budget.headroom.of(settings["budget"])
    assert found["verdict"].strip() == verdict_of(estimate, usable) or no_code(settings["gpu"]), settings
    if estimate is None:
        return False
    for figure in FIGURES_OF_ESTIMATE:
        assert same[figure] == getattr(estimate, figure), (figure, settings)
    for figure, value in found["shown"].items():
        assert value == getattr(estimate, figure), (figure, settings)
    assert len(found["shown"]) == 5
    assert same["extrapolated_because"] == list(estimate.extrapolated_because)
    assert same["components"] == [parts(one) for one in estimate.components]
    assert same["phases"] == [
        {
            "name": one.name,
            "allocated_bytes": one.allocated_bytes,
            "components": [parts(part) for part in one.components],
        }
        for one in estimate.phases
    ]
    return True


@pytest.mark.parametrize(
    ("name", "count"), [("video", 90), ("image", 30), ("automask", 40), ("older torch", 20), ("math", 20)]
)
def test_sliders_price_as_predict_does_to_the_byte(chromium: Any, tmp_path: Path, name: str, count: int) -> None:
    assert compare(chromium, tmp_path, ASKED[name], count) < count / 2


@contextmanager
def own_fit(*corrections: Correction) -> Iterator[None]:
    """A user's own measurements, within which predictions follow them."""
    path = user_folder() / FITTED_FILE
    path.write_text(coefficients_text(replace(load_coefficients(), corrections=corrections)), encoding="utf-8")
    known_model.cache_clear()
    try:
        yield
    finally:
        path.unlink()
        known_model.cache_clear()


def test_sliders_follow_the_users_own_measurements(chromium: Any, tmp_path: Path) -> None:
    names = [find_gpu(name).gpu.name for name in ("RTX 3060 12GB", "T4", "RTX 4090")]
    known: dict[str, Any] = {"runtime": "own", "allocated_ratio": 1.03, "reserved_ratio": 1.07}
    one = Correction(gpu=names[0], context_bytes=123_456_789, margin=Margin(ratio=0.02, rows=9), notes=(), **known)
    other = replace(one, gpu=names[1], context_bytes=None, reserved_ratio=1.2, margin=Margin(ratio=0.3, rows=4))
    with own_fit(one, replace(other, notes=("measured rows differ",))):
        assert compare(chromium, tmp_path, {"vram": "6GB", "objects": 3}, 40, names) < 20


FIGURES_OF_ESTIMATE = (
    "allocated_bytes",
    "reserved_bytes",
    "context_bytes",
    "context_low_bytes",
    "context_high_bytes",
    "total_bytes",
    "upper_bytes",
    "least_bytes",
    "host_bytes",
    "peak_phase",
)


def parts(component: Any) -> dict[str, Any]:
    return {"name": component.name, "bytes": component.bytes, "provenance": component.provenance}


def no_code(gpu: str) -> bool:
    """Whether the torch that counts has no code for a card: predict notes it, and the page says that it cannot run."""
    from planner.catalog.torch_builds import why_no_code

    card = next((one for one in known_gpus() if one.name == gpu), None)
    return card is not None and card.capability is not None and why_no_code(card.capability) is not None


def test_a_plan_of_several_clips_is_priced_as_it_was_planned(chromium: Any, tmp_path: Path) -> None:
    plan = planner.plan(vram="3GB", streams=4, objects=3)
    assert plan.chosen is not None
    with Sight(chromium, planner.save_report(plan, tmp_path / "page.html")) as sight:
        found = sight.page.evaluate("window.sam2plan.estimate")
    for figure in FIGURES_OF_ESTIMATE:
        assert found[figure] == getattr(plan.chosen.estimate, figure), figure
