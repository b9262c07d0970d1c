"""Plans on disk: the same plan back, the same text each time, and nothing but a whole plan read."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import planner
from planner.errors import EnvironmentFailure, FileError
from tests.conftest import ROOT, invoke, refusal, validate

REQUESTS: dict[str, dict[str, Any]] = {
    "fits": {"vram": "2GB", "objects": 10},
    "tight and strict": {"vram": "0.28GB", "objects": 10, "strict": True},
    "nothing fits": {"vram": "0.2GB"},
    "nothing fits a pin": {"vram": "0.6GB", "variant": "large", "resolution": "2048x2048"},
    "a GPU without bfloat16": {"gpu": "T4", "precision": "bfloat16"},
    "a GPU": {"gpu": "RTX 3060", "task": "image", "frame_size": (576, 1024), "headroom": "12.5%"},
    "automatic masks": {"vram": "6GB", "task": "automask", "frame_size": "2160x3840", "headroom": "500MB"},
    "a clip": {"vram": "24GB", "frames": 1581, "objects": 90, "prefer": "balanced", "top": 0},
    "very much asked": {"vram": "2GB", "objects": 10**9, "frames": 10**9},
    "very much given": {"vram": "1000000GB", "attention": "math", "prefer": "speed", "top": 40},
}


@pytest.mark.parametrize("asked", REQUESTS.values(), ids=REQUESTS)
@pytest.mark.parametrize("name", ["plan.yaml", "PLAN.JSON"])
def test_a_saved_plan_loads_as_it_was(name: str, asked: dict[str, Any], tmp_path: Path) -> None:
    plan = planner.plan(**asked)
    plan.save(tmp_path / name)
    again = planner.Plan.load(tmp_path / name)
    assert again == plan
    assert again.to_dict() == plan.to_dict()
    assert again.exit_code == plan.exit_code
    text = (tmp_path / name).read_text(encoding="utf-8")
    assert (json.loads(text) if name.lower().endswith("json") else yaml.safe_load(text)) == plan.to_dict()
    validate(plan.to_dict())
    again.save(str(tmp_path / f"again-{name}"))
    assert (tmp_path / f"again-{name}").read_text(encoding="utf-8") == text


@pytest.mark.parametrize(("name", "is_json"), [("plan.json", True), ("plan", False), ("plan.yml", False)])
def test_the_name_decides_the_form(name: str, is_json: bool, tmp_path: Path) -> None:
    planner.plan(vram="2GB").save(tmp_path / name)
    assert (tmp_path / name).read_text(encoding="utf-8").startswith("{") == is_json


@settings(max_examples=30)
@given(
    vram=st.integers(10**6, 10**15),
    objects=st.integers(1, 10**6),
    frames=st.none() | st.integers(1, 10**6),
    headroom=st.floats(0, 99.9).map(lambda percent: f"{percent:.6f}%"),
    prefer=st.sampled_from(("quality", "speed", "balanced")),
)
def test_any_plan_loads_as_it_was(tmp_path_factory: pytest.TempPathFactory, **asked: Any) -> None:
    plan = planner.plan(variant="tiny", resolution=512, **asked)
    path = tmp_path_factory.mktemp("plans") / "plan.yaml"
    plan.save(path)
    assert planner.Plan.load(path) == plan


@pytest.mark.parametrize("name", ["plan.yaml", "plan.json"])
def test_every_truncation_is_a_file_error_or_the_same_plan(name: str, tmp_path: Path) -> None:
    plan = planner.plan(vram="0.8GB", resolution=512, variant="tiny", top=1)
    path = tmp_path / name
    plan.save(path)
    data = path.read_bytes()
    for end in range(0, len(data), max(1, len(data) // 90)):
        path.write_bytes(data[:end])
        error = refusal(FileError, planner.Plan.load, path)
        if error is None:
            assert planner.Plan.load(path) == plan
        else:
            assert str(path) in error.message
            assert error.hint


def test_the_command_line_saves_the_plan_that_it_prints(tmp_path: Path) -> None:
    for name in ("plan.yaml", "plan.json"):
        outcome = invoke("--vram", "1.5GB", "--format", "json", "-o", str(tmp_path / name))
        assert planner.Plan.load(tmp_path / name).to_dict() == outcome.document
        assert outcome.code == 0


def test_a_plan_for_nothing_is_saved_too(tmp_path: Path) -> None:
    outcome = invoke("--vram", "0.2GB", "-o", str(tmp_path / "plan.yaml"))
    assert outcome.code == 3
    assert not planner.Plan.load(tmp_path / "plan.yaml").fits


def test_the_same_request_gives_the_same_text_under_any_hash_seed() -> None:
    program = (
        "import sys; from planner.cli.main import main\n"
        "for words in (['--vram', '1.5GB'], ['--vram', '8GB', '--prefer', 'balanced'], ['--gpu', 'A100']):\n"
        "    main([*words, '--format', 'json', '--top', '40'])"
    )
    texts = [
        subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True, check=True, timeout=60,
        ).stdout
        for seed in ("0", "1", "4242")
    ]  # fmt: skip
    assert len(set(texts)) == 1
    assert len(texts[0]) > 10_000


def test_the_same_request_is_an_equal_plan() -> None:
    assert planner.plan(vram="2GB") == planner.plan(vram="2GB")
    assert planner.plan(vram="2GB") == planner.plan(vram=2 * 10**9)
    assert planner.plan(vram="2GB") != planner.plan(vram="3GB")


EDITS = [
    (("verdict",), "fits"),
    (("verdict",), "does_not_fit"),
    (("verdict",), "splendid"),
    (("exit_code",), 3),
    (("strict",), True),
    (("chosen",), None),
    (("estimate",), None),
    (("chosen", "variant"), "huge"),
    (("chosen", "resolution"), [1000, 1024]),
    (("chosen", "resolution"), [1024]),
    (("chosen", "object_batch"), 0),
    (("chosen", "quality"), "high"),
    (("estimate", "total_bytes"), 1),
    (("estimate", "allocated_bytes"), 10**12),
    (("estimate", "upper_bytes"), 1),
    (("estimate", "peak_phase"), "nowhere"),
    (("estimate", "components", 0, "bytes"), 1),
    (("estimate", "components", 0, "provenance"), "guessed"),
    (("estimate", "phases", 0, "allocated_bytes"), 1),
    (("budget", "usable_bytes"), 10**12),
    (("budget", "total_bytes"), -1),
    (("budget", "headroom_bytes"), 0),
    (("budget", "headroom", "percent"), 150),
    (("budget", "source"), "gift"),
    (("request", "task"), "videos"),
    (("request", "objects"), 0),
    (("request", "frames"), "many"),
    (("request", "pins", "variant"), "tiny"),
    (("schema_version",), 99),
    (("kind",), "prediction"),
    (("alternatives",), {}),
    (("rejected", 0, "need_bytes"), "lots"),
    (("limits", "max_objects"), -1),
    (("try",), [{"change": "x"}]),
    (("provenance",), None),
    (("surprise",), 1),
    (("budget", "surprise"), 1),
    (("chosen", "surprise"), 1),
    (("estimate", "surprise"), 1),
]


@pytest.mark.parametrize(("path", "value"), EDITS, ids=[f"{'.'.join(map(str, p))}={v}" for p, v in EDITS])
def test_a_plan_edited_by_hand_is_refused(path: tuple[Any, ...], value: object, tmp_path: Path) -> None:
    document = planner.plan(vram="0.44GB", objects=10).to_dict()
    assert document["verdict"] == "tight"
    at: Any = document
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    (tmp_path / "plan.json").write_text(json.dumps(document, indent=1), encoding="utf-8")
    with pytest.raises(FileError, match=r"plan\.json, line \d+: ") as caught:
        planner.Plan.load(tmp_path / "plan.json")
    assert caught.value.hint


# Plans of before other runtimes could be asked for have no others.
@pytest.mark.parametrize("key", sorted({*planner.plan(vram="2GB").to_dict()} - {"others"}))
def test_a_plan_without_one_of_its_keys_is_refused(key: str, tmp_path: Path) -> None:
    document = planner.plan(vram="2GB").to_dict()
    del document[key]
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(FileError, match=key):
        planner.Plan.load(tmp_path / "plan.yaml")


@pytest.mark.parametrize("text", ["[]", "[1, 2]", "text", "1", "null", "{}", '{"error": {"code": "x"}}', "- a: 1"])
def test_another_document_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(FileError, match="line 1"):
        planner.Plan.load(tmp_path / "plan.yaml")


def test_a_failed_save_keeps_the_old_plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "plan.yaml"
    old = planner.plan(vram="2GB")
    old.save(path)

    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", fail)
    with pytest.raises(EnvironmentFailure, match="No space left"):
        planner.plan(vram="8GB").save(path)
    assert planner.Plan.load(path) == old
    assert [found.name for found in tmp_path.iterdir()] == ["plan.yaml"]


def test_require_is_the_plan_where_it_fits() -> None:
    plan = planner.plan(vram="2GB")
    assert plan.require() is plan
    tight = planner.plan(vram="0.8GB", objects=10)
    assert tight.require() is tight


def test_require_raises_with_the_rejections_where_nothing_fits(tmp_path: Path) -> None:
    plan = planner.plan(vram="0.2GB", objects=10)
    plan.save(tmp_path / "plan.yaml")
    for asked in (plan, planner.Plan.load(tmp_path / "plan.yaml")):
        with pytest.raises(planner.DoesNotFit, match="Nothing fits") as caught:
            asked.require()
        assert caught.value.rejected == plan.rejected
        assert caught.value.rejected[0].short_by_bytes
        assert caught.value.suggestions == plan.suggestions
        assert "sam2-plan --vram" in caught.value.hint
        assert caught.value.exit_code == 3
        assert isinstance(caught.value, planner.PlannerError)


def test_require_raises_for_a_tight_choice_under_strict() -> None:
    with pytest.raises(planner.DoesNotFit, match="tight"):
        planner.plan(vram="0.8GB", objects=10, strict=True, variant="large", resolution=1024).require()


def test_a_plan_is_frozen_and_reads_as_documented() -> None:
    plan = planner.plan(task="video", objects=10, vram="2GB")
    assert plan.fits
    assert plan.chosen is not None
    assert plan.estimate is not None
    assert plan.chosen.configuration.variant == "large"
    assert plan.estimate.total_bytes <= plan.budget.usable_bytes
    with pytest.raises(AttributeError):
        plan.verdict = "fits"  # type: ignore[misc]


def test_the_chosen_variant_reads_as_the_contract_has_it() -> None:
    """design.md: plan.fits, plan.chosen.variant, plan.estimate.total_bytes, plan.rejected, plan.to_dict()."""
    plan = planner.plan(task="video", objects=10, vram="2GB")
    assert plan.chosen is not None
    assert plan.chosen.variant == "large"  # type: ignore[attr-defined]
