"""What transformers is asked for, and what is said where it cannot do that."""

from __future__ import annotations

import sys
from dataclasses import replace
from importlib.util import find_spec
from types import SimpleNamespace
from typing import Any

import pytest

import planner
from planner.catalog import load_catalog
from planner.errors import EnvironmentFailure
from planner.nouns.run import Configuration, Run, Workload
from planner.nouns.words import VARIANTS, VERSIONS, Variant, Version
from planner.simulator import settings

torch = pytest.importorskip("torch")
VIDEO = Run(
    runtime="transformers",
    configuration=Configuration(
        variant="tiny", version="2.1", resolution=(1024, 1024), precision="float32", bounded_memory_bank=False
    ),
    workload=Workload(task="video", frames=20),
)
installed = pytest.mark.skipif(find_spec("transformers") is None, reason="needs transformers")


def driver() -> Any:
    from planner.driving import transformers

    return transformers


def of(variant: Variant, version: Version, task: str = "video") -> Run:
    configuration = replace(VIDEO.configuration, variant=variant, version=version)
    return replace(VIDEO, configuration=configuration, workload=replace(VIDEO.workload, task=task))


def test_a_missing_package_names_its_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(EnvironmentFailure) as caught:
        driver().prepare(VIDEO)
    assert "sam2-plan[transformers]" in caught.value.hint
    monkeypatch.setattr(settings, "installed_version", lambda package: None if package == "transformers" else "2.14.1")
    with pytest.raises(EnvironmentFailure) as caught:
        planner.simulate(runtime="transformers", frames=4)
    assert "sam2-plan[transformers]" in caught.value.hint


def test_a_release_without_sam_2_says_which_has_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "transformers", SimpleNamespace(__version__="4.55.4"))
    with pytest.raises(EnvironmentFailure, match=r"transformers 4\.55\.4 has no Sam2Video") as caught:
        driver().prepare(VIDEO)
    assert "4.56" in caught.value.hint


@installed
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_a_model_has_the_parameters_of_the_published_one(variant: Variant, version: Version) -> None:
    from transformers import Sam2VideoModel

    with torch.device("meta"):
        model = Sam2VideoModel(driver().configuration_of(of(variant, version)))
    # transformers has the matrix of positions twice, 1 kB; the publication rounds to 100,000.
    assert sum(one.numel() for one in model.parameters()) == pytest.approx(
        load_catalog().shapes[variant].parameters, abs=150_000
    )
    assert (model.occlusion_spatial_embedding_parameter is None) is (version == "2.0")


@installed
def test_a_picture_has_a_model_without_what_tracks() -> None:
    from transformers import Sam2Model

    with torch.device("meta"):
        model = Sam2Model(driver().configuration_of(of("tiny", "2.1", "image")))
    assert not [name for name, _ in model.named_parameters() if name.startswith(("memory_", "object_pointer"))]


@installed
@pytest.mark.parametrize(
    ("precision", "weights", "autocast"),
    [
        ("float32", torch.float32, None),
        ("bfloat16", torch.bfloat16, None),
        ("float16", torch.float16, None),
        ("autocast_float16", torch.float32, torch.float16),
    ],
)
def test_a_precision_is_that_of_the_weights_or_of_autocast(precision: Any, weights: Any, autocast: Any) -> None:
    run = replace(VIDEO, configuration=replace(VIDEO.configuration, precision=precision))
    assert driver().weights_type(run) is weights
    assert driver().autocast_type(run) is autocast
