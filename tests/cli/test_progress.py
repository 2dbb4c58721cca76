"""What a person sees while an experiment runs."""

import io
import re
from types import SimpleNamespace

import pytest
from rich.console import Console
from rich.progress import Progress, TextColumn

from tenfold.cli.progress import BarObserver, LineObserver, observing, print_result
from tenfold.records import FitUnit, Numerics, Trial, TrialResult

TRIAL = Trial("mlp", {}, "MLP", "epochs=3", 0)
UNIT = FitUnit((TRIAL,), ("k",), Numerics("cpu", "float32", 1))
DONE = (TrialResult(TRIAL, "k", "finished", fit_s=75.0),)
FAILED = (TrialResult(TRIAL, "k", "failed", error="ValueError: [bold] luck"),)


def row(title, label, accuracy):
    value = SimpleNamespace(value=accuracy, low=accuracy - 0.01, high=accuracy + 0.01)
    return SimpleNamespace(
        key=title,
        title=title,
        label=label,
        name=f"{title} {label}",
        scores=SimpleNamespace(accuracy=value, f1_weighted=value),
        p_vs_winner=0.5,
        fit_s=3.0,
        predict_us_per_image=20.0,
        error="ValueError: [/b]",
    )


RESULT = SimpleNamespace(
    config=SimpleNamespace(name="compare-digits"),
    leaderboard=SimpleNamespace(
        ranked=(
            row("KNN", "", 0.9861),
            row("Logistic Regression", "x=[/b]", 0.9749),
            row("MLP", "epochs=1, hidden_layers=(128, 64)", 0.4153),
        ),
        winner=row("KNN", "x=[/b]", 0.9861),
        winner_key="KNN",
        n_test=359,
        n_select=1438,
    ),
    failed=(row("KNN", "x=[/b]", 0.0),),
    warnings=("class '[/b]' is rare",),
    report="/w[/x]/[old] :cat: runs/report.html",
)


@pytest.fixture
def terminal(monkeypatch):
    """Return a function that makes stdout and stderr a terminal of so many columns."""

    def make(columns):
        stream = io.StringIO()
        stream.isatty = lambda: True
        for name, value in {"COLUMNS": columns, "LINES": 25, "TERM": "xterm"}.items():
            monkeypatch.setenv(name, str(value))
        monkeypatch.setenv("NO_COLOR", "1")
        monkeypatch.setattr("sys.stdout", stream)
        monkeypatch.setattr("sys.stderr", stream)
        return stream

    return make


def play(observer):
    observer.planned(3, reused=2)
    observer.started(UNIT)
    observer.stepped(UNIT, 1, 3, {"val_loss": 0.25})
    observer.stepped(UNIT, 3, 3, {"val_loss": 0.125})
    observer.ended(UNIT, DONE)
    observer.started(UNIT)
    observer.ended(UNIT, FAILED)
    observer.ended(UNIT, (TrialResult(TRIAL, "k", "finished", reused=True),))
    observer.said("opening the sealed test")


def test_lines_say_what_happens_and_go_to_stderr(capsys):
    play(LineObserver())
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:5] == [
        "3 to fit; 2 found finished and not run again",
        "MLP epochs=3: fitting",
        "MLP epochs=3: 3/3 val_loss=0.125",
        "[1/3] MLP epochs=3: done in 1 min about 0.0 s left",
        "MLP epochs=3: fitting",
    ]
    assert "[2/3] MLP epochs=3: FAILED: ValueError: [bold] luck" in err
    assert "[3/3] MLP epochs=3: finished by another process" in err
    assert err.splitlines()[-1] == "opening the sealed test"


def test_a_fit_says_what_is_left_from_its_second_step_on(capsys, monkeypatch):
    clock = SimpleNamespace(now=100.0)
    monkeypatch.setattr("tenfold.cli.progress.time", SimpleNamespace(monotonic=lambda: clock.now))
    observer = LineObserver()

    def step(number, seconds):
        clock.now += seconds
        observer.stepped(UNIT, number, 9, {"train_f1": 0.1, "val_loss": 0.5})

    for number in (1, 2, 3):
        step(number, 0.001)  # a training that is taken up again tells what is done at once
    step(4, 60)
    step(5, 30)
    step(9, 120)
    assert capsys.readouterr().err.splitlines() == [
        "MLP epochs=3: 4/9 val_loss=0.5 about 5 min left",
        "MLP epochs=3: 5/9 val_loss=0.5 about 3 min left",
        "MLP epochs=3: 9/9 val_loss=0.5",
    ]


def test_bars_show_trial_step_and_what_is_left():
    text = io.StringIO()
    console = Console(file=text, force_terminal=True, width=120)
    columns = TextColumn("{task.description} {task.completed:g}/{task.total:g} {task.fields[note]}")
    with Progress(columns, console=console) as progress:
        observer = BarObserver(progress)
        play(observer)
        progress.refresh()
    shown = text.getvalue()
    assert "3 to fit; 2 found finished" in shown
    assert "MLP epochs=3: done in 1 min" in shown
    assert "FAILED: ValueError: [bold] luck" in shown
    assert "trials 3/3" in shown


def test_the_trials_of_one_fit_are_counted_one_by_one(capsys):
    trials = tuple(Trial("knn", {"k": k}, "KNN", f"k={k}", 0) for k in (1, 3))
    unit = FitUnit(trials, ("a", "b"), UNIT.numerics)
    done = tuple(
        TrialResult(trial, key, "finished", fit_s=2.0, fitted_with=("a", "b"))
        for trial, key in zip(trials, unit.keys, strict=True)
    )
    observer = LineObserver()
    observer.planned(3, reused=0)
    observer.started(unit)
    observer.ended(unit, done)
    observer.ended(UNIT, FAILED)
    lines = capsys.readouterr().err.splitlines()
    assert lines[:3] == [
        "3 to fit",
        "KNN k=1, 3: fitting",
        "[1/3] KNN k=1: done in 2.0 s, by one fit of 2 about 0.0 s left",
    ]
    assert lines[3].startswith("[2/3] KNN k=3: done in 2.0 s, by one fit of 2")
    assert lines[4].startswith("[3/3] MLP epochs=3: FAILED")


def test_without_a_terminal_lines_are_chosen(monkeypatch):
    with observing() as observer:
        assert isinstance(observer, LineObserver)


def test_with_a_terminal_bars_are_chosen(terminal):
    terminal(80)
    with observing() as observer:
        assert isinstance(observer, BarObserver)


def test_bars_show_names_as_they_are(terminal):
    shown = terminal(80)
    trial = Trial("mine:X", {}, "X", "x=[/b] :cat:", 0)
    with observing() as observer:
        observer.started(FitUnit((trial,), ("k",), UNIT.numerics))
        observer.said("[/b] :cat:")
    assert "X x=[/b] :cat:" in shown.getvalue()
    assert "\n[/b] :cat:" in shown.getvalue().replace("\x1b[2K", "\n")


def test_the_leaderboard_shows_names_as_they_are(capsys):
    print_result(RESULT)
    lines = capsys.readouterr().out.splitlines()
    assert "Logistic Regression   x=[/b] " in lines[5]
    assert lines[-4].startswith("winner: KNN x=[/b], chosen on 1,438")
    assert lines[-3:] == [
        "failed: KNN x=[/b]: ValueError: [/b]",
        "warning: class '[/b]' is rare",
        "report: /w[/x]/[old] :cat: runs/report.html",
    ]


@pytest.mark.parametrize(
    ("columns", "last"),
    [(140, "per image"), (80, "F1"), (60, "accuracy"), (45, "accuracy"), (24, "accuracy")],
)
def test_a_narrow_terminal_leaves_columns_out_and_cuts_none(terminal, columns, last):
    shown = terminal(columns)
    print_result(RESULT)
    text = re.sub(r"\x1b\[\d*m", "", shown.getvalue().partition("winner:")[0])
    lines = [line.rstrip() for line in text.splitlines()]
    assert max(map(len, lines)) <= columns
    assert any(line.endswith(last) for line in lines)
    for whole in ("0.9861", "0.9749", "0.4153"):
        assert whole in text
    assert "…" not in text
    if columns > 24:
        assert "Logistic" in text
        assert "hidden_layers=" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0 s"), (42, "42 s"), (600, "10 min"), (7500, "2 h 5 min")]
)
def test_durations_are_read_at_a_glance(seconds, text, capsys):
    observer = LineObserver()
    observer.planned(1, reused=0)
    observer.ended(UNIT, (TrialResult(TRIAL, "k", "finished", fit_s=seconds),))
    assert f"done in {text}" in capsys.readouterr().err


def test_a_fit_that_is_tried_again_has_one_bar():
    with Progress(console=Console(file=io.StringIO())) as progress:
        observer = BarObserver(progress)
        observer.started(UNIT)
        observer.started(UNIT)
        assert [task.description for task in progress.tasks] == ["trials", UNIT.name]
        observer.ended(UNIT, DONE)
        assert [task.description for task in progress.tasks] == ["trials"]
