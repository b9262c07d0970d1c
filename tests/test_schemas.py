"""The JSON Schemas that ship: sound, strict, and kept by what is printed."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from make_docs import schemas

from tests.conftest import SCHEMAS, invoke, kind_of, schema_of, validate
from tests.preflight.machines import report

PRINTED = {
    "plan": ("--vram", "1.5GB", "--objects", "10"),
    "prediction": ("predict", "--variant", "tiny", "--task", "video"),
    "gpus": ("gpus", "rtx", "3060"),
    "checkpoints": ("checkpoints", "--variant", "tiny"),
    "accuracy": ("accuracy",),
    "error": ("--vram", "2"),
    "limits": ("limits", "--vram", "1GB"),
    "need": ("need", "--variant", "large", "--top", "1"),
    "comparison": ("compare",),
    "packing": ("--vram", "2GB,8GB"),
    "check": ("check", "PLAN", "--simulate-gpu", "MACHINE"),
    "pick": ("pick", "PLAN", "--simulate-gpu", "MACHINE"),
    "doctor": ("doctor", "--simulate-gpu", "MACHINE"),
    "report": ("report", "PLAN", "-o", "PAGE"),
    "placement": ("place", "PLAN", "--on", "ray", "--gpu", "24GB"),
}
KINDS = (*PRINTED, "run")


def run_document_of_a_fake() -> dict[str, Any]:
    """What `run` prints; running for real needs torch."""
    pytest.importorskip("av", reason="runs write videos")
    pytest.importorskip("pycocotools", reason="runs write COCO documents")
    from planner.runs.run import perform
    from planner.wire.run import RUN
    from tests.runtime.fakes import job

    with tempfile.TemporaryDirectory() as folder:
        return RUN.write(perform(job(Path(folder), limit=2)))


def saved_plans(folder: Path) -> list[str]:
    """Two that differ."""
    paths = [str(folder / "first.yaml"), str(folder / "second.yaml")]
    for path, vram in zip(paths, ("1.5GB", "8GB"), strict=True):
        assert invoke("--vram", vram, "-o", path).code == 0
    return paths


def document(kind: str) -> dict[str, Any]:
    if kind == "run":
        return run_document_of_a_fake()
    with tempfile.TemporaryDirectory() as folder:
        files = {"PLAN": lambda: saved_plans(Path(folder))[0], "MACHINE": lambda: str(report(Path(folder)))}
        files["PAGE"] = lambda: str(Path(folder) / "page.html")
        words = tuple(files[word]() if word in files else word for word in PRINTED[kind])
        if kind == "comparison":
            words = (*words, *saved_plans(Path(folder)))
        found = invoke(*words, "--format", "json").document
    assert kind_of(found) == kind
    return found


def test_what_ships_is_what_the_declarations_give_and_nothing_else() -> None:
    shipped = {path.name: path.read_text(encoding="utf-8") for path in SCHEMAS.glob("*.json")}
    assert shipped == dict(schemas())


@pytest.mark.parametrize("kind", KINDS)
def test_a_schema_is_sound_and_names_its_dialect(kind: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema_of(kind))
    assert schema_of(kind)["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_printed_is_valid(kind: str) -> None:
    validate(document(kind))


@pytest.mark.parametrize("kind", KINDS)
def test_a_document_without_one_of_its_keys_is_invalid(kind: str) -> None:
    sound = document(kind)
    for key in sound:
        less = {name: value for name, value in sound.items() if name != key}
        with pytest.raises((jsonschema.ValidationError, KeyError)):
            validate(less)


@pytest.mark.parametrize("kind", KINDS)
def test_figures_in_bytes_are_integers_everywhere(kind: str) -> None:
    sound = document(kind)
    for path in _paths(sound):
        if str(path[-1]).endswith("bytes") and "reasons" not in path:
            with pytest.raises(jsonschema.ValidationError):
                validate(_changed(sound, path, "2GB"))
            with pytest.raises(jsonschema.ValidationError):
                validate(_changed(sound, path, 1.5))


@pytest.mark.parametrize(
    "words",
    [
        ("--vram", "0.5GB"),
        ("--gpu", "T4", "--precision", "bfloat16"),
        ("--vram", "6GB", "--task", "automask"),
        ("--vram", "6GB", "--task", "image"),
        ("--vram", "24GB", "--frames", "1581"),
        ("--vram", "0.8GB", "--objects", "10", "--explain"),
        ("--gpu", "T4", "--explain"),
        ("--vram", "1GB", "--streams", "3"),
        ("--gpu", "T4,A100", "--task", "image"),
        ("limits", "--gpu", "T4", "--precision", "bfloat16"),
        ("limits", "--vram", "0.4GB", "--task", "automask"),
        ("need", "--task", "automask"),
        ("need", "--runtime", "stock", "--frames", "240", "--top", "2"),
    ],
    ids=" ".join,
)
def test_every_sort_of_plan_is_valid(words: tuple[str, ...]) -> None:
    validate(invoke(*words, "--format", "json").document)


def _paths(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of leaves; of a list only the first entry."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _paths(inner, (*at, key))
    elif isinstance(value, list):
        if value:
            yield from _paths(value[0], (*at, 0))
    else:
        yield at


def _changed(sound: dict[str, Any], path: tuple[Any, ...], value: object) -> dict[str, Any]:
    copied = copy.deepcopy(sound)
    at: Any = copied
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return copied
