"""Heartbeats: every run of this process, again and again, until it ends."""

import queue

from tenfold.errors import TrackingError
from tenfold.tracking.heartbeat import Heartbeat


def test_every_run_beats_until_it_is_removed():
    beats = queue.SimpleQueue()
    heartbeat = Heartbeat(beats.put, every_s=0.001)
    heartbeat.add("one")
    heartbeat.add("other")
    assert {beats.get(timeout=10) for _ in range(20)} == {"one", "other"}
    heartbeat.remove("one")
    heartbeat.remove("other")
    heartbeat.add("third")  # a thread of its own; the one before is over or ending
    while beats.get(timeout=10) != "third":
        pass
    heartbeat.remove("third")


def test_a_server_that_is_away_stops_no_heartbeat():
    beats = queue.SimpleQueue()
    tried = []

    def beat(run_id):
        tried.append(run_id)
        beats.put(run_id)
        if len(tried) == 1:
            raise TrackingError("away")

    heartbeat = Heartbeat(beat, every_s=0.001)
    heartbeat.add("one")
    assert [beats.get(timeout=10) for _ in range(3)] == ["one"] * 3
    heartbeat.remove("one")
