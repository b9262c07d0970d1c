"""What tests of runs share."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The files of a fake run that nothing disturbed."""
    from planner.runtime.run import perform
    from tests.runtime.fakes import files_of, job

    out = tmp_path_factory.mktemp("whole") / "out"
    perform(job(out))
    return files_of(out)
