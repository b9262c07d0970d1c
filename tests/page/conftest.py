"""One browser for all tests of pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.page.browser import browser


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A browser that runs; where there is none, whoever asks is skipped."""
    with browser() as started:
        yield started
