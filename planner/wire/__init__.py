"""Plain data in and out: each answer and each saved file is declared once.

A module holds the declaration of an answer, made of the kinds in planner.wire.kinds: which keys it has, in which order,
what each holds. How it is written, how it is read back with file and line in every complaint, and the JSON Schema that
ships for it all follow from that (scripts/make_docs.py makes the schemas). Knows nothing of how an answer comes about
and of how people read it.
"""
