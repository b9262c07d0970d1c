"""Files of masks: indexed PNG, COCO RLE, NPZ and overlays, written whole or not at all."""
