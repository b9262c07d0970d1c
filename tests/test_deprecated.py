"""Names that stood elsewhere before still work, and say where they are."""

from __future__ import annotations

import importlib

import pytest

import planner


@pytest.mark.parametrize("name", ["Configuration", "Workload", "Budget", "Estimate", "Plan", "VARIANTS"])
def test_values_of_planner_domain_say_where_they_stand(name: str) -> None:
    domain = importlib.import_module("planner.domain")
    with pytest.warns(DeprecationWarning, match=rf"planner\.nouns\.\w+\.{name}$"):
        found = getattr(domain, name)
    if name == "Configuration":
        assert found is planner.Configuration


def test_a_name_that_never_stood_there_is_none() -> None:
    with pytest.raises(AttributeError, match="nonsense"):
        importlib.import_module("planner.domain").nonsense  # noqa: B018
