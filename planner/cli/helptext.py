"""Help that fits the terminal: commands in order of use with a summary each, examples and epilogs laid out anew."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable

import click

from planner.report.layout import Style

SECTIONS = {
    "Ask": {
        "predict": "Predict the bytes of one configuration",
        "limits": "How many objects and pixels a budget allows",
        "need": "The smallest budget for a request, and its cards",
        "gpus": "The GPUs known by name",
        "compare": "What differs between two plans",
        "report": "Plans as a page to look at (HTML)",
        "explore": "Change a plan with the arrow keys",
    },
    "Use a plan": {
        "checkpoints": "The official weights, and how to get them",
        "check": "Whether a plan holds on this machine now",
        "run": "Segment a picture, or track through a clip",
        "pick": "Which GPU has room now (CUDA_VISIBLE_DEVICES)",
        "place": "A plan for Ray, Kubernetes, Slurm or SkyPilot",
    },
    "Put it to the test": {
        "simulate": "The same bytes from a trace, without a GPU",
        "rehearse": "Run a plan or a program on an imaginary GPU",
        "confirm": "Run a plan under its budget on the GPU",
        "doctor": "This machine as a report that can be pasted",
    },
    "Own measurements": {
        "measure": "Run a sweep on this GPU and keep its bytes",
        "fit": "Fit predictions to what was measured",
        "accuracy": "How far predictions are off",
    },
}
"""For each command a summary that fits beside its name at 60 columns; in order of use."""
OTHERS = "Others"


class HelpFormatter(click.HelpFormatter):
    """Lays paragraphs that click keeps as they are out anew where the terminal is too narrow for them."""

    def write_text(self, text: str) -> None:
        """Write paragraphs; examples stay commands that can be pasted."""
        for number, paragraph in enumerate(re.split(r"\n[ \t]*\n", text)):
            if number:
                self.write_paragraph()
            if not paragraph.startswith("\b\n"):
                super().write_text(paragraph)
                continue
            indent = " " * self.current_indent
            lines = [indent + line for line in paragraph.splitlines()[1:]]
            if max(map(len, lines)) > self.width:
                style = Style(width=self.width)
                examples = lines[0].strip() == "Examples:"
                lines = _examples(lines, style) if examples else _prose(lines, style)
            self.write("\n".join(line.rstrip() for line in lines) + "\n")

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write options with their help; values that are too many for a line go on below."""
        room = self.width - self.current_indent
        super().write_dl([(self._option(first, room), second) for first, second in rows], col_max, col_spacing)

    def _option(self, text: str, room: int) -> str:
        if len(text) <= room:
            return text
        lines = [""]
        for part in re.split(r"(?<=\|)", text):
            if len(lines[-1]) + len(part) > room:
                lines.append("    ")
            lines[-1] += part
        return ("\n" + " " * self.current_indent).join(lines)


class HelpContext(click.Context):
    """A context whose help fits the terminal."""

    formatter_class = HelpFormatter


def in_order(names: Collection[str]) -> list[str]:
    """Commands in order of use; those of no section last."""
    known = [name for section in SECTIONS.values() for name in section if name in names]
    return [*known, *sorted(set(names) - set(known))]


def write_commands(formatter: click.HelpFormatter, names: Collection[str]) -> None:
    """The commands, each with its summary, under what they are for."""
    left = {name: "" for name in in_order(names) if not any(name in section for section in SECTIONS.values())}
    for title, section in {**SECTIONS, OTHERS: left}.items():
        rows = [(name, summary) for name, summary in section.items() if name in names]
        if rows:
            with formatter.section(title):
                formatter.write_dl([(name.ljust(max(map(len, names))), summary) for name, summary in rows])


def _examples(lines: list[str], style: Style) -> list[str]:
    """Each on a line of its own, what it does below it where it does not fit beside."""
    joined = re.sub(r" \\\n\s*", " ", "\n".join(lines)).splitlines()
    found = []
    for line in joined:
        command, _, remark = re.sub(r"(\S) {3,}(?=\S)", "\\1\0", line).partition("\0")
        if remark and len(line) > (style.width or len(line)):
            found += [*style.wrapped(command), *style.wrapped(f"      {remark}")]
        else:
            found += style.wrapped(line)
    return found


def _prose(lines: list[str], style: Style) -> list[str]:
    """A paragraph filled anew; a sentence that began a line still does."""
    indent = lines[0][: len(lines[0]) - len(lines[0].lstrip())]
    sentences: list[str] = []
    for line in lines:
        if sentences and not sentences[-1].endswith("."):
            sentences[-1] += f" {line.strip()}"
        else:
            sentences.append(line.strip())
    width = (style.width or 80) - len(indent)
    return [indent + line for sentence in sentences for line in Style(width=width).prose(sentence).splitlines()]
