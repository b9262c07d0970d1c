"""Pictures and clips that the tests make: each frame carries its number, which survives lossy codecs."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray
from PIL import Image

BLOCK, BITS = 16, 8
SIZE = (2 * BLOCK, BITS * BLOCK)
"""Height and width of a frame: a black or white block per bit of its number."""
FIXED_GROUPS = {"libx264": "0", "mpeg4": "1000000000"}
"""The sc_threshold at which a codec sets key frames by the count alone."""
PIXELS = {"ffv1": "bgr0", "gif": "rgb8", "mjpeg": "yuvj420p"}


def numbered(number: int, size: tuple[int, int] = SIZE) -> NDArray[np.uint8]:
    """A frame that shows its number, at least SIZE large."""
    picture = np.full((*size, 3), 90, np.uint8)
    for bit in range(BITS):
        picture[: SIZE[0], bit * BLOCK : (bit + 1) * BLOCK] = 255 if number >> bit & 1 else 0
    return picture


def number_in(picture: NDArray[np.uint8]) -> int:
    """The number that a frame shows."""
    row = picture[BLOCK, BLOCK // 2 : BITS * BLOCK : BLOCK].mean(axis=1)
    assert np.all((row < 60) | (row > 195)), f"a blurred number: {row}"
    return sum(1 << bit for bit in range(BITS) if row[bit] > 127)


def shown(frames: Iterable[tuple[int, NDArray[np.uint8]]]) -> list[int]:
    """The numbers that frames show, which must be those they are given with."""
    numbers = []
    for index, picture in frames:
        assert picture.dtype == np.uint8 and picture.flags.c_contiguous and picture.ndim == 3
        assert number_in(picture) == index
        numbers.append(index)
    return numbers


def video(
    path: Path,
    codec: str = "libx264",
    *,
    count: int = 40,
    gop: int = 12,
    b_frames: int = 0,
    time: Callable[[int], int] = lambda number: number,
    size: tuple[int, int] = SIZE,
    options: dict[str, str] | None = None,
    kind: str | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A clip of numbered frames at 25 per second, or at the given times in 1/25 s."""
    with av.open(str(path), "w", format=kind, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=25)
        stream.height, stream.width = size
        stream.pix_fmt = PIXELS.get(codec, "yuv420p")
        groups = {"sc_threshold": FIXED_GROUPS[codec]} if codec in FIXED_GROUPS else {}
        if codec == "libx264" and b_frames:
            groups["b_strategy"] = "0"  # B-frames always, not where they pay
        stream.codec_context.options = {"threads": "1", **groups, **(options or {})}
        stream.codec_context.gop_size = gop
        if codec != "ffv1":
            stream.codec_context.max_b_frames = b_frames
        for number in range(count):
            frame = av.VideoFrame.from_ndarray(numbered(number, size), "rgb24")
            frame.pts, frame.time_base = time(number), Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def sound(path: Path) -> Path:
    """An audio file without video."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def rewritten(source: Path, path: Path, change: Callable[[int, bytes], bytes | None], **options: str) -> Path:
    """The same packets through `change`, which takes their place in the file and their bytes; None drops one."""
    with av.open(str(source)) as old, av.open(str(path), "w", options=options) as new:
        stream = new.add_stream_from_template(old.streams.video[0])
        place = -1
        for packet in old.demux(old.streams.video[0]):
            if not packet.size:
                continue
            place += 1
            data = change(place, bytes(packet))
            if data is None:
                continue
            copy = av.Packet(data)
            copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
            copy.duration, copy.is_keyframe, copy.stream = packet.duration, packet.is_keyframe, stream
            new.mux(copy)
    return path


MATRICES = {0: (1, 0, 0, 1), 90: (0, 1, -1, 0), 180: (-1, 0, 0, -1), 270: (0, -1, 1, 0)}
"""a, b, c, d of a track header's matrix (ISO/IEC 14496-12, 8.3.2) by the degrees clockwise that players turn by."""


def turned(path: Path, degrees: int) -> Path:
    """An MP4, to be shown turned clockwise by so many degrees, as phones write it."""
    data = bytearray(path.read_bytes())
    at = data.rindex(b"tkhd") + 4 + 40
    a, b, c, d = (value << 16 for value in MATRICES[degrees])
    matrix = (a, b, 0, c, d, 0, 0, 0, 1 << 30)
    data[at : at + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in matrix)
    path.write_bytes(data)
    return path


def tiff(path: Path, array: NDArray[Any], extra: tuple[int, ...] = ()) -> Path:
    """A TIFF of height × width × bands with what Pillow does not write: many bands, 16-bit colours, signed numbers."""
    height, width, bands = array.shape
    data, bits = array.tobytes(), array.dtype.itemsize * 8
    sample = {"u": 1, "i": 2, "f": 3}[array.dtype.kind]
    tail, entries = b"", []

    def entry(tag: int, *values: int, kind: str = "H") -> None:
        nonlocal tail
        packed = struct.pack(f"<{len(values)}{kind}", *values)
        if len(packed) > 4:
            packed, place = struct.pack("<I", 8 + len(data) + len(tail)), packed
            tail += place
        entries.append(struct.pack("<HHI", tag, 3 if kind == "H" else 4, len(values)) + packed.ljust(4, b"\0"))

    entry(256, width)
    entry(257, height)
    entry(258, *[bits] * bands)
    entry(259, 1)
    entry(262, 2 if bands - len(extra) == 3 else 1)
    entry(273, 8, kind="I")
    entry(277, bands)
    entry(278, height)
    entry(279, len(data), kind="I")
    entry(284, 1)
    if extra:
        entry(338, *extra)
    entry(339, *[sample] * bands)
    directory = struct.pack("<H", len(entries)) + b"".join(entries) + bytes(4)
    path.write_bytes(b"II*\0" + struct.pack("<I", 8 + len(data) + len(tail)) + data + tail + directory)
    return path


def cut(source: Path, path: Path, share: float) -> Path:
    """The first part of a file."""
    data = source.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def folder(path: Path, names: Iterable[str], size: tuple[int, int] = SIZE) -> Path:
    """Pictures that show the place of their names in the given order."""
    path.mkdir(exist_ok=True)
    for number, name in enumerate(names):
        Image.fromarray(numbered(number, size)).save(path / name)
    return path


def noise(length: int, seed: int = 0) -> bytes:
    """Bytes of no meaning, the same every time."""
    return np.random.default_rng(seed).bytes(length)


def picture_file(path: Path, array: NDArray[Any], **options: Any) -> Path:
    """An array as a picture file."""
    Image.fromarray(array).save(path, **options)
    return path
