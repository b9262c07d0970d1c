"""What an address means: files, folders and patterns of fsspec's own file system in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec", reason="addresses are opened by fsspec")

import planner
from planner.fleet.places import Place, found_at
from planner.runs.inputs import inputs_from


@pytest.fixture
def bucket() -> Any:
    """An empty one."""
    files = fsspec.filesystem("memory")
    files.store.clear()
    files.pseudo_dirs[:] = [""]
    return files


def fill(bucket: Any, *names: str) -> None:
    for name in names:
        bucket.pipe(f"/bucket/{name}", name.encode())


def test_a_file_is_itself_and_a_pattern_what_it_matches(bucket: Any) -> None:
    fill(bucket, "a.mp4", "b.mp4", "c.txt")
    assert found_at("memory://bucket/a.mp4", "video") == [("memory://bucket/a.mp4", None)]
    found = found_at("memory://bucket/*.mp4", "video")
    assert [Path(address).name for address, _ in found] == ["a.mp4", "b.mp4"]
    assert all(address.startswith("memory://") for address, _ in found)
    with pytest.raises(planner.PlannerError, match=r"Nothing is called .*\.mkv"):
        found_at("memory://bucket/*.mkv", "video")


def test_a_folder_stands_for_its_clips_whose_names_keep_the_folders_between(bucket: Any) -> None:
    fill(bucket, "left/1.mp4", "right/1.mp4", "walk/00000.jpg", "walk/00001.jpg", "notes.txt", ".hidden/2.mp4")
    found = inputs_from(["memory://bucket"], "masks", "video", find=lambda address: found_at(address, "video"))
    assert [(one.name, one.source) for one in found] == [
        ("left/1", "memory://bucket/left/1.mp4"),
        ("right/1", "memory://bucket/right/1.mp4"),
        ("walk", "memory://bucket/walk"),
    ]
    pictures = found_at("memory://bucket/", "image")
    assert [name for _, name in pictures] == ["walk/00000", "walk/00001"]


def test_a_folder_of_pictures_is_one_clip(bucket: Any, tmp_path: Path) -> None:
    fill(bucket, "walk/00000.jpg", "walk/00001.jpg")
    assert found_at("memory://bucket/walk", "video") == [("memory://bucket/walk", None)]
    folder = Place("memory://bucket/walk").fetched(tmp_path)
    assert folder == tmp_path / "walk"
    assert [path.read_text() for path in sorted(folder.iterdir())] == ["walk/00000.jpg", "walk/00001.jpg"]


@pytest.mark.parametrize(
    ("address", "words", "code"),
    [
        ("memory://bucket/none.mp4", "does not exist", 2),
        ("memory://bucket/empty", "holds no clips", 2),
        ("rtsp://camera/1", "passes by once", 2),
        ("camera:0", "passes by once", 2),
        ("nonsense://bucket/a.mp4", "nonsense", 2),
        ("dropbox://bucket/a.mp4", "dropbox", 1),
    ],
)
def test_what_cannot_be_had_is_named(bucket: Any, address: str, words: str, code: int) -> None:
    fill(bucket, "empty/notes.txt")
    with pytest.raises(planner.PlannerError, match=words) as caught:
        found_at(address, "video")
    assert (caught.value.exit_code, bool(caught.value.hint)) == (code, True)


def test_two_that_would_share_a_folder_are_refused(bucket: Any) -> None:
    fill(bucket, "left/1.mp4", "right/1.mp4")
    with pytest.raises(planner.PlannerError, match="would both write to the folder 1"):
        inputs_from(
            ["memory://bucket/left/*", "memory://bucket/right/1.mp4"],
            "masks",
            "video",
            find=lambda address: found_at(address, "video"),
        )


def test_a_file_is_there_whole_or_not_at_all(bucket: Any, tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"new")
    place = Place("memory://bucket/a")
    place.write(path)
    assert bucket.cat("/bucket/a") == b"new"

    def break_off(self: Any, data: bytes) -> int:
        raise OSError("the line is cut")

    path.write_bytes(b"newer")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("fsspec.implementations.memory.MemoryFile.write", break_off)
        with pytest.raises(planner.PlannerError, match="the line is cut") as caught:
            place.write(path)
    assert caught.value.exit_code == 1
    assert bucket.cat("/bucket/a") == b"new"
    place.write(path)
    assert bucket.cat("/bucket/a") == b"newer"
    place.delete()
    place.delete()
    assert not place.exists()
