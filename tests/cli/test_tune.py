"""`tenfold tune` as a person meets it: exit codes, one clear line, one JSON document."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from tenfold.cli.running import overrides_of
from tenfold.cli.study_view import StudyView, print_studies
from tenfold.config import parse_config
from tenfold.histories import StudyHistory, StudyTrial

ROOT = Path(__file__).parents[2]
FEW = ["--set", "dataset.max_images=200", "--set", "dataset.cv_folds=2"]
FEW += ["--set", "dataset.cv_repeats=1", "--set", "refit=none"]


def trial(number, *values, is_start=False):
    return StudyTrial(
        number=number,
        state="finished" if values else "pruned",
        drawn={"alpha": number},
        params={},
        values=values,
        steps={},
        reason=None if values else "pruned at epoch 1",
        scores={},
        is_start=is_start,
        duration_s=1.0,
    )


@pytest.mark.parametrize("text", ["2026", "null", "exp #2", "a: b", "'", '"', "\\", "é ☃ 𝟙", "[1]"])
def test_a_text_given_as_an_option_stays_as_it_is(text):
    overrides = overrides_of(["tune.study_name=other"], **{"tune.study_name": text})
    config = parse_config({"models": ["knn"]}, overrides=overrides)
    assert config.tune.study_name == text


@pytest.fixture
def tenfold(tmp_path):
    """Return a function that runs the command in an empty folder."""

    def run(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "tenfold", *arguments],
            capture_output=True,
            text=True,
            cwd=tmp_path,
            env=dict(os.environ),
            check=False,
        )

    return run


def test_a_study_is_summed_up_in_words(capsys):
    history = StudyHistory("mine", "sgd", "SGD", ("log_loss",), {}, frozenset(), 3, ())
    trials = (trial(0, 0.5, is_start=True), trial(1, 0.25), trial(2))
    print_studies((replace(history, trials=trials),))
    assert capsys.readouterr().out.splitlines() == [
        "study mine: 2 finished, 1 pruned, 0 failed",
        "  best on select rows: log_loss 0.2500 with alpha=1",
        "  without tuning:      log_loss 0.5000",
    ]


def test_after_each_trial_the_standing_and_the_time_left_are_said():
    lines, clock = [], iter([10.0, 14.0])
    inner = SimpleNamespace(said=lines.append)
    view = StudyView(inner, clock=lambda: next(clock))
    history = StudyHistory(
        "mine", "sgd", "SGD", ("accuracy",), {"alpha": "0 to 9"}, frozenset(), 5, ()
    )
    view.begun(history)
    view.judged(replace(history, trials=(trial(0, 0.9), trial(1))), 1)
    standing = "1 finished, 1 pruned, 0 failed; best accuracy 0.9000 (alpha=0)"
    assert lines == [
        "study mine: SGD, 5 trials",
        "  alpha: 0 to 9",
        f"[2/5] alpha=1: pruned at epoch 1; {standing}; about 6.0 s left",
    ]


def test_a_study_that_has_its_trials_says_that_none_is_run():
    lines = []
    view = StudyView(SimpleNamespace(said=lines.append))
    done = (trial(0, 0.9), trial(1))
    history = StudyHistory("mine", "sgd", "SGD", ("accuracy",), {}, frozenset(), 2, done)
    view.begun(history)
    said = "study mine: SGD, 2 trials asked for, 2 are there: none is run; --more 10 adds ten"
    assert lines == [said]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        ([], "tenfold tune takes a model's name, a file with a space, or --grid FILE"),
        (["knnn"], "models.0.model: got 'knnn', which is no model. Did you mean 'knn'?"),
        (["knn", "--n-trials", "3", "--more", "2"], "--n-trials and --more exclude each other"),
        (["knn", "--executor", "moon"], "--executor is 'moon'; allowed: auto, local"),
        (["knn", "--objective", "speed"], "tune.objectives.0: got 'speed'"),
        (["svm", "--set", "models.0.space.CC=[1]"], "models.0.space.CC: is no parameter"),
        (["svm", "--set", "models.0.space.C={low: 9, high: 1}"], "the range 9 to 1 is empty"),
        (["svm", "--C", "3", "--set", "models.0.space.gamma=null"], "nothing is searched"),
        (["knn", "--storage", "mysql://host/name"], "allowed: sqlite:///FILE or postgresql://"),
        (["--grid", "none.yaml"], "none.yaml: no such file"),
        (["knn", "--grid", "none.yaml", "--n-trials", "2"], "leave out knn, --n-trials"),
        ([str(ROOT / "experiments/quickstart.yaml")], "a study searches a space; use `tenfold"),
        (
            [str(ROOT / "experiments/bn_cnn-search.yaml"), "--epochs", "3"],
            "model options (epochs) go with a model's name",
        ),
    ],
)
def test_wrong_usage_is_one_clear_line_and_exit_code_2(tenfold, studies, arguments, line):
    done = tenfold("tune", *arguments)
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    errors = [text for text in done.stderr.splitlines() if text.startswith("error: ")]
    assert line in errors[0]
    assert "Traceback" not in done.stderr


def test_a_comparison_refuses_a_search_space(tenfold):
    done = tenfold("compare", str(ROOT / "experiments/bn_cnn-search.yaml"))
    assert done.returncode == 2
    assert "models.0.space: is what `tenfold tune` searches" in done.stderr


def test_the_old_spellings_tune_resume_and_guard_a_study(tenfold, studies, tmp_path):
    kept = ["--study_name", "2026", "--storage", "sqlite:///run #2.db"]
    done = tenfold("tune", "sgd", "--n_trials", "2", "--max_iter", "5", *kept, "--json", *FEW)
    assert done.returncode == 0, done.stderr
    (study,) = json.loads(done.stdout)["studies"]
    assert study["name"] == "2026"
    assert [trial["state"] for trial in study["trials"]] == ["finished", "finished"]
    assert (tmp_path / "run #2.db").exists()
    assert "study 2026: SGD, 2 trials" in done.stderr
    assert "[2/2]" in done.stderr
    assert "2 finished, 0 pruned, 0 failed; best accuracy 0." in done.stderr
    other = tenfold("tune", "knn", *kept, *FEW)
    assert other.returncode == 2
    (line,) = [text for text in other.stderr.splitlines() if text.startswith("error: ")]
    assert "study '2026' in sqlite:///run " in line
    assert "is one of something else: model 'sgd', now" in line
