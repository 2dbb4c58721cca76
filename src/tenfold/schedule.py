"""Which fit unit may start next: in order, within the places, the GPUs and the memory there are."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Generic, TypeVar

from tenfold.errors import TrialStoppedError
from tenfold.records import FitUnit

Place = TypeVar("Place")


class Schedule(Generic[Place]):
    """Hands out units to several threads, each as soon as it may run.

    A unit may run when a place for it is free and the memory that it and the running ones are
    expected to take stays within the budget; one unit may always run. The first of the waiting
    units that may run goes first, so a small one passes a large one that waits for memory.

    Args:
        units: In the order in which they should start.
        places: For units on the processor; the place given back last is taken first.
        gpu_places: For units on a GPU; where there are none, those units take the other places.
        budget_bytes: Memory for all running units together.
    """

    def __init__(
        self,
        units: Sequence[FitUnit],
        places: Sequence[Place],
        *,
        gpu_places: Sequence[Place] = (),
        budget_bytes: float,
    ) -> None:
        self._waiting = list(units)
        self._free = {"cpu": list(places), "gpu": list(gpu_places)}
        self._has_gpus = bool(gpu_places)
        self._budget_bytes = budget_bytes
        self._running: list[FitUnit] = []
        self._changed = threading.Condition()

    def take(self) -> tuple[FitUnit, Place]:
        """Wait until a unit may run; return it and its place.

        Raises:
            TrialStoppedError: No unit waits any more: each was handed out, or `stop` was called.
        """
        with self._changed:
            while self._waiting:
                found = self.poll()
                if found is not None:
                    return found
                self._changed.wait()
        raise TrialStoppedError("the run was stopped before this trial started")

    def poll(self) -> tuple[FitUnit, Place] | None:
        """Return a unit that may run now, and its place; None where each has to wait."""
        with self._changed:
            for index, unit in enumerate(self._waiting):
                if self._may_run(unit):
                    del self._waiting[index]
                    self._running.append(unit)
                    return unit, self._places(unit).pop()
        return None

    def give_back(self, unit: FitUnit, place: Place) -> None:
        """Say that a unit runs no more."""
        with self._changed:
            self._running.remove(unit)
            self._places(unit).append(place)
            self._changed.notify_all()

    def stop(self) -> None:
        """Hand out nothing more."""
        with self._changed:
            self._waiting.clear()
            self._changed.notify_all()

    def _places(self, unit: FitUnit) -> list[Place]:
        return self._free["gpu" if self._has_gpus and unit.numerics.device != "cpu" else "cpu"]

    def _may_run(self, unit: FitUnit) -> bool:
        taken = sum(running.cost.bytes for running in self._running)
        fits = not self._running or taken + unit.cost.bytes <= self._budget_bytes
        return fits and bool(self._places(unit))
