"""The fixed words of this program, each set as a type and as a tuple in the order that messages and help list them.

Knows nothing of what they are used for. Whether a word that somebody gave is one of them says spelling.check_word.
"""

from __future__ import annotations

from typing import Literal, get_args

Task = Literal["video", "image", "automask"]
"""What is wanted: objects tracked through a clip, prompted in one picture, or every mask of one picture."""
TASKS: tuple[Task, ...] = get_args(Task)

Variant = Literal["tiny", "small", "base_plus", "large", "edgetam", "sam3_tracker"]
"""Which SAM 2, smallest first, and the trackers of its family that transformers alone runs."""
VARIANTS: tuple[Variant, ...] = ("tiny", "small", "base_plus", "large")
"""Those of SAM 2: what is planned."""
OTHER_MODELS: tuple[Variant, ...] = ("edgetam", "sam3_tracker")
"""EdgeTAM, and the tracker of SAM 3 (without its detector): simulated, rehearsed and predicted in transformers."""
ALL_VARIANTS: tuple[Variant, ...] = get_args(Variant)

Version = Literal["2.1", "2.0"]
"""The version of the checkpoints, newest first."""
VERSIONS: tuple[Version, ...] = get_args(Version)

Precision = Literal["autocast_bfloat16", "autocast_float16", "float32", "float16", "bfloat16"]
"""The precision of weights and activations; the autocast ones keep float32 weights."""
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

Width = Literal["half", "autocast", "float32"]
"""The width of weights and activations: precisions of one width are alike, byte for byte."""
WIDTHS: tuple[Width, ...] = get_args(Width)

Attention = Literal["auto", "flash", "efficient", "cudnn", "math"]
"""The scaled-dot-product kernel; auto is what torch picks."""
ATTENTIONS: tuple[Attention, ...] = get_args(Attention)

Runtime = Literal["own", "stock", "transformers", "ultralytics", "reimplementation"]
"""Whose code runs: that of planner.load, the predictors of the sam2 package, those of Hugging Face transformers or of
Ultralytics, or another program that was published."""
RUNTIMES: tuple[Runtime, ...] = get_args(Runtime)

DrivenRuntime = Literal["own", "stock", "transformers", "ultralytics"]
"""Whose code can be run here: simulated, rehearsed and measured."""
DRIVEN_RUNTIMES: tuple[DrivenRuntime, ...] = get_args(DrivenRuntime)
SAM2_RUNTIMES: tuple[DrivenRuntime, ...] = ("own", "stock")
"""Those that are built on the sam2 package, and that planning compares by itself."""
OTHER_RUNTIMES: tuple[DrivenRuntime, ...] = ("transformers", "ultralytics")
"""Packages of their own, each with its own code of SAM 2."""


def package_of(runtime: Runtime) -> str:
    """The package whose code a runtime runs, as it is installed."""
    return runtime if runtime in OTHER_RUNTIMES else "sam2"


ProcessingDevice = Literal["cuda", "cpu"]
"""Where transformers' processor prepares the frames of a clip."""
PROCESSING_DEVICES: tuple[ProcessingDevice, ...] = get_args(ProcessingDevice)

PositionTables = Literal["built", "used", "none"]
"""When the stock predictors make the tables of positions that they keep: with the model (sam2 since December 2024), at
their first use (before), or never (forks that keep none)."""
POSITION_TABLES: tuple[PositionTables, ...] = get_args(PositionTables)

PromptKind = Literal["box", "point", "mask"]
"""How the objects of a run that is measured or simulated are prompted."""
PROMPTS: tuple[PromptKind, ...] = get_args(PromptKind)

Preference = Literal["quality", "speed", "balanced"]
"""What best means."""
PREFERENCES: tuple[Preference, ...] = get_args(Preference)

Verdict = Literal["fits", "tight", "does_not_fit"]
"""tight: it fits if the prediction holds, or if the allocator gives cache back; its upper bound does not."""
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

BudgetSource = Literal["vram", "gpu", "device"]
"""Where a budget comes from: a size, a GPU by name, or the free memory of one that is present."""
BUDGET_SOURCES: tuple[BudgetSource, ...] = get_args(BudgetSource)

HostSource = Literal["given", "machine"]
"""Whether the user said how much memory the host has, or the machine of the GPU did."""
HOST_SOURCES: tuple[HostSource, ...] = get_args(HostSource)

ProvenanceKind = Literal["measured", "rehearsed", "published", "simulated", "derived", "assumed"]
"""measured: on a GPU by this project; rehearsed: torch's own bytes, on an imaginary GPU, or fitted to them; published:
from a cited publication or fitted to one; simulated: traced; derived: the size of a known array, or what a law of
published figures says of another GPU; assumed: a stated allowance that nothing measured supports yet."""
PROVENANCES: tuple[ProvenanceKind, ...] = get_args(ProvenanceKind)

ExactMethod = Literal["rehearsed", "simulated"]
"""How the bytes of one configuration are found without a law."""
EXACT_METHODS: tuple[ExactMethod, ...] = get_args(ExactMethod)

# Answers to questions beside the plan.

Origin = Literal["predicted", "published"]
"""Where the figures of a runtime come from that stands beside the one asked about."""

Standing = Literal["chosen", "fits", "does_not_fit", "unsupported"]
"""What became of a candidate."""

LostBy = Literal["balance", "published", "accuracy", "certainty", "precision", "speed", "bytes", "order"]
"""In what a class that fits loses to the choice. balance: its distance from the knee; published: its accuracy is an
estimate, the choice's is not; certainty: it fits only tightly, the choice surely; order: all else is the same, and the
choice stands first in these lists."""
LOST_BY: tuple[LostBy, ...] = get_args(LostBy)

Purpose = Literal["smallest", "official", "other"]
"""What a needed budget is for: the least of all that the pins leave open; the official recipe at the native
resolution; the other precisions and variants there, or at the pinned resolution."""

# Profiles and measurements.

Metric = Literal["tensors", "allocated", "reserved", "context", "total", "process", "out_of_memory_request"]
"""total is reserved and context; process is what the driver says that the process takes."""
METRICS: tuple[Metric, ...] = get_args(Metric)

FigureKind = Literal["peak", "per_object", "per_frame", "above_load"]
"""above_load: a peak above what was allocated when the model had been loaded."""
FIGURE_KINDS: tuple[FigureKind, ...] = get_args(FigureKind)

Relation = Literal["equal", "at_least", "at_most"]
"""How a figure relates to what it is of."""
RELATIONS: tuple[Relation, ...] = get_args(Relation)

UnitName = Literal["B", "kB", "MB", "GB", "KiB", "MiB", "GiB"]
"""Units of bytes, as profiles write them."""
UNIT_NAMES: tuple[UnitName, ...] = get_args(UnitName)

ProfileKind = Literal["published", "measured", "rehearsed", "simulated"]
"""Where the rows of a profile come from."""
PROFILE_KINDS: tuple[ProfileKind, ...] = get_args(ProfileKind)

SweepKind = Literal["measured", "rehearsed", "simulated"]
"""What a sweep ran on: a GPU, an imaginary one, or the simulator."""

RunOutcome = Literal["ran", "out_of_memory", "failed", "lost"]
"""How a measured run ended; lost: with its GPU."""
RUN_OUTCOMES: tuple[RunOutcome, ...] = get_args(RunOutcome)

Use = Literal["fit", "hold_out", "reference"]
"""Whether the memory model may be fitted to a row."""
USES: tuple[Use, ...] = get_args(Use)

SpeedMode = Literal["eager", "compiled"]
"""How a published speed was reached."""
SPEED_MODES: tuple[SpeedMode, ...] = get_args(SpeedMode)

SpeedUnit = Literal["milliseconds", "frames_per_second"]
"""The unit of a published speed."""
SPEED_UNITS: tuple[SpeedUnit, ...] = get_args(SpeedUnit)

Lifetime = Literal["kept", "call"]
"""How long a workspace is held. kept: taken once from the caching allocator; call: only within one operation."""
LIFETIMES: tuple[Lifetime, ...] = get_args(Lifetime)

# The machine.

MemorySource = Literal["reported", "rule", "unified"]
"""Where the memory of a listed GPU is from: its driver reports it, a rule says it, or it is the host's."""

ProcessKind = Literal["compute", "graphics"]
"""What a process does on the GPU, as the driver lists it."""
PROCESS_KINDS: tuple[ProcessKind, ...] = get_args(ProcessKind)

# Pre-flight and policies.

CheckStatus = Literal["pass", "warn", "fail", "skip"]
"""skip: not looked at, and what was found says why."""
CHECK_STATUSES: tuple[CheckStatus, ...] = get_args(CheckStatus)

PolicyMode = Literal["enforce", "audit"]
"""audit: a breach is a warning."""
POLICY_MODES: tuple[PolicyMode, ...] = get_args(PolicyMode)

PolicyRule = Literal[
    "minimum_quality", "maximum_bytes", "required_headroom", "allowed_variants", "allowed_precisions"
]  # fmt: skip
"""What a policy can demand."""
POLICY_RULES: tuple[PolicyRule, ...] = get_args(PolicyRule)

# Placement.

Engine = Literal["ray", "kubernetes", "slurm", "skypilot"]
"""The scheduler."""
ENGINES: tuple[Engine, ...] = get_args(Engine)

ShareKind = Literal["bound", "budget"]
"""bound: the prediction's upper bound, or the budget where that is less; budget: the plan's budget."""
SHARES: tuple[ShareKind, ...] = get_args(ShareKind)

Sharing = Literal["whole", "mig", "hami", "kai"]
"""How Kubernetes hands out the GPU: a whole one, a MIG slice, a share by HAMi or by the KAI scheduler."""
SHARINGS: tuple[Sharing, ...] = get_args(Sharing)

# Runs and what they leave.

Save = Literal["png", "coco", "npz", "overlay"]
"""What can be saved: indexed PNGs, one COCO document, NPZs, an overlay picture or video."""
SAVES: tuple[Save, ...] = get_args(Save)

RunStatus = Literal["running", "finished", "stopped"]
"""stopped: it ended early and cannot be resumed."""
RUN_STATUSES: tuple[RunStatus, ...] = get_args(RunStatus)

ClipStatus = Literal["done", "resumed", "skipped", "failed", "interrupted", "waiting"]
"""What a call that was given several clips did with one. resumed: completed what an earlier call had begun; skipped:
an earlier call had completed it; interrupted: the same command resumes it; waiting: its turn did not come."""
CLIP_STATUSES: tuple[ClipStatus, ...] = get_args(ClipStatus)

ProgressUnit = Literal["frame", "point"]
"""What the progress of a run is counted in: frames of a clip, points of automatic masks."""

Form = Literal["text", "json", "markdown", "sarif", "junit", "csv"]
"""What answers are printed and saved as."""
