"""The nouns of the comparison: what is estimated, by whom, and an answer. Imports neither torch nor any estimator."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from planner.nouns.words import Precision, Variant, Version

CPU, CUDA = "cpu", "cuda"
CPU_RUN, REHEARSED, PUBLISHED, NO_TRUTH = "CPU run", "rehearsed", "published", "none"
"""Kinds of truth."""

FRAME_SIZE = (1080, 1920)
BOX = (576.0, 324.0, 1152.0, 648.0)
"""x0, y0, x1, y1 of the one prompt, in source pixels."""
CAPABILITY = (8, 6)
"""Compute capability of the GPU that estimates for CUDA are made for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One run of sam2 and the device it is estimated for."""

    run: str
    """encoder (build_sam2, forward_image), image (SAM2ImagePredictor: set_image, predict with a box) or
    video (SAM2VideoPredictor: init_state, one box, propagate)."""
    variant: Variant
    side: int
    precision: Precision
    device: str
    """cpu, where a real run can be compared, or cuda."""
    truth: str
    """CPU_RUN, REHEARSED, PUBLISHED or NO_TRUTH."""
    version: Version = "2.1"
    frames: int = 1

    @property
    def title(self) -> str:
        """For people."""
        frames = f", {self.frames} frames" if self.run == "video" else ""
        version = "" if self.version == "2.1" else f" {self.version}"
        return f"{self.run}, {self.variant}{version}, {self.side}²{frames}, {self.precision}"

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""
        return asdict(self)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What an estimator (or the truth) says of a case, and what saying it cost."""

    peak_bytes: int | None = None
    """Of tensors, at the highest moment; None where there is no answer."""
    reason: str | None = None
    """Why there is none."""
    headline_bytes: int | None = None
    """What the tool itself shows in the end, where that adds more than tensors: overheads, context, margins."""
    note: str = ""
    seconds: float | None = None
    """From loaded libraries to the answer, the building of the model included."""
    max_rss_bytes: int | None = None
    """Of the process that answered."""
    parts: dict[str, int] = field(default_factory=dict)
    """The tool's own breakdown, in bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimator:
    """A source of answers, run in a process of its own."""

    name: str
    title: str
    package: str | None
    """Distribution that must be installed; None is this project."""
    function: str
    """module:function; it takes a Case and gives an Answer."""
    imports: tuple[str, ...] = ()
    """Modules to load before the clock starts."""
    what: str
    """What the figure is made of."""
    same_for_every_device: bool = False
    """It does not ask where the run takes place: one answer serves both."""

    def asks(self, case: Case) -> Case:
        """The case whose answer serves `case`."""
        if not self.same_for_every_device:
            return case
        return Case(**(case.to_dict() | {"device": CPU, "truth": NO_TRUTH}))


ESTIMATORS = (
    Estimator(
        name="accelerate",
        title="accelerate × 1.2",
        package="accelerate",
        function="estimators.formulas:accelerate",
        imports=("accelerate.utils",),
        what="accelerate.utils.calculate_maximum_sizes, as `accelerate estimate-memory` calls it, plus the 20 % that "
        "its guide adds for inference",
        same_for_every_device=True,
    ),
    Estimator(
        name="torchinfo",
        title="torchinfo",
        package="torchinfo",
        function="estimators.formulas:torchinfo",
        imports=("torchinfo",),
        what="“Estimated Total Size”: input + outputs of all layers with weights, twice (for gradients) + weights; "
        "runs the model for real on the CPU",
        same_for_every_device=True,
    ),
    Estimator(
        name="torch-preflight",
        title="torch-preflight",
        package="torch-preflight",
        function="estimators.formulas:torch_preflight",
        imports=("torch_preflight.vram", "torch_preflight.vram.guard"),
        what="VRAMGuard's measurement on the meta device, then estimate_config(inference_only=True): weights + a fifth "
        "of what autograd would keep (+ autocast copies)",
        same_for_every_device=True,
    ),
    Estimator(
        name="torch-kitsune",
        title="torch-kitsune",
        package="torch-kitsune",
        function="estimators.formulas:torch_kitsune",
        imports=("kitsune.predict",),
        what="predict_memory(training=False): weights + twice the largest output of a layer",
        same_for_every_device=True,
    ),
    Estimator(
        name="fake-sum",
        title="FakeTensor, live storages",
        package="torch",
        function="estimators.traced:fake_storages",
        what="highest sum of live storages under FakeTensorMode, weights included; no rounding, no workspaces; runs "
        "with the help of this script (see below)",
    ),
    Estimator(
        name="mem-tracker",
        title="torch MemTracker",
        package="torch",
        function="estimators.traced:mem_tracker",
        imports=("torch.distributed._tools.mem_tracker",),
        what="torch.distributed._tools.mem_tracker.MemTracker under FakeTensorMode, its peak total; runs with the "
        "help of this script (see below)",
    ),
    Estimator(
        name="sam2-plan",
        title="sam2-plan simulate",
        package=None,
        function="estimators.traced:sam2_plan",
        imports=("planner.simulator.simulation", "planner.simulator.tracing"),
        what="this project: allocated bytes of planner.simulator; for the CPU the same tracer without the allocator",
    ),
    Estimator(
        name="sam2-plan-predict",
        title="sam2-plan predict",
        package=None,
        function="estimators.predicted:sam2_plan",
        imports=("planner.api.plan",),
        what="this project: allocated bytes of planner.predict, from laws; stock predictors",
    ),
    Estimator(
        name="fitcheck-llm",
        title="fitcheck-llm",
        package="fitcheck-llm",
        function="estimators.language:fitcheck",
        imports=("fitcheck.config_parser",),
        what="a planner for language models: asked with SAM 2's config.json",
        same_for_every_device=True,
    ),
    Estimator(
        name="vramscout",
        title="vramscout",
        package="vramscout",
        function="estimators.language:vramscout",
        imports=("vramscout.cli",),
        what="a planner for language models: asked with SAM 2's config.json",
        same_for_every_device=True,
    ),
)
TRUTH = Estimator(
    name="truth",
    title="CPU run",
    package="torch",
    function="estimators.truth:cpu_run",
    what="highest sum of live tensor bytes in a real run on the CPU, from torch.profiler's memory events",
)


def cases(quick: bool = False) -> list[Case]:
    """All cases in the order of the table; `quick` keeps tiny at 512."""
    found = []
    variants: tuple[Variant, ...] = ("tiny", "large")
    sides: tuple[int, ...] = (512, 1024)
    for device, truth in ((CPU, CPU_RUN), (CUDA, NO_TRUTH)):
        for precision in ("float32", "autocast_bfloat16"):
            for variant in variants:
                for side in sides:
                    common: dict[str, Any] = {"variant": variant, "side": side, "precision": precision}
                    found.append(Case(run="image", device=device, truth=truth, **common))
                    if device == CPU and precision == "float32":
                        found.append(Case(run="encoder", device=device, truth=truth, **common))
        side, frames = (512, 4) if device == CPU else (1024, 20)
        found.append(
            Case(run="video", variant="tiny", side=side, precision="float32", frames=frames, device=device, truth=truth)
        )
    for variant in variants:
        found.append(
            Case(
                run="image",
                variant=variant,
                side=1024,
                precision="float16",
                version="2.0",
                device=CUDA,
                truth=PUBLISHED,
            )
        )
    if quick:
        found = [case for case in found if case.variant == "tiny" and case.side == 512]
    order = {"encoder": 0, "image": 1, "video": 2}
    return sorted(found, key=lambda case: (order[case.run], case.precision != "float32"))
