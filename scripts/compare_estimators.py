"""Compare estimators of GPU memory on SAM 2, on the same configurations in one go.

accelerate, torchinfo, torch-preflight, torch-kitsune, FakeTensor, torch's MemTracker and this project, against a real
run on the CPU and against published figures, or against rehearsals; and what planners for language models say.

    pip install accelerate torchinfo torch-preflight torch-kitsune fitcheck-llm vramscout    # or reported missing
    python scripts/compare_estimators.py --markdown docs/peers-table.md --json peers.json
    python scripts/compare_estimators.py --rehearsed profiles/rehearsed --rows 12 --markdown -

Needs torch (its default CUDA wheel) and sam2; no GPU. Without --markdown and --json, JSON goes to standard output.
Some minutes on one core; --quick takes one. Each estimator runs in its own process and each estimate in a fork of it.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from estimators.cases import CPU_RUN, ESTIMATORS, PUBLISHED, REHEARSED, TRUTH, Answer, Case, Estimator, cases
from estimators.table import markdown
from estimators.truth import published, rehearsed

ROOT = Path(__file__).resolve().parent.parent
SEED = 14
INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells give it."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare, print, and say how it went."""
    options = _parser().parse_args(arguments)
    asked = [estimator for estimator in ESTIMATORS if not options.only or estimator.name in options.only]
    began = time.perf_counter()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        known = rehearsed(options.rehearsed) if options.rehearsed else {}
        if options.rehearsed and not known:
            print(f"{options.rehearsed} has no row that can be compared here.", file=sys.stderr)
            return 2
        drawn = random.Random(SEED).sample(sorted(known, key=str), min(options.rows, len(known)))
        document = compare(drawn or cases(options.quick), asked, options, known)
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return INTERRUPTED
    document["seconds"] = round(time.perf_counter() - began, 1)
    document["command"] = "python scripts/compare_estimators.py" + (" --quick" if options.quick else "")
    if options.rehearsed:
        document["command"] += f" --rehearsed {options.rehearsed} --rows {options.rows}"
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    if options.markdown:
        _write(options.markdown, markdown(document))
    if options.json or not options.markdown:
        _write(options.json or "-", text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--markdown", metavar="FILE", help="write the tables here; - is standard output")
    parser.add_argument("--json", metavar="FILE", help="write everything here; - is standard output")
    parser.add_argument("--quick", action="store_true", help="only tiny at 512²")
    names = [estimator.name for estimator in ESTIMATORS]
    parser.add_argument("--only", action="append", choices=names, help="only this estimator (repeatable)")
    parser.add_argument("--timeout", type=int, default=180, metavar="SECONDS", help="for one estimate (180)")
    parser.add_argument(
        "--published",
        type=Path,
        default=ROOT / "profiles" / "published",
        metavar="FOLDER",
        help="profiles of published figures (profiles/published)",
    )
    parser.add_argument(
        "--rehearsed", type=Path, metavar="FOLDER", help=f"against the {REHEARSED} rows of this folder instead (TSV)"
    )
    parser.add_argument("--rows", type=int, default=12, help="how many of them, drawn at random (12)")
    parser.add_argument("--verbose", action="store_true", help="show what the tools write to standard error")
    return parser


def compare(
    asked_cases: Sequence[Case],
    estimators: Sequence[Estimator],
    options: argparse.Namespace,
    rehearsals: Mapping[Case, Answer],
) -> dict[str, Any]:
    """The document: estimators with versions, and a row per case with the truth and all answers."""
    timeout_seconds, verbose = options.timeout, options.verbose
    load = f"load average {os.getloadavg()[0]:.1f} at the start"
    rows: list[dict[str, Any]] = [{"case": case.to_dict(), "truth": {}, "answers": {}} for case in asked_cases]
    real = [case for case in asked_cases if case.truth == CPU_RUN]
    _, truths = _ask(TRUTH, real, timeout_seconds, verbose) if real else ({}, {})
    for row, case in zip(rows, asked_cases, strict=True):
        known = truths.get(case) or rehearsals.get(case)
        if known is None:
            known = published(case, options.published) if case.truth == PUBLISHED else Answer()
        row["truth"] = {"kind": case.truth} | _as_dict(known)
    shown = []
    for estimator in estimators:
        head, answers = _ask(estimator, list(dict.fromkeys(map(estimator.asks, asked_cases))), timeout_seconds, verbose)
        shown.append({"name": estimator.name, "title": estimator.title, "what": estimator.what} | head)
        for row, case in zip(rows, asked_cases, strict=True):
            if (answer := answers.get(estimator.asks(case))) is not None:
                row["answers"][estimator.name] = _as_dict(answer)
    return {
        "date": datetime.date.today().isoformat(),
        "machine": f"{os.cpu_count()} CPU cores ({platform.machine()}), one thread, {load}",
        "versions": {"Python": platform.python_version()} | {name: _version(name) for name in ("torch", "sam2")},
        "estimators": shown,
        "rows": rows,
    }


def _as_dict(answer: Answer) -> dict[str, Any]:
    return {name: getattr(answer, name) for name in answer.__slots__}


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "missing"


def _ask(
    estimator: Estimator, asked_cases: Sequence[Case], timeout_seconds: int, verbose: bool
) -> tuple[dict[str, Any], dict[Case, Answer]]:
    """What the estimator's process says of itself, and its answers."""
    progress = _Progress(estimator.title, len(asked_cases))
    head: dict[str, Any] = {"version": None, "import_seconds": None, "missing": None}
    answers: dict[Case, Answer] = {}
    lines = _worker_lines(estimator, asked_cases, timeout_seconds, verbose)
    head |= next(lines, {"missing": "its process ended before it began"})
    if head["missing"]:
        progress.say(f"missing: {head['missing']}")
        return head, answers
    progress.say(f"version {head['version']}, imported in {head['import_seconds']:.1f} s")
    for case, values in zip(asked_cases, lines, strict=False):
        answers[case] = Answer(**values)
        progress.step(case.title, answers[case])
    for case in asked_cases[len(answers) :]:
        answers[case] = Answer(reason="its process ended early")
    return head, answers


def _worker_lines(
    estimator: Estimator, asked_cases: Sequence[Case], timeout_seconds: int, verbose: bool
) -> Iterator[dict[str, Any]]:
    """The JSON lines of a worker, which ends with this generator."""
    path = os.pathsep.join(filter(None, (str(ROOT / "scripts"), str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    command = [sys.executable, "-m", "estimators.worker", estimator.name, str(timeout_seconds)]
    errors = None if verbose else subprocess.DEVNULL
    pipe = subprocess.PIPE
    with subprocess.Popen(
        command, stdin=pipe, stdout=pipe, stderr=errors, env=environment, text=True, start_new_session=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            json.dump([case.to_dict() for case in asked_cases], process.stdin)
            process.stdin.close()
            for line in process.stdout:
                yield json.loads(line)
        finally:
            # The worker and the fork that is answering.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)


class _Progress:
    """A line per answer on standard error."""

    def __init__(self, title: str, total: int) -> None:
        self._title, self._total, self._done = title, total, 0

    def say(self, text: str) -> None:
        print(f"{self._title}: {text}", file=sys.stderr, flush=True)

    def step(self, case: str, answer: Answer) -> None:
        self._done += 1
        figure = f"{answer.peak_bytes / 1e6:,.1f} MB" if answer.peak_bytes else f"not possible: {answer.reason}"
        self.say(f"{self._done}/{self._total} {case}: {figure} ({answer.seconds or 0:.1f} s)")


def _write(path: str, text: str) -> None:
    if path == "-":
        sys.stdout.write(text)
    else:
        Path(path).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    raise SystemExit(main())
