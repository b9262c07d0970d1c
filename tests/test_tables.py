"""Answers as tables: CSV whose header stays, Markdown that no name breaks, both of the same figures as the JSON."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

import planner
from planner.nouns.answers import Comparison, Difference
from planner.tables.table import Column, Table
from tests.conftest import document_of, invoke, refusal

PLAN_HEADER = (
    "standing,verdict,variant,version,resolution,precision,attention,object_batch,offload_state,quality,"
    "quality_is_estimate,quality_metric,frames_per_second,allocated_bytes,reserved_bytes,context_bytes,least_bytes,"
    "total_bytes,upper_bytes,host_bytes,limit_bytes,short_by_bytes,component,reason"
)
HEADERS = {
    "--vram 2GB": PLAN_HEADER,
    "--vram 2GB --explain": PLAN_HEADER,
    "--vram 1MB": PLAN_HEADER,
    "--vram 2GB,4GB --streams 3": (
        "gpu,budget_bytes,usable_bytes,streams,process_bytes,upper_bytes,used_bytes,left_bytes,cap_bytes,more_streams,"
        "frames_per_second"
    ),
    "limits --vram 2GB": (
        "runtime,variant,version,resolution,precision,attention,object_batch,offload_state,least_bytes,total_bytes,"
        "upper_bytes,limit_bytes,short_by_bytes,max_objects,sure_objects,gpu_objects,unlimited_frames,max_frames,"
        "max_square,sure_square,max_shaped,sure_shaped,host_bytes,extrapolated,reason"
    ),
    "need --top 0": (
        "purpose,variant,version,resolution,precision,attention,object_batch,offload_state,least_bytes,total_bytes,"
        "budget_bytes,card,upper_bytes,sure_budget_bytes,sure_card,preferred_budget_bytes,reason"
    ),
    "gpus rtx 3060": "name,total_bytes,memory_source,capability,reason",
}


def rows_of(words: str) -> list[dict[str, str]]:
    """The rows of what a command prints as CSV."""
    return list(csv.DictReader(StringIO(invoke(*words.split(), "--format", "csv").out)))


@pytest.mark.parametrize("words", HEADERS)
def test_the_header_stays(words: str) -> None:
    found = invoke(*words.split(), "--format", "csv")
    assert found.out.splitlines()[0] == HEADERS[words]
    assert found.code == (3 if "1MB" in words else 0)
    assert len(rows_of(words)) >= 2
    for row in rows_of(words):
        for name, cell in row.items():
            assert not name.endswith("_bytes") or cell == "" or cell.isdecimal(), (name, cell)


def test_a_plan_has_a_row_for_all_that_it_keeps() -> None:
    document, rows = document_of(["--vram", "0.5GB"]), rows_of("--vram 0.5GB")
    kept = [document["chosen"], *document["alternatives"]]
    estimates = [document["estimate"], *(one["estimate"] for one in document["alternatives"])]
    assert [row["standing"] for row in rows] == (
        ["chosen"] + ["alternative"] * len(document["alternatives"]) + ["rejected"] * len(document["rejected"])
    )
    for row, estimate in zip(rows, estimates, strict=False):
        for name in ("allocated_bytes", "reserved_bytes", "context_bytes", "least_bytes", "total_bytes", "upper_bytes"):
            assert int(row[name]) == estimate[name]
        assert row["verdict"] == ("tight" if estimate["upper_bytes"] > document["budget"]["usable_bytes"] else "fits")
    for row, rejected in zip(rows[len(kept) :], document["rejected"], strict=True):
        assert row["short_by_bytes"] == str(rejected["short_by_bytes"])
        assert row["reason"] == rejected["reason"]
    assert {row["verdict"] for row in rows} >= {document["verdict"], "does_not_fit"}


def test_an_explained_plan_has_every_class_by_rank() -> None:
    document, rows = document_of(["--vram", "1GB", "--explain"]), rows_of("--vram 1GB --explain")
    assert [row["standing"] for row in rows] == [one["outcome"] for one in document["explained"]]
    assert [row["total_bytes"] for row in rows] == [
        "" if one["total_bytes"] is None else str(one["total_bytes"]) for one in document["explained"]
    ]


def test_limits_say_how_long_a_clip_stock_takes() -> None:
    document, rows = document_of(["limits", "--vram", "4GB"]), rows_of("limits --vram 4GB")
    stock = [row for row in rows if row["runtime"] == "stock"]
    assert [int(row["max_frames"]) for row in stock] == [one["max_frames"] for one in document["stock"]]


def test_two_plans_side_by_side(tmp_path: Path) -> None:
    for name, size in (("a.yaml", "1GB"), ("b.yaml", "2GB")):
        planner.plan(vram=size).save(tmp_path / name)
    found = csv.DictReader(
        StringIO(invoke("compare", str(tmp_path / "a.yaml"), str(tmp_path / "b.yaml"), "--format", "csv").out)
    )
    total = next(row for row in found if row["name"] == "total")
    assert int(total["difference"]) == int(total["second"]) - int(total["first"])
    assert total["unit"] == "bytes"


def test_markdown_is_a_table_that_a_renderer_reads() -> None:
    text = invoke("--vram", "1GB", "--format", "markdown").out
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    cells = [token.content for token in tokens if token.type == "inline"]
    assert tokens[0].type == "table_open"
    assert "chosen" in cells
    assert any(cell.endswith(" MB") for cell in cells)
    assert "allocated" not in cells


HOSTILE = '=HYPERLINK("x")|<script>alert(1)</script>\n# `$x$`'


def test_hostile_names_stay_text() -> None:
    table = Table("t", (Column("name"), Column("size_bytes", "bytes")), ((HOSTILE, -5), ("@x", None)))
    read = list(csv.reader(StringIO(table.csv())))
    assert read == [["name", "size_bytes"], ["'" + HOSTILE, "-5"], ["'@x", ""]]
    html = MarkdownIt("commonmark").enable("table").render(table.markdown())
    assert html.count("<td") == 4
    assert "<script" not in html
    assert "<h1" not in html
    assert "<script" not in table._repr_html_()


def test_values_that_differ_keep_their_kind() -> None:
    plan = planner.plan(vram="2GB")
    one = planner.compare(plan, plan)
    differing = replace(one, differences=(Difference("chosen", "resolution", (1024, 1024), None),))
    assert isinstance(differing, Comparison)
    rows = planner.table(differing).records()
    assert rows[0]["first"] == (1024, 1024)
    assert "chosen,resolution,,1024x1024,," in planner.table(differing).csv()


def test_a_command_without_a_table_says_what_it_offers() -> None:
    found = invoke("predict", "--variant", "tiny", "--format", "csv")
    assert found.code == 2
    assert "text, json" in found.err
    assert refusal(planner.PlannerError, planner.table, planner.predict(variant="tiny")) is not None


def test_every_column_is_on_the_page() -> None:
    page = (Path(__file__).parent.parent / "docs" / "looking.md").read_text(encoding="utf-8")
    names = {name for header in HEADERS.values() for name in header.split(",")}
    assert {name for name in names if f"`{name}`" not in page} == set()
