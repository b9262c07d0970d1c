"""Overlays as an MP4, in parts that are joined packet by packet, so that a clip continued later is the same file.

Every part is encoded by an encoder of its own and starts with a key frame. There are no B-frames: packets stand in
the order in which they are shown, and joining is a shift of their time stamps.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any

from planner.errors import EnvironmentFailure, FileError
from planner.text.files import failing_as, whole_file

if TYPE_CHECKING:
    import numpy as np

DEFAULT_RATE = 25
"""Frames per second where the source names none."""
LARGEST_RATE = 1000
LARGEST_DENOMINATOR = 65535
"""MPEG-4 part 2 counts time in 16 bits."""
THREADS = 2
"""Fixed: x264's choices hang on how many threads there are, and files shall not differ between two runs."""
BT601, LIMITED_RANGE = 6, 1
"""What swscale turns RGB into, as FFmpeg numbers it (AVCOL_SPC_SMPTE170M, AVCOL_RANGE_MPEG): players guess by size
where a file does not say."""
H264 = {"preset": "veryfast", "crf": "20", "bf": "0", "mbtree": "0"}
"""Without x264's macroblock tree: with it the same frames with writing on them became other bytes in one encoding of a
hundred, without it in none of 3,000."""
MPEG4 = {"qscale": "3", "bf": "0", "flags": "+qscale"}


def frame_rate(frames_per_second: float | None) -> Fraction:
    """The rate that is written for that of a source (None: not known), as encoders can count it."""
    if frames_per_second is None or not 0 < frames_per_second <= LARGEST_RATE:
        return Fraction(DEFAULT_RATE)
    rate = Fraction(frames_per_second).limit_denominator(1001)
    if rate.numerator > LARGEST_DENOMINATOR or not rate:
        rate = Fraction(max(1, round(frames_per_second)))
    return rate


class OverlayVideo:
    """An MP4 that frames of one size are encoded into; a context manager, or `close` it."""

    def __init__(self, file: IO[bytes], size: tuple[int, int], rate: Fraction) -> None:
        import av

        height, width = size
        self._even = (height + height % 2, width + width % 2)
        self._container = av.open(file, "w", format="mp4")
        self._stream = _encoding(self._container, self._even, rate)
        self._written = 0

    def add(self, picture: np.ndarray) -> None:
        """Encode the next frame, H×W×3 uint8 RGB. An odd side is repeated once: encoders take even sizes only."""
        import av
        import numpy as np

        height, width = picture.shape[:2]
        if (height, width) != self._even:
            missing = ((0, self._even[0] - height), (0, self._even[1] - width), (0, 0))
            picture = np.pad(picture, missing, mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.pts, frame.time_base = self._written, self._stream.codec_context.time_base
        self._written += 1
        self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder still holds, and the index."""
        try:
            self._container.mux(self._stream.encode())
        finally:
            self._container.close()

    def abandon(self) -> None:
        """Let go of the encoder, whatever becomes of the file."""
        with suppress(OSError, ValueError):
            self._container.close()

    def __enter__(self) -> OverlayVideo:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def join_video_parts(parts: Sequence[Path], path: Path, rate: Fraction) -> None:
    """One MP4 of all parts in their order; packets are copied, nothing is encoded again.

    Raises EnvironmentFailure where it cannot be written, FileError for a part that is gone or broken.
    """
    import av

    with whole_file(path) as file, failing_as(path):
        container = av.open(file, "w", format="mp4")
        try:
            stream: Any = None
            start = 0
            for part in parts:
                with _opened(part) as source:
                    video = source.streams.video[0]
                    if stream is None:
                        stream = container.add_stream_from_template(video)
                        stream.time_base = video.time_base
                    step = round(1 / rate / stream.time_base)
                    count = 0
                    for packet in source.demux(video):
                        if packet.size == 0:
                            continue
                        packet.pts = packet.dts = (start + count) * step
                        packet.duration = step
                        packet.time_base = stream.time_base
                        packet.stream = stream
                        container.mux(packet)
                        count += 1
                    start += count
        finally:
            container.close()


def _encoding(container: Any, size: tuple[int, int], rate: Fraction) -> Any:
    """A new stream of the container, for frames of an even size."""
    codec, options = _codec()
    stream = container.add_stream(codec, rate=rate, options=options)
    stream.height, stream.width = size
    stream.pix_fmt = "yuv420p"
    stream.codec_context.thread_count = THREADS
    stream.codec_context.time_base = 1 / rate
    with suppress(AttributeError):  # an older PyAV
        stream.codec_context.colorspace, stream.codec_context.color_range = BT601, LIMITED_RANGE
    return stream


def _opened(part: Path) -> Any:
    import av

    try:
        return av.open(str(part))
    except (OSError, ValueError) as error:
        raise FileError(f"{part}: {error}.", "Start again with --overwrite.") from None


def _codec() -> tuple[str, dict[str, str]]:
    """The encoder that this build of FFmpeg has, with its options."""
    import av

    for name, options in (("libx264", H264), ("mpeg4", MPEG4)):
        if name in av.codecs_available:
            return name, options
    raise EnvironmentFailure(
        "This build of PyAV can encode neither H.264 nor MPEG-4.", "Leave overlay out of --save, or reinstall av."
    )
