"""Exact plans: what decides is rehearsed or simulated, remembered, and said to be."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

import planner
from planner.api import exact
from planner.api.asking import request_of
from planner.api.plan import provenance_of
from planner.errors import EnvironmentFailure, Interrupted, UsageError
from planner.measure.trial import OUT_OF_MEMORY, RAN, Outcome, Trial
from planner.memory_model.current import known_model
from planner.memory_model.exact import SETTLED_FRAMES, Known, key_of
from planner.nouns.estimate import Exact
from planner.nouns.request import Budget, Headroom
from planner.nouns.run import Configuration, Workload
from planner.planning import make_plan
from planner.planning.exactly import MOST_RUNS, settle
from planner.rehearsal.building import libraries, why_not_rehearsing
from planner.text.locations import cache_folder
from tests.checker import document_faults
from tests.conftest import ROOT, document_of, invoke, validate

rehearsing = pytest.mark.skipif(bool(why_not_rehearsing()), reason=str(why_not_rehearsing()))
SMALL: dict[str, Any] = {
    "task": "video", "variant": "tiny", "version": "2.1", "resolution": 512, "precision": "float16", "frames": 2,
    "frame_size": "240x320", "vram": "2GB",
}  # fmt: skip
WORDS = [word for name, value in SMALL.items() for word in (f"--{name.replace('_', '-')}", str(value))]
MIB = 2**20


@pytest.fixture
def empty_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder without answers, in which the imaginary GPU's libraries are built already."""
    if why_not_rehearsing() is None:
        libraries()
        (tmp_path / "sam2-plan").mkdir()
        (tmp_path / "sam2-plan" / "rehearsal").symlink_to(cache_folder() / "rehearsal")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "sam2-plan" / "exact"


Answering = Callable[[Callable[[Trial], Outcome]], list[Trial]]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch, empty_cache: Path) -> Answering:
    """Has a function answer in place of rehearsals; gives the trials that it was asked."""

    def install(answer: Callable[[Trial], Outcome]) -> list[Trial]:
        asked: list[Trial] = []

        def run(trial: Trial, **_: Any) -> Outcome:
            asked.append(trial)
            return answer(trial)

        monkeypatch.setattr(exact, "run_trial", run)
        return asked

    return install


def ran(reserved_bytes: int, allocated_bytes: int | None = None) -> Outcome:
    allocated = allocated_bytes or reserved_bytes * 9 // 10
    phases = {"load": allocated // 2, "track": allocated}
    return Outcome(
        outcome=RAN,
        allocated_bytes=allocated,
        reserved_bytes=reserved_bytes,
        frames=SETTLED_FRAMES,
        phases={name: {"allocated_bytes": size, "reserved_bytes": reserved_bytes} for name, size in phases.items()},
    )


# -- real rehearsals --------------------------------------------------------------------------------------


@rehearsing
def test_an_exact_plan_has_the_bytes_of_the_rehearsal_and_asks_but_once(empty_cache: Path, tmp_path: Path) -> None:
    plan = planner.plan(**SMALL, exact=True)
    estimate, asked = plan.require().estimate, plan.provenance.exact
    rehearsed = planner.rehearse(plan)
    assert (estimate.allocated_bytes, estimate.reserved_bytes) == (rehearsed.allocated_bytes, rehearsed.reserved_bytes)
    assert {phase.name: phase.allocated_bytes for phase in estimate.phases} == {
        one.name: one.found for one in rehearsed.phases
    }
    assert estimate.upper_bytes == estimate.reserved_bytes + estimate.context_high_bytes, "nothing else is uncertain"
    assert estimate.upper_bytes < planner.plan(**SMALL).require().estimate.upper_bytes
    assert asked is not None
    assert (asked.runs, asked.remembered, asked.left) == (1, 0, 0)
    assert estimate.exact is not None
    assert (estimate.exact.method, estimate.exact.capability, estimate.exact.frames) == ("rehearsed", (8, 6), 2)

    again = planner.plan(**SMALL, exact=True)
    assert again.provenance.exact is not None
    assert (again.provenance.exact.runs, again.provenance.exact.remembered) == (0, 1)
    assert again.estimate == estimate

    predicted = planner.predict(
        **{name: value for name, value in SMALL.items() if name != "vram"}, exact=True, progress=_nobody
    )
    assert predicted.reserved_bytes == estimate.reserved_bytes, "a prediction uses the same answers"

    plan.save(tmp_path / "plan.yaml")
    assert planner.Plan.load(tmp_path / "plan.yaml") == plan
    validate(plan.to_dict())
    assert not document_faults(plan.to_dict())


@rehearsing
def test_text_and_json_say_what_was_rehearsed_and_check_compares_it(empty_cache: Path, tmp_path: Path) -> None:
    path = tmp_path / "plan.yaml"
    told = invoke(*WORDS, "--exact", "-o", str(path))
    assert told.code == 0, told.err
    assert "rehearsed on torch " in told.out
    assert "1 run, 0 from the cache" in told.out
    document = document_of([*WORDS, "--exact"])
    assert document["estimate"]["exact"]["method"] == "rehearsed"
    assert document["provenance"]["exact"] == {"runs": 0, "remembered": 1, "left": 0}
    assert "--exact" in document["command"]
    assert {part["provenance"] for part in document["estimate"]["components"]} >= {"rehearsed"}

    budget = (document["estimate"]["upper_bytes"] + 5 * MIB) * 20 // 19 // MIB
    document = document_of(["check", str(path), "--vram", f"{budget}MiB"])
    checked = {one["name"]: one for one in document["checks"]}
    assert checked["memory"]["status"] == "pass", "what was rehearsed is what memory is held against"
    assert "rehearsed, as in the plan" in checked["prediction"]["found"]
    other = {one["name"]: one for one in document_of(["check", str(path), "--gpu", "RTX 4090"])["checks"]}
    assert "rehearsed on capability 8.6" in other["prediction"]["found"]
    assert other["prediction"]["status"] == "pass"


# -- the cache --------------------------------------------------------------------------------------------


@rehearsing
@pytest.mark.parametrize("broken", ["", "{", "[]", '{"key": 1}', "\0" * 200_000, "foreign", "negative", "disordered"])
def test_a_damaged_or_foreign_answer_is_warned_of_and_made_again(
    broken: str, answering: Answering, empty_cache: Path
) -> None:
    asked = answering(lambda trial: ran(300 * MIB))
    planner.plan(**SMALL, exact=True)
    (path,) = empty_cache.glob("*.json")
    whole = path.read_text()
    texts = {
        "foreign": whole.replace('"torch"', '"torhc"', 1),
        "negative": whole.replace(str(300 * MIB), "-1"),
        "disordered": whole.replace(f'"allocated_bytes": {270 * MIB}', f'"allocated_bytes": {400 * MIB}'),
    }
    assert texts.get(broken) != whole
    path.write_text(texts.get(broken, broken))
    plan = planner.plan(**SMALL, exact=True)
    assert len(asked) == 2
    assert plan.require().estimate.reserved_bytes == 300 * MIB
    assert any(str(path) in warning for warning in plan.warnings)
    assert path.read_text() == whole
    assert not any(str(path) in warning for warning in planner.plan(**SMALL, exact=True).warnings)


@rehearsing
def test_without_a_place_to_keep_them_answers_still_count(answering: Answering, empty_cache: Path) -> None:
    asked = answering(lambda trial: ran(300 * MIB))
    empty_cache.write_text("a file where the folder would be")
    for _ in range(2):
        plan = planner.plan(**SMALL, exact=True)
        assert plan.require().estimate.reserved_bytes == 300 * MIB
        assert any("nothing is remembered" in warning for warning in plan.warnings)
    assert len(asked) == 2


@rehearsing
def test_what_changes_the_bytes_is_asked_anew_and_what_does_not_is_not(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = answering(lambda trial: ran(300 * MIB))
    endless = {**SMALL, "frames": None}
    planner.plan(**endless, exact=True)
    planner.plan(**{**endless, "frames": 5000, "vram": "4GB"}, exact=True)
    assert len(asked) == 1, "a longer clip takes no more, and a larger budget does not change what a run takes"
    planner.plan(**{**endless, "objects": 2}, exact=True)  # one by one, and both in a pass
    planner.plan(
        **{**{name: value for name, value in endless.items() if name != "vram"}, "gpu": "RTX 4090"}, exact=True
    )
    monkeypatch.setenv("PYTORCH_CUDA_ALLOC_CONF", "expandable_segments:True")
    planner.plan(**endless, exact=True)
    assert len(asked) == 5


@rehearsing
def test_an_interrupt_keeps_what_was_found(answering: Answering) -> None:
    request = {**SMALL, "precision": None, "vram": "1GB"}

    def second_is_interrupted(trial: Trial) -> Outcome:
        if len(asked) > 1:
            raise KeyboardInterrupt
        return ran(900 * MIB)  # does not fit, so that there is a second

    asked = answering(second_is_interrupted)
    with pytest.raises(Interrupted, match="run 2 of at most"):
        planner.plan(**request, exact=True)
    first = asked[0].configuration
    asked = answering(lambda trial: ran(200 * MIB))
    plan = planner.plan(**request, exact=True)
    assert first not in [trial.configuration for trial in asked]
    assert plan.provenance.exact is not None
    assert plan.provenance.exact.remembered == 1


# -- what cannot be rehearsed -----------------------------------------------------------------------------


def test_where_nothing_can_be_rehearsed_it_is_simulated_and_said(
    empty_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("sam2")
    monkeypatch.setattr(exact, "why_not_rehearsing", lambda: "The torch here is 2.14.1, a build without CUDA.")
    request = {**SMALL, "task": "image", "frames": None}
    plan = planner.plan(**request, exact=True)
    estimate = plan.require().estimate
    assert estimate.exact is not None
    assert (estimate.exact.method, estimate.exact.gpu) == ("simulated", None)
    assert any("simulated, not rehearsed: The torch here" in warning for warning in plan.warnings)
    names = ("task", "variant", "resolution", "precision", "frame_size")
    simulated = planner.simulate(**{name: request[name] for name in names})
    assert (estimate.allocated_bytes, estimate.reserved_bytes) == (simulated.allocated_bytes, simulated.reserved_bytes)
    assert not document_faults(plan.to_dict())


@rehearsing
def test_a_run_that_fails_is_left_to_the_prediction(answering: Answering) -> None:
    answering(lambda trial: Outcome(outcome=OUT_OF_MEMORY, error="it ran out"))
    plan = planner.plan(**SMALL, exact=True)
    assert plan.estimate == planner.plan(**SMALL).estimate
    assert any("could not be rehearsed, and is predicted: it ran out" in warning for warning in plan.warnings)
    with pytest.raises(EnvironmentFailure, match="no exact answer"):
        planner.predict(**{name: value for name, value in SMALL.items() if name != "vram"}, exact=True)


@pytest.mark.parametrize("package", ["torch", "sam2"])
def test_without_torch_or_sam2_it_says_what_to_install(package: str) -> None:
    program = f"""
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == {package!r}: raise ImportError(name)
sys.meta_path.insert(0, Missing())
from planner.cli.main import main
sys.exit(main({[*WORDS, "--exact"]!r}))
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=False)
    assert found.returncode == 1
    assert f"{package} is not installed here" in found.stderr
    assert "pip install" in found.stderr


def test_what_has_no_exact_answer_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="runtime own"):
        planner.predict(variant="tiny", frames=3, runtime="stock", exact=True)
    assert invoke("--vram", "8GB,8GB", "--exact").code == 2


def test_planning_that_is_not_exact_looks_at_no_torch() -> None:
    program = """
import sys, planner
planner.plan(vram="2GB")
print([name for name in ("torch", "numpy", "planner.api.exact", "planner.rehearsal.building") if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT, check=True)
    assert found.stdout.strip() == "[]"


# -- which runs are asked for ------------------------------------------------------------------------------


class Scaled:
    """Answers that are the laws' by a factor, another for each run, between two bounds."""

    def __init__(self, workload: Workload, low: float, high: float) -> None:
        self.workload, self.low, self.high = workload, low, high
        self.ran: list[Configuration] = []

    def of(self, configuration: Configuration) -> Known:
        alike = key_of("own", configuration, self.workload)[1]
        factor = self.low + (self.high - self.low) * (crc32(repr(alike).encode()) % 1000) / 1000
        totals = known_model().on(None).totals(alike, self.workload)
        reserved = int(totals.reserved * factor)
        allocated = min(totals.allocated, reserved)
        how = Exact(method="rehearsed", gpu="x", capability=(8, 6), torch="2", cudnn=None, sam2=None, frames=None)
        return Known(allocated, reserved, reserved, (("track", allocated),), how)

    def recall(self, configuration: Configuration) -> Known | None:
        return None

    def run(self, configuration: Configuration, number: int, most: int) -> Known | None:
        self.ran.append(configuration)
        assert number == len(self.ran) <= most
        return self.of(configuration)


def _request(**asked: Any) -> Any:
    empty = dict.fromkeys(("frames", "frame_size", "variant", "version", "resolution", "precision", "attention"))
    return request_of(**{"task": "video", "objects": 1, **empty, **asked})


@pytest.mark.parametrize("megabytes", [600, 700, 850, 1000, 1200, 1500, 1900, 2600])
@pytest.mark.parametrize(
    "asked", [{"objects": 10}, {"task": "image"}, {"prefer": "speed", "objects": 4}, {"prefer": "balanced"}], ids=str
)
def test_the_choice_is_that_of_knowing_everything(asked: dict[str, Any], megabytes: int) -> None:
    request, model = _request(**asked), known_model().on(None)
    budget = Budget(total_bytes=megabytes * 10**6, headroom=Headroom(), source="vram")
    answers = Scaled(request.workload, 0.85, 1.05)

    class Everything(dict[Any, Any]):
        def get(self, key: Any, default: Any = None) -> Known | None:
            asked = key[0] == "own" and key[2] == request.workload
            return answers.of(key[1]) if asked else None

        def __bool__(self) -> bool:
            return True

    settled = settle(request, budget, model, answers, strict=False, most=1000)
    provenance = replace(provenance_of(model), exact=settled.asked)
    found = make_plan(request, budget, settled.model, provenance)
    true = make_plan(request, budget, model.knowing(Everything()), provenance)
    assert (found.chosen is None) == (true.chosen is None)
    if found.chosen is not None and true.chosen is not None:
        one, other = found.chosen, true.chosen
        if one.configuration != other.configuration:  # but for bytes they are worth the same, so that one is enough
            height, width = other.resolution
            other = replace(other, configuration=replace(other.configuration, resolution=one.resolution))
            assert one.configuration == other.configuration
            assert one.quality == other.quality
            assert one.resolution[0] * one.resolution[1] == height * width
        assert one.estimate.exact is not None, "the choice itself is known"
    assert settled.asked.runs == len(answers.ran) == len({key_of("own", one, request.workload) for one in answers.ran})
    assert settled.asked.left == 0


def test_runs_are_limited_and_what_is_left_is_counted() -> None:
    request, model = _request(objects=1), known_model().on(None)
    budget = Budget(total_bytes=850 * 10**6, headroom=Headroom(), source="vram")
    unlimited = Scaled(request.workload, 1.3, 1.4)  # nothing fits that was thought to
    everything = settle(request, budget, model, unlimited, strict=False, most=1000)
    most = everything.asked.runs - 2
    assert 2 < most <= MOST_RUNS
    answers = Scaled(request.workload, 1.3, 1.4)
    settled = settle(request, budget, model, answers, strict=False, most=most)
    assert settled.asked.runs == most
    assert settled.asked.left > 0
    assert answers.ran[:-1] == unlimited.ran[: most - 1], "in order of preference"
    plan = make_plan(request, budget, model, provenance_of(model))
    assert plan.chosen is not None
    assert plan.chosen.configuration in answers.ran, "the choice is looked at before the runs are spent"


def test_an_exact_choice_lies_within_its_own_limits() -> None:
    request, model = _request(objects=10), known_model().on(None)
    budget = Budget(total_bytes=1500 * 10**6, headroom=Headroom(), source="vram")
    settled = settle(request, budget, model, Scaled(request.workload, 0.8, 0.8), strict=False)
    plan = make_plan(request, budget, settled.model, replace(provenance_of(model), exact=settled.asked))
    assert plan.chosen is not None
    assert plan.verdict == "fits"
    limits = plan.limits
    assert limits.max_objects is not None
    assert limits.max_objects >= 10
    assert (limits.max_resolution or (0, 0)) >= plan.chosen.resolution
    assert limits.smallest_total_bytes is not None
    assert limits.smallest_total_bytes <= budget.total_bytes


def _nobody(number: int, most: int, method: str, configuration: Configuration) -> None:
    raise AssertionError("nothing is run that is remembered")
