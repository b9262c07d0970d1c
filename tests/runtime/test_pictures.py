"""Pictures of every sort become height × width × 3 of uint8, or an error that says why not."""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from planner.errors import FileError, PlannerError, UsageError
from planner.sources.depth import PictureWarning
from planner.sources.pictures import read_picture
from tests.runtime.media import noise, picture_file, tiff

RAMP = np.arange(24 * 40 * 3, dtype=np.uint32).reshape(24, 40, 3)
RGB = (RAMP % 251).astype(np.uint8)
GREY = RGB[:, :, 0]
DEEP = (RAMP[:, :, 0] * 22).astype(np.uint16)


def same(found: Any, wanted: Any) -> None:
    assert found.dtype == np.uint8 and found.flags.c_contiguous and found.ndim == 3 and found.shape[2] == 3
    np.testing.assert_array_equal(found, wanted)


def three(grey: Any) -> Any:
    return np.repeat(grey[:, :, None], 3, axis=2)


ARRAYS = {
    "rgb": (RGB, RGB),
    "alpha": (np.dstack([RGB, GREY]), RGB),
    "grey": (GREY, three(GREY)),
    "grey with a channel": (GREY[:, :, None], three(GREY)),
    "16 bits": (DEEP, three(DEEP >> 8)),
    "16 bits, big-endian": (DEEP.astype(">u2"), three(DEEP >> 8)),
    "16 bits, rgb": (np.dstack([DEEP] * 3), three(DEEP >> 8)),
    "a view": (RGB[::-1, ::2], RGB[::-1, ::2]),
    "Fortran order": (np.asfortranarray(RGB), RGB),
    "one pixel": (RGB[:1, :1], RGB[:1, :1]),
}


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name: str) -> None:
    source, wanted = ARRAYS[name]
    found = read_picture(source)
    same(found, wanted)
    assert not np.shares_memory(found, source)


PALETTE = Image.fromarray(RGB).quantize(16)
IMAGES = {
    "RGB": Image.fromarray(RGB),
    "RGBA": Image.fromarray(np.dstack([RGB, GREY])),
    "L": Image.fromarray(GREY),
    "LA": Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(GREY)]),
    "P": PALETTE,
    "1": Image.fromarray(GREY).convert("1"),
    "CMYK": Image.fromarray(RGB).convert("CMYK"),
    "YCbCr": Image.fromarray(RGB).convert("YCbCr"),
    "HSV": Image.fromarray(RGB).convert("HSV"),
    "RGBX": Image.fromarray(RGB).convert("RGBX"),
}


@pytest.mark.parametrize("mode", IMAGES)
def test_images_are_converted_as_pil_does(mode: str) -> None:
    same(read_picture(IMAGES[mode]), np.asarray(IMAGES[mode].convert("RGB")))


def test_alpha_is_dropped_not_mixed_in() -> None:
    image = Image.fromarray(np.dstack([RGB, np.zeros_like(GREY)]))
    same(read_picture(image), RGB)


def test_a_palette_with_transparency_gives_its_colours_without_a_warning() -> None:
    image = PALETTE.copy()
    image.info["transparency"] = bytes(range(16))
    same(read_picture(image), np.asarray(PALETTE.convert("RGB")))


@pytest.mark.parametrize(("suffix", "dtype"), [(".png", np.uint16), (".tif", np.uint16), (".tif", np.int32)])
def test_sixteen_bit_files_are_scaled_not_clipped(tmp_path: Path, suffix: str, dtype: Any) -> None:
    same(read_picture(picture_file(tmp_path / f"deep{suffix}", DEEP.astype(dtype))), three(DEEP >> 8))


def test_sixteen_bit_images_are_scaled_in_either_byte_order() -> None:
    same(read_picture(Image.fromarray(DEEP)), three(DEEP >> 8))
    big = Image.frombytes("I;16B", (40, 24), DEEP.astype(">u2").tobytes())
    same(read_picture(big), three(DEEP >> 8))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif", ".webp", ".ppm"])
@pytest.mark.parametrize("kind", [str, Path])
def test_files_by_path(tmp_path: Path, suffix: str, kind: Any) -> None:
    options = {"lossless": True} if suffix == ".webp" else {}
    same(read_picture(kind(picture_file(tmp_path / f"a{suffix}", RGB, **options))), RGB)


def ramp(bits: int, bands: int = 1) -> Any:
    """Values from 0 to the largest of so many bits."""
    values = np.linspace(0, 2**bits - 1, 24 * 40).round().astype("<u2").reshape(24, 40, 1)
    return np.concatenate([values, *(values[::-1] // (2 + band) for band in range(bands - 1))], axis=2)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("form", ["array", "grey PNG", "grey TIFF", "colour TIFF", "TIFF with alpha", "colour PNG"])
def test_a_picture_of_16_bits_is_as_bright_as_the_bits_it_uses(tmp_path: Path, bits: int, form: str) -> None:
    bands = 1 if form in ("array", "grey PNG", "grey TIFF") else 4 if "alpha" in form else 3
    values = ramp(bits, bands)
    source: Any = values[:, :, 0] if bands == 1 else values
    if form.startswith("grey"):
        source = picture_file(tmp_path / f"deep.{form.split()[1].lower()}", source)
    elif form == "colour PNG":
        source = png_of_16_bits(tmp_path / "deep.png", values)
    elif "TIFF" in form:
        source = tiff(tmp_path / "deep.tif", values, (2,) if bands == 4 else ())
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        found = read_picture(source)
    same(found, three(values[:, :, 0] >> bits - 8) if bands == 1 else values[:, :, :3] >> bits - 8)
    assert found.max() == 255
    assert [f"uses {bits} of its 16 bits" in str(warning.message) for warning in told] == [True] * (bits < 16)


def png_of_16_bits(path: Path, values: Any) -> Path:
    """A PNG of 16-bit colours, which Pillow does not write."""
    frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(values), format="rgb48le")
    codec = av.CodecContext.create("png", "w")
    codec.height, codec.width, codec.pix_fmt, codec.time_base = *values.shape[:2], "rgb48be", Fraction(1, 25)
    path.write_bytes(
        b"".join(bytes(packet) for packet in [*codec.encode(frame.reformat(format="rgb48be")), *codec.encode()])
    )
    return path


SCANS = np.arange(24 * 40 * 5).reshape(24, 40, 5)
BODY, FRACTIONS = SCANS - 700, SCANS / 9
LFS = "version https://git-lfs.github.com/spec/v1\n"
NO_PICTURES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "five bands": (lambda path: tiff(path, SCANS.astype("u1")), "5 bands of 8-bit unsigned", "three bands"),
    "two bands of 16 bits": (lambda path: tiff(path, SCANS[..., :2].astype("<u2"), (0,)), "2 bands of 16-bit", "8-bit"),
    "floating-point colours": (lambda path: tiff(path, FRACTIONS[..., :3].astype("<f4")), "32-bit floating", "255"),
    "doubles": (lambda path: tiff(path, FRACTIONS[..., :1].astype("<f8")), "1 band of 64-bit floating", "255"),
    "floating-point": (lambda path: tiff(path, FRACTIONS[..., :1].astype("<f4")), "floating-point numbers", "white"),
    "a scan of a body": (lambda path: tiff(path, BODY[..., :1].astype("<i2")), "from -700 to 4095", "white"),
    "signed bytes": (lambda path: tiff(path, (BODY[..., :1] % 9 - 4).astype("i1")), "signed numbers .from -4", "white"),
    "a stack": (lambda path: pages(path, "TIFF"), "3 pages", "--task video"),
    "an animation": (lambda path: pages(path, "WEBP"), "3 pages", "--task video"),
    "a phone's HEIC": (lambda path: path.write_bytes(b"\0\0\0\x18ftypheic" + bytes(99)), "HEIC", "Convert it"),
    "a pointer": (lambda path: path.write_text(LFS), "Git LFS", "git lfs pull"),
    "a page of the web": (lambda path: path.write_text("<!DOCTYPE html>"), "HTML", "not downloaded"),
    "a clip": (lambda path: path.write_bytes(b"\0\0\0\x18ftypisom" + bytes(99)), "video", "--task video"),
    "nothing": (lambda path: path.touch(), "it is empty", "another copy"),
}  # fmt: skip


def pages(path: Path, kind: str) -> None:
    first, *rest = (Image.fromarray(RGB[::step]).resize((40, 24)) for step in (1, 2, 3))
    first.save(path, kind, save_all=True, append_images=rest)


@pytest.mark.parametrize("name", NO_PICTURES)
def test_a_file_that_is_no_picture_is_called_what_it_is(tmp_path: Path, name: str) -> None:
    write, named, remedy = NO_PICTURES[name]
    write(tmp_path / "scan.tif")
    with pytest.raises(FileError, match=rf"scan\.tif .*{named}") as caught:
        read_picture(tmp_path / "scan.tif")
    assert re.search(remedy, caught.value.hint)


def test_a_band_that_is_neither_colour_nor_alpha_is_told_of(tmp_path: Path) -> None:
    satellite = tiff(tmp_path / "four.tif", SCANS[:, :, :4].astype("u1"), (0,))
    with pytest.warns(PictureWarning, match="has 4 bands, of which only the 3 of RGB are used"):
        same(read_picture(satellite), SCANS[:, :, :3].astype("u1"))
    cutout = tiff(tmp_path / "alpha.tif", SCANS[:, :, :4].astype("u1"), (2,))
    same(read_picture(cutout), SCANS[:, :, :3].astype("u1"))


BAD_ARRAYS = {
    "bool": (GREY > 9, "bool", "astype"),
    "float": (RGB / 255, "float64", r"\* 255"),
    "int": (RGB.astype(np.int64), "int64", "astype"),
    "32 bits": (RGB.astype(np.uint32), "uint32", "astype"),
    "objects": (np.array([[None]]), "object", "uint8"),
    "channels first": (RGB.transpose(2, 0, 1), r"\(3, 24, 40\)", "transpose"),
    "a clip": (RGB[None], r"\(1, 24, 40, 3\)", r"array\[0\]"),
    "two channels": (RGB[:, :, :2], r"\(24, 40, 2\)", "height × width × 3"),
    "flat": (RGB.ravel(), r"\(2880,\)", "height × width × 3"),
    "a number": (np.array(3, np.uint8), r"\(\)", "height × width × 3"),
    "no rows": (RGB[:0], r"\(0, 40, 3\)", "height × width × 3"),
    "no columns": (GREY[:, :0], r"\(24, 0\)", "height × width × 3"),
}


@pytest.mark.parametrize("name", BAD_ARRAYS)
def test_arrays_that_are_no_picture(name: str) -> None:
    array, named, remedy = BAD_ARRAYS[name]
    with pytest.raises(UsageError, match=named) as caught:
        read_picture(array)
    assert re.search(remedy, caught.value.hint)


@pytest.mark.parametrize("source", [None, 3, b"png", [[1, 2]], object()])
def test_what_is_no_picture_at_all(source: object) -> None:
    with pytest.raises(UsageError, match="picture"):
        read_picture(source)


def test_images_that_are_no_picture(tmp_path: Path) -> None:
    real = Image.fromarray((RGB[:, :, 0] / 255).astype(np.float32))
    with pytest.raises(UsageError, match="floating-point"):
        read_picture(real)
    with pytest.raises(UsageError, match="no pixels"):
        read_picture(Image.new("RGB", (0, 3)))
    with pytest.raises(UsageError, match=r"signed numbers \(from -700 to 990\)"):
        read_picture(Image.fromarray(np.array([[-700, 990]], np.int32)))
    with pytest.raises(UsageError, match="up to 70000, beyond 16 bits"):
        read_picture(Image.fromarray(np.full((2, 2), 70000, np.int32)))
    real.save(tmp_path / "real.tif")
    with pytest.raises(FileError, match=r"real\.tif.*floating-point"):
        read_picture(tmp_path / "real.tif")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "empty.png").touch()
    (tmp_path / "text.png").write_text("not a picture")
    for name, words in {
        "absent.png": "No such file",
        ".": "is a folder",
        "empty.png": "not a picture",
        "text.png": "not a picture",
        "text.png/below.png": "Not a directory",
        "nul\0.png": "not a path",
    }.items():
        with pytest.raises(FileError, match=words):
            read_picture(tmp_path / name)


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".tif", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_picture_cut_short(tmp_path: Path, suffix: str, share: float) -> None:
    whole = picture_file(tmp_path / f"whole{suffix}", np.frombuffer(noise(64 * 64 * 3), np.uint8).reshape(64, 64, 3))
    broken = tmp_path / f"broken{suffix}"
    broken.write_bytes(whole.read_bytes()[: int(whole.stat().st_size * share)])
    with pytest.raises(FileError, match="broken"):
        read_picture(broken)
    with Image.open(whole) as image:
        image.load()


@given(st.sampled_from(["png", "jpeg", "tiff", "gif", "webp"]), st.integers(0, 400), st.integers(0, 255))
def test_a_flipped_byte_gives_a_picture_or_our_error(
    tmp_path_factory: pytest.TempPathFactory, kind: str, place: int, value: int
) -> None:
    path = tmp_path_factory.getbasetemp() / f"flipped.{kind}"
    data = bytearray(picture_file(path, RGB).read_bytes())
    data[place % len(data)] = value
    path.write_bytes(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            picture = read_picture(path)
        except PlannerError:
            return
    assert picture.ndim == 3 and picture.shape[2] == 3


def test_a_bomb_is_refused_and_a_large_picture_is_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = picture_file(tmp_path / "large.png", RGB)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", RGB[:, :, 0].size - 1)
    same(read_picture(path), RGB)  # PIL warns, which the tests make an error
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", RGB[:, :, 0].size // 2 - 1)
    with pytest.raises(FileError, match="too large"):
        read_picture(path)


def test_an_orientation_is_told_of_and_not_applied(tmp_path: Path) -> None:
    image = Image.fromarray(RGB)
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "turned.png", exif=exif)
    with pytest.warns(PictureWarning, match=r"turned\.png has the EXIF orientation 6"):
        same(read_picture(tmp_path / "turned.png"), RGB)
    same(read_picture(tmp_path / "turned.png", warn=False), RGB)
    with Image.open(tmp_path / "turned.png") as opened, pytest.warns(PictureWarning, match="orientation 6"):
        same(read_picture(opened), RGB)
    exif[0x0112] = 1
    image.save(tmp_path / "straight.png", exif=exif)
    same(read_picture(tmp_path / "straight.png"), RGB)


def test_an_image_whose_file_is_broken(tmp_path: Path) -> None:
    whole = picture_file(tmp_path / "whole.png", np.frombuffer(noise(64 * 64 * 3), np.uint8).reshape(64, 64, 3))
    (tmp_path / "broken.png").write_bytes(whole.read_bytes()[:6000])
    with Image.open(tmp_path / "broken.png") as image, pytest.raises(UsageError, match="cannot be read"):
        read_picture(image)
