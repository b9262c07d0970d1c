"""`python -m planner` is `sam2-plan`."""

from planner.cli.main import run

run()
