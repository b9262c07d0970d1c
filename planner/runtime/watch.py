"""What the runtime tells while it runs, and who is told: nobody, unless a Network is made with a Watch of its own."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from functools import wraps
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from planner.nouns.run import ComponentName, PhaseName

_NOTHING: AbstractContextManager[None] = nullcontext()


class Watch:
    """Told of a run as it goes on. Each method does nothing; whoever wants to know overrides what it needs."""

    def phase(self, name: PhaseName, component: ComponentName | None = None) -> AbstractContextManager[None]:
        """What happens within belongs to this phase; what is allocated, to `component` unless it is told otherwise."""
        return _NOTHING

    def apart(self) -> AbstractContextManager[None]:
        """What is allocated within lies on a stream of its own."""
        return _NOTHING

    def step(self, name: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Do a step whose bytes depend on nothing but the form of its arguments; a trace may repeat it instead."""
        return function(*args, **kwargs)


SILENT = Watch()


class Watched(Protocol):
    """What knows who is told."""

    watch: Watch


_Of = TypeVar("_Of", bound=Watched)
_Rest = ParamSpec("_Rest")
_Result = TypeVar("_Result")
_Function = Callable[Concatenate[_Of, _Rest], _Result]


def phase(
    name: PhaseName, component: ComponentName | None = None
) -> Callable[[_Function[_Of, _Rest, _Result]], _Function[_Of, _Rest, _Result]]:
    """Calls of a function, whose first argument is a Network, are a phase."""

    def decorate(function: _Function[_Of, _Rest, _Result]) -> _Function[_Of, _Rest, _Result]:
        @wraps(function)
        def call(network: _Of, /, *args: _Rest.args, **kwargs: _Rest.kwargs) -> _Result:
            with network.watch.phase(name, component):
                return function(network, *args, **kwargs)

        return call

    return decorate


def step(function: _Function[_Of, _Rest, _Result]) -> _Function[_Of, _Rest, _Result]:
    """Calls of a function, whose first argument is a Network, are a step: see Watch.step."""

    @wraps(function)
    def call(network: _Of, /, *args: _Rest.args, **kwargs: _Rest.kwargs) -> _Result:
        result: _Result = network.watch.step(function.__name__, function, network, *args, **kwargs)
        return result

    return call
