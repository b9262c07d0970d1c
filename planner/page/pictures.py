"""The two main pictures of a plan, for slides: where its memory goes, and accuracy against memory of all candidates.

Drawn by matplotlib (the extra `plot`) without a display. The same plan gives the same SVG.
"""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, Literal

from planner.errors import EnvironmentFailure, UsageError
from planner.page.answers import Answer
from planner.page.drawing import INK, QUIET, RULE, draw
from planner.text.files import write_whole

FORMATS = (".svg", ".png")
DOTS_PER_INCH = 150
STYLE: Mapping[str, Any] = {
    "svg.hashsalt": "sam2-plan",
    "svg.fonttype": "none",  # text stays text, which can be sought and edited
    "text.parse_math": False,  # a name with dollars is a name
    "font.family": "sans-serif",
    "font.size": 11,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": QUIET,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlesize": 13,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "xtick.color": QUIET,
    "ytick.color": INK,
    "legend.frameon": False,
    "legend.fontsize": 10,
}


def check_picture(path: str | Path) -> Literal["svg", "png"]:
    """What the file's name asks for. Raises UsageError for another, EnvironmentFailure without matplotlib."""
    suffix = Path(path).suffix.lower()
    if suffix not in FORMATS:
        raise UsageError(
            f"A picture is written as .svg or .png, not as {str(path)!r}.", "Name the file so, such as plan.svg."
        )
    _require()
    return "svg" if suffix == ".svg" else "png"


class Picture:
    """The pictures of a plan. Notebooks show it."""

    def __init__(self, answer: Answer) -> None:
        _require()
        self._answer = answer

    def __repr__(self) -> str:
        return f"<Picture of {self._answer.name}>"

    def save(self, path: str | Path) -> Path:
        """Write it as .svg or .png, whole or not at all, and return the path.

        Raises UsageError for another name, EnvironmentFailure where it cannot be written.
        """
        content = self._drawn(check_picture(path))
        write_whole(Path(path), lambda file: file.write(content))
        return Path(path)

    def svg(self) -> str:
        """It as SVG."""
        return self._drawn("svg").decode()

    def _repr_svg_(self) -> str:
        return self.svg()

    def _drawn(self, form: Literal["svg", "png"]) -> bytes:
        from matplotlib import rc_context, rcParamsDefault
        from matplotlib.figure import Figure

        # Of the user's own matplotlibrc nothing counts; the backend stays what it is.
        settings: Any = {name: value for name, value in rcParamsDefault.items() if not name.startswith("backend")}
        settings.update(STYLE)
        with rc_context(settings):
            figure = Figure(layout="constrained", facecolor="white")
            draw(figure, self._answer)
            out = BytesIO()
            about = {"Date": None, "Creator": "sam2-plan"} if form == "svg" else {"Software": "sam2-plan"}
            figure.savefig(out, format=form, dpi=DOTS_PER_INCH, metadata=about)
        return out.getvalue()


def _require() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise EnvironmentFailure(
            f"Pictures need matplotlib: {error}.", 'Install it with: pip install "sam2-plan[plot]"'
        ) from None
