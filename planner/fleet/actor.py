"""What Ray starts on a node. Travels there by value, so that a node without this package can say so."""

from __future__ import annotations

from typing import Any


def actor_class() -> type:
    """The class of an actor. Within a function, because Ray sends what has no address of its own as code."""

    class ClipWorker:
        """A planner.fleet.worker.Worker, once the node has been found to have this very package."""

        def __init__(self, version: str) -> None:
            self.version = version
            self.worker: Any = None

        def check(self, order: bytes, board: Any) -> dict[str, str]:
            """The fields of a planner.fleet.order.Report. order: planner.fleet.order.Order; board: told of progress."""
            import platform

            import ray

            found = {"node": ray.get_runtime_context().get_node_id(), "host": platform.node(), "fault": "", "hint": ""}
            try:
                from planner.version import __version__
            except ImportError as error:
                wanted = f'Run pip install "sam2-plan[run,ray]=={self.version}" there.'
                return {**found, "fault": f"sam2-plan is not installed there: {error}.", "hint": wanted}
            if __version__ != self.version:
                wanted = "Install the same version on every node."
                return {
                    **found,
                    "fault": f"sam2-plan there is {__version__}, and {self.version} where the command runs.",
                    "hint": wanted,
                }
            from planner.errors import PlannerError

            try:
                if self.worker is None:
                    import pickle

                    from planner.fleet.worker import Worker

                    self.worker = Worker(pickle.loads(order), self.teller(board))
                self.worker.check()
            except PlannerError as error:
                return {**found, "fault": error.message, "hint": error.hint}
            except Exception as error:  # whatever a library raises there
                return {**found, "fault": f"{type(error).__name__}: {error}", "hint": "See Ray's logs of that node."}
            return found

        def run(self, clip: bytes, again: bool) -> bytes:
            """Do a clip: planner.fleet.order.Clip to Answer."""
            import pickle

            return pickle.dumps(self.worker.run(pickle.loads(clip), again))

        def close(self) -> None:
            """End in order. One that is killed leaves a folder, which the next worker of the node takes away."""
            if self.worker is not None:
                self.worker.close()

        def teller(self, board: Any) -> Any:
            """What tells the board how far a clip is, every now and then."""
            import time

            if board is None:
                return None
            told = [time.monotonic()]

            def tell(name: str, progress: Any) -> None:
                if time.monotonic() - told[0] >= 2.0:
                    told[0] = time.monotonic()
                    board.tell.remote(name, progress.done, progress.total)

            return tell

    return ClipWorker


def board_class() -> type:
    """The class of the actor that knows how far the clips are that workers have."""

    class Board:
        """Frames done and frames in all, by the name of the clip."""

        def __init__(self) -> None:
            self.places: dict[str, tuple[int, Any]] = {}

        def tell(self, name: str, done: int, total: Any) -> None:
            """So many are done."""
            self.places[name] = done, total

        def read(self) -> dict[str, tuple[int, Any]]:
            """All of it, once."""
            places, self.places = self.places, {}
            return places

    return Board
