"""What `sam2-plan gpus` prints."""

from __future__ import annotations

from planner.wire import words
from planner.wire.kinds import List
from planner.wire.parts import GPU
from planner.wire.shapes import Answer, Shape

LISTED_GPU = Shape("listed_gpu", **GPU.keys, memory_source=words.MEMORY_SOURCE)

GPUS = Answer("gpus", "What sam2-plan gpus prints", gpus=List(LISTED_GPU))
