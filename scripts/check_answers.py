#!/usr/bin/env python3
"""Ask for plans at random, and hold every answer against the others that the product gives.

    python scripts/check_answers.py [--count 500] [--seed 13] [--first 0] [--jobs 2]

Each request is planned and then judged through the public interface: nothing better fits, limits hold on both sides,
`limits`, `need`, `predict` and `stock` say the same, more memory is never worse, every printed command does what it
promised, and text, document and schema agree. Every violation is printed with the command that shows it; exit code 1
if there is one.
"""

from __future__ import annotations

import argparse
import json
import math
import multiprocessing
import os
import random
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
os.environ.setdefault("SAM2_PLAN_HOME", str(ROOT / ".no-measurements"))

from planner.nouns.words import PRECISIONS, TASKS, VARIANTS  # noqa: E402
from tests.checker import document_faults  # noqa: E402
from tests.conftest import invoke, validate  # noqa: E402
from tests.oracle import world_faults  # noqa: E402

Document = dict[str, Any]
FRAME_SIZES = ((1080, 1920), (720, 1280), (2160, 3840), (1920, 1080), (480, 640), (4000, 6000), (8000, 12000), (64, 64))
GPUS = ("RTX 3060", "T4", "A100 PCIe 80 GB", "RTX 4090", "H200", "GTX 1650", "L4")
RESOLUTIONS = ("512", "768", "1024", "2048", "576x1024", "1024x576", "224", "3072")
MOST_OBJECTS = 10**6
VERDICTS = {"fits": 0, "tight": 1, "does_not_fit": 2}
EXIT_CODES = (0, 4, 3)
"""From best to worst: it fits, it fits with a warning under --strict, nothing fits."""
WORDS = {"fits": "FITS", "tight": "TIGHT", "does_not_fit": "DOES NOT FIT"}


def draw(seed: int, number: int) -> list[str]:
    """The options of a random request."""
    rng = random.Random(f"{seed}:{number}")
    task = rng.choices(TASKS, (5, 3, 3))[0] if set(TASKS) == {"video", "image", "automask"} else rng.choice(TASKS)
    words = ["--task", task]
    if rng.random() < 0.2:
        words += ["--gpu", rng.choice(GPUS)]
    else:
        words += ["--vram", f"{round(math.exp(rng.uniform(math.log(0.4), math.log(40))), 6)}GB"]
    if task != "automask" and rng.random() < 0.7:
        words += ["--objects", str(rng.choice((2, 3, 5, 10, 20, 40, 95, 300, 5000, 10**6)))]
    if task == "video" and rng.random() < 0.4:
        words += ["--frames", str(rng.choice((1, 5, 30, 300, 20_000)))]
    if rng.random() < 0.5:
        words += ["--frame-size", "x".join(map(str, rng.choice(FRAME_SIZES)))]
    for name, values, chance in (
        ("variant", VARIANTS, 0.25),
        ("version", ("2.0", "2.1"), 0.1),
        ("resolution", RESOLUTIONS, 0.25),
        ("attention", ("math", "efficient", "flash"), 0.1),
    ):
        if rng.random() < chance:
            words += [f"--{name}", rng.choice(values)]
    kernels = [p for p in PRECISIONS if p != "float32" or "flash" not in words]
    if rng.random() < 0.2:
        words += ["--precision", rng.choice(kernels)]
    if rng.random() < 0.35:
        words += ["--prefer", rng.choice(("speed", "balanced"))]
    if rng.random() < 0.3:
        words += ["--headroom", rng.choice(("none", "10%", "200MB", "33.3%"))]
    if rng.random() < 0.2:
        words += ["--strict"]
    if rng.random() < 0.2:
        words += ["--host-memory", rng.choice(("1GB", "1.5GB", "4GB", "64GB", "2000GB"))]
    return words


def check(words: Sequence[str]) -> list[str]:
    """What is wrong with the answer to a request; each with the command that shows it."""
    outcome = invoke(*words, "--format", "json")
    plan = json.loads(outcome.out)
    if "error" in plan:
        return [f"an error: {plan['error']['message']}  [{said(words)}]"]
    faults = [
        f"{fault.name}: {fault.detail}  [{said(words)}]" for fault in (*document_faults(plan), *world_faults(plan))
    ]
    for judge in (_form, _text, _limits, _need, _more_memory):
        faults += judge(list(words), plan, outcome.code)
    return faults


def _form(words: list[str], plan: Document, code: int) -> Iterator[str]:
    validate(plan)
    if code != plan["exit_code"]:
        yield f"exit code {code}, but the document says {plan['exit_code']}  [{said(words)}]"


def _text(words: list[str], plan: Document, code: int) -> Iterator[str]:
    """The text says what the document says."""
    outcome = invoke(*words)
    text = " ".join(outcome.out.split())
    expected = [WORDS[plan["verdict"]], f"{plan['budget']['total_bytes']:,} B", *plan["warnings"]]
    expected += [line["command"] for line in plan["try"]]
    if plan["chosen"]:
        chosen = plan["chosen"]
        expected += [f"{chosen['variant']} {chosen['version']} at {size(chosen['resolution'])}, {chosen['precision']}"]
        expected += [f"up to {size(plan['limits']['max_resolution'])}"]
        sure = plan["limits"]["sure_objects"]
        expected += [f"({sure:,} surely"] if sure is not None and sure < MOST_OBJECTS else []
    missing = [part for part in expected if " ".join(part.split()) not in text]
    if missing or outcome.code != code:
        yield f"the text lacks {missing} or ends in {outcome.code}  [{said(words)}]"


def _limits(words: list[str], plan: Document, code: int) -> Iterator[str]:
    """Planning reaches each limit and not one further, and `limits` names the same."""
    if not plan["chosen"]:
        return
    chosen, limits = plan["chosen"], plan["limits"]
    if limits["max_objects"] is None and plan["request"]["task"] == "image":
        asked = changed_words(words, {"objects": "100000"})
        if json.loads(invoke(*asked, "--top", "0", "--format", "json").out)["verdict"] == "does_not_fit":
            yield f"any number of objects is said to fit  [{said(asked)}]"
    here = {"variant": chosen["variant"], "version": chosen["version"], "resolution": size(chosen["resolution"])}
    at: list[tuple[dict[str, str], bool, str]] = []
    for name, sure in (("max_objects", ""), ("sure_objects", "fits")):
        most = limits[name]
        if most:
            at.append((here | {"objects": str(most)}, True, sure))
        if most is not None and most < max(MOST_OBJECTS, plan["request"]["objects"]):
            at.append((here | {"objects": str(most + 1)}, False, sure))
    for name, sure in (("max_resolution", ""), ("sure_resolution", "fits")):
        if limits[name]:
            at.append((here | {"resolution": size(limits[name])}, True, sure))
    for changed, fits, sure in at:
        asked = changed_words(words, changed)
        answer = json.loads(invoke(*asked, "--top", "0", "--format", "json").out)
        if (answer["verdict"] == "fits" if sure else answer["verdict"] != "does_not_fit") != fits:
            yield f"a limit that planning does not keep: {answer['verdict']}  [{said(asked)}]"
    asked = ["limits", *without(changed_words(words, here), "--prefer", "--strict")]
    rows = json.loads(invoke(*asked, "--format", "json").out)["reach"]
    for name in ("max_objects", "sure_objects", "gpu_objects"):
        most = max((row[name] or 0 for row in rows), default=0)
        if limits[name] is not None and limits[name] != most:
            yield f"limits says {name} {most}, the plan {limits[name]}  [{said(asked)}]"
    if chosen["resolution"][0] == chosen["resolution"][1]:
        largest = max((row["max_square"] or [0] for row in rows), default=[0])
        if limits["max_resolution"][0] != largest[0]:
            yield f"limits says {largest}, the plan {limits['max_resolution']}  [{said(asked)}]"


def _need(words: list[str], plan: Document, code: int) -> Iterator[str]:
    """`need` names the smallest budget that the plan names."""
    if plan["budget"]["gpu"] or plan["limits"]["smallest_total_bytes"] is None or plan["budget"]["host_bytes"]:
        return  # `need` knows neither a GPU nor a host
    asked = ["need", "--top", "0", *without(words, "--vram", "--prefer", "--strict", "--host-memory")]
    needs = json.loads(invoke(*asked, "--format", "json").out)["needs"]
    least = min(need["budget_bytes"] or math.inf for need in needs)
    if plan["limits"]["smallest_total_bytes"] != least:
        yield f"need says {least}, the plan {plan['limits']['smallest_total_bytes']}  [{said(asked)}]"


def _more_memory(words: list[str], plan: Document, code: int) -> Iterator[str]:
    """More memory is never worse: a strict exit code, then what is preferred, then the verdict at the same worth."""
    if plan["budget"]["gpu"]:
        return
    rng = random.Random(plan["budget"]["total_bytes"])
    for share in (rng.uniform(0.0005, 0.02), rng.uniform(0.02, 1.0)):
        more = plan["budget"]["total_bytes"] + round(plan["budget"]["total_bytes"] * share)
        asked = [*without(words, "--vram"), "--vram", f"{more / 10**9:.9f}GB", "--top", "0"]
        better = json.loads(invoke(*asked, "--format", "json").out)
        if worth(better) > worth(plan):
            yield f"more memory is worse: {worth(plan)} becomes {worth(better)}  [{said(asked)}]"
        if EXIT_CODES.index(better["exit_code"]) > EXIT_CODES.index(plan["exit_code"]):
            yield f"more memory turns exit code {plan['exit_code']} into {better['exit_code']}  [{said(asked)}]"


def worth(plan: Document) -> tuple[float, ...]:
    """What a plan is worth, smaller is better: in the order in which its preference looks at it."""
    chosen = plan["chosen"]
    if chosen is None:
        return (1.0,)
    request, verdict = plan["request"], VERDICTS[plan["verdict"]]
    quality, estimate, pace = order_of(chosen["variant"], chosen["version"], tuple(chosen["resolution"]))
    front = (verdict,) if plan["strict"] else ()
    if request["prefer"] == "speed":
        return (0.0, *front, -pace, verdict)
    if request["prefer"] == "balanced":
        return (0.0, *front)  # its own scale is held against the oracle's
    return (0.0, *front, estimate, -quality, verdict)


@cache
def order_of(variant: str, version: str, resolution: tuple[int, int]) -> tuple[float, bool, float]:
    """Accuracy, whether that is an estimate, and the pace, by which planning puts choices in order."""
    from tests.published import frames_per_second, quality

    estimate, value = quality(variant, version, resolution)
    return value, estimate, round(frames_per_second(variant, "2.1", resolution, 1, False), 9)


def size(pair: Sequence[int]) -> str:
    """Height x width, as options take it."""
    return f"{pair[0]}x{pair[1]}"


def without(words: Sequence[str], *options: str) -> list[str]:
    """The words without these options and their values."""
    found, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in options:
            skip = word != "--strict"
        else:
            found.append(word)
    return found


def changed_words(words: Sequence[str], changed: dict[str, str]) -> list[str]:
    """The words with other values of these options."""
    kept = without(words, *(f"--{name}" for name in changed))
    return kept + [part for name, value in changed.items() for part in (f"--{name}", value)]


def said(words: Sequence[str]) -> str:
    """The command, for people to paste."""
    return shlex.join(["sam2-plan", *words])


def judge(job: tuple[int, int]) -> tuple[int, list[str]]:
    """The violations of one request of a seed."""
    seed, number = job
    words = draw(seed, number)
    try:
        return number, check(words)
    except Exception as error:  # what breaks the check is what it is looking for
        return number, [f"{type(error).__name__}: {error}  [{said(words)}]"]


def main() -> int:
    """Judge `count` requests; 1 if one has a violation."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=500)
    parser.add_argument("--first", type=int, default=0, help="number of the first request")
    parser.add_argument("--seed", type=int, default=13)
    parser.add_argument("--jobs", type=int, default=1, help="processes")
    asked = parser.parse_args()
    jobs = [(asked.seed, number) for number in range(asked.first, asked.first + asked.count)]
    kinds: dict[str, int] = {}
    faulty = 0
    with multiprocessing.Pool(asked.jobs) as pool:
        for done, (number, faults) in enumerate(pool.imap(judge, jobs, chunksize=4), 1):
            faulty += bool(faults)
            for fault in faults:
                kind = re.split(r"[:\[]", fault)[0].strip()
                kinds[kind] = kinds.get(kind, 0) + 1
                print(f"{number}: {fault}", flush=True)
            if sys.stderr.isatty():
                print(f"\r{done} of {len(jobs)}, {faulty} with violations", end="", file=sys.stderr)
    print(f"{len(jobs)} requests of seed {asked.seed}, {faulty} with violations")
    for kind, count in sorted(kinds.items(), key=lambda pair: -pair[1]):
        print(f"  {count:5d}  {kind}")
    return 1 if faulty else 0


if __name__ == "__main__":
    sys.exit(main())
