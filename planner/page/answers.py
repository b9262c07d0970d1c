"""What a page is made of: plans, packings, and what rehearsals and runs found, as files hold them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from planner.catalog.torch_builds import judging
from planner.catalog.torch_rules import build_named
from planner.errors import FileError
from planner.memory_model import MemoryModel
from planner.memory_model.current import known_model
from planner.nouns.plan import Choice, Plan
from planner.nouns.request import Budget
from planner.planning import make_plan
from planner.planning.candidates import resolutions
from planner.planning.packing import decides_among
from planner.text.strict_yaml import Fields, read
from planner.wire.confirmation import CONFIRMATION
from planner.wire.packing import PACKING
from planner.wire.plan import EXPLAINED, PLAN
from planner.wire.plan_file import read_plan
from planner.wire.rehearsal import REHEARSAL
from planner.wire.shapes import SCHEMA_VERSION

KINDS = {"packing": PACKING, "rehearsal": REHEARSAL, "confirmation": CONFIRMATION}
"""What may stand beside plans, as `--format json` prints it."""
TAKEN = "Give plans (sam2-plan -o plan.yaml), or what rehearse, confirm and planning for several streams print as JSON."


@dataclass(frozen=True, slots=True)
class Answer:
    """One of the answers of a page."""

    name: str
    """What it is called there: the name of its file."""
    document: dict[str, Any]
    """As it is printed."""
    plan: Plan | None = None
    """The plan, or of a packing the plan of one process; None of what a run found."""
    budgets: Sequence[Budget] = ()
    """Of a packing those of its GPUs, whose whole context each process takes."""

    @property
    def budget(self) -> Budget | None:
        """What a process of the plan runs on: of a packing the GPU that decides for all."""
        if self.budgets:
            return decides_among(self.budgets)
        return self.plan.budget if self.plan else None


def read_answer(path: Path) -> Answer:
    """The answer in a file. Raises FileError for one that holds none, or another."""
    data = read(path, "a plan")
    kind = data.get("kind") if isinstance(data, dict) else None
    if isinstance(kind, str) and kind in KINDS:
        fields = Fields(data, str(path), f"a {kind}")
        if fields.integer("schema_version") != SCHEMA_VERSION:
            raise fields.complaint("schema_version is not 1", "Make it again with this release.", "schema_version")
        values = KINDS[kind].noun(fields)
        if kind != "packing":
            return Answer(path.name, data)
        return Answer(path.name, data, _plan_of(values["plan"]), [gpu["budget"] for gpu in values["gpus"]])
    if kind is not None and kind != "plan":
        raise FileError(f"{path}: this is {str(kind)[:40]!r}, which no page is made of.", TAKEN)
    return answer_of(read_plan(path), path.name)


def answer_of(plan: Plan, name: str) -> Answer:
    """A plan as an answer."""
    return Answer(name, PLAN.write(plan), plan)


def _plan_of(values: dict[str, Any]) -> Plan:
    """The plan of one process, out of the values of a packing."""
    chosen, estimate = values["chosen"], values["estimate"]
    values = {**values, "chosen": None if chosen is None else Choice(**chosen, estimate=estimate)}
    return Plan(**{name: value for name, value in values.items() if name in Plan.__dataclass_fields__})


def model_of(plan: Plan) -> MemoryModel:
    """The laws by which a plan is priced again, on no GPU in particular: by the release of torch that it names."""
    return known_model().on(None, torch=torch_of(plan))


def torch_of(plan: Plan) -> str | None:
    """The release of torch whose rules were asked for; None where none was."""
    return plan.provenance.versions.get("torch_rules")


def sides_of(plan: Plan) -> list[tuple[int, int]]:
    """The resolutions that a page offers: those that planning proposes, larger squares, and the plan's own."""
    free = replace(plan.request, pins=replace(plan.request.pins, resolution=None))
    own = [one.configuration.resolution for one in _choices(plan)]
    own += [one.configuration.resolution for one in plan.rejected]
    larger = [(side, side) for side in (2560, 3072, 4096)]
    return sorted({*resolutions(free), *larger, *own}, key=lambda size: (size[0] * size[1], size))


def candidates_of(answer: Answer) -> tuple[Sequence[dict[str, Any]], bool]:
    """Every candidate class with what became of it, and whether that was weighed now rather than kept with the plan."""
    plan, whole = answer.plan, answer.budget
    assert plan is not None
    assert whole is not None
    if plan.explained is not None:
        return [EXPLAINED.write(one) for one in plan.explained], False
    version, gpu = torch_of(plan), whole.gpu
    budget = replace(plan.budget, gpu=gpu, shared=answer.document.get("streams", 1) > 1)
    model = known_model().on(gpu, whole.total_bytes, version)
    build = None if version is None else build_named(version, gpu.capability if gpu else None)
    with nullcontext() if build is None else judging(build):
        again = make_plan(plan.request, budget, model, plan.provenance, strict=plan.strict, explain=True)
    return [EXPLAINED.write(one) for one in again.explained or ()], True


def _choices(plan: Plan) -> tuple[Choice, ...]:
    return (*([plan.chosen] if plan.chosen else []), *plan.alternatives)
