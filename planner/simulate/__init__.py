"""GPU-free measurement: the caching allocator's model, its independent checker, replay of real logs, workspaces.

The parts here need no torch. What traces the real sam2 code does, and stands in modules of its own.
"""
