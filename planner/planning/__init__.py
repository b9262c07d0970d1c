"""Planning: candidates to estimates to rejected or ranked to a Plan. Pure: no file, clock, device or print."""

from planner.planning.decide import make_plan

__all__ = ["make_plan"]
