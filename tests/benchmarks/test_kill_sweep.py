"""Killed experiments: the moments, and the proof on a small one."""

import random

import pytest

SMALL = """
name: killed
dataset: {source: digits, cv_below: 0}
threads: 1
units_at_once: 1
refit: none
models: [sgd]
"""


@pytest.fixture
def kill_sweep(load):
    return load("kill_sweep")


def test_moments_are_spread_over_the_run_and_some_are_inside_writes(kill_sweep):
    found = kill_sweep.moments(random.Random(0), 20, 5, 30.0, 100)
    assert found == kill_sweep.moments(random.Random(0), 20, 5, 30.0, 100)
    inside = [moment for moment in found if moment.after_s is None]
    timed = [moment.after_s for moment in found if moment.after_s is not None]
    assert (len(inside), len(timed)) == (5, 15)
    assert {moment.way for moment in inside} == set(kill_sweep.WAYS)
    assert all(1 <= moment.write <= 100 for moment in inside)
    assert min(timed) < 10 < 20 < max(timed) < 30


def test_an_experiment_killed_inside_a_write_ends_as_if_it_had_not_been(
    kill_sweep, monkeypatch, empty_database, capsys
):
    monkeypatch.setattr(kill_sweep, "EXPERIMENT", SMALL)
    monkeypatch.setattr(kill_sweep, "empty_database", lambda home: empty_database)
    assert kill_sweep.main(["--kills", "1", "--inside", "1"]) == 0
    out = capsys.readouterr().out
    assert "half made" in out
    assert "all hold" in out
