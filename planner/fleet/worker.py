"""One worker: the plan's weights once, then clip after clip, each into its own folder.

Runs in an actor of Ray and knows nothing of Ray: it is given clips and answers with what became of them.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from planner.errors import EnvironmentFailure, Interrupted, PlannerError, UsageError
from planner.fleet.mirror import Mirror
from planner.fleet.order import Answer, Clip, Order
from planner.fleet.places import Place, is_address
from planner.nouns.plan import Plan
from planner.runs.folder import FolderHeld
from planner.runs.inputs import Input
from planner.runs.job import Progress, RunSummary, Weights
from planner.runs.run import load_for, run
from planner.runs.summary import failed, outcome_of
from planner.runtime.readiness import require_ready
from planner.text.files import failing_as, lock, write_whole

if TYPE_CHECKING:
    from planner.runtime.session import Session

HELD_SECONDS = 60.0
"""How long a folder may be held by a worker that was given up and has not noticed yet."""
PROBE_BYTES = 2**20
BENCH = "sam2-plan-fleet-"
"""Folders of workers for what comes from addresses, or goes there."""


class Worker:
    """Does what it is ordered on this node."""

    def __init__(self, order: Order, tell: Callable[[str, Progress], None] | None = None) -> None:
        self._order, self._tell = order, tell
        self._session: Session | None = None
        self._own: tuple[Path, int] | None = None
        self._options = dict(order.options)

    @property
    def _folder(self) -> Path:
        """For what comes from addresses, or goes there; made when it is first wanted."""
        if self._own is None:
            self._own = _own_folder()
        return self._own[0]

    def close(self) -> None:
        """Leave nothing on this node but what was written."""
        if self._own is not None:
            shutil.rmtree(self._own[0], ignore_errors=True)
            os.close(self._own[1])
            self._own = None

    def check(self) -> None:
        """Raise PlannerError where nothing can be run on this node, with the reason."""
        require_ready(self._order.needs_gpu)
        self._fetch_weights()
        if is_address(self._order.out):
            self._check_place(Place(self._order.out))
        else:
            self._check_folder(Path(self._order.out))

    def _fetch_weights(self) -> None:
        """Bring a checkpoint that is elsewhere, once."""
        checkpoint = self._options.get("checkpoint")
        if checkpoint is not None and is_address(str(checkpoint)):
            self._options["checkpoint"] = Place(str(checkpoint)).fetched(self._folder / "weights")

    def _check_folder(self, out: Path) -> None:
        """That it is the folder of the command, and takes files."""
        if not (out / self._order.summary).exists():
            raise EnvironmentFailure(
                f"{out} is not the folder of that path where the command runs.",
                "Give a folder that all nodes share, or an address (--out s3://bucket/masks).",
            )
        probe = out / f".{BENCH}{os.uname().nodename}-{os.getpid()}"
        try:
            write_whole(probe, lambda file: file.write(bytes(PROBE_BYTES)))
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)

    def _check_place(self, out: Place) -> None:
        if not (out / self._order.summary).exists():
            raise EnvironmentFailure(
                f"{out.address} is not what it is where the command runs.",
                "Give an address that means the same everywhere, and the same rights to all nodes.",
            )

    def run(self, clip: Clip, again: bool = False) -> Answer:
        """Do a clip, or what is left of it; what goes wrong is part of the answer. again: it was tried before."""
        entry = Input(source=clip.source, name=clip.name, out=Path(self._order.out) / clip.name)
        try:
            _require_there(clip)
            with self._bench(clip) as bench:
                return Answer(outcome=outcome_of(entry, self._done(clip, again, bench)))
        except PlannerError as error:
            unseen = error.path if isinstance(error, _Unseen) else ""
            return Answer(outcome=failed(entry, error, _status(error)), fault=self._fault(error), unseen=unseen)
        except Exception as error:  # a bug: the clip fails, the fleet goes on
            known = PlannerError(f"{type(error).__name__}: {error}", "This is a bug; please report it.")
            return Answer(outcome=failed(entry, known))

    @contextmanager
    def _bench(self, clip: Clip) -> Iterator[Path]:
        """A folder for what a clip brings from an address or sends to one; where it does neither, one that is there."""
        if not is_address(clip.source) and not is_address(self._order.out):
            yield Path(self._order.out)
            return
        with tempfile.TemporaryDirectory(dir=self._folder, ignore_cleanup_errors=True) as folder:
            yield Path(folder)

    def _fault(self, error: PlannerError) -> str:
        """What is wrong with the node, where that is why a clip failed."""
        if isinstance(error, _Unseen):
            return str(error)
        if not isinstance(error, EnvironmentFailure):
            return ""
        try:
            self.check()
        except PlannerError as fault:
            return str(fault)
        return ""

    def _done(self, clip: Clip, again: bool, bench: Path) -> RunSummary:
        """Run it, from and to wherever it is; messages name addresses, not what lies here for the moment."""
        source, out = Path(clip.source), Path(self._order.out) / clip.name
        mirror: Mirror | None = None
        if is_address(self._order.out):
            out = bench / "out" / Path(clip.name).name
            mirror = Mirror(out, Place(self._order.out) / clip.name)
        names = {str(out): f"{self._order.out}/{clip.name}"}
        try:
            if is_address(clip.source):
                source = Place(clip.source).fetched(bench / "in")
                names[str(source)] = clip.source
            with failing_as(out):
                (out if mirror else out.parent).mkdir(parents=True, exist_ok=True)
            if mirror is None:
                return self._patiently(clip, source, out, again, None)
            mirror.bring()
            summary = self._patiently(clip, source, out, again, mirror)
            mirror.send()
            return summary
        except PlannerError as error:
            if mirror is not None:
                with suppress(PlannerError):
                    mirror.send()
            for here, there in names.items():
                error.message, error.hint = error.message.replace(here, there), error.hint.replace(here, there)
            raise

    def _patiently(self, clip: Clip, source: Path, out: Path, again: bool, mirror: Mirror | None) -> RunSummary:
        """Run it once nobody else does: a worker that was given up may take a moment to end."""
        until = time.monotonic() + HELD_SECONDS
        while True:
            try:
                return self._run(clip, source, out, again, mirror)
            except FolderHeld:
                if time.monotonic() > until:
                    raise
                time.sleep(0.2)

    def _run(self, clip: Clip, source: Path, out: Path, again: bool, mirror: Mirror | None) -> RunSummary:
        begun = False

        def committed() -> None:
            nonlocal begun
            if mirror is not None:
                (mirror.commit if begun else mirror.begin)()
            begun = True

        options = self._options.copy()
        overwrite = options.pop("overwrite", False)
        tell = None if self._tell is None else lambda progress: self._tell(clip.name, progress)  # type: ignore[misc]

        def call(overwrite: bool) -> RunSummary:
            return run(
                self._order.plan,
                source,
                out,
                load=self._loaded,
                committed=committed,
                progress=tell,
                prompts=clip.prompts,
                overwrite=overwrite,
                **options,
            )

        if not (overwrite and again):
            return call(overwrite)
        try:
            # What a lost worker had done of it is this command's own.
            return call(False)
        except UsageError:
            return call(True)

    def _loaded(self, plan: Plan) -> Session:
        """The session, loaded once; again only where fallback has changed what it is."""
        assert plan.chosen is not None
        if self._session is None or self._session.configuration != plan.chosen.configuration:
            if self._session is not None:
                self._session.close()
            self._session, options = None, self._options
            self._session = load_for(
                plan,
                Weights(
                    checkpoint=options.get("checkpoint"),
                    seed=options.get("seed", 0),
                    device=options.get("device", "auto"),
                    fallback=options.get("fallback", False),
                ),
            )
        return self._session


class _Unseen(EnvironmentFailure):
    """A file that is not there for the worker, and may be for the command."""

    path = ""


def _require_there(clip: Clip) -> None:
    """Raise _Unseen for an input, or its prompts, at a path where nothing is."""
    paths = [clip.source, *([str(clip.prompts)] if isinstance(clip.prompts, Path) else [])]
    for path in paths:
        if not is_address(path) and not os.path.exists(path):
            error = _Unseen(f"{path} is not there.", "Give files that all nodes share, or inputs at addresses.")
            error.path = path
            raise error


def _own_folder() -> tuple[Path, int]:
    """A folder of this process among the temporary ones, and what holds its lock; those of killed workers go."""
    for left in Path(tempfile.gettempdir()).glob(f"{BENCH}*"):
        with suppress(OSError), _opened(left) as descriptor:
            # Whoever lives holds its own, once it has had a moment; where there are no locks nobody can say.
            if time.time() - left.stat().st_mtime > HELD_SECONDS and lock(descriptor):
                shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=BENCH))
    descriptor = os.open(folder, os.O_RDONLY)
    lock(descriptor)
    return folder, descriptor


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _status(error: PlannerError) -> Any:
    return "interrupted" if isinstance(error, Interrupted) else "failed"
