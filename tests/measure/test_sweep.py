"""Sweeps: rows are neither lost nor doubled, whatever happens; profiles are what was measured."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from planner.errors import EnvironmentFailure, FileError, Interrupted
from planner.measure.outside import watched
from planner.measure.sweep import keep, sweep
from planner.measure.trial import Outcome, Trial
from planner.profiles import load_profile
from planner.text.files import read_journal
from tests.conftest import ROOT
from tests.measure.fakes import GPU, answer, out_of_memory, some_trials

PROFILE = "measured-nvidia-imaginary-8.yaml"


def test_a_sweep_writes_a_row_for_each_trial_and_a_profile_for_the_gpu(tmp_path: Path) -> None:
    trials = some_trials(5)
    swept = sweep(trials, tmp_path, answer, "measured")
    assert swept.ran == 5
    assert [path.name for path in swept.profiles] == [PROFILE]
    rows = load_profile(tmp_path / PROFILE)
    assert [row.id for row in rows] == [trial.id for trial in trials]
    for row, trial in zip(rows, trials, strict=True):
        sizes = {(figure.metric, figure.phase): figure.bytes for figure in row.figures}
        said = answer(trial)
        assert sizes["allocated", None] == said.allocated_bytes
        assert sizes["reserved", None] == said.reserved_bytes
        assert sizes["total", None] == (said.reserved_bytes or 0) + 450_000_000
        assert sizes["allocated", "load"] == 150_000_000
        assert (row.kind, row.use, row.runtime, row.alone) == ("measured", "fit", "own", True)
        assert (row.environment.gpu, row.environment.torch) == (GPU, "2.15.0")


def test_a_second_sweep_runs_nothing_again(tmp_path: Path) -> None:
    sweep(some_trials(4), tmp_path, answer, "measured")
    seen: list[str] = []

    def run(trial: Trial) -> Outcome:
        seen.append(trial.id)
        return answer(trial)

    swept = sweep(some_trials(6), tmp_path, run, "measured")
    assert (swept.ran, len(swept.measurements), len(seen)) == (2, 6, 2)


def test_failures_and_running_out_of_memory_are_rows_that_nothing_is_fitted_to(tmp_path: Path) -> None:
    trials = some_trials(3)
    answers = iter((answer(trials[0]), out_of_memory(trials[1]), Outcome(outcome="failed", gpu=GPU, error="a bug")))
    swept = sweep(trials, tmp_path, lambda trial: next(answers), "measured")
    rows = load_profile(swept.profiles[0])
    assert [(row.outcome, row.use) for row in rows] == [
        ("ran", "fit"),
        ("out_of_memory", "reference"),
        ("failed", "reference"),
    ]
    assert rows[2].figures == ()
    assert rows[2].error == "a bug"


def test_killed_fifty_times_it_ends_with_the_rows_of_a_sweep_that_was_not(tmp_path: Path) -> None:
    folder, source = tmp_path / "killed", random.Random(3)
    journal = folder / "measured.jsonl"
    command = [sys.executable, "-m", "tests.measure.sweep_slowly", str(folder), "0.02"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    for kill in range(50):
        before = journal.stat().st_size if journal.exists() else 0
        child = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.PIPE)
        # At work: rows are being written.
        while child.poll() is None and (journal.stat().st_size if journal.exists() else 0) <= before:
            time.sleep(0.002)
        time.sleep(0.03 * source.random())
        child.kill()
        child.communicate()
        lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
        if len(lines) > 15:
            # Soon done: take rows away, and now and then tear the last one, as a kill in the middle of a write does.
            stays = lines[: source.randrange(10)]
            torn = lines[len(stays)][: source.randrange(1, 60)] if kill % 2 else ""
            journal.write_text("".join(stays) + torn, encoding="utf-8")
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    rows = [json.loads(line) for line in journal.read_text(encoding="utf-8").splitlines()]
    assert sorted(row["id"] for row in rows) == sorted(trial.id for trial in some_trials())
    undisturbed = sweep(some_trials(), tmp_path / "undisturbed", answer, "measured")
    by_id = {row.id: row for row in load_profile(folder / PROFILE)}
    assert len(by_id) == len(undisturbed.measurements)
    assert all(by_id[row.id].figures == row.figures for row in undisturbed.measurements)


def test_an_interrupt_keeps_what_is_done_and_says_how_to_go_on(tmp_path: Path) -> None:
    count = iter(range(100))
    with pytest.raises(Interrupted, match="interrupted") as caught:
        sweep(some_trials(6), tmp_path, answer, "measured", stopping=lambda: next(count) == 3)
    assert "3 of 6 rows" in caught.value.hint
    assert len(load_profile(tmp_path / PROFILE)) == 3


def test_ctrl_c_during_a_trial_loses_only_that_trial(tmp_path: Path) -> None:
    count = iter(range(100))

    def run(trial: Trial) -> Outcome:
        if next(count) == 2:
            raise KeyboardInterrupt
        return answer(trial)

    with pytest.raises(Interrupted):
        sweep(some_trials(6), tmp_path, run, "measured")
    assert len(read_journal(tmp_path / "measured.jsonl")) == 2


def test_a_lost_gpu_ends_the_sweep_and_is_no_row(tmp_path: Path) -> None:
    count = iter(range(100))

    def run(trial: Trial) -> Outcome:
        return answer(trial) if next(count) < 2 else Outcome(outcome="lost", error="GPU is lost")

    with pytest.raises(Interrupted, match="lost the GPU"):
        sweep(some_trials(6), tmp_path, run, "measured")
    assert len(read_journal(tmp_path / "measured.jsonl")) == 2


def test_two_sweeps_on_one_folder_do_not_mix(tmp_path: Path) -> None:
    def run(trial: Trial) -> Outcome:
        with pytest.raises(EnvironmentFailure, match=f"process {os.getpid()}"):
            sweep(some_trials(1), tmp_path, answer, "measured")
        return answer(trial)

    assert sweep(some_trials(1), tmp_path, run, "measured").ran == 1


def test_rows_of_several_gpus_go_into_profiles_of_their_own(tmp_path: Path) -> None:
    trial = some_trials(1)[0]
    keep([(trial, answer(trial))], tmp_path)
    written = keep([(some_trials(2)[1], answer(trial, gpu="Another GPU"))], tmp_path)
    assert [path.name for path in written] == ["measured-another-gpu.yaml"]
    assert len(load_profile(tmp_path / PROFILE)) == 1


def test_a_newer_run_takes_the_older_ones_place(tmp_path: Path) -> None:
    trial = some_trials(1)[0]
    for scale in (1.0, 1.1):
        keep([(trial, answer(trial, scale=scale))], tmp_path)
    (row,) = load_profile(tmp_path / PROFILE)
    assert row.figures[0].bytes == answer(trial, scale=1.1).allocated_bytes


def test_a_broken_journal_is_named_and_left_alone(tmp_path: Path) -> None:
    sweep(some_trials(2), tmp_path, answer, "measured")
    journal = tmp_path / "measured.jsonl"
    text = "rubbish\n" + journal.read_text(encoding="utf-8")
    journal.write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match="line 1"):
        sweep(some_trials(3), tmp_path, answer, "measured")
    assert journal.read_text(encoding="utf-8") == text


def test_a_last_line_without_its_end_counts_for_nothing_even_where_it_reads_well(tmp_path: Path) -> None:
    sweep(some_trials(3), tmp_path, answer, "measured")
    journal = tmp_path / "measured.jsonl"
    journal.write_text(journal.read_text(encoding="utf-8").rstrip("\n"), encoding="utf-8")
    assert sweep(some_trials(3), tmp_path, answer, "measured").ran == 1
    assert len(read_journal(journal)) == 3


def test_rows_of_another_torch_are_made_again_in_their_place(tmp_path: Path) -> None:
    sweep(some_trials(2), tmp_path, answer, "measured", versions={"torch": "2.15.0"})
    again = sweep(some_trials(2), tmp_path, answer, "measured", versions={"torch": "2.15.0", "sam2": "1.1.0"})
    newer = sweep(some_trials(2), tmp_path, answer, "measured", versions={"torch": "2.16.0"})
    assert (again.ran, newer.ran, len(newer.measurements)) == (0, 2, 2)


def test_figures_that_cannot_be_are_a_failure_that_names_them(tmp_path: Path) -> None:
    impossible = replace(answer(some_trials(1)[0]), reserved_bytes=9_000_000_000)
    swept = sweep(some_trials(1), tmp_path, lambda trial: impossible, "measured")
    (row,) = swept.measurements
    assert (row.outcome, row.figures) == ("failed", ())
    assert "9000000000" in (row.error or "")


def test_a_gpu_that_others_use_is_said_and_its_context_is_not_believed() -> None:
    busy = SimpleNamespace(uuid="GPU-1", card_bytes=1, processes=("somebody",))
    outcome = watched("GPU-1", answer, lambda: [busy])(some_trials(1)[0])
    assert (outcome.alone, outcome.context_bytes) == (False, None)


def test_a_gpu_that_is_gone_is_lost() -> None:
    assert watched("GPU-1", answer, lambda: [])(some_trials(1)[0]).outcome == "lost"
