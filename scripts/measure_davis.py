#!/usr/bin/env python3
"""J&F of configurations on a folder in the DAVIS 2017 format, prompted with the masks of the first frame.

    scripts/measure_davis.py DAVIS --checkpoint sam2.1_hiera_tiny.pt --resolution 1024x1024 --resolution 576x1024

DAVIS holds JPEGImages/480p/SEQUENCE/*.jpg and Annotations/480p/SEQUENCE/*.png (indexed, or grey with object numbers);
`--image-set val` reads the sequences' names from ImageSets/2017/val.txt. J is the intersection over union of the masks,
F the harmonic mean of precision and recall of their contours, both as in the official evaluation (davis2017-evaluation,
semi-supervised): a mean per object over its frames without the first and the last, then over all objects.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from PIL import Image

import planner
from planner.nouns.run import Configuration
from planner.nouns.words import PRECISIONS, VARIANTS, VERSIONS
from planner.text.units import parse_resolution

Mask = NDArray[numpy.bool_]
BOUND_TH = 0.008
"""How far apart contours may lie to match, as a part of the picture's diagonal (davis2017.metrics.f_measure)."""
IGNORED = 255
"""No object: the official evaluation takes such pixels for background."""


def region_similarity(found: Mask, true: Mask) -> float:
    """J: intersection over union; 1 where both are empty."""
    union = int((found | true).sum())
    return 1.0 if union == 0 else int((found & true).sum()) / union


def boundary(mask: Mask) -> Mask:
    """Pixels that differ from the one to the right, below, or right below (davis2017.metrics._seg2bmap)."""
    right, below, both = mask.copy(), mask.copy(), mask.copy()
    right[:, :-1] = mask[:, 1:]
    below[:-1] = mask[1:]
    both[:-1, :-1] = mask[1:, 1:]
    edges: Mask = (mask ^ right) | (mask ^ below) | (mask ^ both)
    edges[-1] = mask[-1] ^ right[-1]
    edges[:, -1] = mask[:, -1] ^ below[:, -1]
    edges[-1, -1] = False
    return edges


def dilated(mask: Mask, radius: int) -> Mask:
    """All pixels within `radius` of one of the mask's (skimage.morphology.disk).

    Row by row of the disk: a shift up or down, and a run to the left and right, found by sums.
    """
    height, width = mask.shape
    grown: Mask = numpy.zeros_like(mask)
    columns = numpy.arange(width)
    sums = numpy.zeros((height, width + 1), numpy.int64)
    numpy.cumsum(mask, axis=1, out=sums[:, 1:])
    for down in range(-min(radius, height - 1), min(radius, height - 1) + 1):
        reach = math.isqrt(radius * radius - down * down)
        ends, starts = numpy.minimum(columns + reach + 1, width), numpy.maximum(columns - reach, 0)
        wide = sums[:, ends] > sums[:, starts]
        target = slice(max(0, down), height + min(0, down))
        source = slice(max(0, -down), height + min(0, -down))
        grown[target] |= wide[source]
    return grown


def contour_accuracy(found: Mask, true: Mask, bound_th: float = BOUND_TH) -> float:
    """F: harmonic mean of the contours' precision and recall."""
    radius = math.ceil(bound_th * math.hypot(*found.shape)) if bound_th < 1 else int(bound_th)
    ours, theirs = boundary(found), boundary(true)
    matched = int((ours & dilated(theirs, radius)).sum())
    recalled = int((theirs & dilated(ours, radius)).sum())
    count, true_count = int(ours.sum()), int(theirs.sum())
    if count == 0 and true_count == 0:
        return 1.0
    if count == 0 or true_count == 0:
        # One has no contour: the official code sets precision and recall to 1 and 0, or 0 and 1.
        return 0.0
    precision, recall = matched / count, recalled / true_count
    return 0.0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


@dataclass(frozen=True)
class Score:
    """Of one object of one sequence, means over its frames."""

    sequence: str
    object: int
    j: float
    f: float


@dataclass(frozen=True)
class Clip:
    """Where the files of one sequence lie."""

    name: str
    pictures: Path
    annotations: tuple[Path, ...]

    def objects(self) -> tuple[int, ...]:
        """Those of the first frame."""
        return tuple(
            int(value) for value in numpy.unique(read_labels(self.annotations[0])) if value not in (0, IGNORED)
        )


def read_labels(path: Path) -> NDArray[numpy.int64]:
    """H×W: the object's number of each pixel, 0 for the background."""
    with Image.open(path) as image:
        if image.mode not in ("P", "L", "1", "I", "I;16"):
            raise SystemExit(f"{path} is {image.mode}, not indexed or grey: its colours name no objects.")
        return numpy.asarray(image).astype(numpy.int64)


def sequences(root: Path, size: str, image_set: str | None, names: Sequence[str]) -> list[Clip]:
    """Those of the folder, in order of name, or those asked for."""
    pictures, annotations = root / "JPEGImages" / size, root / "Annotations" / size
    if not pictures.is_dir() or not annotations.is_dir():
        raise SystemExit(f"{root} is not in the DAVIS format: {pictures} and {annotations} are wanted.")
    if image_set is not None:
        names = (root / "ImageSets" / "2017" / f"{image_set}.txt").read_text().split()
    found = []
    for name in names or sorted(path.name for path in pictures.iterdir() if path.is_dir()):
        truths = tuple(sorted((annotations / name).glob("*.png")))
        if len(truths) < 3 or not (pictures / name).is_dir():
            raise SystemExit(f"Sequence {name} has {len(truths)} annotations; at least 3 are wanted, and its pictures.")
        found.append(Clip(name, pictures / name, truths))
    return found


def measure_sequence(session: Any, sequence: Clip) -> list[Score]:
    """Track all objects of the first frame, and judge every frame but the first and the last."""
    first = read_labels(sequence.annotations[0])
    prompts = [{"frame": 0, "object": number, "mask": first == number} for number in sequence.objects()]
    sums = {number: [0.0, 0.0] for number in sequence.objects()}
    last = len(sequence.annotations) - 1
    judged = 0
    for index, masks in session.track(sequence.pictures, prompts):
        if index == 0 or index >= last:
            continue
        judged += 1
        truth = read_labels(sequence.annotations[index])
        claimed: Mask = numpy.zeros(truth.shape, bool)
        for number, total in sums.items():
            # Results are files of labels: a pixel belongs to one object, the lowest (sam2's tools/vos_inference.py).
            found = masks[number] & ~claimed
            claimed |= found
            total[0] += region_similarity(found, truth == number)
            total[1] += contour_accuracy(found, truth == number)
    if judged != last - 1:
        raise SystemExit(f"Sequence {sequence.name} has {last + 1} annotations, but {judged + 2} pictures.")
    return [Score(sequence.name, number, j / judged, f / judged) for number, (j, f) in sums.items()]


def summary(scores: Sequence[Score]) -> dict[str, float]:
    """Means over objects, in percent."""
    j = 100 * sum(score.j for score in scores) / len(scores)
    f = 100 * sum(score.f for score in scores) / len(scores)
    return {"j_and_f": (j + f) / 2, "j": j, "f": f}


def parse(words: list[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--checkpoint", help="a file, a folder of official files, or an official hub id")
    parser.add_argument("--random-weights", action="store_true", help="to try the script; the figures mean nothing")
    parser.add_argument("--variant", choices=VARIANTS, action="append")
    parser.add_argument("--version", choices=VERSIONS, default="2.1")
    parser.add_argument("--resolution", type=parse_resolution, action="append", help="HxW or one side; may be repeated")
    parser.add_argument("--precision", choices=PRECISIONS, action="append")
    parser.add_argument("--object-batch", type=int, default=1)
    parser.add_argument("--size", default="480p", help="folder below JPEGImages and Annotations")
    parser.add_argument("--image-set", help="such as val")
    parser.add_argument("--sequence", action="append", default=[], help="may be repeated; all without it")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--json", type=Path, help="write all scores there")
    return parser.parse_args(words)


def configurations(options: argparse.Namespace) -> list[Configuration]:
    """Every combination asked for."""
    return [
        Configuration(
            variant=variant,
            version=options.version,
            resolution=resolution,
            precision=precision,
            object_batch=options.object_batch,
        )
        for variant in options.variant or ["tiny"]
        for resolution in options.resolution or [(1024, 1024)]
        for precision in options.precision or ["autocast_bfloat16"]
    ]


def main(words: list[str] | None = None) -> int:
    """Measure, print, write."""
    options = parse(words)
    found = sequences(options.folder, options.size, options.image_set, options.sequence)
    documents = []
    print(f"{'variant':10} {'resolution':>10} {'precision':18} {'J&F':>6} {'J':>6} {'F':>6} {'objects':>8}")
    for configuration in configurations(options):
        session = planner.load(
            configuration, options.checkpoint, device=options.device, random_weights=options.random_weights
        )
        scores = [score for sequence in found for score in measure_sequence(session, sequence)]
        means = summary(scores)
        height, width = configuration.resolution
        print(
            f"{configuration.variant:10} {f'{height}x{width}':>10} {configuration.precision:18} "
            f"{means['j_and_f']:6.1f} {means['j']:6.1f} {means['f']:6.1f} {len(scores):8}",
            flush=True,
        )
        documents.append(
            {"configuration": asdict(configuration), **means, "objects": [asdict(score) for score in scores]}
        )
    if options.json is not None:
        options.json.write_text(json.dumps(documents, indent=2) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
