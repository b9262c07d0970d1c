"""Files are there whole or not at all."""

from __future__ import annotations

import errno
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from planner.text import files
from planner.text.files import WriteFailure, neighbour_of, whole_file, write_whole


def test_a_file_is_there_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    with whole_file(path) as file:
        file.write(b"half")
        assert not path.exists()
        file.write(b"whole")
    assert path.read_bytes() == b"halfwhole"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [ValueError("bad"), KeyboardInterrupt(), OSError(errno.EIO, "a torn source")])
def test_an_error_leaves_the_old_file_and_nothing_else(error: BaseException, tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"old")
    with pytest.raises(type(error)) as caught, whole_file(path) as file:
        file.write(b"new")
        raise error
    assert caught.value is error, "what the block met is not taken for this file's fault"
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_half_written_by_a_killed_process_is_in_nobodys_way(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    neighbour_of(path).write_bytes(b"left over, and longer than what comes")
    write_whole(path, lambda file: file.write(b"new"))
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    neighbour_of(path).symlink_to("/dev/full")
    with pytest.raises(WriteFailure, match="No space left") as caught:
        write_whole(path, lambda file: file.write(b"x" * 100_000))
    assert str(path) in caught.value.message
    assert caught.value.hint
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_every_step_may_fail(step: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.os, step, refuse)
    with pytest.raises(WriteFailure, match="No space left"):
        write_whole(tmp_path / "a.bin", lambda file: file.write(b"x"))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(WriteFailure, match="No such file"):
        write_whole(tmp_path / "no" / "a.bin", lambda file: file.write(b"x"))


def test_a_lock_is_held_until_the_file_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fcntl = pytest.importorskip("fcntl")
    path = tmp_path / "lock"
    with path.open("a") as first, path.open("a") as second:
        assert files.lock(first)
        with pytest.raises(BlockingIOError):
            files.lock(second)
        first.close()
        assert files.lock(second)

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with path.open("a") as file:
        assert not files.lock(file), "a file system without locks"


def test_writers_of_one_file_do_not_meet(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    link = tmp_path / "link.txt"
    link.symlink_to(path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda word: files.write(link, word * 50_000), "abcdefgh"))
    assert path.read_text() in {word * 50_000 for word in "abcdefgh"}
    assert link.is_symlink() and {found.name for found in tmp_path.iterdir()} == {"a.txt", "link.txt"}
