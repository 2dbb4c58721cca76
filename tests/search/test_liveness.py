"""Which processes live: by their lock on this machine, by their beats on another."""

import pytest

from tenfold.search import Watch, owner_name


class FakeStudy:
    def __init__(self):
        self.beats, self.looked = {}, 0

    def beat(self, beats):
        self.beats["mine"] = beats

    def beats_of(self, owner):
        return self.beats.get(owner, 0)


@pytest.fixture
def study():
    return FakeStudy()


def test_a_process_of_this_workspace_lives_while_it_holds_its_lock(workspace, study):
    watch = Watch(study, workspace)
    owner = owner_name(workspace, "experiment-1")
    assert not watch.is_alive(owner)
    with workspace.locked("experiment-1"):
        assert watch.is_alive(owner)
    assert not watch.is_alive(owner)


def test_a_process_elsewhere_lives_while_its_count_goes_on(workspace, study):
    watch = Watch(study, workspace)
    assert watch.is_alive("elsewhere|lock")
    for beats in range(20):
        study.beats["elsewhere|lock"] = beats
        watch.look()
        assert watch.is_alive("elsewhere|lock")


def test_a_process_elsewhere_is_gone_when_its_count_stands_still_and_back_when_it_moves(
    workspace, study
):
    watch = Watch(study, workspace)
    study.beats["elsewhere|lock"] = 5
    watch.is_alive("elsewhere|lock")
    looks = 0
    while watch.is_alive("elsewhere|lock"):
        watch.look()
        looks += 1
    assert looks == 7  # the first look learns the count
    study.beats["elsewhere|lock"] = 6
    watch.look()
    assert watch.is_alive("elsewhere|lock")


def test_while_it_watches_it_beats(workspace, study):
    with Watch(study, workspace, beat_s=0.01).watching():
        pass
    assert study.beats["mine"] >= 1


def test_a_process_of_this_workspace_under_another_name_is_gone_after_a_while(workspace, study):
    before_the_move = owner_name(workspace, "experiment-1").replace(":", "-before:", 1)
    watch = Watch(study, workspace)
    assert watch.is_alive(before_the_move)
    for _ in range(7):
        watch.look()
    assert not watch.is_alive(before_the_move)
