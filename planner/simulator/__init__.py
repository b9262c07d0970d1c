"""GPU-free measurement: a trace of the real sam2 code, the caching allocator's model, its independent checker.

Importing this package needs no torch; `simulate` does, when it is called.
"""

from planner.simulator.simulation import Growth, Simulation, simulate

__all__ = ["Growth", "Simulation", "simulate"]
