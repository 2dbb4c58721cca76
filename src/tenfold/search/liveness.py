"""Which of the processes that share a study live, so that the trials of the others go on."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tenfold.errors import StorageError
from tenfold.search.study import Study
from tenfold.workspace import Workspace

logger = logging.getLogger(__name__)

_BEAT_S = 10.0
#: Looks without a beat after which a process counts as gone; a server that is away gives none.
_MOST_SILENT_LOOKS = 6


def owner_name(workspace: Workspace, lock: str) -> str:
    """Return the name by which others tell whether a process lives: it holds this lock."""
    return f"{workspace.identity}|{lock}"


class Watch:
    """Watches the other processes of a study.

    One of this workspace lives while it holds its lock. One of another, perhaps on another machine,
    writes a count into the study every ten seconds; it is gone when the count stood still for a
    minute. No clocks are compared.

    Args:
        study: The study.
        workspace: This process's.
        beat_s: Seconds between two beats, and between two looks.
    """

    def __init__(self, study: Study, workspace: Workspace, *, beat_s: float = _BEAT_S) -> None:
        self._study, self._workspace, self._beat_s = study, workspace, beat_s
        self._seen: dict[str, tuple[int, int]] = {}
        self._beats = 0
        self._ended = threading.Event()

    def is_alive(self, owner: str) -> bool:
        """Say whether a process lives, as far as is known by now."""
        place, _, lock = owner.rpartition("|")
        if place == self._workspace.identity:
            return self._workspace.is_held(lock)
        _, silent = self._seen.setdefault(owner, (-1, 0))
        return silent < _MOST_SILENT_LOOKS

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Beat and look for as long as the block lasts."""
        thread = threading.Thread(target=self._watch, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._ended.set()
            thread.join()

    def look(self) -> None:
        """Beat once, and see who else has."""
        self._beats += 1
        self._study.beat(self._beats)
        for owner, (before, silent) in list(self._seen.items()):
            now = self._study.beats_of(owner)
            self._seen[owner] = (now, silent + 1 if now == before else 0)

    def _watch(self) -> None:
        while True:
            try:
                self.look()
            except StorageError as error:
                logger.info("no beat: %s", error)
            if self._ended.wait(self._beat_s):
                return
