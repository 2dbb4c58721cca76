"""Studies: asked for trials and told, by several processes, each parameter set once."""

import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import optuna
import pytest
import sqlalchemy

from tenfold.config import canonical_params, parse_config
from tenfold.errors import StudyError
from tenfold.search import Study, StudyPlan, StudyStorage, owner_name, resolve_space

SCORES = {"accuracy": 0.5, "log_loss": 1.0, "latency": 3.0}


def plan_of(model="svm", *, n_trials=6, steps=0, space=None, **tune):
    entry = {"model": model, "space": space or {}}
    config = parse_config({"models": [entry], "tune": {"n_trials": n_trials, **tune}})
    (entry,) = config.models
    return StudyPlan(
        name=f"tune-{model}",
        model=model,
        title="A model",
        base=canonical_params(model, {}),
        space=resolve_space(entry),
        tune=config.tune,
        seed=42,
        fingerprint="data",
        split="split",
        steps=steps,
    )


@pytest.fixture
def storage(studies):
    return StudyStorage(None, studies)


@pytest.fixture
def begin(studies, storage):
    """Return a function that opens a study as a process that lives."""

    def opened(plan=None, lock="mine", **options):
        owner = owner_name(studies, lock)
        return Study(plan or plan_of(), storage, owner=owner, **options)

    return opened


def run(study, judge=lambda params: 0.5):
    while (asked := study.ask()) is not None:
        study.finish(asked, {**SCORES, "accuracy": judge(asked.params)})
    return study.history()


def dead(owner):
    return False


def alive(owner):
    return True


def nothing_finished(params):
    return None


def test_the_first_trial_is_the_defaults_even_where_no_number_stands_for_one(begin):
    asked = begin().ask()
    assert asked.params == canonical_params("svm", {})
    assert asked.drawn == {"C": 10.0, "gamma": "scale"}


def test_a_study_has_as_many_trials_as_asked_for_over_all_calls(begin):
    assert len(run(begin(plan_of(n_trials=3))).trials) == 3
    study = begin(plan_of(n_trials=5))
    history = run(study)
    assert [trial.number for trial in history.trials] == [0, 1, 2, 3, 4]
    assert history.start.number == 0
    assert begin(plan_of(n_trials=5)).ask() is None


def test_more_means_more_than_there_are(begin):
    run(begin(plan_of(n_trials=3)))
    assert len(run(begin(plan_of(n_trials=3), more=2)).trials) == 5


def test_a_study_finds_a_peak(begin):
    def judge(params):
        gamma = 0.01 if params["gamma"] == "scale" else params["gamma"]
        return 1 - (math.log10(params["C"]) + 0.5) ** 2 - (math.log10(gamma) + 1.5) ** 2

    history = run(begin(plan_of(n_trials=30)), judge)
    assert history.best.values[0] > 0.9
    assert history.start.values[0] < 0


def test_the_same_seed_asks_for_the_same_trials_also_when_resumed(begin, studies):
    space = {"C": {"low": 0.1, "high": 9.0}}
    whole = run(begin(replace(plan_of(n_trials=8, space=space), name="whole")))
    run(begin(replace(plan_of(n_trials=3, space=space), name="halves")))
    halves = run(begin(replace(plan_of(n_trials=8, space=space), name="halves")))
    assert [t.drawn for t in halves.trials] == [t.drawn for t in whole.trials]


def test_no_parameter_set_is_tried_twice_and_a_finite_space_ends(begin):
    plan = plan_of("knn", n_trials=50, space={"n_neighbors": [1, 5, 7]})
    study = begin(plan)
    history = run(study)
    tried = {tuple(trial.drawn.items()) for trial in history.trials}
    assert len(history.trials) == len(tried) == 6
    assert study.exhausted == "every parameter set was tried"


def test_what_breaks_a_rule_over_several_parameters_is_drawn_again_and_does_not_count(begin):
    space = {"width": [128, 130], "heads": [4], "learning_rate": None, "batch_size": None}
    study = begin(plan_of("vit", n_trials=9, space={**space, "depth": None}))
    history = run(study)
    assert [trial.state for trial in history.trials] == ["finished"]
    assert study.exhausted == "every parameter set was tried"


def test_a_space_too_large_to_list_ends_after_draws_that_give_nothing_new(begin):
    space = {"C": {"low": 1.0, "high": math.nextafter(1.0, 2)}, "gamma": None}
    study = begin(plan_of(n_trials=9, space=space))
    assert len(run(study).trials) == 2
    assert study.exhausted == "50 draws in a row were tried already or break a rule"
    assert study.is_full


@pytest.mark.parametrize(
    ("model", "space", "broken"),
    [
        ("svm", {"pca": {"low": 0.999, "high": 20}}, "svm.pca: got "),
        ("vit", {"width": [129, 130], "heads": [4]}, " is no multiple of heads 4"),
    ],
)
def test_a_space_in_which_hardly_a_value_is_allowed_is_told(begin, model, space, broken):
    study = begin(plan_of(model, space=space))
    with pytest.raises(StudyError, match="draws in a row break a rule, the last: ") as caught:
        run(study)
    assert broken in str(caught.value)
    assert "{" not in str(caught.value)


def test_a_trial_that_another_process_lost_is_run_though_all_were_tried(begin):
    plan = plan_of("knn", n_trials=9, space={"n_neighbors": [1, 5], "weights": None})
    ours, theirs = begin(plan), begin(plan, lock="theirs")
    lost = theirs.ask()
    run(ours)
    assert ours.exhausted
    assert ours.release_stale(dead, nothing_finished) == 0
    assert not ours.is_full
    assert lost.params in [trial.params for trial in run(ours).of("finished")]


def test_how_trials_end_is_kept(begin):
    study = begin(plan_of(n_trials=3))
    first, second, third = study.ask(), study.ask(), study.ask()
    study.finish(first, SCORES)
    study.prune(second, "pruned at epoch 2")
    study.fail(third, "out of memory")
    assert study.ask() is None
    history = begin(plan_of(n_trials=3)).history()
    assert [trial.state for trial in history.trials] == ["finished", "pruned", "failed"]
    assert [trial.reason for trial in history.trials] == [
        None,
        "pruned at epoch 2",
        "out of memory",
    ]
    assert history.trials[0].scores == SCORES
    assert history.trials[0].values == (0.5,)


def test_the_trial_that_the_others_are_compared_with_is_never_hopeless(begin):
    study = begin(plan_of("mlp", n_trials=9, steps=9))
    start, other = study.ask(), study.ask()
    assert not study.is_hopeless(other, 1, 0.95, is_last=False)
    assert not study.is_hopeless(start, 1, 0.1, is_last=False)


def test_hopeless_trials_are_told_so_and_good_ones_are_not(begin):
    study = begin(plan_of("mlp", n_trials=9, steps=9))
    first = study.ask()
    assert not any(study.is_hopeless(first, step, 0.9, is_last=step == 9) for step in range(1, 10))
    study.finish(first, SCORES)
    bad, good = study.ask(), study.ask()
    assert study.is_hopeless(bad, 1, 0.1, is_last=False)
    assert not study.is_hopeless(good, 1, 0.95, is_last=False)
    assert study.history().trials[1].steps == {1: 0.1}


def test_the_last_epoch_of_a_trial_is_never_the_one_to_prune_at(begin):
    study = begin(plan_of("mlp", steps=1))
    study.is_hopeless(study.ask(), 1, 0.9, is_last=True)
    assert not study.is_hopeless(study.ask(), 1, 0.1, is_last=True)


@pytest.mark.parametrize("pruner", ["asha", "hyperband", "median"])
def test_every_pruner_ends_what_is_far_worse(begin, pruner):
    study = begin(plan_of("mlp", n_trials=30, steps=9, pruner=pruner))
    ended = []
    for number in range(12):
        asked = study.ask()
        value = 0.9 if number < 6 else 0.1
        ended.append(
            any(study.is_hopeless(asked, step, value, is_last=step == 9) for step in range(1, 10))
        )
        study.prune(asked, "pruned") if ended[-1] else study.finish(asked, SCORES)
    assert not ended[0]
    assert any(ended[6:])


def test_without_a_pruner_or_with_two_objectives_nothing_is_pruned(begin):
    for name, tune in (("a", {"pruner": "none"}), ("b", {"objectives": ["accuracy", "latency"]})):
        study = begin(replace(plan_of("mlp", steps=9, **tune), name=name))
        study.is_hopeless(study.ask(), 1, 0.9, is_last=False)
        assert not study.is_hopeless(study.ask(), 1, 0.1, is_last=False)


def test_two_objectives_are_both_kept(begin):
    study = begin(plan_of(objectives=["log_loss", "latency"]))
    study.finish(study.ask(), SCORES)
    assert study.history().trials[0].values == (1.0, 3.0)


def test_a_trial_whose_process_is_gone_is_queued_again_with_the_same_parameters(begin):
    gone = begin(lock="gone")
    left = [gone.ask(), gone.ask()]
    study = begin()
    assert study.release_stale(dead, nothing_finished) == 0
    again = [study.ask(), study.ask()]
    assert [asked.params for asked in again] == [asked.params for asked in left]
    for asked in again:
        study.finish(asked, SCORES)
    history = run(study)
    assert len(history.trials) == 6
    assert history.of("running") == ()
    assert history.start.drawn == left[0].drawn


def test_a_trial_that_finished_before_its_process_was_gone_is_told_and_not_run_again(begin):
    left = begin(lock="gone").ask()
    study = begin()
    study.release_stale(dead, lambda params: SCORES if params == left.params else None)
    (trial,) = study.history().trials
    assert (trial.state, trial.values) == ("finished", (0.5,))


def test_what_another_living_process_runs_is_left_to_it(begin):
    other = begin(lock="other")
    asked = other.ask()
    study = begin()
    assert study.release_stale(alive, nothing_finished) == 1
    other.finish(asked, SCORES)
    assert study.release_stale(alive, nothing_finished) == 0
    assert [trial.state for trial in study.history().trials] == ["finished"]


def test_a_process_whose_trial_was_taken_for_lost_ends_it_and_changes_nothing(begin):
    asleep = begin(plan_of("mlp", steps=9), lock="asleep")
    asked = asleep.ask()
    study = begin(plan_of("mlp", steps=9))
    study.release_stale(dead, nothing_finished)
    assert asleep.is_hopeless(asked, 1, 0.9, is_last=False)
    asleep.prune(asked, "pruned at epoch 1")
    assert study.history().trials == ()
    assert study.ask().params == asked.params


def test_stale_trials_are_queued_once_however_often_one_looks(begin):
    begin(lock="gone").ask()
    study = begin()
    study.release_stale(dead, nothing_finished)
    study.release_stale(dead, nothing_finished)
    assert len(run(study).trials) == 6


def test_an_interrupted_trial_comes_first_the_next_time(begin):
    study = begin()
    asked = study.ask()
    study.queue_again(asked, "was interrupted")
    assert study.history().trials == ()
    assert begin().ask().params == asked.params


def test_a_trial_left_half_made_by_this_process_is_taken_up(begin):
    study = begin()
    study._study.ask()  # what is left where the server went away in the middle
    assert len(run(study).trials) == 6
    assert study.history().of("running") == ()


def test_processes_that_ask_at_once_never_get_the_same(begin):
    studies = [begin(plan_of("knn", n_trials=12), lock=f"process-{n}") for n in range(3)]
    with ThreadPoolExecutor(len(studies)) as pool:
        for ended in [pool.submit(run, study) for study in studies]:
            ended.result()
    trials = studies[0].history().of("finished")
    assert len(trials) == 12
    assert len({tuple(trial.drawn.items()) for trial in trials}) == 12


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"fingerprint": "other"}, "data 'data', now 'other'"),
        ({"split": "other"}, "split 'split', now 'other'"),
        ({"seed": 1}, "seed '42', now '1'"),
        ({"model": "sgd"}, "model 'svm', now 'sgd'"),
        ({"space": {}}, "space: gamma '0.001 to 0.1, log scale', now 'null'"),
        (
            {"base": {**canonical_params("svm", {}), "kernel": "poly"}},
            "something else: fixed parameters: kernel 'rbf', now 'poly'; give another",
        ),
    ],
)
def test_a_study_of_something_else_is_refused_in_one_line(begin, change, told):
    begin()
    with pytest.raises(StudyError) as caught:
        begin(replace(plan_of(), **change))
    assert told in str(caught.value)
    assert "\n" not in str(caught.value)
    assert str(caught.value).endswith("give another --study-name, or the same settings as then")


def test_a_process_killed_as_it_made_the_study_costs_nothing(begin, storage):
    made = optuna.create_study(study_name="tune-svm", storage=storage.backend, direction="maximize")
    made.set_user_attr("tenfold", plan_of().identity)
    assert begin().ask().params == canonical_params("svm", {})


def test_a_study_that_another_program_made_is_refused(begin, storage):
    study = optuna.create_study(study_name="tune-svm", storage=storage.backend)
    study.tell(study.ask(), 1.0)
    with pytest.raises(StudyError, match="was not made by tenfold"):
        begin()


def test_an_own_estimator_has_no_known_defaults_and_its_source_is_part_of_the_study(begin):
    entry = parse_config({"models": [{"model": "mine:Own", "space": {"depth": [1, 2]}}]}).models[0]
    plan = replace(plan_of(), name="own", model="mine:Own", base={}, space=resolve_space(entry))
    plan = replace(plan, source_sha256="a" * 64)
    history = run(begin(plan))
    assert sorted(trial.drawn["depth"] for trial in history.trials) == [1, 2]
    assert history.start is None
    with pytest.raises(StudyError, match="is one of something else: model version"):
        begin(replace(plan, source_sha256="b" * 64))


def test_importances_say_what_mattered(begin):
    study = begin(plan_of(n_trials=12))
    assert study.importances() == {}
    run(study, lambda params: math.log(params["C"]))
    found = study.importances()
    assert found["C"] > 0.6
    assert sum(found.values()) == pytest.approx(1)


def test_importances_wait_for_a_storage_that_goes_away_at_any_moment(begin, storage):
    study = begin(plan_of(n_trials=6))
    run(study, lambda params: math.log(params["C"]))
    found, asked, away = study.importances(), [], set()

    @sqlalchemy.event.listens_for(storage.backend.engine, "before_cursor_execute")
    def fail(_connection, _cursor, statement, *_rest):
        asked.append(statement)
        if len(asked) in away:
            raise sqlalchemy.exc.OperationalError(statement, {}, ConnectionError("away"))

    study.importances()
    for moment in range(1, len(asked) + 1):
        asked.clear()
        away = {moment}
        assert study.importances() == found
