"""Words: each vocabulary is said once, and one check takes them in every place."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import pytest

import planner
from planner.errors import FileError, PlannerError, UsageError
from planner.nouns import words
from planner.text.spelling import check_word
from planner.text.strict_yaml import Fields
from tests.conftest import invoke

VOCABULARIES = {name: known for name, known in vars(words).items() if name.isupper()}
PARTS = {"VARIANTS", "OTHER_MODELS", "SAM2_RUNTIMES", "OTHER_RUNTIMES"}
"""Some words of a type, in its order."""
TYPES = {get_args(alias) for name, alias in vars(words).items() if get_args(alias) and not name.isupper()}


@pytest.mark.parametrize("name", VOCABULARIES)
def test_a_vocabulary_is_its_type_and_the_check_takes_all_of_it(name: str) -> None:
    known = VOCABULARIES[name]
    if name in PARTS:
        assert any(list(known) == [word for word in of if word in known] for of in TYPES)
    else:
        assert known in TYPES
    assert [check_word(word, "word", known) for word in known] == list(known)


@pytest.mark.parametrize("given", ["tinny", "TINY", "", " tiny", None, 1, ("tiny",), ["tiny"]])
def test_what_is_no_word_is_refused_with_all_that_are(given: object) -> None:
    with pytest.raises(UsageError, match=re.escape(f"{given!r} is not a variant.")) as caught:
        check_word(given, "variant", words.VARIANTS)
    assert caught.value.hint.endswith("Use one of: tiny, small, base_plus, large.")


def test_a_document_and_the_library_and_the_command_line_say_the_same_of_a_word(tmp_path: Path) -> None:
    remedy = "Did you mean tiny? Use one of: tiny, small, base_plus, large."
    with pytest.raises(PlannerError) as library:
        planner.plan(vram="2GB", variant="tinny")  # type: ignore[arg-type]
    with pytest.raises(FileError, match="line 1: variant is 'tinny'") as document:
        Fields({"variant": "tinny"}, "a.yaml", "it").text("variant", words.VARIANTS)
    with pytest.raises(FileError, match="line 1: allowed holds 'tinny'") as several:
        Fields({"allowed": ["large", "tinny"]}, "a.yaml", "it").texts("allowed", words.VARIANTS)
    assert library.value.hint == document.value.hint == several.value.hint == remedy
    assert remedy in invoke("--vram", "2GB", "--variant", "tinny").err


@pytest.mark.parametrize(("typed", "meant"), [("jsno", "json"), ("JSON", "json"), ("txt", "text")])
def test_a_format_is_a_word_too(typed: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = f"'--format': {typed!r} is not a format. Did you mean {meant}? Use one of: text, json, csv, markdown."
    refused = invoke("--vram", "2GB", "--format", typed)
    assert refused.code == 2 and expected in refused.err
    monkeypatch.setenv("SAM2_PLAN_FORMAT", typed)
    assert "It comes from SAM2_PLAN_FORMAT." in invoke("--vram", "2GB").err
