"""What tests of runs share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a fake run that nothing disturbed."""
    from planner.runs.run import perform
    from tests.runtime.fakes import files_of, job

    out = tmp_path_factory.mktemp("whole") / "out"
    perform(job(out))
    return files_of(out)


@pytest.fixture(scope="module")
def pictures_encoded_once() -> Iterator[None]:
    """For tests of what follows the encoder (see tests/runtime/encoding.py)."""
    from tests.runtime.encoding import ours_encoded_once

    with ours_encoded_once():
        yield


@pytest.fixture
def every_picture_encoded(pictures_encoded_once: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """But for tests of what the encoder leaves behind."""
    from planner.runtime import encoder, segmentation, tracker

    for module in (segmentation, tracker):
        monkeypatch.setattr(module, "encode", encoder.encode)
