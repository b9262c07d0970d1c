"""The page in a real browser: what it shows is the plan's JSON, to everybody, however wide their screen is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.text.units import format_size
from tests.conftest import invoke
from tests.page.browser import Sight
from tests.page.test_report import HOSTILE, hostile_plan

ASKED: dict[str, dict[str, Any]] = {
    "fits": {"vram": "6GB", "objects": 10, "frames": 10_000, "runtimes": ("transformers", "ultralytics")},
    "tight": {"vram": "280MB", "objects": 10},
    "nothing": {"vram": "300MB", "variant": "large", "objects": 10},
    "image": {"gpu": "RTX 3060", "task": "image"},
    "automask": {"vram": "8GiB", "task": "automask"},
}
Pages = dict[str, tuple[planner.Plan, Path]]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Pages:
    folder = tmp_path_factory.mktemp("pages")
    plans = {name: planner.plan(**asked) for name, asked in ASKED.items()}
    return {name: (plan, planner.save_report(plan, folder / f"{name}.html")) for name, plan in plans.items()}


@pytest.fixture(scope="module")
def sights(chromium: Any, pages: Pages) -> Iterator[Callable[[str], Sight]]:
    """Pages that are opened once, for those who only look."""
    opened: dict[str, Sight] = {}

    def sight(name: str) -> Sight:
        if name not in opened:
            opened[name] = Sight(chromium, pages[name][1])
        return opened[name]

    yield sight
    for one in opened.values():
        one.context.close()


def at(document: Any, path: str) -> Any:
    """What stands under a path such as estimate.components.0.bytes."""
    for step in path.split("."):
        document = document[int(step)] if step.isdecimal() else document[step]
    return document


FIGURES = """() => [...document.querySelectorAll("data[data-of]")].filter((one) => !one.dataset.of.startsWith("w."))
  .map((one) => [one.dataset.of, one.getAttribute("value"), one.textContent])"""


@pytest.mark.parametrize("name", ASKED)
def test_every_figure_is_that_of_the_json_and_the_console_stays_silent(
    sights: Callable[[str], Sight], pages: Pages, name: str
) -> None:
    plan, path = pages[name]
    sight, document = sights(name), plan.to_dict()
    found = sight.page.evaluate(FIGURES)
    verdict = sight.page.inner_text("h1 .verdict")
    commands = sight.page.locator("#decision code").all_inner_texts()
    sight.page.locator("summary").all()[0].click()
    assert len(found) > 15
    for where, value, text in found:
        expected = at(document, where)
        assert float(value) == expected, where
        assert text.replace(",", "").removesuffix(" or more") == (
            format_size(expected).replace(",", "") if where.endswith("_bytes") or where.endswith(".bytes") else
            str(expected)
        ), where  # fmt: skip
    assert verdict == {"fits": "Fits", "tight": "Fits tightly", "does_not_fit": "Does not fit"}[plan.verdict]
    asked = plan.command.split(" && ") if plan.command else [one.command for one in plan.suggestions]
    assert [one for one in commands if one in asked] == asked
    assert sight.said == []
    assert sight.asked == [path.as_uri()]


def test_the_address_carries_what_was_changed(chromium: Any, pages: Pages) -> None:
    _, path = pages["fits"]
    with Sight(chromium, path) as sight:
        sight.page.locator("#w-objects").press("ArrowRight")
        sight.page.locator("#w-variant").select_option("tiny")
        sight.page.locator("#w-offloadState").check()
        sight.page.locator("#w-frames").press("End")
        address, figures = sight.page.url, sight.page.inner_text("#w-figures")
    state = address.partition("#")[2]
    assert sorted(state.split("&")) == ["frames=unlimited", "objects=12", "offloadState=1", "variant=tiny"]
    with Sight(chromium, path, state=f"#{state}") as sight:
        assert sight.page.inner_text("#w-figures") == figures
        assert sight.page.inner_text("#w-frames-said") == "without end"
        sight.page.locator("#w-gpu").select_option("GeForce RTX 3060 12 GB")  # whose size is no step of the slider
        assert sight.page.inner_text("#w-budget-said").startswith("12.9 GB")
        sight.page.locator("#w-budget").press("ArrowRight")
        assert sight.page.inner_text("#w-budget-said").startswith("14.0 GB")
        sight.page.locator("#w-reset").click()
        assert "#" not in sight.page.url
    nonsense = "#objects=-3&budget=x&variant=huge&gpu=%3Cimg%3E&resolution=7&plan=99&frames=NaN"
    with Sight(chromium, path, state=nonsense) as sight:
        assert sight.page.evaluate("window.sam2plan.whatif.changed()") == []
        assert sight.said == []


def test_where_each_runtime_runs_out_is_what_planning_says(chromium: Any, pages: Pages) -> None:
    _, path = pages["fits"]
    endless = planner.plan(vram="6GB", objects=10, runtimes=("transformers", "ultralytics"))
    first = {"stock": endless.stock.first_frame_out_of_memory}
    for one in endless.others:
        first[one.runtime + " streaming" * one.streaming] = one.first_frame_out_of_memory
    with Sight(chromium, path) as sight:
        rows = sight.page.locator("#clip tbody tr").all_inner_texts()
    said = dict(re.split(r"\t+", row)[:: len(re.split(r"\t+", row)) - 1] for row in rows)
    longest = {name.strip(): int(re.sub(r"\D", "", text)) for name, text in said.items() if "frame" in text}
    assert longest == {name: frames - 1 for name, frames in first.items() if frames is not None}
    assert {name.strip() for name, text in said.items() if text == "any length"} == {"this runtime", "ultralytics"}


def test_markup_shows_as_text(chromium: Any, tmp_path: Path) -> None:
    path = planner.save_report(hostile_plan(tmp_path), tmp_path / "page.html")
    with Sight(chromium, path) as sight:
        assert sight.page.locator("img").count() == 0
        assert sight.page.inner_text("#decision .warnings") == HOSTILE.replace("\u2028", "\u2028")
        assert HOSTILE[:20] in sight.page.inner_text("#also")
        assert sight.page.locator("script").count() == 2
    assert sight.said == []


def test_the_keyboard_reaches_everything(chromium: Any, pages: Pages) -> None:
    _, path = pages["fits"]
    here = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
    stops = "button:not(:disabled), input, select, summary, canvas, .scroll[tabindex], a"
    wanted = f"""[...document.querySelectorAll('{stops}')].filter((one) => one.checkVisibility())
      .map((one) => [...document.querySelectorAll('*')].indexOf(one))"""
    with Sight(chromium, path) as sight:
        expected, reached = set(sight.page.evaluate(wanted)), set()
        for _ in range(len(expected) + 5):
            sight.page.keyboard.press("Tab")
            reached.add(sight.page.evaluate(here))
        assert expected <= reached
        canvas = sight.page.locator("#candidates canvas")
        canvas.focus()
        before = sight.page.inner_text("#candidates .detail")
        canvas.press("ArrowRight")
        after = sight.page.inner_text("#candidates .detail")
        assert before != after
        assert "2 of 440" in after
        assert canvas.get_attribute("aria-valuenow") == "2"
        assert after.splitlines()[-1] in str(canvas.get_attribute("aria-valuetext"))


@pytest.mark.parametrize("name", ["fits", "nothing"])
def test_an_accessibility_checker_finds_nothing(sights: Callable[[str], Sight], name: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-core comes with it")
    page = sights(name).page
    for scheme, width in (("dark", 360), ("light", 1280)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        page.evaluate("new Promise((done) => requestAnimationFrame(() => setTimeout(done, 50)))")  # which lays it out
        found = axe.Axe().run(page)
        faults = [
            (one["id"], [node["html"][:120] for node in one["nodes"][:3]]) for one in found.response["violations"]
        ]
        assert faults == []
        assert len(found.response["passes"]) > 20


BEYOND = """() => [...document.querySelectorAll("button, select, input, h1, canvas, svg.lines, p")].filter((one) =>
  one.checkVisibility() && !one.closest(".scroll") && one.getBoundingClientRect().right > innerWidth + 1).length"""


@pytest.mark.parametrize("name", ["fits", "nothing"])
def test_no_width_scrolls_sideways(sights: Callable[[str], Sight], name: str) -> None:
    page = sights(name).page
    for width in (320, 768, 2560):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate(BEYOND) == 0


@pytest.mark.parametrize("name", ASKED)
def test_it_prints_on_three_pages_at_most(sights: Callable[[str], Sight], name: str) -> None:
    printed = sights(name).page.pdf(prefer_css_page_size=True)
    assert 1 <= len(re.findall(rb"/Type\s*/Page\b", printed)) <= 3


@pytest.mark.parametrize("where", [("--vram", "8GB,24GB"), ("--gpu", "RTX 4090,RTX 3060"), ("--gpu", "T4,T4")])
def test_a_packing_shows_the_figures_of_its_json(chromium: Any, tmp_path: Path, where: tuple[str, str]) -> None:
    words = (*where, "--streams", "6", "--report", str(tmp_path / "page.html"))
    document = invoke(*words, "--format", "json").document
    with Sight(chromium, tmp_path / "page.html") as sight:
        found = {where: float(value) for where, value, _ in sight.page.evaluate(FIGURES)}
        commands = sight.page.locator(".packing code").all_inner_texts()
        priced = sight.page.evaluate("window.sam2plan.estimate")
        candidates = sight.page.inner_text("#candidates")
    of_gpus = {where: value for where, value in found.items() if where.startswith("packing.gpus.")}
    assert len(of_gpus) == 12
    assert of_gpus == {where: at({"packing": document}, where) for where in of_gpus}
    assert "would now choose" not in candidates
    # The sliders begin with the plan's own figures, the context of a whole card included.
    assert priced["total_bytes"] == document["plan"]["estimate"]["total_bytes"]
    assert priced["upper_bytes"] == document["plan"]["estimate"]["upper_bytes"]
    assert found["estimate.total_bytes"] == document["plan"]["estimate"]["total_bytes"]
    assert commands == [gpu["command"] for gpu in document["gpus"]]
    assert sight.said == []


def test_several_plans_stand_behind_one_another(chromium: Any, tmp_path: Path) -> None:
    plans = [planner.plan(vram="6GB"), planner.plan(vram="8GB", task="automask")]
    path = planner.save_report(plans, tmp_path / "page.html")
    with Sight(chromium, path) as sight:
        sight.page.locator("nav a").all()[1].click()
        sight.page.wait_for_selector("#w-objectBatch")
        assert "All masks" in sight.page.inner_text("#decision")
        assert sight.page.locator("nav [aria-current]").inner_text() == "plan 2"
        figures = {one: int(value) for one, value, _ in sight.page.evaluate(FIGURES) if one == "estimate.total_bytes"}
    assert plans[1].estimate is not None
    assert figures == {"estimate.total_bytes": plans[1].estimate.total_bytes}
    assert sight.said == []
