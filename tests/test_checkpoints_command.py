"""`sam2-plan checkpoints`: the list, and downloads from a server that breaks off, lies, moves or knows no ranges."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from planner.api.fetching import fetch
from planner.catalog.checkpoints import Official
from planner.errors import EnvironmentFailure, Interrupted, UsageError
from tests.conftest import Outcome, invoke

DATA = b"PK\x03\x04" + bytes(range(256)) * 1200
PAGE = b"<html>log in</html>"
NAME = "sam2.1_hiera_tiny.pt"
OFFICIAL = Official(
    variant="tiny",
    version="2.1",
    file_bytes=len(DATA),
    sha256=hashlib.sha256(DATA).hexdigest(),
    sha256_source="a test",
    folder="092824",
    base="http://nowhere.invalid",
)


@dataclass
class Server:
    """One file at any address, and how it is given."""

    address: str = ""
    data: bytes = DATA
    ranges: bool = True
    kind: str = "application/octet-stream"
    length: bool = True
    """Whether it says how long it is."""
    cut_after: int | None = None
    """Bytes after which a connection ends."""
    statuses: list[int] = field(default_factory=list)
    """Of the first answers, in place of the file."""
    moved: str | None = None
    """Where else it has to be asked for."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    """Path and Range of each request."""

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        path, wanted = request.path, request.headers.get("Range")
        self.asked.append((path, wanted))
        if self.statuses:
            request.send_error(self.statuses.pop(0))
            return
        if self.moved and not path.startswith("/elsewhere"):
            request.send_response(302)
            request.send_header("Location", self.moved)
            request.send_header("Content-Length", "0")
            request.end_headers()
            return
        first = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.ranges else 0
        if first >= len(self.data):
            request.send_error(416)
            return
        rest = self.data[first:]
        request.send_response(206 if first else 200)
        if first:
            request.send_header("Content-Range", f"bytes {first}-{len(self.data) - 1}/{len(self.data)}")
        request.send_header("Content-Type", self.kind)
        if self.length:
            request.send_header("Content-Length", str(len(rest)))
        request.end_headers()
        request.wfile.write(rest[: self.cut_after])


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    found = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found.address = f"http://127.0.0.1:{listening.server_port}"
    thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
    thread.start()
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr("planner.catalog.checkpoints.official_checkpoints", lambda: (OFFICIAL,))
    monkeypatch.setattr("planner.api.fetching.PAUSE_SECONDS", 0)
    monkeypatch.setattr("planner.api.fetching.CHUNK_BYTES", 2**12)
    yield found
    listening.shutdown()
    listening.server_close()
    thread.join()


def download(server: Server, folder: Path, *words: str, **options: Any) -> Outcome:
    words = ("--variant", "tiny", "--download", "--to", str(folder), "--from", server.address, *words)
    return invoke("checkpoints", *words, **options)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_list_has_what_is_needed_to_fetch_and_verify_by_hand(plan_of_tiny: Path) -> None:
    every = invoke("checkpoints", "--format", "json").document["checkpoints"]
    assert len(every) == 8 and len({one["address"] for one in every}) == 8
    text = invoke("checkpoints").out
    for one in every:
        assert one["address"].endswith(one["name"])
        assert 150 * 10**6 < one["file_bytes"] < 10**9
        assert all(str(one[key]) in text for key in ("name", "sha256", "address", "hub_id"))
        assert f"{one['file_bytes']:,} B" in text
    wanted = invoke("checkpoints", str(plan_of_tiny), "--format", "json").document["checkpoints"]
    assert [(one["variant"], one["version"]) for one in wanted] == [("tiny", "2.0")]


@pytest.fixture
def plan_of_tiny(tmp_path: Path) -> Path:
    path = tmp_path / "plan.yaml"
    assert invoke("--vram", "4GB", "--variant", "tiny", "--version", "2.0", "-o", str(path)).code == 0
    return path


@pytest.mark.parametrize("ranges", [True, False])
@pytest.mark.parametrize("moved", [True, False])
def test_a_download_is_the_file_and_a_second_one_asks_nobody(
    ranges: bool, moved: bool, server: Server, tmp_path: Path
) -> None:
    server.ranges, server.moved = ranges, f"{server.address}/elsewhere" if moved else None
    document = download(server, tmp_path / "new", "--format", "json").document
    assert document["downloaded"] == {
        "path": str(tmp_path / "new" / NAME), "already_there": False, "resumed_bytes": 0,
    }  # fmt: skip
    assert (tmp_path / "new" / NAME).read_bytes() == DATA and names(tmp_path / "new") == [NAME]
    assert server.asked[0] == (f"/092824/{NAME}", None)
    before = len(server.asked)
    again = download(server, tmp_path / "new")
    assert again.code == 0 and "ALREADY THERE" in again.out and len(server.asked) == before


def test_connections_that_end_are_gone_on_with(server: Server, tmp_path: Path) -> None:
    server.cut_after, server.statuses = 100_000, [503]
    assert download(server, tmp_path).code == 0
    assert (tmp_path / NAME).read_bytes() == DATA
    assert [wanted for _, wanted in server.asked] == [None, None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


@pytest.mark.parametrize("ranges", [True, False])
def test_what_was_stopped_is_kept_and_gone_on_with(ranges: bool, server: Server, tmp_path: Path) -> None:
    def stop(what: str, done: int, total: int) -> None:
        if done > 150_000:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted) as caught:
        fetch(OFFICIAL, tmp_path, base=server.address, progress=stop)
    kept = (tmp_path / f"{NAME}.part").stat().st_size
    assert 150_000 < kept < len(DATA) and f"{NAME}.part" in caught.value.hint
    server.ranges = ranges
    found = fetch(OFFICIAL, tmp_path, base=server.address)
    assert found.resumed_bytes == (kept if ranges else 0)
    assert (tmp_path / NAME).read_bytes() == DATA and names(tmp_path) == [NAME]


@pytest.mark.parametrize("part", [b"x" * 1000, DATA, DATA + b"more", DATA[:-1] + b"x"], ids=len)
def test_a_beginning_of_another_file_never_becomes_it(part: bytes, server: Server, tmp_path: Path) -> None:
    (tmp_path / f"{NAME}.part").write_bytes(part)
    first = download(server, tmp_path)
    assert (first.code == 0) == (part.startswith(DATA))
    if first.code:
        assert first.code == 1 and "SHA-256" in first.err and names(tmp_path) == []
        assert download(server, tmp_path).code == 0
    assert (tmp_path / NAME).read_bytes() == DATA and names(tmp_path) == [NAME]


FAILING: dict[str, tuple[dict[str, Any], str]] = {
    "not found": ({"statuses": [404]}, "404"),
    "forbidden": ({"statuses": [403]}, "403"),
    "out of order for long": ({"statuses": [503] * 9}, "503"),
    "another size": ({"data": PAGE}, "19 bytes"),
    "another content": ({"data": DATA[:-1] + b"x"}, "SHA-256"),
    "a web page": ({"data": PAGE, "kind": "text/html; charset=utf-8", "length": False}, "a web page"),
    "a web page of no kind": ({"data": PAGE, "length": False}, "begins with b'<html>log in</ht'"),
    "another beginning": ({"data": DATA[::-1]}, "begins with b'\\xff"),
    "an address that is none": ({"moved": "http://[::1"}, "Invalid IPv6"),
    "nothing comes": ({"cut_after": 0}, "connection ended"),
}


@pytest.mark.parametrize("fault", FAILING)
def test_what_is_not_the_file_leaves_nothing_and_is_named(fault: str, server: Server, tmp_path: Path) -> None:
    settings, named = FAILING[fault]
    for name, value in settings.items():
        setattr(server, name, value)
    outcome = download(server, tmp_path)
    assert outcome.code == 1 and named in outcome.err and "--from" in outcome.err
    assert names(tmp_path) == []


def test_nothing_that_is_there_is_written_over(server: Server, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"mine")
    outcome = download(server, tmp_path)
    assert outcome.code == 2 and NAME in outcome.err and not server.asked
    assert (tmp_path / NAME).read_bytes() == b"mine"
    (tmp_path / NAME).unlink()

    def meanwhile(what: str, done: int, total: int) -> None:
        (tmp_path / NAME).write_bytes(b"mine")

    with pytest.raises(UsageError, match="meanwhile"):
        fetch(OFFICIAL, tmp_path, base=server.address, progress=meanwhile)
    assert (tmp_path / NAME).read_bytes() == b"mine"


def test_a_disk_without_room_and_a_second_download_are_refused_before_anything_comes(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    with (tmp_path / f"{NAME}.part").open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert "Another download" in download(server, tmp_path).err
        assert names(tmp_path) == [f"{NAME}.part"], "it is the other one's"
    usage = type("Usage", (), {"free": 1000})
    monkeypatch.setattr("planner.api.fetching.shutil.disk_usage", lambda _: usage)
    with pytest.raises(EnvironmentFailure, match="1 kB free"):
        fetch(OFFICIAL, tmp_path, base=server.address)
    assert not server.asked and names(tmp_path) == []


def test_a_download_is_held_until_it_is_verified_and_in_its_place(server: Server, tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    refused = []

    def second(what: str, done: int, total: int) -> None:
        if done == total:
            with pytest.raises(UsageError, match="Another download"):
                fetch(OFFICIAL, tmp_path, base=server.address)
            refused.append(what)

    fetch(OFFICIAL, tmp_path, base=server.address, progress=second)
    assert refused == ["fetch", "verify"] and len(server.asked) == 1
    assert (tmp_path / NAME).read_bytes() == DATA and names(tmp_path) == [NAME]


def test_a_download_that_waited_for_one_that_ended_fills_no_file_without_a_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fcntl = pytest.importorskip("fcntl")
    monkeypatch.setattr(fcntl, "flock", lambda *_: (tmp_path / f"{NAME}.part").unlink())
    with pytest.raises(UsageError, match="just ended"):
        fetch(OFFICIAL, tmp_path, base=server.address)
    assert not server.asked and names(tmp_path) == []


def test_where_there_are_no_locks_and_no_hard_links_it_is_fetched_all_the_same(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise OSError("not here")

    monkeypatch.setattr(pytest.importorskip("fcntl"), "flock", refuse)
    monkeypatch.setattr("planner.api.fetching.os.link", refuse)
    fetch(OFFICIAL, tmp_path, base=server.address)
    assert (tmp_path / NAME).read_bytes() == DATA and names(tmp_path) == [NAME]


def test_the_list_of_a_mirror_fetches_from_it(server: Server) -> None:
    mirror = "https://mirror.example/a&b"
    assert f"--version 2.1 --download --from '{mirror}'" in invoke("checkpoints", "--from", mirror).out
    assert "--from" not in invoke("checkpoints").out


@pytest.mark.parametrize(
    "base",
    ["foo", "", "ftp://a/b", "https://", "https:///a", "http://[::1", "http://a:port", "http://a..b", "http://a b/",
     "http://a/\u00fc", "http://a/\n"],
)  # fmt: skip
@pytest.mark.parametrize("words", [(), ("--variant", "tiny", "--download")], ids=["listed", "fetched"])
def test_an_address_that_is_none_is_refused_by_name(base: str, words: tuple[str, ...]) -> None:
    outcome = invoke("checkpoints", "--from", base, *words)
    assert outcome.code == 2 and "is no address" in outcome.err and "https://" in outcome.err


def test_progress_is_a_line_on_a_terminal(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    outcome = download(server, tmp_path, tty=True)
    assert "of 307 kB" in outcome.err and "verifying, 100 %" in outcome.err and outcome.err.endswith("\r")
    assert download(server, tmp_path).err == ""


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (("--download",), "8 are meant"),
        (("--download", "--version", "2.0"), "4 are meant"),
        (("--variant", "huge"), "huge"),
        (("--to", "x"), "--download"),
        (("--variant", "tiny", "--download", "--from", "file:///etc"), "https://"),
        (("--variant", "tiny", "--download", "--to", "no/such"), "mkdir -p no"),
        (("PLAN", "--variant", "large"), "large"),
    ],
)
def test_what_makes_no_sense_is_said_with_the_way_out(words: tuple[str, ...], named: str, plan_of_tiny: Path) -> None:
    outcome = invoke("checkpoints", *(str(plan_of_tiny) if word == "PLAN" else word for word in words))
    assert outcome.code == 2 and named in outcome.err
