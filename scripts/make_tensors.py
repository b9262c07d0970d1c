#!/usr/bin/env python3
"""Remake profiles/tensors.tsv, the names and shapes of SAM 2's weights, from the models of the installed sam2.

python scripts/make_tensors.py           write it
python scripts/make_tensors.py --check   exit 1 if it differs from what is committed
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from itertools import groupby
from pathlib import Path

from planner.nouns.run import Configuration
from planner.nouns.words import VARIANTS, VERSIONS
from planner.runtime.network import build
from planner.text.files import write

PATH = Path(__file__).resolve().parent.parent / "profiles" / "tensors.tsv"
HEAD = """# Names and shapes of SAM 2's weights, made by scripts/make_tensors.py from the models of the sam2 package.
# Columns: variants, versions, numbers of the blocks (that # stands for), name, shape.
"""
BLOCK = re.compile(r"(image_encoder\.trunk\.blocks\.)(\d+)\.")


def table() -> str:
    """The file's text."""
    kinds: dict[tuple[str, str, str], set[tuple[str, str]]] = defaultdict(set)
    for variant in VARIANTS:
        for version in VERSIONS:
            blocks: dict[tuple[str, str], list[int]] = defaultdict(list)
            wanted = Configuration(variant=variant, version=version, resolution=(64, 64), precision="float32")
            for name, tensor in build(wanted).state_dict().items():
                found = BLOCK.match(name)
                general = BLOCK.sub(r"\1#.", name)
                blocks[general, "x".join(map(str, tensor.shape))] += [int(found[2])] if found else []
            for (name, shape), found_in in blocks.items():
                kinds[name, shape, ranges(found_in)].add((variant, version))
    lines = []
    for (name, shape, numbers), where in kinds.items():
        variants = [variant for variant in VARIANTS if any(variant == one for one, _ in where)]
        versions = [version for version in VERSIONS if any(version == one for _, one in where)]
        assert len(where) == len(variants) * len(versions)
        lines.append("\t".join((",".join(variants), ",".join(versions), numbers, name, shape)) + "\n")
    return HEAD + "".join(lines)


def ranges(numbers: list[int]) -> str:
    """3,5-7 of [3, 5, 6, 7]."""
    runs = [[n for _, n in run] for _, run in groupby(enumerate(numbers), lambda pair: pair[1] - pair[0])]
    return ",".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs)


def main() -> int:
    """Write the file, or compare it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    text = table()
    if parser.parse_args().check:
        return 0 if PATH.read_text() == text else 1
    write(PATH, text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
