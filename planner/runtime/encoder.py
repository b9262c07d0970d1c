"""The image encoder in strips: the same values as sam2's forward_image, in a fraction of its memory.

sam2 runs each block on the whole picture; its largest arrays (queries, keys and values, the hidden layer of each MLP,
256 channels at a quarter of the resolution and their positions in float32) exist at once and make the peak of every
run. Windows do not see each other, and neither do tokens in an MLP, so strips of rows give the same values.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from sam2.modeling.backbones.hieradet import do_pool
from sam2.modeling.backbones.utils import window_partition, window_unpartition
from torch import Tensor
from torch.nn import functional

from planner.runtime.layers import layer_norm, linear
from planner.runtime.network import Network, sum_into
from planner.runtime.watch import phase, step

STRIP_BYTES = 32 * 2**20
"""What the hidden layer of an MLP may take: in 16 bits all of each block but the first stages', at 1024×1024, so that
most blocks ask for no more kernels than sam2's."""
CPU_STRIP_BYTES = 64 * 2**20
"""On a CPU memory is not short, and shorter products may round differently (torch 2.14, 1024x1024, two threads)."""


class Features(NamedTuple):
    """What the image encoder makes of one picture."""

    coarse: Tensor
    """1×256×h×w, with h and w a sixteenth of the resolution."""
    fine: tuple[Tensor, Tensor]
    """1×32×4h×4w and 1×64×2h×2w, for the mask decoder."""


@phase("encode")
@step
def encode(network: Network, picture: Tensor) -> Features:
    """Features of `picture`, 1×3×H×W at the network's resolution, normalised."""
    encoder, decoder = network.model.image_encoder, network.model.sam_mask_decoder
    trunk, neck = encoder.trunk, encoder.neck
    x = trunk.patch_embed(network.cast(picture))
    x = sum_into(x, _positions(trunk, x.shape[1:3]))
    maps: list[Tensor] = []
    finest = len(trunk.stage_ends) - 1
    projections = {finest: decoder.conv_s0, finest - 1: decoder.conv_s1}
    for number, block in enumerate(trunk.blocks):
        x = _block(network, block, x)
        if number in trunk.stage_ends:
            level = finest - len(maps)
            lateral = neck.convs[level]
            project = projections.get(level)
            # The two finest levels take nothing from the coarser ones: what the mask decoder needs is made at once.
            maps.append(_lateral(network, lateral, project, x) if project else lateral(x.permute(0, 3, 1, 2)))
    del x
    fine0, fine1, coarse, coarsest = maps
    del maps
    # FpnNeck.forward for levels 3 and 2, and ImageEncoder.scalp, which drops level 3.
    from_above = functional.interpolate(coarsest.to(torch.float32), scale_factor=2.0, mode=neck.fpn_interp_model)
    coarse = network.cast(coarse + from_above)
    return Features(_through_sequence(coarse), (_through_sequence(fine0), _through_sequence(fine1)))


def _positions(trunk: Any, size: tuple[int, int]) -> Tensor:
    """Hiera._get_pos_embed without a copy per term: 1×H×W×C."""
    positions = functional.interpolate(trunk.pos_embed, size=tuple(size), mode="bicubic")
    window = trunk.pos_embed_window
    side = window.shape[-1]
    batch, channels, height, width = positions.shape
    tiles = positions.view(batch, channels, height // side, side, width // side, side)
    tiles.add_(window[:, :, None, :, None, :])
    return positions.permute(0, 2, 3, 1)


def _block(network: Network, block: Any, x: Tensor) -> Tensor:
    """One MultiScaleBlock on x, 1×H×W×C; writes into x where the block keeps its shape."""
    x = _attend(network, block, x)
    into, out_of = block.mlp.layers
    for start, stop in _strips(network, x, into.out_features, 1):
        strip = x[:, start:stop]
        # MLP.forward, whose activation is GELU, with the hidden layer once instead of twice.
        hidden = torch.ops.aten.gelu_(linear(into, network.lower(layer_norm(block.norm2, strip))))
        strip.add_(linear(out_of, hidden))
        del hidden
    return x


def _attend(network: Network, block: Any, x: Tensor) -> Tensor:
    """The attention half of MultiScaleBlock.forward: x plus what the tokens see in each other."""
    if block.window_size == 0:
        return x.add_(_attention(block.attn, network.lower(layer_norm(block.norm1, x))))
    strips = []
    for start, stop in _strips(network, x, 4 * block.dim_out, block.window_size):
        strip = x[:, start:stop]
        normed = network.lower(layer_norm(block.norm1, strip))
        if block.dim == block.dim_out:
            strip.add_(_windowed(block, normed, (strip.shape[1], strip.shape[2])))
        else:
            shortcut = do_pool(linear(block.proj, normed), block.pool)
            strips.append(shortcut.add_(_windowed(block, normed, (shortcut.shape[1], shortcut.shape[2]))))
    return torch.cat(strips, dim=1) if strips else x


def _windowed(block: Any, x: Tensor, size: tuple[int, int]) -> Tensor:
    """Attention inside windows of x, 1×H×W×C; the result has `size`, which is smaller where the block pools."""
    window = block.window_size
    windows, padded = window_partition(x, window)
    attended = _attention(block.attn, windows)
    if block.q_stride:
        window //= block.q_stride[0]
        padded = tuple(-(-length // window) * window for length in size)
    return window_unpartition(attended, window, padded, size)


def _attention(attention: Any, x: Tensor) -> Tensor:
    """MultiScaleAttention.forward of B×H×W×C."""
    batch, height, width, _ = x.shape
    heads, pool = attention.num_heads, attention.q_pool
    q, k, v = linear(attention.qkv, x).reshape(batch, height * width, 3, heads, -1).unbind(2)
    if pool:
        q = do_pool(q.reshape(batch, height, width, -1), pool)
        height, width = q.shape[1:3]
        q = q.reshape(batch, height * width, heads, -1)
    seen = functional.scaled_dot_product_attention(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
    return linear(attention.proj, seen.transpose(1, 2).reshape(batch, height, width, -1))


def _through_sequence(x: Tensor) -> Tensor:
    """1×C×H×W as sam2 has it after it was a sequence of pixels: the same values, with the strides of that view.

    On a CPU torch chooses how to convolve by the strides, even by that of a dimension of size one, and the last bit
    of the result follows.
    """
    return x.flatten(2).permute(2, 0, 1).permute(1, 2, 0).view(x.shape)


def _lateral(network: Network, lateral: Any, project: Any, x: Tensor) -> Tensor:
    """project(lateral(x)), two 1×1 convolutions, without the 256 channels between them at once."""
    strips = [
        project(lateral(x[:, start:stop].permute(0, 3, 1, 2)))
        for start, stop in _strips(network, x, project.in_channels, 1)
    ]
    return torch.cat(strips, dim=2)


def _strips(network: Network, x: Tensor, channels: int, step: int) -> Iterator[tuple[int, int]]:
    """Even ranges of rows of x, 1×H×W×C, in multiples of `step`, whose `channels` fit into STRIP_BYTES."""
    height, steps = x.shape[1], -(-x.shape[1] // step)
    limit = CPU_STRIP_BYTES if x.device.type == "cpu" else STRIP_BYTES
    count = min(steps, -(-height * x.shape[2] * channels * network.kind.itemsize // limit))
    rows = -(-steps // count) * step
    for start in range(0, height, rows):
        yield start, min(start + rows, height)
