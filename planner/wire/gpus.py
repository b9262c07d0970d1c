"""What `sam2-plan gpus` prints."""

from __future__ import annotations

from planner.wire.kinds import List, Word
from planner.wire.parts import GPU
from planner.wire.shapes import Answer, Shape

LISTED_GPU = Shape("listed_gpu", **GPU.keys, memory_source=Word("reported", "rule", "unified"))

GPUS = Answer("gpus", "What sam2-plan gpus prints", gpus=List(LISTED_GPU))
