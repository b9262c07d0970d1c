"""The memory model: predicts bytes on the GPU for a configuration and a workload."""

from planner.memory_model.coefficients import load_coefficients
from planner.memory_model.estimator import MemoryModel
from planner.memory_model.laws import Coefficients

__all__ = ["Coefficients", "MemoryModel", "load_coefficients"]
