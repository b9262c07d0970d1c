"""One estimator in a process of its own: python -m estimators.worker NAME TIMEOUT_SECONDS < cases.json

Loads the estimator's libraries once, then forks for every case, so that the memory, the time and the end of one
answer are its own. Writes a JSON object per line: first {"version", "import_seconds"} or {"missing"}, then the answers.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any, TextIO

from estimators.cases import ESTIMATORS, TRUTH, Answer, Case, Estimator

_BYTES_PER_RSS = 1024 if sys.platform == "linux" else 1
"""ru_maxrss counts KiB on Linux, bytes on macOS."""


def main(arguments: list[str]) -> int:
    """Answer the cases on standard input."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    name, timeout_seconds = arguments[0], int(arguments[1])
    estimator = {known.name: known for known in (*ESTIMATORS, TRUTH)}[name]
    cases = [Case(**values) for values in json.load(sys.stdin)]
    # What libraries print must not mix with the answers; what they say on standard error the parent has sent away.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    warnings.simplefilter("ignore")
    try:
        began = time.perf_counter()
        function = _load(estimator)
        _write(answers, {"version": _version(estimator), "import_seconds": time.perf_counter() - began})
    except importlib.metadata.PackageNotFoundError as error:
        _write(answers, {"missing": f"{error.name} is not installed"})
        return 0
    except ImportError as error:
        _write(answers, {"missing": f"{type(error).__name__}: {error}"})
        return 0
    for case in cases:
        _write(answers, asdict(_answer_apart(function, case, timeout_seconds)))
    return 0


def _load(estimator: Estimator) -> Callable[[Case], Answer]:
    """The estimator's function, with the heavy libraries imported."""
    if estimator.package:
        importlib.metadata.version(estimator.package)
    for module in ("torch", "torchvision", "sam2.build_sam", "sam2.sam2_image_predictor", *estimator.imports):
        importlib.import_module(module)
    module, name = estimator.function.split(":")
    function: Callable[[Case], Answer] = getattr(importlib.import_module(module), name)
    return function


def _version(estimator: Estimator) -> str:
    return importlib.metadata.version(estimator.package) if estimator.package else "this checkout"


def _write(stream: TextIO, values: dict[str, Any]) -> None:
    stream.write(json.dumps(values) + "\n")
    stream.flush()


def _answer_apart(function: Callable[[Case], Answer], case: Case, timeout_seconds: int) -> Answer:
    """The answer from a forked process, with that process's peak of resident memory."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        signal.alarm(timeout_seconds)
        with os.fdopen(writing, "w", encoding="utf-8") as pipe:
            json.dump(asdict(_answer(function, case)), pipe)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        text = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        reason = f"no answer within {timeout_seconds} s" if number == signal.SIGALRM else f"killed by signal {number}"
        answer = Answer(reason=reason)
    else:
        answer = Answer(**json.loads(text))
    return replace(answer, max_rss_bytes=usage.ru_maxrss * _BYTES_PER_RSS)


def _answer(function: Callable[[Case], Answer], case: Case) -> Answer:
    began = time.perf_counter()
    try:
        answer = function(case)
    except Exception as error:  # A tool may fail on a model in any way at all: its own words are the finding.
        # What a tool wraps says more than its wrapping.
        answer = Answer(reason=_in_a_line(error.__cause__ or error))
    return replace(answer, seconds=round(time.perf_counter() - began, 3))


def _in_a_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:300]}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
