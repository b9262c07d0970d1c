"""What the tests share: the command line in-process, and JSON Schemas of what it prints."""

from __future__ import annotations

import contextlib
import gc
import io
import json
import os
import re
import shlex
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

# Two tests run at once, and small products are several times faster on one thread; before torch is imported.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Traces make millions of small objects that live for long: looking for cycles at every 700th costs a fifth of them.
gc.set_threshold(100_000, 50, 50)

import jsonschema
import pytest
from hypothesis import settings

from planner.cli.main import main
from planner.machine.present import present_gpus

os.environ["SAM2_PLAN_HOME"] = tempfile.mkdtemp(prefix="sam2-plan-tests-")
"""Nobody's own measurements decide how tests end, and tests leave nothing among them."""
os.environ["SAM2_PLAN_CUDNN"] = "none"
"""Simulations end alike whether torch brings a cuDNN or not."""
os.environ.pop("COLUMNS", None)
"""Text has no width but where a test gives it one; workers of pytest-xdist are told a width."""
os.environ["SAM2_PLAN_TRACEBACK"] = "1"
"""What the command line would call a bug comes out of it and fails the test."""

settings.register_profile("tests", deadline=None, derandomize=True, database=None, max_examples=60)
settings.load_profile("tests")

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell that starts `pytest &` has it ignored, which children would inherit; tests are about what it does.
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
SCHEMAS = ROOT / "planner" / "wire" / "schemas"
EXIT_CODES = range(6)

Refused = TypeVar("Refused", bound=Exception)


@dataclass(frozen=True)
class Outcome:
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The one JSON document on stdout, valid by its schema; stderr stays empty."""
        document: dict[str, Any] = json.loads(self.out, parse_constant=lambda word: json_fault(word))
        assert self.err == ""
        validate(document)
        return document


def json_fault(word: str) -> None:
    raise AssertionError(f"{word} is not JSON")


class Terminal(io.TextIOWrapper):
    """A stream that may claim to be a terminal."""

    def __init__(self, tty: bool = False, encoding: str = "utf-8") -> None:
        self.bytes = io.BytesIO()
        self.tty = tty
        super().__init__(self.bytes, encoding=encoding, errors="strict", write_through=True)

    def isatty(self) -> bool:
        return self.tty

    def text(self) -> str:
        return self.bytes.getvalue().decode(self.encoding)


def invoke(*words: str, tty: bool = False, encoding: str = "utf-8") -> Outcome:
    """Run the command line in this process; what it raises comes out and fails the test."""
    out, err = Terminal(tty, encoding), Terminal(tty)
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    return Outcome(code, out.text(), err.text())


def refusal(error: type[Refused], function: Callable[..., object], *arguments: object) -> Refused | None:
    """The error of that type that a call gives, or None where it gives a value; any other comes out."""
    try:
        function(*arguments)
    except error as caught:
        return caught
    return None


def document_of(words: Sequence[str]) -> dict[str, Any]:
    """The JSON document of a command line."""
    outcome = invoke(*words, "--format", "json")
    document = outcome.document
    assert document.get("exit_code", outcome.code) == outcome.code
    return document


@lru_cache(maxsize=8)
def schema_of(kind: str) -> dict[str, Any]:
    """The JSON Schema that ships for a kind of document."""
    schema: dict[str, Any] = json.loads((SCHEMAS / f"{kind}.schema.json").read_text(encoding="utf-8"))
    return schema


@lru_cache(maxsize=8)
def validator_of(kind: str) -> jsonschema.Draft202012Validator:
    return jsonschema.Draft202012Validator(schema_of(kind))


def kind_of(document: dict[str, Any]) -> str:
    return "error" if "error" in document else str(document["kind"])


def validate(document: dict[str, Any]) -> None:
    """Fail unless the document is valid by the schema of its kind."""
    validator_of(kind_of(document)).validate(document)


# -- tests that need CUDA -----------------------------------------------------------------------------------


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """A test marked `gpu` runs here where a GPU is; else in a fresh process, on an imaginary one."""
    from tests.stages import ON_STAGE, on_stage

    if pyfuncitem.get_closest_marker("gpu") is None or ON_STAGE in os.environ or present_gpus():
        return None
    options = ("-n", "0", "-p", "no:cacheprovider", "-q", "-rs")
    ran = on_stage(sys.executable, "-m", "pytest", *options, pyfuncitem.nodeid)
    skipped = re.search(r"^SKIPPED \[1\] [^ ]+ (.*)$", ran.stdout, re.MULTILINE)
    if skipped:
        pytest.skip(skipped[1])
    if ran.returncode:
        pytest.fail(f"On an imaginary GPU:\n{ran.stdout[-6000:]}{ran.stderr[-2000:]}", pytrace=False)
    return True


COMMAND = re.compile(r"sam2-plan (?:[^\n;]|;(?= ))*")


def commands(text: str) -> list[list[str]]:
    """The command lines of a text, without what stands before the program's name."""
    found = []
    for line in text.splitlines():
        for part in re.split(r", or |&&|(?<=[a-z0-9]): (?!.*: )", line):
            match = COMMAND.search(part.split(". ")[0])
            if match:
                found.append(shlex.split(match.group().rstrip(" .;)"))[1:])
    return found
