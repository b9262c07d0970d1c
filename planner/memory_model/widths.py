"""Wider weights beside narrower ones: beyond what was run, a wider width never takes less and never rises less.

Where the last resolutions that were run lie hangs on chance, as does what the allocator happened to round up there; a
law that is carried on from them would make float32 cheaper than float16 somewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from planner.catalog import Catalog
from planner.catalog.variants import Shape
from planner.memory_model import arrays
from planner.memory_model.laws import Curve, Group, Key, Law, runtime_of_laws, variants_of_laws
from planner.nouns.words import Runtime, Task, Variant, Width


def ordered_by_width(groups: Mapping[Key, Group], catalog: Catalog) -> dict[Key, Group]:
    """The groups, those of wider weights raised beyond the last resolution where narrower ones lie above them."""
    found = dict(groups)
    for name, task, generation in dict.fromkeys((*key[:2], key[3]) for key in groups):
        for narrow, wide in pairwise(arrays.WEIGHT_BYTES):
            key = name, task, wide, generation
            one, other = found.get((name, task, narrow, generation)), found.get(key)
            if one is None or other is None:
                continue
            spare = {
                variant: _spare(runtime_of_laws(name), task, catalog.shapes[variant], narrow, wide)
                for variant in variants_of_laws(name)
            }
            found[key] = replace(
                other,
                phases=_all_raised(other.phases, one.phases, spare),
                extents=_all_raised(other.extents, one.extents, spare),
                reserved=other.reserved and one.reserved and _raised(other.reserved, one.reserved, spare),
                small=other.small and one.small and _raised(other.small, one.small, dict.fromkeys(spare, 0.0)),
            )
    return found


def _spare(runtime: Runtime, task: Task, shape: Shape, narrow: Width, wide: Width) -> float:
    """Bytes that the weights take more in the wider width."""
    items = (arrays.weight_bytes(runtime, width) for width in (narrow, wide))
    less, more = (arrays.weights_of(shape, runtime, task, size) for size in items)
    return float(more - less)


def _all_raised(laws: Mapping[str, Law], narrower: Mapping[str, Law], spare: Mapping[Variant, float]) -> dict[str, Law]:
    return {name: _raised(law, narrower[name], spare) if name in narrower else law for name, law in laws.items()}


def _raised(law: Law, narrower: Law, spare: Mapping[Variant, float]) -> Law:
    """`spare`: bytes that the weights of each variant, which laws do not count, take more."""
    curves = {
        variant: _beyond(curve, narrower.curves[variant], spare[variant]) for variant, curve in law.curves.items()
    }
    return replace(law, curves=curves)


def _beyond(curve: Curve, narrower: Curve, spare: float) -> Curve:
    last = max(curve.bytes[-1], float(round(narrower.at(curve.pixels[-1]) - spare)))
    return replace(curve, bytes=(*curve.bytes[:-1], last), slope=max(curve.slope, narrower.slope))
