"""Hugging Face transformers' SAM 2, driven the way its guides drive it. Nowhere else.

    model = load(run, "cuda", watch)
    with computing(run, "cuda"):
        drive(run, model, watch, Noise(frames, size))

Two tasks: pictures with prompts (Sam2Model and its processor) and video (Sam2VideoModel, its processor and an inference
session, of a whole clip or streaming); EdgeTAM and SAM 3's tracker have models of their own that are driven alike.
Models and processors are made from their own configurations, with the values of the published checkpoints; nothing is
downloaded. Masks leave the GPU with the next frame's: the guides' dictionary of all masks of a clip, which would keep
them there, is the caller's.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy
import torch

from planner.driving import prompts
from planner.driving.calls import ROUNDS, tell_of_methods
from planner.driving.calls import autocast_type as autocast_type
from planner.driving.calls import computing as computing
from planner.driving.clips import Black
from planner.driving.watch import Watch
from planner.errors import EnvironmentFailure
from planner.nouns.run import ComponentName, PhaseName, Run
from planner.nouns.words import Variant
from planner.runtime.precision import WEIGHTS


class Family(NamedTuple):
    """The classes of transformers that run a variant."""

    name: str
    """As people say it."""
    since: str
    """The first release of transformers that has it."""
    picture: str
    """What the names of classes for pictures begin with; the following likewise."""
    picture_processor: str
    image_processors: tuple[str, ...]
    """The newest name first."""
    video: str
    video_processor: str


SAM2 = Family(
    "SAM 2", "4.56", "Sam2", "Sam2Processor", ("Sam2ImageProcessor", "Sam2ImageProcessorFast"),
    "Sam2Video", "Sam2VideoProcessor",
)  # fmt: skip
OTHERS: dict[Variant, Family] = {
    # Its checkpoint is prepared by SAM 2's processors (transformers, models/auto/processing_auto.py).
    "edgetam": SAM2._replace(name="EdgeTAM", since="4.57", picture="EdgeTam", video="EdgeTamVideo"),
    "sam3_tracker": Family(
        "SAM 3", "5.0", "Sam3Tracker", "Sam3TrackerProcessor", ("Sam3ImageProcessor", "Sam3ImageProcessorFast"),
        "Sam3TrackerVideo", "Sam3TrackerVideoProcessor",
    ),
}  # fmt: skip
"""Families of OTHER_MODELS; all other variants are SAM 2's."""
VIDEO_PROCESSOR = "Sam2VideoVideoProcessor"
"""What prepares a clip in each of them."""
EDGETAM_TRUNK = {
    "architecture": "repvit_m1",
    "model_args": {"in_chans": 3, "features_only": True, "out_indices": [0, 1, 2, 3]},
}
"""Its trunk, from timm: what transformers' EdgeTamVisionConfig means (it misspells the key, so that its default is a
ResNet), and its video's configuration leaves out (whose default is SAM 2's Hiera). facebookresearch/EdgeTAM,
sam2/configs/edgetam.yaml: repvit_m1."""
PHASES: dict[str, tuple[PhaseName, ComponentName | None]] = {"get_image_features": ("encode", None)}
TRUNKS: dict[Variant, dict[str, Any]] = {
    "tiny": {
        "hidden_size": 96, "num_attention_heads": 1, "blocks_per_stage": [1, 2, 7, 2],
        "global_attention_blocks": [5, 7, 9], "window_size_per_stage": [8, 4, 14, 7],
        "window_positional_embedding_background_size": [7, 7],
    },
    "small": {
        "hidden_size": 96, "num_attention_heads": 1, "blocks_per_stage": [1, 2, 11, 2],
        "global_attention_blocks": [7, 10, 13], "window_size_per_stage": [8, 4, 14, 7],
        "window_positional_embedding_background_size": [7, 7],
    },
    "base_plus": {
        "hidden_size": 112, "num_attention_heads": 2, "blocks_per_stage": [2, 3, 16, 3],
        "global_attention_blocks": [12, 16, 20], "window_size_per_stage": [8, 4, 14, 7],
        "window_positional_embedding_background_size": [14, 14],
    },
    "large": {
        "hidden_size": 144, "num_attention_heads": 2, "blocks_per_stage": [2, 6, 36, 4],
        "global_attention_blocks": [23, 33, 43], "window_size_per_stage": [8, 4, 16, 8],
        "window_positional_embedding_background_size": [7, 7],
    },
}  # fmt: skip
"""Trunks of the variants: facebookresearch/sam2 at 2b90b9f, sam2/configs/sam2.1/*.yaml, under transformers' names."""
BEFORE_2_1 = {
    "enable_occlusion_spatial_embedding": False,
    "enable_temporal_pos_encoding_for_object_pointers": False,
}
"""What a checkpoint of version 2.0 lacks (sam2/configs/sam2/*.yaml)."""


def prepare(run: Run) -> None:
    """Import what the run needs. Raises EnvironmentFailure without transformers, or with one that has no such model."""
    for what in ("Model", "Config"):
        _part(run, what)
    processor_of(run)
    if run.configuration.variant == "edgetam":
        _edgetam_trunk()


def load(run: Run, device: str, watch: Watch, checkpoint: str | Path | None = None) -> Any:
    """The model on `device`, in the weights' precision. Without a checkpoint its weights are random.

    checkpoint: a folder or an id as from_pretrained takes it. Raises EnvironmentFailure as prepare does.
    """
    with watch.phase("load"):
        if checkpoint is None:
            model = _part(run, "Model")(configuration_of(run))
        else:
            model = _part(run, "Model").from_pretrained(str(checkpoint))
        model = model.eval().to(device, dtype=weights_type(run))
    watch.model(model)
    tell_of_methods(model, watch.phase, PHASES)
    return model


def weights_type(run: Run) -> torch.dtype:
    """Type of the weights, of the session's frames and of the prompts."""
    return WEIGHTS.get(run.configuration.precision, torch.float32)


def configuration_of(run: Run) -> Any:
    """Transformers' configuration of the variant and version that is run."""
    if run.configuration.variant == "edgetam":
        vision = _named(family_of(run), "EdgeTamVisionConfig")(backbone_config=_edgetam_trunk())
        return _part(run, "Config")(vision_config=vision)
    if run.configuration.variant in OTHERS:
        return _part(run, "Config")()
    trunk = TRUNKS[run.configuration.variant]
    channels = [trunk["hidden_size"] * factor for factor in (1, 2, 4, 8)]
    heads = [trunk["num_attention_heads"] * factor for factor in (1, 2, 4, 8)]
    make = _part(run, "Config")
    plain = make().to_dict()
    plain["vision_config"]["backbone_channel_list"] = channels[::-1]
    plain["vision_config"]["backbone_config"].update(
        trunk, embed_dim_per_stage=channels, num_attention_heads_per_stage=heads
    )
    if run.workload.task == "video" and run.configuration.version == "2.0":
        plain |= BEFORE_2_1
    return make(**plain)


def processor_of(run: Run) -> Any:
    """The processor as the published checkpoints describe it."""
    family, (side, _) = family_of(run), run.configuration.resolution
    size = {"height": side, "width": side}
    pictures = _named(family, *family.image_processors)(size=size)
    if run.workload.task != "video":
        return _named(family, family.picture_processor)(pictures, target_size=side)
    videos = _named(family, VIDEO_PROCESSOR)(size=size)
    return _named(family, family.video_processor)(image_processor=pictures, video_processor=videos, target_size=side)


def family_of(run: Run) -> Family:
    """Whose classes run it."""
    return OTHERS.get(run.configuration.variant, SAM2)


def _part(run: Run, what: str) -> Any:
    family = family_of(run)
    return _named(family, f"{family.video if run.workload.task == 'video' else family.picture}{what}")


def _edgetam_trunk() -> Any:
    """The configuration of EdgeTAM's trunk. Raises EnvironmentFailure without timm, which has its code."""
    try:
        import timm  # noqa: F401
    except ImportError as error:
        raise EnvironmentFailure(
            f"EdgeTAM's trunk is a model of the package timm, which is missing: {error}.",
            "Install it with: pip install timm",
        ) from error
    return _named(OTHERS["edgetam"], "TimmWrapperConfig")(**EDGETAM_TRUNK)


def _named(family: Family, *names: str) -> Any:
    """The first of these classes that the installed transformers has."""
    try:
        import transformers
    except ImportError as error:
        raise EnvironmentFailure(
            f"The runtime transformers runs Hugging Face's package, which is missing: {error}.",
            'Install it with: pip install "sam2-plan[transformers]"',
        ) from error
    for name in names:
        if hasattr(transformers, name):
            return getattr(transformers, name)
    raise EnvironmentFailure(
        f"transformers {transformers.__version__} has no {names[-1]}.",
        f"{family.name} came with version {family.since}: install transformers>={family.since}.",
    )


def drive(run: Run, model: Any, watch: Watch, clip: Black, *, rounds: int = ROUNDS, tracked: int | None = None) -> None:
    """Do what `run` says with a loaded model, on the pictures of `clip`.

    `rounds`: of a picture, how often it is set and prompted. `tracked`: how many frames of the clip are tracked; None:
    all.
    """
    if run.workload.task == "video":
        _Video(run, model, watch, clip).track(tracked or clip.frames)
    else:
        _drive_image(run, model, watch, clip, rounds)


def _drive_image(run: Run, model: Any, watch: Watch, clip: Black, rounds: int) -> None:
    """Process a picture, predict and bring the masks to its size, on the host as the guides do."""
    processor = processor_of(run)
    with watch.phase("output"):
        for number in range(rounds):
            picture = clip.picture(number)
            watch.section(f"round {number}")
            given = processor(images=picture, return_tensors="pt", **_prompts(run, frame=False))
            given = given.to(model.device, model.dtype)
            with watch.phase("prompt"):
                found = model(**given, multimask_output=False)
            watch.holds("image features", found.image_embeddings)
            processor.post_process_masks(found.pred_masks.cpu(), original_sizes=[list(clip.size)])
            watch.tick()
            watch.progress(number + 1, rounds)


def _prompts(run: Run, *, frame: bool) -> dict[str, Any]:
    """Prompts of all objects of the one picture, or for the first frame of a clip, in nested lists."""
    height, width = run.workload.frame_size
    if run.prompt == "point":
        points = [[[float(x), float(y)]] for x, y in prompts.points(run)]
        return {"input_points": [points], "input_labels": [[[1]] * len(points)]}
    if run.prompt == "mask" and frame:
        return {"input_masks": [numpy.zeros((height, width), dtype=numpy.bool_)] * run.workload.objects}
    boxes = {"input_boxes": [prompts.boxes(run).tolist()]}
    if run.prompt == "mask":  # of a picture it refines a box, as in the stock predictor
        side = run.configuration.resolution[0]
        boxes["input_masks"] = torch.zeros(run.workload.objects, side // 4, side // 4)  # type: ignore[assignment]
    return boxes


class _Video:
    """One clip, given whole or streaming."""

    def __init__(self, run: Run, model: Any, watch: Watch, clip: Black) -> None:
        self.run, self.model, self.watch, self.clip = run, model, watch, clip
        self.processor = processor_of(run)
        self.streaming = run.transformers.streaming
        with watch.phase("init"):
            watch.section("init")
            self.session = self.processor.init_video_session(
                video=None if self.streaming else clip.whole(),
                inference_device=model.device,
                inference_state_device="cpu" if run.configuration.offload_state else model.device,
                video_storage_device="cpu" if run.configuration.offload_video else model.device,
                processing_device=None if self.streaming else _device(run.transformers.processing_device, model),
                dtype=weights_type(run),
            )
        self.tell()

    def tell(self) -> None:
        """Whose the session's tensors are."""
        self.watch.holds("frames", self.session.processed_frames)
        self.watch.holds("image features", self.session.cache._vision_features)
        self.watch.holds("memory bank", self.session.output_dict_per_obj)

    def track(self, frames: int) -> None:
        """Prompt all objects on the first frame, and propagate through so many."""
        with self.watch.phase("track"):
            if self.streaming:
                self._stream(frames)
            else:
                self._propagate(frames)

    def _propagate(self, frames: int) -> None:
        self.watch.section("prompt 0")
        with self.watch.phase("prompt"):
            self._add_prompts()
            self.model(inference_session=self.session, frame_idx=0)
        self.tell()
        self.watch.section("propagate")
        masks = None
        for number, found in enumerate(self.model.propagate_in_video_iterator(self.session)):
            masks = self._masks(found)
            self._frame_done(number, frames)
            if number + 1 == frames:
                break
        del masks

    def _stream(self, frames: int) -> None:
        masks = None
        self.watch.section("propagate")
        for number in range(frames):
            with self.watch.phase("encode", "current frame"):
                given = self.processor(images=self.clip.picture(number), device=self.model.device, return_tensors="pt")
            if number == 0:
                with self.watch.phase("prompt"):
                    self._add_prompts()
            found = self.model(inference_session=self.session, frame=given.pixel_values[0])
            masks = self._masks(found)
            self._frame_done(number, frames)
        del masks

    def _add_prompts(self) -> None:
        objects = list(range(1, self.run.workload.objects + 1))
        self.processor.add_inputs_to_inference_session(
            inference_session=self.session, frame_idx=0, obj_ids=objects, original_size=self.clip.size,
            **_prompts(self.run, frame=True),
        )  # fmt: skip

    def _masks(self, found: Any) -> Any:
        with self.watch.phase("output", "outputs"):
            return self.processor.post_process_masks(
                [found.pred_masks], original_sizes=[list(self.clip.size)], binarize=False
            )[0]

    def _frame_done(self, number: int, frames: int) -> None:
        self.tell()
        self.watch.section(f"frame {number + 1}")
        self.watch.tick()
        self.watch.progress(number + 1, frames)


def _device(said: str, model: Any) -> Any:
    return model.device if said == "cuda" else said
