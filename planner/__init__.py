"""sam2-plan: which SAM 2 configuration is the best one that fits this GPU, and how sure are we?"""
