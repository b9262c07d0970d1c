"""Options that several commands share, as click parameters."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import click

from planner.errors import UsageError
from planner.nouns.words import (
    ATTENTIONS,
    DRIVEN_RUNTIMES,
    OTHER_RUNTIMES,
    POSITION_TABLES,
    PRECISIONS,
    PREFERENCES,
    PROCESSING_DEVICES,
    TASKS,
    VARIANTS,
    VERSIONS,
    Form,
    Runtime,
)
from planner.text.spelling import check_word
from planner.text.units import format_resolution, parse_frame_size, parse_resolution, portrait

OF_SAM2 = "size of SAM 2; edgetam, sam3_tracker: these models, in transformers"
"""Help of an option for a variant that may be another model."""
Decorator = Callable[[Any], Any]


class Word(click.ParamType[str]):
    """One of a set of words. Checked by the library, so that an error there and here reads the same."""

    name = "word"

    def __init__(self, words: tuple[str, ...]) -> None:
        self.words = words

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:
        """The words, as help shows them."""
        return f"[{'|'.join(self.words)}]"

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[Any]:
        """The words that go on from what was typed."""
        from click.shell_completion import CompletionItem

        return [CompletionItem(word) for word in self.words if word.startswith(incomplete)]


def stack(*decorators: Decorator) -> Decorator:
    """Several decorators as one, the first outermost."""

    def apply(function: Any) -> Any:
        for decorator in reversed(decorators):
            function = decorator(function)
        return function

    return apply


def runtime(known: tuple[Runtime, ...] = DRIVEN_RUNTIMES, words: str = "whose code runs") -> Decorator:
    """Whose code runs, asked in one way by all that predict, simulate, rehearse or measure."""
    return click.option("--runtime", type=Word(known), default="own", show_default=True, help=words)


runtimes = click.option(
    "--runtime", "runtimes", type=Word(OTHER_RUNTIMES), multiple=True,
    help="say what this runtime would need, too; may be given twice",
)  # fmt: skip

given = stack(
    click.option("--streaming", is_flag=True, help="give frames one by one, not the whole clip (transformers)"),
    click.option(
        "--processing-device", type=Word(PROCESSING_DEVICES), default="cuda", show_default=True,
        help="where a whole clip is prepared (transformers)",
    ),
)  # fmt: skip
"""How a clip is given to transformers."""
streaming = stack(
    given,
    click.option(
        "--keep-all", is_flag=True, help="keep every frame's memory: clear_non_cond_mem=False (ultralytics)"
    ),
)  # fmt: skip
"""What of transformers and Ultralytics changes bytes beside what all runtimes have."""

torch = click.option(
    "--torch",
    metavar="VERSION",
    help="torch release whose rules count: 2.11, 2.14.1+cu130  [default: the installed one]",
)

position_tables = click.option(
    "--position-tables", type=Word(POSITION_TABLES), default="built", show_default=True,
    help="when stock builds them: with the model (since 12/2024), at first use (before), never (forks)",
)  # fmt: skip


class _Form(click.Choice[str]):
    """What an answer is printed as. Checked here: nobody behind the command line knows of it."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The word as it was given."""
        try:
            return check_word(value, "format", tuple(self.choices))
        except UsageError as error:
            self.fail(str(error), param, ctx)


def form(known: tuple[Form, ...], words: str) -> Decorator:
    """What the answer is printed as."""
    return click.option("--format", "output", type=_Form(known), default="text", show_default=True, help=words)


output_format = form(("text", "json"), "text for people, json for programs (one document, for errors too)")

table_format = form(
    ("text", "json", "csv", "markdown"), "text for people, json for programs (errors too), csv or markdown: the table"
)
"""Of commands whose answer has a table."""

workload = stack(
    click.option("--task", type=Word(TASKS), default="video", show_default=True, help="what SAM 2 is to do"),
    click.option("--objects", metavar="N", default="1", show_default=True, help="objects tracked or prompted at once"),
    click.option("--frames", metavar="N|unlimited", help="length of the clip  [default: unlimited]"),
    click.option(
        "--frame-size", metavar="HxW", help="size of the source pictures  [default: 1080x1920, marked as assumed]"
    ),
)

pins = stack(
    click.option("--variant", type=Word(VARIANTS), help="pin the variant"),
    click.option("--version", type=Word(VERSIONS), help="pin the version of the checkpoints"),
    click.option("--resolution", metavar="N|HxW", help="pin the size that SAM 2 computes at: multiples of 32"),
    click.option("--precision", type=Word(PRECISIONS), help="pin the precision"),
    click.option("--attention", type=Word(ATTENTIONS), help="pin the attention kernel"),
)

simulate_gpu = click.option(
    "--simulate-gpu", metavar="FILE", help="use the GPUs of a doctor report (JSON) instead of this machine's"
)

headroom = click.option(
    "--headroom", metavar="auto|none|SIZE|PERCENT", default="auto", show_default=True,
    help="how much of the budget to hold back; auto is 5%",
)  # fmt: skip

host_memory = click.option(
    "--host-memory", metavar="SIZE", help="host memory for the run  [default: this machine's, if the GPU is its own]"
)

budget = stack(
    click.option("--vram", metavar="SIZE", help="plan for a budget: 2GB, 1.5GB, 1907MiB"),
    click.option("--gpu", metavar="NAME", help='plan for a GPU by name: "RTX 3060"'),
    click.option("--device", metavar="INDEX|UUID", help="plan for a GPU of this machine, from its free memory"),
    headroom,
    host_memory,
    simulate_gpu,
)  # fmt: skip

packing = stack(
    click.option(
        "--gpus", metavar="N", help="pack streams onto N GPUs: those present, N times the budget, or --vram 8GB,24GB"
    ),
    click.option("--streams", metavar="N", help="independent streams to run, each a process  [default: one per GPU]"),
    click.option("--shared", is_flag=True, help="the --streams of a GPU share one process: weights and context once"),
)


def words_of(text: str | None) -> list[str] | None:
    """The words of a list with commas; None of None."""
    return None if text is None else [word.strip() for word in text.split(",")]


def asks_for_several(asked: Mapping[str, Any]) -> bool:
    """Whether planning is asked for several streams or GPUs: by number, or by naming several."""
    named = any("," in (asked[name] or "") for name in ("vram", "gpu", "device"))
    if asked["shared"] and asked["streams"] is None:
        raise UsageError("How many streams share a process was not said.", "Give --streams.")
    return named or asked["gpus"] is not None or (asked["streams"] is not None and not asked["shared"])


def notes_on_order(options: Mapping[str, Any]) -> list[str]:
    """What to ask of sizes that may have been written width first, which most programs do and this one does not."""
    sizes = {}
    for name, parse in (("frame_size", parse_frame_size), ("resolution", parse_resolution)):
        try:
            sizes[name] = parse(options[name])
        except (KeyError, TypeError, UsageError):  # not given; or a size that the command itself will refuse
            continue
    frame, resolution = sizes.get("frame_size"), sizes.get("resolution")
    notes = []
    if frame and portrait(frame):
        swapped = format_resolution((frame[1], frame[0]))
        notes.append(f"--frame-size is height x width: {format_resolution(frame)} is portrait. Was {swapped} meant?")
    if resolution and portrait(resolution) and not (frame and portrait(frame)):
        swapped = format_resolution((resolution[1], resolution[0]))
        notes.append(
            f"--resolution is height x width: {format_resolution(resolution)} is portrait. Was {swapped} meant?"
        )
    return notes


target = stack(
    click.option("--vram", metavar="SIZE", help="check against a budget instead of this machine's GPU"),
    click.option("--gpu", metavar="NAME", help="check against a GPU by name"),
    click.option(
        "--device",
        metavar="INDEX|UUID",
        help="check against this GPU of the machine  [default: the plan's, else the first]",
    ),
    simulate_gpu,
)

exact = click.option(
    "--exact", is_flag=True, help="rehearse or simulate what decides instead of predicting it; takes seconds each"
)

decision = stack(
    click.option("--prefer", type=Word(PREFERENCES), default="quality", show_default=True, help="what to prefer"),
    click.option("--top", metavar="N", type=int, default=6, show_default=True, help="how many alternatives to keep"),
    click.option("--explain", is_flag=True, help="say for every candidate why it was or was not chosen"),
    click.option("-o", "--output", "path", metavar="FILE", help="save the plan too (.json: JSON, else YAML)"),
    click.option("--report", "report_path", metavar="FILE", help="save a page to look at, too (HTML)"),
    click.option(
        "--plot", "plot_path", metavar="FILE", help="save two pictures of it, too (.svg, .png); needs the extra plot"
    ),
    click.option("--strict", is_flag=True, help="exit 4 if the choice fits only tightly"),
    click.option("--exit-zero", is_flag=True, help="exit 0 even if nothing fits"),
    exact,
)
