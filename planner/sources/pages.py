"""The pages of one file (a TIFF stack, an animated WebP or PNG), which may be the frames of a clip."""

from __future__ import annotations

from pathlib import Path
from typing import Any

PAGED = ("TIFF", "WEBP", "PNG", "GIF")
"""Pillow's formats whose pages are pictures of equal right. A phone's MPO holds a picture and its previews."""
PAGED_SUFFIXES = (".tif", ".tiff", ".webp", ".png")
"""Files whose pages are read as frames; GIFs are read as videos, with their times."""
_NEW_SUBFILE_TYPE, _LESSER = 254, 0b101
"""TIFF 6.0, section 8: bit 0 is a smaller version of another page, bit 2 a transparency mask."""


def pages_of(image: Any) -> list[int]:
    """Indices of the pages of an opened PIL image, left at its first.

    A TIFF's pages of another size than the first are previews, and do not count.
    """
    count = getattr(image, "n_frames", 1) if image.format in PAGED else 1
    if image.format != "TIFF":
        return list(range(count))
    first, found = image.size, []
    for page in range(count):
        image.seek(page)
        if image.size == first and not (page and image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) & _LESSER):
            found.append(page)
    image.seek(0)
    return found


def several_pages(path: Path) -> bool:
    """Whether a file holds pages that are frames; False for what cannot be read, which its reader says better."""
    if path.suffix.lower() not in PAGED_SUFFIXES:
        return False
    from planner.sources.pictures import pil_image

    try:
        with pil_image().open(path) as image:
            return len(pages_of(image)) > 1
    except Exception:  # Pillow's readers raise OSError, SyntaxError, ValueError, and more
        return False
