"""A pick as plain data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from planner.report.document import SCHEMA_VERSION, gpu_document

if TYPE_CHECKING:
    from planner.picking import Offer, Pick


def pick_document(found: Pick, value: str) -> dict[str, Any]:
    """What was picked, for CUDA_VISIBLE_DEVICES as `value`, and what the others lack."""
    return {
        "schema_version": SCHEMA_VERSION,
        "kind": "pick",
        "value": value,
        "picked": [_offer(offer) for offer in found.picked],
        "others": [_offer(offer) for offer in found.others],
    }


def _offer(offer: Offer) -> dict[str, Any]:
    return {
        "gpu": gpu_document(offer.gpu),
        "slice": offer.slice,
        "status": offer.check.status,
        "found": offer.check.found,
        "left_bytes": offer.left_bytes,
    }
