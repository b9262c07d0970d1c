"""Cameras and addresses: frames that pass by once."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from planner.errors import EnvironmentFailure, UsageError
from planner.sources.ahead import Ahead
from planner.sources.depth import PictureWarning
from planner.sources.frames import open_frames
from tests.runtime.media import (
    SIZE,
    noise,
    number_in,
    rewritten,
    shown,
    video,
)

COUNT = 40


def test_a_camera_that_is_not_there() -> None:
    with pytest.raises(EnvironmentFailure, match="camera:98 cannot be opened") as caught:
        open_frames("camera:98")
    assert "connected" in caught.value.hint


def test_an_address_that_does_not_answer() -> None:
    with pytest.raises(EnvironmentFailure, match="cannot be opened"):
        open_frames("http://127.0.0.1:9/a.ts")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Path, str]]:
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield tmp_path, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_address_passes_by_once(served: tuple[Path, str]) -> None:
    path, address = served
    video(path / "a.ts", b_frames=2)
    with open_frames(f"{address}/a.ts") as frames:
        assert (frames.length, frames.size, frames.rereadable) == (None, SIZE, False)
        assert shown(frames.read()) == list(range(COUNT))
        with pytest.raises(UsageError, match="a second time"):
            frames.read()
    with pytest.raises(EnvironmentFailure, match="cannot be opened"):
        open_frames(f"{address}/absent.ts")
    with open_frames(f"{address}/a.ts") as frames, pytest.raises(UsageError, match="backward"):
        frames.read(0, -1)


def test_damaged_frames_of_a_stream_are_passed_over(served: tuple[Path, str]) -> None:
    path, address = served
    whole = video(path / "whole.avi", "ffv1", gop=1)
    rewritten(whole, path / "a.avi", lambda place, data: noise(len(data)) if place == 5 else data)
    frames = open_frames(f"{address}/a.avi")
    with pytest.warns(PictureWarning, match="passed over"):
        numbers = [number_in(picture) for _, picture in frames.read()]
    assert numbers == [number for number in range(COUNT) if number != 5]
    frames.close()


def test_a_stream_closed_under_its_reader_ends(served: tuple[Path, str]) -> None:
    path, address = served
    video(path / "a.ts", count=200)
    frames = open_frames(f"{address}/a.ts")
    with Ahead(frames.read()) as ahead:
        assert next(ahead)[0] == 0
        frames.close()
        assert len(list(ahead)) < 200
