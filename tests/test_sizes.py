"""Sizes, resolutions, counts and headroom: what is read, what is refused, and that printing reads back."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from planner.errors import UsageError
from planner.text.units import (
    exact_size,
    format_exact_size,
    format_resolution,
    format_size,
    parse_count,
    parse_frame_size,
    parse_frames,
    parse_headroom,
    parse_resolution,
    parse_size,
)
from tests.conftest import document_of, invoke, refusal

MALFORMED = [
    "2", "2000000000", "2.5", "0", "0GB", "0.0GB", "-2GB", "-0.5GiB", "+2GB", "2,5GB", "2,500MB", "nan", "nanGB",
    "inf", "infGB", "1e9GB", "1e3 MB", "", " ", "GB", "two GB", "2 GB 3", "2GBs", "2G", "2Gb/s", "2B", "2TB", "2.GB",
    ".GB", "2..5GB", "2.5.1GB", "0x2GB", "2_000MB", "٢GB", "２GB", "²GB", "2ＧＢ", "2GB\x00", "1kB", "999kB",
    "0.000001GB", "99999999999GB", "1000001GB", "9" * 30 + "GB", "9" * 5000 + "GB", "2 000MB", "$2GB", "2GB;", "True",
    "2K", "2KBytes", "½GB", "2٫5GB", "--", "GB2", "50%",
]  # fmt: skip
READ = {
    "2GB": 2 * 10**9,
    "1.5GB": 15 * 10**8,
    ".5GB": 5 * 10**8,
    "800MB": 8 * 10**8,
    "2000000kB": 2 * 10**9,
    "2GiB": 2 * 2**30,
    "1907MiB": 1907 * 2**20,
    "2097152KiB": 2**31,
    "2gb": 2 * 10**9,
    "2gIb": 2 * 2**30,
    "2 GB": 2 * 10**9,
    "  2GB  ": 2 * 10**9,
    "1MB": 10**6,
    "1000000GB": 10**15,
    "0.123456789GB": 123456789,
}


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: repr(text[:12]))
def test_a_malformed_size_is_a_usage_error_that_shows_the_forms(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_size(text)
    assert repr(text)[:20] in caught.value.message
    assert "2GB" in caught.value.hint
    assert "GiB" in caught.value.hint


@pytest.mark.parametrize("text", [text for text in MALFORMED if "\x00" not in text], ids=lambda text: repr(text[:12]))
def test_a_malformed_budget_is_exit_2_on_the_command_line(text: str) -> None:
    document = document_of([f"--vram={text}"])
    assert document["error"]["code"] == "usage"
    assert "2GB" in document["error"]["hint"]
    assert invoke(f"--vram={text}").code == 2


@pytest.mark.parametrize(("text", "size_bytes"), READ.items())
def test_a_size_is_read_exactly(text: str, size_bytes: int) -> None:
    assert parse_size(text) == size_bytes


def test_text_output_echoes_how_a_size_was_read() -> None:
    assert "2,000,000,000 B = 1907 MiB" in invoke("--vram", "2GB").out
    assert "2,147,483,648 B = 2048 MiB" in invoke("--vram", "2GiB").out
    assert format_exact_size(2 * 10**9) == "2,000,000,000 B = 1907 MiB"


@given(st.integers(10**6, 10**15))
def test_an_exact_size_reads_back_as_the_same_bytes(size_bytes: int) -> None:
    assert parse_size(exact_size(size_bytes)) == size_bytes


@given(st.sampled_from((1, 10**3, 10**6, 10**7, 10**9, 2**10, 2**20, 2**30)), st.integers(1, 4000))
def test_round_sizes_read_back_and_stay_short(factor: int, count: int) -> None:
    size_bytes = factor * count
    if 10**6 <= size_bytes <= 10**15:
        text = exact_size(size_bytes)
        assert parse_size(text) == size_bytes
        assert factor < 10**3 or len(text) <= 16


@given(st.integers(10**6, 10**14))
def test_a_size_for_people_is_right_to_its_last_digit(size_bytes: int) -> None:
    text = format_size(size_bytes)
    assert text.startswith(f"{size_bytes / 10**6:.0f} ") or size_bytes >= 9_999_500_000, "megabytes up to 10 GB"
    text = text.replace(",", "")
    assert abs(parse_size(text) - size_bytes) <= 0.006 * size_bytes or size_bytes < 10**8
    number, unit = text.split()
    assert len(number) <= 8
    assert unit in ("MB", "GB")


@given(st.text(max_size=20))
def test_any_text_is_a_size_or_a_usage_error(text: str) -> None:
    error = refusal(UsageError, parse_size, text)
    if error is None:
        assert 10**6 <= parse_size(text) <= 10**15
    else:
        assert error.message
        assert error.hint


BAD_RESOLUTIONS = [
    "0", "-1024", "1000", "1023", "33", "32", "1024x1000", "1024x0", "8224", "10240", "99999999", "1024x", "x1024",
    "1024x1024x1024", "1024*1024", "1024.0", "1e3", "", "big", "1024,1024", "１０２４", "1024x8224", "0x400",
]  # fmt: skip


@pytest.mark.parametrize("text", BAD_RESOLUTIONS)
def test_a_resolution_that_cannot_be_run_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_resolution(text)
    assert repr(text) in caught.value.message
    assert "32" in caught.value.hint


def test_a_refused_resolution_names_the_nearest_that_runs() -> None:
    with pytest.raises(UsageError, match="the nearest is 992"):
        parse_resolution("1000")


@given(st.integers(2, 256), st.integers(2, 256))
def test_a_resolution_reads_back(height: int, width: int) -> None:
    pair = (height * 32, width * 32)
    assert parse_resolution(format_resolution(pair)) == pair
    assert parse_resolution(format_resolution(pair).upper().replace("X", " × ")) == pair
    assert parse_resolution(height * 32) == (height * 32, height * 32)


@pytest.mark.parametrize("text", ["", "1080", "0x100", "1080x", "1080x1920x3", "-1x5", "99999x10", "1080,1920", "axb"])
def test_a_frame_size_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_frame_size(text)
    assert repr(text) in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "", "ten", "1e3", "٣", "1,000", "9999999999", "9" * 5000, "nan"])
def test_a_count_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_count(text, "objects")
    assert "objects" in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize("value", [True, 1.5, None, 0, -3])
def test_a_count_of_another_type_is_refused(value: object) -> None:
    with pytest.raises(UsageError):
        parse_count(value, "objects")  # type: ignore[arg-type]


def test_frames_may_be_unlimited() -> None:
    assert parse_frames("unlimited") is None
    assert parse_frames(" Unlimited ") is None
    assert parse_frames(None) is None
    assert parse_frames("240") == 240


@pytest.mark.parametrize("text", ["", "5", "-5%", "100%", "150%", "nan%", "5 percent", "0MB", "2,5%", "auto5", "٥%"])
def test_a_headroom_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_headroom(text)
    assert repr(text) in caught.value.message
    assert "none" in caught.value.hint


def test_headroom_is_read_in_all_its_forms() -> None:
    assert parse_headroom("auto").percent == 5
    assert parse_headroom("none").of(10**9) == 0
    assert parse_headroom("0%").of(10**9) == 0
    assert parse_headroom("12.5%").of(10**9) == 125 * 10**6
    assert parse_headroom("500MB").of(10**9) == 500 * 10**6
    assert parse_headroom("500MB").of(10**8) == 10**8, "never more than there is"


@given(st.integers(10**6, 10**13), st.sampled_from(("auto", "none", "12.345678%", "99%", "33.3%", "700MB")))
def test_the_budget_for_a_need_is_the_smallest_that_holds_it(need_bytes: int, text: str) -> None:
    headroom = parse_headroom(text)
    total = headroom.budget_for(need_bytes)
    assert total - headroom.of(total) >= need_bytes
    assert (total - 1) - headroom.of(total - 1) < need_bytes
