"""The names and shapes of SAM 2's weights, and what Hugging Face transformers calls them.

transformers keeps the same tensors under other names, in Sam2VideoModel and, without those that only video needs, in
Sam2Model. Nothing is transposed; two things lie otherwise. The four point embeddings are the rows of one tensor, and
the matrix of positions is there twice: for points and boxes, and for the picture.

Source: models/sam2_video/convert_sam2_video_to_hf.py of transformers; the names are the same from 4.56.0, the first
release that has them, to 5.24.0.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from planner.nouns.words import VARIANTS, VERSIONS, Variant, Version
from planner.text.locations import profiles_folder

EXPECTED_OF_TRANSFORMERS = "vision_encoder.backbone.patch_embed.projection.weight"
"""What transformers calls planner.catalog.checkpoints.EXPECTED."""
PICTURE_POSITIONS = "shared_image_embedding.positional_embedding"
"""transformers' second copy of the matrix of positions. Releases before 5 tie it to the first, and save one of them."""
POINT_KINDS = 4
"""Rows of transformers' point embeddings: off and on the object, and the two corners of a box."""
VIDEO_ONLY = (
    "maskmem_tpos_enc", "memory_attention.", "memory_encoder.", "mask_downsample.", "no_mem_pos_enc", "no_obj_ptr",
    "no_obj_embed_spatial", "obj_ptr_proj.", "obj_ptr_tpos_proj.",
)  # fmt: skip
"""How the names of weights begin that neither pictures nor automatic masks use; Sam2Model has none of them."""
_POSITIONS = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_POINTS = re.compile(r"^sam_prompt_encoder\.point_embeddings\.(\d+)\.weight$")
_HEADS = r"(obj_ptr_proj|iou_prediction_head|pred_obj_score_head|output_hypernetworks_mlps\.\d+)\.layers\."
_CHANGES: tuple[tuple[str, str], ...] = (
    (r"^maskmem_tpos_enc$", "memory_temporal_positional_encoding"),
    (r"^no_mem_embed$", "no_memory_embedding"),
    (r"^no_mem_pos_enc$", "no_memory_positional_encoding"),
    (r"^no_obj_ptr$", "no_object_pointer"),
    (r"^no_obj_embed_spatial$", "occlusion_spatial_embedding_parameter"),
    (r"^sam_prompt_encoder\.pe_layer\..*$", "prompt_encoder.shared_embedding.positional_embedding"),
    (_POINTS.pattern, "prompt_encoder.point_embed.weight"),
    # Networks of two layers have a first and a last one, those of three one between them.
    (r"\.mlp\.layers\.0\.", ".mlp.proj_in."),
    (r"\.mlp\.layers\.1\.", ".mlp.proj_out."),
    (_HEADS + r"0\.", r"\1.proj_in."),
    (_HEADS + r"1\.", r"\1.layers.0."),
    (_HEADS + r"2\.", r"\1.proj_out."),
    (r"^image_encoder\.neck\.convs\.(\d+)\.conv\.", r"vision_encoder.neck.convs.\1."),
    (r"^image_encoder\.trunk\.", "vision_encoder.backbone."),
    (r"\.patch_embed\.proj\.", ".patch_embed.projection."),
    (r"\.mask_downscaling\.0\.", ".mask_embed.conv1."),
    (r"\.mask_downscaling\.1\.", ".mask_embed.layer_norm1."),
    (r"\.mask_downscaling\.3\.", ".mask_embed.conv2."),
    (r"\.mask_downscaling\.4\.", ".mask_embed.layer_norm2."),
    (r"\.mask_downscaling\.6\.", ".mask_embed.conv3."),
    (r"\.output_upscaling\.0\.", ".upscale_conv1."),
    (r"\.output_upscaling\.1\.", ".upscale_layer_norm."),
    (r"\.output_upscaling\.3\.", ".upscale_conv2."),
    (r"^sam_(prompt_encoder|mask_decoder)\.", r"\1."),
    (r"^obj_ptr_proj\.", "object_pointer_proj."),
    (r"^obj_ptr_tpos_proj\.", "temporal_positional_encoding_projection_layer."),
    *((rf"\.mask_downsampler\.encoder\.{3 * i}\.", f".mask_downsampler.layers.{i}.conv.") for i in range(4)),
    *((rf"\.mask_downsampler\.encoder\.{3 * i + 1}\.", f".mask_downsampler.layers.{i}.layer_norm.") for i in range(4)),
    (r"\.mask_downsampler\.encoder\.12\.", ".mask_downsampler.final_conv."),
    (r"^memory_encoder\.pix_feat_proj\.", "memory_encoder.feature_projection."),
    (r"^memory_encoder\.out_proj\.", "memory_encoder.projection."),
    (r"^memory_encoder\.fuser\.", "memory_encoder.memory_fuser."),
    (r"\.dwconv\.", ".depthwise_conv."),
    (r"\.pwconv(\d)\.", r".pointwise_conv\1."),
    (r"\.gamma$", ".scale"),
    (r"\.out_proj\.", ".o_proj."),
    (r"\.norm", ".layer_norm"),
)
"""From SAM 2's own names to transformers', one after the other."""


@dataclass(frozen=True, slots=True)
class Named:
    """What transformers calls a weight of SAM 2."""

    name: str
    row: int | None = None
    """Which row of that tensor it is, where it is not all of it."""


@lru_cache(maxsize=8)
def needed_tensors(variant: Variant, version: Version) -> Mapping[str, tuple[int, ...]]:
    """Shapes of a variant's weights by their names, from profiles/tensors.tsv."""
    needed: dict[str, tuple[int, ...]] = {}
    for line in (profiles_folder() / "tensors.tsv").read_text(encoding="ascii").splitlines():
        if line.startswith("#"):
            continue
        variants, versions, blocks, name, shape = line.split("\t")
        if variant in variants.split(",") and version in versions.split(","):
            sizes = tuple(map(int, shape.split("x")))
            needed.update((name.replace("#", block), sizes) for block in _numbers(blocks))
    return needed


def is_video_only(name: str) -> bool:
    """Whether pictures and automatic masks do without the weight of this name (SAM 2's own)."""
    return name.startswith(VIDEO_ONLY)


def in_transformers(name: str) -> Named:
    """What transformers calls the weight of this name (SAM 2's own)."""
    point = _POINTS.match(name)
    for pattern, replacement in _CHANGES:
        name = re.sub(pattern, replacement, name)
    return Named(name, None if point is None else int(point[1]))


@lru_cache(maxsize=1)
def from_transformers() -> Mapping[str, tuple[tuple[str, int | None], ...]]:
    """SAM 2's own names, each with its row, by what transformers calls them; of all variants and versions."""
    names = {name for variant in VARIANTS for version in VERSIONS for name in needed_tensors(variant, version)}
    found: dict[str, list[tuple[str, int | None]]] = defaultdict(list)
    for name in sorted(names):
        called = in_transformers(name)
        found[called.name].append((name, called.row))
    found[PICTURE_POSITIONS].append((_POSITIONS, None))
    return {name: tuple(weights) for name, weights in found.items()}


def _numbers(ranges: str) -> Iterator[str]:
    for part in ranges.split(","):
        first, _, last = part.partition("-")
        yield from [first] if not last else map(str, range(int(first), int(last) + 1))
