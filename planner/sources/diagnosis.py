"""What a file is that Pillow does not read as a picture: its name, and what to do with it."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

HEAD_BYTES = 512
PICTURES = "Give a PNG, JPEG, TIFF, WebP or BMP file."
CONVERT = "Convert it to PNG or JPEG first."
_HEIF = (b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1")
"""Brands of ISO/IEC 23008-12, after "ftyp"."""
_TIFF = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""TIFF 6.0, section 2; BigTIFF has 43 in place of 42."""
_KINDS: tuple[tuple[int, bytes, str, str], ...] = (
    (0, b"version https://git-lfs", "a pointer of Git LFS, not the file that it stands for", "Fetch it: git lfs pull"),
    (0, b"%PDF", "a PDF document", CONVERT),
    (0, b"\x93NUMPY", "a NumPy array", "Load it with numpy and save it as PNG, or call planner from Python."),
    (0, b"v/1\x01", "an OpenEXR picture of floating-point numbers", "Scale it to 0..255 and save it as 8-bit PNG."),
    (128, b"DICM", "a DICOM file", "Apply its window and save it as 8-bit PNG."),
    (0, b"\x1a\x45\xdf\xa3", "a video (Matroska or WebM)", "Plan with --task video."),
)
_SAMPLES = {2: "signed", 3: "floating-point"}
"""SampleFormat of TIFF 6.0, section 19."""
_BITS, _BANDS, _SAMPLE_FORMAT = 258, 277, 339


def kind_of(path: Path) -> tuple[str, str]:
    """What the file is, as the end of "NAME is ...", and a remedy."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        head = b""
    if not head:
        return "not a picture that can be read: it is empty", "Take another copy."
    for at, magic, what, remedy in _KINDS:
        if head[at : at + len(magic)] == magic:
            return f"{what}, not a picture that can be read", remedy
    if head[4:8] == b"ftyp":
        if head[8:12] in _HEIF:
            return "a HEIF picture (HEIC), which Pillow cannot read", CONVERT
        return "a video (MP4), not a picture that can be read", "Plan with --task video."
    if head.lstrip()[:1] == b"<":
        page = "an SVG drawing" if b"<svg" in head.lower() else "a page of HTML or XML"
        remedy = CONVERT if "SVG" in page else "Look at it: what was asked for was not downloaded."
        return f"{page}, not a picture that can be read", remedy
    if head.startswith(_TIFF):
        return _tiff(path)
    return "not a picture that can be read", PICTURES


def signed_tiff(image: Any) -> bool:
    """Whether an opened TIFF stores signed whole numbers: of 8 bits Pillow takes them for unsigned ones."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and 2 in _numbers(tags.get(_SAMPLE_FORMAT))


def _tiff(path: Path) -> tuple[str, str]:
    """A TIFF that Pillow refuses, by its tags."""
    from PIL import TiffImagePlugin

    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = file.read(8)
            header += file.read(8) if 43 in header[2:4] else b""
            tags = TiffImagePlugin.ImageFileDirectory_v2(header)
            file.seek(tags.next)
            tags.load(file)
            bands, bits = int(tags.get(_BANDS, 1)), max(_numbers(tags.get(_BITS, 1)))
            samples = _SAMPLES.get(max(_numbers(tags.get(_SAMPLE_FORMAT, 1))), "unsigned")
    except Exception:  # a broken header, in any of many ways
        return "a TIFF that cannot be read", "It may be broken or cut short: take another copy, or save it as PNG."
    what = f"a TIFF of {bands} band{'s' if bands > 1 else ''} of {bits}-bit {samples} numbers, which Pillow cannot read"
    if bands > 4:
        return what, "Save the three bands that are to be red, green and blue as an 8-bit RGB file."
    return what, "Scale it to 0..255 and save it as 8-bit PNG or TIFF."


def _numbers(value: Any) -> tuple[int, ...]:
    return tuple(value) if isinstance(value, tuple) else () if value is None else (value,)
