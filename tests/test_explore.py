"""`explore`: arrow keys change a plan, each setting is answered as planning does, Enter prints the command."""

from __future__ import annotations

import asyncio
import json
import os
import pty
import select
import shlex
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Static

import planner
from planner.cli.exploration import Answer, Exploration
from planner.cli.explorer import COLUMNS, LINES, Explorer
from planner.text.units import format_size
from tests.conftest import ROOT, document_of, invoke, validate

Script = Callable[[Explorer, Pilot[Answer]], Awaitable[None]]


def explore(script: Script, size: tuple[int, int] = (100, 30), **asked: Any) -> Explorer:
    """The program after a script of keys."""
    app = Explorer(Exploration({"vram": "2GB", **(asked or {"objects": 10})}))

    async def drive() -> None:
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            await script(app, pilot)

    asyncio.run(drive())
    return app


def shown(app: Explorer, name: str) -> str:
    """What a part of the screen says."""
    return str(app.query_one(f"#{name}", Static).render())


def test_the_answer_follows_the_keys() -> None:
    async def script(app: Explorer, pilot: Pilot[Answer]) -> None:
        first = planner.plan(vram="2GB", objects=10)
        assert first.chosen is not None
        assert format_size(first.chosen.estimate.total_bytes) in shown(app, "verdict")
        await pilot.press("left", "down", "down", "down", "right")
        pinned = planner.plan(
            vram="2GB", objects=12, variant="base_plus", resolution=1024, precision="autocast_bfloat16"
        )
        assert app.answer.plan.to_dict() == pinned.to_dict()
        assert pinned.chosen is not None
        assert shown(app, "verdict").startswith(f"FITS  {format_size(pinned.chosen.estimate.total_bytes)} of")
        assert "> objects" in shown(app, "rows")
        assert document_of(shlex.split(app.answer.command)[1:])["estimate"] == app.answer.plan.to_dict()["estimate"]
        assert shown(app, "command") == f"$ {app.answer.command}"

    explore(script)


def test_what_does_not_fit_has_its_bar_and_its_reason() -> None:
    async def script(app: Explorer, pilot: Pilot[Answer]) -> None:
        before = shown(app, "bar")
        await pilot.press("down", *["right"] * 12)
        assert app.answer.plan.chosen is None
        assert shown(app, "verdict").startswith("DOES NOT FIT  large 2.1 at ")
        assert app.answer.estimate is not None
        assert app.answer.estimate.least_bytes > app.answer.plan.budget.usable_bytes
        assert shown(app, "bar") != before
        assert "░" in before
        assert "░" not in shown(app, "bar").splitlines()[0][:20]

    explore(script)


def test_rows_end_and_begin_again() -> None:
    async def script(app: Explorer, pilot: Pilot[Answer]) -> None:
        names = [row.name for row in app.exploration.rows]
        assert names == ["variant", "resolution", "precision", "objects", "frames", "budget"]
        await pilot.press("right", "right")
        assert app.exploration.rows[0].value == "large"
        await pilot.press("up", *["left"] * 30)
        assert app.exploration.rows[-1].value == 10**9
        assert app.answer.plan.budget.total_bytes == 10**9
        assert "1000 MB, 950 MB usable" in shown(app, "head")
        await pilot.press("down")
        assert app.place == 0

    explore(script)


@pytest.mark.parametrize("task", ["image", "automask"])
def test_other_tasks_have_fewer_rows(task: str) -> None:
    async def script(app: Explorer, pilot: Pilot[Answer]) -> None:
        assert "frames" not in shown(app, "rows")
        await pilot.press("left")
        assert app.answer.plan.request.workload.task == task

    explore(script, task=task)


def test_a_value_between_two_steps_is_kept_until_it_is_changed() -> None:
    rows = {row.name: row for row in Exploration({"vram": "2.5GB", "objects": 7}).rows}
    assert rows["objects"].value == 7
    assert rows["objects"].step(1) and rows["objects"].value == 8
    assert rows["budget"].step(-1) and rows["budget"].value == 2 * 10**9


def test_enter_takes_and_q_leaves() -> None:
    async def enter(app: Explorer, pilot: Pilot[Answer]) -> None:
        await pilot.press("left", "enter")

    async def leave(app: Explorer, pilot: Pilot[Answer]) -> None:
        await pilot.press("left", "q")

    taken = explore(enter)
    assert taken.return_value is not None
    assert "--variant base_plus" in taken.return_value.command
    assert explore(leave).return_value is None


def test_a_terminal_that_became_too_small_says_so() -> None:
    async def script(app: Explorer, pilot: Pilot[Answer]) -> None:
        await pilot.resize_terminal(40, 10)
        await pilot.pause()
        assert "40 columns and 10 lines" in shown(app, "small")
        assert app.query_one("#small").display
        assert not app.query_one("#all").display
        await pilot.press("down", *["right"] * 12)  # a reason takes most lines
        await pilot.resize_terminal(COLUMNS, LINES)
        await pilot.pause()
        assert app.query_one("#all").display
        bottom = max(part.region.bottom for part in app.query("#all Static"))
        assert bottom <= LINES - 1
        await pilot.press("q")

    explore(script)


def in_terminal(keys: bytes, columns: int, lines: int, *words: str) -> tuple[int, str]:
    """The exit code and all that the command writes in a terminal of that size, after keys."""
    code = "import sys; from planner.cli.main import main; sys.exit(main(sys.argv[1:]))"
    terminal, inside = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(columns), "LINES": str(lines), "TERM": "xterm-256color"}
    command = [sys.executable, "-c", code, "explore", "--vram", "2GB", *words]
    with subprocess.Popen(
        command, stdin=inside, stdout=inside, stderr=inside, start_new_session=True, env=environment, cwd=ROOT
    ) as child:
        os.close(inside)
        seen, sent, end = b"", not keys, time.monotonic() + 60
        while time.monotonic() < end:
            ready, _, _ = select.select([terminal], [], [], 0.2)
            try:
                seen += os.read(terminal, 65536) if ready else b""
            except OSError:  # its other end is closed
                break
            if not sent and b"print the command" in seen:
                os.write(terminal, keys)
                sent = True
        else:
            child.kill()
    os.close(terminal)
    return child.returncode, seen.decode(errors="replace")


def test_in_a_terminal_enter_prints_the_command_last() -> None:
    code, seen = in_terminal(b"\r", 100, 30)
    assert code == 0
    assert seen.rstrip().splitlines()[-1].endswith("--precision autocast_bfloat16")


def test_for_programs_enter_prints_the_plan() -> None:
    code, seen = in_terminal(b"\x1b[D\r", 100, 30, "--format", "json")
    assert code == 0
    document = json.loads(seen[seen.index('{\r\n  "schema_version"') :])
    validate(document)
    assert document["request"]["pins"]["variant"] == "base_plus"


def test_a_terminal_that_is_too_small_is_refused() -> None:
    code, seen = in_terminal(b"", 40, 10)
    assert code == 2
    assert "40 columns and 10 lines" in " ".join(seen.split())


def test_a_pipe_is_refused() -> None:
    found = invoke("explore", "--vram", "2GB")
    assert (found.code, found.out) == (2, "")
    assert "needs a terminal" in found.err
