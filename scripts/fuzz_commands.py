#!/usr/bin/env python3
"""Throw command lines, plans, policies, configurations and machine reports at the program, most of them broken.

    python scripts/fuzz_commands.py                       10,000 cases on two processes, some minutes
    python scripts/fuzz_commands.py --count 500 --seed 7
    python scripts/fuzz_commands.py --only 7:123          one case again, with what it said

Each case runs in this process, as the program would. It must end in an exit code of the contract (or the one that
--not-fit-exit-code asks for), never in a traceback or a report of a bug; it may write nothing but the files that it
names; with --format json it prints one document. The slowest are printed: the bound is a second.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import random
import shlex
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

import planner
from planner.cli.main import main as sam2_plan
from planner.machine.this_machine import this_machine
from planner.nouns.machine import Machine

SECONDS = 1.0
SOUND_PLANS: tuple[dict[str, Any], ...] = (
    {"vram": "3GB", "objects": 10},
    {"vram": "0.5GB", "objects": 10},
    {"vram": "8GB", "task": "automask"},
    {"gpu": "RTX 3060", "task": "image"},
)
POLICY = """schema_version: 1
mode: enforce
minimum_quality: 79.0
maximum_bytes: 2GB
required_headroom: 10%
allowed_variants: [base_plus, large]
allowed_precisions: [autocast_bfloat16, float16]
exceptions:
- {rule: maximum_bytes, until: 2026-12-31, reason: trial}
"""
CONFIG = """vram: 3GB
objects: 4
check:
  strict: true
  wait: 0s
"""
OPTIONS = {
    "": "vram gpu device task objects frames frame-size variant version resolution precision attention prefer headroom "
    "top explain strict exit-zero gpus streams",
    "check": "vram gpu device input checkpoint sha256 out save policy strict exit-zero not-fit-exit-code oneline wait",
    "pick": "gpus index wait",
    "place": "on gpu share input out checkpoint random-weights name memory cpus image claim sharing namespace queue "
    "gpu-type shards-per-gpu time",
    "compare": "",
    "limits": "vram gpu headroom task objects variant precision frame-size",
    "need": "variant objects frames task precision resolution headroom top",
    "predict": "variant objects frames task precision resolution runtime object-batch gpu",
    "doctor": "",
    "gpus": "",
    "checkpoints": "variant version to from",
}
FLAGS = ("explain", "strict", "exit-zero", "oneline", "index", "random-weights")
SOUND = {
    "vram": "3GB 2GB 1.2GB 24GB 900MiB 8GB,24GB",
    "gpu": "'RTX 3060' T4 A100 'H100 80 GB' 24GB",
    "device": "0 GPU-00000000-0000-0000-0000-000000000000",
    "task": "video image automask",
    "objects": "1 10 50 1000",
    "frames": "1 240 unlimited 100000",
    "frame-size": "1080x1920 64x96 2160x3840",
    "variant": "tiny small base_plus large",
    "version": "2.1 2.0",
    "resolution": "512 1024 2048 576x1024",
    "precision": "float16 float32 autocast_bfloat16",
    "attention": "auto flash math",
    "prefer": "quality speed balanced",
    "headroom": "auto none 10% 500MB",
    "top": "0 1 5",
    "gpus": "1 2",
    "streams": "1 4 9",
    "input": "clip.mp4 plan.yaml . /dev/null",
    "checkpoint": "none.pt plan.yaml . facebook/sam2.1-hiera-tiny",
    "sha256": f"{'0' * 64} abc",
    "out": "masks no/masks /proc/x .",
    "save": "png,coco npz png,gif",
    "policy": "policy.yaml none.yaml",
    "not-fit-exit-code": "0 77 255 256",
    "wait": "0s 0.1s",
    "on": "ray kubernetes slurm skypilot",
    "share": "bound budget",
    "name": "job 'My Job'",
    "memory": "16GB",
    "to": ". masks",
    "from": "https://mirror.example file:///etc",
    "cpus": "4",
    "image": "registry/x:1",
    "claim": "data",
    "sharing": "whole mig hami kai",
    "namespace": "team",
    "queue": "default-queue",
    "gpu-type": "a100",
    "shards-per-gpu": "8",
    "time": "30 2:00:00",
    "runtime": "own stock reimplementation",
    "object-batch": "1 8",
}
STRANGE = (
    "2,5GB nan -1 0 2 999999999999 1e9 large huge 1000 json -- --help masks x=y é \U0001f600 '' '*' '$(id)' ../../etc "
    "/etc/passwd '\0' '--format' [1] {} 2GB;rm"
)


@dataclass(frozen=True, slots=True)
class Case:
    """A command line, the files it is given, and those it may write."""

    words: tuple[str, ...]
    files: dict[str, bytes]
    writes: frozenset[str]


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a case."""

    case: str
    """seed:number, to run it again."""
    command: str
    code: int | None
    seconds: float
    faults: tuple[str, ...] = field(default=())


class Maker:
    """Makes cases: each from a generator of its own, so that any can be made again."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._plans = [yaml.safe_dump(planner.plan(**asked).to_dict(), sort_keys=False) for asked in SOUND_PLANS]
        self._plans.append(json.dumps(planner.plan(vram="2GB").to_dict()))
        self._machine = json.dumps(_machine())

    def case(self, number: int) -> Case:
        """The case of that number: now a command line alone, now one sound but for a file."""
        chance = random.Random(f"{self._seed}:{number}")
        files: dict[str, bytes] = {
            "plan.yaml": chance.choice(self._plans).encode(),
            "other.yaml": chance.choice(self._plans).encode(),
            "policy.yaml": POLICY.encode(),
            "config.yaml": CONFIG.encode(),
            "machine.json": self._machine.encode(),
        }
        for name in files:
            if chance.random() < 0.25:
                files[name] = broken(files[name], chance)
        command = chance.choice(list(OPTIONS))
        words = [command] if command else []
        words += {"check": ["plan.yaml"], "pick": ["plan.yaml"], "place": ["plan.yaml"]}.get(command, [])
        words += ["plan.yaml", "other.yaml"] if command == "compare" else []
        words += self._options(command, chance)
        writes = set()
        if command in ("", "check", "place", "doctor") and chance.random() < 0.4:
            name = chance.choice(
                ["out.json", "out.yaml", "out.sarif", "out.xml", "out.md", "sub/out.json", "plan.yaml"]
            )
            writes.add(name)
            words += ["-o", name]
        if chance.random() < 0.15:
            words = ["--config", "config.yaml", *words]
        if chance.random() < 0.05:
            chance.shuffle(words)
        return Case(tuple(words), files, frozenset(writes))

    def _options(self, command: str, chance: random.Random) -> list[str]:
        """Mostly what the command takes, with sound values; at times what nobody would write."""
        known, strange = OPTIONS[command].split(), shlex.split(STRANGE)
        odd = chance.choice([0.0, 0.0, 0.1, 0.4])
        found: list[str] = []
        for _ in range(chance.randint(0, 5)):
            if chance.random() < odd:
                found.append(chance.choice([*strange, _gibberish(chance)]))
            elif known:
                option = chance.choice(known)
                found.append(f"--{option}")
                if option not in FLAGS:
                    sound = shlex.split(SOUND[option])
                    found.append(chance.choice(strange if chance.random() < odd else sound))
        if chance.random() < 0.4:
            tables = ["csv", "markdown"] if command in ("", "limits", "need", "gpus", "compare") else ["xml"]
            forms = ["json", "json", "text", *(["markdown", "sarif", "junit"] if command == "check" else tables)]
            found += ["--format", chance.choice(forms)]
        return found + _needed(command, found, chance)


def _needed(command: str, found: list[str], chance: random.Random) -> list[str]:
    """What the command cannot do without, most of the time."""
    words: list[str] = []
    budgets = {"--vram", "--gpu", "--device"}
    if command in ("", "check", "pick", "limits") and not budgets & set(found) and chance.random() < 0.9:
        machine = command in ("pick", "") or chance.random() < 0.4
        words += ["--simulate-gpu", "machine.json"] if machine and command != "limits" else ["--vram", "3GB"]
    if command == "check" and chance.random() < 0.5:
        words += ["--policy", "policy.yaml"]
    if command in ("predict", "need") and "--variant" not in found:
        words += ["--variant", chance.choice(["tiny", "large"])]
    if command == "place" and chance.random() < 0.9:
        engine = ["ray", "kubernetes", "slurm", "skypilot"]
        words += [] if "--on" in found else ["--on", chance.choice(engine)]
        words += ["--input", "clip.mp4", "--random-weights", "--image", "x", "--claim", "data", "--", "--point", "1,2"]
    return words


def _gibberish(chance: random.Random) -> str:
    return "".join(chr(chance.choice([*range(1, 127), 0x3B1, 0x1F600])) for _ in range(chance.randint(0, 8)))


def broken(data: bytes, chance: random.Random) -> bytes:
    """A file damaged in one of the ways that files are: cut, overwritten, or changed by somebody who knew its form."""
    kind = chance.randrange(8)
    at = chance.randrange(max(1, len(data)))
    if kind == 0:
        return data[:at]
    if kind == 1:
        return data[:at] + bytes(chance.randrange(256) for _ in range(chance.randint(1, 12))) + data[at + 3 :]
    if kind == 2:
        return chance.choice([b"", b"\0" * 40, b"[" * 5000, b"{" * 5000, b"a: &a [*a]", b"!!python/object:os.system x"])
    if kind == 3:
        lines = data.split(b"\n")
        chance.shuffle(lines)
        return b"\n".join(lines)
    return json.dumps(changed(yaml.safe_load(data), chance), default=str).encode()


def changed(value: Any, chance: random.Random) -> Any:
    """Plain data with one place deleted, doubled, or given a value of another kind."""
    strange: list[Any] = [
        None,
        True,
        -1,
        0,
        10**30,
        1e308,
        "",
        "x" * 3000,
        "2GB",
        [],
        {},
        [[]],
        "2.1",
        "large",
        "\ud800",
        [1, 2],
    ]
    if isinstance(value, dict) and value and chance.random() < 0.9:
        key = chance.choice(list(value))
        kind = chance.random()
        if kind < 0.15:
            return {name: inner for name, inner in value.items() if name != key}
        if kind < 0.25:
            return {**value, f"{key}s": value[key]}
        return {**value, key: changed(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], changed(value[place], chance), *value[place + 1 :]]
    return chance.choice(strange)


def run(case: Case, name: str, folder: Path) -> Result:
    """Run a case in an empty folder and say what is wrong with how it ended."""
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    for path, data in case.files.items():
        (folder / path).write_bytes(data)
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    code: int | None = None
    faults: list[str] = []
    began = time.perf_counter()
    with _watched(folder) as written, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = sam2_plan(list(case.words))
        except BaseException as error:
            faults.append(f"it let {type(error).__name__} out: {error}")
    seconds = time.perf_counter() - began
    said, complaint = (_text(stream) for stream in (out, err))
    faults += _faults(case, code, said, complaint)
    faults += [f"it wrote {path}" for path in written if path not in case.writes]
    command = shlex.join(["sam2-plan", *case.words])
    return Result(name, command, code, seconds, tuple(faults))


def _faults(case: Case, code: int | None, said: str, complaint: str) -> Iterator[str]:
    allowed = set(range(6)) | {
        int(word) for word in case.words if word.isascii() and word.isdecimal() and len(word) < 4
    }
    if code not in allowed:
        yield f"exit code {code}"
    for word in ("Traceback", "This is a bug", "Exception ignored"):
        if word in said or word in complaint:
            yield f"{word}: {(said + complaint)[-300:]}"
    if code in (1, 2) and not said and not complaint.startswith("error: "):
        yield f"a failure without a message: {complaint[:80]!r}"
    if said.startswith("{") and "--oneline" not in case.words:
        try:
            json.loads(said)
        except ValueError as error:
            yield f"stdout is not one JSON document: {error}"


@contextlib.contextmanager
def _watched(folder: Path) -> Iterator[set[str]]:
    """Names, relative to the folder, of what is written while the block runs; temporary neighbours count as theirs."""
    here = os.getcwd()
    os.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    written: set[str] = set()
    _WATCH.append((folder, written))
    try:
        yield written
    finally:
        _WATCH.pop()
        os.chdir(here)
        for path in folder.rglob("*"):
            if path.is_file() and before.get(path) != path.stat().st_mtime_ns:
                written.add(str(path.relative_to(folder)))


_WATCH: list[tuple[Path, set[str]]] = []


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Python's own hook: every file that is opened for writing, made, renamed or removed while a case runs."""
    if not _WATCH or event not in ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "shutil.move", "os.link"):
        return
    folder, written = _WATCH[-1]
    path = arguments[1] if event == "os.rename" else arguments[0]
    if event == "open":
        flags = arguments[2] if len(arguments) > 2 and isinstance(arguments[2], int) else 0
        if not isinstance(path, str | bytes | os.PathLike) or not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            return
    name = os.path.abspath(os.fsdecode(path))
    inside = os.path.relpath(name, folder)
    leaf = os.path.basename(inside)
    if name == os.devnull or (leaf.startswith(".") and event in ("open", "os.remove", "os.mkdir")):
        return  # the hidden neighbour that becomes a file by being renamed
    if "__pycache__" not in name:
        written.add(inside)


sys.addaudithook(_audit)


def _text(stream: io.TextIOWrapper) -> str:
    stream.flush()
    buffer: Any = stream.buffer
    data: bytes = buffer.getvalue()
    return data.decode("utf-8", "replace")


def _machine() -> dict[str, Any]:
    """A doctor report, as sound as this machine's, with a GPU that it may not have."""
    from dataclasses import replace

    from planner.nouns.machine import PresentGpu
    from planner.wire.machine import machine_document

    gpu = PresentGpu(
        index=0, place=0, name="NVIDIA GeForce RTX 3060", uuid="GPU-0", capability=(8, 6), card_bytes=12 * 10**9,
        card_free_bytes=11 * 10**9, limit_bytes=None, driver="580.95", cuda="13.0", processes=(),
        display_attached=False, display_active=False, mig_mode=False, slice=None, unified=False,
        reasons={"limit_bytes": "none"},
    )  # fmt: skip
    machine: Machine = replace(this_machine(), gpus=(gpu,), reasons={})
    return {"schema_version": 1, "kind": "doctor", "machine": machine_document(machine)}


def run_some(seed: int, numbers: Sequence[int]) -> list[Result]:
    """The cases of these numbers, one after the other, in one process."""
    os.environ["SAM2_PLAN_HOME"] = tempfile.mkdtemp(prefix="sam2-plan-fuzz-home-")
    os.environ.pop("SAM2_PLAN_TRACEBACK", None)
    maker = Maker(seed)
    folder = Path(tempfile.mkdtemp(prefix="sam2-plan-fuzz-")).resolve()
    try:
        _warm_up()
        return [run(maker.case(number), f"{seed}:{number}", folder) for number in numbers]
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(os.environ["SAM2_PLAN_HOME"])


def _warm_up() -> None:
    """Load what is loaded once in a process: the bound is for the work, not for Python's imports of it."""
    for words in (["--help"], ["gpus"], ["--vram", "2GB"], *([name, "--help"] for name in OPTIONS if name)):
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            sam2_plan(words)


def main() -> int:
    """Run the cases; exit 1 if any had a fault."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", metavar="SEED:NUMBER", help="one case again")
    arguments = parser.parse_args()
    if arguments.only:
        return _again(*map(int, arguments.only.split(":")))
    results: list[Result] = []
    parts = [range(start, min(start + 250, arguments.count)) for start in range(0, arguments.count, 250)]
    with ProcessPoolExecutor() as pool:
        for found in pool.map(run_some, [arguments.seed] * len(parts), parts):
            results += found
            print(f"\r{len(results):,} of {arguments.count:,}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return summarise(results, print)


def summarise(results: Sequence[Result], say: Callable[[str], object]) -> int:
    """Print what came of it; 1 if there is a fault."""
    codes = Counter(result.code for result in results)
    say(f"{len(results):,} cases; exit codes {dict(sorted(codes.items(), key=str))}")
    slow = sorted(results, key=lambda result: -result.seconds)
    say(f"slowest {slow[0].seconds:.2f} s; median {slow[len(slow) // 2].seconds * 1e3:.0f} ms")
    say(f"over a second: {sum(result.seconds > SECONDS for result in results)}")
    for result in slow[:3]:
        say(f"  {result.seconds:.2f} s  {result.case}  {result.command[:150]}")
    bad = [result for result in results if result.faults]
    for result in bad[:20]:
        say(f"FAULT {result.case}: {result.command}\n  " + "\n  ".join(result.faults))
    say(f"{len(bad)} with faults")
    return 1 if bad else 0


def _again(seed: int, number: int) -> int:
    case = Maker(seed).case(number)
    folder = Path(tempfile.mkdtemp(prefix="sam2-plan-fuzz-")).resolve()
    result = run(case, f"{seed}:{number}", folder)
    print(
        f"{result.command}\nin {folder}\nexit code {result.code}, {result.seconds:.2f} s\n" + "\n".join(result.faults)
    )
    return 1 if result.faults else 0


if __name__ == "__main__":
    sys.exit(main())
