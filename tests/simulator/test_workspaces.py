"""What is taken beside the tensors: the table, its choice by capability and version, and the kernels' own buffers."""

from __future__ import annotations

from pathlib import Path

import pytest

from planner.errors import FileError, UsageError
from planner.simulator.kernels import efficient_accumulator_bytes, flash_split_bytes, flash_splits, log_sum_exp_bytes
from planner.simulator.workspaces import FILE, workspaces_for

MIB = 1 << 20
DEFAULT_CUBLAS = 2 * 4096 * 1024 + 8 * 16 * 1024


@pytest.mark.parametrize(
    ("capability", "version", "expected_bytes", "lifetime"),
    [
        pytest.param((8, 6), "2.8.0+cu128", DEFAULT_CUBLAS, "kept", id="Ampere"),
        pytest.param((9, 0), "2.5.1", 32 * MIB, "kept", id="Hopper"),
        pytest.param((12, 0), "2.8", DEFAULT_CUBLAS, "kept", id="Blackwell before 2.12"),
        pytest.param((12, 0), "2.12.0", 32 * MIB, "kept", id="Blackwell from 2.12"),
        pytest.param((8, 9), "2.15.0.dev20261001", DEFAULT_CUBLAS, "call", id="Ada from 2.15, per call"),
        pytest.param((9, 0), "3.0", 32 * MIB, "call", id="a major version to come"),
    ],
)
def test_the_cublas_workspace(capability: tuple[int, int], version: str, expected_bytes: int, lifetime: str) -> None:
    cublas = workspaces_for(capability, version).cublas
    assert (cublas.bytes, cublas.lifetime) == (expected_bytes, lifetime)
    assert cublas.origin.provenance == "published"


def test_the_version_decides_by_number_not_by_spelling() -> None:
    assert workspaces_for((8, 0), "2.9").cublaslt.lifetime == "kept"
    assert workspaces_for((8, 0), "2.10").cublaslt == workspaces_for((8, 0), "2.9.1").cublaslt


def test_every_figure_names_its_origin() -> None:
    for capability in ((7, 5), (8, 0), (8, 6), (8, 7), (8, 9), (9, 0), (10, 0), (12, 0)):
        for version in ("2.3", "2.8", "2.10", "2.12", "2.14", "2.15"):
            found = workspaces_for(capability, version)
            for figure in (found.cublas, found.cublaslt, found.multiprocessors):
                assert figure.origin.source.startswith("https://")
                assert figure.origin.note
                assert figure.origin.provenance in ("published", "assumed")


def test_a_figure_that_nothing_supports_says_so() -> None:
    found = workspaces_for((8, 7), "2.8")
    assert found.multiprocessors.origin.provenance == "assumed"
    assert workspaces_for((9, 0), "2.8").multiprocessors.origin.provenance == "published"


@pytest.mark.parametrize("version", ["", "two", "v2.8", "8"], ids=repr)
def test_a_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(UsageError, match="not a version of torch"):
        workspaces_for((8, 6), version)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param("schema_version: 1", "schema_version: 2", id="another schema"),
        pytest.param("bytes: 8519680", "bytes: many", id="bytes that are no number"),
        pytest.param("bytes: 8519680", "bytes: -1", id="negative bytes"),
        pytest.param("lifetime: kept", "lifetime: eternal", id="an unknown lifetime"),
        pytest.param("provenance: published", "provenance: rumoured", id="an unknown provenance"),
        pytest.param("    source:", "    origin:", id="no source"),
        pytest.param("\ncublas:", "\ncublass:", id="a section that is missing"),
        pytest.param("schema_version: 1", "schema_version: [1", id="broken YAML"),
        pytest.param("count: 82", "count: many", id="a count that is none"),
    ],
)
def test_a_broken_table_is_named(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "workspaces.yaml"
    text = FILE.read_text(encoding="utf-8")
    assert old in text
    path.write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(FileError, match=r"workspaces\.yaml"):
        workspaces_for((8, 6), "2.8", path)


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileError, match=r"none\.yaml"):
        workspaces_for((8, 6), "2.8", tmp_path / "none.yaml")


@pytest.mark.parametrize(
    ("kernel", "queries", "expected_bytes"),
    [
        ("flash", 4097, 2 * 3 * 4097 * 4),
        ("cudnn", 4097, 2 * 3 * 4097 * 4),
        ("efficient", 4097, 2 * 3 * 4128 * 4),
        ("efficient", 4096, 2 * 3 * 4096 * 4),
        ("math", 4096, 0),
    ],
)
def test_the_log_sum_exp_by_kernel(kernel: str, queries: int, expected_bytes: int) -> None:
    assert log_sum_exp_bytes(kernel, batch=2, heads=3, queries=queries) == expected_bytes


def test_flash_attention_splits_the_keys_of_one_wide_head() -> None:
    # SAM 2's memory attention at 1024: 1 head of 256, 4096 queries are 64 blocks for 2 x 108 places on an A100.
    # Keys in blocks of 64: 448. Filled in one wave: 2 splits 128/216 = 0.59, 3 splits 192/216 = 0.89, 10 splits
    # 640/648 = 0.99; 3 are the fewest above 85 % of the best.
    assert flash_splits(1, 1, 4096, 7 * 4096, 256, multiprocessors=108) == 3
    assert flash_splits(2, 1, 4096, 7 * 4096, 256, multiprocessors=108) == 3  # two objects: 128 blocks, 0.59 and 0.89
    rows = 3 * 4096
    assert flash_split_bytes(1, 1, 4096, 7 * 4096, 256, multiprocessors=108) == (rows * 4, rows * 256 * 4)


@pytest.mark.parametrize(
    ("batch", "keys"),
    [
        pytest.param(3, 28672, id="three objects fill the GPU"),
        pytest.param(1, 64, id="one block of keys cannot be split"),
        pytest.param(1, 0, id="no keys at all"),
    ],
)
def test_flash_attention_does_not_split(batch: int, keys: int) -> None:
    assert flash_split_bytes(batch, 1, 4096, keys, 256, multiprocessors=108) == (0, 0)


def test_the_partial_outputs_are_padded_to_32_columns() -> None:
    # 56 columns count as 64; blocks of 256 keys: 16 of them; one block of queries for 164 places: every split counts.
    splits = flash_splits(1, 1, 64, 4096, 56, multiprocessors=82)
    assert splits == 16
    assert flash_split_bytes(1, 1, 64, 4096, 56, multiprocessors=82) == (16 * 64 * 4, 16 * 64 * 64 * 4)


@pytest.mark.parametrize(
    ("head_dim", "element_bytes", "expected_bytes"),
    [
        pytest.param(256, 2, 4096 * 256 * 4, id="a wide head in half precision accumulates in float32"),
        pytest.param(256, 4, 0, id="float32 accumulates in the output"),
        pytest.param(128, 2, 0, id="128 columns stay in registers"),
    ],
)
def test_the_accumulator_of_efficient_attention(head_dim: int, element_bytes: int, expected_bytes: int) -> None:
    assert efficient_accumulator_bytes(1, 1, 4096, head_dim, element_bytes) == expected_bytes
