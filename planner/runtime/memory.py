"""Remember a frame, and see a frame in the light of what is remembered."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from sam2.modeling.sam2_utils import get_1d_sine_pe
from torch import Tensor

from planner.runtime.layers import layer_norm, linear
from planner.runtime.memory_bank import REMEMBERED_POINTERS, ObjectMemory, Shelf
from planner.runtime.network import Network, sum_into
from planner.runtime.watch import step

HIDDEN_BYTES = 16 * 2**20
"""What the hidden layer of memory attention's MLP may take at once: less than the keys, which have gone by then."""


@step
def remember(network: Network, coarse: Tensor, scores: Tensor, presence: Tensor, *, prompted: bool) -> Tensor:
    """SAM2Base._encode_new_memory: B×64×h×w of the coarse map (1×256×h×w) and the masks' scores (B×1×4h×4w).

    `prompted`: the frame was prompted, and sam2 remembers the mask itself instead of its probabilities.
    """
    model, encoder = network.model, network.model.memory_encoder
    masks = _enlarge(network, scores, prompted)
    masks = (masks > 0).float() if prompted else masks.sigmoid_()
    masks.mul_(model.sigmoid_scale_for_mem_enc).add_(model.sigmoid_bias_for_mem_enc)
    masks = encoder.mask_downsampler(network.cast(masks))
    x = encoder.out_proj(encoder.fuser(encoder.pix_feat_proj(coarse) + masks))
    del masks
    if model.no_obj_embed_spatial is not None:
        absent = 1 - (presence > 0).float()
        x.add_(absent[..., None, None] * model.no_obj_embed_spatial[..., None, None])
    # sam2 keeps its memories in bfloat16; beside float16 weights they keep the weights' finer type.
    return x.to(network.dtype if network.half else torch.bfloat16)


def _enlarge(network: Network, scores: Tensor, prompted: bool) -> Tensor:
    """Scores at the resolution.

    sam2 enlarges all three candidates of a tracked frame and then takes the best. On a CPU torch's arithmetic depends
    on the number of channels (torch 2.14, one thread, last bit), so there the three are made as well.
    """
    if prompted or network.device.type != "cpu":
        # A copy where nothing is to be enlarged: the caller writes into it.
        return network.enlarge(scores, network.resolution)
    return network.enlarge(scores.expand(-1, 3, -1, -1), network.resolution)[:, :1].clone()


def recall(
    network: Network,
    shelf: Shelf,
    coarse: Tensor,
    memories: Sequence[ObjectMemory],
    frame: int,
    direction: int,
    pointers: int,
) -> Tensor:
    """SAM2Base._prepare_memory_conditioned_features: B×256×h×w for objects whose memories have the same form.

    `coarse` is 1×256×h×w; `pointers` is how many frames of pointers a clip of this length has (at most 16).
    """
    count = len(memories)
    memory, keys, excluded = _sequence(network, shelf, memories, frame, direction, pointers)
    image = coarse.flatten(2).permute(2, 0, 1).expand(-1, count, -1)
    seen = _attend(network, image.transpose(0, 1), memory, keys, excluded)
    return seen.transpose(1, 2).reshape(count, -1, *network.feature_size)


def form(memory: ObjectMemory, frame: int, direction: int) -> tuple[Any, ...]:
    """What two objects must share to go through one pass: which frames they remember."""
    kept = [position for position, _ in memory.remembered(frame, direction)]
    distances = [distance for distance, _ in memory.pointers(frame, direction, REMEMBERED_POINTERS + 1)]
    return (*kept, None, *distances)


def _sequence(
    network: Network,
    shelf: Shelf,
    memories: Sequence[ObjectMemory],
    frame: int,
    direction: int,
    pointers: int,
) -> tuple[Tensor, Tensor, int]:
    """(values, keys, tokens of pointers): B×N×64 each."""
    model = network.model
    remembered = [memory.remembered(frame, direction) for memory in memories]
    pointing = [memory.pointers(frame, direction, pointers) for memory in memories]
    tokens = network.feature_size[0] * network.feature_size[1]
    split = model.hidden_dim // model.mem_dim
    excluded = len(pointing[0]) * split
    length = len(remembered[0]) * tokens + excluded
    # sam2 joins bfloat16 memories with pointers of the computation's type, which gives float32 unless that is lower.
    kind = network.dtype if network.half else torch.float32
    values = torch.empty((len(memories), length, model.mem_dim), dtype=kind, device=network.device)
    keys = torch.empty_like(values)
    for place, entries in enumerate(zip(*remembered, strict=True)):
        rows = slice(place * tokens, (place + 1) * tokens)
        for index, (_, entry) in enumerate(entries):
            values[index, rows] = shelf.get(entry).flatten(2)[0].transpose(0, 1)
    kept = length - excluded
    _fill_positions(keys[:, :kept].unflatten(1, (-1, tokens)), network, [place for place, _ in remembered[0]])
    if excluded:
        for index, pointed in enumerate(pointing):
            stacked = torch.cat([entry.pointer for _, entry in pointed])
            values[index, kept:] = stacked.reshape(-1, model.mem_dim)
        distances = tuple(distance for distance, _ in pointing[0])
        keys[:, kept:] = _pointer_positions(network, distances, pointers, split)
    keys += values
    # Each layer reads both: cast here, they are not in each.
    return network.lower(values), network.lower(keys), excluded


def _fill_positions(keys: Tensor, network: Network, places: list[int]) -> None:
    """Fill B×F×(h·w)×64 with the positions of the frames at these temporal positions.

    Those that follow each other, as all do once the bank is full, are filled in one piece.
    """
    start = 0
    for stop in range(1, len(places) + 1):
        if stop == len(places) or places[stop] != places[stop - 1] + 1:
            keys[:, start:stop] = network.memory_positions[places[start] : places[stop - 1] + 1]
            start = stop


def _pointer_positions(network: Network, distances: tuple[int, ...], pointers: int, split: int) -> Tensor:
    """(P·split)×64: how long ago each pointer was. Kept while it stays the same, as it does once the bank is full."""
    asked = (distances, pointers)
    if network.last_pointers is None or network.last_pointers[0] != asked:
        network.last_pointers = asked, _make_pointer_positions(network, distances, pointers, split)
    return network.last_pointers[1]


def _make_pointer_positions(network: Network, distances: tuple[int, ...], pointers: int, split: int) -> Tensor:
    model = network.model
    if not model.add_tpos_enc_to_obj_ptrs:
        return torch.zeros((len(distances) * split, model.mem_dim), device=network.device)
    dim = model.hidden_dim if model.proj_tpos_enc_in_obj_ptrs else model.mem_dim
    sine = get_1d_sine_pe(torch.tensor(distances).to(network.device) / (pointers - 1), dim=dim)
    positions: Tensor = model.obj_ptr_tpos_proj(network.cast(sine))
    return positions.repeat_interleave(split, dim=0)


@step
def _attend(network: Network, image: Tensor, memory: Tensor, keys: Tensor, excluded: int) -> Tensor:
    """MemoryAttention.forward with the keys made once for all layers and MLPs in strips: B×(h·w)×256."""
    attention = network.model.memory_attention
    x = image + 0.1 * network.image_positions.transpose(0, 1)
    for layer in attention.layers:
        normed = network.lower(layer_norm(layer.norm1, x))
        x = sum_into(x, layer.self_attn(normed, normed, normed))
        del normed
        x = sum_into(x, layer.cross_attn_image(layer_norm(layer.norm2, x), keys, memory, num_k_exclude_rope=excluded))
        for strip in _strips(network, x, layer.linear1.out_features):
            # The activation is ReLU: with the hidden layer once instead of twice.
            hidden = linear(layer.linear1, network.lower(layer_norm(layer.norm3, strip))).relu_()
            strip += linear(layer.linear2, hidden)
            del hidden
    return attention.norm(x)


def _strips(network: Network, x: Tensor, channels: int) -> Iterator[Tensor]:
    """Even parts of x, B×N×C, object by object, whose `channels` fit into HIDDEN_BYTES."""
    count = -(-x.shape[1] * channels * network.kind.itemsize // HIDDEN_BYTES)
    for one in x.unbind(0):
        yield from one.tensor_split(count)
