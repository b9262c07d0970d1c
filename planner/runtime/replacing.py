"""Attributes of a module or a class, replaced for a while: where other packages leave no other way in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_INHERITED = object()


@contextmanager
def replaced(owner: Any, **attributes: Any) -> Iterator[None]:
    """Within the block `owner` has these attributes instead of its own, and afterwards its own again."""
    before = {name: vars(owner).get(name, _INHERITED) for name in attributes}
    for name in attributes:
        getattr(owner, name)  # a name that is not there is a mistake, not an addition
    try:
        for name, value in attributes.items():
            setattr(owner, name, value)
        yield
    finally:
        for name, value in before.items():
            if value is _INHERITED:
                delattr(owner, name)
            else:
                setattr(owner, name, value)
