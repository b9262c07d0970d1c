"""Masks as COCO's annotation file with run-length encoding, as pycocotools reads and writes it.

A clip may have no end, so nothing is collected in memory: a part is a file of JSON lines, and the parts become one
document as a stream.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from planner.errors import FileError
from planner.text.files import failing_as, whole_file

if TYPE_CHECKING:
    import numpy as np

CATEGORY = {"id": 1, "name": "object", "supercategory": ""}
"""SAM 2 knows no classes: there is one category, and `track_id` tells the objects apart."""
_IMAGE, _ANNOTATION = b"I", b"A"


def run_lengths(mask: np.ndarray) -> dict[str, Any]:
    """COCO's run-length encoding of an H×W bool mask, as JSON can hold it."""
    import numpy as np
    from pycocotools import mask as coco

    encoded = coco.encode(np.asfortranarray(mask, dtype=np.uint8))
    return {"size": [int(side) for side in encoded["size"]], "counts": encoded["counts"].decode("ascii")}


def image_entry(image_id: int, file_name: str, size: tuple[int, int]) -> dict[str, Any]:
    """An entry of "images"; `size` is (height, width)."""
    return {"id": image_id, "file_name": file_name, "width": size[1], "height": size[0]}


def mask_entry(image_id: int, object_id: int, mask: np.ndarray) -> dict[str, Any] | None:
    """An entry of "annotations" without its id for an H×W bool mask; None for an empty one, which COCO lacks."""
    from pycocotools import mask as coco

    rle = run_lengths(mask)
    area = int(coco.area(rle))
    if not area:
        return None
    box = [int(side) for side in coco.toBbox(rle)]
    return _annotation(image_id, object_id, rle, area, box)


def automatic_entry(
    image_id: int,
    object_id: int,
    rle: Mapping[str, Any],
    area: int,
    box: Sequence[float],
    predicted_iou: float,
    stability_score: float,
) -> dict[str, Any]:
    """An entry of "annotations" without its id for an automatic mask, which brings its RLE and its scores."""
    plain = {"size": [int(side) for side in rle["size"]], "counts": str(rle["counts"])}
    return {
        **_annotation(image_id, object_id, plain, int(area), [float(side) for side in box]),
        "predicted_iou": float(predicted_iou),
        "stability_score": float(stability_score),
    }


class CocoPart:
    """The entries of a stretch of a clip, on their way into an open file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def add(self, image: Mapping[str, Any], annotations: Iterable[Mapping[str, Any]]) -> None:
        """A picture and what is on it."""
        self._line(_IMAGE, image)
        for annotation in annotations:
            self._line(_ANNOTATION, annotation)

    def _line(self, sort: bytes, entry: Mapping[str, Any]) -> None:
        self._file.write(sort + json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n")


def join_coco_parts(parts: Sequence[Path], path: Path, info: Mapping[str, Any]) -> None:
    """One COCO document of all parts, in their order, with annotation ids counted from 1.

    Reads the parts twice, a line at a time. Raises EnvironmentFailure where it cannot be written, FileError for a
    part that is gone.
    """
    with whole_file(path) as file, failing_as(path):
        file.write(b'{"info":' + json.dumps(info, separators=(",", ":")).encode("ascii") + b',"images":[')
        _write_list(file, _lines(parts, _IMAGE))
        file.write(b'],"annotations":[')
        numbered = (b'{"id":%d,' % number + line[1:] for number, line in enumerate(_lines(parts, _ANNOTATION), 1))
        _write_list(file, numbered)
        file.write(b'],"categories":[' + json.dumps(CATEGORY, separators=(",", ":")).encode("ascii") + b"]}\n")


def _annotation(image_id: int, object_id: int, rle: object, area: int, box: object) -> dict[str, Any]:
    return {
        "image_id": image_id,
        "category_id": CATEGORY["id"],
        "track_id": object_id,
        "segmentation": rle,
        "area": area,
        "bbox": box,
        "iscrowd": 0,
    }


def _lines(parts: Sequence[Path], sort: bytes) -> Iterator[bytes]:
    for part in parts:
        try:
            file = part.open("rb")
        except OSError as error:
            raise FileError(f"{part}: {error.strerror or error}.", "Start again with --overwrite.") from None
        with file:
            for line in file:
                if line.startswith(sort):
                    yield line[1:].rstrip(b"\n")


def _write_list(file: IO[bytes], lines: Iterable[bytes]) -> None:
    for number, line in enumerate(lines):
        file.write(b",\n" + line if number else b"\n" + line)
