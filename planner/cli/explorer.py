"""The screen of `sam2-plan explore`, made with Textual: rows that the arrow keys change, a bar, a verdict."""

from __future__ import annotations

from typing import ClassVar

from rich.text import Text
from textual.app import App, ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.events import Resize
from textual.widgets import Footer, Static

from planner.cli.exploration import Answer, Exploration
from planner.page.drawing import colours_of
from planner.report.text import VERDICT_COLOURS, VERDICT_WORDS, accuracy_words, describe_workload
from planner.text.command_lines import describe
from planner.text.units import format_size

COLUMNS, LINES = 72, 24
"""The smallest terminal that shows all of it."""
LABEL = 12


def too_small(columns: int, lines: int) -> str | None:
    """What to say of a terminal that is too small; None of one that is not."""
    if columns >= COLUMNS and lines >= LINES:
        return None
    return f"The terminal has {columns} columns and {lines} lines; explore needs {COLUMNS} and {LINES}."


class Explorer(App[Answer]):
    """Returns the answer that Enter was pressed on, or None where it was left."""

    CSS = """
    Screen { overflow: hidden; }
    #all { padding: 0 1; }
    #head, #rows, #verdict, #parts { margin-bottom: 1; }
    #small { display: none; padding: 1; }
    Screen.small #all, Screen.small Footer { display: none; }
    Screen.small #small { display: block; }
    """
    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "row(-1)", "row", key_display="↑↓"),
        Binding("down,j", "row(1)", show=False),
        Binding("left,h", "change(-1)", "change", key_display="←→"),
        Binding("right,l", "change(1)", show=False),
        Binding("enter", "take", "print the command"),
        Binding("q,escape,ctrl+c,ctrl+q", "leave", "leave", key_display="q", priority=True),
    ]

    def __init__(self, exploration: Exploration) -> None:
        super().__init__()
        self.exploration = exploration
        self.answer = exploration.answer()
        self.place = 0
        self._columns = COLUMNS

    def compose(self) -> ComposeResult:
        """The parts of the screen, from the top."""
        names = ("head", "rows", "verdict", "bar", "parts", "command")
        yield Vertical(*(Static(id=name, markup=False) for name in names), id="all")
        yield Static(id="small", markup=False)
        yield Footer()

    def on_resize(self, event: Resize) -> None:
        """Lay out anew; of a terminal that became too small say so."""
        self._columns = event.size.width
        words = too_small(event.size.width, event.size.height)
        self.screen.set_class(words is not None, "small")
        self.query_one("#small", Static).update(f"{words or ''} Enlarge it, or leave with q.")
        self._show()

    def action_row(self, by: int) -> None:
        """Go to another row."""
        self.place = (self.place + by) % len(self.exploration.rows)
        self._show()

    def action_change(self, by: int) -> None:
        """Change the row that is marked, and answer again."""
        if self.exploration.rows[self.place].step(by):
            self.answer = self.exploration.answer()
            self._show()

    def action_take(self) -> None:
        """End with the answer that is shown."""
        self.exit(self.answer)

    def action_leave(self) -> None:
        """End without one."""
        self.exit(None)

    def _show(self) -> None:
        plan = self.answer.plan
        gpu, budget = plan.budget.gpu, plan.budget
        asked = [
            f"{gpu.name if gpu else 'budget'}: {format_size(budget.total_bytes)}, "
            f"{format_size(budget.usable_bytes)} usable",
            describe_workload(plan.request.workload),
        ]
        texts = {
            "head": Text("\n".join(asked)),
            "rows": self._rows(),
            "verdict": self._verdict(),
            "bar": self._bar(),
            "parts": self._parts(),
            "command": Text(f"$ {self.answer.command}", style="bold"),
        }
        for name, text in texts.items():
            self.query_one(f"#{name}", Static).update(text)

    def _rows(self) -> Text:
        lines = Text()
        for place, row in enumerate(self.exploration.rows):
            marked = place == self.place
            down, up = row.ends
            line = f"{'>' if marked else ' '} {row.name:<{LABEL}}{'◀' if down else ' '} {row.text} {'▶' if up else ' '}"
            lines.append(line + "\n", style="bold reverse" if marked else "")
        lines.rstrip()
        return lines

    def _verdict(self) -> Text:
        plan, estimate = self.answer.plan, self.answer.estimate
        text = Text(VERDICT_WORDS[plan.verdict], style=f"bold {VERDICT_COLOURS[plan.verdict]}")
        if plan.chosen is None:
            return text.append(f"  {self.answer.reason}", style="not bold default")
        assert estimate is not None
        usable = format_size(plan.budget.usable_bytes)
        offload = ", memory bank on the host" if plan.chosen.configuration.offload_state else ""
        return text.append(
            f"  {format_size(estimate.total_bytes)} of {usable} usable, upper bound {format_size(estimate.upper_bytes)}"
            f"\n{describe(plan.chosen.configuration)}{offload}; {accuracy_words(plan.chosen)}",
            style="not bold default",
        )

    def _bar(self) -> Text:
        """Components from zero in a line; below it where the usable budget and the upper bound lie."""
        estimate, usable = self.answer.estimate, self.answer.plan.budget.usable_bytes
        width = max(10, self._columns - 4)
        if estimate is None:
            return Text("")
        end = max(usable, estimate.upper_bytes)
        colours, bar, at = colours_of(estimate.components), Text(), 0
        for part in estimate.components:
            cells = round((at + part.bytes) / end * width) - round(at / end * width)
            bar.append("█" * cells, style=colours[part.name])
            at += part.bytes
        bar.append("░" * (width - len(bar)), style="dim")
        marks = [" "] * width
        for place, mark in ((estimate.upper_bytes, "┆"), (usable, "│")):
            marks[min(width - 1, round(place / end * width))] = mark
        return bar.append("\n" + "".join(marks))

    def _parts(self) -> Text:
        """Each component with its size, as many on a line as there is room for."""
        estimate, text, used = self.answer.estimate, Text(), 0
        if estimate is None:
            return text
        colours = colours_of(estimate.components)
        parts = [("■", colours[part.name], f"{part.name} {format_size(part.bytes)}") for part in estimate.components]
        for mark, colour, words in (*parts, ("┆", "bold", "upper bound"), ("│", "bold", "usable")):
            if used and used + len(words) + 4 > self._columns - 4:
                text.append("\n")
                used = 0
            text.append(f"{mark} ", style=colour).append(f"{words}  ")
            used += len(words) + 4
        return text
