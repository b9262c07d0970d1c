"""What people type instead of what we take: every hint names what would do, and that is then taken."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import planner
from planner.errors import PlannerError
from tests.conftest import invoke, refusal

TYPED = (
    ("--frames", "endless", "unlimited"),
    ("--frames", "inf", "unlimited"),
    ("--precision", "fp16", "float16"),
    ("--precision", "bf16", "bfloat16"),
    ("--precision", "torch.float32", "float32"),
    ("--precision", "amp", "autocast_bfloat16"),
    ("--variant", "base+", "base_plus"),
    ("--variant", "b+", "base_plus"),
    ("--variant", "Base-Plus", "base_plus"),
    ("--variant", "sam2.1_hiera_l", "large"),
    ("--variant", "LARGE", "large"),
    ("--attention", "flash_attention", "flash"),
    ("--attention", "mem_efficient", "efficient"),
    ("--task", "photo", "image"),
    ("--task", "amg", "automask"),
    ("--prefer", "fast", "speed"),
    ("--version", "2", "2.0"),
    ("--vram", "8G", "8GB"),
    ("--vram", "8Gi", "8GiB"),
    ("--vram", "1TB", "1000GB"),
    ("--vram", "2,5GB", "2.5GB"),
    ("--vram", "8", "8GB"),
    ("--vram", "8192", "8192MB"),
    ("--frame-size", "1080p", "1080x1920"),
    ("--frame-size", "1920*1080", "1080x1920"),
    ("--headroom", "5", "5%"),
)


@pytest.mark.parametrize(("option", "typed", "meant"), TYPED)
def test_the_hint_names_what_was_meant_and_that_is_taken(option: str, typed: str, meant: str) -> None:
    budget = () if option == "--vram" else ("--vram", "24GB")
    refused = invoke(*budget, option, typed)
    assert refused.code == 2
    assert repr(typed) in refused.err
    named = re.search(r"Did you mean (\S+?)(?: or \S+)?\? ", refused.err)
    assert named is not None, refused.err
    assert named[1] == meant
    taken = invoke(*budget, option, named[1])
    assert taken.code in (0, 3), taken.err


@pytest.mark.parametrize(
    "command", [(), ("limits",), ("predict", "--variant", "tiny")], ids=lambda words: " ".join(words)
)
def test_a_size_written_width_first_is_asked_about_once(command: tuple[str, ...]) -> None:
    budget = ("--vram", "8GB") if not command or command == ("limits",) else ()
    asked = (*command, *budget, "--frame-size", "1920x1080")
    outcome = invoke(*asked)
    assert outcome.code == 0
    assert outcome.err.count("Was 1080x1920 meant?") == 1
    assert "1920x1080 (portrait)" in outcome.out
    assert invoke(*asked, "--format", "json").err == ""
    landscape = invoke(*command, *budget, "--frame-size", "1080x1920")
    assert (landscape.err, "portrait" in landscape.out) == ("", False)


def test_a_portrait_resolution_is_asked_about_unless_the_pictures_are_portrait_too() -> None:
    asked = ("--vram", "8GB", "--resolution", "1024x576")
    assert "Was 576x1024 meant?" in invoke(*asked).err
    assert "--resolution" not in invoke(*asked, "--frame-size", "1920x1080").err


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The places of all keys in nested mappings, and in the first entry of a list."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield (*path, key)
            yield from leaves(below, (*path, key))
    elif isinstance(value, list) and value:
        yield from leaves(value[0], (*path, 0))


def holder(document: Any, path: tuple[Any, ...]) -> Any:
    for key in path[:-1]:
        document = document[key]
    return document


def test_a_missing_key_is_advised_to_be_null_only_where_null_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    planner.plan(vram="8GB", top=0).save(path)
    text = path.read_text()
    advised = refused = 0
    for place in leaves(json.loads(text)):
        document = json.loads(text)
        del holder(document, place)[place[-1]]
        path.write_text(json.dumps(document))
        missing = refusal(PlannerError, planner.Plan.load, path)
        if missing is None or repr(place[-1]) not in missing.message:
            continue
        refused += 1
        if "null" not in missing.hint:
            continue
        advised += 1
        holder(document, place)[place[-1]] = None
        path.write_text(json.dumps(document))
        again = refusal(PlannerError, planner.Plan.load, path)
        # It may contradict something else then, but must not be refused for being null.
        assert again is None or not re.search(rf"{place[-1]} (is|must be) .*(null|None|nothing)", again.message), again
    assert refused > advised > 5


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("limit", "limits"),
        ("simulat", "simulate"),
        ("verison", "-V"),
        ("diff", "compare"),
        ("help", "--help"),
        ("x", ""),
    ],
)
def test_a_command_that_is_none_is_met_with_one_that_is(typed: str, meant: str) -> None:
    outcome = invoke(typed)
    assert outcome.code == 2
    assert repr(typed) in outcome.err
    assert ("Did you mean: sam2-plan" in outcome.err) is bool(meant)
    assert f"sam2-plan {meant}" in outcome.err
