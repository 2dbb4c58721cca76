"""Runs on a server say now and then that they are alive."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from tenfold.errors import TrackingError

logger = logging.getLogger(__name__)

#: Seconds between two beats, and after which silence means that a process is gone. The clocks of
#: the machines must agree within the difference.
BEAT_S = 30.0
SILENT_S = 600.0


class Heartbeat:
    """Calls a function for each run that was added, again and again, in a thread of its own.

    Args:
        beat: Is given a run's id; what it raises of the tracking server is logged, and tried again.
        every_s: Seconds between two rounds.
    """

    def __init__(self, beat: Callable[[str], None], *, every_s: float = BEAT_S) -> None:
        self._beat = beat
        self._every_s = every_s
        self._runs: set[str] = set()
        self._lock = threading.Lock()
        self._idle = threading.Event()

    def add(self, run_id: str) -> None:
        """Beat for a run from now on."""
        with self._lock:
            self._runs.add(run_id)
            if len(self._runs) == 1:
                self._idle = threading.Event()
                threading.Thread(target=self._go_on, args=(self._idle,), daemon=True).start()

    def remove(self, run_id: str) -> None:
        """Beat no more for a run; without runs, the thread ends."""
        with self._lock:
            self._runs.discard(run_id)
            if not self._runs:
                self._idle.set()

    def _go_on(self, idle: threading.Event) -> None:
        while not idle.wait(self._every_s):
            with self._lock:
                runs = sorted(self._runs)
            for run_id in runs:
                try:
                    self._beat(run_id)
                except TrackingError as error:
                    logger.warning("no heartbeat: %s", error)
