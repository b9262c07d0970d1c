"""Where planning saves what it found: the plan, a page, a picture, each beside the others."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from planner.errors import UsageError

if TYPE_CHECKING:
    from planner.page.answers import Answer


@dataclass(frozen=True)
class Saved:
    """The files of one planning; None of those that were not asked for."""

    plan: str | None
    page: str | None
    picture: str | None

    @property
    def shown(self) -> bool:
        """Whether a page or a picture is asked for."""
        return self.page is not None or self.picture is not None

    def check(self) -> None:
        """Refuse, before planning, a picture that cannot be drawn or would take another file's place."""
        if self.picture is None:
            return
        from planner.page.pictures import check_picture

        check_picture(self.picture)
        for other in (self.plan, self.page):
            if other is not None and os.path.realpath(other) == os.path.realpath(self.picture):
                raise UsageError(f"The picture would take the place of {other}.", "Give it a name of its own.")

    def show(self, answer: Answer) -> None:
        """Write the page and the picture of an answer."""
        if self.page is not None:
            from planner.cli.report import keep_page

            keep_page([answer], self.page, (self.plan,))
        if self.picture is not None:
            from planner.page.pictures import Picture

            Picture(answer).save(self.picture)
