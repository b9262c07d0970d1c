"""Errors that the library raises on purpose, each with the exit code of the contract.

Knows nothing of what is planned: an error carries a message that names the offending value and a
hint that says what to do instead.
"""

from __future__ import annotations

from typing import Any

EXIT_FITS, EXIT_FAILED, EXIT_USAGE, EXIT_DOES_NOT_FIT, EXIT_WARNING, EXIT_NOT_CONFIRMED = range(6)
"""Exit codes of the contract."""


class PlannerError(Exception):
    """Base of every error that is raised on purpose.

    `message` says what is wrong and names the value; `hint` says what to do, and may be empty.
    """

    code = "failure"
    exit_code = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".rstrip()

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors come out of other processes, such as Ray's workers: whole, whatever their constructor asks for.
        return _remade, (type(self), self.args, self.__dict__)


def _remade(kind: type[PlannerError], arguments: tuple[Any, ...], state: dict[str, Any]) -> PlannerError:
    error = kind.__new__(kind, *arguments)
    error.__dict__.update(state)
    return error


class UsageError(PlannerError, ValueError):
    """A bad option or value (exit code 2)."""

    code = "usage"
    exit_code = 2


class FileError(PlannerError):
    """A file that cannot be used as it is: broken, hostile, or of another kind (exit code 2)."""

    code = "file"
    exit_code = 2


class EnvironmentFailure(PlannerError):
    """The machine failed, not the request: such as a file that cannot be written (exit code 1)."""

    code = "environment"
    exit_code = 1


class OutOfMemory(PlannerError):
    """The GPU, or the share of it that this process may take, is too small for what was loaded (exit code 5)."""

    code = "out_of_memory"
    exit_code = 5


class Interrupted(PlannerError):
    """Long work that the user stopped (exit code 1). The hint says what is kept, and how to resume."""

    code = "interrupted"


class DeviceWarning(UserWarning):
    """No device was named, and there is no GPU: SAM 2 runs on the CPU."""
