"""The memory model: predicts bytes on the GPU for a configuration and a workload."""

from planner.memory_model.coefficients import Coefficients, load_coefficients
from planner.memory_model.estimator import MemoryModel

__all__ = ["Coefficients", "MemoryModel", "load_coefficients"]
