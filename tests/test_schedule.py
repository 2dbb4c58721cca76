"""The schedule: in order, one unit a place, and never more memory than there is."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tenfold.errors import TrialStoppedError
from tenfold.records import Cost, FitUnit, Numerics, Trial
from tenfold.schedule import Schedule


def unit(name, n_bytes=0, device="cpu"):
    trial = Trial(model="knn", params={}, title=name, label="", seed=0)
    return FitUnit((trial,), (name,), Numerics(device, "float32", 1), cost=Cost(0.0, n_bytes))


def started(schedule):
    """Return what may run now, with the places."""
    found = []
    while (taken := schedule.poll()) is not None:
        found.append(taken)
    return found


def names(taken):
    return [unit.name for unit, _ in taken]


def test_units_start_in_order_one_a_place():
    schedule = Schedule([unit("a"), unit("b"), unit("c")], ["here", "there"], budget_bytes=0)
    first = started(schedule)
    assert names(first) == ["a", "b"]
    assert {place for _, place in first} == {"here", "there"}
    schedule.give_back(*first[0])
    assert started(schedule) == [(unit("c"), first[0][1])]


def test_the_place_that_is_warm_is_taken_again():
    schedule = Schedule([unit("a"), unit("b")], ["cold", "warm"], budget_bytes=0)
    taken = schedule.take()
    schedule.give_back(*taken)
    assert schedule.take()[1] == taken[1] == "warm"


def test_a_small_unit_passes_a_large_one_that_waits_for_memory():
    units = [unit("half", 50), unit("large", 80), unit("small", 40), unit("more", 20)]
    schedule = Schedule(units, range(4), budget_bytes=100)
    running = started(schedule)
    assert names(running) == ["half", "small"]
    schedule.give_back(*running[0])
    assert names(started(schedule)) == ["more"]  # 40 + 80 would be too much
    schedule.give_back(*running[1])
    assert names(started(schedule)) == ["large"]


def test_a_unit_larger_than_the_budget_runs_alone():
    schedule = Schedule([unit("huge", 1000), unit("small", 1)], range(2), budget_bytes=100)
    running = started(schedule)
    assert names(running) == ["huge"]
    schedule.give_back(*running[0])
    assert names(started(schedule)) == ["small"]


def test_one_unit_a_gpu_and_the_others_beside_them():
    units = [unit(f"gpu-{number}", device="cuda") for number in range(3)]
    schedule = Schedule(
        [*units, unit("cpu-0"), unit("cpu-1")], ["core"], gpu_places=["0", "1"], budget_bytes=0
    )
    running = started(schedule)
    assert {unit.name: place for unit, place in running} == {
        "gpu-0": "1",
        "gpu-1": "0",
        "cpu-0": "core",
    }
    schedule.give_back(*running[0])
    assert [(unit.name, place) for unit, place in started(schedule)] == [("gpu-2", "1")]


def test_without_places_for_gpus_their_units_take_the_others():
    schedule = Schedule([unit("gpu", device="mps")], ["core"], budget_bytes=0)
    assert schedule.take()[1] == "core"


@given(
    sizes=st.lists(st.integers(0, 120), max_size=30),
    places=st.integers(1, 5),
    budget=st.integers(0, 100),
    order=st.randoms(use_true_random=False),
)
def test_memory_is_never_oversubscribed_and_every_unit_runs_once(sizes, places, budget, order):
    units = [unit(str(number), size) for number, size in enumerate(sizes)]
    schedule = Schedule(units, range(places), budget_bytes=budget)
    done, running = [], []
    while running := [*running, *started(schedule)]:
        assert len(running) <= places
        assert len({place for _, place in running}) == len(running)
        assert len(running) == 1 or sum(unit.cost.bytes for unit, _ in running) <= budget
        ended = running.pop(order.randrange(len(running)))
        schedule.give_back(*ended)
        done.append(ended[0].name)
    assert sorted(done) == sorted(unit.name for unit in units)


def test_a_thread_that_waits_goes_on_when_memory_is_free():
    schedule = Schedule([unit("a", 80), unit("b", 80)], range(2), budget_bytes=100)
    first = schedule.take()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(schedule.take)
        assert not second.done()
        schedule.give_back(*first)
        assert second.result(timeout=30)[0].name == "b"


def test_stopping_tells_a_thread_that_waits():
    schedule = Schedule([unit("a"), unit("b")], ["here"], budget_bytes=0)
    schedule.take()
    with ThreadPoolExecutor(1) as pool:
        second = pool.submit(schedule.take)
        schedule.stop()
        with pytest.raises(TrialStoppedError, match="before this trial started"):
            second.result(timeout=30)
