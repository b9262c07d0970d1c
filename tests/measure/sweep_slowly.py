"""A sweep to be killed: python -m tests.measure.sweep_slowly FOLDER SECONDS."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from planner.measure.sweep import sweep
from planner.measure.trial import Outcome, Trial
from tests.measure.fakes import answer, some_trials

if __name__ == "__main__":
    pause = float(sys.argv[2])

    def run(trial: Trial) -> Outcome:
        time.sleep(pause)
        return answer(trial)

    sweep(some_trials(), Path(sys.argv[1]), run, "measured")
