"""transformers' own models of SAM 2, with weights of the sam2 package.

Shares no code with planner.catalog.weight_names: names are turned the other way round, from transformers' to SAM 2's,
and transformers itself takes them strictly.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

BACKBONES: dict[str, dict[str, Any]] = {
    "tiny": {},
    "small": dict(blocks_per_stage=[1, 2, 11, 2], global_attention_blocks=[7, 10, 13]),
    "base_plus": dict(
        hidden_size=112,
        embed_dim_per_stage=[112, 224, 448, 896],
        num_attention_heads_per_stage=[2, 4, 8, 16],
        blocks_per_stage=[2, 3, 16, 3],
        global_attention_blocks=[12, 16, 20],
        window_positional_embedding_background_size=[14, 14],
    ),
    "large": dict(
        hidden_size=144,
        embed_dim_per_stage=[144, 288, 576, 1152],
        num_attention_heads_per_stage=[2, 4, 8, 16],
        blocks_per_stage=[2, 6, 36, 4],
        global_attention_blocks=[23, 33, 43],
        window_positional_embedding_background_size=[7, 7],
        window_size_per_stage=[8, 4, 16, 8],
    ),
}
"""What differs from Sam2HieraDetConfig's defaults (get_config in transformers' convert_sam2_video_to_hf.py)."""
WHOLE = {
    "no_memory_embedding": "no_mem_embed",
    "no_memory_positional_encoding": "no_mem_pos_enc",
    "memory_temporal_positional_encoding": "maskmem_tpos_enc",
    "no_object_pointer": "no_obj_ptr",
    "occlusion_spatial_embedding_parameter": "no_obj_embed_spatial",
    "shared_image_embedding.positional_embedding": "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix",
    "prompt_encoder.shared_embedding.positional_embedding": (
        "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
    ),
}
ROOMS = {
    "vision_encoder.backbone": "image_encoder.trunk",
    "vision_encoder": "image_encoder",
    "prompt_encoder": "sam_prompt_encoder",
    "mask_decoder": "sam_mask_decoder",
    "object_pointer_proj": "obj_ptr_proj",
    "temporal_positional_encoding_projection_layer": "obj_ptr_tpos_proj",
    "memory_encoder.projection": "memory_encoder.out_proj",
    "memory_encoder.feature_projection": "memory_encoder.pix_feat_proj",
    "memory_encoder.memory_fuser": "memory_encoder.fuser",
}
STEPS = {
    "upscale_conv1": "output_upscaling.0",
    "upscale_layer_norm": "output_upscaling.1",
    "upscale_conv2": "output_upscaling.3",
    "mask_embed.conv1": "mask_downscaling.0",
    "mask_embed.layer_norm1": "mask_downscaling.1",
    "mask_embed.conv2": "mask_downscaling.3",
    "mask_embed.layer_norm2": "mask_downscaling.4",
    "mask_embed.conv3": "mask_downscaling.6",
    "final_conv": "encoder.12",
    "depthwise_conv": "dwconv",
    "pointwise_conv": "pwconv",
    "patch_embed.projection": "patch_embed.proj",
    "fuser.layers.0.scale": "fuser.layers.0.gamma",
    "fuser.layers.1.scale": "fuser.layers.1.gamma",
    "layer_norm": "norm",
    "o_proj": "out_proj",
}


def config(variant: str, version: str, side: int = 1024) -> Any:
    """transformers' configuration of a variant and version, for pictures of `side`×`side`."""
    from transformers import Sam2HieraDetConfig, Sam2VideoConfig, Sam2VideoPromptEncoderConfig, Sam2VisionConfig

    backbone = Sam2HieraDetConfig(**BACKBONES[variant], image_size=[side, side])
    vision = Sam2VisionConfig(
        backbone_config=backbone,
        backbone_channel_list=backbone.embed_dim_per_stage[::-1],
        backbone_feature_sizes=[[side // step, side // step] for step in (4, 8, 16)],
    )
    wanted = Sam2VideoConfig(
        vision_config=vision,
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(image_size=side),
        memory_attention_rope_feat_sizes=[side // 16, side // 16],
        enable_temporal_pos_encoding_for_object_pointers=version == "2.1",
        enable_occlusion_spatial_embedding=version == "2.1",
    )
    wanted.image_size = side
    return wanted


def own_name(name: str) -> str:
    """What the sam2 package calls a weight of transformers."""
    if name in WHOLE:
        return WHOLE[name]
    for room in sorted(ROOMS, key=len, reverse=True):
        if name.startswith(f"{room}."):
            name = ROOMS[room] + name.removeprefix(room)
            break
    two = ".mlp." in name
    if re.search(r"(mlp|mlps\.\d|head|obj_ptr_proj)\.(proj_in|proj_out|layers\.0)\.", name):
        name = name.replace(".layers.0.", ".layers.1.") if not two and "proj_" not in name else name
        name = name.replace(".proj_in.", ".layers.0.").replace(".proj_out.", ".layers.1." if two else ".layers.2.")
    name = re.sub(r"(neck\.convs\.\d)\.", r"\1.conv.", name)
    name = re.sub(
        r"mask_downsampler\.layers\.(\d)\.(conv|layer_norm)",
        lambda found: f"mask_downsampler.encoder.{3 * int(found[1]) + (found[2] != 'conv')}",
        name,
    )
    for step, own in STEPS.items():
        name = name.replace(step, own)
    return name


def renamed(names: Iterable[str], weights: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The weights that transformers' model of these names takes."""
    points = "sam_prompt_encoder.point_embeddings"
    return {
        name: torch.cat([weights[f"{points}.{row}.weight"] for row in range(4)])
        if name == "prompt_encoder.point_embed.weight"
        else weights[own_name(name)].clone()
        for name in names
    }


def model_of(checkpoint: Path, variant: str, version: str, *, video: bool = True, side: int = 1024) -> Any:
    """transformers' Sam2VideoModel, or Sam2Model, with the weights of an official file."""
    from transformers import Sam2Config, Sam2Model, Sam2VideoModel

    wanted = config(variant, version, side)
    model = Sam2VideoModel(wanted) if video else Sam2Model(Sam2Config(vision_config=wanted.vision_config))
    weights = torch.load(checkpoint, weights_only=True, mmap=True)["model"]
    model.load_state_dict(renamed(model.state_dict(), weights), strict=True)
    return model.eval()
