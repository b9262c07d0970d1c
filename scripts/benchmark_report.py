#!/usr/bin/env python3
"""How fast a page of `sam2-plan report` is in a real browser: loading, sliders, and ten thousand candidates.

python scripts/benchmark_report.py [--chromium PATH] [--runs N]

Needs playwright and an installed Chromium; says milliseconds as the browser itself counts them, the median of the runs
with the least and the most.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

import planner

ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
POINTS = 10_000
LOADED = """() => {
  const load = performance.getEntriesByType("navigation")[0];
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return {
    "decision painted": paint ? paint.startTime : null, "document loaded": load.loadEventEnd,
    "sliders and candidates ready": performance.getEntriesByName("ready")[0].startTime,
  };
}"""
SLIDERS = """() => {
  const input = document.getElementById("w-objects"), priced = [], drawn = [];
  for (let at = 0; at <= Number(input.max); at++) {
    const before = performance.now();
    input.value = at;
    input.dispatchEvent(new Event("input"));
    const between = performance.now();
    priced.push(between - before);
    window.sam2plan.live.draw();
    drawn.push(performance.now() - between);
  }
  return { "a step of a slider": priced, "charts after it": drawn };
}"""
FRAMES = """async (count) => {
  const { plot } = window.sam2plan, first = plot.all.map((entry) => entry.one), many = [];
  for (let at = 0; at < count; at++) {
    const one = first[at % first.length], scale = 0.5 + 3 * ((at * 7919) % 1000) / 1000;
    many.push({ ...one, rank: at + 1, total_bytes: Math.round((one.total_bytes || 1e9) * scale) });
  }
  const larger = new CandidatePlot(many, plot.budget);
  plot.box.parentElement.parentElement.replaceWith(larger.element());
  await new Promise((done) => setTimeout(done, 300));
  const box = larger.canvas.getBoundingClientRect(), painted = [], moved = [], frames = [];
  for (let at = 0; at < 10; at++) {
    const before = performance.now();
    larger.paint();
    painted.push(performance.now() - before);
  }
  await new Promise(requestAnimationFrame);
  let last = await new Promise(requestAnimationFrame);
  for (let at = 0; at < 60; at++) {
    const across = box.width * at / 60, down = box.height * (0.3 + 0.4 * (at % 7) / 7);
    const event = { clientX: box.left + across, clientY: box.top + down };
    const before = performance.now();
    larger.hover(event);
    moved.push(performance.now() - before);
    const now = await new Promise(requestAnimationFrame);
    frames.push(now - last);
    last = now;
  }
  return {
    points: many.length, "drawing all points": painted, "moving the mouse": moved, "from frame to frame": frames,
  };
}"""


def main() -> None:
    """Print the milliseconds."""
    from playwright.sync_api import sync_playwright

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium") or shutil.which("google-chrome"))
    parser.add_argument("--runs", type=int, default=9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        plan = planner.plan(vram="6GB", objects=10, frames=10_000, runtimes=("transformers", "ultralytics"))
        path = planner.save_report(plan, Path(folder) / "report.html")
        print(f"a page of {path.stat().st_size:,} bytes")
        browser = playwright.chromium.launch(executable_path=asked.chromium, args=list(ARGUMENTS))
        print(f"Chromium {browser.version}")
        loads: list[dict[str, float]] = []
        for _ in range(asked.runs):
            page = browser.new_page()
            page.goto(path.as_uri())
            page.wait_for_selector("html[data-ready=yes]")
            loads.append(page.evaluate(LOADED))
            last = page
        for name in loads[0]:
            tell(name, [one[name] for one in loads if one[name] is not None])
        for name, values in last.evaluate(SLIDERS).items():
            tell(name, values)
        found: dict[str, Any] = last.evaluate(FRAMES, POINTS)
        print(f"{found.pop('points'):,} candidates")
        for name, values in found.items():
            tell(name, values)
        browser.close()


def tell(name: str, values: list[float]) -> None:
    """One line of figures."""
    if not values:
        print(f"  {name}: {json.dumps(None)}")
        return
    print(f"  {name + ':':<32}{median(values):7.1f} ms  ({min(values):.1f} to {max(values):.1f})")


if __name__ == "__main__":
    main()
