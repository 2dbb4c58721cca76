"""The memory of a process and of those that it starts."""

from __future__ import annotations

import threading
from contextlib import suppress

_LOOK_EVERY_S = 0.05


class Watch:
    """Looks at a process and at those below it, over and over, until it is stopped.

    Args:
        pid: The process.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._ended = threading.Event()
        self._peaks: dict[int, int] = {}
        self._sum = 0
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def stop(self) -> dict[str, int | list[int]]:
        """Look no more; return what was found.

        Returns:
            ``peaks_bytes``, the most that each process held, largest first; ``sum_bytes``, the
            most that they held together: the own memory of each and, of files such as a library's
            code, which they share, what the one that maps most holds (all of each off Linux).
        """
        self._ended.set()
        self._thread.join()
        return {"peaks_bytes": sorted(self._peaks.values(), reverse=True), "sum_bytes": self._sum}

    def _look(self) -> None:
        import psutil  # which a machine that only trains may lack

        while not self._ended.wait(_LOOK_EVERY_S):
            try:
                above = psutil.Process(self._pid)
                family = [above, *above.children(recursive=True)]
            except psutil.NoSuchProcess:
                continue
            own, shared = [0], [0]
            for process in family:
                with suppress(psutil.Error):  # it has just ended
                    memory = process.memory_info()
                    self._peaks[process.pid] = max(memory.rss, self._peaks.get(process.pid, 0))
                    shared.append(getattr(memory, "shared", 0))
                    own.append(memory.rss - shared[-1])
            self._sum = max(self._sum, sum(own) + max(shared))
