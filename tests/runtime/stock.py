"""The sam2 package's own predictors on the CPU, with weights that are random and yet do something.

What the runtime's masks are compared with. Shares no code with planner.runtime: models are built by sam2's own
builders, pictures are read from JPEG files by sam2's own loader, and the video predictor is driven by its own calls.
"""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy
import torch
from PIL import Image

NAMES = {"tiny": "t", "small": "s", "base_plus": "b+", "large": "l"}
SIZE = (120, 160)
"""Height and width of the source pictures, unless a test says otherwise."""


@contextmanager
def quiet() -> Iterator[None]:
    """What sam2 warns of (no GPU, no compiled extension) is not what is tested; elsewhere warnings are errors."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


# -- models -----------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def stock_model(variant: str, version: str, side: int, *, video: bool, weights: Path | None = None) -> Any:
    """sam2's model at `side`×`side` on the CPU, with all post-processing that its builders add by default."""
    from sam2.build_sam import build_sam2, build_sam2_video_predictor

    prefix = "2.1" if version == "2.1" else "2"
    build = build_sam2_video_predictor if video else build_sam2
    with quiet():
        model = build(
            f"configs/sam{prefix}/sam{prefix}_hiera_{NAMES[variant]}.yaml",
            ckpt_path=None if weights is None else str(weights),
            device="cpu",
            hydra_overrides_extra=[f"++model.image_size={side}"],
        )
    model.memory_attention.register_forward_pre_hook(widen_memory, with_kwargs=True)
    encode_once(model)
    return model


def widen_memory(module: Any, arguments: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Memories in float32, which sam2 stores in bfloat16.

    Joined with pointers they are widened by sam2 itself. An object that is prompted on later frames only has no
    pointers yet, and there sam2 stops without autocast: "mat1 and mat2 must have the same dtype".
    """
    return arguments, options | {"memory": options["memory"].float()}


@lru_cache(maxsize=1)
def checkpoints() -> tempfile.TemporaryDirectory[str]:
    """Where checkpoints lie as long as the tests run."""
    return tempfile.TemporaryDirectory(prefix="sam2-plan-tests-")


@lru_cache(maxsize=8)
def checkpoint(variant: str, version: str, presence: float = 0.5, *, patchy: bool = False) -> Path:
    """A file like an official checkpoint.

    `presence` is added to what the model says of an object being visible. `patchy` weights give masks of small
    patches, which differ from prompt to prompt.
    """
    torch.manual_seed(0)
    model = stock_model.__wrapped__(variant, version, 256, video=False)
    enliven(model, presence)
    if patchy:
        subtract(model, 2.0)
    path = Path(checkpoints().name) / f"{variant}-{version}-{presence}-{patchy}.pt"
    torch.save({"model": model.state_dict()}, path)
    return path


def enliven(model: Any, presence: float) -> None:
    """Change random weights so that masks are neither empty nor full, and that no term of the sums is zero.

    sam2 starts biases, positions and layer scales at constants: a term that is left out would not be noticed.
    """
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.min() == parameter.max():
                parameter += 0.05 * torch.randn_like(parameter)
        decoder = model.sam_mask_decoder
        for mlp in decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight *= 12.0
            mlp.layers[-1].bias *= 12.0
        decoder.pred_obj_score_head.layers[-1].bias += presence


def subtract(model: Any, offset: float) -> None:
    """Make masks positive where they were above `offset`, and eight times as steep: one channel of theirs is given up
    for a constant.
    """
    decoder = model.sam_mask_decoder
    with torch.no_grad():
        decoder.conv_s0.weight[0] = 0.0
        decoder.conv_s0.bias[0] = 0.0
        decoder.output_upscaling[3].weight[:, 0] = 0.0
        decoder.output_upscaling[3].bias[0] = 3.0
        for mlp in decoder.output_hypernetworks_mlps:
            mlp.layers[-1].weight[0] = 0.0
            mlp.layers[-1].bias[0] = -offset / 3.0
            mlp.layers[-1].weight *= 8.0
            mlp.layers[-1].bias *= 8.0


# -- pictures that are encoded once -------------------------------------------------------------------------
#
# Three quarters of a run at 64x64 are the encoder's, and tests see few pictures. A model encodes each itself when it
# sees it first, and is given copies of that from then on: what is compared was computed by each side, and what follows
# the encoder is computed anew by every test.

MOST = 80
"""Pictures that are kept of one model."""
LARGEST = 128 * 128
"""Pixels: what is encoded in larger sizes is seldom asked for twice."""


class Remembered(dict[Any, Any]):
    """What was encoded; the oldest goes."""

    def keep(self, key: Any, value: Any) -> Any:
        if len(self) >= MOST:
            del self[next(iter(self))]
        self[key] = value
        return value


def bytes_of(tensor: torch.Tensor) -> bytes:
    return tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes()


def encode_once(model: Any) -> None:
    """sam2's model, whose image encoder is asked once for the same input."""
    known, original = Remembered(), model.image_encoder.forward

    def forward(sample: torch.Tensor) -> dict[str, Any]:
        if sample.shape[-1] * sample.shape[-2] > LARGEST:
            found: dict[str, Any] = original(sample)
            return found
        key = (sample.shape, torch.is_autocast_enabled("cpu"), bytes_of(sample))
        found = known.get(key) or known.keep(key, original(sample))
        # sam2 puts what it goes on with into the lists.
        return {
            name: [one.clone() for one in value] if isinstance(value, list) else value.clone()
            for name, value in found.items()
        }

    model.image_encoder.forward = forward


# -- pictures ---------------------------------------------------------------------------------------------


def picture(index: int, size: tuple[int, int] = SIZE) -> numpy.ndarray:
    """One frame of a made clip, H×W×3 uint8: a disc, a square and a bar that move over a noisy slope."""
    height, width = size
    random = numpy.random.default_rng(index)
    rows, columns = numpy.mgrid[:height, :width]
    values = numpy.stack([columns * 200 // width, rows * 200 // height, (rows + columns) % 97], axis=-1)
    values = values + random.integers(0, 25, values.shape)
    x, y = 30 + 1.5 * index, 55 + 10 * numpy.sin(index / 5)
    values[(columns - x) ** 2 + (rows - y) ** 2 < 18**2] = (240, 200, 40)
    values[(abs(columns - 110 + index) < 14) & (abs(rows - 80) < 14)] = (30, 60, 220)
    values[(abs(rows - 20 - index // 2) < 6) & (columns > 60)] = (200, 30, 90)
    return numpy.clip(values, 0, 255).astype(numpy.uint8)


@lru_cache(maxsize=8)
def clip(frames: int, size: tuple[int, int] = SIZE, dark: tuple[int, ...] = ()) -> Path:
    """A folder of JPEG files, as the stock predictor reads them. Frames of `dark` are black."""
    folder = Path(tempfile.mkdtemp(prefix=f"clip-{frames}-", dir=checkpoints().name))
    for index in range(frames):
        values = picture(index, size) * (index not in dark)
        Image.fromarray(values).save(folder / f"{index:05d}.jpg", quality=95)
    return folder


def pictures_of(folder: Path) -> list[numpy.ndarray]:
    """The decoded frames of a folder, in order."""
    return [numpy.asarray(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]


# -- video ------------------------------------------------------------------------------------------------

Answer = tuple[int, dict[int, torch.Tensor]]
"""Frame index, and the scores of each object at the source's size, H×W float32."""


@dataclass(frozen=True)
class Script:
    """What a user does with a video predictor."""

    folder: Path
    prompts: Sequence[Mapping[str, Any]]
    """Entered before anything is tracked."""
    afterwards: Mapping[int, Sequence[Mapping[str, Any]]] = field(default_factory=dict)
    """After the frame of this number was given: prompts, or {"remove": object}."""
    reverse: bool = False
    frames: int | None = None
    """How many frames to track at most; None: to the end."""


class StockTracking:
    """A script, run by sam2's own video predictor."""

    def __init__(self, model: Any, script: Script) -> None:
        self.model = model
        self.script = script
        self.said: dict[tuple[int, int], torch.Tensor] = {}
        """What the predictor answered to a prompt mid-stream: {(frame, object): scores at the source's size}."""
        with quiet():
            self.state = model.init_state(str(script.folder))

    def run(self) -> list[Answer]:
        """All frames, in the order in which they were tracked."""
        with quiet():
            return list(self._frames())

    def _frames(self) -> Iterator[Answer]:
        script = self.script
        for prompt in script.prompts:
            self._do(prompt)
        numbers = [prompt["frame"] for prompt in script.prompts]
        # Left alone, the predictor begins at the first prompted frame whichever way it goes.
        start = max(numbers) if script.reverse else min(numbers)
        step = -1 if script.reverse else 1
        pending = dict(script.afterwards)
        given = 0
        while 0 <= start < self.state["num_frames"]:
            interrupted = False
            stream = self.model.propagate_in_video(self.state, start_frame_idx=start, reverse=script.reverse)
            for frame, objects, scores in stream:
                # Objects are copied: the predictor changes its list in place.
                yield frame, {name: scores[index, 0].clone() for index, name in enumerate(list(objects))}
                given += 1
                if given == script.frames:
                    return
                if frame in pending:
                    interrupted = True
                    break
            stream.close()
            if not interrupted:
                return
            actions = pending.pop(frame)
            for action in actions:
                self._do(action, answered=True)
            # A prompt on an earlier frame: what came after it is tracked again.
            start = step * min([step * frame, *(step * action.get("frame", frame) for action in actions)]) + step

    def _do(self, action: Mapping[str, Any], answered: bool = False) -> None:
        if "remove" in action:
            self.model.remove_object(self.state, action["remove"], strict=True)
            return
        where = dict(frame_idx=action["frame"], obj_id=action["object"])
        if "mask" in action:
            _, objects, scores = self.model.add_new_mask(self.state, mask=action["mask"], **where)
        else:
            _, objects, scores = self.model.add_new_points_or_box(
                self.state,
                points=action.get("points"),
                labels=action.get("labels"),
                box=action.get("box"),
                **where,
            )
        if answered:
            index = list(objects).index(action["object"])
            self.said[action["frame"], action["object"]] = scores[index, 0].clone()

    @property
    def presence(self) -> dict[int, dict[int, bool]]:
        """{object: {frame: whether the predictor thought it visible}} of the tracked frames."""
        return {
            self.state["obj_idx_to_id"][index]: {
                frame: bool(entry["object_score_logits"] > 0) for frame, entry in kept["non_cond_frame_outputs"].items()
            }
            for index, kept in self.state["output_dict_per_obj"].items()
        }


# -- pictures and automatic masks -------------------------------------------------------------------------


def image_predictor(model: Any) -> Any:
    """sam2's image predictor, at the model's own size: its table of feature sizes holds for 1024 only."""
    from sam2.sam2_image_predictor import SAM2ImagePredictor

    with quiet():
        predictor = SAM2ImagePredictor(model)
    predictor._bb_feat_sizes = [(model.image_size // step,) * 2 for step in (4, 8, 16)]
    return predictor


def predict(model: Any, image: numpy.ndarray, **prompts: Any) -> tuple[numpy.ndarray, numpy.ndarray, numpy.ndarray]:
    """Masks N×M×H×W bool, scores N×M and low-resolution logits N×M×h×w of one picture."""
    with quiet():
        predictor = image_predictor(model)
        predictor.set_image(image)
        masks, scores, logits = predictor.predict(**prompts)
    if masks.ndim == 3:
        masks, scores, logits = masks[None], scores[None], logits[None]
    return masks.astype(bool), scores, logits


def automatic_masks(model: Any, image: numpy.ndarray, **options: Any) -> list[dict[str, Any]]:
    """What sam2's own generator finds, in its order."""
    from sam2.automatic_mask_generator import SAM2AutomaticMaskGenerator

    with quiet():
        generator = SAM2AutomaticMaskGenerator(model, **options)
        generator.predictor._bb_feat_sizes = image_predictor(model)._bb_feat_sizes
        return generator.generate(image)
