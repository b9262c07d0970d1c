"""Profiles: what ships reads and writes back the same; what is broken or impossible is refused with its line."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planner.catalog import load_catalog
from planner.errors import FileError
from planner.memory_model.coefficients import load_coefficients
from planner.nouns.measurement import Figure, Measurement
from planner.nouns.run import SWITCHES
from planner.profiles import load_folder, load_profile, parse_profile, profile_text
from planner.text.locations import profiles_folder
from planner.text.strict_yaml import parse
from tests.conftest import refusal

PUBLISHED = profiles_folder() / "published"
SHIPPED = sorted(PUBLISHED.glob("*.yaml"))
SOUND = (PUBLISHED / "sam2-issue-118.yaml").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_profile_writes_back_the_same(path: Path) -> None:
    measurements = load_profile(path)
    assert measurements
    text = profile_text(measurements, "again")
    assert parse_profile(text) == measurements
    assert profile_text(parse_profile(text), "again") == text


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_a_shipped_figure_is_its_source_in_bytes(path: Path) -> None:
    factors = {"B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}
    for measurement in load_profile(path):
        assert measurement.kind == "published"
        assert measurement.profile == path.stem
        assert measurement.url
        for figure in measurement.figures:
            assert abs(figure.value * factors[figure.unit] - figure.bytes) <= max(1, figure.rounding_bytes)


def test_the_folder_holds_the_public_figures() -> None:
    names = {measurement.profile for measurement in load_folder(PUBLISHED)}
    assert names >= {f"sam2-issue-{number}" for number in (10, 62, 118, 196, 516)} | {"ultralytics-issue-18211"}
    assert sum(measurement.use == "fit" for measurement in load_folder(PUBLISHED)) == 12


FAULTS = [
    ("schema_version: 1", "schema_version: 2", "schema_version"),
    ("kind: published", "kind: rumoured", "published"),
    ("name: sam2-issue-118", "name: 118", "text"),
    ("name: sam2-issue-118", "nom: sam2-issue-118", "name"),
    ("id: image-tiny-1024x1024", "id: image-tiny-576x1024", "stands twice"),
    ("task: image", "task: pictures", "automask"),
    ("variant: tiny", "variant: minuscule", "tiny"),
    ('version: "2.0"', "version: 2.0", "text"),
    ('version: "2.0"', 'version: "1.0"', "2.0"),
    ("resolution: [576, 1024]", "resolution: [575, 1024]", "multiples of 32"),
    ("resolution: [576, 1024]", "resolution: [576]", "height, width"),
    ("resolution: [576, 1024]", "resolution: 576x1024", "height, width"),
    ("precision: float16", "precision: half", "float16"),
    ("objects: 1,", "objects: 0,", "whole number"),
    ("objects: 1,", "objects: one,", "whole number"),
    ("object_batch: 1,", "object_batch: true,", "whole number"),
    ("bounded_memory_bank: null", "bounded_memory_bank: perhaps", "true or false"),
    ("bytes: 240000000", "bytes: 240000001000", "240000000"),
    ("bytes: 240000000", "bytes: -240000000", "whole number"),
    ("value: 240", "value: .nan", "plain value"),
    ("value: 240", "value: -240", "number"),
    ("unit: MB", "unit: MO", "MiB"),
    ("metric: allocated", "metric: virtual", "allocated"),
    ("of: peak", "of: mean", "peak"),
    ("relation: equal", "relation: about", "equal"),
    ("use: fit", "use: ignore", "reference"),
    ("use: fit", "use: fit\n    colour: red", "colour"),
    ("figures:\n", "figures: []\n    old:\n", "figure"),
    ("gpu: null, driver", "gpu: null, weather: null, driver", "weather"),
    ('date: "2024-08"', "date: 2024", "text"),
    ("measurements:", "measurement:", "measurements"),
    ("source:\n", "source: 118\nother:\n", "mapping"),
]


@pytest.mark.parametrize(("old", "new", "words"), FAULTS, ids=[f"{new[:30]}" for _, new, _ in FAULTS])
def test_a_broken_profile_names_file_line_and_remedy(old: str, new: str, words: str) -> None:
    assert old in SOUND
    with pytest.raises(FileError) as caught:
        parse_profile(SOUND.replace(old, new, 1), "broken.yaml")
    assert caught.value.message.startswith("broken.yaml, line ")
    assert caught.value.hint
    assert words in f"{caught.value.message} {caught.value.hint}"


def test_the_line_is_the_one_at_fault() -> None:
    lines = SOUND.splitlines()
    at = next(number for number, line in enumerate(lines) if "[2048, 2048]" in line)
    lines[at] = lines[at].replace("[2048, 2048]", "[2047, 2048]")
    with pytest.raises(FileError, match=f"line {at + 1}:"):
        parse_profile("\n".join(lines), "broken.yaml")


@pytest.mark.parametrize("part", ["workload", "configuration"])
def test_only_switches_may_be_left_out(part: str) -> None:
    """A profile may be older than one of them; all else is null where the source does not say it."""
    for name in parse(SOUND, "it")["measurements"][0][part]:
        document = parse(SOUND, "it")
        del document["measurements"][0][part][name]
        if name in SWITCHES:
            assert getattr(parse_profile(json.dumps(document))[0], name) is None
        elif name != "runtime":
            with pytest.raises(FileError, match=f"no '{name}'"):
                parse_profile(json.dumps(document))


def figure(metric: str, size_bytes: int) -> str:
    return (
        f"{{metric: {metric}, of: peak, relation: equal, value: {size_bytes}, unit: B, bytes: {size_bytes}, "
        "rounding_bytes: 0}"
    )


@pytest.mark.parametrize(("less", "more"), [("allocated", "reserved"), ("reserved", "total"), ("allocated", "total")])
def test_an_impossible_row_is_refused(less: str, more: str) -> None:
    """Allocated <= reserved <= total."""
    row = SOUND.splitlines()
    at = next(number for number, line in enumerate(row) if "- {metric: allocated" in line)
    for sizes, sound in (((2, 3), True), ((3, 3), True), ((3, 2), False)):
        changed = [*row[:at], f"      - {figure(less, sizes[0])}", f"      - {figure(more, sizes[1])}", *row[at + 1 :]]
        if sound:
            assert parse_profile("\n".join(changed))
            continue
        with pytest.raises(FileError, match="exceeds") as caught:
            parse_profile("\n".join(changed), "impossible.yaml")
        assert "impossible.yaml, line" in caught.value.message


def test_every_truncation_of_a_profile_is_a_file_error_or_fewer_rows() -> None:
    whole = parse_profile(SOUND)
    for end in range(0, len(SOUND), 97):
        error = refusal(FileError, parse_profile, SOUND[:end], "cut.yaml")
        if error is not None:
            assert "cut.yaml" in error.message
        else:
            part = parse_profile(SOUND[:end])
            assert part == whole[: len(part)] or part[:-1] == whole[: len(part) - 1]


BASE = parse_profile(SOUND)[0]
SIZES = st.integers(0, 10**12)


@st.composite
def measurements(draw: st.DrawFn) -> Measurement:
    texts = st.none() | st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
    figures = draw(st.lists(SIZES, min_size=1, max_size=3))
    return dataclasses.replace(
        BASE,
        id=draw(st.uuids()).hex,
        objects=draw(st.none() | st.integers(1, 1000)),
        frames=draw(st.none() | st.integers(1, 10**6)),
        frame_size=draw(st.none() | st.tuples(st.integers(1, 9999), st.integers(1, 9999))),
        precision=draw(st.sampled_from((None, "float16", "autocast_bfloat16"))),
        offload_state=draw(st.sampled_from((None, True, False))),
        figures=tuple(
            Figure(
                metric=None,
                read_as=draw(st.sampled_from((None, "total"))),
                of="per_frame",
                relation="at_least",
                value=float(size),
                unit="B",
                bytes=size,
                rounding_bytes=0,
                phase=draw(st.sampled_from((None, "track"))),
            )
            for size in figures
        ),
        environment=dataclasses.replace(BASE.environment, gpu=draw(texts), command=draw(texts)),
        date=draw(st.sampled_from((None, "2024-08-01", "null", "1e5", "yes"))),
        note=draw(texts),
    )


@settings(max_examples=60)
@given(st.lists(measurements(), min_size=1, max_size=4, unique_by=lambda row: row.id))
def test_any_measurements_write_and_read_back(rows: list[Measurement]) -> None:
    rows = [dataclasses.replace(row, url=rows[0].url) for row in rows]
    assert parse_profile(profile_text(rows, "made up")) == rows


@pytest.mark.parametrize("name", ["catalog.yaml", "memory_model.jsonl"])
def test_every_truncation_of_the_other_shipped_files_is_a_file_error(name: str, tmp_path: Path) -> None:
    load = {"catalog.yaml": load_catalog, "memory_model.jsonl": load_coefficients}[name]
    text = (profiles_folder() / name).read_text(encoding="utf-8").rstrip()
    for end in range(0, len(text) - 1, max(1, len(text) // 60)):
        path = tmp_path / f"{end}.yaml"
        path.write_text(text[:end], encoding="utf-8")
        error = refusal(FileError, load, path)
        assert error is None or str(path) in error.message


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("schema_version",), 1),
        (("beyond",), -0.1),
        (("beyond",), float("nan")),
        (("margins", 0, "ratio"), "much"),
        (("margins", 0, "runtime"), "another"),
        (("least", 0, "share"), -1),
        (("margins", 0, "kind"), "rare"),
        (("group", 2), "int8"),
        (("pixels", 0), 0),
        (("pixels", 1), 1),
        (("reserved", "curves", "tiny", 0), 10**12),
        (("reserved", "curves", "tiny"), [1.0]),
        (("reserved", "curves"), {}),
        (("reserved", "growth"), {"memory bank": -1}),
        (("reserved", "tables", "tiny"), [1.0]),
        (("reserved", "tables", "tiny", 0), "much"),
        (("small", "curves", "tiny", 0), -1),
        (("small",), None),
        (("extents", "encode", "curves", "tiny", 0), 10**12),
        (("extents", "encode", "tables", "tiny", 0), "much"),
        (("extents",), {}),
        (("known",), {"a run": [2, 1, None]}),
        (("phases",), None),
    ],
    ids=str,
)
def test_a_broken_memory_model_is_a_file_error(place: tuple[str | int, ...], value: object, tmp_path: Path) -> None:
    """The head says so at once, a group when it is first asked for."""
    head, *groups = map(json.loads, (profiles_folder() / "memory_model.jsonl").read_text(encoding="utf-8").splitlines())
    whose = "stock" if place[0] == "reserved" else "own"
    inner = head if place[0] in head else next(group for group in groups if group["group"][0] == whose)
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = value
    path = tmp_path / "model.jsonl"
    path.write_text("\n".join(map(json.dumps, (head, *groups))), encoding="utf-8")
    with pytest.raises(FileError, match=r"model\.jsonl") as caught:
        dict(load_coefficients(path).groups)
    assert "fit" in caught.value.hint


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("source: readme, shape_source", "source: rumour, shape_source"),
        ("- {objects: 2, on_gpu: 24, offloaded: 21, source: init_state}", ""),
        ("- {resolution: 512,", "- {resolution: 0,"),
        ("tiny:      {", "minuscule: {"),
        ("sa_v_test: 76.5", "sa_v_test: 765"),
        ('  - {version: "2.1", variant: tiny', '  - {version: "2.1", variant: large'),
    ],
)
def test_a_broken_catalogue_is_a_file_error(old: str, new: str, tmp_path: Path) -> None:
    text = (profiles_folder() / "catalog.yaml").read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "catalog.yaml").write_text(text.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(FileError, match=r"catalog\.yaml, line"):
        load_catalog(tmp_path / "catalog.yaml")
