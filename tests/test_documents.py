"""Documents: plain data only, every fault with file and line, files written whole or not at all."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.errors import EnvironmentFailure, FileError
from planner.text.files import write
from planner.text.strict_yaml import dump, parse, read
from tests.conftest import ROOT, refusal

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n" for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)
HOSTILE = {
    "nothing": "",
    "only a comment": "# nothing\n",
    "a billion laughs": LAUGHS,
    "an alias": "a: &x [1]\nb: *x\n",
    "an alias to itself": "a: &x [*x]\n",
    "a python object": "a: !!python/object/apply:os.system ['true']\n",
    "a python name": "a: !!python/name:os.system\n",
    "a tag of its own": "a: !thing 1\n",
    "a tag on a mapping": "!thing {a: 1}\n",
    "a key twice": "a: 1\nb: 2\na: 3\n",
    "a key twice inside": "outer:\n  a: 1\n  a: 2\n",
    "a key that is a list": "? [1, 2]\n: 3\n",
    "two documents": "a: 1\n---\nb: 2\n",
    "deep lists": "a: " + "[" * 60 + "]" * 60 + "\n",
    "deep mappings": "".join(f"{' ' * depth}a:\n" for depth in range(60)),
    "a huge integer": "a: " + "9" * 5000 + "\n",
    "an integer beyond 64 bits in hexadecimal": "a: 0xffffffffffffffffffff\n",
    "not a number": "a: .nan\n",
    "infinity": "a: .inf\n",
    "minus infinity": "a: -.inf\n",
    "a number that overflows": "a: 1.0e+999\n",
    "an octal": "a: 0o17\n",
    "a sexagesimal": "a: 190:20:30\n",
    "an unclosed list": "a: [1, 2\n",
    "an unclosed quote": 'a: "text\n',
    "a tab": "a:\n\t- 1\n",
    "a NUL": "a: 1\0\n",
    "an escape character": "a: \x1b[31m\n",
    "a directive": "%YAML 9.9\n---\na: 1\n",
    "a surrogate": 'a: "\\ud800"\n',
    "binary that is none": "a: !!binary '***'\n",
    "a set": "a: !!set {x}\n",
}
ALLOWED = {"a huge integer", "an octal", "a surrogate", "binary that is none", "a set"}
"""Read as plain data or refused; either is safe."""


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_a_file_error_with_its_file(text: str, request: pytest.FixtureRequest) -> None:
    error = refusal(FileError, parse, text, "the-file.yaml")
    if error is None:
        assert request.node.callspec.id in ALLOWED
        return
    assert "the-file.yaml" in error.message
    assert error.hint
    assert len(error.message) < 300
    assert error.exit_code == 2


@pytest.mark.parametrize(
    ("text", "line"),
    [("a: 1\nb: 2\na: 3\n", 3), ("a: 1\nb: [1\n", 3), ("x: 1\ny: &q [1]\nz: *q\n", 3), ("a: 1\n\nb: .nan\n", 3)],
)
def test_a_fault_names_its_line(text: str, line: int) -> None:
    with pytest.raises(FileError, match=rf"here\.yaml, line {line}\b|here\.yaml, line {line - 1}\b"):
        parse(text, "here.yaml")


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_very_deep_nesting_does_not_bring_the_process_down(opening: str, tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text(opening * 200_000)
    program = (
        "import sys\nfrom pathlib import Path\n"
        "from planner.text.strict_yaml import read\nfrom planner.errors import FileError\n"
        "try: read(Path(sys.argv[1]))\nexcept FileError: sys.exit(42)"
    )
    done = subprocess.run([sys.executable, "-c", program, str(path)], cwd=ROOT, capture_output=True, timeout=60)
    assert done.returncode == 42, done.stderr[-500:]


def test_plain_data_come_as_they_stand() -> None:
    text = 'a: 1\nb: -2.5\nc: true\nd: null\ne: "2.1"\nf: [1, x]\ng: 2024-08-01\nh: ~\ni: "yes"\n'
    assert parse(text, "x") == {
        "a": 1, "b": -2.5, "c": True, "d": None, "e": "2.1", "f": [1, "x"], "g": "2024-08-01", "h": None, "i": "yes",
    }  # fmt: skip


def test_a_word_that_yaml_takes_for_a_boolean_is_refused_rather_than_guessed() -> None:
    with pytest.raises(FileError, match="'yes' is not a plain value"):
        parse("a: yes\n", "x")


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | st.floats(-1e15, 1e15) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150)
@given(st.dictionaries(st.text(max_size=8), PLAIN, min_size=1, max_size=4))
def test_what_is_dumped_reads_back(data: dict[str, object]) -> None:
    text = dump(data)
    assert dump(data) == text
    try:
        back = parse(text, "x")
    except FileError as error:
        pytest.fail(f"{error} in {text!r}")
    assert back == data


@settings(max_examples=200)
@given(st.text(max_size=60) | st.text(alphabet="[]{}:,-?&*!|>'\"%@` \n\tab1.", max_size=60))
def test_any_text_is_data_or_a_file_error(text: str) -> None:
    error = refusal(FileError, parse, text, "x")
    assert error is None or error.message.startswith("x")


@given(st.binary(max_size=80))
def test_any_bytes_are_data_or_a_file_error(data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.yaml"
        path.write_bytes(data)
        error = refusal(FileError, read, path)
        assert error is None or str(path) in error.message


def test_files_that_are_none_are_file_errors(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes("a: é".encode("latin-1"))
    (tmp_path / "utf16.yaml").write_bytes("a: 1".encode("utf-16"))
    (tmp_path / "large.yaml").write_bytes(b"#" * (16 * 2**20 + 1))
    for name in ("missing.yaml", ".", "latin.yaml", "utf16.yaml", "large.yaml", "n" * 300, "missing/x.yaml"):
        with pytest.raises(FileError) as caught:
            read(tmp_path / name)
        assert name in caught.value.message
        assert caught.value.hint


def test_a_path_with_a_null_byte_is_a_file_error() -> None:
    with pytest.raises(FileError):
        read(Path("a\0b"))


def test_a_file_is_written_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a: é\n")
    assert path.read_text(encoding="utf-8") == "a: é\n"
    path.chmod(0o640)
    write(path, "a: 2\n")
    assert path.read_text() == "a: 2\n"
    assert path.stat().st_mode & 0o777 == 0o640, "keeps its mode"
    assert [found.name for found in tmp_path.iterdir()] == ["a.yaml"]


def test_a_new_file_has_the_mode_of_any_other(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "a: 1\n")
    (tmp_path / "b.yaml").write_text("b: 1\n")
    assert (tmp_path / "a.yaml").stat().st_mode == (tmp_path / "b.yaml").stat().st_mode


@pytest.mark.parametrize("broken", ["os.replace", "os.fsync", "os.chmod"])
def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(
    broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("old: 1\n")

    def fail(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(EnvironmentFailure, match="No space left on device") as caught:
        write(path, "new: 1\n")
    assert caught.value.exit_code == 1
    assert path.read_text() == "old: 1\n"
    assert [found.name for found in tmp_path.iterdir()] == ["a.yaml"]


def test_an_interrupted_write_keeps_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("old: 1\n")

    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("os.replace", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(path, "new: 1\n")
    assert path.read_text() == "old: 1\n"
    assert [found.name for found in tmp_path.iterdir()] == ["a.yaml"]
