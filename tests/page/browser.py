"""A real browser without a screen, for pages that lie on the disk. Where there is none the tests are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.benchmark_report import ARGUMENTS

NAMES = ("chromium", "chromium-browser", "google-chrome")


def found() -> str | None:
    """The browser that is installed: that of SAM2_PLAN_TEST_CHROMIUM, or one on the PATH."""
    return os.environ.get("SAM2_PLAN_TEST_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def browser() -> Iterator[Any]:
    """One that runs. Skips the test where playwright or a browser lacks."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    path = found()
    if path is None:
        pytest.skip("no Chromium is installed: apt-get install chromium, or name one in SAM2_PLAN_TEST_CHROMIUM")
    with playwright.sync_playwright() as running:
        started = running.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        yield started
        started.close()


class Sight:
    """A page as somebody sees it, and whatever the console says of it."""

    def __init__(self, started: Any, path: Path, *, width: int = 1280, scheme: str = "light", state: str = "") -> None:
        self.context = started.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.asked: list[str] = []
        self.page.goto(path.as_uri() + state)
        self.page.wait_for_selector("html[data-ready=yes]", timeout=20_000)

    def __enter__(self) -> Sight:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
